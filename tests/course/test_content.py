"""Foreign and hostile content of a notebook: it is shown and not run, or an error names it."""

import base64
import io
import re
import unicodedata
from pathlib import Path

import matplotlib
import pytest
import typst
from executed import code, marks, picture
from nbformat.v4 import new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from course.document import WIDGET, to_blocks
from course.sources import ROOT, SOURCES, files
from course.writeup import make_pdf

A4 = 595  # points that a page is wide
FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


PNG = picture("png")
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text y="9">drawn</text></svg>'


@pytest.fixture
def root(root):
    """A project with a picture, and one beside it."""
    for path in root / "a picture.png", root.parent / "outside.png":
        path.write_bytes(base64.b64decode(PNG))
    return root


def cell(kind, content, attachments=None):
    """A cell that is text or code, or one whose output is of that kind."""
    if kind == "code":
        return code(content)
    if kind == "markdown":
        return new_markdown_cell(content, attachments=attachments or {})
    if kind == "stream":
        return code("show(x)", new_output("stream", text=content))
    data = content if kind == "data" else {kind: content}
    return code("show(x)", new_output("display_data", data))


def pages_of(root, *cells, **fields):
    """The pages of the write-up of a notebook with these cells, without the appendix."""
    nb = new_notebook(cells=[new_markdown_cell("# Title"), *cells, new_markdown_cell("The end.")])
    pdf = make_pdf(nb, {f"--{key}": value for key, value in fields.items()}, root)
    return PdfReader(io.BytesIO(pdf)).pages[:-1]


def text_of(pages):
    return " ".join(" ".join(page.extract_text() for page in pages).split())


HOSTILE = {
    "stream": ['~~~~~~\n#panic("run")\n~~~~~~'],
    "text/plain": ['~~~~~~~~~~~~\n#panic("run")'],
    "code": ['"""\n~~~~~~\n#panic("run")\n"""'],
    "text/markdown": ['~~~python\n~~~\n#panic("run")\n~~~'],
    "markdown": [
        '```{=typst}\n#panic("run")\n```', '`#panic("run")`{=typst}',
        '~~~a```#panic("run")\npanic\n~~~', 'panic [a]{typst:text:fill="panic()"}',
        '---\ntitle: a\n---\n\n#panic("run")', '$\\text{" #panic() }$',
        '[a" #panic()](https://a.org/"#panic())', "**Figure 1.** ] #panic()",
        r"] #panic() \\] #panic():", "# ] #panic\n\n[a](#]-#panic)",
        '#read("/etc/passwd") #set page(width: 9pt) #include "panic"',
    ],
    "text/html": ["<table><tr><td typst:fill='panic()'>panic</td></tr></table>",
                  "<pre class='a```#panic()'>panic</pre>"],
    "text/latex": ['\\texttt{\\#panic("run")}'],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "content"), [(k, c) for k in HOSTILE for c in HOSTILE[k]])
def test_nothing_runs(kind, content, root):
    pages = pages_of(root, cell(kind, content))
    assert all(round(page.mediabox.width) == A4 for page in pages)
    assert re.search("panic.*The end[.]", text_of(pages))


@pytest.mark.parametrize("unclosed", ["```python\nx = 1", "~~~~", "<!-- open", "$$ open", "<div>"])
def test_a_cell_ends_where_it_ends(unclosed, root):
    pages = pages_of(root, cell("markdown", unclosed), cell("markdown", "Then *this*"))
    assert "Then this" in text_of(pages)


