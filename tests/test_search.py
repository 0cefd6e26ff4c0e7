"""Search: what a study keeps, and that several processes, Ctrl-C and kill -9 lose nothing."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import search
import support.storage
from search import DEFAULTS, make_solver, open_study, table, train

ROOT = Path(__file__).parent.parent
COMPLETE, FAIL, RUNNING = TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING
PRUNED, WAITING = TrialState.PRUNED, TrialState.WAITING


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
        wrong = solver.model.predict(toy_data["X_val"]) != toy_data["y_val"]
        assert trial.user_attrs["mistakes"] == np.flatnonzero(wrong).tolist()


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


def other_part(data, key):
    """The data with one number of one of the arrays changed."""
    changed = data[key].copy()
    changed[-1] = 1 - changed[-1]
    return {**data, key: changed}


def test_other_data_or_runs_are_refused(toy_data, storage):
    run(toy_data, num_trials=1, storage=storage)
    for key in toy_data:
        with pytest.raises(ValueError, match="'two-layer' was begun on other data"):
            run(other_part(toy_data, key), num_trials=2, storage=storage)
        with pytest.raises(ValueError, match=r"open_study: .* other data"):
            open_study(other_part(toy_data, key), storage=storage)
    with pytest.raises(ValueError, match="another list"):
        run(toy_data, [{}], storage=storage)
    with pytest.raises(ValueError, match="another function suggest"):
        run(toy_data, search.two_layer, 2, storage=storage)
    with pytest.raises(ValueError, match="another function suggest"):
        open_study(toy_data, suggest=partial(small, 1), storage=storage)
    assert len(open_study(toy_data, storage=storage).trials) == 1


def test_study_of_unknown_origin_is_refused(toy_data, storage):
    study = open_study(toy_data, storage=storage)  # nobody has said yet what it is to search
    assert len(run(toy_data, num_trials=1, storage=storage).trials) == 1
    study = optuna.create_study(storage=storage, study_name="other", direction="maximize")
    study.add_trial(optuna.create_trial(value=0.5))
    with pytest.raises(ValueError, match="'other' was begun on other data"):
        open_study(toy_data, "other", storage=storage)


def test_bad_settings(toy_data, storage):
    with pytest.raises(ValueError, match="settings has momentums; known are hidden_dim"):
        make_solver(toy_data, {"momentums": 0.9})

    def suggest(trial):
        return {"activation": "softplus"}

    for number in (1, 2):  # the error ends the search, each time
        with pytest.raises(ValueError, match="activation must be one of"):
            run(toy_data, suggest, 3, storage=storage)
        states = [trial.state for trial in open_study(toy_data, storage=storage).trials]
        assert states == [FAIL] * number
    # The settings of a list are looked at before the first is trained, and then nothing is kept.
    with pytest.raises(ValueError, match="activation must be one of"):
        run(toy_data, [{}, {"activation": "softplus"}], name="list", storage=storage)
    assert "list" not in optuna.get_all_study_names(storage)


WITHOUT_VALIDATION = {"X_val": np.zeros((0, 2), np.float32), "y_val": np.zeros(0, int)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": None}, TypeError, "data must be a dict"),
        ({"data": {}}, ValueError, "data lacks X_train"),
        ({"data": WITHOUT_VALIDATION}, ValueError, "data must hold X_val and y_val"),
        ({"suggest": 3}, TypeError, "suggest must be a function or a list of dicts, got int"),
        ({"suggest": "abc"}, TypeError, "suggest must be a function or a list of dicts"),
        ({"suggest": []}, ValueError, "suggest must be a function or hold at least one dict"),
        ({"suggest": [{}, None]}, TypeError, r"suggest\[1\] must be a dict, got NoneType"),
        ({"suggest": [{"rate": 1}]}, ValueError, r"suggest\[0\] has rate; known are hidden_dim"),
        ({"suggest": [{"reg": object()}]}, TypeError, r"suggest\[0\]\['reg'\] must be a number"),
        ({"suggest": [{}], "num_trials": 2}, ValueError, "num_trials must be None or 1, got 2"),
        ({"suggest": lambda trial: 3}, TypeError, "what suggest returns must be a dict, got int"),
        ({"suggest": lambda trial: {1: 2}}, ValueError, "what suggest returns has 1; known are"),
        ({"num_trials": None}, TypeError, "num_trials must be an integer, got None"),
        ({"num_trials": 0}, ValueError, "num_trials must be at least 1, got 0"),
        ({"num_trials": "a"}, TypeError, "num_trials must be an integer, got 'a'"),
        ({"num_trials": 10**400}, ValueError, "num_trials must be at most"),
        ({"name": None}, TypeError, "name must be a string, got NoneType"),
        ({"storage": 5}, TypeError, "storage must be the URL of a database, got int"),
        ({"workers": -1}, ValueError, "workers must be at least 1, got -1"),
        ({"seed": "x"}, TypeError, "seed must be an integer, got 'x'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments(arguments, error, message, toy_data, storage):
    options = {"data": toy_data, "suggest": small, "num_trials": 1, "storage": storage, **arguments}
    if arguments.get("data"):
        options["data"] = {**toy_data, **arguments["data"]}
    if isinstance(options["suggest"], list) and "num_trials" not in arguments:
        options["num_trials"] = None
    with pytest.raises(error, match=f"^search: {message}"):
        run(**options)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (open_study, [None], TypeError, "open_study: data must be a dict"),
        (open_study, [{}, 3], TypeError, "open_study: name must be a string, got int"),
        (make_solver, [None, {}], TypeError, "make_solver: data must be a dict"),
        (make_solver, [{}, {}], ValueError, "make_solver: data lacks X_train"),
        (table, [None], TypeError, "table: study must be an optuna.Study, got NoneType"),
    ],
)
def test_bad_arguments_of_the_others(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (None, TypeError, "make_solver: settings must be a dict, got NoneType"),
        ([], TypeError, "make_solver: settings must be a dict, got list"),
        ({"seed": {1, 2}}, TypeError, r"make_solver: settings\['seed'\] must be a number"),
        ({"hidden_dim": [0]}, ValueError, "hidden_dim"),
        ({"learning_rate": "a"}, TypeError, "learning_rate"),
        ({"seed": "a"}, TypeError, "seed"),
        ({"update_rule": 3}, ValueError, "update_rule"),
    ],
)
def test_bad_settings_of_make_solver(settings, error, message, toy_data):
    with pytest.raises(error, match=message):
        make_solver(toy_data, settings)


def test_settings_are_plain_numbers_and_lists(toy_data, storage):
    given = {
        "hidden_dim": (8,),
        "batch_size": np.int64(20),
        "learning_rate": np.float32(0.5),
        "weight_scale": np.float64(0.25),
        "num_epochs": np.array(1),
    }
    expected = {**DEFAULTS, "hidden_dim": [8], "batch_size": 20, "learning_rate": 0.5}
    expected |= {"weight_scale": 0.25, "num_epochs": 1, "seed": 3}
    for _ in range(2):  # the second call knows its own list again
        study = run(toy_data, [given], seed=np.int64(3), storage=storage)
    function = run(toy_data, lambda trial: given, 1, name="function", seed=3, storage=storage)
    for kept in (study, function):
        [trial] = kept.trials
        assert trial.user_attrs["settings"] == expected
    assert make_solver(toy_data, given, verbose=False).optim_config["learning_rate"] == 0.5


def test_table_of_a_study_without_results(toy_data, storage):
    full = table(run(toy_data, num_trials=1, storage=storage))
    study = open_study(toy_data, "empty", storage=storage)
    empty = table(study)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)
    assert empty["hidden_dim"].str[0].empty  # as the notebook reads it
    assert (1 - empty["validation accuracy"]).cummin().empty

    kept = {"settings": DEFAULTS}
    for state, known in ((WAITING, kept), (RUNNING, {}), (RUNNING, kept)):
        study.add_trial(optuna.create_trial(state=state, user_attrs=known))
    row = table(study).iloc[0].to_dict()
    assert (len(table(study)), row["trial"], row["outcome"]) == (1, 2, "running")
    assert np.isnan(row["validation accuracy"])


def test_trial_that_suggest_rejects_counts_as_pruned(toy_data, storage):
    def suggest(trial):
        if trial.number == 0:
            raise optuna.TrialPruned
        return small(trial)

    study = run(toy_data, suggest, 2, storage=storage)
    assert [trial.state for trial in study.trials] == [PRUNED, COMPLETE]
    assert table(study)["trial"].tolist() == [1]


def trained(study):
    """How often each learning rate has been trained to its end."""
    rates = [t.user_attrs["settings"]["learning_rate"] for t in study.get_trials(states=[COMPLETE])]
    return {rate: rates.count(rate) for rate in rates}


RUNS = [{"learning_rate": rate, "num_epochs": 1} for rate in (0.1, 0.2, 0.3)]


def test_failed_run_of_a_list_is_repeated_and_no_other(toy_data, storage, monkeypatch):
    def fail(solver):
        if solver.optim_config["learning_rate"] == 0.2:
            raise OSError("this once")
        train(solver)

    with monkeypatch.context() as patch:
        patch.setattr(search, "train", fail)
        with pytest.raises(OSError, match="this once"):
            run(toy_data, RUNS, storage=storage)
    for _ in range(2):
        assert trained(run(toy_data, RUNS, storage=storage)) == {0.1: 1, 0.2: 1, 0.3: 1}


def test_run_that_two_processes_have_queued_is_trained_once(toy_data, storage):
    first = run(toy_data, RUNS[:1], name="other", storage=storage)
    settings = first.trials[0].user_attrs["settings"]
    study = open_study(toy_data, suggest=RUNS, storage=storage)
    for run_number in (0, 0, None):  # twice, and a trial that Optuna has begun itself
        study.enqueue_trial({}, {"run": run_number, "settings": settings})
    study = run(toy_data, RUNS, storage=storage)
    assert trained(study) == {0.1: 1, 0.2: 1, 0.3: 1}
    assert table(study)["outcome"].tolist() == ["complete"] * 3


def test_trial_that_others_took_for_lost_is_left_to_them(toy_data, storage):
    def suggest(trial):
        if trial.number == 0:  # this process stands still, and another one tidies up
            trial.study._storage.set_trial_state_values(trial._trial_id, FAIL)
        return small(trial)

    study = run(toy_data, suggest, 2, storage=storage)
    assert [trial.state for trial in study.trials] == [FAIL, COMPLETE, COMPLETE]


@pytest.fixture
def short_grace_period(monkeypatch):
    monkeypatch.setattr(support.storage, "HEARTBEAT", 1)
    monkeypatch.setattr(support.storage, "GRACE_PERIOD", 1)


def test_trial_killed_before_its_first_heartbeat_runs_again(toy_data, storage, short_grace_period):
    study = run(toy_data, num_trials=1, storage=storage)
    study._storage.create_new_trial(study._study_id)  # and then the process is killed
    open_study(toy_data, storage=storage)
    time.sleep(2.1)  # the database counts in seconds
    states = [trial.state for trial in open_study(toy_data, storage=storage).trials]
    assert states == [COMPLETE, FAIL, WAITING]
    assert len(table(run(toy_data, num_trials=2, storage=storage))) == 2


def test_fresh_begins_the_study_again_and_no_other(
    toy_data, storage, short_grace_period, monkeypatch
):
    def look_slowly(*arguments):
        is_deleted = look(*arguments)
        time.sleep(0.7)
        return is_deleted

    look = support.storage._is_deleted
    monkeypatch.setattr(support.storage, "_is_deleted", look_slowly)
    for name in ("two-layer", "other"):
        study = run(toy_data, num_trials=2, name=name, storage=storage)
    study = open_study(toy_data, storage=storage)
    study._storage.create_new_trial(study._study_id)  # of a process that is killed next
    new = run(other_part(toy_data, "X_train"), num_trials=1, storage=storage, fresh=True)
    assert [trial.number for trial in new.trials] == [0]
    assert len(open_study(toy_data, "other", storage=storage).trials) == 2


def test_fresh_refuses_a_study_in_use(toy_data, storage, short_grace_period):
    study = run(toy_data, num_trials=1, storage=storage)
    trial_id, is_over = study._storage.create_new_trial(study._study_id), threading.Event()

    def live():
        while not is_over.wait(0.2):
            study._storage.record_heartbeat(trial_id)

    other = threading.Thread(target=live)
    other.start()
    try:
        with pytest.raises(ValueError, match=r"search: another process is running .* 'two-layer'"):
            run(toy_data, num_trials=1, storage=storage, fresh=True)
    finally:
        is_over.set()
        other.join()
    assert len(open_study(toy_data, storage=storage).trials) == 2


def test_storage_is_found_from_any_folder(toy_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))

    def suggest(trial):  # as workers that were started elsewhere
        monkeypatch.chdir(tmp_path.parent)
        return small(trial)

    for storage in ("sqlite:///search.db", "sqlite:///~/new/search.db"):
        study = run(toy_data, suggest, 1, storage=storage)
        assert len(study.trials) == 1
        monkeypatch.chdir(tmp_path)
    assert (tmp_path / "search.db").exists()
    assert (tmp_path / "home/new/search.db").exists()


# A process of its own: a search of 8 trials, each at least 0.2 s long.
CHILD = """
import os, sys, time
import numpy as np
import search
import support.storage

