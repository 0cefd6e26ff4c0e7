"""Search: what a study keeps, and that several processes, Ctrl-C and kill -9 lose nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import search
from search import DEFAULTS, make_solver, open_study, table, train
from support.storage import open_storage

ROOT = Path(__file__).parent.parent


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/search.db"


def small(trial):
    return {
        "hidden_dim": [trial.suggest_int("hidden units", 2, 8)],
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 1.0, log=True),
        "batch_size": 20,
        "num_epochs": 3,
    }


def run(data, suggest=small, num_trials=None, **options):
    options = {"workers": 1, "verbose": False, **options}
    return search.search(data, suggest, num_trials, **options)


def test_search_keeps_every_trial(toy_data, storage):
    study = run(toy_data, num_trials=4, storage=storage)
    results = table(study)
    assert sorted(results["trial"]) == [0, 1, 2, 3]
    assert set(DEFAULTS) <= set(results.columns)
    assert results["validation accuracy"].is_monotonic_decreasing
    assert results["training accuracy"].between(0, 1).all()
    assert (results["outcome"] == "complete").all()
    assert (results["epochs"] == 3).all()
    assert (results["seconds"] > 0).all()
    assert study.best_value == results["validation accuracy"][0]
    again = run(toy_data, num_trials=4, storage=storage)  # has enough
    assert table(again).equals(results)
    more = run(toy_data, num_trials=6, storage=storage)
    assert sorted(table(more)["trial"]) == [0, 1, 2, 3, 4, 5]


def test_search_of_one_worker_is_reproducible(toy_data, tmp_path):
    columns = ["trial", *DEFAULTS, "training accuracy", "validation accuracy"]
    first, second = (
        table(run(toy_data, num_trials=4, seed=7, storage=f"sqlite:///{tmp_path}/{i}.db"))[columns]
        for i in range(2)
    )
    assert first.equals(second)
    assert sorted(first["seed"]) == [7, 8, 9, 10]


def test_settings_repeat_a_trial_of_a_worker_process(toy_data, storage):
    study = run(toy_data, num_trials=2, storage=storage, workers=2)
    for trial in study.trials:
        solver = make_solver(toy_data, trial.user_attrs["settings"], verbose=False)
        train(solver)
        reported = [trial.intermediate_values[epoch] for epoch in (1, 2, 3)]
        best = np.maximum.accumulate(solver.val_acc_history)[1:]
        assert reported == best.tolist()


def test_diverged_trial_is_recorded_and_the_search_goes_on(toy_data, storage):
    runs = [{"learning_rate": 1e30, "num_epochs": 2}, {"num_epochs": 2}]
    results = table(run(toy_data, runs, storage=storage)).set_index("trial")
    assert results["outcome"].to_dict() == {0: "diverged", 1: "complete"}
    assert results["validation accuracy"][0] < results["validation accuracy"][1]


def test_poor_trial_is_pruned(toy_data, storage):
    def suggest(trial):
        rate = trial.suggest_float("learning_rate", 1e-9, 1.0)
        return {"learning_rate": rate if trial.number < 5 else 1e-9, "num_epochs": 4, "seed": 1}

    results = table(run(toy_data, suggest, 6, storage=storage)).set_index("trial")
    assert results["outcome"][5] == "pruned"
    assert results["epochs"][5] < 4
    assert (results["outcome"][:5] == "complete").all()


def test_list_is_trained_as_it_stands(toy_data, storage):
    runs = [{"learning_rate": rate, "num_epochs": 2} for rate in [0.3] * 6 + [1e-9]]
    results = table(run(toy_data, runs, storage=storage, workers=2))
    assert sorted(results["learning_rate"]) == sorted(r["learning_rate"] for r in runs)
    assert (results["outcome"] == "complete").all()


def test_other_data_or_runs_are_refused(toy_data, storage):
    run(toy_data, num_trials=1, storage=storage)
    other = {**toy_data, "y_train": 1 - toy_data["y_train"]}
    with pytest.raises(ValueError, match="'two-layer' was begun on other data"):
        run(other, num_trials=2, storage=storage)
    with pytest.raises(ValueError, match="another list"):
        run(toy_data, [{}], storage=storage)


def test_bad_settings(toy_data, storage):
    with pytest.raises(ValueError, match="settings has momentums; known are hidden_dim"):
        make_solver(toy_data, {"momentums": 0.9})
    with pytest.raises(ValueError, match="activation must be one of"):
        run(toy_data, [{"activation": "softplus"}], storage=storage)
    assert [
        trial.state
        for trial in open_study(toy_data, runs=[{"activation": "softplus"}], storage=storage).trials
    ] == [TrialState.FAIL]


# A process of its own: a search of 8 trials, each at least 0.2 s long.
CHILD = """
import os, sys, time
import numpy as np
import search

search.HEARTBEAT, search.GRACE_PERIOD = 1, 2
rng = np.random.default_rng(1)
X = rng.random((400, 2)).astype(np.float32)
y = (X[:, 1] > X[:, 0] ** 2).astype(np.int64)
data = {"X_train": X[:300], "y_train": y[:300], "X_val": X[300:], "y_val": y[300:]}

def suggest(trial):
    time.sleep(0.2)
    trial.set_user_attr("pid", os.getpid())
    return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 1.0, log=True)}

if __name__ == "__main__":
    study = search.search(data, suggest, 8, storage=sys.argv[1], workers=1, verbose=False)
    print(len(search.table(study)))
"""


def start_child(storage):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, storage],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_trials(storage, number):
    """The study, as soon as it has that many finished trials."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            study = optuna.load_study(study_name="two-layer", storage=storage)
            if len(study.get_trials(states=search.FINISHED)) >= number:
                return study
        except Exception:  # the child has not written that much yet
            pass
        time.sleep(0.05)
    raise TimeoutError


def finished(storage):
    study = optuna.load_study(study_name="two-layer", storage=storage)
    return {trial.number: trial for trial in study.get_trials(states=search.FINISHED)}


def test_two_processes_share_a_study(storage):
    children = [start_child(storage) for _ in range(2)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
    trials = finished(storage).values()
    assert 8 <= len(trials) <= 9
    assert len({trial.params["learning_rate"] for trial in trials}) == len(trials)
    assert len({trial.user_attrs["pid"] for trial in trials}) == 2
    study = optuna.load_study(study_name="two-layer", storage=storage)
    assert len(study.trials) == len(trials)  # none lost, none left running


def test_killed_search_goes_on(storage):
    child = start_child(storage)
    wait_for_trials(storage, 2)
    time.sleep(0.1)  # into the next trial
    child.kill()
    child.wait()
    before = finished(storage)
    child = start_child(storage)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    after = finished(storage)
    assert len(after) == 8
    for number, trial in before.items():
        assert after[number] == trial
    study = optuna.load_study(study_name="two-layer", storage=storage)
    assert len(study.trials) <= 9  # at most the one in flight was lost


def test_a_process_that_looks_for_a_trial_keeps_the_others_out(storage):
    path = storage.removeprefix("sqlite:///")
    with open_storage(storage).engine.begin(), closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_keeps_what_is_done(storage):
    child = start_child(storage)
    wait_for_trials(storage, 2)
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "Stopped by Ctrl-C" in out
    assert 2 <= len(finished(storage)) < 8
