"""What outlives a batch in parts, and where: forks, threads, copies; and the network behind it."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from conv_net import ConvNet
from fast.data_parallel import DataParallel
from solver import Solver


@pytest.fixture
def net():
    return ConvNet((1, 6, 6), (4,), 3, [5], 4, dtype=np.float64, seed=0)


@pytest.fixture
def batch(rng):
    return rng.random((40, 1, 6, 6)), rng.integers(0, 4, 40)


def blas_threads():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks only exist on POSIX")
def test_a_fork_of_a_process_that_used_it(batch):
    barrier = threading.Barrier(2)  # neither part runs without the other, on a thread of its own

    class Together(ConvNet):
        def loss(self, X, y=None):
            barrier.wait(20)
            return super().loss(X, y)

    model = DataParallel(Together((1, 6, 6), (4,), 3, [5], 4, seed=0))
    expected, _ = model.loss(*batch)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        threading.Timer(20, os._exit, [1]).start()
        try:
            os.write(write, model.loss(*batch)[0].tobytes())
        finally:
            os._exit(0)
    os.close(write)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(read, 8) == expected.tobytes()
    os.close(read)


def test_two_at_a_time_leave_blas_as_it_was(net, batch):
    """The second begins while the first runs, and ends after it."""
    first_in, first_is_out, second_in, second_may_leave, second_is_out = (
        threading.Event() for _ in range(5)
    )
    seen = []

    class First(ConvNet):
        def loss(self, X, y=None):
            first_in.set()
            assert second_in.wait(20)
            return super().loss(X, y)

    class Second(ConvNet):
        def loss(self, X, y=None):
            second_in.set()
            assert second_may_leave.wait(20)
            seen.append(blas_threads())
            return super().loss(X, y)

    def run(kind):
        DataParallel(kind((1, 6, 6), (4,), 3, [5], 4), 1).loss(*batch)
        if kind is First:
            first_is_out.set()
            assert second_is_out.wait(20)  # a thread that is alive may keep what it has set

    before = blas_threads()
    threads = [threading.Thread(target=run, args=[kind], daemon=True) for kind in (First, Second)]
    threads[0].start()
    assert first_in.wait(20)
    threads[1].start()
    assert first_is_out.wait(20)
    second_may_leave.set()
    threads[1].join()
    assert seen == [{1}]
    assert blas_threads() == before
    second_is_out.set()
    threads[0].join()
    with pytest.raises(ValueError, match="softmax_loss: y"):
        DataParallel(net).loss(batch[0], batch[1] + 9)
    with threadpool_limits(1, "blas"):
        DataParallel(net).loss(*batch)
        assert blas_threads() == {1}
    assert blas_threads() == before


def test_two_trainings_in_two_threads(batch):
    """Each has the bits that it has alone."""
    X, y = batch

    def train(histories):
        model = DataParallel(ConvNet((1, 6, 6), (4,), 3, [5], 4, seed=0))
        solver = Solver(model, {"X_train": X, "y_train": y}, num_epochs=20, verbose=False, seed=0)
        solver.train()
        histories.append(solver.loss_history)

    histories, before = [], blas_threads()
    train(histories)
    threads = [threading.Thread(target=train, args=[histories]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histories == [histories[0]] * 4
    assert blas_threads() == before


def test_has_what_its_network_has(net, batch, tmp_path):
    X, y = batch
    solver = Solver(DataParallel(net), {"X_train": X, "y_train": y}, num_epochs=1, verbose=False)
    solver.train()
    model = solver.model
    np.testing.assert_array_equal(model.predict(X), net.predict(X))
    np.testing.assert_array_equal(model.input_gradient(X), net.input_gradient(X))
    model.save(tmp_path / "net.npz")
    other = DataParallel(ConvNet((1, 6, 6), (4,), 3, [5], 4, dtype=np.float64, seed=1))
    other.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(other.params["W1"], net.params["W1"])
    assert repr(model) == repr(net)
    assert (model.params, model.rng, model.buffers) == (net.params, net.rng, net.buffers)
    for name in ("no_such_thing", "__deepcopy__"):
        assert not hasattr(model, name)
    model.reg = 0.5
    assert net.reg == 0.5
    assert "reg" not in vars(model)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied, net, batch):
    model = DataParallel(net, 3)
    loss, grads = model.loss(*batch)
    other = copied(model)
    assert other.settings == model.settings
    np.testing.assert_array_equal(other.loss(*batch)[1]["W1"], grads["W1"])
    other.params["W1"] += 1
    assert model.loss(*batch)[0] == loss != other.loss(*batch)[0]
