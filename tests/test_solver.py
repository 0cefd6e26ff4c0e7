"""Solver: what it draws, measures and keeps; how it stops; bad input."""

import os
import re
import signal
import warnings

import numpy as np
import pytest
from helpers import interrupted_after, make_solver, noise, state

from fc_net import FullyConnectedNet
from solver import DivergedError, Solver
from support.checkpoints import copy_params

pytestmark = pytest.mark.usefixtures("foreground")


class Recorder:
    """A model that is no network: it records the batches it is given, and its parameter."""

    def __init__(self):
        self.params, self.batches, self.w = {"w": np.zeros(1)}, [], []

    def loss(self, X, y=None):
        if y is None:
            return np.eye(4)[X[:, 0] % 4]
        self.batches.append(X[:, 0].copy())
        self.w.append(self.params["w"].item())
        return 1.0, {"w": np.ones(1)}


def record(n=10, model=None, **options):
    """Train a recorder on n examples."""
    X = np.arange(n)[:, None]
    data = {"X_train": X, "y_train": X[:, 0] % 4, "X_val": X[:4], "y_val": np.zeros(4, int)}
    solver = Solver(model or Recorder(), data, verbose=False, **options)
    solver.train()
    return solver


def trained(data, **options):
    solver = make_solver(data, **options)
    solver.train()
    return solver


def accuracy(solver):
    return solver.check_accuracy(solver.data["X_val"], solver.data["y_val"])


