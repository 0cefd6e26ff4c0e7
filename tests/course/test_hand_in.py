"""A hand-in: what it holds; it is replaced as a whole, by what the notebook ran, or not at all."""

import io
import json
import os
import signal
import zipfile

import nbformat
import pytest
from executed import LONG_LINE, marks, notebook
from nbformat.v4 import new_code_cell, new_output
from pypdf import PdfReader

from course.sources import PLACE, check_notebook, unanswered
from course.writeup import CERTIFICATION, main, make_archive


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def texts_of(folder):
    return [page.extract_text() for page in PdfReader(folder / "writeup.pdf").pages]


def refused(arguments, folder, message):
    """main refuses the arguments in one line and leaves the folder as it is."""
    before = contents(folder)
    with pytest.raises(SystemExit, match=message) as error:
        main([*arguments, "--out", str(folder)])
    assert "\n" not in str(error.value.code)
    assert contents(folder) == before


def error(name, text):
    return new_output("error", ename=name, evalue=text, traceback=[])


# ------------------------------------------------------------------------------------ what it holds


def test_hand_in(root, tmp_path, old, capsys):
    settings, mine = tmp_path / "me.txt", contents(old)["mine.txt"]
    settings.write_text("--student-id\n1815\n\n--kaggle-name=\n")
    arguments = ["--name", "A_da *Love* #lace $x", f"@{settings}", "--out", str(old)]
    main(arguments)
    first = contents(old)
    assert first["submission.csv"] == (root / "submission.csv").read_bytes()
    assert "submission.csv, code.zip, writeup.pdf" in capsys.readouterr().out
    main(arguments)
    assert contents(old) == first
    assert first.pop("mine.txt") == mine
    assert first.keys() == {"code.zip", "submission.csv", "writeup.pdf"}

    title, *pages = texts_of(old)
    assert all(text in title for text in ("A_da *Love* #lace $x", "1815"))
    assert title.count("to be filled in") == 3
    assert "Not answered" not in title
    assert CERTIFICATION in title.replace("\n", "").replace("\u2019", "'")
    assert "Another question" in title
    starts = [page.split("\n")[0] for page in pages]
    assert starts[:3] == ["An introduction.", "Problem 1", "2. Another question"]
    assert starts[3].startswith("Appendix")
    assert f"3 {LONG_LINE}" in (text := "\n".join(pages[3:]))
    assert "test_layers.py" not in text + title

    # Nothing is cut at the margin.
    places = [x for page in PdfReader(old / "writeup.pdf").pages for x, *_ in marks(page)]
    assert 40 < min(places) < max(places) < 550  # of the 595 points that an A4 page has


FIELDS = [
    ({"--name": "{Zo\xeb} $1", "--student-id": "18"}, {"Name: {Zo\xeb} $1", "Student ID: 18"}),
    ({}, {"Name: " + "_" * 30, "Student ID: " + "_" * 30}),
]


@pytest.mark.parametrize(("fields", "lines"), FIELDS)
def test_archive_holds_the_code_and_nothing_else(fields, lines, root):
    code = """README.md layers.py leaderboard/recipes.csv requirements.txt solver.py
              starter_code.ipynb support/text.py tests/course/styles.txt
              tests/support/test_files.py tests/test_layers.py"""
    with zipfile.ZipFile(io.BytesIO(make_archive(fields, root))) as archive:
        assert sorted(archive.namelist()) == [f"code/{name}" for name in code.split()]
        assert archive.read("code/solver.py") == b"# nothing\n"
        readme = archive.read("code/README.md").decode("utf-8")
    assert lines <= set(readme.splitlines())


def test_what_is_not_answered_is_said_on_the_title_page(root, old):
    nb = notebook(root)
    nb.cells[1].source += f"\n\n{PLACE}\n\n**Figure 1.** A line."
    nb.cells[4].source = f"**Why?** Say it.\n\n{PLACE}\n\nBecause."
    assert unanswered(nb) == ["Problem 1"]
    nb.cells[4].source = f"**Why?** Say it.\n\n{PLACE}\n"
    stop = error("NotImplementedError", "TODO 1: write f in a.py; test it: pytest -k f")
    nb.cells[5].outputs, nb.cells[6].outputs = [stop], [error("NameError", "x")]
    nbformat.write(nb, root / "starter_code.ipynb")
    (old / "submission.csv").unlink()
    (root / "submission.csv").unlink()
    main(["--out", str(old)])
    title, *pages = texts_of(old)
    assert "Not answered Problem 1; Why?; TODO 1: write f in a.py" in " ".join(title.split())
    assert "NameError: x" in "".join(pages)
    assert not (old / "submission.csv").exists()


