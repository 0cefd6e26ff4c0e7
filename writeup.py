"""The hand-in: write-up, code archive and submission, made from the executed notebook.

    python writeup.py --name "Ada Lovelace" --student-id 1815 --kaggle-score 0.9965
    python writeup.py @me.txt               # the same arguments from a file, one a line

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
from IPython.display import display

from data_utils import read_submission
from npz import atomic_write

ROOT = Path(__file__).parent
LAYOUT = ROOT / "writeup.typ"
NOTEBOOK = "starter_code.ipynb"
SUBMISSION = "submission.csv"
MEASUREMENTS = "recipes.csv"
# Files of the appendix, in its order; the archive has also those that are no Python.
SOURCES = ("*.py", "tests/*.py", "benchmarks/*.py", "datasets/*.py")
ARCHIVE = (
    *SOURCES, "README.md", "*.txt", "*.toml", "*.typ", NOTEBOOK, MEASUREMENTS,
    "benchmarks/*.txt", "datasets/README.md",
)  # fmt: skip
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
# The key under which an executed notebook keeps the checksums of the sources that it ran.
RECORD = "application/vnd.sources+json"


def _files(root, patterns):
    """The files that match, each once, as paths relative to root with slashes."""
    found = {p.relative_to(root).as_posix(): None for q in patterns for p in sorted(root.glob(q))}
    return list(found)


def checksums(root):
    """Checksums of what a notebook can report on.

    Parameters
    ----------
    root : path
        Folder of the project.

    Returns
    -------
    dict of str to str
        SHA-256 by file name; all modules beside the notebook but this one, and the measurements.
    """
    return {
        name: hashlib.sha256((root / name).read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for name in _files(root, ["*.py", MEASUREMENTS])
        if name != Path(__file__).name
    }


def record_sources():
    """Record in the notebook that calls this which sources it runs: `check_notebook` wants that."""
    sums = checksums(ROOT)
    text = f"{len(sums)} source files: {', '.join(sums)}"
    display({"text/plain": text, RECORD: sums}, raw=True)


def check_notebook(notebook, root):
    """Raise ValueError unless a notebook is fit to be handed in.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        With `record_sources` called in one of its cells.
    root : path
        Folder of the sources that it reports on.

    Raises
    ------
    ValueError
        If a code cell was not executed, or not in order from the top; if one ended with an error;
        if the sources are others now than those that ran, which are named.
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
    """A notebook as one text in Markdown.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    folder : path
        Where its pictures are written.

    Returns
    -------
    text : str
        Markdown cells as they are, code and what it printed in fences, pictures, tables.
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
    lines = (textwrap.wrap(line, 100, **_WRAP) or [""] for line in text.rstrip().split("\n"))
    return "\n".join([f"~~~~~~{language}", *chain.from_iterable(lines), "~~~~~~"])


def _output(output, folder):
    if output.output_type == "stream":
        return _fenced(output.text)
    if "image/png" in output.data:
        png = base64.b64decode(output.data["image/png"])
        path = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        path.write_bytes(png)
        width = output.metadata.get("image/png", {}).get("width", 600)  # in pixels of the screen
        return f"![]({path.name}){{width={min(100, width // 9)}%}}"
    if "text/markdown" in output.data:
        return output.data["text/markdown"]
    if "text/html" in output.data:
        return pypandoc.convert_text(
            output.data["text/html"], "commonmark_x-raw_html-raw_attribute", "html"
        )
    return _fenced(output.data["text/plain"])


def make_pdf(notebook, fields, path, root):
    """Write the PDF.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    fields : dict
        Any of the keys of `FIELDS`, for the title page.
    path : path
        The file.
    root : path
        Folder of the sources in the appendix.
    """
    sources = _files(root, SOURCES)
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
            (folder / source).parent.mkdir(exist_ok=True)
            shutil.copyfile(root / source, folder / source)
        layout = pypandoc.convert_text(
            text, "typst", "commonmark_x", ["--standalone", f"--template={LAYOUT}"]
        )
        (folder / "main.typ").write_text(layout, encoding="utf-8")
        pdf = typst.compile(folder / "main.typ", ignore_system_fonts=True)
    with atomic_write(path) as file:
        file.write(pdf)


def make_archive(path, root):
    """Write the zip archive of the code: no data, no outputs, the same bytes each time.

    Parameters
    ----------
    path : path
        The file.
    root : path
        Folder of the project.
    """
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _files(root, ARCHIVE):
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
        sys.exit(f"writeup.py: {NOTEBOOK} is no notebook: {error}")
    except (OSError, ValueError) as error:
        sys.exit(f"writeup.py: {error}")
    out.mkdir(parents=True, exist_ok=True)
    make_pdf(notebook, vars(arguments), out / "writeup.pdf", ROOT)
    make_archive(out / "code.zip", ROOT)
    shutil.copyfile(ROOT / SUBMISSION, out / SUBMISSION)
    print(f"{out}: writeup.pdf, code.zip, {SUBMISSION} ({num_predictions:,} predictions)")


if __name__ == "__main__":
    main()
