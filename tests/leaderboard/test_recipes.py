"""Recipes and trials: each can be trained, measures what it says, and ends in predictions."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import interrupted_after

from conv_net import Conv, ConvNet
from data_utils import load_mnist, read_submission
from fc_net import FC, FullyConnectedNet
from layers import softmax_loss
from leaderboard import recipes, trials
from leaderboard.augment import deskew, distort
from leaderboard.ensemble import Ensemble
from leaderboard.recipes import RECIPES, UPRIGHT, summary
from leaderboard.record import RUN_COLUMNS, TRIAL_COLUMNS, add_rows, read_rows
from leaderboard.training import Training, flop, make_solver, predictor, settings_of, variant
from leaderboard.trials import held_out, run_trial
from support import process

run = partial(recipes.run, verbose=False)
ROOT = Path(__file__).parent.parent.parent
NETS = [FullyConnectedNet(784, [4], 3, seed=seed) for seed in range(3)]
STRENGTHS = dict.fromkeys(("rotation", "scale", "shear", "shift", "elastic"), 0.5)
SETTINGS = {
    **{"hidden_dim": [7, 6], "num_filters": (2, (3, 4)), "filter_size": 5, "dropout": 0.25},
    **{"reg": 1e-3, "weight_scale": "lecun", "normalization": "batchnorm", "grid": 5, **STRENGTHS},
    **{"num_epochs": 2, "learning_rate": 0.3, "batch_size": 17, "adversarial": 0.5},
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of data like MNIST's: 10 images that are easy to tell apart, with noise."""
    rng, y, folder = np.random.default_rng(0), np.arange(450) % 10, tmp_path_factory.mktemp("data")
    prototypes, noise = rng.integers(0, 200, (10, 28, 28)), rng.integers(0, 56, (450, 28, 28))
    X = (prototypes[y] + noise).astype(np.uint8)
    np.savez(folder / "mnist.npz", x_train=X[:400], y_train=y[:400], x_test=X[400:], y_test=y[400:])
    return folder


@pytest.fixture
def data(folder):
    return load_mnist(folder, verbose=False)


@pytest.fixture
def tiny(monkeypatch):
    """The recipes tiny and three; a trial holds out the last 50 images."""
    network = partial(FullyConnectedNet, 784, hidden_dim=[20])
    training = Training("tiny", network, num_epochs=3, batch_size=20)
    monkeypatch.setattr(trials, "HELD_OUT", 50)
    monkeypatch.setitem(RECIPES, "tiny", [training])
    monkeypatch.setitem(RECIPES, "three", [training] * 3)
    return training


