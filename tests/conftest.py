"""Settings and data that all tests share."""

import signal

import numpy as np
import pytest
from helpers import toy_problem
from hypothesis import settings

from data_utils import SAMPLE

settings.register_profile("fixed", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("fixed")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def toy_data():
    return toy_problem()


@pytest.fixture
def foreground():
    """Ctrl-C as in a program in the foreground, however these tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Use both cores, but for what is looked at: named tests, printed output, a debugger."""
    option, is_one = config.option, any("::" in argument for argument in config.args)
    return 0 if is_one or option.keyword or option.usepdb or option.capture == "no" else 2


def pytest_collection_modifyitems(items):
    """Skip what needs the embedded sample where it is not there, as in the hand-in's archive."""
    if not SAMPLE.exists():
        skip = pytest.mark.skip(reason=f"the embedded sample {SAMPLE.name} is not here")
        for item in items:
            if item.get_closest_marker("sample") or item.name == "data_utils.load_mnist":
                item.add_marker(skip)
