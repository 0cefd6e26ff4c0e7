"""What is handed in and what it replaces."""

import pytest
from executed import make_project

from course import writeup


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
