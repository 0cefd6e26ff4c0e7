"""Checkpoints: the same bits after any interruption, and no file that fools or harms."""

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import make_solver, noise, state

from conv_net import ConvNet
from fast.data_parallel import DataParallel
from fc_net import FullyConnectedNet
from optim import UPDATE_RULES, cosine
from solver import DivergedError
from support.checkpoints import INFO, copy_params

ROOT = Path(__file__).parent.parent.parent
BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a folder to be made" / "run.npz"


def fc_net(seed=0, **options):
    return FullyConnectedNet(2, **{"hidden_dim": [16], "num_classes": 2, "seed": seed, **options})


class Plain:
    """A model that says nothing of its settings, and has no generator."""

    def __init__(self, net, **attributes):
        self.params, self.loss = net.params, net.loss
        vars(self).update(attributes)


class Noisy:
    """A model that draws in every call, also for scores, and counts its calls in a buffer."""

    def __init__(self, seed):
        self.net, self.rng = fc_net(seed), seed
        self.params, self.buffers = self.net.params, {"calls": np.array(0)}

    def loss(self, X, y=None):
        self.buffers["calls"] += 1
        return self.net.loss(noise(X, self.rng), y)


def conv_net(seed):
    return ConvNet((1, 2, 2), [2], 1, [4], num_classes=2, normalization="batchnorm", seed=seed)


def floor(t, floor=0.0):
    return max(1 - t, floor)


# What Solver accepts: a model, made with a generator or another seed, and other arguments.
IMAGES = np.random.default_rng(0).integers(0, 256, (300, 1, 2, 2), np.uint8)
TRAININGS = {
    **{rule: (fc_net, {"update_rule": rule, "optim_config": {}}) for rule in UPDATE_RULES},
    **{name: (partial(fc_net, dropout=0.3), {"bit_generator": name}) for name in BIT_GENERATORS},
    "cosine": (fc_net, {"schedule": partial(cosine, warm_up=0.2)}),
    "transform of children": (fc_net, {"transform": lambda X, rng: noise(X, rng.spawn(1)[0])}),
    "samples": (fc_net, {"num_train_samples": 50, "num_val_samples": 50}),
    "layernorm": (partial(fc_net, normalization="layernorm"), {}),
    "batchnorm and dropout": (partial(fc_net, dropout=0.3, normalization="batchnorm"), {}),
    "images": (
        conv_net,
        {
            "data": {"X_train": IMAGES, "y_train": IMAGES[:, 0, 0, 0] % 2},
            "transform": lambda X, rng: noise(X / np.float32(255), rng),
        },
    ),
    "another model": (lambda seed: Plain(fc_net(seed)), {}),
    "a model that draws": (Noisy, {}),
    "threads": (lambda seed: DataParallel(fc_net(seed)), {}),
}


def train_until(solver, iteration):
    """Train, with Ctrl-C in the middle of an iteration."""
    loss = solver.model.loss

    def interrupted(X, y=None):
        if y is not None and solver.iteration == iteration - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(X, y)

    solver.model.loss = interrupted
    solver.train()
    assert solver.interrupted


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("iteration", [4, 20, 33])  # of 10 an epoch
@pytest.mark.parametrize("name", TRAININGS)
def test_resumed_run_has_the_same_bits(toy_data, path, name, iteration):
    model, options = TRAININGS[name]
    options = {"data": toy_data, "transform": noise, "num_epochs": 5, **options}
    kind = getattr(np.random, options.pop("bit_generator", "PCG64"))

    def start(seed, **others):
        net, seed = model(np.random.Generator(kind(seed))), np.random.Generator(kind(seed))
        return make_solver(net=net, seed=seed, **options, **others)

    whole, stopped = start(0), start(0, checkpoint=path)
    whole.train()
    train_until(stopped, iteration)
    resumed = start(9, checkpoint=path)  # other numbers: the checkpoint's count
    assert resumed.iteration == iteration
    assert resumed.seconds == stopped.seconds > 0
    resumed.train()
    assert state(resumed) == state(whole)
    assert resumed.seconds > stopped.seconds


def test_finished_run_is_not_repeated_and_can_be_extended(toy_data, path, capsys):
    make_solver(toy_data, checkpoint=path).train()
    make_solver(toy_data, checkpoint=path, verbose=True)
    assert f"resuming from {path}: 8 of 8" in capsys.readouterr().out
    longer, whole = (make_solver(toy_data, checkpoint=c, num_epochs=11) for c in (path, None))
    for solver in longer, whole:
        solver.train()
    assert state(longer) == state(whole)


@pytest.mark.usefixtures("foreground")
def test_run_that_is_about_to_diverge_resumes_as_it_was(toy_data, path):
    options = {"checkpoint": path, "optim_config": {"learning_rate": 1e39}}
    stopped = make_solver(toy_data, **options)
    train_until(stopped, 1)
    resumed, before = make_solver(toy_data, **options), path.read_bytes()
    for solver in (stopped, resumed):
        with pytest.raises(DivergedError):
            solver.train()
    assert state(resumed) == state(stopped)
    assert path.read_bytes() == before


