"""Update rules against the published formulas and against hand-worked numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import update_rules

from optim import UPDATE_RULES, adam, cosine, rmsprop, sgd, sgd_momentum

CONFIGS = {
    "sgd": {"learning_rate": 0.3},
    "sgd_momentum": {"learning_rate": 0.1, "momentum": 0.7},
    "rmsprop": {"learning_rate": 0.02, "decay_rate": 0.8, "epsilon": 1e-6},
    "adam": {"learning_rate": 0.05, "beta1": 0.6, "beta2": 0.9, "epsilon": 1e-7},
}
DEFAULTS = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}


@pytest.mark.parametrize("settings", [CONFIGS, DEFAULTS], ids=["chosen", "defaults"])
@pytest.mark.parametrize("name", UPDATE_RULES)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 8))
def test_published_formulas(name, settings, seed, steps):
    rng = np.random.default_rng(seed)
    w, gradients = rng.standard_normal((2, 3)), rng.standard_normal((steps, 2, 3))
    formula = update_rules()[name]
    expected = [
        [formula(w[i, j], gradients[:, i, j], **settings[name]) for j in range(3)] for i in range(2)
    ]
    config = dict(CONFIGS[name]) if settings is CONFIGS else None
    for dw in gradients:
        w, config = UPDATE_RULES[name](w, dw, config)
    np.testing.assert_allclose(w, expected, rtol=1e-10, atol=1e-12)


def test_first_steps_by_hand():
    one = np.ones(1)
    assert sgd(one.copy(), 2 * one)[0] == 1 - 0.02
    w, config = sgd_momentum(one.copy(), 2 * one, {"learning_rate": 0.5, "velocity": 4 * one})
    assert config["velocity"] == 0.9 * 4 - 0.5 * 2
    assert w == 1 + config["velocity"]
    w, config = rmsprop(one.copy(), 2 * one)
    assert config["cache"] == pytest.approx(0.04)
    assert w == pytest.approx(1 - 0.01 * 2 / 0.2, rel=1e-6)
    # Whatever the gradient's size, Adam's first step has the size of the learning rate.
    w, config = adam(one.copy(), -1e-3 * one)
    assert config["t"] == 1
    assert w == pytest.approx(1 + 1e-3, rel=1e-6)


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_config_has_everything_after_one_step(name):
    state = {"sgd": [], "sgd_momentum": ["velocity"], "rmsprop": ["cache"], "adam": ["m", "v", "t"]}
    _, config = UPDATE_RULES[name](np.zeros(2), np.zeros(2), None)
    assert set(config) == {*DEFAULTS[name], *state[name]}
    assert DEFAULTS[name].items() <= {k: v for k, v in config.items() if np.ndim(v) == 0}.items()


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_float32_stays_float32_and_dw_is_left_alone(name):
    w, dw = np.ones(3, np.float32), np.full(3, 0.5, np.float32)
    config = {key: np.float64(value) for key, value in CONFIGS[name].items()}
    next_w, config = UPDATE_RULES[name](w, dw, config)
    assert next_w is w
    assert w.dtype == np.float32
    assert all(v.dtype == np.float32 for v in config.values() if isinstance(v, np.ndarray))
    np.testing.assert_array_equal(dw, np.float32(0.5))


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_bad_input(name):
    rule = UPDATE_RULES[name]
    with pytest.raises(ValueError, match=rf"{name}: dw must have w's shape \(2,\), got \(3,\)"):
        rule(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match=f"{name}: w must be .* of floats, got an array of int"):
        rule(np.ones(2, int), np.ones(2))
    for value in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"{name}: learning_rate must be a finite number >= 0"):
            rule(np.ones(2), np.ones(2), {"learning_rate": value})


@pytest.mark.parametrize("name", UPDATE_RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_gradients(name, dtype):
    """Warnings are errors in these tests, so an overflow would show."""
    largest = np.finfo(dtype).max
    sizes = [0, np.finfo(dtype).tiny, 1e-30, 1, 1e15, 1e25, largest / 4]
    dw = np.array([*sizes, *(-size for size in sizes)], dtype)
    w, config = np.ones_like(dw), {"learning_rate": 0.1}
    for step in range(5):
        w, config = UPDATE_RULES[name](w, dw if step % 2 else -dw, config)
        assert np.isfinite(w).all()


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("sgd_momentum", {"momentum": 1.0}, "momentum must be a finite number >= 0 and < 1"),
        ("rmsprop", {"decay_rate": 1.5}, "decay_rate must be a finite number >= 0 and < 1"),
        ("adam", {"beta1": 1.0}, "beta1 must be a finite number >= 0 and < 1, got 1.0"),
        ("adam", {"beta2": -0.1}, "beta2 must be a finite number >= 0 and < 1"),
        ("adam", {"m": np.zeros(3)}, r"m must have w's shape \(2,\), got \(3,\)"),
        ("sgd", {"learning_rate": 10**400}, "learning_rate must be a finite number >= 0, got 1000"),
        ("adam", {"t": -1}, "t must be at least 0, got -1"),
    ],
)
def test_bad_config(name, config, message):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        UPDATE_RULES[name](np.ones(2), np.ones(2), config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epsilon": "1e-8"}, "epsilon must be a number, got '1e-8'"),
        ({"beta1": None}, "beta1 must be a number, got None"),
        ({"t": 1.5}, "t must be an integer, got 1.5"),
        ([], "config must be a dict, got list"),
    ],
)
def test_config_of_the_wrong_type(config, message):
    with pytest.raises(TypeError, match=f"adam: {message}"):
        adam(np.ones(2), np.ones(2), config)


@pytest.mark.parametrize("rule", [rmsprop, adam])
@pytest.mark.parametrize(("dtype", "epsilon"), [(np.float32, 1e-50), (np.float64, 0)])
def test_epsilon_that_is_zero_is_refused(rule, dtype, epsilon):
    w, dw = np.ones(2, dtype), np.zeros(2, dtype)
    with pytest.raises(ValueError, match="epsilon must be more than 0 in float"):
        rule(w, dw, {"epsilon": epsilon})
    smallest = float(np.finfo(dtype).smallest_subnormal)
    assert np.isfinite(rule(w, dw, {"epsilon": smallest})[0]).all()


def test_cosine():
    t = np.linspace(0, 1, 101)
    plain = [cosine(x) for x in t]
    np.testing.assert_allclose(plain, np.cos(np.pi * t / 2) ** 2, atol=1e-15)
    warm = np.array([cosine(x, warm_up=0.1) for x in t])
    assert warm.argmax() == 10
    assert (np.diff(warm[:11]) > 0).all()
    assert (np.diff(warm[10:]) < 0).all()
    for bad in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match="warm_up must be a finite number >= 0 and < 1"):
            cosine(0.5, warm_up=bad)
