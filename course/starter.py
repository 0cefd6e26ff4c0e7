"""The starter: the project as students get it, made from the solution.

    python -m course.starter --out starter.zip

The functions that ``parts.py`` lists are stubs, the notebook has places for answers, and what would
give either away is left out. ``course/README.md`` says which tags of cells decide on the notebook.
"""

import argparse
import ast
import gzip
import importlib
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from course.archive import pack, save
from course.parts import NUMPY, PARTS
from course.sources import NOTEBOOK, PLACE, ROOT, cell_name, files
from course.starter_tests.asked import Code, only
from course.starter_tests.isolation import pack as pack_values
from course.starter_tests.questions import CHECKS, generator
from course.stubs import document, stub

HERE = Path(__file__).parent
LEFT_OUT = ("course", "leaderboard")  # folders, but for what makes the hand-in
HAND_IN = (
    "course/__init__.py", "course/archive.py", "course/document.py", "course/hand_in.md",
    "course/pdf.py", "course/sources.py", "course/symbols.typ", "course/writeup.py",
    "course/writeup.typ",
)  # fmt: skip
FILES = (
    *HAND_IN, "*.py", "fast/*.py", "support/*.py", "datasets/README.md", "datasets/make_sample.py",
    "datasets/mnist_sample.npz", "pyproject.toml", "tests/conftest.py", "tests/helpers.py",
)  # fmt: skip
TESTS = "course/starter_tests/*.*"  # which ask what the autograder asks
# Docstrings of functions that stay whole, where their own hold the answer to a question.
DOCSTRINGS = {
    ("conv.py", "conv_backward"): "Gradients of `conv_forward`: dx, dw, db, by matrix products.",
    ("conv.py", "max_pool_backward"): "As `max_pool_backward_naive`, slice by slice.",
    ("fast/winograd.py", "backward"): "dimage (H, C, W, N), None unless need_dx, and dw.",
}
TOOLS = ("jupyterlab", "nbconvert", "ipykernel", "ipywidgets", "pytest")  # no file imports them
ANSWER, SOLUTION, INSTRUCTOR = "answer", "solution", "instructor"  # tags of cells
KEPT = re.compile(r"#+ .*|\*(\$[^$]+\$|[^*$])+\*")  # headings, and questions in italics
CAPTION = re.compile(r"\*\*(Figure|Table) \d+\.\*\*")


def make_starter(root=ROOT):
    """Return the contents of the starter, bytes by name."""
    contents = {name: (root / name).read_bytes() for name in files(root, FILES)}
    for name in files(root, (TESTS,)):
        contents[f"tests/{Path(name).name}"] = (root / name).read_bytes()
    # Students run few tests at a time, without pytest-xdist.
    contents["pyproject.toml"] = contents["pyproject.toml"].replace(b"-n auto ", b"")
    for number, part in enumerate(PARTS, start=1):
        contents[part.file] = stub(contents[part.file].decode(), part, number).encode()
    for (file, name), text in DOCSTRINGS.items():
        contents[file] = document(contents[file].decode(), name, text).encode()
    notebook = make_notebook(nbformat.read(root / NOTEBOOK, as_version=4))
    set_up = (HERE / "starter_cell.ipy").read_text(encoding="utf-8").strip()
    notebook.cells.insert(1, nbformat.v4.new_code_cell(set_up, id="set-up"))
    trees = [ast.parse(content) for name, content in contents.items() if name.endswith(".py")]
    trees += [_tree(c.source)[0] for c in notebook.cells if c.cell_type == "code"]
    imported = {name.split(".")[0] for tree in trees for name in _imported(tree)}
    packages = (root / "requirements.txt").read_text(encoding="utf-8")
    hand_in = (HERE / "hand_in.md").read_text(encoding="utf-8")
    texts = {
        NOTEBOOK: nbformat.writes(notebook),
        "requirements.txt": _requirements(packages, imported),
        "conftest.py": (HERE / "starter_conftest.py").read_text(encoding="utf-8"),
        "README.md": _readme(),
        "course/hand_in.md": re.sub("(?m)^.*`leaderboard/`.*\n", "", hand_in),
    }
    # What the starter's tests compare with; the folder where the notebook saves a picture.
    others = {"tests/expected.json.gz": _expected(), "benchmarks/": b""}
    return contents | {name: text.encode() for name, text in texts.items()} | others


def _expected():
    """Return the right answers to the questions of the tests, by part and check."""
    code, answers = Code(importlib.import_module), {part: [] for part in CHECKS}
    for part, checks in CHECKS.items():
        for number, check in enumerate(checks):
            rng = generator(part, number)
            answers[part].append([only(check.only, code(*ask(rng))) for ask in check.questions])
    return gzip.compress(pack_values(answers), mtime=0)


