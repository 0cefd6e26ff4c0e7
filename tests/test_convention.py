"""What all pairs of functions have in common, as `layers` states it: arrays, dtypes, errors."""

import inspect
from functools import partial

import numpy as np
import pytest
from reference import listed

import conv as C
import layers as L
import normalization as N


def batchnorm(mode):
    """Batch normalization with running means of its own at each call."""
    return lambda x, gamma, beta: N.batchnorm_forward(x, gamma, beta, {"mode": mode})


def pool(h, w, kind=""):
    """Forward, backward and the shape of the images."""
    param = {"pool_height": h, "pool_width": w, "stride": 2}
    forward, backward = (getattr(C, f"max_pool_{way}{kind}") for way in ("forward", "backward"))
    return partial(forward, pool_param=param), backward, (2, 3, 4, 4)


def dropout(x):
    return L.dropout_forward(x, 0.5, np.random.default_rng(0))


fast_conv = partial(C.conv_forward, conv_param={"pad": 1})
naive_conv = partial(C.conv_forward_naive, conv_param={"pad": 1})
layernorm = partial(N.layernorm_forward, ln_param={})
groupnorm = partial(N.spatial_groupnorm_forward, G=2, gn_param={})
ROWS, IMAGES, FOUR, MASKS = (5, 4), (5, 4, 3, 2), (4,), (2, 3, 3, 3)
# Forward, backward, shapes of the inputs.
PAIRS = {
    "fc": (L.fc_forward, L.fc_backward, (5, 2, 2), (4, 3), (3,)),
    "relu": (L.relu_forward, L.relu_backward, ROWS),
    "sigmoid": (L.sigmoid_forward, L.sigmoid_backward, ROWS),
    "tanh": (L.tanh_forward, L.tanh_backward, ROWS),
    "dropout": (dropout, L.dropout_backward, ROWS),
    "batchnorm": (batchnorm("train"), N.batchnorm_backward, ROWS, FOUR, FOUR),
    "batchnorm, test": (batchnorm("test"), N.batchnorm_backward, ROWS, FOUR, FOUR),
    "spatial batchnorm": (batchnorm("train"), N.batchnorm_backward, IMAGES, FOUR, FOUR),
    "layernorm": (layernorm, N.layernorm_backward, ROWS, FOUR, FOUR),
    "groupnorm": (groupnorm, N.spatial_groupnorm_backward, IMAGES, FOUR, FOUR),
    "conv": (fast_conv, C.conv_backward, (2, 3, 4, 4), MASKS, (2,)),
    "conv, winograd": (fast_conv, C.conv_backward, (32, 3, 5, 5), MASKS, (2,)),
    "conv, naive": (naive_conv, C.conv_backward_naive, (2, 3, 4, 4), MASKS, (2,)),
    "pool, naive": pool(2, 2, "_naive"),
    **{f"pool, {h} x {w}": pool(h, w) for h in (1, 2) for w in (1, 2)},
}  # fmt: skip
each = pytest.mark.parametrize("name", PAIRS)


def inputs(name, rng, dtype=np.float64):
    return [(9 * rng.random(shape) - 4).astype(dtype) for shape in PAIRS[name][2:]]


def results(name, arrays, dout=None):
    """Out and all gradients."""
    forward, backward, *_ = PAIRS[name]
    out, cache = forward(*arrays)
    return [out, *listed(backward(np.ones_like(out) if dout is None else dout, cache))]


def assert_equal(ours, expected):
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)  # of one dtype


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_shapes_go_through(name, dtype, rng):
    arrays = inputs(name, rng, dtype)
    found = results(name, arrays)
    assert {array.dtype for array in found} == {np.dtype(dtype)}
    assert [array.shape for array in found[1:]] == [array.shape for array in arrays]


@each
def test_integers_and_lists_count_as_float64(name, rng):
    arrays = inputs(name, rng, np.int8)
    expected = results(name, [a.astype(np.float64) for a in arrays])
    dout = np.ones(expected[0].shape, np.int8)
    assert_equal(results(name, arrays, dout), expected)
    assert_equal(results(name, [a.tolist() for a in arrays], dout.tolist()), expected)


