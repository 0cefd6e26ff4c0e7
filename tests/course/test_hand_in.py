"""A hand-in is replaced as a whole, by what the notebook ran and wrote, or it stays as it was."""

import json
import os
import re
import signal

import nbformat
import pytest
import typst
from executed import notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from pypdf import PdfReader

from course.sources import PLACE, RECORD, unanswered
from course.writeup import main


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(arguments, folder, message):
    """main refuses the arguments in one line and leaves the folder as it is."""
    before = contents(folder)
    with pytest.raises(SystemExit, match=message) as error:
        main([*arguments, "--out", str(folder)])
    assert "\n" not in str(error.value.code)
    assert contents(folder) == before


NO_NOTEBOOKS = [
    "", "{", "{}", "[]", "null", b"\xff\xfe", "[" * 100_000, {"nbformat": 99, "cells": []},
    {"cells": None}, {"cells": ["x"]}, {"cells": [{"cell_type": "code"}]},
    {"cells": [{**new_code_cell("x"), "source": 3}]},
    {"cells": [{**new_code_cell("x"), "outputs": [3]}]}, {"cells": [new_markdown_cell("\ud800")]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("submission.csv", "Id,Category\n1,11\n", "submission.csv, line 2"),
        ("submission.csv", None, "No such file"),
        ("submission.csv", "Id,Category\n1,5\n", "submission.csv is not the one that starter_code"),
        ("layers.py", "changed", "starter_code.ipynb is older than layers.py"),
        ("starter_code.ipynb", None, "No such file"),
        *[("starter_code.ipynb", c, "starter_code.ipynb is no notebook") for c in NO_NOTEBOOKS],
        ("starter_code.ipynb", {"cells": []}, r"no cell has called record_sources\(\)"),
    ],
)
def test_what_cannot_be_handed_in_leaves_the_old_hand_in(name, content, message, root, old):
    (root / name).unlink()
    if isinstance(content, dict):
        content = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, **content})
    if content is not None:
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused([], old, message)


def test_submission_is_the_one_of_the_notebook(root, old):
    path = root / "submission.csv"
    predictions = path.read_bytes()
    path.unlink()
    nbformat.write(notebook(root), root / "starter_code.ipynb")
    path.write_bytes(predictions)
    refused([], old, r"record_sources\(\) has found no submission.csv")


def error(name, text):
    return new_output("error", ename=name, evalue=text, traceback=[])


STOP = error("NotImplementedError", "TODO 1: write f in a.py; test it: pytest -k f")


@pytest.mark.parametrize(
    ("number", "output", "message"),
    [
        (2, new_output("display_data", {RECORD: ["layers.py"]}), r"called record_sources\(\)"),
        (6, error("NameError", "x"), r"cell 'plot\(x\)' ended in NameError"),
        (6, error("NotImplementedError", "later"), "ended in NotImplementedError"),
    ],
)
def test_outputs_that_cannot_be_handed_in(number, output, message, root, old):
    nb = notebook(root)
    nb.cells[number].outputs = [output]
    nbformat.write(nb, root / "starter_code.ipynb")
    refused([], old, message)


def test_what_is_not_answered_is_said_on_the_title_page(root, old):
    nb = notebook(root)
    nb.cells[1].source += f"\n\n{PLACE}\n\n**Figure 1.** A line."
    nb.cells[4].source = f"**Why?** Say it.\n\n{PLACE}\n\nBecause."
    assert unanswered(nb) == ["Problem 1"]
    nb.cells[4].source = f"**Why?** Say it.\n\n{PLACE}\n"
    nb.cells[5].outputs, nb.cells[6].outputs = [STOP], [error("NameError", "x")]
    nbformat.write(nb, root / "starter_code.ipynb")
    (old / "submission.csv").unlink()
    (root / "submission.csv").unlink()
    main(["--out", str(old)])
    pages = [page.extract_text() for page in PdfReader(old / "writeup.pdf").pages]
    assert "Not answered Problem 1; Why?; TODO 1: write f in a.py" in " ".join(pages[0].split())
    assert "NameError: x" in "".join(pages)
    assert not (old / "submission.csv").exists()


@pytest.mark.parametrize("line", [b"\xff\xff", b"@me.txt\n", b"--name\n"])
def test_bad_file_of_arguments(line, root, old, capsys, monkeypatch):
    monkeypatch.chdir(root)
    (root / "me.txt").write_bytes(line)
    refused(["@me.txt"], old, "2")
    assert re.search("cannot be read|argument --name", capsys.readouterr().err)


def test_arguments_from_a_file_and_other_files_in_the_folder(root, old):
    (root / "me.txt").write_text("--name\nAda\n\n--student-id=\n")
    main([f"@{root / 'me.txt'}", "--out", str(old)])
    title = PdfReader(old / "writeup.pdf").pages[0].extract_text()
    assert "Ada" in title
    assert "Not answered" not in title
    assert title.count("to be filled in") == 4
    assert (old / "mine.txt").read_text() == "old"
    assert len(contents(old)) == 4


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_while_writing_leaves_the_old_hand_in(n, error, root, old, monkeypatch):
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) % 3 == n % 3:
            raise error

    monkeypatch.setattr(os, "fsync", fsync)
    refused([], old, "No space left on device|stopped by Ctrl-C")


@pytest.mark.parametrize(("module", "name"), [(typst, "compile"), (os, "replace")])
def test_ctrl_c(module, name, root, old, monkeypatch, foreground):
    function, presses = getattr(module, name), [signal.SIGINT]

    def interrupted(*arguments, **options):
        while presses:
            os.kill(os.getpid(), presses.pop())
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, interrupted)
    if module is typst:
        refused([], old, "stopped by Ctrl-C")
    else:  # while the files get their names: that is finished
        main(["--out", str(old)])
        assert list(contents(old).values()).count(b"old") == 1


def test_folder_that_cannot_be_written(root, old):
    (old / "code.zip").unlink()
    (old / "code.zip").mkdir()
    for out in (old, old / "mine.txt", old / "mine.txt/below", old / "a\0b"):
        with pytest.raises(SystemExit, match=r"^writeup: .*(folder|exists|irectory|null)"):
            main(["--out", str(out)])
    assert (old / "writeup.pdf").read_text() == "old"
