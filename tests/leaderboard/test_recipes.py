"""Recipes: each can be trained, and a run ends in the predictions of what it trained."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conv_net import ConvNet
from data_utils import load_mnist, read_submission
from fc_net import FullyConnectedNet
from leaderboard import recipes
from leaderboard.augment import adversarial
from leaderboard.ensemble import Ensemble
from leaderboard.recipes import RECIPES, UPRIGHT, Training, flop, run, summary
from leaderboard.record import MEASURED
from leaderboard.training import predictor
from support import workers

ROOT = Path(__file__).parent.parent.parent
TINY = Training("tiny", partial(FullyConnectedNet, 784, [20]), num_epochs=3, batch_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of data like MNIST's: 10 images that are easy to tell apart, with noise."""
    rng = np.random.default_rng(0)
    prototypes = rng.integers(0, 200, (10, 28, 28))
    arrays = {}
    for part, number in (("train", 400), ("test", 50)):
        labels = np.arange(number) % 10
        noise = rng.integers(0, 56, (number, 28, 28))
        arrays[f"x_{part}"] = (prototypes[labels] + noise).astype(np.uint8)
        arrays[f"y_{part}"] = labels
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "mnist.npz", **arrays)
    return folder


@pytest.fixture
def data(folder):
    return load_mnist(folder, verbose=False)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", [TINY])
    monkeypatch.setitem(RECIPES, "three", [TINY] * 3)


def same(net, other):
    return all(np.array_equal(net.params[name], other.params[name]) for name in net.params)


@pytest.mark.parametrize("training", {t.name: t for ts in RECIPES.values() for t in ts}.values())
def test_every_network_of_a_recipe_learns(training, data):
    net, X = training.network(seed=0), data["X_train"][: training.batch_size]
    rng = np.random.default_rng(0)
    if training.preprocess:
        X = training.preprocess(X)
    if training.transform:
        X = training.transform(X, rng)
    if training.adversarial:
        X = adversarial(X, rng, net=net, size=training.adversarial)
    loss, grads = net.loss(X, data["y_train"][: training.batch_size])
    assert 1 < loss < 10
    assert grads.keys() == net.params.keys()
    assert all(grad.any() for grad in grads.values())


def test_members_of_a_recipe_are_trained_with_seeds_of_their_own(tiny, data, tmp_path):
    three, table = run("three", data, seed=4, checkpoints=tmp_path / "a", workers=2, verbose=False)
    assert len(three.networks) == len(table) == 3
    for i, net in enumerate(three.networks):
        single, row = run("tiny", data, seed=4 + i, checkpoints=tmp_path / "b", verbose=False)
        assert same(single.networks[0], net)
        columns = ["network", "seed", "validation accuracy"]
        assert (table[columns].iloc[i] == row[columns].iloc[0]).all()
        accuracy = np.mean(net.predict(data["X_val"]) == data["y_val"])
        assert table["validation accuracy"][i] == accuracy
    assert (table["seconds"] > 0).all()
    assert not same(*three.networks[:2])
    assert np.mean(three.predict(data["X_val"]) == data["y_val"]) > 0.9


def negative(X):
    return 255 - X


def test_preprocessed_images_are_trained_on_and_predicted(tiny, data, tmp_path, monkeypatch):
    training = TINY._replace(preprocess=negative)
    monkeypatch.setitem(RECIPES, "tiny", [training])
    model, table = run("tiny", data, checkpoints=tmp_path / "a", verbose=False)
    assert table["validation accuracy"][0] == np.mean(model.predict(data["X_val"]) == data["y_val"])
    monkeypatch.setitem(RECIPES, "tiny", [TINY])
    negatives = {**data, "X_train": negative(data["X_train"]), "X_val": negative(data["X_val"])}
    other, _ = run("tiny", negatives, checkpoints=tmp_path / "b", verbose=False)
    assert same(model.networks[0], other.networks[0])
    np.testing.assert_array_equal(model.loss(data["X_test"]), other.loss(negative(data["X_test"])))


