"""Convolution and max pooling: gradients, naive against fast, SciPy, values by hand, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from conv import (
    conv_backward,
    conv_backward_naive,
    conv_forward,
    conv_forward_naive,
    convolve_1d,
    max_pool_backward,
    max_pool_backward_naive,
    max_pool_forward,
    max_pool_forward_naive,
)
from gradient_check import check_layer

CONV = {
    "naive": (conv_forward_naive, conv_backward_naive),
    "fast": (conv_forward, conv_backward),
}
POOL = {
    "naive": (max_pool_forward_naive, max_pool_backward_naive),
    "fast": (max_pool_forward, max_pool_backward),
}
seeds = st.integers(0, 2**32 - 1)


@st.composite
def conv_cases(draw):
    """x, w, b, conv_param; masks of every shape that fits, up to the whole padded image."""
    n, channels, filters = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
    height, width = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    stride, pad = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    mask = draw(
        st.tuples(st.integers(1, height + 2 * pad), st.integers(1, width + 2 * pad)).filter(
            lambda mask: mask[0] * mask[1] <= 12
        )
        | st.just((height, width))
    )
    rng = np.random.default_rng(draw(seeds))
    x = rng.standard_normal((n, channels, height, width))
    w, b = rng.standard_normal((filters, channels, *mask)), rng.standard_normal(filters)
    return x, w, b, {"stride": stride, "pad": pad}


@st.composite
def pool_cases(draw, ties=True):
    """x, pool_param; the values of x are few, so that many windows have ties, or all different.

    Numerical gradients need the latter: a pixel that ties in two windows at once has more than two
    slopes. What happens on ties is compared with the naive functions and with values by hand.
    """
    shape = draw(st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 7)] * 2))
    height, width = draw(st.tuples(st.integers(1, shape[2]), st.integers(1, shape[3])))
    rng = np.random.default_rng(draw(seeds))
    if ties and draw(st.booleans()):
        x = rng.integers(0, 3, shape).astype(float)
    else:
        x = rng.permutation(1.0 * np.arange(np.prod(shape))).reshape(shape)
    return x, {"pool_height": height, "pool_width": width, "stride": draw(st.integers(1, 4))}


def check_conv(kind, x, w, b, param):
    forward, backward = CONV[kind]
    check = check_layer(lambda x, w, b: forward(x, w, b, param), backward, x, w, b)
    assert check.passed, check
    assert [row.name for row in check.rows] == ["x", "w", "b"]


@given(case=conv_cases())
def test_conv_gradients(case):
    check_conv("fast", *case)


@pytest.mark.parametrize("kind", CONV)
@pytest.mark.parametrize(
    ("image", "mask", "stride", "pad"),
    [
        ((4, 5), (1, 1), 1, 0),
        ((4, 5), (1, 1), 2, 1),
        ((4, 5), (1, 3), 1, 0),
        ((5, 4), (3, 1), 2, 0),
        ((4, 3), (4, 3), 1, 0),
        ((2, 3), (4, 5), 1, 1),
        ((5, 6), (3, 2), 2, 0),
        ((6, 5), (2, 3), 3, 1),
        ((5, 5), (3, 3), 1, 1),
        ((3, 3), (2, 2), 5, 0),
        ((2, 2), (2, 1), 1, 3),
    ],
)
def test_conv_gradients_of_special_shapes(kind, image, mask, stride, pad, rng):
    x, w = rng.standard_normal((2, 2, *image)), rng.standard_normal((2, 2, *mask))
    check_conv(kind, x, w, rng.standard_normal(2), {"stride": stride, "pad": pad})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=conv_cases(), in_net=st.booleans())
def test_fast_conv_agrees_with_naive(dtype, case, in_net):
    *arrays, param = case
    x, w, b = (a.astype(dtype) for a in arrays)
    out, cache = conv_forward_naive(x, w, b, param)
    dout = np.random.default_rng(0).standard_normal(out.shape).astype(dtype)
    naive = out, *conv_backward_naive(dout, cache)
    if in_net:  # as one layer of a network gives it to the next
        x, dout = (a.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2) for a in (x, dout))
    out, cache = conv_forward(x, w, b, param)
    fast = out, *conv_backward(dout, cache)
    for ours, expected in zip(fast, naive, strict=True):
        assert ours.dtype == expected.dtype == dtype
        tolerance = 100 * np.finfo(dtype).eps * max(1, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", CONV)
@given(case=conv_cases())
def test_conv_agrees_with_scipy(kind, case):
    x, w, b, param = case
    stride, pad = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    expected = [
        [
            b[f] + sum(correlate2d(i, g, "valid") for i, g in zip(image, w[f], strict=True))
            for f in range(len(w))
        ]
        for image in padded
    ]
    out, _ = CONV[kind][0](x, w, b, param)
    expected = np.array(expected)[:, :, ::stride, ::stride]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", CONV)
def test_conv_by_hand(kind):
    forward, backward = CONV[kind]
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    w = np.array([[[[1.0, -1.0]]], [[[0.0, 2.0]]]])
    out, cache = forward(x, w, np.array([0.5, 0.0]), {})
    np.testing.assert_array_equal(out, [[[[-0.5, -0.5], [-0.5, -0.5]], [[4, 6], [10, 12]]]])
    dx, dw, db = backward(np.array([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]]]), cache)
    np.testing.assert_array_equal(dx, [[[[1, -1, 6], [0, 2, -2]]]])
    np.testing.assert_array_equal(dw, [[[[11, 14]]], [[[6, 9]]]])
    np.testing.assert_array_equal(db, [3, 3])


@pytest.mark.parametrize("kind", CONV)
def test_conv_with_stride_and_padding_by_hand(kind):
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    w = np.ones((1, 1, 2, 2))
    out, _ = CONV[kind][0](x, w, np.zeros(1), {"stride": 3, "pad": 1})
    np.testing.assert_array_equal(out, [[[[1, 3], [7, 9]]]])


@pytest.mark.parametrize("kind", CONV)
def test_conv_output_size_is_rounded_down(kind):
    x, w = np.zeros((1, 1, 8, 6)), np.zeros((3, 1, 3, 2))
    out, _ = CONV[kind][0](x, w, np.zeros(3), {"stride": 2, "pad": 0})
    assert out.shape == (1, 3, 3, 3)


@pytest.mark.parametrize("kind", CONV)
def test_conv_backward_without_dx(kind, rng):
    forward, backward = CONV[kind]
    _, cache = forward(rng.random((2, 2, 5, 5)), rng.random((3, 2, 3, 3)), np.zeros(3), {})
    dout = rng.random((2, 3, 3, 3))
    (dx, *rest), (_, *rest_all) = backward(dout, cache, need_dx=False), backward(dout, cache)
    assert dx is None
    for ours, expected in zip(rest, rest_all, strict=True):
        np.testing.assert_array_equal(ours, expected)


@given(case=pool_cases(ties=False))
def test_pool_gradients(case):
    x, param = case
    forward, backward = POOL["fast"]
    check = check_layer(lambda x: forward(x, param), backward, x)
    assert check.passed, check


@pytest.mark.parametrize("kind", POOL)
@pytest.mark.parametrize(
    ("image", "window", "stride"),
    [((4, 6), (2, 2), 2), ((5, 5), (3, 3), 2), ((5, 4), (5, 4), 1), ((5, 7), (1, 3), 1),
     ((4, 5), (2, 1), 3), ((3, 3), (1, 1), 2)],
)  # fmt: skip
def test_pool_gradients_of_special_shapes(kind, image, window, stride, rng):
    x = rng.permutation(2.0 * np.arange(4 * np.prod(image))).reshape(2, 2, *image)
    param = {"pool_height": window[0], "pool_width": window[1], "stride": stride}
    forward, backward = POOL[kind]
    check = check_layer(lambda x: forward(x, param), backward, x)
    assert check.passed, check
    assert check.rows[0].kinks == 0, check


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=pool_cases(), in_net=st.booleans())
def test_fast_pool_agrees_with_naive(dtype, case, in_net):
    x, param = case[0].astype(dtype), case[1]
    out, cache = max_pool_forward_naive(x, param)
    dout = np.random.default_rng(0).integers(1, 100, out.shape).astype(dtype)  # exact sums
    naive = out, max_pool_backward_naive(dout, cache)
    if in_net:
        x, dout = (a.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2) for a in (x, dout))
    out, cache = max_pool_forward(x, param)
    for ours, expected in zip((out, max_pool_backward(dout, cache)), naive, strict=True):
        assert ours.dtype == expected.dtype == dtype
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("kind", POOL)
def test_pool_by_hand(kind):
    """Windows overlap in the middle column: the 9 wins both and gets the sum of their gradients."""
    forward, backward = POOL[kind]
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 9.0, 6.0], [8.0, 7.0, 5.0]]]])
    out, cache = forward(x, {"pool_height": 2, "pool_width": 2, "stride": 1})
    np.testing.assert_array_equal(out, [[[[9, 9], [9, 9]]]])
    dx = backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), cache)
    np.testing.assert_array_equal(dx, [[[[0, 0, 0], [0, 10, 0], [0, 0, 0]]]])


@pytest.mark.parametrize("kind", POOL)
def test_on_a_tie_the_first_in_row_major_order_gets_the_gradient(kind):
    forward, backward = POOL[kind]
    x = np.array([[[[0.0, 7.0, 5.0, 5.0], [7.0, 7.0, 5.0, 5.0], [1.0, 0.0, -1.0, 2.0]]]])
    out, cache = forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    np.testing.assert_array_equal(out, [[[[7, 5]]]])
    dx = backward(np.array([[[[1.0, 2.0]]]]), cache)
    np.testing.assert_array_equal(dx, [[[[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]])


@given(case=st.tuples(st.integers(1, 12), st.integers(1, 12), seeds))
def test_convolve_1d_agrees_with_numpy(case):
    rng = np.random.default_rng(case[2])
    signal, mask = rng.standard_normal(case[0]), rng.standard_normal(case[1])
    np.testing.assert_allclose(
        convolve_1d(signal, mask), np.convolve(signal, mask), rtol=0, atol=1e-13
    )


def test_convolve_1d_by_hand():
    signal, mask = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5])
    np.testing.assert_array_equal(convolve_1d(signal, mask), [0, 1, 2.5, 4, 1.5])
    assert convolve_1d(signal.astype(np.float32), mask.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("kind", CONV)
def test_inputs_are_left_alone(kind, rng):
    arrays = [rng.standard_normal(s) for s in ((2, 2, 4, 4), (2, 2, 3, 3), (2,), (2, 2, 4, 4))]
    x, w, b, dout = (a.copy() for a in arrays)
    param = {"stride": 1, "pad": 1}
    forward, backward = CONV[kind]
    backward(dout, forward(x, w, b, param)[1])
    forward, backward = POOL[kind]
    out, cache = forward(x, {"pool_height": 1, "pool_width": 1, "stride": 1})
    backward(dout, cache)[...] = 0
    out[...] = 0
    for ours, before in zip((x, w, b, dout), arrays, strict=True):
        np.testing.assert_array_equal(ours, before)
    assert param == {"stride": 1, "pad": 1}


@pytest.mark.parametrize("kind", CONV)
def test_integers_count_as_float64(kind, rng):
    x, w, b = (rng.integers(-5, 5, s, np.int8) for s in ((2, 2, 4, 4), (2, 2, 3, 3), (2,)))
    results = []
    for arrays in ([x, w, b], [a.astype(float) for a in (x, w, b)]):
        out, cache = CONV[kind][0](*arrays, {"pad": 1})
        results.append([out, *CONV[kind][1](arrays[0], cache)])
        out, cache = POOL[kind][0](arrays[0], {"pool_height": 1, "pool_width": 2, "stride": 1})
        results[-1] += [out, POOL[kind][1](arrays[0][:, :, :, 1:], cache)]
    for ours, expected in zip(*results, strict=True):
        assert ours.dtype == np.float64
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("kind", CONV)
def test_empty_batch(kind):
    forward, backward = CONV[kind]
    out, cache = forward(np.zeros((0, 2, 5, 4)), np.ones((3, 2, 2, 2)), np.ones(3), {"pad": 1})
    assert out.shape == (0, 3, 6, 5)
    dx, dw, db = backward(out, cache)
    assert dx.shape == (0, 2, 5, 4)
    assert not dw.any()
    assert not db.any()
    forward, backward = POOL[kind]
    out, cache = forward(dx, {"pool_height": 2, "pool_width": 2, "stride": 2})
    assert out.shape == (0, 2, 2, 2)
    assert backward(out, cache).shape == (0, 2, 5, 4)


_X, _W, _B = np.ones((2, 3, 5, 6)), np.ones((4, 3, 3, 3)), np.ones(4)
_POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


@pytest.mark.parametrize("kind", CONV)
@pytest.mark.parametrize(
    ("x", "w", "b", "param", "error", "message"),
    [
        (_X, np.ones((4, 1, 3, 3)), _B, {}, ValueError,
         r": x has 3 channels but w expects 1 \(w.shape\[1\]\)"),
        (_X[0], _W, _B, {}, ValueError, r"x of shape \(N, C, H, W\).*got x \(3, 5, 6\)"),
        (_X, _W[0], _B, {}, ValueError, r"w of shape \(F, C, HH, WW\).*and w \(3, 3, 3\)"),
        (_X, np.ones((4, 3, 0, 3)), _B, {}, ValueError, "none of w's sizes 0"),
        (_X, _W, np.ones(3), {}, ValueError, r"b must have shape \(4,\).*got \(3,\)"),
        (_X, np.ones((4, 3, 6, 3)), _B, {}, ValueError, "mask of 6 x 3 is larger than .* 5 x 6"),
        (_X, np.ones((4, 3, 3, 9)), _B, {"pad": 1}, ValueError, "3 x 9 is larger than .* 7 x 8"),
        (_X.astype(bool), _W, _B, {}, TypeError, "x must be .* of floats, got an array of bool"),
        (np.ma.array(_X), _W, _B, {}, TypeError, "x must be .* of floats, got a MaskedArray of fl"),
        (_X, _W.tolist(), _B, {}, TypeError, "w must be .* of floats, got list"),
        (_X, _W, 0.0, {}, TypeError, "b must be .* of floats, got float"),
        (_X, _W, _B, {"stride": 0}, ValueError, r"\['stride'\] must be at least 1, got 0"),
        (_X, _W, _B, {"pad": -1}, ValueError, r"\['pad'\] must be at least 0, got -1"),
        (_X, _W, _B, {"stride": 1.0}, TypeError, r"\['stride'\] must be an integer, got 1\.0"),
        (_X, _W, _B, {"pad": True}, TypeError, r"\['pad'\] must be an integer, got True"),
        (_X, _W, _B, {"padding": 1}, ValueError,
         r"conv_param must have the keys \['stride', 'pad'\], got \['padding'\]"),
        (_X, _W, _B, 1, TypeError, "conv_param must be a dict, got int"),
    ],
)  # fmt: skip
def test_conv_bad_input(kind, x, w, b, param, error, message):
    forward = CONV[kind][0]
    with pytest.raises(error, match=f"^{forward.__name__}: .*{message.removeprefix(': ')}"):
        forward(x, w, b, param)


@pytest.mark.parametrize("kind", POOL)
@pytest.mark.parametrize(
    ("x", "param", "error", "message"),
    [
        (_X[0], _POOL, ValueError, r"x of shape \(N, C, H, W\), got \(3, 5, 6\)"),
        (_X.astype(bool), _POOL, TypeError, "x must be .* of floats, got an array of bool"),
        (_X, _POOL | {"pool_height": 6}, ValueError, "window of 6 x 2 is larger than .* 5 x 6"),
        (_X, _POOL | {"pool_width": 0}, ValueError, r"\['pool_width'\] must be at least 1, got 0"),
        (_X, _POOL | {"stride": "2"}, TypeError, r"\['stride'\] must be an integer, got '2'"),
        (_X, _POOL | {"pad": 1}, ValueError, r"pool_param must have the keys .* got .*'pad'"),
        (_X, {"pool_height": 2, "pool_width": 2}, ValueError, "pool_param must have the keys"),
        (_X, None, TypeError, "pool_param must be a dict, got NoneType"),
    ],
)  # fmt: skip
def test_pool_bad_input(kind, x, param, error, message):
    forward = POOL[kind][0]
    with pytest.raises(error, match=f"^{forward.__name__}: .*{message}"):
        forward(x, param)


@pytest.mark.parametrize("kind", CONV)
def test_bad_dout(kind):
    (conv, dconv), (pool, dpool) = CONV[kind], POOL[kind]
    for backward, cache, shape in (
        (dconv, conv(_X, _W, _B, {})[1], r"\(2, 4, 3, 4\)"),
        (dpool, pool(_X, _POOL)[1], r"\(2, 3, 2, 3\)"),
    ):
        with pytest.raises(ValueError, match=f"{backward.__name__}: dout .* shape {shape}, got"):
            backward(np.ones((2, 3, 2, 2)), cache)
        with pytest.raises(TypeError, match=f"{backward.__name__}: dout .* got float"):
            backward(1.0, cache)


@pytest.mark.parametrize(
    ("signal", "mask", "error", "message"),
    [
        (np.ones((2, 2)), np.ones(2), ValueError, r"one-dimensional .* got \(2, 2\) and \(2,\)"),
        (np.ones(2), np.ones(0), ValueError, "not empty"),
        ([1.0], np.ones(2), TypeError, "signal must be .* got list"),
        (np.ones(2), np.ones(2, bool), TypeError, "mask must be .* array of bool"),
    ],
)
def test_convolve_1d_bad_input(signal, mask, error, message):
    with pytest.raises(error, match=f"convolve_1d: .*{message}"):
        convolve_1d(signal, mask)
