"""The hand-in: write-up, code archive and submission, made from the executed notebook.

    python -m course.writeup --name "Ada Lovelace" --student-id 1815 --kaggle-score 0.9965
    python -m course.writeup @me.txt        # the same arguments from a file, one a line

The folder ``hand_in`` then holds ``writeup.pdf``, ``code.zip`` and ``submission.csv``. What is not
given stays a blank to be filled in by hand. When nothing has changed, the files come out the same,
byte for byte.

Pandoc turns the notebook's cells into Typst, and Typst makes the PDF, with the layout that is in
``writeup.typ``. Both come with their Python packages.
"""

import argparse
import base64
import hashlib
import json
import shutil
import sys
import tempfile
import textwrap
import zipfile
from itertools import chain
from pathlib import Path

import nbformat
import pypandoc
import typst

from course.sources import ARCHIVE, NOTEBOOK, RECORD, ROOT, SOURCES, checksums, files
from data_utils import read_submission
from support.npz import atomic_write

LAYOUT = Path(__file__).with_name("writeup.typ")
SUBMISSION = "submission.csv"
CERTIFICATION = (
    "I certify that I wrote this write-up and its code myself, in my own words, that I have not "
    "looked at the solutions of other students, and that every outside source that I used is "
    "named in it."
)
FIELDS = {
    "name": "Name",
    "student_id": "Student ID",
    "collaborators": "Collaborators",
    "kaggle_name": "Kaggle user name",
    "kaggle_score": "Kaggle score",
}
WIDGET = "application/vnd.jupyter.widget-view+json"
_WRAP = {"replace_whitespace": False, "drop_whitespace": False, "break_on_hyphens": False}
LINE = 100  # characters of code in a line of the PDF
PIXELS = 9  # of the notebook's screen in a hundredth of the PDF's width


def check_notebook(notebook, root):
    """Raise ValueError unless a notebook is fit to be handed in.

    Its code cells were executed in order from the top, none ended in an error, and the sources in
    the folder root are those that ran, as `course.sources.record_sources` recorded them.
    """
    again = "execute it from top to bottom"
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    for expected, cell in enumerate(cells, start=1):
        first_line = cell.source.strip().splitlines()[0]
        if cell.execution_count is None:
            raise ValueError(f"{NOTEBOOK}: cell {first_line!r} has not been executed; {again}")
        if cell.execution_count != expected:
            raise ValueError(
                f"{NOTEBOOK}: cell {first_line!r} was executed as number {cell.execution_count}, "
                f"expected {expected}; {again}"
            )
        for output in cell.outputs:
            if output.output_type == "error":
                raise ValueError(f"{NOTEBOOK}: cell {first_line!r} ended in {output.ename}")
    records = [o.data[RECORD] for c in cells for o in c.outputs if RECORD in o.get("data", {})]
    if not records:
        raise ValueError(f"{NOTEBOOK}: no cell has called record_sources()")
    ran, here = records[-1], checksums(root)
    if changed := [name for name in here | ran if here.get(name) != ran.get(name)]:
        raise ValueError(
            f"{NOTEBOOK} is older than {', '.join(sorted(changed))}: it ran other versions; {again}"
        )


def to_markdown(notebook, folder):
    """A notebook as one text in Markdown: code and what it printed in fences, pictures, tables.

    The pictures are written to the folder.
    """
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(_fenced(cell.source, "python"))
            parts += [_output(o, folder) for o in cell.outputs if not _is_progress(o)]
    return "\n\n".join(parts)


def _is_progress(output):
    """Whether an output is a progress bar, as text or as a widget."""
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _fenced(text, language=""):
    # Typst breaks long lines between words; what has no spaces would run out of the page.
    lines = (textwrap.wrap(line, LINE, **_WRAP) or [""] for line in text.rstrip().split("\n"))
    return "\n".join([f"~~~~~~{language}", *chain.from_iterable(lines), "~~~~~~"])


def _output(output, folder):
    if output.output_type == "stream":
        return _fenced(output.text)
    if "image/png" in output.data:
        png = base64.b64decode(output.data["image/png"])
        path = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        path.write_bytes(png)
        width = output.metadata.get("image/png", {}).get("width", 600)  # in pixels of the screen
        return f"![]({path.name}){{width={min(100, width // PIXELS)}%}}"
    if "text/markdown" in output.data:
        return output.data["text/markdown"]
    if "text/html" in output.data:
        return pypandoc.convert_text(
            output.data["text/html"], "commonmark_x-raw_html-raw_attribute", "html"
        )
    return _fenced(output.data["text/plain"])


def make_pdf(notebook, fields, path, root):
    """Write the PDF: fields, any of the keys of `FIELDS`, on the title page; notebook; sources."""
    sources = files(root, SOURCES)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        text = to_markdown(notebook, folder)
        title, _, text = text.partition("\n")
        info = {
            "title": title.lstrip("# "),
            "certification": CERTIFICATION,
            "fields": [[label, fields.get(key)] for key, label in FIELDS.items()],
            "sources": sources,
        }
        (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
        for source in sources:
            (folder / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / source, folder / source)
        layout = pypandoc.convert_text(
            text, "typst", "commonmark_x", ["--standalone", f"--template={LAYOUT}"]
        )
        (folder / "main.typ").write_text(layout, encoding="utf-8")
        pdf = typst.compile(folder / "main.typ", ignore_system_fonts=True)
    with atomic_write(path) as file:
        file.write(pdf)


def make_archive(path, root):
    """Write the zip archive of the code: no data, the same bytes each time."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files(root, ARCHIVE):
            # A member's date is that of the zip format's first day, unless it is given.
            archive.writestr(zipfile.ZipInfo(f"code/{name}"), (root / name).read_bytes())


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description="Make the hand-in from the executed notebook.", fromfile_prefix_chars="@"
    )
    for key, label in FIELDS.items():
        parser.add_argument(
            f"--{key.replace('_', '-')}", metavar="TEXT", help=f"{label}, for the title page"
        )
    parser.add_argument("--out", default="hand_in", help="folder (default: %(default)s)")
    arguments = parser.parse_args(arguments)
    out = Path(arguments.out)
    try:
        notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
        check_notebook(notebook, ROOT)
        num_predictions = len(read_submission(ROOT / SUBMISSION))
    except nbformat.ValidationError as error:
        sys.exit(f"writeup: {NOTEBOOK} is no notebook: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"writeup: {error}")
    out.mkdir(parents=True, exist_ok=True)
    make_pdf(notebook, vars(arguments), out / "writeup.pdf", ROOT)
    make_archive(out / "code.zip", ROOT)
    shutil.copyfile(ROOT / SUBMISSION, out / SUBMISSION)
    print(f"{out}: writeup.pdf, code.zip, {SUBMISSION} ({num_predictions:,} predictions)")


if __name__ == "__main__":
    main()
