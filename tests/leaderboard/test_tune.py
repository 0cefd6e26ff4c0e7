"""Trials: variants of recipes, what is measured and on which images, what a search suggests."""

import ast
import os
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from conv_net import ConvNet
from fc_net import FullyConnectedNet
from layers import dropout_backward, softmax_loss
from leaderboard import tune
from leaderboard.augment import deskew, distort
from leaderboard.recipes import RECIPES, Training, flop, make_solver
from leaderboard.training import predictor
from leaderboard.tune import COLUMNS, SPACE, read_trials, run_trial, settings_of, suggest, variant

NETWORK = partial(FullyConnectedNet, 784, hidden_dim=[20])
TINY = Training("tiny", NETWORK, num_epochs=5, batch_size=20, transform=distort)


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """A folder of data like MNIST's, of which a trial holds back the last 50 images."""
    monkeypatch.setattr(tune, "HELD_OUT", 50)
    monkeypatch.setitem(RECIPES, "tiny", [TINY])
    prototypes, labels = rng.integers(0, 200, (10, 28, 28)), rng.integers(0, 10, 250)
    images = prototypes[labels] + rng.integers(0, 56, (250, 28, 28))
    parts = {"x_train": images[:200], "x_test": images[200:]}
    parts |= {"y_train": labels[:200], "y_test": labels[200:]}
    np.savez(tmp_path / "mnist.npz", **parts)
    return tmp_path


@pytest.mark.parametrize("training", [ts[0] for ts in RECIPES.values()])
def test_every_setting_of_a_recipe_can_be_changed(training):
    settings = settings_of(training)
    wanted = {"hidden_dim": [7, 6], "num_filters": (2, (3, 4)), "dropout": 0.25, "reg": 1e-3}
    wanted["normalization"] = "batchnorm"
    wanted |= dict.fromkeys(tune.DISTORTION, 0.5)
    wanted |= {
        "deskew": not settings["deskew"],
        "num_epochs": 2,
        "learning_rate": 0.3,
        "batch_size": 17,
        "adversarial": 0.5,
    }
    wanted = {name: value for name, value in wanted.items() if name in settings}
    changed = variant(training, wanted)
    assert settings_of(changed) == wanted
    assert settings_of(training) == settings
    assert changed.preprocess is (deskew if wanted["deskew"] else None)
    net = changed.network(seed=0)
    assert net.reg == 1e-3
    assert sum(layer.backward is dropout_backward for layer in net.layers) == 2
    assert "gamma2" in net.params
    shapes = [w.shape for name, w in net.params.items() if name.startswith("W")]
    assert shapes[-3:] == [(shapes[-3][0], 7), (7, 6), (6, 10)]
    if isinstance(net, ConvNet):
        assert [shape[0] for shape in shapes[:3]] == [2, 3, 4]
    if training.transform:
        X = np.random.default_rng(0).random((3, 1, 28, 28))
        strengths = dict.fromkeys(tune.DISTORTION, 0.5)
        out = changed.transform(X, np.random.default_rng(1))
        assert np.array_equal(out, distort(X, np.random.default_rng(1), **strengths))


def test_setting_that_a_recipe_does_not_have():
    with pytest.raises(ValueError, match=r"name must be a setting of plain.*, got 'elastic'"):
        variant(RECIPES["plain"][0], {"elastic": 1.0})


def test_the_last_training_images_are_held_back(folder):
    data = tune.held_out(folder)
    stored = np.load(folder / "mnist.npz")
    images = stored["x_train"].reshape(-1, 1, 28, 28)
    assert data.keys() == {"X_train", "y_train", "X_val", "y_val"}
    np.testing.assert_array_equal(data["X_train"], images[:150])
    np.testing.assert_array_equal(data["X_val"], images[150:])
    np.testing.assert_array_equal(data["y_val"], stored["y_train"][150:])


def test_a_trial_measures_its_last_epochs(folder):
    data = tune.held_out(folder)
    losses = []

    def measure(solver):
        losses.append(softmax_loss(solver.model.loss(data["X_val"]), data["y_val"])[0])

    solver = make_solver(TINY, data, 3, after_epoch=measure)
    solver.train()
    row = run_trial(TINY, data, seed=3, verbose=False)
    assert tuple(row) == COLUMNS
    assert row["error"] == pytest.approx(1 - np.mean(solver.val_acc_history[-3:]), abs=1e-6)
    assert row["cross-entropy"] == pytest.approx(np.mean(losses[-3:]), abs=1e-6)
    views = predictor([TINY._replace(shifted=True)], [solver.model])
    solver.model.params.update(solver.last_params)
    loss = softmax_loss(views.loss(data["X_val"]), data["y_val"])[0]
    assert row["shifted cross-entropy"] == pytest.approx(loss, abs=1e-6)
    error = np.mean(views.predict(data["X_val"]) != data["y_val"])
    assert row["shifted error"] == pytest.approx(error, abs=1e-6)
    assert row["TFLOP"] == round(flop(TINY, data["X_train"]) / 1e12, 2)


def test_a_trial_that_diverges_has_no_error(folder):
    data = tune.held_out(folder)
    row = run_trial(TINY._replace(learning_rate=1e30), data, verbose=False)
    assert np.isnan(row["error"])
    assert np.isnan(row["cross-entropy"])


