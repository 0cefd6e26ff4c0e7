"""The starter: made from the solution, gives no answer away, and says what is to be written."""

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from pypdf import PdfReader

from course import starter
from course.archive import pack
from course.parts import PARTS
from course.sources import NOTEBOOK, PLACE, ROOT, files, unanswered
from course.stubs import end, find, message, split, stub
from data_utils import SAMPLE

TODO = [message(part, number) for number, part in enumerate(PARTS, start=1)]
LISTED = [text.split(";")[0] for text in TODO]
# An operator, an index or a call, but for a shape, and for what silences warnings.
COMPUTES = re.compile(r"(?<!shape)(?<!errstate)[\w)\]]([(\[]| ?[-+*/@<>]=? ?[\w(])")
FILES = sorted({part.file for part in PARTS})


@pytest.fixture
def folder(contents, tmp_path):
    """The starter, unpacked."""
    with zipfile.ZipFile(io.BytesIO(pack(contents))) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def read(file, root=ROOT):
    return (root / file).read_text(encoding="utf-8")


# ------------------------------------------------------------------- nothing gives an answer away


def strings(value):
    """All texts of a notebook: sources, outputs, attachments, metadata."""
    if isinstance(value, str):
        return [value]
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    return [s for part in parts for s in strings(part)] if isinstance(parts, list) else []


def texts(contents):
    """The texts of the starter by name."""
    for name, content in contents.items():
        if name.endswith(".ipynb"):
            yield name, "\n\n".join(strings(json.loads(content)))
        elif not name.endswith((".npz", ".gz", "/")):
            yield name, content.decode("utf-8")


def in_one_line(text):
    """The text as if it had been written in one line, no comment or list."""
    return " ".join(re.sub(r"\n *[#*]+ ", " ", text).split())


def sentences(text):
    """The sentences and displayed formulas of a text."""
    parts = (re.split(r"(?<=[.:;?!])\s+|\$\$", in_one_line(p)) for p in text.split("\n\n"))
    return {part.strip(" *()") for paragraph in parts for part in paragraph if len(part) > 20}


def lines_of_bodies():
    """The lines that stubs leave out and that compute something, and the formulas in them."""
    lines, formulas = set(), set()
    for part in PARTS:
        source = read(part.file)
        for node in (n for s in split(find(source, part.name))[1] for n in ast.walk(s)):
            if isinstance(node, ast.stmt):
                lines.add(source.splitlines()[node.lineno - 1].split("  #")[0].strip())
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
                formulas.add(ast.get_source_segment(source, node.value))
    return {line for line in lines if COMPUTES.search(line)}, formulas


def cleared(contents):
    """The sentences of texts, docstrings and comments that the starter has not where they stood."""
    ours = {cell.id: cell for cell in nbformat.reads(contents[NOTEBOOK], as_version=4).cells}
    for cell in nbformat.read(ROOT / NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "markdown":
            yield from sentences(cell.source) - sentences(ours.get(cell.id, {}).get("source", ""))
    for file, name in [*((part.file, part.name) for part in PARTS), *starter.DOCSTRINGS]:
        both = [find(text, name) for text in (read(file), contents[file].decode())]
        before, after = (sentences(ast.get_docstring(node) or "") for node in both)
        yield from before - after
        if (file, name) not in starter.DOCSTRINGS:
            body = read(file).splitlines()[both[0].lineno : both[0].end_lineno]
            yield from re.findall(r"(?<!\S)# (.{25,})", "\n".join(body))


def leaks(contents, lines, sentences):
    """Find what was cleared in one place and stands in another."""
    found = []
    for name, text in texts(contents):
        whole, words = {s.split("  #")[0].strip() for s in text.splitlines()}, in_one_line(text)
        found += [(name, s) for s in (*lines & whole, *[s for s in sentences if s in words])]
    return found


@pytest.fixture(scope="module")
def sought(contents):
    """Lines, and sentences and formulas."""
    lines, formulas = lines_of_bodies()
    return lines, formulas | set(cleared(contents))


def test_nothing_that_was_cleared_stands_elsewhere(contents, sought):
    assert len(sought[0]) > 60
    assert len(sought[1]) > 400
    assert leaks(contents, *sought) == []
    # In other words, where it had stood.
    told = "stays first|no e^x|Subtracting m|gains [$].lambda W|correlate2d|dL/dW.T|saturat"
    assert [name for name, text in texts(contents) if re.search(told, text)] == []


SENTENCE = "all outputs share the loss, and $W_{jk}$ occurs in $z_j$ only, multiplied by $h_k$."
PLANTS = [
    ("README.md", SENTENCE.replace(" only", "\nonly")),
    ("a.py", "# One term of the sum is 1; log1p of\n# the others keeps the digits of a small loss"),
    ("tests/test_a.py", "    out = x.reshape(len(x), len(w)) @ w  # so\n"),
    (NOTEBOOK, json.dumps({"cells": [{"outputs": [new_output("stream", text=SENTENCE)]}]})),
    (NOTEBOOK, json.dumps({"cells": [{"metadata": {"notes": [SENTENCE]}}]})),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), PLANTS)
