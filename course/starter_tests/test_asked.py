"""What is asked of each function of the assignment, and nothing else: as the autograder asks it.

``pytest tests -k fc_forward`` asks it of one function.
"""

import gzip
import importlib
import signal
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from asked import Code, Wrong, ask
from isolation import refused, unpack
from questions import CHECKS, generator

SECONDS = 20  # for a check; one by numerical gradients would take minutes
EXPECTED = Path(__file__).with_name("expected.json.gz")
ASKED = [(part, number) for part in CHECKS for number in range(len(CHECKS[part]))]


@cache
def recorded():
    """Return the right answers to the questions of each check, by part."""
    return unpack(gzip.decompress(EXPECTED.read_bytes()))


@contextmanager
def limited():
    """Raise Wrong in what takes longer than SECONDS, where the system can: Windows does not."""

    def stop(*_):
        raise Wrong(f"stopped after {SECONDS} seconds")

    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(SECONDS)
    try:
        yield
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def isolate(monkeypatch):
    """Have the functions imported again, now without what the autograder does not let them use."""
    for name, module in refused().items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("layers", "fc_net", "conv"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch):
    isolate(monkeypatch)


@pytest.mark.filterwarnings("ignore")  # right numbers may come with a warning
@pytest.mark.parametrize(
    ("part", "number"), ASKED, ids=[f"{part}: {CHECKS[part][i].name}" for part, i in ASKED]
)
def test_asked(part, number):
    code = Code(importlib.import_module)
    check, answers = CHECKS[part][number], iter(recorded()[part][number])
    try:
        with limited():
            ask(check, code, lambda *_: next(answers), generator(part, number), code.function)
    except Wrong as error:
        pytest.fail(f"{part}, {error}", pytrace=False)
