"""A hand-in is replaced as a whole, by what the notebook ran and wrote, or it stays as it was."""

import json
import os
import signal

import nbformat
import numpy as np
import pytest
import typst
from executed import notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from pypdf import PdfReader

from course.sources import RECORD
from course.writeup import main
from data_utils import save_submission


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(arguments, folder, message):
    """main refuses the arguments in one line and leaves the folder as it is."""
    before = contents(folder)
    with pytest.raises(SystemExit, match=message) as error:
        main([*arguments, "--out", str(folder)])
    assert "\n" not in str(error.value.code)
    assert contents(folder) == before


NO_NOTEBOOK = "starter_code.ipynb is no notebook"
V3_CELL = {"cell_type": "code", "language": "python", "prompt_number": 1, "outputs": []}
V3 = {"worksheets": [{"cells": [{**V3_CELL, "input": "x"}]}]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("submission.csv", "Id,Category\n1,11\n", "submission.csv, line 2: expected"),
        ("submission.csv", None, "No such file"),
        ("submission.csv", "Id,Category\n1,5\n", "submission.csv is not the one that starter_code"),
        ("layers.py", "changed", "starter_code.ipynb is older than layers.py"),
        ("starter_code.ipynb", None, "No such file"),
        ("starter_code.ipynb", "", NO_NOTEBOOK),
        ("starter_code.ipynb", "{", NO_NOTEBOOK),
        ("starter_code.ipynb", "{}", NO_NOTEBOOK),
        ("starter_code.ipynb", "[]", NO_NOTEBOOK),
        ("starter_code.ipynb", "null", NO_NOTEBOOK),
        ("starter_code.ipynb", b"\xff\xfe", NO_NOTEBOOK),
        ("starter_code.ipynb", "[" * 100_000, NO_NOTEBOOK),
        ("starter_code.ipynb", {"nbformat": 99, "cells": []}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": None}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": ["x"]}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": [{"cell_type": "code"}]}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": [{**new_code_cell("x"), "source": 3}]}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": [{**new_code_cell("x"), "outputs": [3]}]}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": [new_markdown_cell("\ud800")]}, NO_NOTEBOOK),
        ("starter_code.ipynb", {"cells": []}, r"no cell has called record_sources\(\)"),
        ("starter_code.ipynb", {"nbformat": 3, "nbformat_minor": 0, **V3}, "no cell has called"),
    ],
)
def test_what_cannot_be_handed_in_leaves_the_old_hand_in(name, content, message, root, old):
    (root / name).unlink()
    if isinstance(content, dict):
        content = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, **content})
    if content is not None:
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused([], old, message)
    with pytest.raises(SystemExit, match=message):
        main(["--out", str(old.parent / "new/folder")])
    assert not (old.parent / "new").exists()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, r"record_sources\(\) has found no submission.csv"),
        (np.zeros(20, int), "submission.csv is not the one that starter_code.ipynb wrote"),
    ],
)
def test_submission_is_the_one_of_the_notebook(written, message, root, old):
    path = root / "submission.csv"
    predictions = path.read_bytes()
    path.unlink()
    if written is not None:
        save_submission(path, written)
    nbformat.write(notebook(root), root / "starter_code.ipynb")
    path.write_bytes(predictions)
    refused([], old, message)


def test_record_that_is_none(root, old):
    nb = notebook(root)
    nb.cells[2].outputs[0].data[RECORD] = ["layers.py"]
    nbformat.write(nb, root / "starter_code.ipynb")
    refused([], old, r"no cell has called record_sources\(\)")


def test_output_that_pandoc_cannot_read(root, old):
    nb = notebook(root)
    nb.cells[-1].outputs = [new_output("display_data", {"text/latex": r"$\frac{$"})]
    nbformat.write(nb, root / "starter_code.ipynb")
    refused([], old, r"cell 'plot\(x\)': Pandoc died")


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "\x1b[31m", "\0", "\ud800", "a\u2028b"])
def test_text_for_the_title_page_is_one_line(text, root, old, capsys):
    refused(["--kaggle-name", text], old, "2")
    assert "argument --kaggle-name: must be a line of text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff\xff", "cannot be read"),
        (b"@me.txt\n", "cannot be read: maximum recursion"),
        (b"--name\n", "argument --name: expected one argument"),
        (b"--surname\n", "unrecognized arguments: --surname"),
    ],
)
def test_bad_file_of_arguments(file, message, root, old, capsys, monkeypatch):
    monkeypatch.chdir(root)
    if file is not None:
        (root / "me.txt").write_bytes(file)
    refused(["@me.txt"], old, "2")
    assert message in capsys.readouterr().err


def test_arguments_from_a_file(root, old):
    (root / "me.txt").write_text("--name\nAda\n\n--student-id=\n")
    main([f"@{root / 'me.txt'}", "--out", str(old)])
    title = PdfReader(old / "writeup.pdf").pages[0].extract_text()
    assert "Ada" in title
    assert title.count("to be filled in") == 4


def test_hand_in_in_the_project_itself(root, monkeypatch):
    monkeypatch.chdir(root)
    before = contents_of_files(root)
    main(["--out", "."])
    after = contents_of_files(root)
    assert after.keys() - before.keys() == {"code.zip", "writeup.pdf"}
    assert before.items() <= after.items()


def contents_of_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_other_files_in_the_folder_are_kept(root, old):
    main(["--out", str(old)])
    assert (old / "mine.txt").read_text() == "old"
    assert len(contents(old)) == 4
    assert (old / "writeup.pdf").read_bytes().startswith(b"%PDF")


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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_full_disk_leaves_the_old_hand_in(root, old):
    import resource

    main(["--out", str(root.parent / "size")])
    limit = (root.parent / "size/writeup.pdf").stat().st_size - 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        refused([], old, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_ctrl_c(root, old, monkeypatch, foreground):
    compiled, replaced = typst.compile, os.replace

    def interrupted(function):
        presses = [signal.SIGINT]

        def call(*arguments, **options):
            while presses:
                os.kill(os.getpid(), presses.pop())
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(typst, "compile", interrupted(compiled))
    refused([], old, "stopped by Ctrl-C")
    monkeypatch.setattr(typst, "compile", compiled)
    monkeypatch.setattr(os, "replace", interrupted(replaced))
    main(["--out", str(old)])  # while the files get their names: that is finished
    new = contents(old)
    assert [new[name] for name in new if name != "mine.txt"].count(b"old") == 0
    assert len(new) == 4


def test_folder_that_cannot_be_written(root, old):
    (old / "code.zip").unlink()
    (old / "code.zip").mkdir()
    for out in (old, old / "mine.txt", old / "mine.txt/below", old / "a\0b"):
        with pytest.raises(SystemExit, match=r"^writeup: .*(folder|exists|irectory|null)"):
            main(["--out", str(out)])
    assert sorted(path.name for path in old.iterdir()) == [
        "code.zip", "mine.txt", "submission.csv", "writeup.pdf"
    ]  # fmt: skip
    assert (old / "writeup.pdf").read_text() == "old"