def test_a_planted_answer_is_found(name, text, sought):
    assert leaks({name: text.encode()}, *sought)


# ------------------------------------------------------------------------------------- the modules


def without(source, name):
    """The source with a function's lines in one."""
    lines, node = source.splitlines(), find(source, name)
    lines[node.lineno - 1 : end(lines, node)] = [f"{' ' * node.col_offset}{node.name} = 0"]
    return "\n".join(lines)


def test_files_differ_in_the_parts_and_in_docstrings_alone(contents):
    for file in FILES:
        ours, solution = contents[file].decode(), read(file)
        assert ours != solution
        for other, name in [*((part.file, part.name) for part in PARTS), *starter.DOCSTRINGS]:
            if other == file:
                ours, solution = without(ours, name), without(solution, name)
        assert ours == solution


def test_stubs_keep_signatures_docstrings_and_checks(contents):
    for number, part in enumerate(PARTS):
        text = contents[part.file].decode()
        solution, ours = find(read(part.file), part.name), find(text, part.name)
        assert ast.dump(ours.args) == ast.dump(solution.args)
        assert ast.get_docstring(ours) == (part.docstring or ast.get_docstring(solution))
        assert ast.unparse(ours.body[-1]) == f"raise NotImplementedError('{TODO[number]}')"
        assert max(map(len, text.splitlines())) <= 100


SOURCE = """class A:
    def f(self, x):
        "Doc."
        a, b = x
        x = as_floats("f", x=x)
        y = [as_sizes(v) for v in x]
        if not y:
            raise ValueError("none")
        # how
        return x + 1
        # because
      # so
    # of A
"""


def test_stub_of_a_small_module():
    part = PARTS[0]._replace(name="A.f", file="a.py", task="x " * 50, docstring="One.\n\nTwo.")
    checks = SOURCE.split('"Doc."\n')[1].split("        # how")[0]
    made = stub(SOURCE, part, 7)
    assert f'        """One.\n\n        Two.\n        """\n{checks}        # TODO: x x' in made
    end_of_stub = re.compile(r"        # x[^#]*pytest -k A\.f\"\n        \)\n    # of A\n")
    assert end_of_stub.fullmatch(made, made.index("        # x"))
    with pytest.raises(ValueError, match=r"A\.z"):
        find(SOURCE, "A.z")


# ---------------------------------------------------------------------------------------- the rest


def test_what_is_left_out_and_what_is_whole(contents, tmp_path, monkeypatch):
    assert {n for n in contents if n.startswith("course/")} == set(starter.HAND_IN)
    changed = {*FILES, *(file for file, _ in starter.DOCSTRINGS)}
    for name in files(ROOT, ("*.py", "fast/*.py", "support/*.py")):
        assert (contents[name] == (ROOT / name).read_bytes()) == (name not in changed)
    for name, text in texts(contents):
        if name.endswith(".py"):
            compile(text, name, "exec")
        assert "leaderboard/" not in text or not name.endswith(".md"), name
    packages = set(re.findall(r"(?m)^[\w-]+", contents["requirements.txt"].decode()))
    assert {"numpy", "pypandoc-binary", "typst", "jupyterlab", "pytest"} <= packages
    assert not {"ruff", "pypdf"} & packages
    starter.main(["--out", str(tmp_path / "starter.zip")])
    assert (tmp_path / "starter.zip").read_bytes() == pack(contents)
    monkeypatch.setattr(starter, "make_starter", dict)
    with pytest.raises(SystemExit, match=r"^starter: .*No such file"):
        starter.main(["--out", str(tmp_path / "none" / "starter.zip")])


# --------------------------------------------------------------------- tests and notebook, executed


