"""Layers: gradients, values worked out by hand, extreme scores.

What all of them have in common is in test_convention.py.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layers as L
from gradient_check import check_layer, rel_error
from layers import softmax_loss

ELEMENTWISE = {name: [getattr(L, f"{name}_{way}") for way in ("forward", "backward")]
               for name in ("relu", "sigmoid", "tanh")}  # fmt: skip
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


@given(shape=shapes, n=st.integers(1, 5), m=st.integers(1, 6), seed=seeds)
def test_fc_gradients(shape, n, m, seed):
    rng = np.random.default_rng(seed)
    x, b = rng.standard_normal((n, *shape)), rng.standard_normal(m)
    w = rng.standard_normal((int(np.prod(shape)), m))
    check = check_layer(L.fc_forward, L.fc_backward, x, w, b)
    assert check.passed, check


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(shape=shapes, seed=seeds)
def test_elementwise_gradients(name, shape, seed):
    check = check_layer(*ELEMENTWISE[name], 2 * np.random.default_rng(seed).standard_normal(shape))
    assert check.passed, check
    assert check.rows[0].kinks == 0, check


@given(p=st.sampled_from([0.0, 0.3, 0.9]), shape=shapes, seed=seeds)
def test_dropout_gradient(p, shape, seed):
    def forward(x):  # the same numbers are dropped each time
        return L.dropout_forward(x, p, np.random.default_rng(seed))

    x = np.random.default_rng(seed + 1).standard_normal(shape)
    assert check_layer(forward, L.dropout_backward, x).passed


@given(n=st.integers(1, 6), c=st.integers(1, 12), scale=st.sampled_from([0.1, 1, 10]), seed=seeds)
def test_softmax_gradient(n, c, scale, seed):
    rng = np.random.default_rng(seed)
    x, y = scale * rng.standard_normal((n, c)), rng.integers(0, c, n)
    check = check_layer(lambda x: softmax_loss(x, y), lambda dout, dx: dout * dx, x)
    assert check.passed, check


@pytest.mark.parametrize("score", [20.0, 30.0])
def test_softmax_of_a_sure_and_right_network_keeps_its_digits(score):
    loss, _ = softmax_loss([[score, 0.0, 0.0]], [0])
    assert loss == pytest.approx(2 * np.exp(-score), rel=1e-8, abs=0)


def test_fc_by_hand():
    x, w, b = np.array([[[1, 2]], [[3, 4]]]), np.array([[1, 0, -1], [2, 1, 0]]), [0.5, 0, 1]
    out, cache = L.fc_forward(x, w, b)
    np.testing.assert_array_equal(out, [[5.5, 2.0, 0.0], [11.5, 4.0, -2.0]])
    dout = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    for values in (cache, (x, w, b)):  # the latter as a caller may make it
        dx, dw, db = L.fc_backward(dout, values)
        np.testing.assert_array_equal(dx, [[[-1.0, 2.0]], [[-1.0, 1.0]]])
        np.testing.assert_array_equal(dw, [[1.0, 3.0, 5.0], [2.0, 4.0, 8.0]])
        np.testing.assert_array_equal(db, [1.0, 1.0, 3.0])
    none, *gradients = L.fc_backward(dout, cache, need_dx=False)
    assert none is None
    assert rel_error(gradients[0], dw) == rel_error(gradients[1], db) == 0
    assert (L.affine_forward, L.affine_backward) == (L.fc_forward, L.fc_backward)


def test_elementwise_by_hand():
    out, cache = L.relu_forward(np.array([[-2.0, 0.0, 3.0]]))
    np.testing.assert_array_equal(out, [[0.0, 0.0, 3.0]])
    np.testing.assert_array_equal(L.relu_backward(np.full((1, 3), 5.0), cache), [[0.0, 0.0, 5.0]])
    x = np.log([3.0, 1 / 3])
    np.testing.assert_allclose(L.sigmoid_forward(x)[0], [0.75, 0.25], rtol=1e-15)
    np.testing.assert_allclose(L.tanh_forward(x)[0], [0.8, -0.8], rtol=1e-15)
    assert L.sigmoid_backward(np.ones(1), L.sigmoid_forward(np.zeros(1))[1]) == 0.25
    assert L.tanh_backward(np.ones(1), L.tanh_forward(np.zeros(1))[1]) == 1.0


def test_softmax_by_hand():
    loss, dx = softmax_loss(np.log([[1.0, 2.0, 1.0], [3.0, 4.0, 1.0]]), np.array([1, 0]))
    assert loss == pytest.approx((np.log(2) + np.log(8 / 3)) / 2, rel=1e-15)
    expected = [[0.125, -0.25, 0.125], [-0.3125, 0.25, 0.0625]]
    np.testing.assert_allclose(dx, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
def test_softmax_of_huge_scores(dtype, size):
    """Warnings are errors in these tests, so an overflow on the way would show."""
    x = np.array([[size, -size, 0.0], [-size, size, 0.0], [size, size, size]], dtype)
    loss, dx = softmax_loss(x, np.array([0, 0, 2]))
    assert loss == pytest.approx((0 + 2 * np.float64(dtype(size)) + np.log(3)) / 3, rel=1e-12)
    expected = np.array([[0, 0, 0], [-3, 3, 0], [1, 1, -2]]) / 9
    np.testing.assert_allclose(dx, expected, atol=1e-7)


@pytest.mark.parametrize("y", [[0, 2], np.array([0, 2], np.uint8)])
def test_softmax_takes_arrays_and_lists(y):
    for x, dtype in ((np.zeros((2, 3), np.float32), "f4"), ([[0, 0, 0]] * 2, "f8")):
        loss, dx = softmax_loss(x, y)
        assert (loss.dtype, dx.dtype) == ("f8", dtype)  # both are NumPy's
        assert loss == pytest.approx(np.log(3), rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_extreme_inputs(name, dtype):
    forward, backward = ELEMENTWISE[name]
    x = np.array([-np.finfo(dtype).max, -1e30, -1e4, 0, 1e4, 1e30, np.finfo(dtype).max], dtype)
    out, cache = forward(x)
    assert np.isfinite(out).all()
    assert np.isfinite(backward(np.ones_like(x), cache)).all()
    limits = {"relu": (0, x[-1]), "sigmoid": (0, 1), "tanh": (-1, 1)}[name]
    assert (out[0], out[-1]) == limits


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5])
def test_dropout_drops_p_and_keeps_the_mean(p, rng):
    x = np.full((1000, 50), 3.0, np.float32)
    out, cache = L.dropout_forward(x, p, rng)
    assert np.mean(out == 0) == pytest.approx(p, abs=0.01)
    np.testing.assert_allclose(out[out != 0], 3 / (1 - p), rtol=1e-6)
    dx = L.dropout_backward(np.ones_like(x), cache)
    np.testing.assert_array_equal(dx == 0, out == 0)
