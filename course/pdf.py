"""The two programs that the write-up is made with: pandoc and Typst, from their Python packages."""

import json
import re
from functools import cache
from pathlib import Path

import pypandoc
import typst

SYMBOLS = Path(__file__).with_name("symbols.typ").read_text(encoding="utf-8")
LAST_RESORT = b"LastResort"  # a font of macOS that has for every character a box


@cache
def pandoc(text, to, form, *options):
    """A text of one form in another; it reads no file but its template. Warnings are errors."""
    options = ["--sandbox", "--fail-if-warnings", *options]
    return pypandoc.convert_text(text, to, form, options)


def convert(blocks, to, *options):
    """Blocks of a document of pandoc's in another form."""
    document = json.loads(pandoc("", "json", "commonmark"))
    return pandoc(json.dumps({**document, "blocks": blocks}), to, "json", *options)


def typeset(text, folder, origins):
    """The PDF of a text of Typst's, which can read what is in the folder and nothing else.

    origins says, by name, what the text was made of: where to look for a character without a font.
    """
    main = folder / "main.typ"
    main.write_text(SYMBOLS + text, encoding="utf-8")
    for fonts in map(typst.Fonts, (False, True)):  # those of this machine only where needed
        try:
            # A PDF of this kind, for archives, has to have a glyph for every character. Its date
            # is not today's, so that the same input gives the same bytes.
            pdf = typst.compile(main, font_paths=fonts, pdf_standards="a-2b", timestamp=0)
            if LAST_RESORT not in pdf:
                return pdf
        except typst.TypstError as exception:
            error = exception
    found = re.search(r'the text `"(.+?)"` could not be displayed', error.diagnostic)
    if not found:
        place = " ".join(re.findall(r"(?m)^\d+ │ (.*)", error.diagnostic))
        raise ValueError(f"{place:.200} cannot be printed: {error.message}") from error
    character = re.sub(r"\\u\{(\w+)\}", lambda code: chr(int(code[1], 16)), found[1])
    place = next((f"{name}: " for name, made in origins.items() if character in str(made)), "")
    advice = "install one that has it, such as Noto, or do without it"
    raise ValueError(f"{place}no font has the character {found[1]}; {advice}") from error
