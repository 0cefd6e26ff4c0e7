"""How a notebook becomes pages: nothing is lost, where it stands, what stays together, links."""

import io
import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
from executed import code, marks, picture
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook, new_output, new_raw_cell
from pypdf import PdfReader

from course.writeup import make_pdf

NUM_QUESTIONS = 23  # over a page and more
HEIGHT, MARGIN = 842, 45  # of a page of A4, in points
HIDDEN = {"tags": ["hide-input"]}


def printed(text):
    return new_output("stream", text=text)


def plot(height, width):
    """The output of a picture that is shown in so many pixels."""
    data = {"image/png": picture("png", np.zeros((height, width)))}
    return new_output("display_data", data, metadata={"image/png": {"width": width}})


def pages_of(root, *cells):
    """The pages of a notebook, without title page and contents, and without the appendix."""
    cells = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    cells = [NotebookNode({**cell, "id": f"cell-{i}"}) for i, cell in enumerate(cells)]
    nb = new_notebook(cells=[new_markdown_cell("# The title"), *cells])
    pages = PdfReader(io.BytesIO(make_pdf(nb, {}, root))).pages
    texts = [page.extract_text() for page in pages]
    start = next(i for i, text in enumerate(texts) if i and ". . . ." not in text)
    end = next(i for i, text in enumerate(texts) if "These are the modules" in text)
    return [pages[i] for i in range(start, end)]


def texts_of(root, *cells):
    return [" ".join(page.extract_text().split()) for page in pages_of(root, *cells)]


def lowest(page):
    """How far down a page is printed, as a fraction of the height that there is for text."""
    ends = [y for _, y, _ in marks(page) if MARGIN < y < HEIGHT - MARGIN]
    return (HEIGHT - MARGIN - min(ends)) / (HEIGHT - 2 * MARGIN)


def questions(*cells):
    """Questions that end with the same cells, each after two more lines of text."""
    for number in range(NUM_QUESTIONS):
        yield f"## Question {number}\n\n" + "A line.\n\n" * 2 * number
        yield from cells


CAPTIONS = [
    (["A", code("f()", printed("1"), **HIDDEN), code("g()", printed("2"))], "A 1 g() 2"),
    (["A", code("f()", **HIDDEN), "B"], "A B"),
    (["**Figure 1.** It.", code("show()", printed("out"))], "show() Figure 1. It. out"),
    (["**Figure 1.** It.", code("show()", printed("out"), **HIDDEN)], "Figure 1. It. out"),
    (["Is:\n\n**Table 20.** It.", code("show()", printed("out"))], "Is: show() Table 20. It."),
    (["**Table 1.** It.\n\n|a|\n|-|\n|b|", code("f()")], "Table 1. It. a b f()"),
    (["**Table 1.** It.", "", code("f()")], "f() Table 1. It."),
    (["**Table 1.** It.", code("f()"), code("g()", printed("2"))], "f() g() Table 1. It. 2"),
    (["**Table 1.** It.", "Text.", code("f()")], "Table 1. It. Text. f()"),
    (["**Figure** 1.", code("show()", printed("out"))], "Figure 1. show() out"),
    (["See **Figure 1.**", code("show()", printed("out"))], "See Figure 1. show() out"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "shown"), CAPTIONS)
def test_hidden_code_and_captions_above_what_they_name(cells, shown, root):
    [page] = texts_of(root, *cells)
    assert page.startswith(shown)


TOGETHER = [
    (["So we run:", code("f()\n" * 12, printed("out"))], "So we run:", "f() f()"),
    (["**Figure 1.** It.", code("f()", printed("1\n" * 9 + "out"))], "Figure 1.", "out"),
    (["**Table 1.** It.\n\n|a|\n|-|\n|b|\n|c|"], "Table 1.", "b c"),
    (["~~~\nfirst" + "\nline" * 8 + " 8\n~~~"], "first", "line 8"),
    (["### Part\n\nIt is:", code("f()", printed("\n".join("abc")))], "Part", "f()"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "first", "last"), TOGETHER)
def test_what_belongs_together_is_on_one_page(cells, first, last, root):
    pages = texts_of(root, *questions(*cells))
    assert len(pages) > NUM_QUESTIONS  # some questions go on
    found = [page for page in pages if first in page]
    assert len(found) == NUM_QUESTIONS
    assert all(last in page[page.index(first) :] for page in found)


HIGH = [
    [plot(900, 900)], [plot(3000, 1000)], [printed("1\n" * 90)],
    [printed("1\n" * 20), plot(450, 900), plot(450, 900)],
]  # fmt: skip