UNKEPT = [  # what a checkpoint cannot keep, and a word of the reason
    ({"net": Plain(fc_net(), rng=np.random.RandomState(0))}, "RandomState"),
    ({"net": Plain(fc_net(), buffers={"names": np.array([{}], object)})}, "objects"),
    ({"net": Plain(fc_net(), buffers={"W1": np.zeros(1)})}, "W1"),
    ({"net": Plain(fc_net(), settings=[1])}, "list"),
    ({"schedule": partial(partial(lambda t, rng: 1, rng=np.random.default_rng(0)))}, "schedule"),
    ({"transform": partial(noise, table=np.array([{}], object))}, "objects"),
    ({"data": {"X_train": np.array([[{}], [{}]]), "y_train": [0, 1]}}, "objects"),
]


@pytest.mark.parametrize(("options", "reason"), UNKEPT)
def test_what_a_checkpoint_cannot_keep_is_refused_at_the_start(toy_data, path, options, reason):
    options = {"data": toy_data, **options}
    make_solver(**options)
    with pytest.raises(ValueError, match=f"checkpoint cannot keep .*{reason}"):
        make_solver(**options, checkpoint=path)


@pytest.fixture
def checkpoint(toy_data, path):
    make_solver(toy_data, checkpoint=path, num_epochs=1).train()
    return path


FLOOR, PHILOX = {"schedule": partial(floor, floor=0.1)}, np.random.Generator(np.random.Philox(0))


OTHERS = [  # options of the run that wrote it, of the one that reads it, and what differs
    ({}, {"net": fc_net(hidden_dim=[17])}, "another model: .*W1"),
    ({}, {"net": fc_net(dtype=np.float64)}, "another model: .*W1"),
    ({}, {"net": fc_net(reg=1)}, "another model: reg"),
    ({"net": fc_net(dropout=0.2)}, {"net": fc_net(dropout=0.1)}, "another model"),
    ({}, {"net": Plain(fc_net())}, "another model"),
    ({"net": Plain(fc_net())}, {"net": Plain(fc_net(activation="tanh"))}, "another model"),
    ({}, {"lr_decay": 0.8}, r"other settings: lr_decay is 0\.9 there and 0\.8 here"),
    ({}, {"optim_config": {}}, "other settings: learning_rate"),
    ({}, {"update_rule": "sgd"}, "other settings: update_rule"),
    ({}, {"batch_size": 33}, "other settings: batch_size"),
    ({}, {"transform": noise}, "other settings: transform"),
    ({}, {"schedule": floor}, "other settings: schedule"),
    (FLOOR, {"schedule": partial(floor, floor=0.2)}, "other settings: schedule"),
    (FLOOR, {**FLOOR, "num_epochs": 2}, "other settings: num_epochs"),
    ({}, {"seed": PHILOX}, "other settings: generators"),
    ({}, {"seed": 1}, "other settings: seed"),
    ({}, {"net": fc_net(1)}, "another model: seed"),
]


@pytest.mark.parametrize(("written", "read", "message"), OTHERS)
def test_another_configuration_is_refused(toy_data, path, written, read, message):
    options = {"checkpoint": path, "num_epochs": 1}
    make_solver(toy_data, **{**options, **written}).train()
    model = read.get("net") or fc_net()
    before = copy_params(model)
    with pytest.raises(ValueError, match=f"checkpoint .*run.npz is of {message}"):
        make_solver(toy_data, **{**options, **read, "net": model})
    np.testing.assert_equal(model.params, before)


@pytest.mark.parametrize("name", ["X_train", "y_train", "X_val", "y_val"])
def test_other_data_are_refused_whichever_example_differs(toy_data, checkpoint, name):
    for i in (0, 57, len(toy_data[name]) - 1):
        changed = toy_data[name].copy()
        changed[i] = 1 - changed[i]
        with pytest.raises(ValueError, match=f"run.npz is of other data: {name} is"):
            make_solver({**toy_data, name: changed}, checkpoint=checkpoint)


def test_full_disk_keeps_the_old_checkpoint(toy_data, checkpoint, monkeypatch):
    before, solver = checkpoint.read_bytes(), make_solver(toy_data, checkpoint=checkpoint)

    def no_space(file, *args, **kwargs):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    with pytest.warns(UserWarning, match="checkpoint could not be written: .*No space"):
        solver.train()
    assert solver.epoch == 8  # the training itself goes on
    assert checkpoint.read_bytes() == before
    assert os.listdir(checkpoint.parent) == [checkpoint.name]


def resumed(data, path, content):
    """Return what a file of that content leads to, None where it is refused by its name."""
    path.write_bytes(content)
    try:
        return state(make_solver(data, checkpoint=path))
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
        return None


