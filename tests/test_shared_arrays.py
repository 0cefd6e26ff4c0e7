"""Arguments that are changed in place and share their memory: as if separate, or an error."""

from itertools import combinations

import numpy as np
import pytest

from normalization import batchnorm_forward
from optim import STATE, UPDATE_RULES


@pytest.mark.parametrize("rule", STATE)
def test_rules_give_what_they_give_for_separate_arrays(rule, rng):
    start = {name: rng.random(4) for name in ("w", "dw", *STATE[rule]) if name != "t"}

    def w_after_steps(first, second, are_shared):
        config = {name: array.copy() for name, array in start.items()}
        config[second] = config[first] if are_shared else start[first].copy()
        w, dw = config.pop("w"), config.pop("dw")
        for _ in range(3):
            w, config = UPDATE_RULES[rule](w, dw, config)
            dw = start["dw"]
        return w

    for pair in combinations(start, 2):
        shared, separate = (w_after_steps(*pair, are_shared) for are_shared in (True, False))
        np.testing.assert_array_equal(shared, separate, str(pair))


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("other", ["running_mean", "x", "gamma", "beta"])
def test_running_means_of_their_own(other, mode, rng):
    arrays = {"x": rng.random((5, 3)), "gamma": np.ones(3), "beta": np.zeros(3)}
    running = {"running_mean": np.zeros(3), "running_var": np.ones(3)}
    shared, key = {**arrays, **running}[other], "running_mean"
    key = "running_var" if other == key else key
    running[key] = shared[0] if other == "x" else shared[:]
    before = shared.copy()
    with pytest.raises(ValueError, match=f"batchnorm_forward: {key} and {other}"):
        batchnorm_forward(**arrays, bn_param={"mode": mode, **running})
    np.testing.assert_array_equal(shared, before)
    mean, var = np.ones((3, 2)).T  # two columns of one array share nothing
    batchnorm_forward(**arrays, bn_param={"mode": mode, "running_mean": mean, "running_var": var})
