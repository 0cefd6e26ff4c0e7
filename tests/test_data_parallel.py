"""A batch in parts on threads: the answers of one piece, the same bits, what outlives it."""

import copy
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event, Timer
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import state
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from conv_net import ConvNet
from fast.data_parallel import DataParallel
from fc_net import FullyConnectedNet
from search import train as train_as_in_search
from solver import DivergedError, Solver


def make_net(dtype=np.float64, kind=ConvNet, **options):
    return kind((3, 6, 6), (4,), 3, [5], 4, reg=0.1, dtype=dtype, **{"seed": 0, **options})


def parallel(num_threads=2):
    return DataParallel(make_net(np.float32), num_threads)


def make_batch(n, rng):
    return rng.random((n, 3, 6, 6)), rng.integers(0, 4, n)


@pytest.fixture
def batch(rng):
    return make_batch(40, rng)


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
    first, second = (train(parallel(3), data) for _ in range(2))
    assert state(first) == state(second)
    assert first.loss_history[-1] < first.loss_history[0]
    path = tmp_path / "run.npz"
    train(parallel(3), data, num_epochs=1, checkpoint=path)
    assert state(train(parallel(3), data, checkpoint=path)) == state(first)
    with pytest.raises(ValueError, match=r"run\.npz"):
        train(parallel(2), data, checkpoint=path)
    assert state(train(parallel(1), data)) == state(train(make_net(np.float32), data))


def test_errors_come_through(batch, data):
    model = parallel()
    model.reg = 0.0
    with pytest.raises(DivergedError):  # without warnings
        train(model, data, optim_config={"learning_rate": 1e30})
    X, y = batch
    for labels in y[:5], y + 4, 3:
        with pytest.raises(ValueError, match="softmax_loss: y"):
            parallel().loss(X, labels)
    for wrong in None, [[1.0]], np.float64(1):
        with pytest.raises((TypeError, ValueError), match="ConvNet: X"):
            parallel().loss(wrong)
    dropout = FullyConnectedNet(4, [3], dropout=0.5)
    batchnorm = FullyConnectedNet(4, [3], normalization="batchnorm")
    for network, threads in (dropout, 2), (batchnorm, 2), (None, 2), (make_net(), 0):
        with pytest.raises((TypeError, ValueError), match="network" if threads else "num_threads"):
            DataParallel(network, threads)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks only exist on POSIX")
def test_a_fork_of_a_process_that_used_it(batch):
    barrier = Barrier(2)  # neither part runs without the other, on a thread of its own

    class Together(ConvNet):
        def loss(self, X, y=None):
            barrier.wait(20)
            return super().loss(X, y)

    model = DataParallel(make_net(kind=Together))
    expected, _ = model.loss(*batch)
    if (child := os.fork()) == 0:
        Timer(20, os._exit, [1]).start()
        try:
            os._exit(int(model.loss(*batch)[0] != expected))
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def blas_threads():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


class Waiting(ConvNet):
    """A network that waits in the middle of its loss."""

    def loss(self, X, y=None):
        self.entered.set()
        assert self.may_leave.wait(20)
        assert blas_threads() == {1}
        return super().loss(X, y)


def test_two_at_a_time_leave_blas_as_it_was(batch):
    """The second begins while the first runs, and ends after it."""
    before, models, calls = blas_threads(), [], []
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:  # threads stay alive
        for pool in first, second:
            models.append(model := make_net(kind=Waiting))
            model.entered, model.may_leave = Event(), Event()
            if pool is first:
                calls.append(pool.submit(DataParallel(model, 1).loss, *batch))
            else:
                solver = SimpleNamespace(train=partial(model.loss, *batch))
                calls.append(pool.submit(train_as_in_search, solver))
            assert model.entered.wait(20)
        for model, call in zip(models, calls, strict=True):
            model.may_leave.set()
            call.result(20)
        assert blas_threads() == before
    with pytest.raises(ValueError, match="softmax_loss: y"):
        parallel().loss(batch[0], batch[1] + 9)
    with threadpool_limits(1, "blas"):
        parallel().loss(*batch)
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_trainings_in_several_threads(data):
    """Each has the bits that it has alone."""

    def run(_):
        return state(train(parallel(), data, num_epochs=10))

    before = blas_threads()
    with ThreadPoolExecutor(3) as pool:
        states = list(pool.map(run, range(3)))
    assert states == [run(None)] * 3
    assert blas_threads() == before


def test_has_what_its_network_has(batch, tmp_path):
    X, y = batch
    net = make_net()
    model = DataParallel(net)
    train(model, {"X_train": X, "y_train": y})
    np.testing.assert_array_equal(model.predict(X), net.predict(X))
    np.testing.assert_array_equal(model.input_gradient(X), net.input_gradient(X))
    model.save(tmp_path / "net.npz")
    other = DataParallel(make_net(seed=1))
    other.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(other.params["W1"], net.params["W1"])
    assert (model.params, model.rng, model.buffers) == (net.params, net.rng, net.buffers)
    assert not any(hasattr(model, name) for name in ("no_such_thing", "__deepcopy__"))
    model.reg = 0.5
    assert net.reg == 0.5
    assert "reg" not in vars(model)


def test_copies(batch):
    model = parallel(3)
    _, grads = model.loss(*batch)
    assert {grad.dtype for grad in grads.values()} == {np.dtype(np.float32)}
    for other in copy.deepcopy(model), pickle.loads(pickle.dumps(model)):
        assert other.settings == model.settings
        np.testing.assert_array_equal(other.loss(*batch)[1]["W1"], grads["W1"])
        assert not np.shares_memory(other.params["W1"], model.params["W1"])
