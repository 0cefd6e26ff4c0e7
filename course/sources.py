"""Which files the project consists of, and whether they are those that a notebook ran and wrote."""

import hashlib
import re
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from IPython import get_ipython
from IPython.display import display

from data_utils import read_submission

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "starter_code.ipynb"
SUBMISSION = "submission.csv"
# The modules beside the notebook: the appendix of the write-up lists them.
LISTED = ("*.py",)
# Those that it runs, and what they draw on.
MODULES = (*LISTED, "fast/*.py", "support/*.py", "leaderboard/*.py")
# What a notebook can report on: those modules, and the measurements that it shows.
REPORTED = (*MODULES, "leaderboard/*.csv")
# All code.
SOURCES = (*MODULES, "course/**/*.py", "tests/**/*.py", "benchmarks/*.py", "datasets/*.py")
# Everything that the archive of the code holds.
ARCHIVE = (
    *SOURCES, "README.md", "*/README.md", "*.toml", "requirements.txt", "benchmarks/*.txt",
    "benchmarks/*.png", "leaderboard/*.png", "leaderboard/*.csv", "course/*.md", "course/*.ipy",
    "course/*.typ", "course/grader/setup.sh", "course/grader/run_autograder", "tests/course/*.txt",
    NOTEBOOK,
)  # fmt: skip
# The key under which an executed notebook keeps the checksums of what it ran and what it wrote, and
# in there that of its cells, in the order in which they ran.
RECORD, CELLS = "application/vnd.sources+json", "cells"
AGAIN = "execute it from top to bottom"
PLACE = "*Your answer:*"  # in the starter's notebook


def files(root, patterns):
    """Return the files that match and are not hidden, each once, relative to root with slashes."""
    found = {p.relative_to(root).as_posix(): None for q in patterns for p in sorted(root.glob(q))}
    return [name for name in found if not name.startswith(".")]


def checksum(content):
    """Return the SHA-256 of a text's bytes; line ends of both kinds count the same."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def checksums(root, patterns=REPORTED):
    """Return the checksums of files, by default of what a notebook can report on, by name."""
    return {name: checksum((root / name).read_bytes()) for name in files(root, patterns)}


def record(root, cells):
    """Return the checksums of the sources in root, of the submission if there is one, of cells."""
    ran = [checksum(source.strip().encode()) for source in cells]
    return {**checksums(root, (*REPORTED, SUBMISSION)), CELLS: ran}


def record_sources():
    """Record in the notebook that calls this what ran, and which submission it wrote.

    What ran are the sources and the cells so far. The write-up compares them with what it finds.
    """
    _, *cells = get_ipython().history_manager.input_hist_raw
    sums = record(ROOT, cells)
    text = f"recorded: {len(sums) - 1} files, {len(cells)} cells"
    display({"text/plain": text, RECORD: sums}, raw=True)


def check_notebook(notebook, root):
    """Raise ValueError unless a notebook is fit to be handed in.

    Its code cells were executed in order from the top, none ended in an error before something that
    was still to be written did, and they and the sources in the folder root are those that ran, as
    `record_sources` recorded them.
    """
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    is_whole = True
    for expected, cell in enumerate(cells, start=1):
        with named(cell):
            if (number := cell.execution_count) != expected:
                raise ValueError(f"executed as number {number}, expected {expected}; {AGAIN}")
            for output in cell.outputs:
                is_whole = is_whole and not _is_todo(output)
                if output.output_type == "error" and is_whole:
                    raise ValueError(f"ended in {output.ename}")
    ran, here = _record(notebook), checksums(root)
    if len(sources := ran.pop(CELLS, [None])) > len(cells):
        raise ValueError(f"{NOTEBOOK}: cells that ran are not in it; {AGAIN}")
    for cell, source in zip(cells, sources, strict=False):
        with named(cell):
            if source != checksum(cell.source.strip().encode()):
                raise ValueError(f"it is not the cell that ran; {AGAIN}")
    names = sorted((here | ran).keys() - {SUBMISSION})
    if changed := [name for name in names if here.get(name) != ran.get(name)]:
        raise ValueError(f"{NOTEBOOK} ran other versions of {', '.join(changed)}; {AGAIN}")


def unanswered(notebook):
    """Return the questions of a notebook without an answer, and what its cells stopped at."""
    empty = re.compile(re.escape(PLACE) + r"\s*($|\*\*(Figure|Table) \d)")
    found = {}  # in order, each once
    for cell in notebook.cells:
        if empty.search(cell.source):
            text = cell.source.replace("**", "").lstrip("# ")
            found[re.split(r"\n|(?<=[.?]) ", text)[0]] = None
        for output in cell.get("outputs", []):
            if _is_todo(output):
                found[output.evalue.split(";")[0]] = None
    return list(found)


def _is_todo(output):
    return output.output_type == "error" and output.evalue.startswith("TODO")


def check_submission(notebook, root):
    """Raise ValueError if the submission in root is damaged, or not what the notebook wrote."""
    read_submission(root / SUBMISSION)
    if _record(notebook).get(SUBMISSION) != checksum((root / SUBMISSION).read_bytes()):
        raise ValueError(f"{SUBMISSION} is not the one that {NOTEBOOK} wrote; {AGAIN}")


def _record(notebook):
    """Return what the last call of record_sources in a notebook has recorded."""
    outputs = chain.from_iterable(cell.get("outputs", []) for cell in notebook.cells)
    records = [output.data[RECORD] for output in outputs if RECORD in output.get("data", {})]
    if not records:
        raise ValueError(f"{NOTEBOOK}: no cell has called record_sources()")
    return dict(records[-1])


def cell_name(cell):
    """Return how errors call a cell: by its first line."""
    first_line, *_ = cell.source.strip().split("\n")
    return f"cell {first_line!r:.80}"


@contextmanager
def named(part):
    """Have errors name a cell, or what a text calls a part."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        name = part if isinstance(part, str) else f"{NOTEBOOK}: {cell_name(part)}"
        raise ValueError(f"{name}: {error}") from error