def assert_same(ours, expected):
    for name, array in ours.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_every_example_once_an_epoch(batch_size):
    batches = record(batch_size=batch_size, num_epochs=3).model.batches
    assert len(batches) == 3 * -(-10 // batch_size)
    epochs = np.concatenate(batches).reshape(3, 10)
    assert np.sort(epochs).tolist() == [list(range(10))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_histories_and_best_parameters_with_their_running_means(toy_data):
    net = FullyConnectedNet(2, [16], 2, seed=0, normalization="batchnorm")
    solver = make_solver(toy_data, net=net, num_epochs=6, optim_config={"learning_rate": 3.0})
    kept = {accuracy(solver): None}
    solver.after_epoch = lambda solver: kept.update({solver.val_acc_history[-1]: copy_params(net)})
    solver.train()
    # The best epoch is not the last: the running means have gone on since then.
    assert (solver.last_params["running_mean1"] != net.buffers["running_mean1"]).any()
    for best in (solver.best_params, kept[solver.best_val_acc]):
        assert_same({**net.params, **net.buffers}, best)
    assert accuracy(solver) == solver.best_val_acc == max(solver.val_acc_history)
    assert len(solver.loss_history) == solver.iteration == 6 * 10
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == 6 + 1
    assert set(kept) == set(solver.val_acc_history)


def test_parameters_of_each_epoch_by_checkpoint_name(toy_data, tmp_path):
    expected = {}

    def after_epoch(solver):
        expected[f"toy_epoch_{solver.epoch}.npz"] = copy_params(solver.model)

    folder = tmp_path / "runs"
    trained(toy_data, num_epochs=3, checkpoint_name=folder / "toy", after_epoch=after_epoch)
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
    for name, params in expected.items():
        net = FullyConnectedNet(2, [16], 2)
        net.load(folder / name)
        assert_same(net.params, params)


def test_seed_fixes_every_bit(toy_data):
    options = {"transform": noise, "num_train_samples": 50}
    first, again, other = (state(trained(toy_data, seed=seed, **options)) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]


def test_measuring_does_not_change_the_run(toy_data):
    solver = make_solver(toy_data, num_train_samples=7, num_val_samples=9)
    solver.check_accuracy(toy_data["X_val"], toy_data["y_val"], num_samples=20)
    solver.train()
    assert solver.loss_history == trained(toy_data).loss_history


def learning_rates(**options):
    """The learning rate of each of the 2 x 4 iterations: steps of a model whose gradient is 1."""
    solver = record(8, batch_size=2, num_epochs=2, **options)
    return -np.diff([*solver.model.w, solver.last_params["w"].item()])


def test_learning_rate_decay_and_schedule():
    np.testing.assert_allclose(learning_rates(), 0.01)
    rate = {"optim_config": {"learning_rate": 0.5}}
    np.testing.assert_allclose(learning_rates(**rate, lr_decay=0.1), [0.5] * 4 + [0.05] * 4)
    both = learning_rates(**rate, schedule=lambda t: 1 - t, lr_decay=0.5)
    np.testing.assert_allclose(both, 0.5 * (1 - np.arange(8) / 8) * np.repeat([1, 0.5], 4))


def test_transform_is_for_training_only():
    seen = []

    def transform(X, rng):
        seen.append(len(X))
        assert isinstance(rng, np.random.Generator)
        return X + 100

    solver = record(transform=transform, batch_size=4, num_epochs=1)
    assert seen == [4, 4, 2]
    assert min(np.concatenate(solver.model.batches)) == 100
    assert solver.train_acc_history == [1.0, 1.0]


def test_without_validation_data_the_last_parameters_are_best(toy_data):
    train = {key: toy_data[key] for key in ("X_train", "y_train")}
    for val in ({}, {"X_val": toy_data["X_val"][:0], "y_val": toy_data["y_val"][:0]}):
        solver = trained({**train, **val})
        assert solver.val_acc_history == []
        assert np.isnan(solver.best_val_acc)
        assert_same(solver.model.params, solver.last_params)
        assert solver.train_acc_history[-1] > 0.8


def test_training_reads_only_minibatches():
    """A stand-in for a memory map larger than memory: it breaks if it is read whole."""

    class Stored:
        shape, largest = (5000, 1), 0

        def __len__(self):
            return len(y)

        def __getitem__(self, index):
            part = np.arange(5000)[index]
            self.largest = max(self.largest, len(part))
            return part[:, None]

    X, y = Stored(), np.arange(5000) % 4
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    trained(data, net=Recorder(), batch_size=50, num_epochs=1)
    assert 0 < X.largest <= 1000


@pytest.mark.parametrize("iterations", [1, 10, 34])
def test_ctrl_c_keeps_the_best_and_goes_on_where_it_stopped(toy_data, iterations, capsys):
    whole = trained(toy_data, transform=lambda X, rng: X)
    parts = trained(toy_data, transform=interrupted_after(iterations), verbose=True)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert parts.interrupted
    assert parts.iteration == len(parts.loss_history) == iterations
    assert len(parts.val_acc_history) == 1 + iterations // 10
    assert_same(parts.model.params, parts.best_params)
    assert "stopped by Ctrl-C" in capsys.readouterr().out
    parts.train()
    assert not parts.interrupted
    assert state(parts) == state(whole)


def test_second_ctrl_c_acts_at_once(toy_data):
    def transform(X, rng):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    solver = make_solver(toy_data, transform=transform)
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_more_epochs_after_a_finished_run(toy_data):
    parts = trained(toy_data, num_epochs=3)
    parts.num_epochs = 8
    parts.train()
    assert state(parts) == state(trained(toy_data))


def test_a_diverged_run_stops_and_keeps_the_best(toy_data):
    solver = make_solver(toy_data, num_epochs=100, lr_decay=1.0)
    solver.schedule = lambda t: 1e30 if solver.iteration >= 25 else 1.0
    with pytest.raises(DivergedError, match=r"loss is (nan|inf) at iteration (26|27|28)"):
        solver.train()
    assert len(solver.loss_history) == solver.iteration < 30
    assert len(solver.val_acc_history) == 3
    assert accuracy(solver) == solver.best_val_acc == max(solver.val_acc_history)
    assert all(np.isfinite(p).all() for p in solver.model.params.values())
    solver = make_solver(toy_data)
    solver.model.params["b2"][...] = np.inf
    with pytest.raises(DivergedError, match="scores are not finite at iteration 0"):
        solver.train()
    model = Recorder()
    model.loss = lambda X, y=None: np.eye(4)[: len(X)] if y is None else (np.inf, model.params)
    with pytest.raises(DivergedError, match="loss is inf at iteration 0"):
        record(4, model)


def test_check_accuracy(toy_data):
    solver = record(seed=0)
    assert solver.best_params["w"] == 0  # of equal accuracies the first counts
    X = np.arange(1000)[:, None]
    y = np.where(X[:, 0] < 250, X[:, 0], X[:, 0] + 1) % 4
    for batch_size in (1, 7, 1000, 5000):
        assert solver.check_accuracy(X, y, batch_size=batch_size) == 0.25
    assert solver.check_accuracy(X, y, num_samples=10_000) == 0.25
    assert abs(solver.check_accuracy(X, y, num_samples=400) - 0.25) < 0.1
    with pytest.raises(ValueError, match="check_accuracy: X"):
        solver.check_accuracy(X[:0], y[:0])


@pytest.mark.parametrize(
    ("net", "options", "name"),
    [
        ({}, {"optim_config": {"learning_rate": 0}}, "learning_rate"),
        ({}, {"schedule": lambda t: 0.0}, "schedule"),
        ({"reg": 4}, {}, "reg"),  # of a learning rate of 0.3
        ({"normalization": "batchnorm"}, {"batch_size": 1}, "batch_size"),
        ({"normalization": "batchnorm"}, {"batch_size": 299}, "batch_size"),  # of 300 examples
    ],
)
def test_options_without_sense_are_refused(net, options, name, toy_data):
    with pytest.raises(ValueError, match=name):
        make_solver(toy_data, net=FullyConnectedNet(2, [4], 2, seed=0, **net), **options)


def test_labels_of_no_class_are_refused_before_the_first_step(toy_data):
    solver = make_solver({**toy_data, "y_val": toy_data["y_val"] + 1})  # 1 and 2 for 0 and 1
    with pytest.raises(ValueError, match="check_accuracy: y"):
        solver.train()
    assert solver.iteration == 0


@pytest.mark.parametrize("options", [{"weight_scale": 0}, {"dropout": 1 - 1e-9}])
def test_weights_that_stay_what_they_were_are_named(options, toy_data):
    with pytest.warns(UserWarning, match="weights"):
        trained(toy_data, net=FullyConnectedNet(2, [4], 2, seed=0, **options))


def test_verbose_says_how_it_went(toy_data, capsys):
    trained(toy_data, verbose=True, print_every=1, num_epochs=2)
    captured = capsys.readouterr()
    assert re.search(r"2 epochs \(20 iterations\)(.|\n)*best validation accuracy", captured.out)
    assert all(shown in captured.err for shown in ("loss=", "train=", "val=", "lr="))
    trained(toy_data)
    assert capsys.readouterr() == ("", "")


def test_bad_data(toy_data):
    empty = {"X_train": np.zeros((0, 2)), "y_train": np.zeros(0, int)}
    labels = {"y_val": None}, {"y_val": np.full(100, -1)}, {"y_train": np.zeros(299, int)}
    for change in (empty, {"X_val": None, "y_val": None, "X_valid": []}, *labels):
        name = next(iter(change))
        with pytest.raises((TypeError, ValueError), match=f"^Solver: (data lacks )?{name}"):
            make_solver({**toy_data, **change})


NONSENSE = [(np.ones((1, 1)), "scores"), (np.ones(10), "scores"), (np.eye(10), "gradients of w")]


@pytest.mark.parametrize(("scores", "name"), NONSENSE)
def test_a_model_that_returns_nonsense(scores, name):
    model = Recorder()
    model.loss = lambda X, y=None: scores[: len(X)] if y is None else (1.0, {})
    with pytest.raises(ValueError, match=name):
        record(model=model)


def test_numbers_of_another_size_are_named(toy_data):
    pixels = (255 * toy_data["X_train"]).astype(np.float32)
    for wrong in (pixels, toy_data["X_train"] / 255, np.ones((300, 2), np.uint8)):
        for name in ("X_train", "X_val"):
            with pytest.warns(UserWarning, match=name):
                make_solver({**toy_data, name: wrong[: len(toy_data[name])]})
    solver = make_solver({**toy_data, "X_train": pixels.astype(np.uint8)}, transform=noise)
    with pytest.warns(UserWarning, match="transform"):
        solver.train()
    with pytest.warns(UserWarning, match="predict: the numbers of X "):
        solver.model.predict(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for right in (pixels.astype(np.uint8), 2 * (pixels - pixels.mean()) / pixels.std()):
            make_solver({**toy_data, "X_train": right})


@pytest.mark.parametrize("name", ["X_train", "X_val", "transform"])
def test_nan_in_the_data_is_not_called_divergence(toy_data, name):
    def spoiled(X, rng=None):
        return np.where(np.arange(len(X))[:, None] == 17, np.nan, X)

    options = {"transform": spoiled} if name == "transform" else {}
    data = {key: spoiled(array) if key == name else array for key, array in toy_data.items()}
    with pytest.raises(ValueError, match=f"Solver: .*{name}.* holds NaN"):
        trained(data, **options)


def test_after_epoch_sees_each_epoch_and_may_end_the_run(toy_data):
    seen = []

    def after_epoch(solver):
        seen.append((solver.epoch, len(solver.val_acc_history)))
        if solver.epoch == 3:
            raise StopIteration

    solver = make_solver(toy_data, after_epoch=after_epoch)
    with pytest.raises(StopIteration):
        solver.train()
    assert seen == [(1, 2), (2, 3), (3, 4)]
    assert_same(solver.model.params, solver.best_params)
