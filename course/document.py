"""A notebook as the blocks of a document of pandoc's: texts, code and what it has shown.

A cell with the tag ``hide-input`` shows what it has shown and not its code. A paragraph that begins
with bold ``**Figure 3.**`` or ``**Table 2.**`` is the caption of what comes next, of a cell's first
picture or table if there is one, and is printed right above it. Links such as
``[part 1](#1.-The-first-part)`` lead to headings and get their page. Headings of the first and
second level begin on a new page, but for one of the second level that is the next after one of the
first. What has to stay together on a page is marked here, by functions that the layout in
``writeup.typ`` defines.

Markdown is read as JupyterLab reads it. What no page can show, and a formula that pandoc does not
know, is a ValueError that names the cell.
"""

import base64
import hashlib
import html
import json
import re
import textwrap
from contextlib import suppress
from functools import partial
from itertools import chain, groupby
from urllib.parse import unquote
from urllib.request import urlopen

from course.pdf import convert, pandoc, typeset
from course.sources import named

WIDGET = "application/vnd.jupyter.widget-view+json"
# An output is shown in the first form that it has: a picture, a text that pandoc reads, plain text.
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
READERS = ("text/markdown", "text/html", "text/latex")
HTML = "html-native_divs-native_spans+tex_math_single_backslash"
MARKDOWN = "commonmark+pipe_tables+strikeout+task_lists+autolink_bare_uris"  # as JupyterLab has it
# What no page can show: pandoc passes over it, or takes the words inside.
UNPRINTABLE = re.compile(r"""(?xi) <(script|iframe|video|audio|canvas|object|embed|textarea|meter
    |progress|input(?![^>]*checkbox)|(?<!<label><)input|section(?=[^>]*endnotes))\b""")
# What a screen does not show: what is overwritten in its line, codes of colours, other codes.
UNSEEN = re.compile(r"""(?mx) ^[^\n]*\r(?=[^\r\n]) | \x1b[\[(][\d;?]*[a-zA-Z]
    | \x1b\][^\x07\x1b]*(\x1b\\)? | [\x00-\x08\x0b-\x1f\x7f-\x9f]""")
PROGRESS = re.compile(r"(?m)^[^\n]*?(\d+%\|[ #\d█-▏]*(\||$)|\d+\w* \[\d+:\d\d)[^\]\n]*\]?")
NAME = re.compile(r"\s*(<|[\w.]+\(\.\.\.\)$)")  # a text that only says what an object is
_WRAP = {"replace_whitespace": False, "drop_whitespace": False, "break_on_hyphens": False}
WEB = re.compile("https?://|mailto:|#.")  # where links lead, or to a heading
MARKUP = re.compile(r"[-+/]|=+|\d+\.")  # what Typst reads as markup at the start of a line
PIXELS = 9  # of the notebook's screen in a hundredth of the PDF's width

# A formula, or code and escaped characters, which are none though they may have dollars. It ends in
# its paragraph, and in HTML before the next tag.
FORMULA = r"""^[ ]*(?P<fence>`{3,}|~{3,})[^`\n]*\n.*?^[ ]*(?P=fence) | \\[$`]
    | (?P<table>(?<=\S)\n(?=[^\n]*\|[^\n]*\n[ ]*\|?[ ]*:?-+:?[ ]*\|[-:| ]*$))
    | <(?P<tag>pre|code)\b.*?</(?P=tag)> | (?<!`)(?P<ticks>`+)(?!`)ANY*?(?<!`)(?P=ticks)(?!`)
    | (?P<formula> \$\$(?!\s*\$)ANY+?\$\$ | \$(?!\s*\$)(?:\\.|(?!\$)ANY)+\$ | \\\\\[ANY*?\\\\\]
        | \\\\\(ANY*?\\\\\) | \\(?:eq)?ref\{[^{}]*\}
        | \\begin\{(?P<name>[a-zA-Z]+\*?)\}ANY*?\\end\{(?P=name)\})"""
