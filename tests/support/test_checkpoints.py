"""Checkpoints: the same bits after any interruption, and no file that fools or harms."""

import errno
import json
import os
import random
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import interrupted_after, make_solver, noise, state
from hypothesis import given, settings
from hypothesis import strategies as st

from conv_net import ConvNet
from fc_net import FullyConnectedNet
from optim import UPDATE_RULES
from solver import DivergedError
from support import checkpoints, npz
from support.npz import load_npz, save_npz

ROOT = Path(__file__).parent.parent.parent


NEVER = 10**9  # iterations


class StopError(Exception):
    pass


def stop_after(epoch):
    def after_epoch(solver):
        if solver.epoch == epoch:
            raise StopError

    return after_epoch


@pytest.mark.parametrize("rule", UPDATE_RULES)
@pytest.mark.parametrize("stop", [1, 3, 6])
def test_resumed_run_has_the_same_bits(toy_data, tmp_path, rule, stop):
    options = {
        "update_rule": rule,
        "optim_config": {"learning_rate": 0.01},
        "schedule": lambda t: 1 - t / 2,
        "transform": noise,
        "num_train_samples": 50,
        "num_val_samples": 50,
    }
    whole = make_solver(toy_data, **options)
    whole.train()
    path = tmp_path / "run.npz"
    with pytest.raises(StopError):
        make_solver(toy_data, checkpoint=path, after_epoch=stop_after(stop), **options).train()
    # Another seed: what the checkpoint says counts.
    net = FullyConnectedNet(2, [16], 2, seed=9)
    resumed = make_solver(toy_data, checkpoint=path, net=net, **{**options, "seed": 9})
    assert resumed.epoch == stop
    resumed.train()
    assert state(resumed) == state(whole)


@pytest.mark.usefixtures("foreground")
def test_resumed_after_ctrl_c_in_the_middle_of_an_epoch(toy_data, tmp_path):
    whole = make_solver(toy_data)
    whole.train()
    path = tmp_path / "run.npz"
    interrupted = make_solver(toy_data, checkpoint=path, transform=interrupted_after(14))
    interrupted.train()
    assert interrupted.interrupted
    assert interrupted.iteration == 14
    resumed = make_solver(toy_data, checkpoint=path, transform=interrupted_after(NEVER))
    assert resumed.iteration == 14
    assert resumed.seconds == interrupted.seconds > 0
    resumed.train()
    assert resumed.seconds > interrupted.seconds
    assert state(resumed) == state(whole)


def test_dropout_resumes_as_it_was(toy_data, tmp_path):
    def net(seed):
        return FullyConnectedNet(2, [16], 2, seed=seed, dropout=0.3)

    path = tmp_path / "run.npz"
    with pytest.raises(StopError):
        make_solver(toy_data, checkpoint=path, net=net(0), after_epoch=stop_after(3)).train()
    resumed, whole = (
        make_solver(toy_data, checkpoint=path, net=net(1)),
        make_solver(toy_data, net=net(0)),
    )
    for solver in (resumed, whole):
        solver.train()
    assert state(resumed) == state(whole)


@pytest.mark.usefixtures("foreground")
def test_running_means_resume_as_they_were(toy_data, tmp_path):
    def solver(seed, **options):
        net = FullyConnectedNet(2, [16], 2, seed=seed, normalization="batchnorm")
        return make_solver(toy_data, net=net, **options)

    path = tmp_path / "run.npz"
    solver(0, checkpoint=path, transform=interrupted_after(34)).train()
    resumed = solver(1, checkpoint=path, transform=interrupted_after(NEVER))
    whole = solver(0)
    assert resumed.iteration == 34
    for run in (resumed, whole):
        run.train()
    assert state(resumed) == state(whole)
    for name, array in whole.model.buffers.items():
        np.testing.assert_array_equal(resumed.model.buffers[name], array)
    with pytest.raises(ValueError, match="is of another model: gamma1 is"):
        make_solver(toy_data, checkpoint=path)


def test_finished_run_is_not_repeated_and_can_be_extended(toy_data, tmp_path, capsys):
    path = tmp_path / "run.npz"
    make_solver(toy_data, checkpoint=path).train()
    again = make_solver(toy_data, checkpoint=path, verbose=True)
    assert f"resuming from {path}: 8 of 8 epochs are done" in capsys.readouterr().out
    again.train()
    assert again.epoch == 8
    longer = make_solver(toy_data, checkpoint=path, num_epochs=11)
    longer.train()
    whole = make_solver(toy_data, num_epochs=11)
    whole.train()
    assert state(longer) == state(whole)


