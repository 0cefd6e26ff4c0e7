"""The starter: the project as students get it, made from the solution.

    python -m course.starter --out starter.zip

The functions that ``parts.py`` lists are stubs, the notebook has places for answers, and what would
give either away is left out. ``course/README.md`` says which tags of cells decide on the notebook.
"""

import argparse
import ast
import re
from pathlib import Path

import nbformat

from course.archive import pack, save
from course.grader.recorded import record
from course.parts import PARTS, pinned
from course.sources import NOTEBOOK, ROOT, cell_name, files
from course.stubs import stub, without

HERE = Path(__file__).parent
# What students get. The folder benchmarks is empty: the notebook saves a picture there.
FILES = (
    "*.py", "fast/*.py", "support/*.py", "tests/conftest.py", "tests/helpers.py",
    "datasets/README.md", "datasets/make_sample.py", "datasets/mnist_sample.npz", "pyproject.toml",
)  # fmt: skip
LEFT_OUT = ("course", "leaderboard")  # folders, and with them their tests
TESTS_LEFT_OUT = (
    "tests/test_notebook.py",  # of the executed notebook
    "tests/test_torch.py",  # PyTorch's functions beside those of the assignment
    "tests/test_search.py",  # trains in other processes, whose errors pytest does not see
)
# A second implementation of the networks, and what only it needs; tests that use it go with it.
REFERENCE, NETWORKS, ITS_TABLE = "tests/reference.py", "fc_net_loss", "ACTIVATIONS"
ANSWER, SOLUTION, INSTRUCTOR = "answer", "solution", "instructor"  # tags of cells
PLACE = "*Your answer:*"


def make_starter(root=ROOT):
    """The contents of the starter, bytes by name."""
    contents = {"benchmarks/": b"", "tests/expected.npz": record()}
    for name in files(root, ("course/starter_tests/*.py",)):
        contents[f"tests/{Path(name).name}"] = (root / name).read_bytes()
    for name in files(root, FILES):
        text = (root / name).read_bytes()
        if name.startswith("tests/") and name.endswith(".py"):
            text = _tests(name, text)
        if text is not None and (root / name).is_file():
            contents[name] = text
    for number, part in enumerate(PARTS, start=1):
        source = contents[part.file].decode("utf-8")
        contents[part.file] = stub(source, part, number).encode("utf-8")
    notebook = nbformat.read(root / NOTEBOOK, as_version=4)
    contents[NOTEBOOK] = nbformat.writes(make_notebook(notebook)).encode("utf-8")
    requirements = pinned((root / "requirements.txt").read_text(encoding="utf-8"))
    contents["requirements.txt"] = requirements.encode("utf-8")
    contents["conftest.py"] = (HERE / "starter_conftest.py").read_bytes()
    contents["README.md"] = _readme().encode("utf-8")
    return contents


def _tests(name, text):
    """A file of tests without what gives the answers away; None where it is left out."""
    apart = name in TESTS_LEFT_OUT or name.startswith(tuple(f"tests/{f}/" for f in LEFT_OUT))
    if apart or _imported(ast.parse(text)) & set(LEFT_OUT):
        return None
    names = (NETWORKS, ITS_TABLE) if name == REFERENCE else (NETWORKS,)
    return without(text.decode("utf-8"), names).encode("utf-8")


def _imported(tree):
    """The first parts of the names that a module or a cell imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return names


def make_notebook(notebook):
    """The notebook of the starter: no outputs, and no answers where tags of its cells say so."""
    cells, level = [], 0
    for cell in notebook.cells:
        heading = re.match("(#+) ", cell.source) if cell.cell_type == "markdown" else None
        if heading and len(heading[1]) <= level:
            level = 0
        tags = cell.metadata.get("tags", [])
        if level or INSTRUCTOR in tags:
            level = level or (len(heading[1]) if heading else 0)
            continue
        try:
            cells.append(_cell(cell, tags))
        except ValueError as error:
            raise ValueError(f"{NOTEBOOK}: {cell_name(cell)}: {error}") from error
    notebook.cells = cells
    notebook.metadata.pop("widgets", None)
    return notebook


def _cell(cell, tags):
    """A cell of the starter. What stands in its metadata under "starter" goes into it."""
    given = cell.metadata.pop("starter", {})
    if unknown := set(given) - {"text", "keep", "todo"}:
        raise ValueError(f"its metadata has unknown entries {sorted(unknown)}")
    cell.metadata.pop("execution", None)
    if cell.cell_type == "markdown":
        if given or ANSWER in tags:
            cell.source = _text(cell.source, given, ANSWER in tags)
        return cell
    cell.outputs, cell.execution_count = [], None
    if SOLUTION in tags:
        cell.source = given.get("text") or _without_assignments(cell.source, given.get("todo"))
    if lost := _imported(_parse(cell.source)) & set(LEFT_OUT):
        raise ValueError(f"imports {', '.join(lost)}, which students do not get; tag its section")
    return cell


def _text(source, given, is_answer):
    """Headings and questions in italics of a text, what is given for it, and a place to answer."""
    keep = given.get("keep", [])
    parts = []
    for paragraph in source.split("\n\n"):
        is_question = re.fullmatch(r"\*[^*\s](.|\n)*[^*]\*", paragraph)
        if paragraph.startswith(("# ", "## ")) or is_question:
            parts.append(paragraph)
        elif any(map(paragraph.startswith, keep)):
            keep = [start for start in keep if not paragraph.startswith(start)]
            parts.append(paragraph)
    if keep:
        raise ValueError(f"no paragraph begins with {keep[0]!r}")
    parts += [given["text"]] if "text" in given else []
    return "\n\n".join([*parts, *([PLACE] if is_answer else [])])


def _parse(source):
    """The syntax tree of a cell, whose lines of IPython's count as blank."""
    lines = ["" if line.startswith(("%", "!")) else line for line in source.split("\n")]
    return ast.parse("\n".join(lines))


def _without_assignments(source, names):
    """The code of a cell with an error in place of each assignment to one of the names."""
    lines = source.split("\n")
    for statement in reversed(_parse(source).body):
        targets = {getattr(t, "id", "") for t in getattr(statement, "targets", [])}
        if found := targets & set(names or ()):
            [name] = found
            names = [n for n in names if n != name]
            error = f'raise NotImplementedError("TODO: {name}, your answer")'
            lines[statement.lineno - 1 : statement.end_lineno] = [f"# TODO: {name} = ...", error]
    if names is None or names:
        raise ValueError(f"assigns to none of {names}, which its metadata names as its solution")
    return "\n".join(lines)


def _readme():
    """The README of the starter, with the table of parts."""
    rows = "\n".join(
        f"| {number} | `{part.name}` | `{part.file}` | {part.points or 'not graded'} |"
        for number, part in enumerate(PARTS, start=1)
    )
    return (HERE / "starter.md").read_text(encoding="utf-8").replace("{PARTS}", rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the starter that students get.")
    parser.add_argument("--out", default="starter.zip", help="file (default: %(default)s)")
    out = parser.parse_args(arguments).out
    save("starter", out, lambda: pack(make_starter()))


if __name__ == "__main__":
    main()
