"""FullyConnectedNet: agreement with the plain reference, initial loss, dropout, what X may be."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fc_net_loss

from conv_net import ConvNet
from fc_net import ACTIVATIONS, FullyConnectedNet
from gradient_check import eval_numerical_gradient, rel_error

sizes = st.integers(1, 5)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "linear"])
@given(dims=st.lists(sizes, min_size=2, max_size=5), n=sizes, reg=st.sampled_from([0.0, 0.7]),
       seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_agrees_with_the_reference(activation, dims, n, reg, seed):
    rng = np.random.default_rng(seed)
    options = {"reg": reg, "dtype": np.float64, "activation": activation}
    net = FullyConnectedNet(dims[0], dims[1:-1], dims[-1], **options)
    for name, p in net.params.items():
        p[...] = rng.standard_normal(p.shape)
        assert p.shape[-1] == dims[int(name[1:])]
    X, y = rng.standard_normal((n, dims[0])), rng.integers(0, dims[-1], n)
    loss, grads = net.loss(X, y)
    layers = range(1, len(dims))
    weights, biases = ([net.params[f"{key}{i}"].tolist() for i in layers] for key in "Wb")
    ref_loss, dW, db = fc_net_loss(weights, biases, X.tolist(), y.tolist(), activation, reg)
    assert loss == pytest.approx(ref_loss, rel=1e-10, abs=1e-13)
    expected = {f"{key}{i}": d[i - 1] for key, d in (("W", dW), ("b", db)) for i in layers}
    assert set(grads) == set(net.params) == set(expected)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-8, atol=1e-12)


def test_gradients_as_a_classic_notebook_checks_them(rng):
    X, y = rng.standard_normal((3, 2, 4)), rng.integers(0, 5, 3)
    net = FullyConnectedNet(8, [6, 7], 5, reg=3.14, weight_scale=5e-1, dtype=np.float64, seed=0)
    loss, grads = net.loss(X, y)
    assert isinstance(loss, float)
    for name, w in net.params.items():
        numerical = eval_numerical_gradient(lambda _: net.loss(X, y)[0], w)
        assert rel_error(numerical, grads[name]) < 1e-6


def test_initial_loss_is_log_c(rng):
    fc_nets = (partial(FullyConnectedNet, 784, hidden_dim) for hidden_dim in ([], [50, 40, 30, 20]))
    for make in (*fc_nets, partial(ConvNet, (1, 28, 28), [4, 6], 3, [20])):
        net = make(num_classes=10, weight_scale=1e-3, seed=0)
        loss, _ = net.loss(rng.random((50, *net.input_dim)), rng.integers(0, 10, 50))
        assert loss == pytest.approx(np.log(10), abs=0.02)


@pytest.mark.parametrize(("scale", "std"), [("he", np.sqrt(2 / 400)), ("lecun", 0.05), (0.3, 0.3)])
def test_weight_scale(scale, std):
    net = FullyConnectedNet(400, [300], 10, weight_scale=scale, seed=0)
    assert net.params["W1"].std() == pytest.approx(std, rel=0.02)
    assert abs(net.params["W1"].mean()) < 0.05 * std
    assert not net.params["b1"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("X", [np.ones((4, 3, 4)), np.ones((4, 12), np.uint8)])
def test_dtype_goes_through(dtype, X):
    net = FullyConnectedNet(12, [5], 3, reg=np.float64(0.1), dtype=dtype, seed=0)
    loss, grads = net.loss(X, np.array([0, 1, 2, 0]))
    assert {g.dtype for g in (net.loss(X), *grads.values())} == {np.dtype(dtype)}
    assert isinstance(loss, float)


def test_pixels_are_scaled_and_floats_are_not(rng):
    net = FullyConnectedNet(4, [3], 2, dtype=np.float64, seed=0)
    pixels = rng.integers(0, 256, (5, 4)).astype(np.uint8)
    np.testing.assert_allclose(net.loss(pixels), net.loss(pixels / 255), rtol=1e-14)
    assert not np.allclose(net.loss(pixels), net.loss(pixels.astype(float)))


def test_predict_does_not_depend_on_the_batches(rng):
    net = FullyConnectedNet(6, [20], 4, seed=0)
    X = rng.random((23, 6)).astype(np.float32)
    labels = net.predict(X, batch_size=5)
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    assert labels.dtype == np.int64
    assert net.predict(X[:0]).shape == (0,)


def test_predict_refuses_what_has_no_scores():
    X = np.where(np.arange(28).reshape(7, 4) == 22, np.nan, 0)
    with pytest.raises(ValueError, match=r"X\[4:6\]"):
        FullyConnectedNet(4, [5], seed=0).predict(X, batch_size=2)


def test_a_memory_map_is_an_array(tmp_path, rng):
    X = np.memmap(tmp_path / "X", np.uint8, "w+", shape=(5, 4))
    X[...] = rng.integers(0, 256, X.shape)
    net = FullyConnectedNet(4, [5], 3, seed=0)
    for stored in (X, X.astype(np.float32)):
        assert type(net.loss(stored, np.zeros(5, int))[1]["W1"]) is np.ndarray
        np.testing.assert_array_equal(net.predict(stored), net.predict(np.array(stored)))


def test_dropout_is_there_in_training_only(rng):
    X, y = rng.random((6, 4)), np.arange(6) % 3
    plain, net = (FullyConnectedNet(4, [50, 50], 3, seed=0, dropout=p) for p in (0.0, 0.5))
    np.testing.assert_array_equal(net.loss(X), plain.loss(X))
    assert len({plain.loss(X, y)[0], *(net.loss(X, y)[0] for _ in range(5))}) == 6


@pytest.mark.parametrize("X", [np.ones((2, 4), int), [[1] * 4], np.ones((2, 4), bool), None,
                               np.ma.ones((2, 4)), np.zeros((2, 3, 3)), np.zeros(4)])  # fmt: skip
def test_input_of_another_kind_or_size_is_named(X):
    with pytest.raises((TypeError, ValueError), match="FullyConnectedNet: X must"):
        FullyConnectedNet(4, [5], 3).loss(X)
