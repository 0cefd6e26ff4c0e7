"""Right solutions in many styles have full marks, and the starter's tests are green.

A function is put together from a template and, for each place in it, a list of alternatives, which
``styles.txt`` holds: style k takes the k-th of each, from the start again where a list is shorter,
so that it meets other ones each time.
"""

import re

import pytest
from graded import POINTS, grade, lost_here, sections, solution

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
SECTIONS = sections("styles.txt")


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


def styles(quick):
    """Return the numbers of the styles, of which those from quick on are tested with -m slow."""
    return [pytest.param(k, marks=pytest.mark.slow if k >= quick else ()) for k in range(STYLES)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("k", styles(3))
def test_right_styles_have_full_marks_and_green_tests(k, starter):
    files = styled(k)
    for part in POINTS:
        assert lost_here(part, files) == (0, "All checks passed."), part
        assert list(starter.failed(part, files)) == [], part


@pytest.mark.parametrize("k", styles(0))
def test_right_styles_have_full_marks_in_processes_of_their_own(k, graded_root):
    rows = grade(graded_root, styled(k))
    assert {name: row["score"] for name, row in rows.items()} == POINTS, rows
