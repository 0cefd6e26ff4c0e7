"""Trials: variants of recipes, what is measured and on which images; the tables of both."""

import ast
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from conv_net import ConvNet
from layers import softmax_loss
from leaderboard.augment import deskew, distort
from leaderboard.recipes import RECIPES, summary
from leaderboard.record import RUN_COLUMNS, TRIAL_COLUMNS, add_rows, read_trials
from leaderboard.training import flop, make_solver, predictor, settings_of, variant
from leaderboard.trials import held_out, run_trial

STRENGTHS = dict.fromkeys(("rotation", "scale", "shear", "shift", "elastic"), 0.5)


@pytest.mark.parametrize("training", [ts[0] for ts in RECIPES.values()])
def test_every_setting_of_a_recipe_can_be_changed(training):
    before = settings_of(training)
    wanted = {"hidden_dim": [7, 6], "num_filters": (2, (3, 4)), "dropout": 0.25, "reg": 1e-3}
    wanted |= {"weight_scale": "lecun", "normalization": "batchnorm", "grid": 5, **STRENGTHS}
    wanted |= {"num_epochs": 2, "learning_rate": 0.3, "batch_size": 17, "adversarial": 0.5}
    wanted |= {"deskew": not before["deskew"], "shifted": not before["shifted"]}
    wanted = {name: value for name, value in wanted.items() if name in before}
    changed = variant(training, wanted)
    assert {name: settings_of(changed)[name] for name in wanted} == wanted
    assert settings_of(training) == before
    assert changed.preprocess is (deskew if wanted["deskew"] else None)
    net = changed.network(seed=0)
    assert (net.reg, net.weight_scale) == (1e-3, "lecun")
    assert "gamma2" in net.params
    shapes = [w.shape for name, w in net.params.items() if name.startswith("W")]
    assert shapes[-3:] == [(shapes[-3][0], 7), (7, 6), (6, 10)]
    if isinstance(net, ConvNet):
        assert [shape[0] for shape in shapes[:3]] == [2, 3, 4]
    if training.transform:
        X = np.random.default_rng(0).random((3, 1, 28, 28))
        out = changed.transform(X, np.random.default_rng(1))
        expected = distort(X, np.random.default_rng(1), grid=5, **STRENGTHS)
        np.testing.assert_array_equal(out, expected)


def test_arguments_are_looked_up(tiny):
    """An option that a network or a transform will have can be set without more code."""

    def network(width, *, noise=0.1, seed=None):
        return width, noise, seed

    def blur(X, rng, *, radius=2):
        return X * radius

    training = tiny._replace(network=partial(network, 3), transform=blur)
    changed = variant(training, {"noise": 0.2, "radius": 5})
    assert changed.network(seed=1) == (3, 0.2, 1)
    assert changed.transform(2, None) == 10
    assert variant(changed, {"transform": None}).transform is None


@pytest.mark.parametrize("name", ["elastic", "seed", "name", "network", "X", "unknown", ""])
def test_setting_that_a_recipe_does_not_have(name):
    with pytest.raises(ValueError, match="name must be a setting of plain"):
        variant(RECIPES["plain"][0], {name: 1.0})


def test_the_last_training_images_are_held_out(tiny, folder):
    data, stored = held_out(folder), np.load(folder / "mnist.npz")
    images = stored["x_train"].reshape(-1, 1, 28, 28)
    assert data.keys() == {"X_train", "y_train", "X_val", "y_val"}
    np.testing.assert_array_equal(data["X_train"], images[:350])
    np.testing.assert_array_equal(data["X_val"], images[350:])
    np.testing.assert_array_equal(data["y_val"], stored["y_train"][350:])


def test_a_trial_measures_its_last_epochs(tiny, folder):
    training = tiny._replace(num_epochs=5, transform=distort, preprocess=deskew)
    data = held_out(folder)
    upright = {**data, "X_train": deskew(data["X_train"]), "X_val": deskew(data["X_val"])}
    losses = []

    def measure(solver):
        losses.append(softmax_loss(solver.model.loss(upright["X_val"]), data["y_val"])[0])

    solver = make_solver(training, upright, 3, after_epoch=measure)
    solver.train()
    row = run_trial(training, data, seed=3, verbose=False)
    assert set(TRIAL_COLUMNS) - set(row) == {"num_filters", "note"}
    assert row["error"] == pytest.approx(1 - np.mean(solver.val_acc_history[-3:]), abs=1e-6)
    assert row["cross-entropy"] == pytest.approx(np.mean(losses[-3:]), abs=1e-6)
    views = predictor([training._replace(shifted=True)], [solver.model])
    solver.model.params.update(solver.last_params)
    loss = softmax_loss(views.loss(data["X_val"]), data["y_val"])[0]
    assert row["shifted cross-entropy"] == pytest.approx(loss, abs=1e-6)
    error = np.mean(views.predict(data["X_val"]) != data["y_val"])
    assert row["shifted error"] == pytest.approx(error, abs=1e-6)
    assert row["TFLOP"] == round(flop(training, data["X_train"]) / 1e12, 2)


