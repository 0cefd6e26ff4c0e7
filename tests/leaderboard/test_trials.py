"""Trials: variants of recipes, what is measured and on which images; the tables of both."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from layers import softmax_loss
from leaderboard.augment import deskew, distort
from leaderboard.recipes import RECIPES, summary
from leaderboard.record import RUN_COLUMNS, add_rows, read_trials
from leaderboard.training import flop, make_solver, predictor, settings_of, variant
from leaderboard.trials import held_out, run_trial

STRENGTHS = dict.fromkeys(("rotation", "scale", "shear", "shift", "elastic"), 0.5)
SETTINGS = {
    **{"hidden_dim": [7, 6], "num_filters": (2, (3, 4)), "filter_size": 5, "dropout": 0.25},
    **{"reg": 1e-3, "weight_scale": "lecun", "normalization": "batchnorm", "grid": 5, **STRENGTHS},
    **{"num_epochs": 2, "learning_rate": 0.3, "batch_size": 17, "adversarial": 0.5},
}


@pytest.mark.parametrize("training", [ts[0] for ts in RECIPES.values()])
def test_every_setting_of_a_recipe_can_be_changed(training):
    before = settings_of(training)
    wanted = {**SETTINGS, "deskew": not before["deskew"], "shifted": not before["shifted"]}
    wanted = {name: value for name, value in wanted.items() if name in before}
    changed = variant(training, wanted)
    assert {name: settings_of(changed)[name] for name in wanted} == wanted
    assert settings_of(training) == before
    assert changed.preprocess is (deskew if wanted["deskew"] else None)
    net = changed.network(seed=0)
    assert (net.reg, net.weight_scale) == (1e-3, "lecun")
    shapes = [w.shape for name, w in net.params.items() if name.startswith("W")]
    assert shapes[-2:] == [(7, 6), (6, 10)]
    assert ("num_filters" in before) == (shapes[0] == (2, 1, 5, 5))
    if training.transform:
        X = np.random.default_rng(0).random((3, 1, 28, 28))
        out = changed.transform(X, np.random.default_rng(1))
        expected = distort(X, np.random.default_rng(1), grid=5, **STRENGTHS)
        np.testing.assert_array_equal(out, expected)


def test_settings_are_looked_up(tiny):
    """What a network or a transform will take can be set without more code."""

    def network(width, *, noise=0.1, seed=None):
        return width, noise, seed

    training = tiny._replace(network=partial(network, 3), transform=lambda X, rng, radius=2: radius)
    changed = variant(training, {"noise": 0.2, "radius": 5})
    assert changed.network(seed=1) == (3, 0.2, 1)
    assert changed.transform(None, None) == 5
    assert variant(changed, {"transform": None}).transform is None
    for name in ("elastic", "seed", "name", "network", "X", ""):
        with pytest.raises(ValueError, match="name must be a setting of tiny"):
            variant(training, {name: 1.0})


def test_a_trial_measures_its_last_epochs_on_the_last_training_images(tiny, folder):
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
    expected = *np.mean(measured[2:5], axis=0), *measured[5]
    names = "error", "cross-entropy", "shifted error", "shifted cross-entropy"
    assert [row[name] for name in names] == pytest.approx(expected, abs=1e-6)
    assert row["TFLOP"] == round(flop(training, X[:350]) / 1e12, 2)


def test_a_trial_that_diverges_has_no_error(tiny, folder):
    row = run_trial(tiny._replace(learning_rate=1e30), held_out(folder), verbose=False)
    assert np.isnan([row["error"], row["cross-entropy"], row["shifted error"]]).all()


def test_command_adds_trials_to_a_file(command, tmp_path, capsys):
    trial = "tiny", "--held-out", "--record", "trials.csv", "--set", "num_epochs=1"
    command(*trial, "--set", "hidden_dim=[5]", "--seed", 2, "--note", "None")
    command(*trial, "--set", "normalization=layernorm", "--note", "")
    command(*trial, "--set", "activation=tanh", "--set", "shifted=True", "--note", "5")
    trials = read_trials(tmp_path / "trials.csv").astype(object).fillna("")
    assert trials["seed"].tolist() == [2, 0, 0]
    assert trials["hidden_dim"].tolist() == ["[5]", "[20]", "[20]"]
    assert trials["normalization"].tolist() == ["", "layernorm", ""]
    # Settings that have no column are noted.
    assert trials["note"].tolist() == ["None", "", "activation=tanh; shifted=True; 5"]
    assert f"cross-entropy {trials['cross-entropy'][2]}" in capsys.readouterr().out
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--held-out", "--set", "elastic=1"], "elastic"),
        (["--held-out", "--set", "hidden_dim=[0"], "hidden_dim"),
        (["--held-out", "--all-images"], "--held-out"),
        (["--note", "a"], "--note"),
        (["--held-out", "--record", "runs.csv"], "runs.csv"),
        (["--record", "missing/record.csv"], "missing"),
        (["--out", "missing/out.csv"], "missing"),
        (["--header", "id,label"], "--header"),
    ],
)
def test_what_does_not_fit_is_found_before_the_training(words, message, command, tmp_path, capsys):
    (tmp_path / "runs.csv").write_text(f"{','.join(RUN_COLUMNS)}\n")
    with pytest.raises(SystemExit) as stopped:
        command("tiny", *words)
    assert message in f"{stopped.value.code} {capsys.readouterr().err}"
    assert not list(tmp_path.glob("checkpoints/*.npz"))


def test_several_runs_begin_one_file(tmp_path):
    path = tmp_path / "runs.csv"
    rows = [{"recipe": "a", "seed": i} for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(add_rows, path, RUN_COLUMNS), rows))
    path.write_text(path.read_text().rstrip("\n"))  # as an editor may leave it
    add_rows(path, RUN_COLUMNS, {"recipe": "b", "seed": 24})
    header, *lines = path.read_text().splitlines()
    assert header == ",".join(RUN_COLUMNS)
    assert sorted(lines) == sorted([*(f"a,{i},,,," for i in range(24)), "b,24,,,,"])


def test_a_file_that_is_no_table_is_named(tmp_path):
    for content in (b"", b"a,b\n1,2\n", b"\0\1\xff\xfe" * 50):
        (tmp_path / "runs.csv").write_bytes(content)
        with pytest.raises(ValueError, match=r"runs\.csv"):
            summary(tmp_path / "runs.csv")