# ---------------------------------------------------------------------------------- what is refused

NO_NOTEBOOKS = [
    "", "null", b"\xff\xfe", "[" * 100_000, {"nbformat": 99, "cells": []}, {"cells": None},
    {"cells": [{**new_code_cell("x"), "outputs": [3]}]},
]  # fmt: skip


BAD_FILES = [
    ("submission.csv", "Id,Category\n1,11\n", "submission.csv, line 2"),
    ("submission.csv", None, "No such file"),
    ("submission.csv", "Id,Category\n1,5\n", "submission.csv is not the one"),
    ("layers.py", "changed", "starter_code.ipynb ran other versions of layers.py"),
    ("starter_code.ipynb", None, "No such file"),
    *[("starter_code.ipynb", c, "starter_code.ipynb is no notebook") for c in NO_NOTEBOOKS],
    ("starter_code.ipynb", {"cells": []}, r"no cell has called record_sources\(\)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_what_cannot_be_handed_in_leaves_the_old_hand_in(name, content, message, root, old):
    (root / name).unlink()
    if isinstance(content, dict):
        content = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, **content})
    if content is not None:
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused([], old, message)


BAD_CELLS = [
    (2, {"execution_count": None}, r"cell 'plot\(x\)': executed as number None"),
    (1, {"execution_count": 3}, "executed as number 3, expected 2"),
    (3, {"outputs": [error("KeyError", "'x'")]}, r"cell 'plot\(x\)': ended in KeyError"),
    (3, {"outputs": [error("NotImplementedError", "later")]}, "ended in NotImplementedError"),
    (0, {"outputs": []}, "no cell has called record_sources"),
    (2, {"source": "plot(y)"}, r"cell 'plot\(y\)': it is not the cell that ran"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "change", "message"), BAD_CELLS)
def test_notebook_that_did_not_run_from_the_top(number, change, message, root):
    check_notebook(nb := notebook(root), root)
    [cell for cell in nb.cells if cell.cell_type == "code"][number].update(change)
    with pytest.raises(ValueError, match=message):
        check_notebook(nb, root)


def test_notebook_without_a_cell_that_ran(root):
    (nb := notebook(root)).cells.pop()
    with pytest.raises(ValueError, match="cells that ran"):
        check_notebook(nb, root)


def test_notebook_older_than_sources(root):
    nb = notebook(root)
    (root / "layers.py").write_bytes((root / "layers.py").read_bytes().replace(b"\n", b"\r\n"))
    check_notebook(nb, root)  # the same text
    for name in "layers.py", "extra.py", "support/text.py":
        (root / name).write_text("# changed")
    with pytest.raises(ValueError, match=r"versions of extra\.py, layers\.py, support/text\.py;"):
        check_notebook(nb, root)


@pytest.mark.parametrize(("line", "message"), [(b"\xff", "decode"), (b"@me.txt", "recursion")])
def test_bad_file_of_arguments(line, message, root, old, monkeypatch):
    monkeypatch.chdir(root)
    (root / "me.txt").write_bytes(line)
    refused(["@me.txt"], old, message)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_failure_while_writing_leaves_the_old_hand_in(n, root, old, monkeypatch):
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == n:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    refused([], old, "No space left on device")


def test_ctrl_c_while_the_files_get_their_names_lets_that_finish(
    root, old, monkeypatch, foreground
):
    replace, presses = os.replace, [signal.SIGINT]

    def interrupted(*arguments):
        while presses:
            os.kill(os.getpid(), presses.pop())
        return replace(*arguments)

    monkeypatch.setattr(os, "replace", interrupted)
    main(["--out", str(old)])
    assert list(contents(old).values()).count(b"old") == 1


def test_folder_that_cannot_be_written(root, old):
    (old / "code.zip").unlink()
    (old / "code.zip").mkdir()
    for out in (old, old / "mine.txt", old / "mine.txt/below", old / "a\0b"):
        with pytest.raises(SystemExit, match=r"^writeup: .*(folder|exists|irectory|null)"):
            main(["--out", str(out)])
    assert (old / "writeup.pdf").read_text() == "old"
