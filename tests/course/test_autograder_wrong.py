"""Wrong solutions lose points in their part and nowhere else, and the starter's tests are red."""

import re

import pytest
from graded import POINTS, lost_here, sections, solution

from course.parts import PARTS

FILES = {part.name: part.file[:-3] for part in PARTS}
# Each is code behind the solution's: it puts a wrong function in the place of a right one.
HEADERS = {
    **dict.fromkeys(("fc_backward", "conv_backward_naive"), "dout, cache, *, need_dx=True"),
    "fc_forward": "x, w, b", "conv_forward_naive": "x, w, b, conv_param",
    "max_pool_forward_naive": "x, pool_param", "softmax_loss": "x, y",
}  # fmt: skip
RESULTS = {
    **dict.fromkeys(("fc_backward", "conv_backward_naive"), "dx, dw, db"),
    "softmax_loss": "loss, dx",
}


def code_of(part, body):
    """Return code in whose body the right function is ``right``, and its results are there."""
    if "." in part:
        owner, name = part.split(".")
        return f"""
_right_{name.strip("_")} = {part}
def {name}(self, *args, **kwargs):
    def right(*others, **options):
        return _right_{name.strip("_")}(self, *(others or args), **{{**kwargs, **options}})
    {body}
{owner}.{name} = {name}
"""
    header = HEADERS.get(part, "x" if "forward" in part else "dout, cache")
    names = ", ".join(name.split("=")[0] for name in header.split(", ") if name != "*")
    results = RESULTS.get(part, "out, cache" if "forward" in part else "dx")
    call = f"_{part}({names})".replace("need_dx)", "need_dx=need_dx)")
    return f"""
_{part} = {part}
def {part}({header}):
    def right({header}): return {call}
    given = np.result_type({names.split(", ")[0]})
    {results} = {f"_{part}({names})".replace(", need_dx)", ")").replace("(dout,", "(dout * 1,")}
    {body}
"""


SECTIONS = sections("wrong.txt")


def rows(part):
    """Yield bodies of wrong functions, how many checks they lose (None is all), what is said."""
    for body, lost, words in re.findall(r"(.+?)\n=> (\w+): ([^\n]*)\n?", SECTIONS[part], re.S):
        template, _, arguments = body.partition(" ")
        if template in SECTIONS:
            body = SECTIONS[template].format(*arguments.split(" | "))
        yield body, None if lost == "all" else int(lost), words
    if "." not in part:  # what is wrong in the same way with each layer
        returned = RESULTS.get(part, "out, cache" if "forward" in part else "dx")
        name = next(name for name in ("dw", "dx", "out") if name in returned)
        first = "dout" if "backward" in part else "x"
        result = "\n    return " + returned.replace("dx, dw", "dx if need_dx else None, dw")
        yield f"{name} = {name}.astype(float){result}", 1, f"{name} must be of float32"
        yield f"{first}.fill(0){result}", 1, f"as they are: {first} changed"
        yield "None", None, "must "


WRONG = {part: list(rows(part)) for part in POINTS}


def cases():
    """Yield a part and the number of a row; those that say nothing new are slow."""
    seen = set()
    for part, rows in WRONG.items():
        for i, (*_, words) in enumerate(rows):
            kind = tuple(words.split()[-2:])
            marks = pytest.mark.slow if i and kind in seen else ()
            yield pytest.param(part, i, marks=marks, id=f"{part} {i}")
            seen.add(kind)


def wrong(part, i):
    """Return the files of the solution with a wrong function, what it loses, what is said."""
    body, lost, words = WRONG[part][i]
    is_expression = "return" not in body and "." not in part
    code = code_of(part, f"return {body}" if is_expression else body)
    return solution(**{FILES[part]: code}), lost, words


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("part", "i"), list(cases()))
def test_wrong_solutions_lose_their_part_and_its_tests_are_red(part, i, starter):
    files, lost, words = wrong(part, i)
    number, text = lost_here(part, files)
    assert (number, words in text) == (lost, True), text
    assert any(starter.failed(part, files))
    pair = part.replace("forward", "*").replace("backward", "forward").replace("*", "backward")
    if pair != part and pair in POINTS:
        number, text = lost_here(pair, files)
        assert number == 0 or "needs the cache of" in text, text
