"""Recipes: each can be trained, and a run ends in the predictions of what it trained."""

import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import interrupted_after, kill_at_random

from conv_net import ConvNet
from data_utils import load_mnist, read_submission
from fc_net import FullyConnectedNet
from leaderboard.augment import adversarial
from leaderboard.ensemble import Ensemble
from leaderboard.recipes import RECIPES, UPRIGHT, run, summary
from leaderboard.training import Training, flop, make_solver, predictor
from support import workers

ROOT = Path(__file__).parent.parent.parent


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
    calls = []

    def negative_once(X):
        calls.append(len(X))
        return negative(X)

    monkeypatch.setitem(RECIPES, "three", [tiny._replace(preprocess=negative_once)] * 2)
    model, table = run("three", data, workers=1, checkpoints=tmp_path / "a", verbose=False)
    assert calls == [len(data["X_train"]), len(data["X_val"])]  # networks share what is prepared
    accuracy = np.mean(model.networks[0].predict(negative(data["X_val"])) == data["y_val"])
    assert table["validation accuracy"][0] == accuracy
    monkeypatch.setitem(RECIPES, "three", [tiny] * 2)
    negatives = {**data, "X_train": negative(data["X_train"]), "X_val": negative(data["X_val"])}
    other, _ = run("three", negatives, workers=1, checkpoints=tmp_path / "b", verbose=False)
    assert same(model.networks[0], other.networks[0])
    np.testing.assert_array_equal(model.loss(data["X_test"]), other.loss(negative(data["X_test"])))


def test_undistorted_leaves_out_what_was_made_for_digits(tiny, data, tmp_path, monkeypatch):
    options = {"checkpoints": tmp_path, "verbose": False}
    plain, _ = run("tiny", data, **options)
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(**UPRIGHT)])
    with pytest.raises(ValueError, match=r"tiny-0\.npz"):  # of other settings
        run("tiny", data, **options)
    undistorted, table = run("tiny", data, undistorted=True, **options)
    assert len(undistorted.networks) == 1  # and one view
    np.testing.assert_array_equal(undistorted.loss(data["X_test"]), plain.loss(data["X_test"]))
    assert table["network"].tolist() == ["tiny-undistorted"]


def test_without_validation_images_the_last_epoch_counts(tiny, folder, tmp_path):
    data = load_mnist(folder, num_val=0, verbose=False)
    model, table = run("tiny", data, checkpoints=tmp_path, verbose=False)
    solver = make_solver(tiny, data, 0)
    solver.train()
    params = model.networks[0].params
    assert all(np.array_equal(params[name], w) for name, w in solver.last_params.items())
    assert len(solver.y_train) == 400
    assert table["network"].tolist() == ["tiny-all-images"]
    assert np.isnan(table["validation accuracy"][0])


def test_command_on_all_images(command, tmp_path, capsys):
    for seed in (0, 1):
        command("tiny", "--all-images", "--seed", seed, "--record", "r.csv")
    assert "tiny-all-images" in capsys.readouterr().out
    command("tiny", "--record", "r.csv")
    table = summary(tmp_path / "r.csv").set_index("recipe").loc[["tiny", "tiny --all-images"]]
    assert table["validation error"].isna().tolist() == [False, True]
    assert table["seeds"].tolist() == [1, 2]
    assert table["test error"].notna().all()


def test_flop(tiny):
    X = np.zeros((7, 1, 28, 28), np.uint8)
    # Forward, dw, and dx where it is needed: not in the first layer, but for adversarial images.
    first, others = 784 * 20, 20 * 10
    training = tiny._replace(num_epochs=3)
    assert flop(training, X) == 2 * 7 * 3 * (2 * first + 3 * others)
    training = training._replace(adversarial=1.0)
    assert flop(training, X) == 2 * 7 * 3 * (5 * first + 6 * others)
    network = partial(ConvNet, num_filters=(4, (5, 6)), filter_size=3, hidden_dim=[8], dropout=0.5)
    first = 28 * 28 * 9 * 4
    others = 14 * 14 * 9 * (4 * 5 + 5 * 6) + 7 * 7 * 6 * 8 + 8 * 10
    assert flop(Training("conv", network, 1), X) == 2 * 7 * (2 * first + 3 * others)


def test_distorted_images_can_be_made_adversarial(tiny, data):
    seen = []

    def darker(X, rng):
        seen.append(X)
        return X // 2

    solver = make_solver(tiny._replace(transform=darker, adversarial=0.5), data, 0)
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


