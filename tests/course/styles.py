"""Right functions in many styles.

A function is put together from a template and, for each place in it, a list of alternatives, which
``styles.txt`` holds: style k takes the k-th of each, from the start again where a list is shorter,
so that it meets other ones each time.
"""

import re
from pathlib import Path

from graded import solution

STYLES = 20
# How a cache holds its values, and how they come out again.
CACHES = [
    ("({0},)", "{0}, = cache"),
    ("[{0}]", "{0}, = cache"),
    ("dict(enumerate(({0},)))", "{0}, = cache.values()"),
    ("lambda: ({0},)", "{0}, = cache()"),
    ("type('Cache', (), dict(kept=({0},)))", "{0}, = cache.kept"),
    ("iter([({0},)])", "{0}, = next(cache)"),
    ("dict(kept=[{0}])", "{0}, = cache['kept']"),
]
_TEXT = Path(__file__).with_name("styles.txt").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^\[([\w.]+)\]\n(.*?)\n\n(?=\[|\Z)", _TEXT, re.M | re.S))


def style(k, template, kind="", kept="", **names):
    """Return the code of style k of a pair, whose cache keeps these names."""
    keep, unpack = CACHES[k % len(CACHES)]
    names |= {"cache": keep.format(kept), "open": unpack.format(kept)}
    for section, text in SECTIONS.items():
        if section.startswith(f"{kind or template}."):
            alternatives = re.split(r"\n(?! )", text)
            names[section.partition(".")[2]] = alternatives[k % len(alternatives)]
    return f"\n{SECTIONS[template].format(**names)}\n"


def styled(k):
    """Return the files of the solution with every function in style k."""
    kinds = "relu", "sigmoid", "tanh"
    layers = [style(k, "ELEMENTWISE", kind.upper(), "x, out", name=kind) for kind in kinds]
    layers += [style(k, "FC", kept="x, w, b"), style(k, "SOFTMAX")]
    conv = style(k, "CONV", kept="image, w, stride, pad, H, W")
    conv += style(k, "POOL", kept="x, out, HH, WW, stride")
    return solution(layers="".join(layers), fc_net=style(k, "NET"), conv=conv)