def run_pytest(folder, *arguments):
    """The output of pytest in the starter, and (passed, skipped)."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    return done.stdout, counts.get("passed", 0), counts.get("skipped", 0)


def write(folder, number):
    """Write the first functions of the assignment, as many as number says: none of them a stub."""
    for file in FILES:
        source = read(file)
        for later, part in enumerate(PARTS[number:], start=number + 1):
            source = stub(source, part, later) if part.file == file else source
        (folder / file).write_text(source, encoding="utf-8")


def test_tests_turn_green_one_after_the_other(folder):
    """With and without the functions of the assignment; only a few of the tests, for the time."""
    chosen = ["layers.py", "optim.py", "tests", "-k", "fc_ or relu or sgd"]
    command = [*chosen[:3], *TODO[0].split("pytest ")[1].split()]
    output, before, waiting = run_pytest(folder, *chosen)
    assert [line for line in output.splitlines() if line.startswith("TODO")] == LISTED
    write(folder, 2)
    output, passed, still_waiting = run_pytest(folder, *command)
    assert LISTED[1] not in output
    assert LISTED[2] in output
    assert passed > still_waiting == 0
    write(folder, len(PARTS))
    output, after, still_waiting = run_pytest(folder, *chosen)
    assert "TODO" not in output
    assert (after, still_waiting) == (before + waiting, 0)
    assert waiting > passed
    source = read("layers.py", folder)
    (folder / "layers.py").write_text(source.replace("out += b", "out -= b"), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"FAILED .*fc_forward"):
        run_pytest(folder, *command)


@pytest.mark.slow
def test_all_tests_pass_or_wait(folder):
    assert min(run_pytest(folder)[1:]) > 5


def client(folder, **options):
    """The starter's notebook and what executes it, on the sample of the data; its environment."""
    notebook = nbformat.read(folder / NOTEBOOK, as_version=4)
    (folder / "data").mkdir(exist_ok=True)
    shutil.copy(SAMPLE, folder / "data/mnist.npz")
    run = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **options)
    return run, {**os.environ, "MNIST_DIR": str(folder / "data")}


@pytest.mark.slow
@pytest.mark.sample
def test_hand_in_of_a_starter_in_which_nothing_is_written(folder):
    run, environment = client(folder, timeout=300, allow_errors=True)
    run.execute(env=environment)
    nbformat.write(run.nb, folder / NOTEBOOK)
    outputs = (output for cell in run.nb.cells for output in cell.get("outputs", []))
    assert next(o.evalue for o in outputs if o.output_type == "error") == TODO[0]
    open_questions = unanswered(run.nb)
    assert open_questions[:2] == ["1.1.1 Fully-connected (fc) layer", "The same for a minibatch:"]
    assert len(open_questions) >= 30
    command = [sys.executable, "-m", "course.writeup", "--name", "Ada"]
    said = subprocess.check_output(command, cwd=folder, text=True, timeout=300)
    assert said == "hand_in: code.zip, writeup.pdf\n"
    title = " ".join(PdfReader(folder / "hand_in/writeup.pdf").pages[0].extract_text().split())
    assert all(" ".join(text.split()) in title for text in ("Ada", *open_questions[:9], LISTED[8]))


@pytest.mark.slow
@pytest.mark.sample
def test_a_way_through_the_notebook_in_one_kernel(folder):
    """Each stop names the next function; once it is written, without a restart, the cell runs."""
    (run, environment), stops = client(folder, timeout=600), []
    solution = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    answers = {c.id: c.source for c in solution.cells if "solution" in c.metadata.get("tags", [])}
    with run.setup_kernel(env=environment):
        for index, cell in enumerate(run.nb.cells):
            if "TODO: final" in cell.source:
                break
            cell.source = answers.get(cell.id, cell.source)
            while cell.cell_type == "code":
                try:
                    run.execute_cell(cell, index)
                    break
                except CellExecutionError as error:
                    stops.append(error.evalue)
                    write(folder, TODO.index(error.evalue) + 1)
    assert stops == [text for text in TODO if "input_grad" not in text and "ConvNet" not in text]


COLAB = """
import os, sys, types
from IPython.core.interactiveshell import InteractiveShell
colab, done = types.ModuleType("google.colab"), []
colab.drive = types.SimpleNamespace(mount=done.append)
sys.modules |= {"google": types.ModuleType("google"), "google.colab": colab}
shell = InteractiveShell.instance()
os.chdir = shell.system = done.append
shell.run_cell(open("cell").read()).raise_error()
print(*done, sys.path[0] == os.getcwd(), "autoreload" in shell.magics_manager.magics["line"])
"""