def run_command(monkeypatch, folder, *words):
    words = ["tune.py", *words, "--data", folder, "--trials", folder / "trials.csv"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    tune.main()


def test_command_adds_trials_to_a_file(folder, monkeypatch, capsys):
    run_command(monkeypatch, folder, "tiny", "hidden_dim=[5]", "elastic=0.5", "--seed", 2)
    run_command(monkeypatch, folder, "tiny", "num_epochs=1", "--search", 2, "--note", "None")
    normalized = "normalization=layernorm", "num_epochs=1"
    run_command(monkeypatch, folder, "tiny", *normalized, "--note", "")
    run_command(monkeypatch, folder, "tiny", *normalized, "--note", "5")
    trials = read_trials(folder / "trials.csv")
    assert tuple(trials) == COLUMNS
    assert trials["hidden_dim"].tolist() == ["[5]", *["[20]"] * 4]
    assert trials["elastic"][0] == 0.5
    assert trials["num_epochs"].tolist() == [5, 1, 1, 1, 1]
    assert trials["seed"].tolist() == [2, 0, 0, 0, 0]
    assert trials["note"].fillna("").tolist() == ["", "None", "None", "", "5"]
    assert trials["normalization"].fillna("").tolist() == [*[""] * 3, "layernorm", "layernorm"]
    assert trials["rotation"].nunique() == 3  # the recipe's, and two that were chosen
    assert f"cross-entropy {trials['cross-entropy'][2]:.4f}" in capsys.readouterr().out
    bad = "elastic=a b", "elastic", "elastic=-1", "hidden_dim=[0]", "size=1", "normalization=b"
    for word in bad:
        with pytest.raises(SystemExit):
            run_command(monkeypatch, folder, "tiny", word)
    assert len(read_trials(folder / "trials.csv")) == 5


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", ",".join(COLUMNS[:-1]) + "\n", "\xff\n"])
def test_a_file_that_holds_no_trials_is_found_before_the_training(
    content, folder, monkeypatch, capsys
):
    (folder / "trials.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(SystemExit):
        run_command(monkeypatch, folder, "tiny")
    assert "trials.csv is no file of trials" in " ".join(capsys.readouterr().err.split())
    assert (folder / "trials.csv").read_bytes() == content.encode("latin-1")


def test_trials_that_nobody_keeps(folder, monkeypatch, capsys):
    words = ["tune.py", "tiny", "num_epochs=1", "--data", str(folder), "--trials", os.devnull]
    monkeypatch.setattr(sys, "argv", [*words, "--search", "1"])
    tune.main()
    assert "cross-entropy" in capsys.readouterr().out


def test_a_row_begins_a_line_of_its_own(folder, monkeypatch):
    for _ in range(2):
        run_command(monkeypatch, folder, "tiny", "num_epochs=1")
        file = folder / "trials.csv"
        file.write_text(file.read_text().rstrip("\n"))
    assert len(read_trials(file)) == 2


def test_a_search_goes_on_after_a_trial_that_diverged(folder, monkeypatch):
    def no_row(training, data, **options):
        return {**run_trial(training, data, **options), "cross-entropy": np.nan}

    monkeypatch.setattr(tune, "run_trial", no_row)
    run_command(monkeypatch, folder, "tiny", "num_epochs=1", "--search", 2)
    assert read_trials(folder / "trials.csv")["rotation"].nunique() == 2


def test_a_search_learns_from_the_trials_of_its_recipe(tmp_path, rng):
    settings = {**settings_of(TINY), "hidden_dim": "[20]"}
    # The best elastic of this recipe is 0.5; that of the same with another network, 2.5.
    rows = [
        {
            "recipe": "tiny",
            **settings,
            "hidden_dim": hidden,
            "elastic": elastic,
            "cross-entropy": abs(elastic - best),
        }
        for hidden, best in (("[20]", 0.5), ("[30]", 2.5))
        for elastic in rng.uniform(0, 3, 40)
    ]
    path = tmp_path / "trials.csv"
    space = {"elastic": SPACE["elastic"]}
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    assert abs(suggest(TINY, space, path)["elastic"] - 0.5) < 0.4
    other = variant(TINY, {"hidden_dim": [30]})
    assert abs(suggest(other, space, path)["elastic"] - 2.5) < 0.4


def test_a_search_leaves_out_trials_with_another_note(tmp_path, rng):
    row = {"recipe": "tiny", **settings_of(TINY), "hidden_dim": "[20]"}
    rows = [
        {**row, "elastic": elastic, "cross-entropy": abs(elastic - best), "note": note}
        for note, best in ((None, 0.5), ("labels smoothed", 2.5))
        for elastic in rng.uniform(0, 3, 40)
    ]
    path = tmp_path / "trials.csv"
    space = {"elastic": SPACE["elastic"]}
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    assert abs(suggest(TINY, space, path)["elastic"] - 0.5) < 0.4
    assert abs(suggest(TINY, space, path, "labels smoothed")["elastic"] - 2.5) < 0.4


def test_settings_of_recorded_trials_are_those_of_their_recipe():
    trials = read_trials()
    assert tuple(trials) == COLUMNS
    assert len(trials) > 0
    trainings = {training.name: training for [training, *_] in RECIPES.values()}
    for row in trials.to_dict("records"):
        training = trainings[row["recipe"]]
        settings = {name: row[name] for name in settings_of(training)}
        for name in ("hidden_dim", "num_filters"):
            if name in settings:
                settings[name] = ast.literal_eval(settings[name])
        if pd.isna(settings["normalization"]):
            settings["normalization"] = None
        assert settings_of(variant(training, settings)) == settings