def test_a_trial_that_diverges_has_no_error(tiny, folder):
    row = run_trial(tiny._replace(learning_rate=1e30), held_out(folder), verbose=False)
    assert np.isnan([row["error"], row["cross-entropy"], row["shifted error"]]).all()


def test_command_adds_trials_to_a_file(command, tmp_path, capsys):
    trial = "tiny", "--held-out", "--record", "trials.csv", "--set", "num_epochs=1"
    command(*trial, "--set", "hidden_dim=[5]", "--seed", 2)
    command(*trial, "--note", "None")
    command(*trial, "--set", "normalization=layernorm", "--note", "")
    command(*trial, "--set", "activation=tanh", "--set", "shifted=True", "--note", "5")
    trials = read_trials(tmp_path / "trials.csv")
    assert trials["hidden_dim"].tolist() == ["[5]", *["[20]"] * 3]
    assert trials["recipe"].unique().tolist() == ["tiny"]
    assert trials["num_epochs"].tolist() == [1] * 4
    assert trials["seed"].tolist() == [2, 0, 0, 0]
    assert trials["normalization"].fillna("").tolist() == ["", "", "layernorm", ""]
    # Settings that have no column are noted.
    notes = ["", "None", "", "activation=tanh; shifted=True; 5"]
    assert trials["note"].fillna("").tolist() == notes
    assert f"cross-entropy {trials['cross-entropy'][3]}" in capsys.readouterr().out
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--held-out", "--set", "elastic=1"], "elastic"),
        (["--held-out", "--set", "hidden_dim=[0]"], "hidden_dim"),
        (["--set", "learning_rate"], "learning_rate"),
        (["--set", "normalization=b"], "normalization"),
        (["--held-out", "--all-images"], "--held-out"),
        (["--note", "a"], "--note"),
        (["--held-out", "--record", "file.csv"], "file.csv"),
        (["--record", "trials.csv"], "trials.csv"),
        (["--record", "missing/record.csv"], "missing"),
        (["--out", "missing/out.csv"], "missing"),
        (["--out", "a\0b"], "path"),
        (["--header", "id,label"], "--header"),
    ],
)
def test_what_does_not_fit_is_found_before_the_training(words, message, command, tmp_path, capsys):
    files = {"file.csv": "a,b\n1,2\n", "trials.csv": f"{','.join(TRIAL_COLUMNS)}\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stopped:
        command("tiny", *words)
    assert message in f"{stopped.value.code} {capsys.readouterr().err}"
    assert {p.name: p.read_text() for p in tmp_path.glob("*.csv")} == files


def test_several_runs_begin_one_file(tmp_path):
    path = tmp_path / "runs.csv"
    rows = [{"recipe": "a", "seed": i} for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(add_rows, path, RUN_COLUMNS), rows))
    path.write_text(path.read_text().rstrip("\n"))  # as an editor may leave it
    add_rows(path, RUN_COLUMNS, {"recipe": "b", "seed": 24})
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(RUN_COLUMNS)
    assert sorted(lines[1:]) == sorted([*(f"a,{i},,,," for i in range(24)), "b,24,,,,"])


HEADER = ",".join(RUN_COLUMNS)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b\n1,2\n",
        ",".join(RUN_COLUMNS[:-1]) + "\n",
        f"{HEADER}\nquick,0,x,y,z,1\n",
        f"{HEADER}\nquick,0,1,1,1,1\nquick,0,1,1,1,1,1,1\n",
        "\0\1\xff\xfe" * 50,
    ],
)
def test_a_file_that_is_no_table_is_named(content, tmp_path):
    (tmp_path / "runs.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"runs\.csv"):
        summary(tmp_path / "runs.csv")


def test_summary_of_no_runs_and_of_no_file(tmp_path):
    add_rows(tmp_path / "runs.csv", RUN_COLUMNS)
    assert list(summary(tmp_path / "runs.csv").columns) == list(summary().columns)
    with pytest.raises(FileNotFoundError, match="missing"):
        summary(tmp_path / "missing.csv")


def test_settings_of_recorded_trials_are_those_of_their_recipe():
    trials = read_trials()
    assert len(trials) > 0
    trainings = {training.name: training for [training, *_] in RECIPES.values()}
    for row in trials.astype(object).where(trials.notna(), None).to_dict("records"):
        training = trainings[row["recipe"]]
        settings = {name: row[name] for name in settings_of(training) if name in TRIAL_COLUMNS}
        for name in ("hidden_dim", "num_filters"):
            if name in settings:
                settings[name] = ast.literal_eval(settings[name])
        changed = settings_of(variant(training, settings))
        assert {name: changed[name] for name in settings} == settings
