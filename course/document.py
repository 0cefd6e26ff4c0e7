"""A notebook as the blocks of a document of pandoc's: texts, code and what it has shown.

A cell with the tag ``hide-input`` shows what it has shown and not its code. A paragraph that begins
with bold ``**Figure 3.**`` or ``**Table 2.**`` is the caption of what comes next, of a cell's first
picture or table if there is one, and is printed right above it. Links such as
``[part 1](#1.-The-first-part)`` lead to headings and get their page. Headings of the first and
second level begin on a new page, but for one of the second level that is the next after one of the
first. What has to stay together on a page is marked here, by functions that the layout in
``writeup.typ`` defines.
"""

import base64
import hashlib
import json
import re
import textwrap
from contextlib import contextmanager
from functools import partial
from itertools import chain, groupby
from urllib.parse import unquote
from urllib.request import urlopen

from course.pdf import pandoc, typeset
from course.sources import NOTEBOOK, cell_name

WIDGET = "application/vnd.jupyter.widget-view+json"
# An output is shown in the first form that it has: a picture, a text that pandoc reads, plain text.
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
MARKDOWN = "commonmark_x-attributes-raw_attribute-yaml_metadata_block-emoji"
READERS = {"text/markdown": MARKDOWN, "text/html": "html", "text/latex": "latex"}
# What a screen does not show: what is overwritten in its line, codes of colours, other codes.
UNSEEN = re.compile(
    r"^[^\n]*\r(?=[^\r\n])|\x1b\[[\d;?]*[a-zA-Z]|[\x00-\x08\x0b-\x1f\x7f]", re.MULTILINE
)
_WRAP = {"replace_whitespace": False, "drop_whitespace": False, "break_on_hyphens": False}
LINE = 100  # characters of code in a line of the PDF
HIDE = "hide-input"  # a tag of Jupyter Book's: of this cell only what it has shown
EMPHASIS = ("Emph", "Strong", "Underline", "Strikeout", "Superscript", "Subscript")
# What pandoc makes of straight quotes, dashes and dots.
TYPED = {"\u2018": "'", "\u2019": "'", "\u2013": "--", "\u2014": "---", "\u2026": "..."}
TYPED = str.maketrans(TYPED)
MARKUP = re.compile(r"[-+/]|=+|\d+\.")  # what Typst reads as markup at the start of a line
PIXELS = 9  # of the notebook's screen in a hundredth of the PDF's width


def to_blocks(notebook, folder, root):
    """The blocks of a notebook.

    The pictures are written to the folder; root is where the files are that texts show.
    """
    cells, level = [], None  # each with its blocks; the level of the last heading
    for cell in notebook.cells:
        find = partial(_picture, folder=folder, root=root, attached=cell.get("attachments", {}))
        before = next((blocks for _, blocks in reversed(cells) if blocks), [])
        blocks = []
        with _named(cell):
            if cell.cell_type == "markdown":
                for block in _read(cell.source, MARKDOWN, find):
                    if block["t"] == "Header":
                        above, level = level, block["c"][0]
                        # The first question of a part stands below the heading of the part.
                        if (before or blocks) and (level == 1 or (level == 2 and above != 1)):
                            blocks.append(_typst("#pagebreak(weak: true)"))
                    blocks.append(block)
            elif cell.cell_type == "code" and cell.source.strip():
                caption = [before.pop()] if before and _is_caption(before[-1]) else []
                shows = any(_outputs(cell))
                content = _code_cell(cell, caption if shows else [], find)
                # Where a cell shows nothing, the caption is that of the next one.
                blocks = [_typst("#together["), *content, _typst("]"), *([] if shows else caption)]
        cells.append((cell, blocks))
    _link(cells)
    return list(chain.from_iterable(map(_announce, chain.from_iterable(b for _, b in cells))))


@contextmanager
def _named(cell):
    """Errors name the cell."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{NOTEBOOK}: {cell_name(cell)}: {error}") from error


def _typst(code):
    """Code of Typst's, a call of what the layout defines: nothing of a notebook goes into it."""
    return {"t": "RawBlock", "c": ["typst", code]}


def _announce(block):
    """A block; a caption, or a sentence that ends in a colon, is marked to stay with the next."""
    if _is_caption(block):
        return [_typst("#caption["), block, _typst("]")]
    if block["t"] == "Para" and _text(block["c"]).endswith(":"):
        return [_typst("#announcement["), block, _typst("]")]
    return [block]


def _is_caption(block):
    """Whether a paragraph begins with bold **Figure 3.** or **Table 2.**"""
    start = block["c"][:1] if block["t"] == "Para" else []
    bold = [_text(inline["c"]) for inline in start if inline["t"] == "Strong"]
    return any(re.fullmatch(r"(Figure|Table) \d+\.", text) for text in bold)