def test_without_validation_data(toy_data, tmp_path):
    data = {key: toy_data[key] for key in ("X_train", "y_train")}
    path = tmp_path / "run.npz"
    with pytest.raises(StopError):
        make_solver(data, checkpoint=path, after_epoch=stop_after(2)).train()
    resumed, whole = make_solver(data, checkpoint=path), make_solver(data)
    for solver in (resumed, whole):
        solver.train()
    assert state(resumed) == state(whole)
    assert np.isnan(resumed.best_val_acc)


def test_diverged_run_keeps_its_checkpoint(toy_data, tmp_path):
    path = tmp_path / "run.npz"
    make_solver(toy_data, checkpoint=path, num_epochs=2).train()
    before = path.read_bytes()
    solver = make_solver(toy_data, checkpoint=path)
    solver.model.params["W1"][...] = solver.last_params["W1"][...] = np.nan
    with pytest.raises(DivergedError):
        solver.train()
    assert path.read_bytes() == before


@pytest.fixture
def checkpoint(toy_data, tmp_path):
    path = tmp_path / "run.npz"
    make_solver(toy_data, checkpoint=path, num_epochs=1).train()
    return path


class Plain:
    """A model that says nothing of its settings."""

    def __init__(self, net):
        self.params, self.loss = net.params, net.loss


def flip_schedule(t, floor=0.0):
    return max(1 - t, floor)


def net(**options):
    return FullyConnectedNet(2, **{"hidden_dim": [16], "num_classes": 2, "seed": 0, **options})


@pytest.mark.parametrize(
    ("written", "read", "message"),
    [
        ({}, {"net": net(hidden_dim=[17])},
         r"another model: W1 is \[\[2, 16\], 'float32'\] there and \[\[2, 17"),
        ({}, {"net": net(hidden_dim=[16, 16])}, "another model: W2 is"),
        ({}, {"net": net(reg=10)}, r"another model: reg is 0\.0 there and 10\.0 here"),
        ({}, {"net": net(activation="tanh")}, "another model: layers is .*relu.* here"),
        ({}, {"net": net(dropout=0.1)}, "another model: layers is .*dropout.* here"),
        ({"net": net(dropout=0.2)}, {"net": net(dropout=0.1)}, r"'p': 0\.2.* there .*'p': 0\.1"),
        ({}, {"net": Plain(net())}, "another model: network is FullyConnectedNet there and absent"),
        ({"net": Plain(net())}, {"net": Plain(net(activation="tanh"))},
         "another model: its parameters fit, but"),
        ({}, {"lr_decay": 0.8}, r"other settings: lr_decay is 0\.9 there and 0\.8 here"),
        ({}, {"optim_config": {"learning_rate": 0.1}}, r"learning_rate is 0\.3 there and 0\.1"),
        ({}, {"optim_config": {"learning_rate": 0.3, "momentum": 0.8}}, r"momentum is 0\.9 there"),
        ({}, {"update_rule": "sgd"}, "update_rule is sgd_momentum there and sgd here"),
        ({}, {"batch_size": 33}, "batch_size is 32 there and 33"),
        ({}, {"num_train_samples": None}, "num_train_samples is 1000 there and None"),
        ({}, {"transform": noise}, "transform is None there and noise here"),
        ({}, {"schedule": flip_schedule}, "schedule is None there and flip_schedule here"),
        ({"schedule": partial(flip_schedule, floor=0.1)}, {"schedule": flip_schedule}, "schedule"),
        ({"schedule": partial(flip_schedule, floor=0.1)},
         {"schedule": partial(flip_schedule, floor=0.2)}, r"'floor': 0\.1.* there .*0\.2"),
    ],
)  # fmt: skip
def test_another_configuration_is_refused(toy_data, tmp_path, written, read, message):
    path = tmp_path / "run.npz"
    make_solver(toy_data, checkpoint=path, num_epochs=1, **written).train()
    model = read.get("net") or net()
    before = {name: p.copy() for name, p in model.params.items()}
    with pytest.raises(ValueError, match=f"checkpoint .*run.npz is of .*{message}"):
        make_solver(toy_data, checkpoint=path, **{**read, "net": model})
    for name, p in before.items():
        np.testing.assert_array_equal(model.params[name], p)