@pytest.mark.parametrize("outputs", HIGH)
def test_no_page_is_nearly_empty_before_the_end_of_a_question(outputs, root):
    cells = "**Figure 1.** It is as follows:", code("f()\n" * 20, *outputs)
    pages = pages_of(root, *questions(*cells))
    starts = [page.extract_text().startswith("Question") for page in pages]
    assert sum(starts) == NUM_QUESTIONS
    for page, is_last in zip(pages, [*starts[1:], True], strict=True):
        assert is_last or lowest(page) > 1 / 3


def test_long_code_goes_on_on_the_next_page(root):
    source = "\n".join(f"line_{i}()" for i in range(100))
    first, second = texts_of(root, "The code:", code(source))
    assert first.startswith("The code: line_0()")
    assert "line_99()" in second


def test_new_pages(root):
    more = "# F\n\n## G\n\n## H\n\n# I\n\n### J"
    texts = ["# A", "A line.", "## B", "### C\n\n#### D", "## E", more]
    pages = [re.findall(r"\b[B-J]\b", text) for text in texts_of(root, *texts)]
    assert pages == [["B", "C", "D"], ["E"], ["F", "G"], ["H"], ["I", "J"]]


ANCHORS = [
    ("1.1.1 Fully-connected (fc) layer", "1.1.1-Fully-connected-(fc)-layer"),
    ('It\'s "new" -- so...', 'It\'s-"new"----so...'),
    ("The `code` of *this* [one](https://a.org) $x^2$", "The-code-of-this-one-$x^2$"),
    ("Caf\xe9", "Caf%C3%A9"), ("Twice\n\n## Twice", "Twice"),
]  # fmt: skip


@pytest.mark.parametrize(("heading", "anchor"), ANCHORS)
def test_links_lead_to_the_page_of_a_heading(heading, anchor, root):
    text = f"See [there](<#{anchor}>), [top](#The-title)."
    link, there, *_ = pages_of(root, text, f"# {heading}")
    assert "See there (p. 3), top (p. 1)." in link.extract_text().replace("\xa0", " ")
    assert there.extract_text().startswith(heading[:2])
    assert len(link.annotations) == 2


def test_wide_tables_break_lines_before_they_are_made_smaller(root):
    row = "|".join(["some words that go on and on", "a_rather_long_name_of_something"] * 4)
    [page] = pages_of(root, f"|{'h|' * 8}\n|{'-|' * 8}\n|{row}|")
    assert min(size for *_, size in marks(page)) > 8.9
    [page] = pages_of(root, f"|{'h|' * 30}\n|{'-|' * 30}\n|{'abcdefghij|' * 30}")
    assert 1 < min(size for *_, size in marks(page)) < 5
    assert max(x for x, *_ in marks(page)) < 595 - MARGIN


TEXT = r"""
# Heading with *emphasis*, `inline code` and **$ x $ bold**

Paragraph's "quotes" -- dashes... \*escaped\* snake_case_word ~~struck~~ [link $y$](https://a.org)
<b>bold</b> H<sub>2</sub> <a href="https://a.org">anchor</a> <kbd>key</kbd> line<br>broken &amp;
https://b.org <details><summary>Summary</summary>hidden</details> ![](attachment:b%20c.png)

- [ ] open
- [x] done
  1. nested

> quoted
>
> ~~~bash
> fence $HOME and $PATH
> ~~~

    indented $x$ block

| left | right |
|:-----|------:|
| cell $|x|$ | other `a` |

<table><caption>caption</caption><tr><th colspan="2">across</th></tr><tr><td>1. first</td>
<td>- second</td></tr></table>
<dl><dt>term</dt><dd>definition</dd></dl><figure><figcaption>legend</figcaption></figure>
<pre>formatted $x$</pre><!-- not shown -->

$$ \text{displayed} $$
\begin{align} \text{aligned} &= 1 \\ \text{second} &= 2 \label{eq:a} \end{align}
\\[ \text{bracket} \\] and \\( \text{parenthesis} \\)

***
[^1] :::note [[wiki]] {.class} H~2~O x^2^ :smile: ==marked==
"""
UNSEEN = r"""(?sx) <!--.*?--> | </?[a-z][^>]*> | &amp; | \]\([^)]*\) | ~~~bash
    | \\(text|label\{eq:a\}|(begin|end)\{align\})"""
BAR = new_output("stream", name="stderr", text="\r40%|##| 4/10 [00:01<00:01]")
WARNING = new_output("stream", name="stderr", text="warned\n")
STYLE = "<style>td {color: red}</style>"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><text y="9">drawn</text></svg>'


