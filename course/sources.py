"""Which files the project consists of, and whether they are those that a notebook ran and wrote."""

import hashlib
import re
from itertools import chain
from pathlib import Path

from IPython.display import display

from data_utils import read_submission

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "starter_code.ipynb"
SUBMISSION = "submission.csv"
# The modules that a notebook calls: the appendix of the write-up lists them.
LISTED = ("*.py",)
# Those that it runs, and what they draw on.
MODULES = ("*.py", "fast/*.py", "support/*.py", "leaderboard/*.py")
# What a notebook can report on: those modules, and the measurements that it shows.
REPORTED = (*MODULES, "leaderboard/*.csv")
# All code.
SOURCES = (*MODULES, "course/**/*.py", "tests/**/*.py", "benchmarks/*.py", "datasets/*.py")
# Everything that the archive of the code holds.
ARCHIVE = (
    *SOURCES,
    "README.md",
    "*/README.md",
    "*.toml",
    "requirements.txt",
    "benchmarks/*.txt",
    "benchmarks/*.png",
    "leaderboard/*.csv",
    "course/*.md",
    "course/*.ipy",
    "course/starter_tests/*.*",
    "tests/course/*.txt",
    "course/*.typ",
    "course/grader/setup.sh",
    "course/grader/run_autograder",
    NOTEBOOK,
)
# The key under which an executed notebook keeps the checksums of what it ran and what it wrote.
RECORD = "application/vnd.sources+json"
AGAIN = "execute it from top to bottom"
PLACE = "*Your answer:*"  # in the starter's notebook


def files(root, patterns):
    """Return the files that match and are not hidden, each once, relative to root with slashes."""
    found = {p.relative_to(root).as_posix(): None for q in patterns for p in sorted(root.glob(q))}
    return [name for name in found if not name.startswith(".")]


def checksum(path):
    """Return the SHA-256 of a file of text; line ends of both kinds count the same."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def checksums(root):
    """Return the checksums of what a notebook can report on, by name."""
    return {name: checksum(root / name) for name in files(root, REPORTED)}


def record(root):
    """Return the checksums of the sources in root, and of the submission if there is one."""
    submission = root / SUBMISSION
    return checksums(root) | ({SUBMISSION: checksum(submission)} if submission.exists() else {})


def record_sources():
    """Record in the notebook that calls this which sources it ran and which submission it wrote.

    The write-up compares them with the files that it finds.
    """
    sums = record(ROOT)
    display({"text/plain": f"recorded: {len(sums)} files", RECORD: sums}, raw=True)


def check_notebook(notebook, root):
    """Raise ValueError unless a notebook is fit to be handed in.

    Its code cells were executed in order from the top, none ended in an error before something that
    was still to be written did, and the sources in the folder root are those that ran, as
    `record_sources` recorded them.
    """
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    is_whole = True
    for expected, cell in enumerate(cells, start=1):
        if cell.execution_count is None:
            raise ValueError(f"{NOTEBOOK}: {cell_name(cell)} has not been executed; {AGAIN}")
        if cell.execution_count != expected:
            raise ValueError(
                f"{NOTEBOOK}: {cell_name(cell)} was executed as number {cell.execution_count}, "
                f"expected {expected}; {AGAIN}"
            )
        for output in cell.outputs:
            is_whole = is_whole and not _is_todo(output)
            if output.output_type == "error" and is_whole:
                raise ValueError(f"{NOTEBOOK}: {cell_name(cell)} ended in {output.ename}")
    ran, here = _record(notebook), checksums(root)
    ran.pop(SUBMISSION, None)
    if changed := [name for name in here | ran if here.get(name) != ran.get(name)]:
        raise ValueError(
            f"{NOTEBOOK} is older than {', '.join(sorted(changed))}: it ran other versions; {AGAIN}"
        )


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
    """Return the number of predictions in the submission in the folder root.

    One that is damaged, or that the notebook has not written, is a ValueError.
    """
    num_predictions = len(read_submission(root / SUBMISSION))
    written = _record(notebook).get(SUBMISSION)
    if written is None:
        raise ValueError(f"{NOTEBOOK}: record_sources() has found no {SUBMISSION}; {AGAIN}")
    if written != checksum(root / SUBMISSION):
        raise ValueError(
            f"{SUBMISSION} is not the one that {NOTEBOOK} wrote; put that one back, or execute the "
            "notebook from top to bottom"
        )
    return num_predictions


def _record(notebook):
    """Return what the last call of record_sources in a notebook has recorded."""
    outputs = chain.from_iterable(c.outputs for c in notebook.cells if c.cell_type == "code")
    records = [o.data[RECORD] for o in outputs if RECORD in o.get("data", {})]
    if not records or not isinstance(records[-1], dict):
        raise ValueError(f"{NOTEBOOK}: no cell has called record_sources()")
    return dict(records[-1])


def cell_name(cell):
    """Return how errors call a cell: by its first line."""
    first_line, *_ = cell.source.strip().split("\n")
    return f"cell {first_line!r:.80}"
