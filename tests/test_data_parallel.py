"""A batch in parts on threads: the same answers as in one piece, and the same bits each time."""

import numpy as np
import pytest
from helpers import state
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_net import ConvNet
from fast.data_parallel import DataParallel
from fc_net import FullyConnectedNet
from solver import DivergedError, Solver


def make_net(dtype=np.float64, **options):
    return ConvNet((3, 6, 6), (4,), 3, [5], 4, reg=0.1, dtype=dtype, seed=0, **options)


def make_batch(n, rng):
    return rng.random((n, 3, 6, 6)), rng.integers(0, 4, n)


@settings(max_examples=30)
@given(n=st.integers(1, 70), num_threads=st.integers(1, 5), normalized=st.booleans())
def test_loss_and_gradients_are_those_of_the_whole_batch(n, num_threads, normalized):
    net = make_net(normalization="layernorm" if normalized else None)
    X, y = make_batch(n, np.random.default_rng(n))
    expected_loss, expected = net.loss(X, y)
    model = DataParallel(net, num_threads)
    loss, grads = model.loss(X, y)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    assert list(grads) == list(expected)
    for ours, whole in zip(grads.values(), expected.values(), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.loss(X), net.loss(X), rtol=0, atol=1e-12)


def test_float32_stays_float32(rng):
    loss, grads = DataParallel(make_net(np.float32)).loss(*make_batch(5, rng))
    assert np.isscalar(loss)
    assert {grad.dtype for grad in grads.values()} == {np.dtype(np.float32)}


def train(model, data, **options):
    options = {"batch_size": 70, "num_epochs": 3, "verbose": False, "seed": 0, **options}
    solver = Solver(model, data, "sgd_momentum", **options)
    solver.train()
    return solver


@pytest.fixture
def data(rng):
    X, y = make_batch(200, rng)
    return {"X_train": X[:150], "y_train": y[:150], "X_val": X[150:], "y_val": y[150:]}


def test_trains_with_the_same_bits_each_time(data, tmp_path):
    first, second = (train(DataParallel(make_net(np.float32), 3), data) for _ in range(2))
    assert state(first) == state(second)
    assert first.loss_history[-1] < first.loss_history[0]
    path = tmp_path / "run.npz"
    train(DataParallel(make_net(np.float32), 3), data, num_epochs=1, checkpoint=path)
    resumed = train(DataParallel(make_net(np.float32), 3), data, checkpoint=path)
    assert state(resumed) == state(first)
    with pytest.raises(ValueError, match=r"run\.npz"):
        train(DataParallel(make_net(np.float32), 2), data, checkpoint=path)


def test_one_thread_trains_as_the_network_itself(data):
    assert state(train(DataParallel(make_net(), 1), data)) == state(train(make_net(), data))


def test_a_diverging_run_says_so_without_warnings(data):
    model = DataParallel(make_net(np.float32))
    with pytest.raises(DivergedError):
        train(model, data, optim_config={"learning_rate": 1e30})


def test_errors_of_the_network_come_through(rng):
    model = DataParallel(make_net())
    X, y = make_batch(6, rng)
    for labels in (y[:5], np.append(y, 0), y + 4, 3):
        with pytest.raises(ValueError, match="softmax_loss: y must"):
            model.loss(X, labels)
    for wrong in (None, 3, [[1.0]], np.float64(1)):
        with pytest.raises((TypeError, ValueError), match="ConvNet: X must"):
            model.loss(wrong)


def test_bad_arguments():
    for options in ({"dropout": 0.5}, {"normalization": "batchnorm"}):
        with pytest.raises(ValueError, match="network"):
            DataParallel(FullyConnectedNet(4, [3], **options))
    with pytest.raises(TypeError, match="network"):
        DataParallel(None)
    with pytest.raises(ValueError, match="num_threads"):
        DataParallel(make_net(), 0)