support.storage.HEARTBEAT, support.storage.GRACE_PERIOD = 1, 2
rng = np.random.default_rng(1)
X = rng.random((400, 2)).astype(np.float32)
y = (X[:, 1] > X[:, 0] ** 2).astype(np.int64)
data = {"X_train": X[:300], "y_train": y[:300], "X_val": X[300:], "y_val": y[300:]}

def suggest(trial):
    time.sleep(0.2)
    trial.set_user_attr("pid", os.getpid())
    return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 1.0, log=True)}

if __name__ == "__main__":
    storage, workers = sys.argv[1], int(sys.argv[2])
    study = search.search(data, suggest, 8, storage=storage, workers=workers, verbose=False)
    print(len(search.table(study)))
"""


def start_child(storage, workers=1):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, storage, str(workers)],
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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_search_killed_at_random_moments(tmp_path, capsys):
    rng, kills, studies = random.Random(0), 0, 0
    while kills < 40:
        storage = f"sqlite:///{tmp_path}/search-{studies}.db"
        before = {}
        while True:
            child = start_child(storage, workers=2)
            try:
                out, errors = child.communicate(timeout=rng.uniform(0.5, 5))
                break
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate(timeout=20)  # returns when its workers have ended too
                kills += 1
            with suppress(KeyError):  # no study yet
                now = finished(storage)
                assert before.items() <= now.items()  # what was once kept stays kept
                before = now
        assert child.returncode == 0, errors
        assert len(finished(storage)) == 8
        assert int(out) >= 8  # those that were lost are in the table too
        studies += 1
    with capsys.disabled():
        print(f"\n{kills} kills of {studies} searches")


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_workers_of_a_killed_search_stop(storage):
    child = start_child(storage, workers=2)
    wait_for_trials(storage, 1)
    child.kill()
    child.communicate(timeout=20)  # returns when the last process that can print has ended


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_before_a_training_prevents_it(toy_data, storage, foreground, monkeypatch, capsys):
    def suggest(trial):
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        return small(trial)

    study = run(toy_data, suggest, 3, storage=storage)
    assert "Stopped by Ctrl-C: 1 of 3 trials are kept." in capsys.readouterr().out
    assert [trial.state for trial in study.trials] == [COMPLETE, FAIL]
    assert "epochs" not in study.trials[1].user_attrs
    assert study.trials[1].intermediate_values == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_keeps_what_is_done(storage):
    child = start_child(storage)
    wait_for_trials(storage, 2)
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "Stopped by Ctrl-C" in out
    assert 2 <= len(finished(storage)) < 8