def test_finished_networks_are_not_trained_again_unless_fresh(tiny, data, tmp_path):
    options = {"checkpoints": tmp_path, "verbose": False}
    first, row = run("tiny", data, seed=1, **options)
    written = (tmp_path / "tiny-1.npz").stat().st_mtime_ns
    again, table = run("three", data, seed=0, **options)
    assert same(first.networks[0], again.networks[1])
    assert table["seconds"][1] == row["seconds"][0]
    other = {**data, "X_train": data["X_train"] ^ 1}
    with pytest.raises(ValueError, match="tiny-0"):
        run("tiny", other, **options)
    fresh, _ = run("tiny", other, fresh=True, **options)
    new, _ = run("tiny", other, checkpoints=tmp_path / "new", verbose=False)
    assert same(fresh.networks[0], new.networks[0])
    assert (tmp_path / "tiny-1.npz").stat().st_mtime_ns == written


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_stopped_command_goes_on(command, tiny, data, tmp_path, monkeypatch, foreground):
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(transform=interrupted_after(30))])
    with pytest.raises(SystemExit, match="resumes"):  # in the second of three epochs
        command("tiny")
    assert not (tmp_path / "submission.csv").exists()
    command("tiny")
    assert len(read_submission(tmp_path / "submission.csv")) == 50
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(transform=interrupted_after(0))])
    stopped, _ = run("tiny", data, verbose=False)
    whole, _ = run("tiny", data, checkpoints=tmp_path / "whole", verbose=False)
    assert same(stopped.networks[0], whole.networks[0])


def test_one_run_at_a_time_trains_a_network(tiny, data, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "LOCK_TIMEOUT", 0.1)
    with (
        workers.locked("another", tmp_path / "tiny-3.npz"),
        pytest.raises(ValueError, match="tiny-3"),
    ):
        run("tiny", data, seed=3, checkpoints=tmp_path, fresh=True, verbose=False)
    with workers.locked("another", tmp_path / "tiny-3.npz"):
        run("tiny", data, seed=2, checkpoints=tmp_path, verbose=False)
    run("tiny", data, seed=3, checkpoints=tmp_path, verbose=False)


def test_command_measures_and_writes_what_it_trained(command, data, tmp_path, capsys):
    for name, seed in (("quick", 0), ("three", 2), ("three", 3)):
        command(name, "--seed", seed, "--record", "r.csv", "--out", "out.csv")
    model, _ = run("three", data, seed=3, verbose=False)
    predictions = model.predict(data["X_test"])
    assert np.array_equal(read_submission(tmp_path / "out.csv", 50), predictions)
    runs = pd.read_csv(tmp_path / "r.csv")
    assert runs["recipe"].tolist() == ["quick", "three", "three"]
    assert runs["seed"].tolist() == [0, 2, 3]
    assert runs["test error"][2] == np.mean(predictions != data["y_test"])
    error = np.mean(model.predict(data["X_val"]) != data["y_val"])
    assert runs["validation error"][2] == round(error, 6)
    assert f"validation error {runs['validation error'][2]}" in capsys.readouterr().out
    table = summary(tmp_path / "r.csv")
    assert table["recipe"].tolist() == ["three", "quick"]  # by TFLOP
    assert table["seeds"].tolist() == [2, 1]
    for name in ("validation error", "test error", "TFLOP", "minutes"):
        assert table[name][0] == pytest.approx(runs[name][1:].mean())
    assert table["worst"][0] == runs["test error"][1:].max()


def test_command_with_other_settings(command, data, tmp_path):
    settings = {"hidden_dim": [7, 6], "num_epochs": 2}
    command("tiny", "--set", "hidden_dim=[7,6]", "--set", "num_epochs=2", "--record", "r.csv")
    command("tiny")  # with a checkpoint of its own
    model, table = run("tiny", data, settings=settings, verbose=False)
    assert model.networks[0].params["W2"].shape == (7, 6)
    name = "tiny-hidden_dim=[7, 6]-num_epochs=2"
    assert table["network"].tolist() == [name]
    names = {path.stem for path in (tmp_path / "checkpoints").glob("*.npz")}
    assert names == {"tiny-0", f"{name}-0"}
    recipe = "tiny --set hidden_dim=[7, 6] --set num_epochs=2"
    assert summary(tmp_path / "r.csv")["recipe"].tolist() == [recipe]


# A script, which a process that imports it would run again.
SCRIPT = """
from leaderboard import recipes
from data_utils import load_mnist

recipes.RECIPES["two"] = [recipes.MINUTE._replace(num_epochs=1)] * 2
print(len(recipes.run("two", load_mnist({folder!r}), checkpoints={checkpoints!r})[1]), "networks")
"""


