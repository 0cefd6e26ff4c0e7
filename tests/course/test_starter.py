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
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course import starter
from course.archive import pack
from course.parts import PARTS, POINTS
from course.sources import NOTEBOOK, ROOT
from course.stubs import find, message, restore, split, stub, without
from data_utils import SAMPLE

TODO = [message(part, number) for number, part in enumerate(PARTS, start=1)]


@pytest.fixture(scope="module")
def contents():
    return starter.make_starter()


@pytest.fixture
def folder(contents, tmp_path):
    """The starter, unpacked."""
    with zipfile.ZipFile(io.BytesIO(pack(contents))) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def texts(contents):
    """The texts of the starter by name; of the notebook, what its cells say."""
    for name, content in contents.items():
        if name == NOTEBOOK:
            cells = json.loads(content)["cells"]
            yield name, "\n".join("".join(cell["source"]) for cell in cells)
        elif not name.endswith((".npz", "/")):
            yield name, content.decode("utf-8")


def is_trivial(statement):
    """Whether a statement, of a compound one its first line, computes nothing.

    It may name, unpack, return, test for None and look at a shape; every operator, every other
    index and every call is a computation, but for the one that only silences warnings.
    """
    header = [n for n in ast.iter_child_nodes(statement) if not isinstance(n, ast.stmt)]
    for node in (n for part in header for n in ast.walk(part)):
        if isinstance(node, ast.BinOp | ast.UnaryOp):
            return False
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is):
            return False
        if isinstance(node, ast.Subscript) and not ast.unparse(node.value).endswith(".shape"):
            return False
        if isinstance(node, ast.Call) and ast.unparse(node.func) != "np.errstate":
            return False
    return not isinstance(statement, ast.AugAssign)


def removed(root=ROOT):
    """What stubs leave out and is not trivial: (part, line, False) or (part, formula, True)."""
    for part in PARTS:
        source = (root / part.file).read_text(encoding="utf-8")
        for statement in split(find(source, part.name))[1]:
            for node in ast.walk(statement):
                if isinstance(node, ast.stmt) and not is_trivial(node):
                    line = source.splitlines()[node.lineno - 1].split("  #")[0].strip()
                    yield part.name, line, False
                    value = getattr(node, "value", None)
                    if isinstance(node, ast.Assign) and isinstance(value, ast.BinOp):
                        yield part.name, ast.get_source_segment(source, value), True


def test_parts_are_functions_that_exist():
    assert POINTS == 100
    assert len({part.name for part in PARTS}) == len(PARTS)
    for part in PARTS:
        _, left_out = split(find((ROOT / part.file).read_text(encoding="utf-8"), part.name))
        assert left_out, part


@pytest.mark.parametrize("file", sorted({part.file for part in PARTS}))
def test_pasting_the_bodies_back_gives_the_solution(file, contents):
    solution = (ROOT / file).read_bytes()
    assert contents[file] != solution
    names = [part.name for part in PARTS if part.file == file]
    pasted = restore(contents[file].decode("utf-8"), solution.decode("utf-8"), names)
    assert pasted.encode("utf-8") == solution


def test_no_line_of_a_body_is_left(contents):
    lines = set(removed())
    assert len({part for part, *_ in lines}) == len(PARTS)
    assert len(lines) > 60
    for name, text in texts(contents):
        whole = {line.split("  #")[0].strip() for line in text.splitlines()}
        for part, line, is_formula in lines:
            assert line not in whole, f"{name} holds {line!r} of {part}"
            assert not (is_formula and line in text), f"{name} holds {line!r} of {part}"


def test_stubs_keep_signatures_docstrings_and_checks(contents):
    for number, part in enumerate(PARTS, start=1):
        solution = find((ROOT / part.file).read_text(encoding="utf-8"), part.name)
        ours = find(contents[part.file].decode("utf-8"), part.name)
        assert ast.dump(ours.args) == ast.dump(solution.args)
        if not part.docstring:
            assert ast.get_docstring(ours) == ast.get_docstring(solution)
        else:
            assert ast.get_docstring(ours) == part.docstring
        assert ast.unparse(ours.body[-1]) == f"raise NotImplementedError('{TODO[number - 1]}')"
        text = contents[part.file].decode("utf-8")
        assert max(map(len, text.splitlines())) <= 100


