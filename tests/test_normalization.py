"""Normalization layers: gradients, values by hand, running means, layout.

What they have in common with other layers is in test_convention.py.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import as_in_networks

import normalization as N
from gradient_check import check_layer
from normalization import batchnorm_backward, batchnorm_forward, layernorm_forward

EPS = 0.01  # with the default, 1e-5, the gradient of two numbers almost cancels out


def batch(mode):
    return lambda x, gamma, beta: batchnorm_forward(x, gamma, beta, running(x, mode))


def groups(G):
    return partial(N.spatial_groupnorm_forward, G=G, gn_param={"eps": EPS})


def running(x, mode):
    """Return a bn_param with running means that are not those of x."""
    mean = np.linspace(0.5, 2.0, x.shape[1], dtype=x.dtype)
    return {"mode": mode, "eps": EPS, "running_mean": mean, "running_var": mean[::-1].copy()}


layer = partial(layernorm_forward, ln_param={"eps": EPS})
# Forward, backward, axes of x, and the axes that mean and variance are over.
LAYERS = {
    "batchnorm": (batch("train"), batchnorm_backward, 2, 0),
    "batchnorm, test": (batch("test"), batchnorm_backward, 2, None),
    "spatial batchnorm": (batch("train"), N.spatial_batchnorm_backward, 4, (0, 2, 3)),
    "spatial batchnorm, test": (batch("test"), N.spatial_batchnorm_backward, 4, None),
    "layernorm": (layer, N.layernorm_backward, 2, 1),
    "spatial layernorm": (layer, N.layernorm_backward, 4, (1, 2, 3)),
    "groupnorm, 1": (groups(1), N.spatial_groupnorm_backward, 4, (1, 2, 3)),
    "groupnorm, 2": (groups(2), N.spatial_groupnorm_backward, 4, (2, 3, 4)),
}
sizes = st.integers(1, 3)


def inputs(shape, rng):
    """Return x, gamma, beta; no two numbers of x are so close that a variance comes near 0."""
    x = 0.5 * rng.permutation(np.prod(shape)).reshape(shape) + 0.1 * rng.standard_normal(shape)
    return [x, *rng.standard_normal((2, shape[1]))]


@pytest.mark.parametrize("name", LAYERS)
@given(shape=st.tuples(sizes, sizes, sizes, sizes), seed=st.integers(0, 2**32 - 1))
def test_gradients(name, shape, seed):
    forward, backward, ndim, _ = LAYERS[name]
    n, channels, *size = shape
    shape = (n, 2 * channels, *size)[:ndim]
    check = check_layer(forward, backward, *inputs(shape, np.random.default_rng(seed)))
    assert check.passed, check


def test_batchnorm_by_hand():
    # A standard deviation of 3/16 and eps = 1/16, so that s = sqrt(9/256 + 16/256) = 5/16.
    x = np.array([[3 / 16, 0.0], [9 / 16, 8.0]])
    param = {"mode": "train", "eps": 1 / 16}
    out, cache = batchnorm_forward(x, np.array([5.0, 1.0]), np.array([1.0, 0.0]), param)
    np.testing.assert_allclose(out[:, 0], [1 - 3, 1 + 3], rtol=1e-14)
    dx, dgamma, dbeta = batchnorm_backward(np.array([[1.0, 1.0], [0.0, 1.0]]), cache)
    np.testing.assert_allclose(dgamma, [-0.6, 0.0], atol=1e-15)
    np.testing.assert_allclose(dbeta, [1.0, 2.0], rtol=1e-15)
    # gamma / s = 16;  dout - 1/2 - xhat (-0.6) / 2 is 1/2 - 0.18 and -1/2 + 0.18
    np.testing.assert_allclose(dx[:, 0], [16 * 0.32, -16 * 0.32], rtol=1e-13)
    np.testing.assert_allclose(dx[:, 1], [0.0, 0.0], atol=1e-15)  # a shift of out changes no x


@pytest.mark.parametrize("name", LAYERS)
def test_mean_and_standard_deviation(name, rng):
    forward, _, ndim, axes = LAYERS[name]
    x = 3 * rng.standard_normal((50, 4, 6, 5)[:ndim]) + 7
    out, _ = forward(x, np.full(4, 2.0), np.full(4, 5.0))
    if axes is None:
        _, _, mean, var = running(x, "test").values()
        expected = 2 * (np.moveaxis(x, 1, -1) - mean) / np.sqrt(var + EPS) + 5
        np.testing.assert_allclose(np.moveaxis(out, 1, -1), expected, rtol=1e-12)
        return
    if name == "groupnorm, 2":
        x, out = (a.reshape(50, 2, 2, 6, 5) for a in (x, out))
    np.testing.assert_allclose(out.mean(axis=axes), 5, rtol=1e-12)
    var = x.var(axis=axes)
    np.testing.assert_allclose(out.std(axis=axes), 2 * np.sqrt(var / (var + EPS)), rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2, 4)])
def test_running_means_follow_the_batches(shape, rng):
    axes = (0, *range(2, len(shape)))
    gamma, beta, param = np.ones(3), np.zeros(3), {"mode": "train", "momentum": 0.7}
    mean, var, arrays = np.zeros(3), np.ones(3), []
    for _ in range(4):
        x = rng.standard_normal(shape)
        batchnorm_forward(x, gamma, beta, param)
        mean, var = 0.7 * mean + 0.3 * x.mean(axes), 0.7 * var + 0.3 * x.var(axes)
        arrays = arrays or [param["running_mean"], param["running_var"]]  # updated in place
    np.testing.assert_allclose(arrays, [mean, var], rtol=1e-12)
    param["mode"] = "test"
    out, _ = batchnorm_forward(x, gamma, beta, param)
    alone, _ = batchnorm_forward(x[:1], gamma, beta, param)
    np.testing.assert_array_equal(out[:1], alone)  # it does not depend on the rest of the batch
    np.testing.assert_allclose(arrays, [mean, var], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name][2] == 4])
def test_images_keep_their_layout_and_the_answers_do_not_depend_on_it(name, rng):
    forward, backward, *_ = LAYERS[name]
    (x, gamma, beta), dout = inputs((5, 4, 3, 2), rng), rng.standard_normal((5, 4, 3, 2))
    in_net, dout_in_net = as_in_networks(x, dout)
    plain, cache = forward(x, gamma, beta)
    expected = plain, *backward(dout, cache)
    out, cache = forward(in_net, gamma, beta)
    found = out, *backward(dout_in_net, cache)
    assert plain.flags.c_contiguous
    assert out.strides == found[1].strides == in_net.strides
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_numpy_numbers_as_options_promote_nothing(rng):
    arrays = [array.astype(np.float32) for array in inputs((5, 4), rng)]
    options = {"eps": np.float64(1e-5), "momentum": np.float64(0.9), "mode": "train"}
    assert batchnorm_forward(*arrays, options)[0].dtype == np.float32
    wide = running(np.ones((1, 4)), "test")  # float64
    assert batchnorm_forward(*arrays, wide)[0].dtype == np.float32


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