FORMULA, FORMULA_IN_HTML = (
    re.compile("(?msx)" + FORMULA.replace("ANY", f"(?:(?!{end}).)")) for end in (r"\n\s*\n", "<")
)
DELIMITER = re.compile(r"^(\$\$?|\\\\[\[(])|(\$\$?|\\\\[\])])$")
MARK = re.compile("\ue000([0-9a-f]+)\ue001")  # a formula while pandoc reads the text around it
GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\}"  # of four levels of braces
DEFINITION = re.compile(
    rf"\\(?:\w*newcommand|DeclareMathOperator)\*?\s*(?:\\\w+|{GROUP})\s*(?:\[[^]]*\]\s*)*{GROUP}"
)
# What pandoc does not know or sets badly, as what it knows; what it leaves out or makes an error of
# Typst's, which does not name the formula.
KNOWN = (
    (rf"\{{\s*\\(bf|rm|it|cal|sf|tt)\b\s*((?:[^{{}}]|{GROUP})*)\}}", r"{\\math\1{\2}}"),
    (r"\\def\s*(\\[a-zA-Z]+)\s*(?=\{)", r"\\newcommand{\1}"),
    (r"\\label\s*\{[^{}]*\}|\\(notag|nonumber)\b|(?m:(?<!\\)%[^{}\n]*$)", ""),
    (r"\\?%(?!\{\})", r"\\%{}"),
    (r"(?<!\\)\\\|", r"\\Vert "),
    (r"\\cfrac\b", r"\\dfrac"),
    # Lines that stand in no environment.
    (r"(?s)^(?!.*\\(?:begin|substack))(.*\\\\.*)$", r"\\begin{gathered}\1\\end{gathered}"),
)
LOST = re.compile(r"""(?x) \\(color|tag|hline)(?![a-zA-Z]) | (?<!\\)\\& | \\begin\{[vV]matrix
    | \\begin\{array\}\{(@\{\}|[^|}])*\| | \\(overset|stackrel)\{[^{}]*\}\{(\\math\w+\W*)?\w""")


class Unprintable(ValueError):
    """A text has what no page can show."""


def to_blocks(notebook, folder, root):
    """The blocks of a notebook.

    The pictures are written to the folder; root is where the files are that texts show.
    """
    cells, level = [], None  # each with its blocks; the level of the last heading
    for cell in notebook.cells:
        find = partial(_picture, folder=folder, root=root, attached=cell.get("attachments", {}))
        before = next((blocks for _, blocks in reversed(cells) if blocks), [])
        blocks = []
        with named(cell):
            if cell.cell_type == "markdown":
                for block in _read(cell.source, "text/markdown", find):
                    if block["t"] == "Header":
                        above, level = level, block["c"][0]
                        # The first question of a part stands below the heading of the part.
                        if (before or blocks) and (level == 1 or (level == 2 and above != 1)):
                            blocks.append(_typst("#pagebreak(weak: true)"))
                    blocks.append(block)
            elif cell.cell_type == "raw" and cell.source.strip():
                blocks = [_code(cell.source)]
            elif cell.cell_type == "code":
                blocks = _code_cell(cell, list(_shown(cell, find)), before)
        cells.append((cell, blocks))
    _link(cells)
    _check_formulas(cells, folder)
    return list(chain.from_iterable(map(_announce, chain.from_iterable(b for _, b in cells))))


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
    """Tell if a paragraph begins with bold **Figure 3.** or **Table 2.**"""
    start = block["c"][:1] if block["t"] == "Para" else []
    number = re.compile(r"(Figure|Table) \d+\.")
    return any(part["t"] == "Strong" and number.fullmatch(_text(part["c"])) for part in start)


def _link(cells):
    """Have links inside the notebook lead to headings, by the anchors that Jupyter gives them.

    An anchor is the heading's text with dashes for spaces; of several the first heading has it.
    """
    labels = {}
    for number, header in enumerate(_nodes([blocks for _, blocks in cells], "Header"), start=1):
        label = header["c"][1][0] = f"heading-{number}"
        labels.setdefault(_text(header["c"][2]).replace(" ", "-"), label)
    for cell, blocks in cells:
        with named(cell):
            for link in _nodes(blocks, "Link"):
                if (address := link["c"][2][0]).startswith("#"):
                    if (anchor := unquote(address[1:])) not in labels:
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


