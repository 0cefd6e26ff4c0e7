"""Layers: gradients, values worked out by hand, extreme scores, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradient_check import check_layer, rel_error
from layers import (
    affine_backward,
    affine_forward,
    dropout_backward,
    dropout_forward,
    fc_backward,
    fc_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softmax_loss,
    tanh_backward,
    tanh_forward,
)

ELEMENTWISE = {
    "relu": (relu_forward, relu_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    "tanh": (tanh_forward, tanh_backward),
}
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


@given(shape=shapes, n=st.integers(1, 5), m=st.integers(1, 6), seed=seeds)
def test_fc_gradients(shape, n, m, seed):
    rng = np.random.default_rng(seed)
    x, b = rng.standard_normal((n, *shape)), rng.standard_normal(m)
    w = rng.standard_normal((int(np.prod(shape)), m))
    check = check_layer(fc_forward, fc_backward, x, w, b)
    assert check.passed, check
    assert [row.name for row in check.rows] == ["x", "w", "b"]


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(shape=shapes, seed=seeds)
def test_elementwise_gradients(name, shape, seed):
    check = check_layer(*ELEMENTWISE[name], 2 * np.random.default_rng(seed).standard_normal(shape))
    assert check.passed, check
    assert check.rows[0].kinks == 0, check


@given(n=st.integers(1, 6), c=st.integers(1, 12), scale=st.sampled_from([0.1, 1, 10]), seed=seeds)
def test_softmax_gradient(n, c, scale, seed):
    rng = np.random.default_rng(seed)
    x, y = scale * rng.standard_normal((n, c)), rng.integers(0, c, n)
    check = check_layer(lambda x: softmax_loss(x, y), lambda dout, dx: dout * dx, x)
    assert check.passed, check


def test_fc_by_hand():
    x = np.array([[[1.0, 2.0]], [[3.0, 4.0]]])
    w = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]])
    out, cache = fc_forward(x, w, np.array([0.5, 0.0, 1.0]))
    np.testing.assert_array_equal(out, [[5.5, 2.0, 0.0], [11.5, 4.0, -2.0]])
    dx, dw, db = fc_backward(np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]), cache)
    np.testing.assert_array_equal(dx, [[[-1.0, 2.0]], [[-1.0, 1.0]]])
    np.testing.assert_array_equal(dw, [[1.0, 3.0, 5.0], [2.0, 4.0, 8.0]])
    np.testing.assert_array_equal(db, [1.0, 1.0, 3.0])


def test_fc_backward_without_dx(rng):
    _, cache = fc_forward(rng.random((3, 4)), rng.random((4, 2)), rng.random(2))
    dout = rng.random((3, 2))
    (dx, dw, db), (_, dw_all, db_all) = (
        fc_backward(dout, cache, need_dx=False),
        fc_backward(dout, cache),
    )
    assert dx is None
    np.testing.assert_array_equal(dw, dw_all)
    np.testing.assert_array_equal(db, db_all)


def test_relu_by_hand():
    x = np.array([[-2.0, 0.0, 3.0]])
    out, cache = relu_forward(x)
    np.testing.assert_array_equal(out, [[0.0, 0.0, 3.0]])
    np.testing.assert_array_equal(relu_backward(np.full((1, 3), 5.0), cache), [[0.0, 0.0, 5.0]])


def test_sigmoid_and_tanh_by_hand():
    np.testing.assert_allclose(sigmoid_forward(np.log([3.0, 1 / 3]))[0], [0.75, 0.25], rtol=1e-15)
    np.testing.assert_allclose(tanh_forward(np.log([3.0, 1 / 3]))[0], [0.8, -0.8], rtol=1e-15)
    _, cache = sigmoid_forward(np.zeros(1))
    assert sigmoid_backward(np.ones(1), cache) == 0.25
    _, cache = tanh_forward(np.zeros(1))
    assert tanh_backward(np.ones(1), cache) == 1.0


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
    top = np.float64(dtype(size))
    assert loss == pytest.approx((0 + 2 * top + np.log(3)) / 3, rel=1e-12)
    third = 1 / 3
    expected = np.array([[0, 0, 0], [-1, 1, 0], [third, third, third - 1]]) / 3
    np.testing.assert_allclose(dx, expected, atol=1e-7)
    assert dx.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_extreme_inputs(name, dtype):
    forward, backward = ELEMENTWISE[name]
    x = np.array([-np.finfo(dtype).max, -1e30, -1e4, 0, 1e4, 1e30, np.finfo(dtype).max], dtype)
    out, cache = forward(x)
    dx = backward(np.ones_like(x), cache)
    assert np.isfinite(out).all()
    assert np.isfinite(dx).all()
    limits = {"relu": (0, x[-1]), "sigmoid": (0, 1), "tanh": (-1, 1)}[name]
    assert (out[0], out[-1]) == limits


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_goes_through(dtype, rng):
    x, w, b = (rng.random(shape).astype(dtype) for shape in ((3, 2, 2), (4, 5), (5,)))
    out, cache = fc_forward(x, w, b)
    assert {a.dtype for a in (out, *fc_backward(out, cache))} == {np.dtype(dtype)}
    for forward, backward in ELEMENTWISE.values():
        out, cache = forward(x)
        assert {out.dtype, backward(out, cache).dtype} == {np.dtype(dtype)}
    loss, dx = softmax_loss(w, np.zeros(4, np.uint8))
    assert loss.copy().dtype == np.float64  # a NumPy number
    assert dx.dtype == dtype


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_inputs_are_left_alone(name, rng):
    forward, backward = ELEMENTWISE[name]
    x, dout = rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 4))
    before = x.copy(), dout.copy()
    backward(dout, forward(x[0])[1])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(dout, before[1])


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_integers_count_as_float64(dtype):
    integers = [np.array(a, dtype) for a in ([[1, 2]], [[3, 1], [1, 0]], [5, 7], [[2, 1]])]
    results = []
    for x, w, b, dout in (integers, [a.astype(float) for a in integers]):
        out, cache = fc_forward(x, w, b)
        results.append([out, *fc_backward(dout, cache)])
        for forward, backward in ELEMENTWISE.values():
            out, cache = forward(x)
            results[-1] += [out, backward(dout, cache)]
        results[-1].append(softmax_loss(x, np.array([1]))[1])
    for ours, expected in zip(*results, strict=True):
        assert ours.dtype == np.float64
        np.testing.assert_array_equal(ours, expected)


def test_names_of_other_years_and_a_cache_made_by_hand(rng):
    assert (affine_forward, affine_backward) == (fc_forward, fc_backward)
    x, w, b = rng.integers(0, 9, (3, 2, 2)), rng.integers(0, 9, (4, 5)), np.arange(5)
    out, cache = affine_forward(x, w, b)
    dout = rng.random(out.shape)
    for ours, by_hand in zip(fc_backward(dout, cache), fc_backward(dout, (x, w, b)), strict=True):
        np.testing.assert_array_equal(ours, by_hand)


def test_empty_batch_passes_through_fc():
    out, cache = fc_forward(np.zeros((0, 2, 3)), np.ones((6, 4)), np.ones(4))
    assert out.shape == (0, 4)
    dx, dw, db = fc_backward(out, cache)
    assert dx.shape == (0, 2, 3)
    assert not dw.any()
    assert not db.any()


_X, _W, _B = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
_Y = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fc_forward(np.ones((2, 28, 28)), np.ones((3072, 4)), _B), ValueError,
         r"fc_forward: x has 784 features per example but w expects 3072 \(w.shape\[0\]\)"),
        (lambda: fc_forward(_X, _W, np.ones(3)), ValueError, r"b must have shape \(4,\)"),
        (lambda: fc_forward(_X, _W, np.ones((4, 1))), ValueError, r"b must have shape \(4,\)"),
        (lambda: fc_forward(np.ones(3), _W, _B), ValueError, r"got x \(3,\) and w \(3, 4\)"),
        (lambda: fc_forward(_X, np.ones(3), _B), ValueError, r"got x \(2, 3\) and w \(3,\)"),
        (lambda: fc_forward([[1.0]], _W, _B), TypeError, "x must be .* of floats, got list"),
        (lambda: fc_forward(_X.astype(bool), _W, _B), TypeError, "x must be .* an array of bool"),
        (lambda: fc_forward(_X, np.matrix(_W), _B), TypeError, "w must be .* got a matrix of f"),
        (lambda: fc_forward(_X, _W, _B.astype(object)), TypeError, "b must be .* of object"),
        (lambda: fc_backward(_W, fc_forward(_X, _W, _B)[1]), ValueError, r"dout .* \(2, 4\)"),
        (lambda: fc_backward(1.0, fc_forward(_X, _W, _B)[1]), TypeError, "dout .* got float"),
        (lambda: relu_forward(np.array(["a"])), TypeError, "relu_forward: x .* array of <U1"),
        (lambda: relu_forward(np.ma.array(_X)), TypeError, "relu_forward: x .* a MaskedArray of f"),
        (lambda: relu_backward(np.matrix(_X), relu_forward(_X)[1]), TypeError, "dout .* a matrix"),
        (lambda: relu_backward(_W, relu_forward(_X)[1]), ValueError, r"relu_backward: dout .*3\)"),
        (lambda: sigmoid_forward(None), TypeError, "sigmoid_forward: x .* got NoneType"),
        (lambda: sigmoid_backward(_W, sigmoid_forward(_X)[1]), ValueError, "sigmoid_backward: d"),
        (lambda: tanh_forward(3.0), TypeError, "tanh_forward: x .* got float"),
        (lambda: tanh_backward(_W, tanh_forward(_X)[1]), ValueError, "tanh_backward: dout"),
        (lambda: softmax_loss(np.ones((0, 3)), _Y[:0]), ValueError, r"N and C > 0, got \(0, 3\)"),
        (lambda: softmax_loss(np.ones(3), _Y), ValueError, r"shape \(N, C\).*got \(3,\)"),
        (lambda: softmax_loss(_X, np.array([0, 3])), ValueError, r"within 0..2, got 0..3 in y"),
        (lambda: softmax_loss(_X, np.array([-1, 0])), ValueError, r"within 0..2, got -1..0 in y"),
        (lambda: softmax_loss(_X, np.array([0.0, 1.0])), TypeError, "y .* integers, got .*float64"),
        (lambda: softmax_loss(_X, [0, 1]), TypeError, "y .* integers, got list"),
        (lambda: softmax_loss(_X, np.array([0])), ValueError, r"y must have shape \(2,\)"),
        (lambda: softmax_loss(_X, np.array([[0], [1]])), ValueError, r"got \(2, 1\)"),
        (lambda: softmax_loss(_X.astype(complex), _Y), TypeError, "x must be .* of floats"),
        (lambda: softmax_loss(_X, np.matrix(_Y)), TypeError, "y must be .* got a matrix of int64"),
        (lambda: dropout_forward(_X, "0.5", None), TypeError, "p must be a number, got '0.5'"),
        (lambda: dropout_forward(_X, 10**400, None), ValueError, "p must be .* < 1, got 1000"),
        (lambda: dropout_forward(_X, 0.5, 0), TypeError, "rng must be a numpy.random.* got int"),
    ],
)  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_batch_loss_is_the_mean_of_the_examples(rng):
    x, y = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    losses, grads = zip(*(softmax_loss(x[i : i + 1], y[i : i + 1]) for i in range(5)), strict=True)
    loss, dx = softmax_loss(x, y)
    assert loss == pytest.approx(np.mean(losses), rel=1e-14)
    assert rel_error(dx, np.concatenate(grads) / 5) < 1e-14


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9])
@given(shape=shapes, seed=seeds)
def test_dropout_gradient(p, shape, seed):
    def forward(x):  # the same numbers are dropped each time
        return dropout_forward(x, p, np.random.default_rng(seed))

    x = np.random.default_rng(seed + 1).standard_normal(shape)
    assert check_layer(forward, dropout_backward, x).passed


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5])
def test_dropout_drops_p_and_keeps_the_mean(p, rng):
    x = np.full((1000, 50), 3.0, np.float32)
    out, cache = dropout_forward(x, p, rng)
    assert out.dtype == np.float32
    assert np.mean(out == 0) == pytest.approx(p, abs=0.01)
    np.testing.assert_allclose(out[out != 0], 3 / (1 - p), rtol=1e-6)
    dx = dropout_backward(np.ones_like(x), cache)
    np.testing.assert_array_equal(dx == 0, out == 0)


@pytest.mark.parametrize("p", [-0.1, 1.0, np.nan])
def test_dropout_of_a_bad_part(p, rng):
    with pytest.raises(ValueError, match="dropout_forward: p must be a finite number >= 0 and < 1"):
        dropout_forward(np.ones(3), p, rng)
