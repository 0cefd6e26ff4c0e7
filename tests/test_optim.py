"""Update rules against the published formulas and against hand-worked numbers."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import update_rules

from optim import UPDATE_RULES, cosine, sgd_momentum

CONFIGS = {
    "sgd": {"learning_rate": 0.3},
    "sgd_momentum": {"learning_rate": 0.1, "momentum": 0.7},
    "rmsprop": {"learning_rate": 0.02, "decay_rate": 0.8, "epsilon": 1e-6},
    "adam": {"learning_rate": 0.05, "beta1": 0.6, "beta2": 0.9, "epsilon": 1e-7},
}
CLASSIC = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
STATE = {"sgd": [], "sgd_momentum": ["velocity"], "rmsprop": ["cache"], "adam": ["m", "v", "t"]}
each_rule = pytest.mark.parametrize("name", UPDATE_RULES)


@pytest.mark.parametrize("settings", [CONFIGS, CLASSIC], ids=["chosen", "defaults"])
@each_rule
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 8))
def test_published_formulas(name, settings, seed, steps):
    rng = np.random.default_rng(seed)
    w, gradients = rng.standard_normal(6), rng.standard_normal((steps, 6))
    formula = update_rules()[name]
    expected = [formula(w[i], gradients[:, i], **settings[name]) for i in range(6)]
    w, gradients = w.reshape(2, 3), gradients.reshape(steps, 2, 3)
    config = dict(CONFIGS[name]) if settings is CONFIGS else None
    for dw in gradients:
        w, config = UPDATE_RULES[name](w, dw, config)
    np.testing.assert_allclose(w.ravel(), expected, rtol=1e-10, atol=1e-12)
    assert set(config) == {*CLASSIC[name], *STATE[name]}
    assert {key: config[key] for key in CLASSIC[name]} == settings[name]


def test_a_state_that_is_given():
    given = {"learning_rate": 0.5, "velocity": np.full(1, 4.0)}
    w, config = sgd_momentum(np.ones(1), np.full(1, 2.0), given)
    assert config["velocity"] == 0.9 * 4 - 0.5 * 2
    assert w == 1 + config["velocity"]


@each_rule
def test_float32_stays_float32_and_dw_is_left_alone(name):
    w, dw = np.ones(3, np.float32), np.full(3, 0.5, np.float32)
    config = {key: np.float64(value) for key, value in CONFIGS[name].items()}
    assert UPDATE_RULES[name](w, dw, config)[0] is w
    assert {a.dtype for a in (w, *config.values()) if np.ndim(a)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(dw, np.float32(0.5))


@each_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_gradients(name, dtype):
    """The square of a large gradient is infinite, which only makes its step 0."""
    largest = np.finfo(dtype).max
    dw = np.array([0, np.finfo(dtype).tiny, 1e-30, 1, 1e15, 1e25, -largest / 4], dtype)
    w, config = np.ones_like(dw), {"learning_rate": 0.1}
    with np.errstate(over="ignore"):
        for sign in (-1, 1, -1, 1, -1):
            w, config = UPDATE_RULES[name](w, sign * dw, config)
            assert np.isfinite(w).all()


@each_rule
def test_an_array_of_integers_is_named(name):
    with pytest.raises(TypeError, match=f"{name}: w must"):
        UPDATE_RULES[name](np.ones(2, int), np.ones(2))


@pytest.mark.parametrize(
    ("name", "config"),
    [("sgd_momentum", {"momentum": 1.0}), ("sgd_momentum", {"velocity": 0.0}),
     ("rmsprop", {"decay_rate": 1.0}), ("adam", {"epsilon": 0}), ("adam", {"m": np.zeros(3)})],
)  # fmt: skip
def test_what_a_config_may_not_hold_is_named(name, config):
    with pytest.raises(ValueError, match=f"{name}: {next(iter(config))} must"):
        UPDATE_RULES[name](np.ones(2), np.ones(2), config)


@each_rule
def test_shared_arrays_give_what_separate_ones_give(name, rng):
    start = {key: rng.random(4) for key in ("w", "dw", *STATE[name]) if key != "t"}

    def w_after_steps(first, second, are_shared):
        config = {key: array.copy() for key, array in start.items()}
        config[second] = config[first] if are_shared else start[first].copy()
        w, dw = config.pop("w"), config.pop("dw")
        for _ in range(3):
            w, config = UPDATE_RULES[name](w, dw, config)
            dw = start["dw"]
        return w

    for pair in combinations(start, 2):
        shared, separate = (w_after_steps(*pair, are_shared) for are_shared in (True, False))
        np.testing.assert_array_equal(shared, separate, str(pair))


def test_cosine():
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose([cosine(x) for x in t], np.cos(np.pi * t / 2) ** 2, atol=1e-15)
    expected = np.where(t < 0.1, t / 0.1, np.cos(np.pi / 2 * (t - 0.1) / 0.9) ** 2)
    np.testing.assert_allclose([cosine(x, warm_up=0.1) for x in t], expected, atol=1e-15)
    with pytest.raises(ValueError, match="warm_up"):
        cosine(0.5, warm_up=1.0)