def _requirements(text, imported):
    """Return the lines of requirements that are titles, or for tools and imported packages."""
    lines = re.sub(r"(?m)^numpy\b[^#\n]*", f"{NUMPY}  ", text).splitlines(keepends=True)
    names = [re.match(r"[\w-]*", line)[0].removesuffix("-binary") for line in lines]
    wanted = {*TOOLS, *imported, ""}
    return "".join(line for line, name in zip(lines, names, strict=True) if name in wanted)


def _imported(tree):
    """Return the names of the modules that a module or a cell imports."""
    nodes = list(ast.walk(tree))
    whole = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return whole | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def make_notebook(notebook):
    """Return the notebook of the starter: no outputs, and no answers where tags say so."""
    cells, level = [], 0
    for cell in notebook.cells:
        heading = re.match("(#+) ", cell.source) if cell.cell_type == "markdown" else None
        if heading and len(heading[1]) <= level:
            level = 0
        if level or INSTRUCTOR in cell.metadata.get("tags", []):
            level = level or (len(heading[1]) if heading else 0)
            continue
        try:
            cells.append(_cell(cell))
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"{NOTEBOOK}: {cell_name(cell)}: {error}") from error
    notebook.cells = cells
    notebook.metadata = {"kernelspec": notebook.metadata.get("kernelspec", {})}
    return notebook


def _cell(cell):
    """Return a cell of the starter. What its metadata has under "starter" goes into it."""
    tags, given = cell.metadata.get("tags", []), cell.metadata.get("starter", {})
    if unknown := set(given) - {"text", "todo"}:
        raise ValueError(f"its metadata has unknown entries {sorted(unknown)}")
    cell.metadata = {"tags": tags} if tags else {}
    if cell.cell_type != "code":
        if given or ANSWER in tags:
            cell.source = _text(cell.source, given.values(), ANSWER in tags)
        attached, shown = cell.pop("attachments", {}), unquote(cell.source)
        if used := {name: a for name, a in attached.items() if f"attachment:{name}" in shown}:
            cell.attachments = used
        return cell
    cell.outputs, cell.execution_count = [], None
    if SOLUTION in tags:
        cell.source = given.get("text") or _without_assignments(cell.source, given.get("todo", []))
    for name in _imported(_tree(cell.source)[0]):
        if name.split(".")[0] in LEFT_OUT and f"{name.replace('.', '/')}.py" not in HAND_IN:
            raise ValueError(f"imports {name}, which students do not get; tag its section")
    return cell


def _text(source, given, is_answer):
    """Return headings and questions of a text, what is given, a place to answer, and captions."""
    paragraphs = source.split("\n\n")
    kept = [paragraph for paragraph in paragraphs if KEPT.fullmatch(paragraph)]
    captions = [paragraph for paragraph in paragraphs if CAPTION.match(paragraph)]
    return "\n\n".join([*kept, *given, *([PLACE] if is_answer else []), *captions])


def _tree(source):
    """Return the syntax tree of a cell as IPython runs it, and its code: commands are calls."""
    code = TransformerManager().transform_cell(source)
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(code, "cell", "exec", flags), code


def _without_assignments(source, names):
    """Return the code of a cell with an error in place of each assignment to one of the names."""
    code, missing, (tree, run) = f"\n{source}\n", set(names), _tree(source)
    lines = run.split("\n")
    for statement in tree.body:
        old = "\n".join(["", *lines[statement.lineno - 1 : statement.end_lineno], ""])
        for target in getattr(statement, "targets", []) if old in code else ():
            if (name := getattr(target, "id", None)) in names:
                missing.discard(name)
                error = f'raise NotImplementedError("TODO: {name}, your answer")'
                code = code.replace(old, f"\n# TODO: {name} = ...\n{error}\n")
    if missing or not names:
        raise ValueError(f"assigns to none of {sorted(missing)}, of which its solution consists")
    return code.strip("\n")


def _readme():
    """Return the README of the starter, with the table of parts."""
    rows = "\n".join(
        f"| {number} | `{part.name}` | `{part.file}` | {part.points or 'not graded'} |"
        for number, part in enumerate(PARTS, start=1)
    )
    return (HERE / "starter.md").read_text(encoding="utf-8").replace("{PARTS}", rows)


def make_zip(name, make, arguments=None):
    """Run the command that writes what ``make()`` returns to a zip file."""
    parser = argparse.ArgumentParser(description=f"Make the {name}, from the solution.")
    parser.add_argument("--out", default=f"{name}.zip", help="file (default: %(default)s)")
    save(name, parser.parse_args(arguments).out, make)


def main(arguments=None):
    make_zip("starter", lambda: pack(make_starter()), arguments)


if __name__ == "__main__":
    main()