def test_networks_of_a_recipe_share_the_preparation_of_the_images(
    tiny, data, tmp_path, monkeypatch
):
    calls = []

    def negative(X):
        calls.append(len(X))
        return 255 - X

    trainings = [TINY._replace(preprocess=negative)] * 2 + [TINY]
    monkeypatch.setitem(RECIPES, "three", trainings)
    run("three", data, checkpoints=tmp_path, workers=1, verbose=False)
    assert calls == [len(data["X_train"]), len(data["X_val"])]


def test_undistorted_leaves_out_what_was_made_for_digits(tiny, data, tmp_path, monkeypatch):
    plain, _ = run("tiny", data, checkpoints=tmp_path, verbose=False)
    monkeypatch.setitem(RECIPES, "tiny", [TINY._replace(**UPRIGHT)])
    options = {"checkpoints": tmp_path, "verbose": False}
    with pytest.raises(ValueError, match=r"tiny-0\.npz"):  # of other settings
        run("tiny", data, **options)
    undistorted, table = run("tiny", data, undistorted=True, **options)
    assert same(undistorted.networks[0], plain.networks[0])
    X = data["X_test"]
    assert len(undistorted.networks) == 1  # and one view
    np.testing.assert_array_equal(undistorted.loss(X), plain.loss(X))
    assert table["network"].tolist() == ["tiny-undistorted"]
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "tiny-0.npz",
        "tiny-undistorted-0.npz",
    ]


