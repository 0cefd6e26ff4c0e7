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

ERROR = new_output("error", ename="KeyError", evalue="'x'")


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (2, {"execution_count": None}, r"cell 'plot\(x\)' has not been executed"),
        (1, {"execution_count": 3}, "was executed as number 3, expected 2"),
        (3, {"outputs": [ERROR]}, r"cell 'plot\(x\)' ended in KeyError"),
        (0, {"outputs": []}, "no cell has called record_sources"),
    ],
)
def test_notebook_that_did_not_run_from_the_top_is_refused(number, change, message, root):
    check_notebook(nb := notebook(root), root)
    [cell for cell in nb.cells if cell.cell_type == "code"][number].update(change)
    with pytest.raises(ValueError, match=message):
        check_notebook(nb, root)


def test_notebook_older_than_sources_is_refused(root):
    nb = notebook(root)
    (root / "layers.py").write_bytes((root / "layers.py").read_bytes().replace(b"\n", b"\r\n"))
    check_notebook(nb, root)  # the same text
    for name in "layers.py", "extra.py", "support/text.py":
        (root / name).write_text("# changed")
    older = r"is older than extra\.py, layers\.py, support/text\.py: it ran other"
    with pytest.raises(ValueError, match=older):
        check_notebook(nb, root)


def test_hand_in(root, tmp_path, capsys):
    settings = tmp_path / "me.txt"
    settings.write_text("--student-id\n1815\n")
    out = tmp_path / "hand_in"
    main(["--name", "A_da *Love* #lace $x", f"@{settings}", "--out", str(out)])
    assert {path.name for path in out.iterdir()} == {"code.zip", "submission.csv", "writeup.pdf"}
    assert (out / "submission.csv").read_bytes() == (root / "submission.csv").read_bytes()
    assert "20 predictions" in capsys.readouterr().out

    first = [(path.name, path.read_bytes()) for path in sorted(out.iterdir())]
    main(["--name", "A_da *Love* #lace $x", f"@{settings}", "--out", str(out)])
    assert [(path.name, path.read_bytes()) for path in sorted(out.iterdir())] == first

    reader = PdfReader(out / "writeup.pdf")
    title, contents, *pages = [page.extract_text() for page in reader.pages]
    for text in "A_da *Love* #lace $x", "1815", "to be filled in":
        assert text in title
    assert CERTIFICATION in title.replace("\n", "").replace("\u2019", "'")
    assert "Another question" in contents
    starts = [page.split("\n")[0] for page in pages]
    assert starts[:3] == ["An introduction.", "Problem 1", "2. Another question"]
    _, question, another, *appendix = pages
    for text in "First.", "x has 3 ~ $5 *numbers*", "listed = 1":
        assert text in question
    assert "rather wide column 11" in " ".join(another.split())
    assert "11.25" in another
    assert not any(left_out in another for left_out in ("color: red", "plain", "0%|"))
    assert len(reader.pages[4].images) == 1
    assert appendix[0].startswith("Appendix")
    assert f"3 {LONG_LINE}" in (text := "\n".join(appendix))
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
        code = (
            "README.md layers.py leaderboard/recipes.csv requirements.txt solver.py "
            "starter_code.ipynb support/text.py tests/support/test_files.py tests/test_layers.py"
        )
        assert sorted(archive.namelist()) == [f"code/{name}" for name in code.split()]
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