@pytest.mark.parametrize("name", ["X_train", "y_train", "X_val", "y_val"])
def test_other_data_are_refused_whichever_example_differs(toy_data, checkpoint, name):
    for i in (0, 57, len(toy_data[name]) - 1):
        changed = toy_data[name].copy()
        changed[i] = 1 - changed[i]
        with pytest.raises(ValueError, match=f"run.npz is of other data: {name} is"):
            make_solver({**toy_data, name: changed}, checkpoint=checkpoint)


def test_numbers_of_numpy_are_settings_like_any_other(toy_data, tmp_path):
    options = {"num_train_samples": np.int64(50), "batch_size": np.int32(32),
               "lr_decay": np.float64(0.9), "optim_config": {"learning_rate": np.float64(0.3)},
               "schedule": partial(flip_schedule, floor=np.float64(0.5))}  # fmt: skip
    path = tmp_path / "new" / "folder" / "run.npz"
    make_solver(toy_data, checkpoint=path, **options).train()
    plain = {**options, "num_train_samples": 50, "schedule": partial(flip_schedule, floor=0.5)}
    assert make_solver(toy_data, checkpoint=path, **plain).epoch == 8


def test_path_of_a_checkpoint(toy_data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_solver(toy_data, checkpoint="~/runs/a.npz", num_epochs=1).train()
    assert (tmp_path / "runs" / "a.npz").exists()
    model = net()
    model.save("~/net.npz")
    model.load(str(tmp_path / "net.npz"))
    with pytest.raises(ValueError, match=r"Solver: checkpoint must be a file, .* is a folder"):
        make_solver(toy_data, checkpoint=tmp_path)
    with pytest.raises(OSError, match=r"net\.npz"):  # a file where a folder should be
        make_solver(toy_data, checkpoint=tmp_path / "net.npz" / "run.npz")
    for call in (lambda: make_solver(toy_data, checkpoint=3), lambda: model.save(None)):
        with pytest.raises(
            TypeError, match=r"(checkpoint|path) must be a path, got (int|NoneType)"
        ):
            call()


def test_more_epochs_than_a_schedule_was_made_for(toy_data, tmp_path):
    options = {"checkpoint": tmp_path / "run.npz", "schedule": flip_schedule}
    make_solver(toy_data, num_epochs=2, **options).train()
    for solver in (
        make_solver(toy_data, num_epochs=4, **options),
        make_solver(toy_data, num_epochs=2, schedule=flip_schedule),
    ):
        if not solver.epoch:
            solver.train()
            solver.num_epochs = 4
        with pytest.warns(
            UserWarning, match=r"fraction jumps from 1\.00 to 0\.50, and the learning"
        ):
            solver.train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_solver(toy_data, num_epochs=4, **options).train()


def test_full_disk_keeps_the_old_checkpoint(toy_data, checkpoint, monkeypatch):
    before = checkpoint.read_bytes()

    def no_space(file, *args, **kwargs):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(npz.np, "savez", no_space)
    solver = make_solver(toy_data, checkpoint=checkpoint)
    with pytest.warns(UserWarning, match="could not be written, the last one is kept: .*No space"):
        solver.train()
    assert solver.epoch == 8  # the training itself goes on
    assert checkpoint.read_bytes() == before
    assert os.listdir(checkpoint.parent) == [checkpoint.name]


def flip(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


def load_damaged(data, path, content):
    """Whether a damaged checkpoint is refused; any exception but a ValueError is a failure."""
    path.write_bytes(content)
    try:
        make_solver(data, checkpoint=path)
    except ValueError as error:
        return str(path) in str(error)
    return False


def test_truncated_checkpoint_is_refused(toy_data, checkpoint):
    content = checkpoint.read_bytes()
    for length in range(0, len(content), 97):
        assert load_damaged(toy_data, checkpoint, content[:length])


def test_damaged_checkpoint_is_refused_or_harmless(toy_data, checkpoint):
    content = checkpoint.read_bytes()
    intact = make_solver(toy_data, checkpoint=checkpoint)
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        damaged = flip(content, rng.randrange(len(content)))
        if load_damaged(toy_data, checkpoint, damaged):
            refused += 1
        else:  # a date, say: all that counts is as it was
            solver = make_solver(toy_data, checkpoint=checkpoint)
            assert state(solver) == state(intact)
    assert refused > 300


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Data, and the checkpoint of a training on them: where it is and what is in it."""
    X = np.random.default_rng(1).random((40, 2))
    toy = {"X_train": X, "y_train": (X[:, 0] > 0.5).astype(int)}
    path = tmp_path_factory.mktemp("fuzz") / "run.npz"
    make_solver(toy, checkpoint=path, num_epochs=1).train()
    return toy, path, path.read_bytes()


@pytest.mark.slow
@settings(max_examples=5000)
@given(data=st.data())
def test_fuzzed_checkpoints(small_run, data):
    toy, path, written = small_run
    content = bytearray(written)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(start + 40, len(content))))
        content[start:stop] = data.draw(st.binary(max_size=40))
    load_damaged(toy, path, bytes(content))


def rewrite(path, change):
    """Change the JSON and the arrays of a checkpoint, with a checksum as if it were written so."""
    info, arrays = load_npz(path, "a checkpoint", 2**30)
    del info["checksum"]
    change(info, arrays)
    save_npz(path, {**info, "checksum": checkpoints.checksum(info, arrays)}, arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda info, arrays: info.pop("epoch"),
        lambda info, arrays: info.update(epoch="2"),
        lambda info, arrays: info.update(iteration=-1),
        lambda info, arrays: info.update(seconds=None),
        lambda info, arrays: info.update(iteration=3),  # in the middle of an epoch, without order
        lambda info, arrays: info.update(iteration=20),
        lambda info, arrays: info.update(epoch=0),
        lambda info, arrays: info.update(epoch=True),
        lambda info, arrays: info.update(planned_epochs=0),
        lambda info, arrays: info.update(seconds=-1.0),
        lambda info, arrays: info.update(seconds=np.nan),
        lambda info, arrays: info.update(best_val_acc=0.1),
        lambda info, arrays: info.update(best_val_acc="0.1"),
        lambda info, arrays: arrays.pop("val_acc_history"),
        lambda info, arrays: arrays.update(val_acc_history=np.zeros(0)),
        lambda info, arrays: arrays.update(train_acc_history=np.array([0.5, 0.5, 0.5])),
        lambda info, arrays: arrays.update(train_acc_history=np.array(["0.5", "0.5"])),
        lambda info, arrays: arrays.update(train_acc_history=np.array([1.5, 0.5])),
        lambda info, arrays: info["rng"][0]["state"].update(state=-1),
        lambda info, arrays: info["rng"][0]["state"].update(state=2**128),
        lambda info, arrays: info["rng"][0]["state"].update(inc="1"),
        lambda info, arrays: info["rng"][0].update(has_uint32=7.5),
        lambda info, arrays: info.update(rng={}),
        lambda info, arrays: arrays.update(loss_history=arrays["loss_history"][1:]),
        lambda info, arrays: arrays.update(loss_history=arrays["loss_history"] * np.nan),
        lambda info, arrays: arrays.update(loss_history=arrays["loss_history"].astype(int)),
        lambda info, arrays: arrays["params/W1"].fill(np.nan),
        lambda info, arrays: info.update(identity=[]),
        lambda info, arrays: info["identity"].update(model=None),
        lambda info, arrays: arrays.update(scores=np.full((4, 2), "x")),
        lambda info, arrays: info.pop("rng"),
        lambda info, arrays: info["rng"].pop(),
        lambda info, arrays: info["rng"][0].update(bit_generator="MT19937"),
        lambda info, arrays: arrays.pop("params/W1"),
        lambda info, arrays: arrays.pop("velocity/b2"),
        lambda info, arrays: arrays.update({"best_params/b1": np.zeros(3, np.float32)}),
        lambda info, arrays: arrays.update({"params/b1": np.zeros(16, np.int64)}),
    ],
)
def test_incomplete_checkpoint_is_refused(toy_data, checkpoint, change):
    rewrite(checkpoint, change)
    with pytest.raises(ValueError, match="is damaged"):
        make_solver(toy_data, checkpoint=checkpoint)


def test_edited_checkpoint_is_refused(toy_data, checkpoint):
    """Numbers that could be right: only the checksum tells that they were not written so."""
    content = checkpoint.read_bytes()
    for change in (
        lambda info, arrays: info["rng"][0]["state"].update(state=12345),
        lambda info, arrays: info.update(seconds=1.0),
        lambda info, arrays: arrays["velocity/W1"].fill(0.0),
        lambda info, arrays: info.pop("checksum"),
        lambda info, arrays: info.update(checksum=None),
    ):
        checkpoint.write_bytes(content)
        info, arrays = load_npz(checkpoint, "a checkpoint", 2**30)
        change(info, arrays)
        save_npz(checkpoint, info, arrays)
        with pytest.raises(ValueError, match=r"run\.npz is damaged"):
            make_solver(toy_data, checkpoint=checkpoint)


def test_checkpoint_with_objects_or_of_great_size_is_refused(toy_data, checkpoint):
    info, arrays = load_npz(checkpoint, "a checkpoint", 2**30)
    text = np.frombuffer(json.dumps(info).encode(), np.uint8)
    np.savez(checkpoint, info=text, **{**arrays, "order": np.array([{}], object)})
    with pytest.raises(ValueError, match="damaged"):
        make_solver(toy_data, checkpoint=checkpoint)
    np.savez_compressed(checkpoint, info=text, **arrays, order=np.zeros(2**25))
    assert checkpoint.stat().st_size < 2**20
    with pytest.raises(ValueError, match="at most"):
        make_solver(toy_data, checkpoint=checkpoint)
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("info.npy", bytes(10**6))
    with pytest.raises(ValueError, match="expected stored or deflated"):
        make_solver(toy_data, checkpoint=checkpoint)


# A training in a process of its own, with a slow disk: half of its time goes into writing.
CHILD = """
import sys, os, time
import numpy as np
from fc_net import FullyConnectedNet
from helpers import toy_problem
from solver import Solver

fsync = os.fsync
def slow_fsync(fd):
    time.sleep(0.01)
    fsync(fd)
    time.sleep(0.01)
os.fsync = slow_fsync

net = FullyConnectedNet(2, [16], 2, seed=0)
path = sys.argv[1] if len(sys.argv) > 2 else None
solver = Solver(net, toy_problem(), "adam", {"learning_rate": 0.01}, 0.95, 10, 40, verbose=False,
                checkpoint=path, seed=0, after_epoch=lambda solver: time.sleep(0.01))
print(solver.epoch, flush=True)
solver.train()
final = {**net.params, **{"last " + n: p for n, p in solver.last_params.items()}}
np.savez(sys.argv[-1], loss=solver.loss_history, train=solver.train_acc_history,
         val=solver.val_acc_history, **final)
"""


def run_child(*arguments):
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env)


def kill_and_compare(folder, kills):
    """Kill a training again and again at random moments; how often, and while it wrote."""
    expected = folder / "expected.npz"
    assert run_child(expected).wait() == 0
    rng = random.Random(kills)
    killed = in_writing = 0
    while killed < kills:
        path, result = folder / "run.npz", folder / "result.npz"
        path.unlink(missing_ok=True)
        epoch = 0
        while True:
            child = run_child(path, result)
            started_at = int(child.stdout.readline())
            assert started_at >= epoch  # what was once saved stays saved
            epoch = started_at
            try:
                child.wait(timeout=rng.uniform(0, 0.6))
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                killed += 1
                in_writing += any(folder.glob(".run.npz.*.tmp"))
                for left_over in folder.glob(".run.npz.*.tmp"):
                    left_over.unlink()
        assert child.returncode == 0
        with np.load(expected) as a, np.load(result) as b:
            assert a.files == b.files
            for name in a.files:
                assert a[name].tobytes() == b[name].tobytes(), name
    return killed, in_writing


def test_killed_training_ends_with_the_same_bits(tmp_path):
    killed, in_writing = kill_and_compare(tmp_path, 25)
    assert killed >= 25
    assert in_writing > 0


@pytest.mark.slow
def test_killed_hundreds_of_times(tmp_path, capsys):
    counts = kill_and_compare(tmp_path, 300)
    with capsys.disabled():
        print("\n{} kills, {} of them while a checkpoint was written".format(*counts))


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: FullyConnectedNet(12, [5], 3, seed=seed),
        lambda seed: ConvNet((1, 8, 8), [2], 3, [4], dtype=np.float64, seed=seed),
    ],
)
def test_parameters_alone(tmp_path, make):
    path = tmp_path / "net.npz"
    net, other = make(0), make(1)
    net.save(path)
    other.load(path)
    for name, p in net.params.items():
        assert other.params[name].tobytes() == p.tobytes()


def test_parameters_of_another_network_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    FullyConnectedNet(12, [5], 3).save(path)
    for net in (
        FullyConnectedNet(12, [6], 3, seed=0),
        FullyConnectedNet(12, [], 3, seed=0),
        FullyConnectedNet(12, [5, 5], 3, seed=0),
        FullyConnectedNet(12, [5], 3, seed=0, dtype=np.float64),
    ):
        before = net.params["W1"].copy()
        with pytest.raises(ValueError, match=r"parameters of another network: .* is .* there and"):
            net.load(path)
        np.testing.assert_array_equal(net.params["W1"], before)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"net.npz is damaged or not saved parameters"):
        net.load(path)
    with pytest.raises(FileNotFoundError):
        net.load(tmp_path / "none.npz")