@each
def test_what_a_caller_does_with_the_results_changes_nothing_else(name, rng):
    arrays = inputs(name, rng)
    before = [array.copy() for array in arrays]
    forward, backward, *_ = PAIRS[name]
    out, cache = forward(*arrays)
    dout = rng.standard_normal(out.shape)
    expected = [gradient.copy() for gradient in listed(backward(dout.copy(), cache))]
    out += 1
    gradients = listed(backward(dout, cache))
    assert_equal(gradients, expected)
    for gradient in gradients:
        gradient[...] = 0
    assert_equal(listed(backward(dout, cache)), expected)
    assert_equal(arrays, before)


@pytest.mark.parametrize("name", ["relu", "dropout", *(name for name in PAIRS if "pool, " in name)])
def test_an_infinite_gradient_is_zero_where_none_comes_through(name, rng):
    arrays = inputs(name, rng)
    out, ones = results(name, arrays)
    _, infinite = results(name, arrays, np.full(out.shape, np.inf))
    np.testing.assert_array_equal(infinite, np.where(ones > 0, np.inf, 0))


@each
@pytest.mark.parametrize("kind", ["f2", "c16", "O", "masked"])
def test_other_kinds_of_numbers_and_other_shapes_of_dout_are_named(name, kind, rng):
    arrays = inputs(name, rng)
    forward, backward, *_ = PAIRS[name]
    out, cache = forward(*arrays)

    def wrong(array):
        return np.ma.array(array) if kind == "masked" else array.astype(kind)

    for i, argument in enumerate(list(inspect.signature(forward).parameters)[: len(arrays)]):
        with pytest.raises(TypeError, match=f"_forward.*: {argument} "):
            forward(*arrays[:i], wrong(arrays[i]), *arrays[i + 1 :])
    for error, dout in ((TypeError, wrong(out)), (ValueError, out[:1]), (ValueError, 1.0)):
        with pytest.raises(error, match=f"^{backward.__name__}: dout "):
            backward(dout, cache)


@each
def test_no_examples_pass_through(name, rng):
    x, *params = inputs(name, rng)
    out, dx, *gradients = results(name, [x[:0], *params])
    assert (len(out), dx.shape) == (0, x[:0].shape)
    assert not any(gradient.any() for gradient in gradients)


_X, _I, _TEST = np.ones((2, 3)), np.ones((2, 3, 5, 6)), {"mode": "test"}
_3, _4, _POOL = np.ones(3), np.ones(4), {"pool_height": 2, "pool_width": 2, "stride": 2}


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (L.fc_forward, (np.ones((2, 28, 28)), np.ones((3072, 4)), _4), "x has 784 .* 3072"),
        (L.fc_forward, (_X, np.ones((3, 4)), np.ones((4, 1))), "b"),
        *((L.softmax_loss, (_X, y), "y") for y in ([0, 3], [-1, 0], [0.0, 1.0])),
        (L.softmax_loss, (_X[:0], np.zeros(0, int)), "y"),
        (L.softmax_loss, (_X.astype(np.float16), [0, 1]), "x"),
        (L.dropout_forward, (_X, 1.0, None), "p"),
        (N.batchnorm_forward, (_X, _3, _3, {}), "mode"),
        (N.batchnorm_forward, (_X, _3, _3, _TEST | {"momentum": 1}), "momentum"),
        (N.batchnorm_forward, (_X, _3, _3, _TEST | {"running_var": [1, 1, 1]}), "running_var"),
        (N.layernorm_forward, (_X, _3, _3, {"momentum": 0.9}), "ln_param"),
        (N.spatial_groupnorm_forward, (_I, _3, _3, 2, {}), "G"),
        *((forward, (_I, np.ones((4, *mask)), _4, param), message)
          for forward in (C.conv_forward, C.conv_forward_naive)
          for mask, param, message in (
              ((1, 3, 3), {}, "x has 3 channels"), ((3, 6, 3), {}, "the mask of 6 x 3 .* 5 x 6"),
              ((3, 3, 9), {"pad": 1}, "the mask of 3 x 9 .* 7 x 8"),
              ((3, 3, 3), {"padding": 1}, "conv_param"))),
        *((forward, (_I, param), message)
          for forward in (C.max_pool_forward, C.max_pool_forward_naive)
          for param, message in (
              (_POOL | {"pool_height": 6}, "the window of 6 x 2"),
              (_POOL | {"pad": 1}, "pool_param"), ({"stride": 2}, "pool_param"))),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(function, arguments, message):
    with pytest.raises((TypeError, ValueError), match=rf"^{function.__name__}: {message}\b"):
        function(*arguments)