def _link(cells):
    """Have links inside the notebook lead to headings, by the anchors that Jupyter gives them.

    An anchor is the heading's text with dashes for spaces; of several the first heading has it.
    """
    labels = {}
    for number, header in enumerate(_nodes([blocks for _, blocks in cells], "Header"), start=1):
        label = header["c"][1][0] = f"heading-{number}"
        labels.setdefault(_text(header["c"][2]).replace(" ", "-"), label)
    for cell, blocks in cells:
        with _named(cell):
            for link in _nodes(blocks, "Link"):
                address = link["c"][2][0]
                if address.startswith("#"):
                    anchor = unquote(address[1:])
                    if anchor not in labels:
                        raise ValueError(f"links to {anchor!r:.80}, and no heading has this anchor")
                    link["c"][2] = [f"#{labels[anchor]}", ""]


def _nodes(node, kind):
    """The nodes of a kind in a part of a document, in order."""
    if isinstance(node, dict):
        if node["t"] == kind:
            yield node
        node = node.get("c")
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part, kind)


def _text(inlines):
    """The characters of inline elements, as they are in the notebook."""
    text = ""
    for inline in inlines:
        kind, content = inline["t"], inline.get("c")
        if kind == "Str":
            text += content.translate(TYPED)
        elif kind in ("Space", "SoftBreak"):
            text += " "
        elif kind == "Math":
            text += f"${content[1]}$"
        elif kind == "Code":
            text += content[1]
        elif kind == "Quoted":
            mark = "'" if content[0]["t"] == "SingleQuote" else '"'
            text += mark + _text(content[1]) + mark
        elif kind == "Link":
            text += _text(content[1])
        elif kind in EMPHASIS:
            text += _text(content)
    return text


def _code_cell(cell, caption, find):
    """The blocks of a cell of code; its caption stands above the first picture or table, if any."""
    hidden = HIDE in cell.metadata.get("tags", [])
    source = [] if hidden else [_code(cell.source, "python")]
    shown = []
    for is_text, outputs in groupby(_outputs(cell), lambda o: o.output_type == "stream"):
        if is_text:  # what a kernel has sent in pieces is one text
            shown.append(_code(UNSEEN.sub("", "".join(output.text for output in outputs))))
        else:
            shown += chain.from_iterable(_output(output, find) for output in outputs)
    place = next((i for i, block in enumerate(shown) if block["t"] in ("Para", "Table")), 0)
    return [*source, *shown[:place], *caption, *shown[place:]]


def _outputs(cell):
    return (output for output in cell.outputs if not _is_progress(output))


def _is_progress(output):
    """Whether an output is a progress bar, as text or as a widget."""
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _output(output, find):
    if output.output_type == "error":
        return [_code(f"{output.ename}: {output.evalue}")]
    data = output.data
    for kind in PICTURES:
        if kind in data:
            shown = output.metadata.get(kind)
            width = shown.get("width") if isinstance(shown, dict) else None
            content = data[kind].encode() if "svg" in kind else base64.b64decode(data[kind])
            return [_typst("#shown["), {"t": "Para", "c": [find(content, width)]}, _typst("]")]
    for kind, reader in READERS.items():
        if blocks := _read(data.get(kind, ""), reader, find):
            # In a table that is an output numbers stand below each other, as Jupyter has them.
            for alignment in _nodes(blocks, "AlignDefault") if kind == "text/html" else ():
                alignment["t"] = "AlignRight"
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
    typeset(f'#image("{name}")', folder, {})  # here, where an error can name the cell
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
    [blocks] = _clean(json.loads(pandoc(text, "json", form))["blocks"], find)
    return blocks


def _clean(node, find):
    """The nodes to put in place of a node of pandoc's, so that nothing in it reaches Typst as code.

    Attributes and raw parts do: there are no attributes, but for a language's name, and of what is
    raw only HTML is read. Links lead to the web or, after `_link`, to headings; pictures are found
    by ``find``.
    """
    if isinstance(node, list):
        if [type(part) for part in node] == [str, list, list]:  # attributes
            return [["", [], []]]
        nodes = list(chain.from_iterable(_clean(part, find) for part in node))
        first = nodes[0] if nodes and isinstance(nodes[0], dict) else {"t": None}
        if first["t"] == "Str" and MARKUP.fullmatch(first["c"]):
            # In a cell or in bold type pandoc lets it begin a list or a heading.
            nodes.insert(0, {"t": "RawInline", "c": ["typst", "#[]"]})
        return [nodes]
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
    if kind == "Link" and not re.match("https?://|mailto:|#.", content[2][0]):
        return _clean(content[1], find)[0]
    return [{key: _clean(value, find)[0] for key, value in node.items()}]