def test_set_up_cell(contents, folder):
    [cell] = [c for c in json.loads(contents[NOTEBOOK])["cells"] if c["id"] == "set-up"]
    (folder / "cell").write_text("".join(cell["source"]), encoding="utf-8")
    options = {"cwd": folder, "text": True}
    done = subprocess.check_output([sys.executable, "-c", COLAB], **options)
    pattern = r"/content/drive /content/drive/MyDrive/starter (.*) \| (.*)\n"
    grep, install = re.fullmatch(pattern, done).groups()
    assert install == "pip install -q -r /dev/stdin True True"
    kept = subprocess.check_output(["bash", "-c", grep], **options)
    found = re.findall("(?m)^(numpy|optuna|typst|jupyterlab|ipy)", kept)
    assert found == ["numpy", "optuna", "typst"]


# ------------------------------------------------------------------------------ cells of a notebook


def cell(source, make=new_markdown_cell, tags=(), attachments=None, **given):
    metadata = {"tags": list(tags), **({"starter": given} if given else {})}
    return make(source, metadata=metadata, **({"attachments": attachments} if attachments else {}))


def made(*cells):
    return starter.make_notebook(new_notebook(cells=list(cells))).cells


SOLVED = {"make": new_code_cell, "tags": ["solution"]}
TODO_X = '# TODO: x = ...\nraise NotImplementedError("TODO: x, your answer")'
MAGICS = "x?\n!ls\nif True:\n    %time f()\ny = !ls\nx = f(1,\n  2)\nawait x\nf??\nx = 2"
TEXT = "## A\n\n*Why $a*b$?*\n\n"


TAGGED = [
    (cell("# Title\n\nText."), "# Title\n\nText."),
    (cell(TEXT + "So.\n\n**Figure 1.** C.\n\n*So* it *is*", tags=["answer"]),
     f"{TEXT}{PLACE}\n\n**Figure 1.** C."),
    (cell("Because.", tags=["answer"], text="Why?"), f"Why?\n\n{PLACE}"),
    (cell("x = 1", **SOLVED, text="x = ..."), "x = ..."),
    (cell("\n%time\nx = f(1,\n  2)\nx", **SOLVED, todo=["x"]), f"%time\n{TODO_X}\nx"),
    (cell(MAGICS, **SOLVED, todo=["x"]),
     MAGICS.replace("x = f(1,\n  2)", TODO_X).replace("x = 2", TODO_X)),
    (cell("%%bash\nif x; then import; fi", new_code_cell), "%%bash\nif x; then import; fi"),
    (cell("\\LaTeX {", new_raw_cell), "\\LaTeX {"),
    (cell("because", new_raw_cell, ["answer"]), PLACE),
    (cell("import numpy, course.sources", new_code_cell), "import numpy, course.sources"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), TAGGED)
def test_tags(given, expected):
    [made_cell] = made(given)
    assert made_cell.source == expected
    nbformat.validate(new_notebook(cells=[made_cell]))
    assert set(made_cell.metadata) <= {"tags"}


def test_sections_for_instructors():
    cells = [
        cell("## Extra", tags=["instructor"]), cell("### More"), cell("import a", new_code_cell),
        cell("## B"), cell("one cell", tags=["instructor"]), cell("C"),
    ]  # fmt: skip
    assert [c.source for c in made(*cells)] == ["## B", "C"]


PICTURE, ATTACHED = "![a](attachment:a%20b.png)", {"a b.png": {"image/png": "AAAA"}}


@pytest.mark.parametrize(("source", "tags"), [(PICTURE, ["answer"]), (PICTURE, []), ("So.", [])])
def test_pictures_stay_where_they_are_shown(source, tags):
    [made_cell] = made(cell(source, tags=tags, attachments=ATTACHED))
    assert made_cell.get("attachments") == (ATTACHED if made_cell.source == PICTURE else None)


BAD_CELLS = [
    (cell("import numpy as np, leaderboard.augment", new_code_cell), "leaderboard.augment"),
    (cell("from course.parts import PARTS", new_code_cell), "course.parts"),
    (cell("x = 1", **SOLVED, todo=["y"]), "'y'"),
    (cell("%%time\ny = 1", **SOLVED, todo=["y"]), "'y'"),
    (cell("x", texts=["x"]), "'texts'"), (cell("x = = 1", new_code_cell), "invalid syntax"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "message"), BAD_CELLS)
def test_cells_that_do_not_fit_are_named(bad, message):
    with pytest.raises(ValueError, match=f"{NOTEBOOK}: cell .*{message}"):
        made(bad)
