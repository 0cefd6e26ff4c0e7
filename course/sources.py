"""Which files the project consists of, and the record of those that a notebook ran."""

import hashlib
from pathlib import Path

from IPython.display import display

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "starter_code.ipynb"
# What a notebook can report on: the modules that it runs, and the measurements that it shows.
REPORTED = ("*.py", "support/*.py", "leaderboard/*.py", "leaderboard/*.csv")
# All code, in the order of the appendix of the write-up.
SOURCES = (
    "*.py",
    "support/*.py",
    "leaderboard/*.py",
    "course/*.py",
    "tests/**/*.py",
    "benchmarks/*.py",
    "datasets/*.py",
)
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
    "course/*.typ",
    NOTEBOOK,
)
# The key under which an executed notebook keeps the checksums of the sources that it ran.
RECORD = "application/vnd.sources+json"


def files(root, patterns):
    """The files that match and are not hidden, each once, relative to root with slashes."""
    found = {p.relative_to(root).as_posix(): None for q in patterns for p in sorted(root.glob(q))}
    return [name for name in found if not name.startswith(".")]


def checksums(root):
    """SHA-256 of what a notebook can report on, by name; line ends of both kinds count the same."""
    return {
        name: hashlib.sha256((root / name).read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for name in files(root, REPORTED)
    }


def record_sources():
    """Record in the notebook that calls this which sources it runs; the write-up compares them."""
    sums = checksums(ROOT)
    text = f"{len(sums)} source files: {', '.join(sums)}"
    display({"text/plain": text, RECORD: sums}, raw=True)
