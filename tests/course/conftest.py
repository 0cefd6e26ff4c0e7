"""What is handed in and what it replaces."""

import tempfile
from pathlib import Path

import pytest
from executed import make_project
from graded import Starter, lay_out

from course import writeup
from course.archive import pack
from course.autograder import SCRIPTS, make_autograder
from course.starter import make_starter


@pytest.fixture(scope="session")
def packed():
    """The autograder."""
    return pack(make_autograder(), SCRIPTS)


@pytest.fixture(scope="session")
def graded_root(packed):
    """A folder as Gradescope has it. Not in pytest's, into which no other user can look."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        lay_out(Path(folder), packed)
        yield Path(folder)


@pytest.fixture(scope="session")
def contents():
    return make_starter()


@pytest.fixture(scope="session")
def starter(tmp_path_factory, contents):
    """The tests that students get."""
    return Starter(tmp_path_factory.mktemp("starter"), contents)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A small project with an executed notebook, in the place of this one."""
    root = tmp_path / "project"
    make_project(root)
    monkeypatch.setattr(writeup, "ROOT", root)
    return root


@pytest.fixture
def old(tmp_path):
    """An old hand-in with another file beside it."""
    folder = tmp_path / "hand_in"
    folder.mkdir()
    for name in ("code.zip", "submission.csv", "writeup.pdf", "mine.txt"):
        (folder / name).write_text("old")
    return folder