SHOWN = [
    ("data", {"text/html": "<script>x</script>", "text/plain": "as text"}, "as text"),
    ("data", {"text/latex": "$\\displaystyle x^2$", "text/plain": "<Math>"}, "\U0001d4652"),
    ("text/latex", "a \\input{/etc/hosts} b", "a \\input{/etc/hosts} b"),
    ("text/html", "<table><tr><td>1. x</td><td>- y</td></tr></table>", "1. x - y"),
    ("markdown", "**1. x** [= y](https://a.org)\n* \\= a\n* 2\\. b",
     "1. x = y \u2022 = a \u2022 2. b"),
    ("data", {}, "show(x)"),
    ("text/html", "<pre>$x$</pre><p>$y &lt; z$ \\(a\\) \\begin{align}b\\end{align}<td>$5<td>$6",
     "$x$ \U0001d466 < \U0001d467 \U0001d44e \U0001d44f $5 $6"),
    ("markdown", "<table><tr><td><br><ul><li>a</li></ul></td></tr></table>", "\u2022 a"),
    ("markdown", "```\n$a\n\nb$\n```\n$5 to $6", "$a b$ 5\U0001d461\U0001d45c6"),
    ("stream", "1%\r50%\r100%\n\x1b[1;31mred\x1b[0m\x07\r\nlast\r\n", "show(x) 100% red last"),
    ("markdown", "[b]() [c](layers.py) [d](http://x]y) <b></b>", "b c d"),
    ("stream", "\x1b]8;;https://a.org\x1b\\link\x1b]8;;\x07\x1b(B\x1b[m", "show(x) link"),
    ("markdown", "Text\n| a | b |\n|--|--|\n| $|5|$ | d |", "Text a b | 5 | d"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "shown"), SHOWN)
def test_outputs_and_texts_are_shown(kind, content, shown, root):
    assert f"{shown} The end." in text_of(pages_of(root, cell(kind, content)))


