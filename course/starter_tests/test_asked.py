"""What is asked of each function of the assignment, and nothing else: as the autograder asks it.

``pytest tests -k fc_forward`` asks it of one function.
"""

import importlib
import json
import signal
from collections import defaultdict
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from asked import Code, Wrong, ask
from questions import CHECKS, generator

SECONDS = 20  # for a check; one by numerical gradients would take minutes
FAST = ("conv_forward", "conv_backward", "max_pool_forward", "max_pool_backward")
EXPECTED = Path(__file__).with_name("expected.npz")
ASKED = [(part, number) for part in CHECKS for number in range(len(CHECKS[part]))]


@cache
def recorded():
    """Return the right answers to the questions of each check, as (part, number of the check)."""
    answers = defaultdict(lambda: defaultdict(dict))
    with np.load(EXPECTED) as file:
        for key, value in file.items():
            part, number, question, name = key.split("|")
            value = json.loads(str(value)) if value.dtype.kind == "U" else value
            answers[part, int(number)][int(question)][name] = value
    return answers


@contextmanager
def limited(seconds):
    """Raise Wrong in what takes longer, where the system can interrupt it."""

    def stop(*_):
        raise Wrong(f"stopped after {seconds} seconds")

    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _without_fast_functions(monkeypatch):
    take_fast_functions(monkeypatch)


def take_fast_functions(monkeypatch):
    """Take from the modules what the autograder does not let them use."""

    def refuse(*args, **kwargs):
        raise Wrong("fast functions and numerical gradients are not to be used here")

    layers, conv = map(importlib.import_module, ("layers", "conv"))
    for module in (layers, conv):
        for name, value in list(vars(module).items()):
            room = getattr(value, "__module__", None) or getattr(value, "__name__", "")
            is_fast = str(room).startswith("fast") and not hasattr(layers, name)
            if name in FAST or is_fast or room == "gradient_check":
                monkeypatch.setattr(module, name, refuse)


@pytest.mark.filterwarnings("ignore")  # right numbers may come with a warning
@pytest.mark.parametrize(
    ("part", "number"), ASKED, ids=[f"{part}: {CHECKS[part][i].name}" for part, i in ASKED]
)
def test_asked(part, number):
    code = Code(importlib.import_module)
    check, answers = CHECKS[part][number], iter(recorded()[part, number].values())
    text = ""
    try:
        with limited(SECONDS):
            ask(check, code, lambda *_: next(answers), generator(part, number), code.function)
    except Wrong as error:
        text = f"{part}, {error}"
    if text:
        pytest.fail(text, pytrace=False)
