"""Search: what a study keeps, and that several processes, Ctrl-C and kill -9 lose nothing."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import optuna
import pytest
from helpers import toy_problem
from optuna.trial import TrialState

import search
from search import DEFAULTS, FINISHED, make_solver, open_study, table, train
from vis_utils import format_table

COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED
ANOTHER = r"^search: .*two-layer.* suggest"  # what a study that does not fit is refused with


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/search.db"


def space(low=0.01, **fixed):
    """Return a function that suggests; with other arguments, what an edit makes of it."""

    def suggest(trial):
        rate = trial.suggest_float("learning_rate", low, 1.0, log=True)
        activation = trial.suggest_categorical("activation", ("relu", "tanh"))
        return {"learning_rate": rate, "activation": activation, "num_epochs": 3, **fixed}

    return suggest


def first_calling(function):
    """Return a function that suggests, and does something before the first trial is drawn."""

    def suggest(trial):
        if trial.number == 0 and isinstance(trial, optuna.Trial):
            function()
        return space()(trial)

    return suggest


def run(data, suggest=space(), num_trials=None, **options):  # noqa: B008
    options = {"workers": 1, "verbose": False, **options}
    return search.search(data, suggest, num_trials, **options)


def test_search_keeps_every_trial(toy_data, storage):
    study = run(toy_data, num_trials=3, seed=7, storage=storage)
    results, before = table(study), study.trials
    assert results.sort_values("trial")["seed"].tolist() == [7, 8, 9]
    assert set(DEFAULTS) <= set(results.columns)
    assert results["validation accuracy"].is_monotonic_decreasing
    assert results["training accuracy"].between(0, 1).all()
    assert ((results["epochs"] == 3) & (results["seconds"] > 0)).all()
    assert study.best_value == results["validation accuracy"][0]
    assert table(run(toy_data, num_trials=2, storage=storage)).equals(results)  # has enough
    assert run(toy_data, num_trials=4, storage=storage).trials[:3] == before


def test_search_of_one_worker_is_reproducible(toy_data, tmp_path):
    urls = [f"sqlite:///{tmp_path}/{i}.db" for i in range(2)]
    studies = [run(toy_data, space(num_epochs=1), 11, storage=url) for url in urls]
    first, second = ([(t.params, t.value) for t in study.trials] for study in studies)
    assert first == second  # also the last one, which is drawn near the best of the first ten


def test_settings_repeat_a_trial_of_a_worker_process(toy_data, storage):
    study = run(toy_data, num_trials=2, storage=storage, workers=2)
    for trial in study.trials:
        solver = make_solver(toy_data, trial.user_attrs["settings"], verbose=False)
        train(solver)
        best = np.maximum.accumulate(solver.val_acc_history)[1:]
        assert trial.intermediate_values == dict(enumerate(best, 1))
        correct = solver.model.predict(toy_data["X_val"]) == toy_data["y_val"]
        assert trial.value == trial.user_attrs["validation accuracy"] == np.mean(correct)
        accuracy = solver.check_accuracy(toy_data["X_train"], toy_data["y_train"])
        assert trial.user_attrs["training accuracy"] == accuracy


def test_what_is_printed_is_what_a_trial_had(toy_data, storage):
    study = run(toy_data, search.two_layer, 2, storage=storage)
    for number, row in format_table(table(study)).iterrows():
        typed = {key: row[key] for key in DEFAULTS}
        for key in "learning_rate", "lr_decay", "weight_scale", "reg":
            typed[key] = float(row[key])
        assert typed == study.trials[number].user_attrs["settings"]


def test_outcomes(toy_data, storage):
    def suggest(trial):
        if trial.number == 0:
            raise optuna.TrialPruned
        rate = {1: 1e30, 7: 1e-9}.get(trial.number, 0.5)
        return {"learning_rate": rate, "num_epochs": 4, "seed": 1}

    study = run(toy_data, suggest, 8, storage=storage)
    results = table(study).sort_values("trial").set_index("trial")
    assert results["outcome"].tolist() == ["diverged", *["complete"] * 5, "pruned"]
    assert results["validation accuracy"][1] < results["validation accuracy"][2]
    assert results["epochs"][7] < 4
    assert [trial.state for trial in study.trials] == [PRUNED, *[COMPLETE] * 6, PRUNED]


def test_list_is_trained_as_it_stands(toy_data, storage):
    given = {"hidden_dim": (8,), "batch_size": np.int64(20), "num_epochs": np.array(2)}
    plain = {**DEFAULTS, "hidden_dim": [8], "batch_size": 20, "num_epochs": 2}
    rates = [0.3] * 6 + [1e-9]
    runs = [{"learning_rate": rate, **given} for rate in rates]
    for _ in range(2):  # the second call knows its own list again
        study = run(toy_data, runs, storage=storage, workers=2, seed=np.int64(5))
    kept = [trial.user_attrs["settings"] for trial in study.trials]
    assert kept == [{**plain, "learning_rate": r, "seed": 5 + i} for i, r in enumerate(rates)]
    assert (table(study)["outcome"] == "complete").all()


def other_part(data, key="X_train"):
    """Return the data with one number of one of the arrays changed."""
    changed = data[key].copy()
    changed[-1] = 1 - changed[-1]
    return {**data, key: changed}


RUNS = [{"learning_rate": rate, "num_epochs": 3} for rate in (0.1, 0.2, 0.3)]
EDITS = {
    "another fixed setting": (space(), space(reg=0.1)),
    "a parameter more": (search.two_layer, space()),
    "another range": (space(), space(low=0.001)),
    "a list": (lambda trial: RUNS[trial.number], RUNS),
    "another list": (RUNS, RUNS[::-1]),
    "a shorter list": (RUNS, RUNS[:2]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_other_suggest_is_refused(edit, toy_data, storage):
    before, after = EDITS[edit]
    study = run(toy_data, before, 3, storage=storage)
    with pytest.raises(ValueError, match=ANOTHER):
        run(toy_data, after, len(after) if isinstance(after, list) else 4, storage=storage)
    with pytest.raises(ValueError, match=ANOTHER.replace("search", "open_study")):
        open_study(toy_data, suggest=after, storage=storage)
    assert open_study(toy_data, suggest=before, storage=storage).trials == study.trials


def test_other_data_are_refused(toy_data, storage):
    run(toy_data, num_trials=1, storage=storage)
    for key in toy_data:
        with pytest.raises(ValueError, match=f"search: .*two-layer.*{key}"):
            run(other_part(toy_data, key), num_trials=2, storage=storage)


def test_other_suggest_that_begins_at_the_same_time_is_refused(toy_data, storage):
    def other_process():
        run(toy_data, space(reg=0.1), 2, storage=storage)

    with pytest.raises(ValueError, match=ANOTHER):
        run(toy_data, first_calling(other_process), 3, storage=storage)


def test_trial_of_unknown_origin_or_state_is_refused(toy_data, storage):
    known = run(toy_data, num_trials=1, storage=storage).trials[0]
    drawn, attrs = {"params": known.params, "distributions": known.distributions}, known.user_attrs
    failed, waiting = TrialState.FAIL, TrialState.WAITING
    for state, value, kept in (failed, None, attrs), (waiting, None, attrs), (COMPLETE, 0.5, {}):
        study = open_study(toy_data, state.name, storage=storage)
        study.add_trial(optuna.create_trial(state=state, value=value, user_attrs=kept, **drawn))
        with pytest.raises(ValueError, match=ANOTHER.replace("two-layer", state.name)):
            run(toy_data, num_trials=2, name=state.name, storage=storage)


def test_bad_settings_end_the_search(toy_data, storage):
    wrong = {"activation": "softplus"}
    # The settings of a list are looked at before the first is trained, and then nothing is kept.
    for suggest, name in [(space(**wrong), "two-layer")] * 2 + [([{}, wrong], "list")]:
        with pytest.raises(ValueError, match="activation"):
            run(toy_data, suggest, 2, name=name, storage=storage)
    assert optuna.get_all_study_names(storage) == ["two-layer"]
    run(toy_data, num_trials=2, storage=storage)  # nothing was trained: the mistake is put right


BAD = {
    "data": [None, {}, {**toy_problem(), "y_val": None}],
    "suggest": ["abc", [], [None], [{"rate": 1}], [{"reg": object()}], lambda trial: {"rate": 1}],
    **{"num_trials": [None, 1.0, 0], "name": [None], "storage": [None]},
    **{"seed": ["x", -1], "workers": [0]},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name, toy_data, storage):
    options = {"data": toy_data, "suggest": space(), "num_trials": 1, "storage": storage}
    for value in BAD[name]:
        with pytest.raises((TypeError, ValueError), match=f"^search: .*{name}"):
            run(**{**options, name: value})


@pytest.mark.filterwarnings("error")  # of a step that is reported again
@pytest.mark.parametrize("last", ["learning_rate", "activation", 2, "of a list"])
def test_open_trial_is_finished(last, toy_data, storage, tmp_path, monkeypatch):
    suggest, last = (RUNS, "outcome") if last == "of a list" else (space(), last)

    def kill(call):
        def killed(trial, *arguments, **options):
            if trial.number == 1 and last in arguments:
                raise MemoryError
            return call(trial, *arguments, **options)

        return killed

    with monkeypatch.context() as patch:
        for name in ("suggest_float", "suggest_categorical", "set_user_attr", "report"):
            patch.setattr(optuna.Trial, name, kill(getattr(optuna.Trial, name)))
        with pytest.raises(MemoryError):
            run(toy_data, suggest, 3, storage=storage)
    left = open_study(toy_data, storage=storage).trials[1]
    study = run(toy_data, suggest, 3, storage=storage)
    assert [trial.state for trial in study.trials] == [COMPLETE] * 3
    assert left.params.items() <= study.trials[1].params.items()
    if last != "activation":  # when half of its parameters were drawn
        whole = run(toy_data, suggest, 3, storage=f"sqlite:///{tmp_path}/whole.db")
        first, second = (table(each).drop(columns="seconds") for each in (study, whole))
        assert first.equals(second)
        first, second = ([t.intermediate_values for t in each.trials] for each in (study, whole))
        assert first == second


def test_first_result_of_a_trial_counts(toy_data, storage):
    first = []

    def other_process():  # which ends first
        first.extend(run(toy_data, num_trials=2, storage=storage).trials)

    assert run(toy_data, first_calling(other_process), 2, storage=storage).trials == first


def test_trial_too_many_waits_for_a_longer_search(toy_data, storage, monkeypatch):
    empty, ask = table(open_study(toy_data, storage=storage)), optuna.Study.ask

    def ask_second(study):  # another process begins a trial at the same moment
        ask(study)
        return ask(study)

    monkeypatch.setattr(optuna.Study, "ask", ask_second)
    for num_trials in (1, 3):
        results = table(run(toy_data, num_trials=num_trials, storage=storage))
        assert sorted(results["trial"]) == list(range(num_trials))
        assert list(results) == list(empty)


# A process of its own: searches of some trials, each at least 0.1 s long, one for each name.
CHILD = """
import os, sys, time
import optuna, search
sys.path.append("tests")
from helpers import toy_problem

