"""The hand-in: write-up, code archive and submission, made from the executed notebook.

    python -m course.writeup --name "Ada Lovelace" --student-id 1815 --kaggle-score 0.9965
    python -m course.writeup @me.txt        # the same arguments from a file, one a line

The folder ``hand_in`` then holds ``writeup.pdf``, ``code.zip`` and ``submission.csv``. What is not
given stays a blank to be filled in by hand. When nothing has changed, the files come out the same,
byte for byte. Where something cannot be handed in, one line says what, and an old hand-in stays.
In the starter the title page says what is not answered; then there may be no submission.

Pandoc reads the notebook's texts and Typst makes the PDF, with the layout that is in
``writeup.typ``. Both come with their Python packages. In between the notebook is a document of
pandoc's, in JSON, where code, outputs and names are data: nothing that they hold is run.
``document.py`` makes it, and says what a notebook's author can decide: what is hidden, captions,
links.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import nbformat

from course import sources
from course.archive import pack
from course.document import to_blocks
from course.pdf import convert, typeset
from course.sources import NOTEBOOK, ROOT, SUBMISSION, cell_name, named
from support.files import atomic_write
from support.process import deferred_interrupt, print_escaped

LAYOUT = Path(__file__).with_name("writeup.typ")
README = Path(__file__).with_name("hand_in.md")
CERTIFICATION = (  # in the words of the assignment
    "I certify that all solutions are entirely in my own words and that I have not looked at "
    "another student's solutions. I have given credit to all external sources I consulted."
)
FIELDS = {
    "--name": "Name", "--student-id": "Student ID", "--collaborators": "Collaborators",
    "--kaggle-name": "Kaggle user name", "--kaggle-score": "Kaggle score",
}  # fmt: skip


def read_notebook(path):
    """Read a notebook; what is none is a ValueError."""
    text = path.read_bytes()
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # whatever bytes of no meaning lead JSON and nbformat to
        raise ValueError(f"{path.name} is no notebook: {error!r:.200}") from error
    return notebook


def make_pdf(notebook, fields, root):
    """The PDF: a title page with texts by the options of `FIELDS`, the notebook, its modules."""
    listings, missing = {}, sources.unanswered(notebook)
    for name in sources.files(root, sources.LISTED):
        with named(name):
            listings[name] = (root / name).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        blocks = to_blocks(notebook, folder, root)
        title, label = NOTEBOOK, None
        if blocks and blocks[0]["t"] == "Header":
            _, (label, *_), words = blocks.pop(0)["c"]
            title = convert([{"t": "Plain", "c": words}], "plain").strip()
        info = {
            "title": title,
            "label": label,
            "certification": CERTIFICATION,
            "fields": [[label, fields.get(option) or None] for option, label in FIELDS.items()]
            + ([["Not answered", "; ".join(missing)]] if missing else []),
            "sources": listings,
        }
        (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
        layout = convert(blocks, "typst", "--standalone", f"--template={LAYOUT}")
        cells = {f"{NOTEBOOK}: {cell_name(cell)}": cell for cell in notebook.cells}
        return typeset(layout, folder, {**fields, **cells, **listings})


def make_archive(fields, root):
    """The zip archive of the code, with a README of its own: no data, the same bytes each time."""
    contents = {name: (root / name).read_bytes() for name in sources.files(root, sources.ARCHIVE)}
    name, student_id = (fields.get(option) or "_" * 30 for option in ("--name", "--student-id"))
    readme = README.read_text(encoding="utf-8").format(name=name, student_id=student_id)
    contents["README.md"] = readme.encode("utf-8")
    return pack({f"code/{name}": content for name, content in contents.items()})


def replace_files(folder, contents):
    """Write files, bytes by name, into a folder, which is made where it is not: all or none."""
    folder.mkdir(parents=True, exist_ok=True)
    # The last file gets its name first: the PDF, which a viewer may hold open.
    with deferred_interrupt(), ExitStack() as stack:
        for name, content in contents.items():
            file = stack.enter_context(atomic_write(folder / name))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a full disk is told before any file gets its name


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the hand-in.", fromfile_prefix_chars="@")
    for option, label in FIELDS.items():
        parser.add_argument(option, dest=option, metavar="TEXT", help=label)
    parser.add_argument("--out", default="hand_in", help="folder (default: %(default)s)")
    parser.convert_arg_line_to_args = lambda line: [line] if line.strip() else []
    try:
        fields = vars(parser.parse_args(arguments))
        out = Path(fields.pop("out")).expanduser()
        notebook = read_notebook(ROOT / NOTEBOOK)
        sources.check_notebook(notebook, ROOT)
        contents = {}
        if (ROOT / SUBMISSION).exists() or not sources.unanswered(notebook):
            sources.check_submission(notebook, ROOT)
            contents[SUBMISSION] = (ROOT / SUBMISSION).read_bytes()
        contents["code.zip"] = make_archive(fields, ROOT)
        contents["writeup.pdf"] = make_pdf(notebook, fields, ROOT)
        replace_files(out, contents)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"writeup: {' '.join(str(error).split())}")
    print_escaped(f"{out}: {', '.join(contents)}")


if __name__ == "__main__":
    main()