def test_without_validation_images_the_last_epoch_counts(tiny, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", [TINY._replace(preprocess=negative)])
    data = load_mnist(folder, num_val=0, verbose=False)
    model, table = run("tiny", data, checkpoints=tmp_path, verbose=False)
    solver = recipes.make_solver(TINY, {**data, "X_train": negative(data["X_train"])}, 0)
    solver.train()
    params = model.networks[0].params
    assert all(np.array_equal(params[name], w) for name, w in solver.last_params.items())
    assert len(solver.y_train) == 400
    assert table["network"].tolist() == ["tiny-all-images"]
    assert np.isnan(table["validation accuracy"][0])
    assert [path.name for path in tmp_path.glob("*.npz")] == ["tiny-all-images-0.npz"]


def test_command_on_all_images(tiny, folder, tmp_path, monkeypatch, capsys):
    record = tmp_path / "record.csv"
    options = ["--data", folder, "--checkpoints", tmp_path, "--record", record]
    options += ["--out", tmp_path / "out.csv"]
    for seed in (0, 1):
        command(monkeypatch, "--all-images", "--seed", seed, *options)
        printed = capsys.readouterr().out
        assert f"tiny-all-images, seed {seed}: " in printed
        assert "validation accuracy" not in printed
        assert "validation error" not in printed
    command(monkeypatch, *options)
    table = summary(record).set_index("recipe").loc[["tiny", "tiny --all-images"]]
    assert table["validation error"].isna().tolist() == [False, True]
    assert table["seeds"].tolist() == [1, 2]
    assert table["test error"].notna().all()


def test_flop():
    X = np.zeros((7, 1, 28, 28), np.uint8)
    # Forward, dw, and dx where it is needed: not in the first layer, but for adversarial images.
    first, others = 784 * 20, 20 * 10
    training = TINY._replace(num_epochs=3)
    assert flop(training, X) == 2 * 7 * 3 * (2 * first + 3 * others)
    training = training._replace(adversarial=1.0)
    assert flop(training, X) == 2 * 7 * 3 * (5 * first + 6 * others)
    network = partial(ConvNet, num_filters=(4, (5, 6)), filter_size=3, hidden_dim=[8], dropout=0.5)
    first = 28 * 28 * 9 * 4
    others = 14 * 14 * 9 * (4 * 5 + 5 * 6) + 7 * 7 * 6 * 8 + 8 * 10
    assert flop(Training("conv", network, 1), X) == 2 * 7 * (2 * first + 3 * others)


def test_distorted_images_can_be_made_adversarial(tiny, data, tmp_path, monkeypatch):
    seen = []

    def darker(X, rng):
        seen.append(X)
        return X // 2

    monkeypatch.setitem(RECIPES, "tiny", [TINY._replace(transform=darker, adversarial=0.5)])
    solver = recipes.make_solver(RECIPES["tiny"][0], data, 0)
    X = data["X_train"][:5]
    out = solver.transform(X, np.random.default_rng(0))
    assert seen[0] is X
    distance = np.sqrt(((out - (X // 2) / np.float32(255)) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(distance, 0.5, rtol=1e-4)


def test_a_prediction_is_a_mean_over_shifted_views(rng):
    trainings = [Training("a", None, 1, preprocess=negative, shifted=True)] * 2
    trainings += [Training("b", None, 1)]
    nets = [FullyConnectedNet(784, [4], seed=seed) for seed in range(3)]
    model = predictor(trainings, nets)
    X = np.zeros((5, 1, 28, 28), np.uint8)
    X[:, :, 2:-2, 2:-2] = rng.integers(0, 256, (5, 1, 24, 24))
    inside = np.pad(negative(X), ((0, 0), (0, 0), (1, 1), (1, 1)))
    scores = [nets[2].loss(X)]
    for rows, columns in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = inside[:, :, 1 - rows : 29 - rows, 1 - columns : 29 - columns]
        scores += [net.loss(moved) for net in nets[:2]]
    np.testing.assert_allclose(model.loss(X), np.mean(scores, axis=0), rtol=1e-5, atol=1e-6)
    assert len({id(function) for function in model.preprocess}) == 6  # two networks share five


def test_finished_networks_are_not_trained_again(tiny, data, tmp_path):
    first, row = run("tiny", data, seed=1, checkpoints=tmp_path, verbose=False)
    written = (tmp_path / "tiny-1.npz").stat().st_mtime_ns
    again, table = run("three", data, seed=0, checkpoints=tmp_path, verbose=False)
    assert same(first.networks[0], again.networks[1])
    assert (tmp_path / "tiny-1.npz").stat().st_mtime_ns == written
    assert table["seconds"][1] == row["seconds"][0]


def test_adversarial_training_helps_against_adversarial_examples(tiny, data, tmp_path, monkeypatch):
    losses = []
    for size in (0.0, 1.0):
        training = TINY._replace(adversarial=size, num_epochs=20)
        monkeypatch.setitem(RECIPES, "tiny", [training])
        model, _ = run("tiny", data, checkpoints=tmp_path / str(size), verbose=False)
        net = model.networks[0]
        X = adversarial(data["X_val"], np.random.default_rng(0), net=net, size=1.0)
        losses.append(net.loss(X, data["y_val"])[0])
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_stopped_run_goes_on(tiny, data, tmp_path, monkeypatch):
    whole, _ = run("tiny", data, checkpoints=tmp_path / "whole", verbose=False)

    def interrupted(X, rng):
        interrupted.calls += 1
        if interrupted.calls == 30:  # in the second of three epochs of 18 iterations
            os.kill(os.getpid(), signal.SIGINT)
        return X

    interrupted.calls = 0
    monkeypatch.setitem(RECIPES, "tiny", [TINY._replace(transform=interrupted)])
    with pytest.raises(KeyboardInterrupt):
        run("tiny", data, checkpoints=tmp_path, verbose=False)
    assert interrupted.calls == 30
    resumed, _ = run("tiny", data, checkpoints=tmp_path, verbose=False)
    assert same(resumed.networks[0], whole.networks[0])


def test_fresh_trains_again(tiny, data, tmp_path):
    other = {**data, "X_train": data["X_train"] ^ 1}
    run("tiny", data, checkpoints=tmp_path, verbose=False)
    run("tiny", data, seed=1, checkpoints=tmp_path, verbose=False)
    written = (tmp_path / "tiny-1.npz").stat().st_mtime_ns
    fresh, _ = run("tiny", other, checkpoints=tmp_path, fresh=True, verbose=False)
    again, _ = run("tiny", other, checkpoints=tmp_path / "new", verbose=False)
    assert same(fresh.networks[0], again.networks[0])
    assert (tmp_path / "tiny-1.npz").stat().st_mtime_ns == written


def test_one_run_at_a_time_trains_a_network(tiny, data, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "LOCK_TIMEOUT", 0.1)
    with (
        workers.locked("another", tmp_path / "tiny-3.npz"),
        pytest.raises(ValueError, match=f"run: another process .* tiny-3.npz in .* {tmp_path}$"),
    ):
        run("tiny", data, seed=3, checkpoints=tmp_path, fresh=True, verbose=False)
    with workers.locked("another", tmp_path / "tiny-3.npz"):
        run("tiny", data, seed=2, checkpoints=tmp_path, verbose=False)
    run("tiny", data, seed=3, checkpoints=tmp_path, verbose=False)


def test_command_measures_and_writes_what_it_trained(
    tiny, folder, data, tmp_path, monkeypatch, capsys
):
    out, record = tmp_path / "out.csv", tmp_path / "record.csv"
    arguments = ["--data", folder, "--out", out, "--checkpoints", tmp_path, "--record", record]
    for name, seed in (("quick", 0), ("tiny", 2), ("tiny", 3)):
        command = ["recipes.py", name, "--seed", seed, *arguments]
        monkeypatch.setattr(sys, "argv", [str(word) for word in command])
        recipes.main()
    model, _ = run("tiny", data, seed=3, checkpoints=tmp_path, verbose=False)
    predictions = model.predict(data["X_test"])
    assert np.array_equal(read_submission(out, 50), predictions)
    printed = capsys.readouterr().out
    test_error = np.mean(predictions != data["y_test"])
    assert f"test error {test_error:.2%} of 50" in printed
    val_error = np.mean(model.predict(data["X_val"]) != data["y_val"])
    assert f"tiny: validation error {val_error:.2%}" in printed
    assert "tiny, seed 3: validation accuracy" in printed
    runs = pd.read_csv(record)
    assert runs[["recipe", "seed"]].to_numpy().tolist() == [["quick", 0], ["tiny", 2], ["tiny", 3]]
    assert runs["test error"][2] == test_error
    table = summary(record)
    assert table["recipe"].tolist() == ["tiny", "quick"]
    assert table["seeds"].tolist() == [2, 1]
    assert table["test error"][0] == pytest.approx(runs["test error"][1:].mean())
    assert table["worst"][0] == runs["test error"][1:].max()
    assert table["validation error"][0] == pytest.approx(runs["validation error"][1:].mean())
    assert (table["minutes"] >= 0).all()
    assert table["TFLOP"].tolist() == sorted(table["TFLOP"])


# The command, with a recipe that takes its time, so that a signal meets it in the middle.
SLOW = """
import time
from leaderboard import recipes

def slow(X, rng):
    time.sleep(0.1)
    return X

recipes.RECIPES["quick"] = [recipes.QUICK._replace(transform=slow)]
recipes.main()
"""


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_killed_command_leaves_nobody_behind_and_resumes_at_once(folder, tmp_path):
    command = [sys.executable, "-c", SLOW.replace("transform=slow)]", "transform=slow)] * 2")]
    command += ["quick", "--data", str(folder), "--checkpoints", str(tmp_path)]
    command += ["--out", str(tmp_path / "out.csv")]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    child = subprocess.Popen(command, **options)
    wait_for(tmp_path / "quick-0.npz")
    child.kill()
    again = subprocess.Popen(command, **options)
    child.communicate(timeout=20)  # returns when the last process that can print has ended
    out, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert "quick: validation error" in out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_command_killed_at_random_moments(folder, tmp_path, capsys):
    rng, kills, runs, expected = random.Random(0), 0, 0, None
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    while kills < 20:
        place = tmp_path / str(runs)
        command = [sys.executable, "-c", SLOW.replace("transform=slow)]", "transform=slow)] * 2")]
        command += ["quick", "--data", str(folder), "--checkpoints", str(place)]
        command += ["--out", str(tmp_path / f"{runs}.csv")]
        while True:
            child = subprocess.Popen(command, **options)
            try:
                # The first run is left alone: it says what the others must come to.
                _, errors = child.communicate(timeout=rng.uniform(0.5, 3) if runs else 120)
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate(timeout=20)
                kills += 1
        assert child.returncode == 0, errors
        written = (tmp_path / f"{runs}.csv").read_bytes()
        expected = expected or written
        assert written == expected
        assert not list(place.glob("*.tmp"))
        runs += 1
    with capsys.disabled():
        print(f"\n{kills} kills of {runs - 1} runs")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_command_stopped_by_ctrl_c_goes_on(folder, tmp_path):
    command = [sys.executable, "-c", SLOW, "quick", "--data", str(folder)]
    command += ["--checkpoints", str(tmp_path), "--out", str(tmp_path / "out.csv")]
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    child = subprocess.Popen(command, **options)
    wait_for(tmp_path / "quick-0.npz")
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert errors.rstrip().endswith("resumes from the last checkpoint.")
    assert not (tmp_path / "out.csv").exists()
    done = subprocess.run(command, check=True, **options)
    assert "quick: validation error" in done.stdout
    assert len(read_submission(tmp_path / "out.csv")) == 50


def test_readme_says_what_was_measured():
    lines = (ROOT / "leaderboard/README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines]
    rows = [row for row in rows if len(row) == 10 and row[0].partition(" ")[0] in RECIPES]
    said = {row[0]: row[-6:] for row in rows}
    for row in summary().to_dict("records"):
        percentages = [f"{row[name]:.2%}" for name in ("validation error", "test error", "worst")]
        percentages = ["" if number == "nan%" else number for number in percentages]
        amounts = [f"{row[name]:.1f}" for name in ("TFLOP", "minutes")]
        expected = [str(row["seeds"]), *percentages, *amounts]
        assert said.pop(row["recipe"]) == expected
    assert not said


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["recipes.py", "tiny", *map(str, arguments)])
    recipes.main()


def test_header_and_home_folder(tiny, folder, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    paths = ["--data", "~/data", "--out", "~/o.csv", "--checkpoints", "~/c", "--record", "~/r.csv"]
    (tmp_path / "data").symlink_to(folder)
    for header in ("ImageId,Label", "Id,Category"):
        command(monkeypatch, "--header", header, *paths)
        assert (tmp_path / "o.csv").read_text().splitlines()[0] == header
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "data", "o.csv", "r.csv"]
    assert len(pd.read_csv(tmp_path / "r.csv")) == 2
    command(monkeypatch, *paths)
    assert (tmp_path / "o.csv").read_text().startswith("Id,Category\n")


@pytest.mark.parametrize(
    ("option", "path", "message"),
    [
        ("--out", "missing/out.csv", "missing/out.csv cannot be written: No such file"),
        ("--out", ".", "cannot be written: Is a directory"),
        ("--out", "file/out.csv", "cannot be written: Not a directory"),
        ("--out", "a\0b", "must be a path"),
        ("--record", "missing/record.csv", "cannot be written: No such file"),
        ("--record", "file", "file is no record of runs, recipe, seed, validation error, test"),
        ("--record", "empty", "empty is no record of runs"),
        ("--header", "id,label", "invalid choice: 'id,label'"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_training(
    option, path, message, tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a,b\n1,2\n")
    (tmp_path / "empty").touch()
    with pytest.raises(SystemExit):
        command(monkeypatch, option, path)
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file"]
    assert (tmp_path / "file").read_text() == "a,b\n1,2\n"


def test_full_disk_is_found_before_the_training(tiny, tmp_path, monkeypatch, capsys):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (tmp_path / "out.csv").write_text("old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may become longer
    try:
        with pytest.raises(SystemExit):
            command(monkeypatch, "--out", tmp_path / "out.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out.csv cannot be written: File too large" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "old"


HEADER = ",".join(MEASURED)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b\n1,2\n",
        f"{HEADER}\nquick,0,x,y,z,1\n",
        f"{HEADER}\nquick,0,1,1,1\n",
        f"{HEADER}\nquick,0,,1,1,1\n",
        f"{HEADER}\nquick --all-images,0,,1,,1\n",
        f"{HEADER}\n,0,,1,1,1\n",
        f"{HEADER}\nquick,0,1,1,1,1\nquick,0,1,1,1,1,1,1\n",
        f'{HEADER}\n"quick,0,1,1,1,1\n',
        "\0\1\xff\xfe" * 50,
    ],
)
def test_summary_names_a_file_that_is_no_record(content, tmp_path):
    (tmp_path / "runs.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"runs\.csv is no record of runs, recipe, seed, "):
        summary(tmp_path / "runs.csv")


def test_summary_of_no_runs_and_of_no_path(tmp_path):
    (tmp_path / "runs.csv").write_text(f"{HEADER}\n")
    assert list(summary(tmp_path / "runs.csv").columns) == list(summary().columns)
    with pytest.raises(TypeError, match="summary: path must be a path, got int"):
        summary(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"name": []},
            ValueError,
            r"run: name must be that of a recipe; recipes are quick, .*, got \[\]",
        ),
        ({"data": {}}, ValueError, "run: data lacks X_train"),
        ({"data": None}, TypeError, "run: data must be a dict"),
        ({"seed": "a"}, TypeError, "run: seed must be an integer, got 'a'"),
        ({"workers": "a"}, TypeError, "run: workers must be an integer, got 'a'"),
        ({"workers": 0}, ValueError, "run: workers must be at least 1, got 0"),
        ({"checkpoints": 3}, TypeError, "run: checkpoints must be a path, got int"),
        ({"checkpoints": __file__}, ValueError, "run: checkpoints must be a folder: .*exists"),
    ],
)
def test_bad_arguments_name_themselves(arguments, error, message, tiny, data, tmp_path):
    options = {"name": "tiny", "data": data, "checkpoints": tmp_path, **arguments}
    with pytest.raises(error, match=message):
        run(**options)


def test_bad_arguments(tiny, data, tmp_path):
    with pytest.raises(ValueError, match=r"recipes are quick, .*, got 'deeper'"):
        run("deeper", data, checkpoints=tmp_path)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        run("tiny", data, seed=-1, checkpoints=tmp_path)
    run("tiny", data, checkpoints=tmp_path, verbose=False)
    other = {**data, "X_train": data["X_train"] ^ 1}
    with pytest.raises(ValueError, match="is of other data"):
        run("tiny", other, checkpoints=tmp_path, verbose=False)


def test_ensemble_takes_the_mean_of_the_scores(rng):
    nets = [FullyConnectedNet(6, [4], 3, seed=seed) for seed in range(3)]
    X = rng.standard_normal((50, 6)).astype(np.float32)
    scores = np.mean([net.loss(X) for net in nets], axis=0)
    ensemble = Ensemble(nets)
    np.testing.assert_allclose(ensemble.loss(X), scores, rtol=1e-6, atol=1e-6)
    assert ensemble.loss(X).dtype == np.float32
    assert np.array_equal(ensemble.predict(X, batch_size=7), scores.argmax(axis=1))
    nets[1].params["W1"][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"Ensemble\.predict: scores of X\[0:50\] are not finite"):
        ensemble.predict(X)
    with pytest.raises(ValueError, match="at least one"):
        Ensemble([])


NET = FullyConnectedNet(6, [4], 3, seed=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([NET], TypeError, "networks must be a sequence of networks, got FullyConnectedNet"),
        ([[NET, 3]], TypeError, r"networks\[1\] must have a loss, got int"),
        ([[NET], len], TypeError, "preprocess must be a sequence of functions, got builtin"),
        ([[NET], [3]], TypeError, r"preprocess\[0\] must be a function or None, got int"),
        ([[NET], []], ValueError, "a preprocess or None for each, got 1 and 0"),
    ],
)
def test_bad_ensemble(arguments, error, message):
    with pytest.raises(error, match=f"Ensemble: .*{message}"):
        Ensemble(*arguments)


@pytest.mark.parametrize("num_classes", [1, 5])  # of which the first would broadcast
def test_networks_that_disagree_on_the_classes(num_classes, rng):
    ensemble = Ensemble([NET, FullyConnectedNet(6, [4], num_classes, seed=0)])
    with pytest.raises(ValueError, match=r"one shape, \(N, C\), got \(2, .\) and \(2, "):
        ensemble.predict(rng.standard_normal((2, 6)))
