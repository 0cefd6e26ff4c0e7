"""The hand-in: write-up, code archive and submission, made from the executed notebook.

    python -m course.writeup --name "Ada Lovelace" --student-id 1815 --kaggle-score 0.9965
    python -m course.writeup @me.txt        # the same arguments from a file, one a line

The folder ``hand_in`` then holds ``writeup.pdf``, ``code.zip`` and ``submission.csv``. What is not
given stays a blank to be filled in by hand. When nothing has changed, the files come out the same,
byte for byte. Where something cannot be handed in, one line says what, and an old hand-in stays.

Pandoc reads the notebook's texts and Typst makes the PDF, with the layout that is in
``writeup.typ``. Both come with their Python packages. In between the notebook is a document of
pandoc's, in JSON, where code, outputs and names are data: nothing that they hold is run.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import textwrap
import unicodedata
import zipfile
from contextlib import ExitStack, suppress
from functools import cache, partial
from itertools import chain
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import nbformat
import pypandoc
import typst

from course import sources
from course.sources import NOTEBOOK, ROOT, SUBMISSION, cell_name, check_notebook, check_submission
from support.files import atomic_write
from support.process import deferred_interrupt, say

LAYOUT = Path(__file__).with_name("writeup.typ")
CERTIFICATION = (
    "I certify that I wrote this write-up and its code myself, in my own words, that I have not "
    "looked at the solutions of other students, and that every outside source that I used is "
    "named in it."
)
FIELDS = {
    "--name": "Name",
    "--student-id": "Student ID",
    "--collaborators": "Collaborators",
    "--kaggle-name": "Kaggle user name",
    "--kaggle-score": "Kaggle score",
}
MAX_BYTES = 2**26  # of a notebook
WIDGET = "application/vnd.jupyter.widget-view+json"
# An output is shown in the first form that it has: a picture, a text that pandoc reads, plain text.
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
MARKDOWN = "commonmark_x-attributes-raw_attribute-yaml_metadata_block-emoji"
READERS = {"text/markdown": MARKDOWN, "text/html": "html", "text/latex": "latex"}
# What a screen does not show: what is overwritten in its line, codes of colours, other codes.
UNSEEN = re.compile(
    r"^[^\n]*\r(?=[^\r\n])|\x1b\[[\d;?]*[a-zA-Z]|[\x00-\x08\x0b-\x1f\x7f]", re.MULTILINE
)
LAST_RESORT = b"LastResort"  # a font of macOS that has for every character a box
_WRAP = {"replace_whitespace": False, "drop_whitespace": False, "break_on_hyphens": False}
LINE = 100  # characters of code in a line of the PDF
PIXELS = 9  # of the notebook's screen in a hundredth of the PDF's width


def read_notebook(path):
    """Read a notebook; what is none is a ValueError."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path.name}: expected at most {MAX_BYTES:,} bytes, found more")
    try:
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
        nbformat.validate(notebook)
        json.dumps(notebook, ensure_ascii=False).encode("utf-8")  # no halves of characters
    except Exception as error:  # whatever bytes of no meaning lead JSON and nbformat to
        reason = getattr(error, "message", f"{type(error).__name__}: {error}")
        raise ValueError(f"{path.name} is no notebook: {reason:.200}") from error
    return notebook


def to_blocks(notebook, folder, root):
    """A notebook as the blocks of a document of pandoc's: texts, code and what it has shown.

    The pictures are written to the folder; root is where the files are that texts show.
    """
    blocks = []
    for cell in notebook.cells:
        find = partial(_picture, folder=folder, root=root, attached=cell.get("attachments", {}))
        try:
            if cell.cell_type == "markdown":
                blocks += _read(cell.source, MARKDOWN, find)
            elif cell.cell_type == "code" and cell.source.strip():
                blocks.append(_code(cell.source, "python"))
                for output in cell.outputs:
                    if not _is_progress(output):
                        blocks += _output(output, find)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{NOTEBOOK}: {cell_name(cell)}: {error}") from error
    return blocks


def _is_progress(output):
    """Whether an output is a progress bar, as text or as a widget."""
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _output(output, find):
    if output.output_type == "stream":
        return [_code(UNSEEN.sub("", output.text))]
    data = output.data
    for kind in PICTURES:
        if kind in data:
            shown = output.metadata.get(kind)
            width = shown.get("width") if isinstance(shown, dict) else None
            content = data[kind].encode() if "svg" in kind else base64.b64decode(data[kind])
            return [{"t": "Para", "c": [find(content, width)]}]
    for kind, reader in READERS.items():
        if blocks := _read(data.get(kind, ""), reader, find):
            return blocks
    if "text/plain" in data:
        return [_code(UNSEEN.sub("", data["text/plain"]))]
    if data:
        raise ValueError(f"nothing of its output can be printed, which is {', '.join(data)}")
    return []