def _text(node):
    """The characters of a part of a document, as they are in the notebook."""
    if isinstance(node, list):
        return "".join(map(_text, node))
    if not isinstance(node, dict):
        return ""
    kind, content = node["t"], node.get("c", " ")  # spaces hold nothing
    if kind in ("Code", "Math"):
        return content[1] if kind == "Code" else f"${content[1]}$"
    return content if isinstance(content, str) else _text(content)


def _code_cell(cell, shown, before):
    """The blocks of a cell of code, with the caption that the blocks before it end in, if any.

    It stands above the first picture or table. Of a cell that shows nothing it is none, but of the
    next one.
    """
    caption = [before.pop()] if before and _is_caption(before[-1]) else []
    hidden = "hide-input" in cell.metadata.get("tags", []) or not cell.source.strip()
    source = [] if hidden else [_code(cell.source, "python")]
    if not shown:
        return [*source, *caption]
    place = next((i for i, block in enumerate(shown) if block["t"] in ("Para", "Table")), 0)
    return [*source, *shown[:place], *caption, *shown[place:]]


def _shown(cell, find):
    """Yield the blocks of what a cell of code has shown, without progress bars."""
    for name, outputs in groupby(cell.outputs, lambda output: output.get("name")):
        if name is None:
            yield from chain.from_iterable(_output(output, find) for output in outputs)
            continue
        # What a kernel has sent in pieces is one text.
        text = UNSEEN.sub("", "".join(output.text for output in outputs))
        text = PROGRESS.sub("", text).strip("\n") if name == "stderr" else text
        if text.strip():
            yield _code(text)


def _output(output, find):
    if output.output_type == "error":
        return [_code(f"{output.ename}: {output.evalue}")]
    data = output.data
    for kind in PICTURES:
        if kind in data:
            width = output.metadata.get(kind, {}).get("width")
            content = data[kind].encode() if "svg" in kind else base64.b64decode(data[kind])
            return [_typst("#shown["), {"t": "Para", "c": [find(content, width)]}, _typst("]")]
    lost = set(data) - {"text/plain"}
    for kind in READERS:
        with suppress(Unprintable):
            if kind in data and (blocks := _read(data[kind], kind, find)):
                # In a table that is an output numbers stand below each other, as Jupyter has them.
                for alignment in _nodes(blocks, "AlignDefault") if kind == "text/html" else ():
                    alignment["t"] = "AlignRight"
                return blocks
            lost.discard(kind)  # there is nothing to see
    text = UNSEEN.sub("", data.get("text/plain", ""))
    if text and WIDGET not in data and not (len(data) > 1 and NAME.match(text)):
        return [_code(text)]
    if lost and not (WIDGET in data and PROGRESS.search(text)):
        raise ValueError(f"nothing of its output can be printed, which is {', '.join(data)}")
    return []


def _code(text, *classes):
    """A block of code in lines of 100: Typst breaks them between words, and not all have any."""
    lines = (textwrap.wrap(line, 100, **_WRAP) or [""] for line in text.rstrip().split("\n"))
    return {"t": "CodeBlock", "c": [["", classes, []], "\n".join(chain.from_iterable(lines))]}


def _picture(source, width, *, folder, root, attached):
    """A picture, as an element of pandoc's: source is its bytes, or the address in a text.

    width is in pixels of the screen or in %, as HTML has it, None where it is not known.
    """
    content = _find(source, root, attached) if isinstance(source, str) else source
    if b"<foreignObject" in content:
        raise ValueError("a drawing has HTML in it (foreignObject), which cannot be printed")
    name = hashlib.sha256(content).hexdigest()[:16]
    (folder / name).write_bytes(content)
    typeset(f'#image("{name}")', folder, {})  # here, where an error can name the cell
    found = re.fullmatch(r"(\d+)[.\d]*(px|%)?", str(width))
    percent = int(found[1]) // (1 if found[2] == "%" else PIXELS) if found else 0
    attributes = [["width", f"{max(1, min(100, percent))}%"]] if found else []
    return {"t": "Image", "c": [["", [], attributes], [], [name, ""]]}


