"""Convolution and max pooling: gradients, naive against fast, SciPy, values by hand.

What they have in common with other layers is in test_convention.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import as_in_networks, listed
from scipy.signal import correlate2d

import conv as C
from gradient_check import check_layer

CONV = {"naive": (C.conv_forward_naive, C.conv_backward_naive),
        "fast": (C.conv_forward, C.conv_backward)}  # fmt: skip
POOL = {"naive": (C.max_pool_forward_naive, C.max_pool_backward_naive),
        "fast": (C.max_pool_forward, C.max_pool_backward)}  # fmt: skip
naive_and_fast = pytest.mark.parametrize("kind", ["naive", "fast"])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def conv_cases(draw):
    """x, w, b, conv_param; masks of every shape that fits, up to the whole padded image.

    Of many images, for which `winograd` is used, test_winograd.py has more.
    """
    n, channels, filters = (draw(st.integers(1, top)) for top in (3, 4, 3))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    stride, pad = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    masks = st.tuples(st.integers(1, height + 2 * pad), st.integers(1, width + 2 * pad))
    mask = draw(masks.filter(lambda mask: np.prod(mask) <= 12) | st.just((height, width)))
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
    few = ties and draw(st.booleans())
    x = rng.permutation(np.arange(float(np.prod(shape))) % (3 if few else np.inf)).reshape(shape)
    return x, {"pool_height": height, "pool_width": width, "stride": draw(st.integers(1, 4))}


def check_gradients(forward, backward, *inputs, param):
    check = check_layer(lambda *inputs: forward(*inputs, param), backward, *inputs)
    assert check.passed, check
    assert check.rows[0].kinks == 0, check


def check_fast(pairs, arrays, param, in_net, tolerance):
    """Hold the fast pair of functions against the naive one."""
    forward, backward = pairs["naive"]
    out, cache = forward(*arrays, param)
    dout = np.random.default_rng(0).integers(1, 100, out.shape).astype(out.dtype)  # exact sums
    naive = out, *listed(backward(dout, cache))
    if in_net:
        [arrays[0], dout] = as_in_networks(arrays[0], dout)
    forward, backward = pairs["fast"]
    out, cache = forward(*arrays, param)
    for ours, expected in zip((out, *listed(backward(dout, cache))), naive, strict=True):
        assert ours.dtype == expected.dtype == dout.dtype
        atol = tolerance * max(1, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=atol)


@given(case=conv_cases())
@settings(max_examples=30)
def test_conv_gradients(case):
    *inputs, param = case
    check_gradients(*CONV["fast"], *inputs, param=param)


@naive_and_fast
@pytest.mark.parametrize(
    ("image", "mask", "stride", "pad"),
    [((4, 5), (1, 1), 2, 1), ((4, 5), (1, 3), 1, 0), ((2, 3), (4, 5), 1, 1), ((2, 2), (2, 1), 1, 3),
     ((3, 3), (2, 2), 5, 0), ((4, 6), (2, 2), 2, 0), ((5, 5), (3, 3), 2, 0)],
)  # fmt: skip
def test_gradients_of_special_shapes(kind, image, mask, stride, pad, rng):
    x, w = rng.standard_normal((2, 2, *image)), rng.standard_normal((2, 2, *mask))
    check_gradients(*CONV[kind], x, w, np.ones(2), param={"stride": stride, "pad": pad})
    if pad == 0:
        x = rng.permutation(2.0 * np.arange(x.size)).reshape(x.shape)
        param = {"pool_height": mask[0], "pool_width": mask[1], "stride": stride}
        check_gradients(*POOL[kind], x, param=param)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=conv_cases(), in_net=st.booleans())
def test_fast_conv_agrees_with_naive(dtype, case, in_net):
    *arrays, param = case
    arrays = [a.astype(dtype) for a in arrays]
    check_fast(CONV, arrays, param, in_net, tolerance=100 * np.finfo(dtype).eps)


@naive_and_fast
@given(case=conv_cases())
def test_conv_agrees_with_scipy(kind, case):
    x, w, b, param = case
    stride, pad = param["stride"], param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out, _ = CONV[kind][0](x, w, b, param)
    for n, f in np.ndindex(out.shape[:2]):
        channels = zip(padded[n], w[f], strict=True)
        expected = b[f] + sum(correlate2d(image, mask, "valid") for image, mask in channels)
        np.testing.assert_allclose(out[n, f], expected[::stride, ::stride], rtol=0, atol=1e-12)


@naive_and_fast
def test_conv_by_hand(kind):
    forward, backward = CONV[kind]
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    w = np.array([[[[1.0, -1.0]]], [[[0.0, 2.0]]]])
    out, cache = forward(x, w, np.array([0.5, 0.0]), {})
    np.testing.assert_array_equal(out, [[[[-0.5, -0.5], [-0.5, -0.5]], [[4, 6], [10, 12]]]])
    dout = np.array([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]]])
    dx, dw, db = backward(dout, cache)
    np.testing.assert_array_equal(dx, [[[[1, -1, 6], [0, 2, -2]]]])
    np.testing.assert_array_equal(dw, [[[[11, 14]]], [[[6, 9]]]])
    np.testing.assert_array_equal(db, [3, 3])
    none, *gradients = backward(dout, cache, need_dx=False)
    assert none is None
    assert all((a == b).all() for a, b in zip(gradients, (dw, db), strict=True))
    x, param = np.arange(1.0, 10).reshape(1, 1, 3, 3), {"stride": 3, "pad": 1}
    out, _ = forward(x, np.ones((1, 1, 2, 2)), np.zeros(1), param)
    np.testing.assert_array_equal(out, [[[[1, 3], [7, 9]]]])
    assert param == {"stride": 3, "pad": 1}


@given(case=pool_cases(ties=False))
def test_pool_gradients(case):
    check_gradients(*POOL["fast"], case[0], param=case[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(case=pool_cases(), in_net=st.booleans())
def test_fast_pool_agrees_with_naive(dtype, case, in_net):
    check_fast(POOL, [case[0].astype(dtype)], case[1], in_net, tolerance=0)


@naive_and_fast
def test_pool_by_hand(kind):
    """Windows overlap in the middle column: the 9 wins both and gets the sum of their gradients."""
    forward, backward = POOL[kind]
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 9.0, 6.0], [8.0, 7.0, 5.0]]]])
    out, cache = forward(x, {"pool_height": 2, "pool_width": 2, "stride": 1})
    np.testing.assert_array_equal(out, [[[[9, 9], [9, 9]]]])
    dx = backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), cache)
    np.testing.assert_array_equal(dx, [[[[0, 0, 0], [0, 10, 0], [0, 0, 0]]]])
    # On a tie the first in row-major order gets the gradient.
    x = np.array([[[[0.0, 7.0, 5.0, 5.0], [7.0, 7.0, 5.0, 5.0], [1.0, 0.0, -1.0, 2.0]]]])
    out, cache = forward(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    np.testing.assert_array_equal(out, [[[[7, 5]]]])
    dx = backward(np.array([[[[1.0, 2.0]]]]), cache)
    np.testing.assert_array_equal(dx, [[[[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]])


@given(size=st.integers(1, 12), mask_size=st.integers(1, 12), seed=seeds)
def test_convolve_1d_agrees_with_numpy(size, mask_size, seed):
    rng = np.random.default_rng(seed)
    signal, mask = rng.standard_normal(size), rng.standard_normal(mask_size)
    expected = np.convolve(signal, mask)
    np.testing.assert_allclose(C.convolve_1d(signal, mask), expected, rtol=0, atol=1e-13)
    assert C.convolve_1d(signal.astype(np.float32), mask.astype(np.float32)).dtype == np.float32