def _code(text, language=None):
    """A block of code, its lines broken: Typst does it between words, and not all have spaces."""
    lines = (textwrap.wrap(line, LINE, **_WRAP) or [""] for line in text.rstrip().split("\n"))
    classes = [language] if language else []
    return {"t": "CodeBlock", "c": [["", classes, []], "\n".join(chain.from_iterable(lines))]}


def _picture(source, width, *, folder, root, attached):
    """A picture, as an element of pandoc's: source is its bytes, or the address in a text.

    width is in pixels of the screen, None where it is not known.
    """
    content = _find(source, root, attached) if isinstance(source, str) else source
    name = hashlib.sha256(content).hexdigest()[:16]
    (folder / name).write_bytes(content)
    _typeset(f'#image("{name}")', folder, {})  # here, where an error can name the cell
    known = isinstance(width, int | float) and width > 0
    attributes = [["width", f"{max(1, min(100, width // PIXELS))}%"]] if known else []
    return {"t": "Image", "c": [["", [], attributes], [], [name, ""]]}


def _find(address, root, attached):
    """The bytes of a picture that a text shows: from itself, its cell, or the project's folder."""
    scheme, _, rest = address.partition(":")
    try:
        if scheme == "data":
            with urlopen(address) as file:  # which finds it in the address
                return file.read()
        if scheme == "attachment":
            return base64.b64decode(next(iter(attached[unquote(rest)].values())))
        path = (root / unquote(address)).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path.read_bytes()
    except (OSError, ValueError, LookupError, StopIteration) as error:
        raise ValueError(f"picture {address!r:.80} cannot be read: {error!r}") from error
    raise ValueError(f"picture {address!r:.80} is not in the project's folder; put it there")


def _read(text, form, find):
    """The blocks of a text that pandoc reads, as `_clean` leaves them."""
    [blocks] = _clean(json.loads(_pandoc(text, "json", form))["blocks"], find)
    return blocks


@cache
def _pandoc(text, to, form, *options):
    return pypandoc.convert_text(text, to, form, ["--sandbox", *options])


def _clean(node, find):
    """The nodes to put in place of a node of pandoc's, so that nothing in it reaches Typst as code.

    Attributes and raw parts do: there are no attributes, but for a language's name, and of what is
    raw only HTML is read. Links lead to the web only, and pictures are found by ``find``.
    """
    if isinstance(node, list):
        if [type(part) for part in node] == [str, list, list]:  # attributes
            return [["", [], []]]
        return [list(chain.from_iterable(_clean(part, find) for part in node))]
    if not isinstance(node, dict):
        return [node]
    kind, content = node["t"], node.get("c")
    if kind in ("RawBlock", "RawInline"):
        blocks = _read(content[1], "html", find) if content[0] == "html" else []
        if kind == "RawBlock":
            return blocks
        # One tag by itself: those of a style have nothing in between.
        inlines = chain.from_iterable(b["c"] for b in blocks if b["t"] in ("Plain", "Para"))
        return [i for i in inlines if i["t"] in ("Image", "LineBreak")]
    if kind == "Image":
        width = dict(content[0][2]).get("width", "")
        return [find(content[2][0], int(width) if width.isdecimal() else None)]
    if kind == "CodeBlock":
        language = next(iter(content[0][1]), "")
        return [_code(content[1], language if re.fullmatch(r"[\w+-]+", language) else None)]
    if kind in ("Div", "Span"):
        return _clean(content[1], find)[0]
    if kind == "Link" and not content[2][0].startswith(("https://", "http://", "mailto:")):
        return _clean(content[1], find)[0]
    return [{key: _clean(value, find)[0] for key, value in node.items()}]