def _find(address, root, attached):
    """The bytes of a picture that a text shows: from itself, its cell, or the project's folder."""
    scheme, _, rest = address.partition(":")
    with named(f"picture {address!r:.80}"):
        if scheme == "data":
            return urlopen(address).read()  # which finds it in the address
        if scheme == "attachment" and (forms := attached.get(rest) or attached.get(unquote(rest))):
            return base64.b64decode(next(iter(forms.values())))
        path = (root / unquote(address)).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path.read_bytes()
        raise ValueError("it is not in the project's folder; put it there")


def _read(text, form, find):
    """The blocks of a text, as `_clean` leaves them."""
    if form == "text/markdown":
        text = _as_html(text)
    else:
        text = text if form == "text/html" else html.escape(text, quote=False)
        text = FORMULA_IN_HTML.sub(lambda f: _delimit(f[0]) if f["formula"] else f[0], text)
    if found := UNPRINTABLE.search(text):
        raise Unprintable(f"{found[0]}> cannot be printed")
    blocks = _clean(json.loads(pandoc(text, "json", HTML))["blocks"], find)[0]
    # A text without a paragraph, as in <div>, would go on in what follows it.
    return [{**block, "t": "Para"} if block["t"] == "Plain" else block for block in blocks]


def _as_html(text):
    """Markdown in HTML. Formulas are found first, and marks stand for them in the Markdown."""

    def mark(found):
        if found["formula"]:
            return f"\ue000{found[0].encode().hex()}\ue001"
        return found[0] * 2 if found["table"] else found[0]  # an empty line above a table

    def put(found):
        part = MARK.sub(lambda mark: html.escape(bytes.fromhex(mark[1]).decode()), found[0])
        # In code and in tags a formula stays as it was written.
        return part if found[0][0] == "<" else _delimit(part)

    text = pandoc(FORMULA.sub(mark, text), "html", MARKDOWN, "--syntax-highlighting=none")
    return re.sub(rf"(?s)<(code|pre)\b.*?</\1>|<[^>]*>|{MARK.pattern}", put, text)


def _delimit(formula):
    r"""A formula in HTML between the delimiters that pandoc knows there, \( \) and \[ \]."""
    start, end = "()" if re.match(r"\$[^$]|\\\\\(", formula) else "[]"
    return rf"\{start}{DELIMITER.sub('', formula).strip()}\{end}<!-- a digit may follow -->"


def _check_formulas(cells, folder):
    """Give each formula the definitions above it, and raise ValueError if it cannot be printed."""
    definitions = ""
    for cell, blocks in cells:
        with named(cell):
            formulas = list(_nodes(blocks, "Math"))
            for math in formulas:
                source = text = math["c"][1]
                for pattern, known in KNOWN * 3:  # also what is in each other
                    text = re.sub(pattern, known, text)
                if found := LOST.search(text):
                    raise ValueError(f"formula {source!r:.80} cannot be printed with {found[0]}")
                math["c"][1] = definitions + text
                definitions += "".join(DEFINITION.findall(text))
            typeset(convert([{"t": "Para", "c": [f]} for f in formulas], "typst"), folder, {})


def _clean(node, find):
    """The nodes to put in place of a node of pandoc's, so that nothing in it reaches Typst as code.

    Attributes do: there are none, but for Python as a language. Links lead to the web or, after
    `_link`, to headings; pictures are found by ``find``.
    """
    match node:
        case [str(), list(), list()]:  # attributes
            return [["", [], []]]
        case list():
            nodes = list(chain.from_iterable(_clean(part, find) for part in node))
            match nodes:
                case [{"t": "Str", "c": text}, *_] if MARKUP.fullmatch(text):
                    # In a cell or in bold type pandoc lets it begin a list or a heading.
                    nodes.insert(0, {"t": "RawInline", "c": ["typst", "#[]"]})
            return [nodes]
        case {"t": "Image", "c": [[_, _, attributes], _, [address, _]]}:
            return [find(address, dict(attributes).get("width"))]
        case {"t": "CodeBlock", "c": [[_, classes, _], text]}:
            return [_code(text, *{"python"}.intersection(classes))]
        case {"t": "Link", "c": [_, text, [address, _]]} if not WEB.match(address):
            return _clean(text, find)[0]
        case dict():
            return [{key: _clean(value, find)[0] for key, value in node.items()}]
    return [node]
