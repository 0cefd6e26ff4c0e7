"""The hand-in: what is refused, what the PDF and the archive hold, that they come out the same."""

import io
import re
import zipfile

import pytest
from executed import LONG_LINE, notebook
from nbformat.v4 import new_output
from pypdf import PdfReader

from course.sources import ARCHIVE, ROOT, check_notebook, files
from course.writeup import CERTIFICATION, main, make_archive


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_executed_notebook_passes(root):
    check_notebook(notebook(root), root)


def test_unexecuted_notebook_is_refused(root):
    nb = notebook(root)
    code_cells(nb)[2].execution_count = None
    with pytest.raises(ValueError, match=r"cell 'plot\(x\)' has not been executed"):
        check_notebook(nb, root)


def test_notebook_executed_out_of_order_is_refused(root):
    nb = notebook(root)
    for number, cell in zip((1, 3, 2, 4), code_cells(nb), strict=True):
        cell.execution_count = number
    with pytest.raises(ValueError, match=r"was executed as number 3, expected 2"):
        check_notebook(nb, root)


def test_notebook_with_an_error_is_refused(root):
    nb = notebook(root)
    code_cells(nb)[3].outputs = [new_output("error", ename="KeyError", evalue="'x'")]
    with pytest.raises(ValueError, match=r"cell 'plot\(x\)' ended in KeyError"):
        check_notebook(nb, root)


def test_notebook_older_than_sources_is_refused(root):
    nb = notebook(root)
    (root / "layers.py").write_bytes((root / "layers.py").read_bytes().replace(b"\n", b"\r\n"))
    check_notebook(nb, root)  # the same text
    (root / "layers.py").write_text("# changed")
    (root / "extra.py").write_text("# new")
    (root / "support/text.py").write_text("# changed")
    older = r"is older than extra\.py, layers\.py, support/text\.py: it ran other"
    with pytest.raises(ValueError, match=older):
        check_notebook(nb, root)
    code_cells(nb)[0].outputs = []
    with pytest.raises(ValueError, match=r"no cell has called record_sources"):
        check_notebook(nb, root)


def test_hand_in(root, tmp_path, capsys):
    settings = tmp_path / "me.txt"
    settings.write_text("--student-id\n1815\n")
    out = tmp_path / "hand_in"
    main(["--name", "A_da *Love* #lace $x", f"@{settings}", "--out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == [
        "code.zip",
        "submission.csv",
        "writeup.pdf",
    ]
    assert (out / "submission.csv").read_bytes() == (root / "submission.csv").read_bytes()
    assert "20 predictions" in capsys.readouterr().out

    first = [(path.name, path.read_bytes()) for path in sorted(out.iterdir())]
    main(["--name", "A_da *Love* #lace $x", f"@{settings}", "--out", str(out)])
    assert [(path.name, path.read_bytes()) for path in sorted(out.iterdir())] == first

    reader = PdfReader(out / "writeup.pdf")
    title, contents, *pages = [page.extract_text() for page in reader.pages]
    assert "A_da *Love* #lace $x" in title
    assert "1815" in title
    assert "to be filled in" in title
    assert CERTIFICATION in title.replace("\n", "").replace("\u2019", "'")
    assert "Another question" in contents
    starts = [page.split("\n")[0] for page in pages]
    assert starts[:3] == ["An introduction.", "Problem 1", "2. Another question"]
    _, question, another, *appendix = pages
    assert "First." in question
    assert "x has 3 ~ $5 *numbers*" in question
    assert "listed = 1" in question
    assert "rather wide column 11" in " ".join(another.split())
    assert "11.25" in another
    assert not any(left_out in another for left_out in ("color: red", "plain", "0%|"))
    assert len(reader.pages[4].images) == 1
    assert appendix[0].startswith("Appendix")
    text = "\n".join(appendix)
    assert "layers.py" in text
    assert f"3 {LONG_LINE}" in text
    assert "test_layers.py" not in text + contents


def test_nothing_is_cut_at_the_margin(root, tmp_path):
    main(["--out", str(tmp_path)])
    places = []

    def visit(text, cm, tm, *_):
        if text.strip():
            places.append(tm[4] * cm[0] + cm[4])

    for page in PdfReader(tmp_path / "writeup.pdf").pages:
        page.extract_text(visitor_text=visit)
    assert 40 < min(places) < max(places) < 550  # of the 595 points that an A4 page has


def test_archive_holds_the_code_and_nothing_else(root):
    with zipfile.ZipFile(io.BytesIO(make_archive({}, root))) as archive:
        assert sorted(archive.namelist()) == [
            "code/README.md",
            "code/layers.py",
            "code/leaderboard/recipes.csv",
            "code/requirements.txt",
            "code/solver.py",
            "code/starter_code.ipynb",
            "code/support/text.py",
            "code/tests/support/test_files.py",
            "code/tests/test_layers.py",
        ]
        assert archive.read("code/solver.py") == b"# nothing\n"


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"--name": "{Zo\xeb} $1", "--student-id": "18"}, ["Name: {Zo\xeb} $1", "Student ID: 18"]),
        ({}, ["Name: " + "_" * 30, "Student ID: " + "_" * 30]),
    ],
)
def test_readme_of_the_archive(fields, lines, root):
    with zipfile.ZipFile(io.BytesIO(make_archive(fields, root))) as archive:
        readme = archive.read("code/README.md").decode("utf-8")
    assert set(lines) <= set(readme.splitlines())
    # Its table names what this project's archive has at the top.
    first_cells = [line.split("|")[1] for line in readme.splitlines() if line.startswith("|")]
    named = {name for cell in first_cells for name in re.findall("`([^`]+)`", cell)}
    tops = (name.split("/") for name in files(ROOT, ARCHIVE) if name != "README.md")
    assert named == {top + "/" * bool(below) for top, *below in tops}
