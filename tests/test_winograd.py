"""Fewer multiplications, same answers: against the naive pair, numerical gradients, float64."""

from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import as_in_networks

from conv import conv_backward, conv_backward_naive, conv_forward, conv_forward_naive
from fast import winograd

PAIRS = {"naive": (conv_forward_naive, conv_backward_naive), "fast": (conv_forward, conv_backward)}


@st.composite
def cases(draw):
    """x, w, b and padding that `winograd` is used for; of one tile, or several."""
    n, channels, filters = (draw(st.integers(*ends)) for ends in ((32, 34), (3, 4), (1, 2)))
    mask = draw(st.integers(1, 3)), draw(st.sampled_from([3, 5]))
    pad = draw(st.integers(0, 2))
    height, width = draw(st.integers(mask[0], 4)), draw(st.integers(mask[1], 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((n, channels, height, width))
    w, b = rng.standard_normal((filters, channels, *mask)), rng.standard_normal(filters)
    return x, w, b, pad


def results(kind, x, w, b, pad, dout=None):
    """out, dx, dw, db."""
    forward, backward = PAIRS[kind]
    out, cache = forward(x, w, b, {"pad": pad})
    if dout is None:
        dout = np.random.default_rng(0).standard_normal(out.shape)
    return out, *backward(dout, cache)


@pytest.mark.parametrize("size", [3, 5])
def test_one_row_by_hand(size, rng):
    A, G, B = winograd.matrices(size, np.dtype(np.float64))
    g, d = rng.standard_normal(size), rng.standard_normal(size + 3)
    responses = A.T @ ((G @ g) * (B @ d))
    np.testing.assert_allclose(responses, np.correlate(d, g, "valid"), rtol=0, atol=1e-12)


@settings(max_examples=25)
@given(case=cases(), in_net=st.booleans())
def test_agrees_with_naive(case, in_net):
    x, *arrays = case
    assert winograd.is_faster(arrays[0], 1, len(x))
    expected = results("naive", x, *arrays)
    if in_net:
        [x] = as_in_networks(x)
    for ours, reference in zip(results("fast", x, *arrays), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("n", "channels", "size", "stride", "used"),
    [(32, 3, 5, 1, 1), (31, 3, 3, 1, 0), (32, 2, 3, 1, 0), (32, 3, 4, 1, 0), (32, 3, 3, 2, 0)],
)
def test_when_it_is_used(n, channels, size, stride, used, rng, monkeypatch):
    for name in ("forward", "backward"):
        monkeypatch.setattr(winograd, name, Mock(wraps=getattr(winograd, name)))
    x, w = rng.standard_normal((n, channels, 6, 6)), rng.standard_normal((1, channels, size, size))
    out, cache = conv_forward(x, w, np.zeros(1), {"stride": stride})
    conv_backward(out, cache)
    assert (winograd.forward.call_count, winograd.backward.call_count) == (used, used)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("channels", [3, 32, 128])
def test_float32_is_within_sixteen_roundings(size, channels, rng):
    """Errors stay below 16 eps times the largest sum of the absolute values that are summed up."""
    shapes = (32, channels, 8, 8), (4, channels, size, size), (4,), (32, 4, 8, 8)
    x, w, b, dout = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    ours = results("fast", x, w, b, size // 2, dout)
    exact = results("fast", *(a.astype(float) for a in (x, w, b)), size // 2, dout.astype(float))
    sizes = results("fast", *(abs(a).astype(float) for a in (x, w, b)), size // 2, abs(dout))
    for result, expected, total in zip(ours, exact, sizes, strict=True):
        assert result.dtype == np.float32
        assert np.abs(result - expected).max() <= 16 * np.finfo(np.float32).eps * total.max()


def test_dtypes_mix_as_in_the_plain_product(rng):
    x, w = rng.random((32, 3, 6, 6), np.float32), rng.random((2, 3, 3, 3))
    assert {a.dtype for a in results("fast", x, w, np.zeros(2), 1)} == {np.dtype("f8")}
    w, b, dout = w.astype("f4"), np.zeros(2, "f4"), rng.random((32, 2, 6, 6))
    assert [a.dtype for a in results("fast", x, w, b, 1, dout)] == ["f4", "f8", "f8", "f8"]
