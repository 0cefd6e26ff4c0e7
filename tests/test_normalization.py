"""Normalization layers: gradients, values by hand, running means, layout, networks, bad input."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conv_net import ConvNet
from fc_net import FullyConnectedNet
from gradient_check import check_layer, check_net
from normalization import (
    batchnorm_backward,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)

EPS = 0.01  # with the default, 1e-5, the gradient of two numbers almost cancels out


def batch(mode):
    return lambda x, gamma, beta: batchnorm_forward(x, gamma, beta, running(x, mode))


def spatial(mode):
    return lambda x, gamma, beta: spatial_batchnorm_forward(x, gamma, beta, running(x, mode))


def layer(x, gamma, beta):
    return layernorm_forward(x, gamma, beta, {"eps": EPS})


def groups(G):
    return lambda x, gamma, beta: spatial_groupnorm_forward(x, gamma, beta, G, {"eps": EPS})


def running(x, mode):
    """A bn_param with running means that are not those of x."""
    numbers = np.linspace(0.5, 2.0, x.shape[1], dtype=np.result_type(x, np.float32))
    return {
        "mode": mode,
        "eps": EPS,
        "running_mean": numbers,
        "running_var": numbers[::-1].copy(),
    }


LAYERS = {
    "batchnorm": (batch("train"), batchnorm_backward, 2),
    "batchnorm, test": (batch("test"), batchnorm_backward, 2),
    "spatial batchnorm": (spatial("train"), spatial_batchnorm_backward, 4),
    "spatial batchnorm, test": (spatial("test"), spatial_batchnorm_backward, 4),
    "layernorm": (layer, layernorm_backward, 2),
    "groupnorm, 1": (groups(1), spatial_groupnorm_backward, 4),
    "groupnorm, 2": (groups(2), spatial_groupnorm_backward, 4),
}
sizes = st.integers(1, 4)


def inputs(shape, rng, dtype=np.float64):
    """x, gamma and beta; no two numbers of x are so close that a variance comes near 0."""
    x = 0.5 * rng.permutation(np.prod(shape)).reshape(shape) + 0.1 * rng.standard_normal(shape)
    return [a.astype(dtype) for a in (x, *rng.standard_normal((2, shape[1])))]


def images(shape, rng, dtype=np.float64):
    """The same, with x laid out as the convolutions do it."""
    x, gamma, beta = inputs(shape, rng, dtype)
    return np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2), gamma, beta


@pytest.mark.parametrize("name", LAYERS)
@given(shape=st.tuples(sizes, sizes, sizes, sizes), seed=st.integers(0, 2**32 - 1))
def test_gradients(name, shape, seed):
    forward, backward, ndim = LAYERS[name]
    n, channels, *size = shape
    shape = (n, 2 * channels, *size)[:ndim]
    check = check_layer(forward, backward, *inputs(shape, np.random.default_rng(seed)))
    assert check.passed, check
    assert [row.name for row in check.rows] == ["x", "gamma", "beta"]


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
    forward, _, ndim = LAYERS[name]
    x = 3 * rng.standard_normal((50, 4, 6, 5)[:ndim]) + 7
    out, _ = forward(x, np.full(4, 2.0), np.full(4, 5.0))
    if name.endswith("test"):
        param = running(x, "test")
        x = np.moveaxis(x, 1, -1)
        expected = (x - param["running_mean"]) / np.sqrt(param["running_var"] + EPS)
        np.testing.assert_allclose(np.moveaxis(out, 1, -1), 2 * expected + 5, rtol=1e-12)
        return
    if name == "groupnorm, 2":
        x, out = (a.reshape(50, 2, 2, 6, 5) for a in (x, out))
    axes = {"batchnorm": 0, "spatial batchnorm": (0, 2, 3), "layernorm": 1,
            "groupnorm, 1": (1, 2, 3), "groupnorm, 2": (2, 3, 4)}[name]  # fmt: skip
    np.testing.assert_allclose(out.mean(axis=axes), 5, rtol=1e-12)
    var = x.var(axis=axes)
    np.testing.assert_allclose(out.std(axis=axes), 2 * np.sqrt(var / (var + EPS)), rtol=1e-12)


@pytest.mark.parametrize("function", [batchnorm_forward, spatial_batchnorm_forward])
def test_running_means_follow_the_batches(function, rng):
    shape = (5, 3) if function is batchnorm_forward else (5, 3, 2, 4)
    axes = (0, *range(2, len(shape)))
    gamma, beta, param = np.ones(3), np.zeros(3), {"mode": "train", "momentum": 0.7}
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(4):
        x = rng.standard_normal(shape)
        function(x, gamma, beta, param)
        mean, var = 0.7 * mean + 0.3 * x.mean(axes), 0.7 * var + 0.3 * x.var(axes)
    np.testing.assert_allclose(param["running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(param["running_var"], var, rtol=1e-12)
    before = copy.deepcopy(param)
    param["mode"] = "test"
    out, _ = function(x, gamma, beta, param)
    alone, _ = function(x[:1], gamma, beta, param)
    np.testing.assert_array_equal(out[:1], alone)  # it does not depend on the rest of the batch
    np.testing.assert_array_equal(param["running_mean"], before["running_mean"])
    np.testing.assert_array_equal(param["running_var"], before["running_var"])


def test_running_means_are_updated_in_place(rng):
    param = running(np.ones((1, 3)), "train")
    arrays = param["running_mean"], param["running_var"]
    before = [array.copy() for array in arrays]
    batchnorm_forward(rng.random((4, 3)), np.ones(3), np.zeros(3), param)
    assert param["running_mean"] is arrays[0]
    assert param["running_var"] is arrays[1]
    assert all((a != b).all() for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name][2] == 4])
def test_images_keep_their_layout_and_the_answers_do_not_depend_on_it(name, rng):
    forward, backward, _ = LAYERS[name]
    x, gamma, beta = images((5, 4, 3, 2), rng)
    dout, _, _ = images((5, 4, 3, 2), rng)
    out, cache = forward(x, gamma, beta)
    dx, *gradients = backward(dout, cache)
    assert out.strides == dx.strides == x.strides
    plain, cache = forward(x.copy(order="C"), gamma, beta)
    assert plain.flags.c_contiguous
    np.testing.assert_allclose(out, plain, rtol=1e-12, atol=1e-12)
    for a, b in zip((dx, *gradients), backward(dout.copy(order="C"), cache), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_dtype_goes_through_and_inputs_are_left_alone(name, dtype, rng):
    forward, backward, ndim = LAYERS[name]
    arrays = inputs((5, 4, 3, 2)[:ndim], rng, dtype)
    before = [a.copy() for a in arrays]
    out, cache = forward(*arrays)
    dout = out.copy()
    results = out, *backward(dout, cache)
    assert {a.dtype for a in results} == {np.dtype(dtype)}
    np.testing.assert_array_equal(dout, out)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numpy_numbers_as_options_promote_nothing(rng):
    arrays = inputs((5, 4), rng, np.float32)
    options = {"eps": np.float64(1e-5), "momentum": np.float64(0.9), "mode": "train"}
    assert batchnorm_forward(*arrays, options)[0].dtype == np.float32
    wide = running(np.ones((1, 4)), "test")  # float64
    assert batchnorm_forward(*arrays, wide)[0].dtype == np.float32


def test_integers_count_as_float64(rng):
    x, gamma, beta = rng.integers(0, 9, (5, 4)), np.arange(4), np.arange(4)
    for forward, backward in ((batch("train"), batchnorm_backward), (layer, layernorm_backward)):
        out, cache = forward(x, gamma, beta)
        floats, float_cache = forward(*(a.astype(float) for a in (x, gamma, beta)))
        np.testing.assert_array_equal(out, floats)
        for a, b in zip(backward(x, cache), backward(x.astype(float), float_cache), strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_example_and_no_example():
    one = np.full((1, 3), 5.0)
    out, cache = batch("train")(one, np.ones(3), np.arange(3.0))
    np.testing.assert_array_equal(out, [[0.0, 1.0, 2.0]])  # xhat is 0
    assert not batchnorm_backward(one, cache)[0].any()
    for name, (forward, backward, ndim) in LAYERS.items():
        arrays = np.ones((0, 4, 2, 2)[:ndim]), np.ones(4), np.ones(4)
        if name in ("batchnorm", "spatial batchnorm"):
            with pytest.raises(ValueError, match="x must hold examples in training"):
                forward(*arrays)
        else:
            out, cache = forward(*arrays)
            assert out.shape == arrays[0].shape
            assert not backward(out, cache)[1].any()


NETS = {
    "fc": lambda normalization, **options: FullyConnectedNet(
        6, [5, 4], 3, normalization=normalization, seed=0, **options
    ),
    "conv": lambda normalization, **options: ConvNet(
        (2, 4, 4), [(2, 3)], 3, [4], 3, normalization=normalization, seed=0, **options
    ),
}


def examples(net, rng):
    shape = (7, 2, 4, 4) if isinstance(net, ConvNet) else (7, 6)
    return rng.standard_normal(shape), rng.integers(0, 3, 7)


@pytest.mark.parametrize("normalization", ["batchnorm", "layernorm"])
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_gradients_of_networks(make, normalization, rng):
    net = make(normalization, dtype=np.float64, reg=0.1, dropout=0.3)
    X, y = examples(net, rng)
    before, state = copy.deepcopy(net.buffers), net.rng.bit_generator.state
    check = check_net(net, X, y)
    assert check.passed, check
    assert {row.name for row in check.rows} >= {"gamma1", "beta1", "gamma2", "beta2"}
    assert net.rng.bit_generator.state == state
    for name, array in before.items():  # a check leaves a net as it was
        np.testing.assert_array_equal(net.buffers[name], array)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_input_gradient_of_networks(make, rng):
    net = make("batchnorm", dtype=np.float64)
    X, y = examples(net, rng)
    net.loss(X, y)
    small = 1e-6 * rng.standard_normal(X.shape)
    scores = [net.loss(X + sign * small) for sign in (1, -1)]
    losses = [np.log(np.exp(s).sum(axis=1)) - s[np.arange(7), y] for s in scores]
    slope = (losses[0] - losses[1]).mean()
    assert slope == pytest.approx(2 * np.vdot(net.input_gradient(X, y), small), rel=1e-5)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_networks_train_on_the_batch_and_score_with_running_means(make, rng):
    net = make("batchnorm")
    assert {a.dtype for a in (*net.params.values(), *net.buffers.values())} == {np.dtype("f4")}
    X, y = examples(net, rng)
    untrained = net.loss(X)
    loss, grads = net.loss(X, y)
    assert set(grads) == set(net.params)
    assert {g.dtype for g in grads.values()} == {np.dtype("f4")}
    assert (net.buffers["running_mean1"] != 0).all()
    assert (net.loss(X) != untrained).any()
    buffers = copy.deepcopy(net.buffers)
    np.testing.assert_allclose(net.loss(X[:2]), net.loss(X)[:2], rtol=1e-5, atol=1e-5)
    net.predict(X)
    for name, array in buffers.items():
        np.testing.assert_array_equal(net.buffers[name], array)
    for _ in range(200):  # until the running means are those of the batch
        net.loss(X, y)
    scores = net.loss(X).astype(np.float64)
    found = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(7), y])
    assert found == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_penalty_is_on_the_weights_only(make, rng):
    net = make("batchnorm", dtype=np.float64)
    X, y = examples(net, rng)
    loss, grads = net.loss(X, y)
    net.reg = 0.5
    penalized, with_penalty = net.loss(X, y)
    weights = {name: w for name, w in net.params.items() if name[0] == "W"}
    assert penalized == pytest.approx(loss + 0.25 * sum(np.sum(w**2) for w in weights.values()))
    for name, grad in grads.items():
        expected = grad + 0.5 * weights[name] if name in weights else grad
        np.testing.assert_allclose(with_penalty[name], expected, rtol=1e-12)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_save_and_load_keep_the_running_means(make, tmp_path, rng):
    net, other = make("batchnorm"), make("batchnorm")
    X, y = examples(net, rng)
    net.loss(X, y)
    net.save(tmp_path / "net.npz")
    other.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(net.loss(X), other.loss(X))
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        clone.loss(X, y)  # a copy has running means of its own
        np.testing.assert_array_equal(net.loss(X), other.loss(X))
        assert (clone.loss(X) != net.loss(X)).any()
    make(None).save(tmp_path / "plain.npz")
    with pytest.raises(ValueError, match="another network: gamma1 is absent there and"):
        net.load(tmp_path / "plain.npz")


def test_layers_come_in_their_order():
    names = [getattr(layer.forward, "func", layer.forward).__name__ for layer in
             NETS["conv"]("layernorm").layers]  # fmt: skip
    norm = "spatial_groupnorm_forward"
    assert names == [
        "conv_forward", norm, "relu_forward", "conv_forward", norm, "max_pool_forward",
        "relu_forward", "fc_forward", "layernorm_forward", "relu_forward", "fc_forward",
    ]  # fmt: skip
    shapes = {name: p.shape for name, p in NETS["fc"]("batchnorm").params.items()}
    assert shapes == {
        "W1": (6, 5), "b1": (5,), "gamma1": (5,), "beta1": (5,),
        "W2": (5, 4), "b2": (4,), "gamma2": (4,), "beta2": (4,), "W3": (4, 3), "b3": (3,),
    }  # fmt: skip


_X, _G = np.ones((2, 3)), np.ones(3)
_I = np.ones((2, 4, 3, 3))
_TRAIN = {"mode": "train"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batchnorm_forward(_X, _G, _G, {}), ValueError,
         r"bn_param\['mode'\] must be one of train, test, got None"),
        (lambda: batchnorm_forward(_X, _G, _G, None), TypeError, "bn_param must be a dict"),
        (lambda: batchnorm_forward(_X, _G, _G, {"mode": "train", "epsilon": 1}), ValueError,
         r"bn_param must have keys of .* got \['epsilon'\]"),
        (lambda: batchnorm_forward(_X, _G, _G, {"mode": "train", "eps": 0}), ValueError,
         r"bn_param\['eps'\] must be a finite number > 0"),
        (lambda: batchnorm_forward(_X, _G, _G, {"mode": "train", "momentum": 1}), ValueError,
         r"bn_param\['momentum'\] must be a finite number >= 0 and < 1"),
        (lambda: batchnorm_forward(_X, _G, _G, {"mode": "test", "running_mean": np.ones(2)}),
         ValueError, r"bn_param\['running_mean'\] must be floats of shape \(3,\), .*64 \(2,\)"),
        (lambda: batchnorm_forward(_X, _G, _G, {"mode": "test", "running_var": np.ones(3, int)}),
         ValueError, r"bn_param\['running_var'\] must be floats .* an array of int64"),
        (lambda: batchnorm_forward(_I, _G, _G, _TRAIN), ValueError, r"x must have shape \(N, D\)"),
        (lambda: batchnorm_forward(_X, np.ones(2), _G, _TRAIN), ValueError,
         r"batchnorm_forward: gamma must have shape \(3,\), one number for .*, got \(2,\)"),
        (lambda: batchnorm_forward(_X[:, :0], _G, _G, _TRAIN), ValueError, "x must have shape"),
        (lambda: spatial_batchnorm_forward(_X, _G, _G, _TRAIN), ValueError,
         r"spatial_batchnorm_forward: x must have shape \(N, C, H, W\), got \(2, 3\)"),
        (lambda: spatial_batchnorm_forward(_I, np.ones(4), _G, _TRAIN), ValueError, "beta must"),
        (lambda: layernorm_forward(_X, _G, _G, {"momentum": 0.9}), ValueError, "ln_param must "),
        (lambda: layernorm_forward([[1.0]], _G, _G, {}), TypeError, "layernorm_forward: x must be"),
        (lambda: layernorm_backward(_I, layer(_X, _G, _G)[1]), ValueError, "backward: dout"),
        (lambda: batchnorm_backward(_I, batch("train")(_X, _G, _G)[1]), ValueError, "dout must"),
        (lambda: spatial_groupnorm_forward(_I, np.ones(4), np.ones(4), 3, {}), ValueError,
         "G must divide the 4 channels of x, got 3"),
        (lambda: spatial_groupnorm_forward(_I, np.ones(4), np.ones(4), 2.0, {}), TypeError, "G mu"),
        (lambda: FullyConnectedNet(3, normalization="group"), ValueError,
         "FullyConnectedNet: normalization must be None or one of batchnorm, layernorm, got 'grou"),
        (lambda: ConvNet(normalization=True), ValueError, "ConvNet: normalization must be None or"),
    ],
)  # fmt: skip
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