SHOWN_AS_PICTURES = [
    *[(f"image/{form}", picture(form)) for form in ("png", "jpeg", "gif", "webp")],
    ("data", {"text/html": "<b>no</b>", "image/png": PNG, "text/plain": "<Figure>"}),
    ("text/html", f'<div><img src="data:image/png;base64,{PNG}" width="30"></div>'),
    ("text/markdown", "![](./a%20picture.png)"), ("markdown", "![a](attachment:b%20c.png)"),
    ("markdown", '![a](<a picture.png> "title") beside text'),
    ("markdown", 'in a line <img src="a picture.png" width="100"/>'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content"), SHOWN_AS_PICTURES)
def test_pictures_are_shown(kind, content, root):
    attached = {"b c.png": {"image/png": PNG}}
    pages = pages_of(root, cell(kind, content, attached))
    assert sum(len(page.images) for page in pages) == 1
    assert "no" not in text_of(pages).split()


WIDTHS = [
    ("image/png", PNG, {"image/png": {"width": 5000}}, [["width", "100%"]]),
    ("image/png", PNG, {"image/png": {"width": "wide"}}, []),
    ("text/html", '<img src="a picture.png" width="90">', {}, [["width", "10%"]]),
    ("text/html", '<img src="a picture.png" width="50%">', {}, [["width", "50%"]]),
]


@pytest.mark.parametrize(("kind", "content", "metadata", "width"), WIDTHS)
def test_pictures_are_as_wide_as_in_the_notebook(kind, content, metadata, width, root):
    nb = new_notebook(cells=[cell(kind, content)])
    nb.cells[0].outputs[0].metadata = metadata
    [shown] = [block for block in to_blocks(nb, root, root) if block["t"] in ("Para", "Plain")]
    assert shown["c"][0]["c"][0] == ["", [], width]


NOT_SHOWN = [
    ("application/json", {"a": 1}, "application/json"),
    ("markdown", "<progress value=3></progress>", "<progress>"),
    ("text/html", "<section role='doc-endnotes'><ol><li>x</ol></section>", "text/html"),
    ("text/html", "<div><script>x</script></div>", "text/html"),
    ("image/png", PNG[:80], "failed to decode image"),
    ("image/svg+xml", SVG.replace("</svg>", '<image href="/a.png"/></svg>'), "linked image"),
    ("markdown", "![a](../outside.png)", "../outside.png"),
    ("markdown", "![a](https://a.org/b.png)", "https://a.org/b.png"),
    ("markdown", "![a](layers.py)", "<embed>"),
    ("markdown", "![a](attachment:c.png)", "attachment:c.png"),
    ("markdown", "![a](a.mp4)", "<video>"), ("markdown", "a <script>b</script>", "<script>"),
    ("markdown", '<input type="button" value="here">', "<input>"),
    ("markdown", '<input type="checkbox" checked> done', "<input>"),
    ("data", {"text/html": "<b>x</b><iframe></iframe>", "text/plain": "<HTML>"}, "text/html"),
    ("data", {"application/pdf": "JVBE", "text/plain": "<Figure>"}, "application/pdf"),
    ("data", {WIDGET: {}, "text/plain": "Slider()"}, "widget-view"),
    ("data", {"text/html": "<script>x</script>", "text/plain": "Chart(...)"}, "text/html"),
    ("markdown", "[a](#No-such)", "links to 'No-such'"),
    ("markdown", "$\\llbracket x$", "bracket.l.double x"),
    ("image/svg+xml", "<svg><foreignObject>", "foreignObject"),
    ("text/latex", "\\begin{tabular}{l}a\\end{tabular}", "begin{tabular}"),
    ("markdown", ">" * 1500 + " x", "recursion"), ("markdown", "\ud800", "surrogates"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "message"), NOT_SHOWN)
def test_what_cannot_be_shown_is_named(kind, content, message, root):
    with pytest.raises(ValueError, match=r"^starter_code\.ipynb: cell ") as error:
        pages_of(root, cell(kind, content))
    name = content if kind == "markdown" else "show(x)"
    _, reason = str(error.value).split(f"cell {name!r:.80}: ")
    assert message in reason


def use_fonts(monkeypatch, *folders):
    """Have this machine's fonts be those in the folders."""
    make = typst.Fonts
    fonts = {system: make(False, True, folders if system else ()) for system in (True, False)}
    monkeypatch.setattr(typst, "Fonts", lambda include_system_fonts: fonts[include_system_fonts])


# Latin, Greek, Cyrillic, Hebrew, Arabic, Typst.
NAMES = "\xeb\xc5\u0141\u0161\u0393\u03ce \u042e\u044f \u05d0\u05d1 \u0623\u062d "
NAMES += '#panic() $a_b$ *c* `d` "e" \\f @g <h>'


def test_names_are_shown(root, monkeypatch):
    use_fonts(monkeypatch)
    shown = unicodedata.normalize("NFKC", text_of(pages_of(root, name=NAMES)[:1]))
    assert set(NAMES) <= set(shown)


LONG = ["~~~\n{}\n~~~", "{}", "* `{}`", "$$ = {} = $$"]


@pytest.mark.parametrize("text", LONG)
def test_what_is_long_stays_on_the_page(text, root):
    title, last = pages_of(root, cell("markdown", text.format("z" * 300)), name="z" * 300)
    for page in title, last:
        shown = unicodedata.normalize("NFKC", page.extract_text())
        assert shown.count("z") == 300
        assert min(x for x, *_ in marks(page)) > 0
        assert "$" in text or max(map(len, shown.split())) <= 100


@pytest.mark.parametrize("character", ["\u674e", "\U0001f642"])
def test_a_character_without_a_font_is_named(character, root, monkeypatch):
    use_fonts(monkeypatch)
    missing = f"no font has the character {character}; install"
    with pytest.raises(ValueError, match=f"^--name: {missing}"):
        pages_of(root, name=f"A {character}")
    with pytest.raises(ValueError, match=rf"^starter_code.ipynb: cell 'show\(x\)': {missing}"):
        pages_of(root, cell("stream", f"A {character}"))
    (root / "layers.py").write_text(f"# {character}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^layers.py: {missing}"):
        pages_of(root)


def test_fonts_of_the_machine_are_used_where_needed(root, monkeypatch):
    use_fonts(monkeypatch, FONTS)  # DejaVu Sans, and LastResort, which has boxes for all
    assert "\U0001f600" in text_of(pages_of(root, name="\U0001f600")[:1])
    with pytest.raises(ValueError, match=r"^--name: no font has the character \u674e"):
        pages_of(root, name="\u674e")


def test_this_project_has_no_character_without_a_font(root, monkeypatch):
    use_fonts(monkeypatch)
    for name in files(ROOT, SOURCES):
        characters = set((ROOT / name).read_text(encoding="utf-8"))
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text("".join(sorted(characters)), encoding="utf-8")
    assert pages_of(root)


def test_a_source_that_is_no_text_is_named(root):
    (root / "layers.py").write_bytes(b"# \xe9")
    with pytest.raises(ValueError, match=r"^layers\.py: "):
        pages_of(root)