def test_what_is_left_out_and_what_is_whole(contents):
    assert not [n for n in contents if n.startswith(("course/", "leaderboard/", "hand_in/"))]
    assert not [n for n in contents if n.startswith("datasets/") and n.endswith((".csv", "ubyte"))]
    changed = {part.file for part in PARTS}
    for name in ("solver.py", "optim.py", "support/checks.py", "datasets/README.md"):
        assert contents[name] == (ROOT / name).read_bytes()
    for path in [*ROOT.glob("*.py"), *ROOT.glob("support/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        assert (contents[name] == path.read_bytes()) == (name not in changed)
    for name, text in texts(contents):
        assert not re.search(r"^\s*(from|import) (course|leaderboard)\b", text, re.M), name
        if name.endswith(".py"):
            compile(text, name, "exec")
    readme = contents["README.md"].decode("utf-8")
    assert all(f"`{part.name}`" in readme for part in PARTS)


def test_same_sources_give_the_same_bytes(contents, tmp_path):
    for name in "ab":
        starter.main(["--out", str(tmp_path / name)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == pack(contents)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^starter: .*No such file"):
        starter.main(["--out", str(tmp_path / "none" / "starter.zip")])


def run_pytest(folder, *arguments):
    """The output of pytest in the starter, and (passed, skipped)."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|skipped)", done.stdout)}
    return done.stdout, (counts.get("passed", 0), counts.get("skipped", 0))


def write(folder, number):
    """Write the first functions of the assignment, as many as number says."""
    for file in {part.file for part in PARTS}:
        names = [part.name for part in PARTS[:number] if part.file == file]
        solution = (ROOT / file).read_text(encoding="utf-8")
        text = restore((folder / file).read_text(encoding="utf-8"), solution, names)
        (folder / file).write_text(text, encoding="utf-8")


def test_tests_turn_green_one_after_the_other(folder):
    """With and without the functions of the assignment; only a few of the tests, for the time."""
    files = ["layers.py", "optim.py", "tests/test_layers.py", "tests/test_conv_net.py"]
    chosen = [*files, "-k", "hand or layers.s or optim. or several or extreme"]
    output, before = run_pytest(folder, *chosen)
    listed = [line.split("  (")[0] for line in output.splitlines() if line.startswith("TODO")]
    assert listed == TODO
    assert len(output.splitlines()) < len(TODO) + 10
    write(folder, 2)
    output, middle = run_pytest(folder, *chosen)
    assert TODO[1] not in output
    assert TODO[2] in output
    write(folder, len(PARTS))
    output, after = run_pytest(folder, *chosen)
    assert "TODO" not in output
    assert before[0] < middle[0] < after[0]
    assert before[0] > 0
    assert after[1] == 0


def test_a_wrong_function_fails(folder):
    write(folder, 2)
    source = (folder / "layers.py").read_text(encoding="utf-8")
    assert "sum(axis=0)" in source
    (folder / "layers.py").write_text(source.replace("sum(axis=0)", "sum(axis=-1)"), "utf-8")
    with pytest.raises(AssertionError, match=r"FAILED .*::test_fc_by_hand"):
        run_pytest(folder, "tests/test_layers.py", "-k", "hand")


@pytest.mark.slow
def test_all_tests_pass_or_wait(folder):
    _, (passed, skipped) = run_pytest(folder)
    assert passed > 500
    assert skipped > 100


def executed(folder):
    """Execute the starter's notebook; the error in which it ends."""
    notebook = nbformat.read(folder / NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, timeout=300)
    data = folder / "data"
    data.mkdir(exist_ok=True)
    shutil.copy(SAMPLE, data / "mnist.npz")
    with pytest.raises(CellExecutionError) as error:
        client.execute(env={**os.environ, "MNIST_DIR": str(data)})
    return error.value.evalue


@pytest.mark.sample
def test_notebook_runs_to_the_first_function(folder):
    assert executed(folder) == TODO[0]


@pytest.mark.slow
@pytest.mark.sample
def test_notebook_runs_to_the_first_answer_in_code(folder):
    write(folder, len(PARTS))
    assert executed(folder) == "TODO: mask, your answer"


def test_answers_are_left_out_of_the_notebook(contents):
    ours = dict(texts(contents))[NOTEBOOK]
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    answers = [c for c in notebook.cells if "answer" in c.metadata.get("tags", [])]
    assert ours.count(starter.PLACE) == len(answers) > 20
    for cell in answers:
        keep = tuple(cell.metadata.get("starter", {}).get("keep", ()))
        for line in cell.source.split("\n"):
            is_kept = keep and line.startswith(keep)
            if len(line) > 80 and not line.startswith("*") and not is_kept:
                assert line not in ours
    for name in ("EDGE", "mask"):
        assert f"\n{name} = " not in ours
    written = nbformat.reads(contents[NOTEBOOK].decode("utf-8"), as_version=4)
    nbformat.validate(written)
    assert "widgets" not in written.metadata
    for cell in written.cells:
        assert set(cell.metadata) <= {"tags"}
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def cell(source, make=new_markdown_cell, tags=(), **given):
    return make(source, metadata={"tags": list(tags), **({"starter": given} if given else {})})


def sources(*cells):
    return [c.source for c in starter.make_notebook(new_notebook(cells=list(cells))).cells]


def test_tags():
    assert sources(
        cell("# Title\n\nText."),
        cell("## A\n\n*Why?*\n\nBecause.\n\n**Now.** Go on.", tags=["answer"], keep=["**Now.**"]),
        cell("Because.", tags=["answer"], text="Why?"),
        cell("It is so.", text="Is it so?"),
        cell("%time\nx = f(1,\n  2)\nprint(x)", new_code_cell, ["solution"], todo=["x"]),
        cell("x = 1", new_code_cell, ["solution"], text="x = ..."),
        cell("## Extra", tags=["instructor"]),
        cell("### More"),
        cell("import course", new_code_cell),
        cell("## B"),
        cell("one cell", tags=["instructor"]),
        cell("import numpy", new_code_cell),
    ) == [
        "# Title\n\nText.",
        "## A\n\n*Why?*\n\n**Now.** Go on.\n\n*Your answer:*",
        "Why?\n\n*Your answer:*",
        "Is it so?",
        '%time\n# TODO: x = ...\nraise NotImplementedError("TODO: x, your answer")\nprint(x)',
        "x = ...",
        "## B",
        "import numpy",
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (cell("import numpy as np, leaderboard.augment", new_code_cell), "imports leaderboard"),
        (cell("from course.sources import files", new_code_cell), "imports course"),
        (cell("# A\n\nB", keep=["C"]), "no paragraph begins with 'C'"),
        (cell("x = 1", new_code_cell, ["solution"], todo=["y"]), r"assigns to none of \['y'\]"),
        (cell("x = 1", new_code_cell, ["solution"]), "assigns to none of None"),
        (cell("x", keeps=["x"]), r"unknown entries \['keeps'\]"),
    ],
)
def test_tags_that_do_not_fit_are_named(bad, message):
    with pytest.raises(ValueError, match=f"{NOTEBOOK}: cell .*{message}"):
        sources(bad)


SOURCE = '''import math
from a import f, g


class A:
    @property
    def h(self):
        return 1


# of f
@decorated(f)
def f(x):
    """Doc."""
    a, b = x
    x = as_floats("f", x=x)
    y = [as_sizes(v) for v in x]
    if not y:
        raise ValueError("none")
    # how
    return x + 1


def k():
    return f(1)
'''


def test_stub_of_a_small_module():
    part = PARTS[0]._replace(name="f", file="a.py", task="x " * 60, docstring="One.\n\nTwo.")
    stubbed = stub(SOURCE, part, 7)
    assert restore(stubbed, SOURCE, ["f"]) == SOURCE
    assert stubbed.split("def f(x):\n")[1] == (
        '    """One.\n\n    Two.\n    """\n    a, b = x\n    x = as_floats("f", x=x)\n'
        '    y = [as_sizes(v) for v in x]\n    if not y:\n        raise ValueError("none")\n'
        f"    # TODO: {'x ' * 43}x\n    # {'x ' * 15}x\n"
        '    raise NotImplementedError("TODO 7: write f in a.py")\n\n\ndef k():\n    return f(1)\n'
    )
    method = stub(SOURCE, part._replace(name="A.h", docstring="", task="1"), 8)
    assert '        # TODO: 1\n        raise NotImplementedError("TODO 8: write A.h' in method
    assert restore(method, SOURCE, ["A.h"]) == SOURCE
    for name in ("z", "A.z"):
        with pytest.raises(ValueError, match=f"expected one definition of {name}, found 0"):
            find(SOURCE, name)


def test_without_a_definition_goes_what_uses_it():
    assert without(SOURCE, ["f"]).splitlines() == [
        "import math", "class A:", "    @property", "    def h(self):", "        return 1",
        "", "", "# of f",
    ]  # fmt: skip