def suggest(trial):
    if isinstance(trial, optuna.Trial):
        time.sleep(0.1)
        trial.set_user_attr("pid", os.getpid())
    rate = trial.suggest_float("learning_rate", 0.01, 1.0, log=True)
    return {"learning_rate": rate, "num_epochs": 3}

storage, workers, number, *names = sys.argv[1:]
options = {"storage": storage, "workers": int(workers), "verbose": False}
for name in names:
    study = search.search(toy_problem(), suggest, int(number), name, **options)
    print(len(study.trials), *{trial.user_attrs.get("pid") for trial in study.trials})
"""


def start_child(storage, workers=1, number=8, names=("two-layer",)):
    command = [sys.executable, "-c", CHILD, storage, str(workers), str(number), *names]
    options = {"cwd": Path(search.__file__).parent, "text": True}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def output(child):
    out, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    return out


def finished(storage, name="two-layer", number=0):
    """Return the finished trials of a study, by number, as soon as it has so many."""
    for _ in range(1000):
        with suppress(Exception):  # a child is still making the tables, or the study
            study = optuna.load_study(study_name=name, storage=storage)
            trials = {trial.number: trial for trial in study.get_trials(states=FINISHED)}
            if len(trials) >= number:
                return trials
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize("database", ["storage", pytest.param("postgres", marks=pytest.mark.slow)])
def test_two_processes_share_a_study(database, toy_data, request):
    """One of them is killed: the other ends with the number of trials."""
    storage, trials = request.getfixturevalue(database), {}
    killed, other = children = [start_child(storage, number=10) for _ in range(2)]
    while len(pids := {trial.user_attrs["pid"] for trial in trials.values()}) < 2:
        trials = finished(storage, number=len(trials) + 1)
    killed.kill()
    killed.communicate()
    assert output(other).startswith("10 ")
    trials = finished(storage)
    assert list(trials) == list(range(10))
    assert len({trial.params["learning_rate"] for trial in trials.values()}) == 10
    assert pids == {child.pid for child in children}
    with pytest.raises(ValueError, match=ANOTHER):
        run(toy_data, num_trials=8, storage=storage)
    assert len(run(toy_data, num_trials=2, storage=storage, fresh=True).trials) == 2


@pytest.fixture
def postgres():
    """Run a PostgreSQL server for one test, on a socket in a folder of its own; its URL."""
    pytest.importorskip("psycopg")
    folders = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    command = shutil.which("pg_ctl", path=os.pathsep.join(folders))
    if command is None or os.name == "nt":
        pytest.skip("needs pg_ctl, of PostgreSQL")
    user = "nobody" if os.getuid() == 0 else None  # the server refuses root

    def pg_ctl(*arguments):
        command_line = [command, "-D", f"{folder}/data", "-s", "-w", *arguments]
        subprocess.run(command_line, check=True, user=user, cwd=folder)

    with tempfile.TemporaryDirectory() as folder:  # only their owner may enter pytest's own folders
        shutil.chown(folder, user or os.getuid())
        pg_ctl("init", "-o", "-U me -A trust")
        pg_ctl("start", "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses=''")
        yield f"postgresql+psycopg://me@/postgres?host={folder}"
        pg_ctl("stop", "-m", "immediate")


def test_fresh_search_of_a_study_in_use(toy_data, storage):
    studies = {"same data": (toy_data, 1), "other data": (other_part(toy_data), 3)}
    child = start_child(storage, number=4, names=studies)
    for name, (data, number) in studies.items():
        finished(storage, name, number)
        mine = run(data, num_trials=2, name=name, storage=storage, fresh=True)
        assert list(finished(storage, name)) == [0, 1]
        assert not any("pid" in trial.user_attrs for trial in mine.trials)
        assert mine.trials == open_study(data, name, space(), storage=storage).trials
    assert output(child) == f"4 {child.pid}\n" * 2


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell that a parent is gone")
def test_killed_search_goes_on(storage):
    for number in 0, 3:
        child = start_child(storage, workers=2, number=6)
        kept = finished(storage, number=number)
        child.kill()
        child.communicate(timeout=20)  # returns when its workers have ended too
    assert output(start_child(storage, workers=2, number=6)).startswith("6 ")
    assert list(finished(storage)) == list(range(6))
    assert kept.items() <= finished(storage).items()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_keeps_what_is_done(storage, foreground):
    child = start_child(storage, workers=2)
    finished(storage, number=2)
    child.send_signal(signal.SIGINT)
    assert "Stopped by Ctrl-C" in output(child)
    assert 2 <= len(finished(storage)) < 8