def make_pdf(notebook, fields, root):
    """The PDF: a title page with texts by the options of `FIELDS`, the notebook, the sources."""
    listings = {}
    for name in sources.files(root, sources.SOURCES):
        try:
            listings[name] = (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not in UTF-8: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        document = json.loads(_pandoc("", "json", MARKDOWN))
        document["blocks"] = to_blocks(notebook, folder, root)
        title = NOTEBOOK
        if document["blocks"] and document["blocks"][0]["t"] == "Header":
            heading = {"t": "Plain", "c": document["blocks"].pop(0)["c"][2]}
            title = _pandoc(json.dumps({**document, "blocks": [heading]}), "plain", "json").strip()
        info = {
            "title": title,
            "certification": CERTIFICATION,
            "fields": [[label, fields.get(option)] for option, label in FIELDS.items()],
            "sources": listings,
        }
        (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
        options = "--standalone", f"--template={LAYOUT}"
        layout = _pandoc(json.dumps(document), "typst", "json", *options)
        cells = {f"{NOTEBOOK}: {cell_name(cell)}": cell for cell in notebook.cells}
        return _typeset(layout, folder, {**fields, **cells, **listings})


def _typeset(text, folder, origins):
    """The PDF of a text of Typst's, which can read what is in the folder and nothing else.

    origins says, by name, what the text was made of: where to look for a character without a font.
    """
    (folder / "main.typ").write_text(text, encoding="utf-8")
    for system_fonts in (False, True):  # those of this machine only where they are needed
        fonts = typst.Fonts(include_system_fonts=system_fonts)
        try:
            # A PDF of this kind, for archives, has to have a glyph for every character. Its date
            # is not today's, so that the same input gives the same bytes.
            pdf = typst.compile(
                folder / "main.typ", font_paths=fonts, pdf_standards="a-2b", timestamp=0
            )
            if LAST_RESORT not in pdf:
                return pdf
        except typst.TypstError as exception:
            error = exception
    found = re.search(r'the text `"(.+?)"` could not be displayed', error.diagnostic)
    if not found:
        raise ValueError(f"the notebook cannot be printed: {error.message}") from error
    character = re.sub(r"\\u\{(\w+)\}", lambda code: chr(int(code[1], 16)), found[1])
    sought = json.dumps(character, ensure_ascii=False)[1:-1]
    texts = ((name, json.dumps(value, ensure_ascii=False)) for name, value in origins.items())
    place = next((f"{name}: " for name, text in texts if sought in text), "")
    raise ValueError(
        f"{place}no font has the character {found[1]}; install one that has it, such as Noto, or "
        "do without it"
    ) from error


def make_archive(root):
    """The zip archive of the code: no data, the same bytes each time."""
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sources.files(root, sources.ARCHIVE):
            # A member's date is that of the zip format's first day, unless it is given.
            archive.writestr(zipfile.ZipInfo(f"code/{name}"), (root / name).read_bytes())
    return file.getvalue()


def replace_files(folder, contents):
    """Write files, bytes by name, into a folder, which is made where it is not: all or none."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The last file gets its name first: the PDF, which a viewer may hold open.
        with deferred_interrupt(), ExitStack() as stack:
            for name, content in contents.items():
                file = stack.enter_context(atomic_write(folder / name))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a full disk is told before any file gets its name
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description="Make the hand-in from the executed notebook.", fromfile_prefix_chars="@"
    )
    for option, label in FIELDS.items():
        parser.add_argument(option, metavar="TEXT", help=f"{label}, for the title page")
    parser.add_argument("--out", default="hand_in", help="folder (default: %(default)s)")
    parser.convert_arg_line_to_args = lambda line: [line] if line.strip() else []
    try:
        arguments = parser.parse_args(arguments)
    except (UnicodeDecodeError, RecursionError) as error:
        parser.error(f"a file of arguments cannot be read: {error}")
    try:
        fields = _check_fields(arguments)
        out = Path(arguments.out).expanduser()
        notebook = read_notebook(ROOT / NOTEBOOK)
        check_notebook(notebook, ROOT)
        num_predictions = check_submission(notebook, ROOT)
        contents = {
            SUBMISSION: (ROOT / SUBMISSION).read_bytes(),
            "code.zip": make_archive(ROOT),
            "writeup.pdf": make_pdf(notebook, fields, ROOT),
        }
        replace_files(out, contents)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"writeup: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("writeup: stopped by Ctrl-C; nothing was written")
    say(f"{out}: writeup.pdf, code.zip, {SUBMISSION} ({num_predictions:,} predictions)")


def _check_fields(arguments):
    """The texts for the title page, by option; one that is no line of text is a ValueError."""
    fields = {}
    for option in FIELDS:
        text = getattr(arguments, option[2:].replace("-", "_")) or ""
        fields[option] = text.strip() or None
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
                raise ValueError(f"{option} must be a line of text, got one with {character!r}")
    return fields


if __name__ == "__main__":
    main()