def test_run_in_a_script_without_a_main_guard(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(folder), checkpoints=str(tmp_path / "checkpoints")))
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, script], **options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 networks") == 1


# The command, with a recipe that takes its time, so that a signal meets it in the middle.
SLOW = """
import time
from leaderboard import recipes

def slow(X, rng):
    time.sleep(0.1)
    return X

recipes.RECIPES["quick"] = [recipes.QUICK._replace(transform=slow)] * 2
recipes.main()
"""


def slow_command(folder, place):
    """Return the command, which writes checkpoints to a folder, and a submission beside it."""
    options = ["--data", folder, "--checkpoints", place, "--out", place.with_suffix(".csv")]
    return [sys.executable, "-c", SLOW, "quick", *map(str, options)]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_killed_command_leaves_nobody_behind_and_resumes_at_once(folder, tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    child = subprocess.Popen(slow_command(folder, tmp_path / "a"), **pipes)
    deadline = time.monotonic() + 60
    while not (tmp_path / "a/quick-0.npz").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()
    again = subprocess.Popen(slow_command(folder, tmp_path / "a"), **pipes)
    child.communicate(timeout=20)  # returns when the last process that can print has ended
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert len(read_submission(tmp_path / "a.csv")) == 50


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_command_killed_at_random_moments(folder, tmp_path):
    kill_at_random(slow_command(folder, tmp_path / "whole"), None, None, cwd=ROOT)
    expected = (tmp_path / "whole.csv").read_bytes()
    rng, kills, runs = random.Random(0), 0, 0
    while kills < 20:
        place = tmp_path / str(runs)
        kills += len(kill_at_random(slow_command(folder, place), rng, 2.5, cwd=ROOT)) - 1
        assert place.with_suffix(".csv").read_bytes() == expected
        runs += 1


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


def test_header_and_home_folder(command, tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    paths = ["--out", "~/o.csv", "--checkpoints", "~/c", "--record", "~/r.csv"]
    for header in ("ImageId,Label", "Id,Category"):
        command("tiny", "--header", header, *paths)
        assert (tmp_path / "o.csv").read_text().splitlines()[0] == header
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".") == ["c", "o.csv", "r.csv"]
    assert len(pd.read_csv(tmp_path / "r.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "deeper"}, ValueError, "name"),
        ({"name": []}, ValueError, "name"),
        ({"data": {}}, ValueError, "X_train"),
        ({"data": None}, TypeError, "data"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": "a"}, TypeError, "seed"),
        ({"workers": "a"}, TypeError, "workers"),
        ({"workers": 0}, ValueError, "workers"),
        ({"checkpoints": 3}, TypeError, "checkpoints"),
        ({"checkpoints": __file__}, ValueError, "checkpoints"),
        ({"settings": {"elastic": 1.0}}, ValueError, "elastic"),
        ({"settings": {"hidden_dim": "a"}}, TypeError, "hidden_dim"),
    ],
)
def test_bad_arguments_name_themselves(arguments, error, message, tiny, data, tmp_path):
    options = {"name": "tiny", "data": data, "checkpoints": tmp_path, **arguments}
    with pytest.raises(error, match=message):
        run(**options)


def test_ensemble_takes_the_mean_of_the_scores(rng):
    nets = [FullyConnectedNet(6, [4], 3, seed=seed) for seed in range(3)]
    X = rng.standard_normal((50, 6)).astype(np.float32)
    scores = np.mean([net.loss(X) for net in nets], axis=0)
    ensemble = Ensemble(nets)
    np.testing.assert_allclose(ensemble.loss(X), scores, rtol=1e-6, atol=1e-6)
    assert ensemble.loss(X).dtype == np.float32
    assert np.array_equal(ensemble.predict(X, batch_size=7), scores.argmax(axis=1))
    nets[1].params["W1"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        ensemble.predict(X)


NET = FullyConnectedNet(6, [4], 3, seed=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([[]], ValueError, "networks"),
        ([[NET, 3]], TypeError, r"networks\[1\]"),
        ([[NET], [3]], TypeError, r"preprocess\[0\]"),
        ([[NET], []], ValueError, "preprocess"),
    ],
)
def test_bad_ensemble(arguments, error, message):
    with pytest.raises(error, match=message):
        Ensemble(*arguments)


@pytest.mark.parametrize("num_classes", [1, 5])  # of which the first would broadcast
def test_networks_that_disagree_on_the_classes(num_classes, rng):
    ensemble = Ensemble([NET, FullyConnectedNet(6, [4], num_classes, seed=0)])
    with pytest.raises(ValueError, match="shape"):
        ensemble.predict(rng.standard_normal((2, 6)))
