"""What a training asks of its process."""

import resource
import sys

import numpy as np
import pytest

from leaderboard.augment import distort
from support.process import keep_freed_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the C library glibc")
def test_memory_of_a_distortion_is_used_again(rng):
    X = rng.integers(0, 256, (128, 1, 28, 28), dtype=np.uint8)
    keep_freed_memory()
    for repetitions in 5, 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(repetitions):
            distort(X, rng)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults / 20 < 500  # pages fetched again in each; 5,000 where none is kept