@pytest.fixture
def command(tiny, folder, tmp_path, monkeypatch):
    """Run the command with these words, in tmp_path."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["recipes.py", *map(str, words), "--data", str(folder)])
        recipes.main()

    monkeypatch.chdir(tmp_path)
    return run


def same(net, other):
    return all(np.array_equal(net.params[name], other.params[name]) for name in net.params)


def negative(X):
    return 255 - X


@pytest.mark.parametrize("training", {t.name: t for ts in RECIPES.values() for t in ts}.values())
def test_every_network_of_a_recipe_learns(training, data):
    solver = make_solver(training, data, 0)
    X, y = data["X_train"][:64], data["y_train"][:64]
    X = training.preprocess(X) if training.preprocess else X
    loss, grads = solver.model.loss(solver.transform(X, np.random.default_rng(0)), y)
    assert 1 < loss < 10
    assert {name for name, grad in grads.items() if grad.any()} == solver.model.params.keys()


def test_networks_of_a_recipe_have_seeds_of_their_own(tiny, data, tmp_path):
    three, table = run("three", data, seed=4, checkpoints=tmp_path / "a", workers=2)
    assert len(three.networks) == len(table) == 3
    for i, net in enumerate(three.networks):
        single, row = run("tiny", data, seed=4 + i, checkpoints=tmp_path / "b")
        assert same(single.networks[0], net)
        accuracy = np.mean(net.predict(data["X_val"]) == data["y_val"])
        assert [*table.iloc[i, :3]] == [*row.iloc[0, :3]] == ["tiny", 4 + i, accuracy]
    assert not same(*three.networks[:2])
    assert np.mean(three.predict(data["X_val"]) == data["y_val"]) > 0.9


def test_preprocessed_images_are_trained_on_and_predicted(tiny, data, tmp_path, monkeypatch):
    negatives = {name: negative(x) if name[0] == "X" else x for name, x in data.items()}
    other, _ = run("tiny", negatives, checkpoints=tmp_path / "b")
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(preprocess=negative)])
    model, _ = run("tiny", data, checkpoints=tmp_path / "a")
    assert same(model.networks[0], other.networks[0])
    np.testing.assert_array_equal(model.loss(data["X_test"]), other.loss(negatives["X_test"]))


def test_undistorted_leaves_out_what_was_made_for_digits(tiny, data, tmp_path, monkeypatch):
    plain, _ = run("tiny", data, checkpoints=tmp_path)
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(**UPRIGHT)])
    undistorted, table = run("tiny", data, undistorted=True, checkpoints=tmp_path)
    assert len(undistorted.networks) == 1  # and one view
    np.testing.assert_array_equal(undistorted.loss(data["X_test"]), plain.loss(data["X_test"]))
    assert table["network"].tolist() == ["tiny-undistorted"]


def test_on_all_images_the_last_epoch_counts(command, tiny, data, tmp_path):
    command("tiny", "--record", "r.csv")
    command("tiny", "--all-images", "--record", "r.csv")
    runs = summary(tmp_path / "r.csv").set_index("recipe")
    assert runs["validation error"].isna().to_dict() == {"tiny": False, "tiny --all-images": True}
    data |= {"X_val": data["X_val"][:0], "y_val": data["y_val"][:0]}
    model, table = run("tiny", data, checkpoints=tmp_path / "a")
    solver = make_solver(tiny, data, 0)
    solver.train()
    assert np.array_equal(model.networks[0].params["W1"], solver.last_params["W1"])
    assert table["network"].tolist() == ["tiny-all-images"]


def test_flop(tiny):
    X = np.zeros((7, 1, 28, 28), np.uint8)
    # Forward, dw, and dx where it is needed: not in the first layer, but for adversarial images.
    first, others = 784 * 20, 20 * 10
    assert flop(tiny, X) == 2 * 7 * 3 * (2 * first + 3 * others)
    assert flop(tiny._replace(adversarial=1.0), X) == 2 * 7 * 3 * (5 * first + 6 * others)
    network = partial(ConvNet, num_filters=(4, (5, 6)), filter_size=3, hidden_dim=[8], dropout=0.5)
    first = 28 * 28 * 9 * 4
    others = 14 * 14 * 9 * (4 * 5 + 5 * 6) + 7 * 7 * 6 * 8 + 8 * 10
    assert flop(Training("conv", network, 1), X) == 2 * 7 * (2 * first + 3 * others)


def test_distorted_images_can_be_made_adversarial(tiny, data):
    training = tiny._replace(transform=lambda X, rng: X // 2, adversarial=0.5)
    X = data["X_train"][:5]
    out = make_solver(training, data, 0).transform(X, np.random.default_rng(0))
    distance = np.sqrt(((out - (X // 2) / np.float32(255)) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(distance, 0.5, rtol=1e-4)


def test_a_prediction_is_a_mean_over_shifted_views(rng):
    trainings = [Training("a", None, 1, preprocess=negative, shifted=True)] * 2
    model = predictor([*trainings, Training("b", None, 1)], NETS)
    X = np.zeros((5, 1, 28, 28), np.uint8)
    X[:, :, 2:-2, 2:-2] = rng.integers(0, 256, (5, 1, 24, 24))
    inside = np.pad(negative(X), ((0, 0), (0, 0), (1, 1), (1, 1)))
    scores = [NETS[2].loss(X)]
    for rows, columns in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        moved = inside[:, :, 1 - rows : 29 - rows, 1 - columns : 29 - columns]
        scores += [net.loss(moved) for net in NETS[:2]]
    np.testing.assert_allclose(model.loss(X), np.mean(scores, axis=0), rtol=1e-5, atol=1e-6)
    assert len(set(model.preprocess)) == 6  # two networks share five


def test_finished_networks_are_not_trained_again_unless_fresh(tiny, data, tmp_path):
    train = partial(run, checkpoints=tmp_path)
    first, row = train("tiny", data, seed=1)
    again, table = train("three", data, seed=0)
    assert same(first.networks[0], again.networks[1])
    assert table["seconds"][1] == row["seconds"][0]
    other = {**data, "X_train": data["X_train"] ^ 1}
    with pytest.raises(ValueError, match="tiny-0"):
        train("tiny", other)
    fresh, _ = train("tiny", other, fresh=True)
    assert same(fresh.networks[0], train("tiny", other)[0].networks[0])
    assert not same(fresh.networks[0], again.networks[0])
    assert train("tiny", data, seed=1)[1]["seconds"][0] == row["seconds"][0]


def test_one_run_at_a_time_trains_a_network(tiny, data, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOCK_TIMEOUT", 0.1)
    with process.locked("another", tmp_path / "tiny-3.npz"):
        run("tiny", data, seed=2, checkpoints=tmp_path)
        with pytest.raises(ValueError, match="tiny-3"):
            run("tiny", data, seed=3, checkpoints=tmp_path, fresh=True)
    run("tiny", data, seed=3, checkpoints=tmp_path)


def test_command_measures_and_writes_what_it_trained(command, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    for name, seed in (("quick", 0), ("three", 2), ("three", 3)):
        record = "--record", "~/r.csv", "--curve", "curve.png"
        command(name, "--seed", seed, *record, "--header", "ImageId,Label")
    model, _ = run("three", data, seed=3)
    predictions = model.predict(data["X_test"])
    assert np.array_equal(read_submission("submission.csv", 50), predictions)
    assert Path("checkpoints/tiny-4.npz").exists()  # also from workers that began elsewhere
    assert Path("submission.csv").read_text().startswith("ImageId,Label")
    runs, table = pd.read_csv("r.csv"), summary("r.csv")
    assert runs.to_numpy()[:, :2].tolist() == [["quick", 0], ["three", 2], ["three", 3]]
    assert runs["test error"][2] == np.mean(predictions != data["y_test"])
    error = np.mean(model.predict(data["X_val"]) != data["y_val"])
    assert runs["validation error"][2] == round(error, 6)
    printed = capsys.readouterr().out
    assert f"validation error {runs['validation error'][2]}" in printed
    curve = model.error_by_number(data["X_test"], data["y_test"])
    assert curve.to_string(index=False) in printed
    assert curve["error"].iloc[-1] == runs["test error"][2]
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")
    assert table[["recipe", "seeds"]].to_numpy().tolist() == [["three", 2], ["quick", 1]]
    add_rows("~/r.csv", RUN_COLUMNS, runs.iloc[0])  # measured twice, it counts once
    assert summary("r.csv").equals(table)
    for name in ("validation error", "test error", "TFLOP", "minutes"):
        assert table[name][0] == pytest.approx(runs[name][1:].mean())
    assert table["std"][0] == pytest.approx(np.std(runs["test error"][1:], ddof=1))


def test_command_with_other_settings(command, data, tmp_path):
    command("tiny", "--set", "hidden_dim=[7,6]", "--set", "num_epochs=2", "--record", "r.csv")
    command("tiny")  # with a checkpoint of its own
    model, table = run("tiny", data, settings={"hidden_dim": [7, 6], "num_epochs": 2})
    assert model.networks[0].params["W2"].shape == (7, 6)
    assert table["network"].tolist() == ["tiny-hidden_dim=[7, 6]-num_epochs=2"]
    recipe = "tiny --set hidden_dim=[7, 6] --set num_epochs=2"
    assert summary(tmp_path / "r.csv")["recipe"].tolist() == [recipe]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_stopped_command_goes_on(command, tiny, data, tmp_path, monkeypatch, foreground):
    monkeypatch.setitem(RECIPES, "tiny", [tiny._replace(transform=interrupted_after(30))])
    with pytest.raises(SystemExit, match="resumes"):  # in the second of three epochs
        command("tiny")
    assert not Path("submission.csv").exists()
    command("tiny")
    assert len(read_submission("submission.csv")) == 50
    stopped, _ = run("tiny", data)
    whole, _ = run("tiny", data, checkpoints=tmp_path / "whole")
    assert same(stopped.networks[0], whole.networks[0])


# A script without a main guard, whose recipe takes its time, so that a signal meets it within.
SLOW = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from leaderboard import recipes

def slow(X, rng):
    time.sleep(0.1)
    return X

recipes.RECIPES["quick"] = [recipes.QUICK._replace(transform=slow, num_epochs=5)] * 2
recipes.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_killed_command_leaves_nobody_behind_and_resumes_at_once(folder, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "slow.py", "quick", "--data", folder]
    options = {"cwd": tmp_path, "text": True}
    options |= dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    child = subprocess.Popen(command, **options)
    while not (tmp_path / "checkpoints/quick-0.npz").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    again = subprocess.Popen(command, **options)
    child.communicate(timeout=20)  # returns when the last process that can print has ended
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert len(read_submission(tmp_path / "submission.csv")) == 50


def test_readme_says_what_was_measured():
    lines = (ROOT / "leaderboard/README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")] for line in lines]
    said = {row[1]: row[-7:-1] for row in rows if row[1:] and row[1].split(" ")[0] in RECIPES}
    measured = summary().set_index("recipe")
    for name in ("validation error", "test error", "std"):
        measured[name] = measured[name].map("{:.2%}".format).replace("nan%", "")
    for name in ("TFLOP", "minutes"):
        measured[name] = measured[name].map("{:.1f}".format)
    assert said == {recipe: [*map(str, row)] for recipe, row in measured.T.items()}


def test_bad_arguments_are_named(tiny, data, tmp_path):
    good = {"name": "tiny", "data": data, "checkpoints": tmp_path}
    wrong = {"name": "deeper", "data": {}, "seed": -1, "workers": 0, "checkpoints": __file__}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"^run: {name}"):
            run(**{**good, name: value})
    for name, value in {"hidden_dim": "a", "deskew": "false"}.items():
        with pytest.raises(TypeError, match=name):
            run(**{**good, "settings": {name: value}})


def test_ensemble_takes_the_mean_of_the_scores(rng):
    X = rng.random((50, 784), dtype=np.float32)
    scores = np.mean([net.loss(X) for net in NETS], axis=0)
    np.testing.assert_allclose(Ensemble(NETS).loss(X), scores, rtol=1e-6, atol=1e-6)
    assert np.array_equal(Ensemble(NETS).predict(X, batch_size=7), scores.argmax(axis=1))
    with pytest.raises(ValueError, match="not finite"):
        Ensemble(NETS).predict(X + np.nan)
    with pytest.raises(ValueError, match="shape"):  # one class, which would broadcast
        Ensemble([*NETS, FullyConnectedNet(784, [], 1)]).predict(X)
    for wrong, name in (([], "networks"), ([3], "networks"), ([NETS[0]], "preprocess")):
        with pytest.raises((ValueError, TypeError), match=name):
            Ensemble(wrong, [3])


def test_error_by_number_of_networks(rng):
    X, y = rng.random((50, 784), dtype=np.float32), np.arange(50) % 3
    nets = [FullyConnectedNet(784, [4], 3, seed=seed) for seed in range(5)]
    views = [None, np.negative]
    model = Ensemble(np.repeat(nets, 2), views * 5)

    def error(*members):
        chosen = Ensemble(np.repeat(members, 2), views * len(members))
        return np.mean(chosen.predict(X) != y)

    table = model.error_by_number(X, y, batch_size=7)
    assert table["networks"].tolist() == [1, 2, 4, 5]
    assert table["subsets"].tolist() == [5, 10, 5, 1]
    pairs = [error(a, b) for i, a in enumerate(nets) for b in nets[:i]]
    expected = {0: [error(net) for net in nets], 1: pairs, 3: [error(*nets)]}
    for row, errors in expected.items():
        mean_and_std = np.mean(errors), np.std(errors)
        assert [*table.loc[row, ["error", "std"]]] == pytest.approx(mean_and_std, abs=1e-12)


@pytest.mark.parametrize("training", [ts[0] for ts in RECIPES.values()])
def test_every_setting_of_a_recipe_can_be_changed(training):
    before = settings_of(training)
    wanted = {**SETTINGS, "deskew": not before["deskew"], "shifted": not before["shifted"]}
    wanted = {name: value for name, value in wanted.items() if name in before}
    changed = variant(training, wanted)
    assert {name: settings_of(changed)[name] for name in wanted} == wanted
    assert settings_of(training) == before
    net = changed.network(seed=0)
    assert (net.reg, net.weight_scale, FC(6) in net.layers) == (1e-3, "lecun", True)
    assert ("num_filters" in before) == (Conv(2, 5) in net.layers)
    if training.transform:
        X = np.random.default_rng(0).random((3, 1, 28, 28))
        expected = distort(X, np.random.default_rng(1), grid=5, **STRENGTHS)
        np.testing.assert_array_equal(changed.transform(X, np.random.default_rng(1)), expected)


def test_a_trial_measures_its_last_epochs_on_the_last_training_images(tiny, folder, monkeypatch):
    training = tiny._replace(num_epochs=5, transform=distort, preprocess=deskew)
    stored = np.load(folder / "mnist.npz")
    X, y = deskew(stored["x_train"].reshape(-1, 1, 28, 28)), stored["y_train"]
    upright = {"X_train": X[:350], "y_train": y[:350], "X_val": X[350:], "y_val": y[350:]}
    measured = []

    def measure(model):
        scores = model.loss(X[350:])
        error = np.mean(scores.argmax(axis=1) != y[350:])
        measured.append((error, softmax_loss(scores, y[350:])[0]))

    solver = make_solver(training, upright, 3, after_epoch=lambda solver: measure(solver.model))
    solver.train()
    solver.model.params.update(solver.last_params)
    measure(predictor([tiny._replace(shifted=True)], [solver.model]))
    row = run_trial(training, held_out(folder), seed=3, verbose=False)
    assert row["TFLOP"] == round(flop(training, X[:350]) / 1e12, 2)
    expected = *np.mean(measured[2:5], axis=0), *measured[5]
    names = "error", "cross-entropy", "shifted error", "shifted cross-entropy"
    assert [row[name] for name in names] == pytest.approx(expected, abs=1e-6)
    row = run_trial(tiny._replace(learning_rate=1e30), held_out(folder), verbose=False)
    assert np.isnan(row["error"])  # as it diverges
    monkeypatch.setattr(trials, "HELD_OUT", 400)  # as many as there are
    with pytest.raises(ValueError, match="data_dir"):
        held_out(folder)


def test_command_adds_trials_to_a_file(command, tmp_path, capsys):
    trial = "tiny", "--held-out", "--record", "trials.csv", "--set", "num_epochs=1"
    command(*trial, "--set", "hidden_dim=[5]", "--seed", 2, "--note", "None")
    command(*trial, "--set", "normalization=layernorm", "--note", "")
    command(*trial, "--set", "activation=tanh", "--set", "shifted=True", "--note", "5")
    trials = read_rows(tmp_path / "trials.csv", TRIAL_COLUMNS).astype(object).fillna("")
    assert trials["seed"].tolist() == [2, 0, 0]
    assert trials["hidden_dim"].tolist() == ["[5]", "[20]", "[20]"]
    assert trials["normalization"].tolist() == ["", "layernorm", ""]
    # Settings that have no column are noted.
    assert trials["note"].tolist() == ["None", "", "activation=tanh; shifted=True; 5"]
    assert f"cross-entropy {trials['cross-entropy'][2]}" in capsys.readouterr().out
    assert not (tmp_path / "checkpoints").exists()


UNFIT = {  # words of a command: what is said of them
    "--held-out --set elastic=1": "elastic",
    "--held-out --set hidden_dim=[0": "hidden_dim",
    "--held-out --all-images": "--held-out",
    "--record other.csv": "other.csv",
    "--record missing/record.csv": "missing",
}


@pytest.mark.parametrize("words", UNFIT)
def test_what_does_not_fit_is_found_before_the_training(words, command, tmp_path, capsys):
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(SystemExit) as stopped:
        command("tiny", *words.split())
    assert UNFIT[words] in f"{stopped.value.code} {capsys.readouterr().err}"
    assert not list(tmp_path.glob("checkpoints/*.npz"))


def test_several_runs_begin_one_file(tmp_path, monkeypatch):
    path, to_csv = tmp_path / "runs.csv", pd.DataFrame.to_csv

    def slow_to_csv(*arguments, **options):  # so that others find the file empty
        time.sleep(0.01)
        return to_csv(*arguments, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", slow_to_csv)
    rows = [{"recipe": "a", "seed": i} for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(add_rows, path, RUN_COLUMNS), rows))
    path.write_text(path.read_text().rstrip("\n"))  # as an editor may leave it
    add_rows(path, RUN_COLUMNS, {"recipe": "b", "seed": 24})
    header, *lines = path.read_text().splitlines()
    assert header == ",".join(RUN_COLUMNS)
    assert sorted(lines) == sorted([*(f"a,{i},,,," for i in range(24)), "b,24,,,,"])
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"runs\.csv"):
        summary(path)
