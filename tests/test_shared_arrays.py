"""Arguments that are changed in place and share their memory: as if separate, or an error."""

from itertools import combinations

import numpy as np
import pytest

from normalization import batchnorm_forward
from optim import STATE, UPDATE_RULES

PAIRS = [
    (rule, *pair)
    for rule, state in STATE.items()
    for pair in combinations(["w", "dw", *(key for key in state if key != "t")], 2)
]


@pytest.mark.parametrize(("rule", "first", "second"), PAIRS)
def test_rules_give_what_they_give_for_separate_arrays(rule, first, second, rng):
    start = {name: rng.random(4) for name in ("w", "dw", *STATE[rule]) if name != "t"}

    def w_after_steps(are_shared):
        arrays = {name: array.copy() for name, array in start.items()}
        arrays[second] = arrays[first] if are_shared else start[first].copy()
        w, dw, config = arrays.pop("w"), arrays.pop("dw"), arrays
        for _ in range(3):
            w, config = UPDATE_RULES[rule](w, dw, config)
            dw = start["dw"]
        return w

    np.testing.assert_array_equal(w_after_steps(are_shared=True), w_after_steps(are_shared=False))


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize(
    ("key", "other"),
    [("running_var", "running_mean"), *(("running_mean", name) for name in ("x", "gamma", "beta"))],
)
def test_running_means_of_their_own(key, other, mode, rng):
    arrays = {"x": rng.random((5, 3)), "gamma": np.ones(3), "beta": np.zeros(3)}
    running = {"running_mean": np.zeros(3), "running_var": np.ones(3)}
    shared = {**arrays, **running}[other]
    running[key] = shared[0] if other == "x" else shared[:]
    before = shared.copy()
    with pytest.raises(ValueError, match=f"batchnorm_forward: {key} and {other}"):
        batchnorm_forward(**arrays, bn_param={"mode": mode, **running})
    np.testing.assert_array_equal(shared, before)
    mean, var = np.ones((3, 2)).T  # two columns of one array share nothing
    batchnorm_forward(**arrays, bn_param={"mode": mode, "running_mean": mean, "running_var": var})