def display(kind, content, text="<Object>"):
    return new_output("display_data", {kind: content, "text/plain": text})


def words_of(text):
    return Counter(re.findall(r"[^\W_]{2,}", unicodedata.normalize("NFKC", text)))


def test_all_words_arrive(root):
    shown = {
        "printed": [printed("printed")],
        "warned": [BAR, WARNING, BAR],
        "formula 5": [display("text/html", STYLE + r"<table><td>$\text{formula}$<td>$5</table>")],
        "listed": [display("text/markdown", "* listed"), display("text/html", STYLE)],
        "latex": [display("text/latex", r"$\displaystyle \text{latex}$")],
        "plain": [display("text/html", "<b>x</b><script>y</script>", "plain")],
        "drawn": [new_output("display_data", {"image/svg+xml": DRAWING})],
        "": [BAR],
    }
    text = new_markdown_cell(TEXT, attachments={"b%20c.png": plot(9, 9)["data"]})
    cells = [code("shows", *outputs) for outputs in shown.values()]
    pages = pages_of(root, text, new_raw_cell("raw"), *cells, code("", printed("sourceless")))
    seen = words_of(" ".join(page.extract_text() for page in pages))
    source = f"{re.sub(UNSEEN, ' ', TEXT)} raw {' shows '.join(shown)} shows sourceless"
    assert words_of(source) - seen == Counter()
    assert not {"40", "10", "color", "Object", "not", "Figure"} & seen.keys()
    assert sum(len(page.images) for page in pages) == 1


DEFINITIONS = r"$\newcommand{\R}{r}\def\v{v}$ $$\newcommand\w[1]{w#1\R}$$"
FORMULAS = {
    "$ x $": "x", "a$x$b": "axb", "**$x$** _$y$_": "xy", r"\$5, `$`, $x$": "$5,$,x",
    "$5 is": "$5is", "$x\n\ny$": "$xy$", r"$\{ a < b \}$": "{a<b}", "$a_1 b_1$ *c*": "a1b1c",
    r"\begin{gather*}a\\b\end{gather*}": "ab", r"${\bf w}_{\rm in} {\it L_{\rm x}}$": "winLx",
    "$$\n\\begin{pmatrix}\na \\\\\nb\n\\end{pmatrix}\n$$": "(ab)", r"$\R\v\w{u}\s$": "rvwurs",
    r"\begin{equation}a \label{eq}\end{equation}": "a", r"$\|x\|_2^2$": "‖x‖22",
    r"\begin{align}a \notag\end{align}": "a", "$$a \\\\ b % c\nd$$ $$ $$": "abd$$$$",
    r"$\odot\otimes\times\cap\dot{x}\cfrac{-a}{b}$": "⊙⊗\xd7∩\u1e8b\u2212ab", r"$\text{5%}$": "5%",
}  # fmt: skip


def test_formulas(root):
    operator = code("f()", display("text/latex", r"$\DeclareMathOperator{\s}{s}$"))
    texts = (f"[{number}: {source} ]" for number, source in enumerate(FORMULAS))
    pages = pages_of(root, DEFINITIONS, operator, *texts)
    text = unicodedata.normalize("NFKC", "".join(page.extract_text() for page in pages))
    assert re.findall(r"\[\d+:(.*?)\]", "".join(text.split())) == list(FORMULAS.values())


UNKNOWN = (
    r"\textcolor{red}{x}", r"\color{red}{x}", r"\eqref{a}", r"\bbox[red]{x}", r"\frac{a",
    r"x \tag*{1}", r"\begin{align}x \tag{1}\end{align}", r"x \over y", r"\cancle{x}", r"a \& b",
    r"\begin{array}{@{}c|c}a & b\end{array}", r"\begin{array}{c}a\\ \hline b\end{array}",
    r"\begin{vmatrix}a\end{vmatrix}", r"\def\v#1{x}", r"\overset{a}{b}", r"\stackrel{a}{\mathbf b}",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["markdown", "text/html", "text/latex"])
@pytest.mark.parametrize("source", UNKNOWN)
def test_a_formula_that_cannot_be_printed_is_named(source, kind, root):
    shown = f"See ${source}$"
    cell = shown if kind == "markdown" else code("See()", display(kind, shown))
    with pytest.raises(ValueError, match=r"^starter_code\.ipynb: cell 'See") as error:
        pages_of(root, "$a$", cell)
    assert source[:9] in str(error.value).replace("\\\\", "\\")