def test_truncated_damaged_or_foreign_file_is_refused(toy_data, checkpoint):
    content, parameters = checkpoint.read_bytes(), checkpoint.with_name("net.npz")
    intact = resumed(toy_data, checkpoint, content)
    fc_net().save(parameters)
    truncated = (content[:length] for length in range(0, len(content), 97))
    for foreign in (b"hello" * 99, parameters.read_bytes(), *truncated):
        assert resumed(toy_data, checkpoint, foreign) is None
    found = []
    for i in range(0, len(content), 89):
        damaged = content[:i] + bytes([content[i] ^ 0xFF]) + content[i + 1 :]
        found.append(resumed(toy_data, checkpoint, damaged))
    assert all(each in (None, intact) for each in found)  # a date, say, changes nothing
    assert found.count(None) > 0.7 * len(found)


def rewrite(path, change):
    """Change the JSON and the arrays of a checkpoint, and leave its checksum."""
    with np.load(path) as archive:
        arrays = dict(archive)
    info = json.loads(arrays.pop(INFO).tobytes())
    change(info, arrays)
    np.savez(path, **{INFO: np.frombuffer(json.dumps(info).encode(), np.uint8)}, **arrays)


EDITS = [
    lambda info, arrays: info.update(seconds=1.0),
    lambda info, arrays: info.pop("checksum"),
    lambda info, arrays: info["generators"][0]["state"]["state"].update(state=12345),
    lambda info, arrays: arrays["velocity/W1"].fill(0.0),
    lambda info, arrays: arrays.pop("params/W1"),
]


def test_edited_checkpoint_is_refused(toy_data, checkpoint):
    rewrite(checkpoint, lambda info, arrays: None)
    assert make_solver(toy_data, checkpoint=checkpoint).epoch == 1
    content = checkpoint.read_bytes()
    for edit in EDITS:
        checkpoint.write_bytes(content)
        rewrite(checkpoint, edit)
        with pytest.raises(ValueError, match=r"run\.npz is damaged"):
            make_solver(toy_data, checkpoint=checkpoint)


class Trap:
    """An object that makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_is_unpickled(toy_data, checkpoint, tmp_path):
    rewrite(checkpoint, lambda info, arrays: arrays.update(order=[Trap(tmp_path / "sprung")]))
    for read in (lambda path: make_solver(toy_data, checkpoint=path), fc_net().load):
        with pytest.raises(ValueError, match=r"run\.npz"):
            read(checkpoint)
    assert not (tmp_path / "sprung").exists()
    np.load(checkpoint, allow_pickle=True)["order"]
    assert (tmp_path / "sprung").exists()


# A training in a process of its own, with a slow disk: half of its time goes into writing.
CHILD = """
import sys, os, time
from helpers import make_solver, noise, state, toy_problem

os.fsync = lambda fd: time.sleep(0.02)
checkpoint, result, num_epochs = sys.argv[1:]
solver = make_solver(toy_problem(), num_epochs=int(num_epochs), checkpoint=checkpoint,
                     transform=noise, after_epoch=lambda solver: time.sleep(0.01))
print(solver.epoch, flush=True)
solver.train()
open(result, "wb").write(b"".join(state(solver)))
"""


@pytest.mark.parametrize("kills", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_killed_training_ends_with_the_same_bits(tmp_path, kills, rng):
    options = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT / "tests")}}

    def train(name, *moments):
        """Train, killed at each of these moments; the epochs that it began with, and the result."""
        path, epochs = tmp_path / name, []
        command = [sys.executable, "-c", CHILD, f"{path}.npz", path, str(8 * kills)]
        for moment in (*moments, None):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as child:
                epochs.append(int(child.stdout.readline()))
                with suppress(subprocess.TimeoutExpired):
                    child.wait(moment)
                child.kill()
        return epochs, path.read_bytes()

    _, expected = train("whole")
    epochs, result = train("killed", *rng.uniform(0, 0.6, kills))
    assert epochs == sorted(epochs)  # what was once saved stays saved
    assert result == expected
    assert any(tmp_path.glob(".killed.npz.*.tmp"))  # of those that were killed while they wrote


def test_other_parameters_are_not_loaded(tmp_path):
    path, truncated = tmp_path / "net.npz", tmp_path / "truncated.npz"
    fc_net().save(path)
    truncated.write_bytes(path.read_bytes()[:-30])
    for file, options in (
        (path, {"hidden_dim": [6]}),
        (path, {"hidden_dim": [16, 16]}),
        (path, {"activation": "tanh"}),
        (path, {"dtype": np.float64}),
        (path, {"normalization": "batchnorm"}),
        (truncated, {}),
    ):
        net = fc_net(1, **options)
        before = copy_params(net)
        with pytest.raises(ValueError, match=file.name):
            net.load(file)
        np.testing.assert_equal(copy_params(net), before)
    with pytest.raises(FileNotFoundError, match="none"):
        net.load(tmp_path / "none.npz")
