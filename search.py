"""Hyperparameter search: an Optuna study whose trials train this project's networks.

    python search.py                        # 40 trials of the two-layer network, two at a time
    python search.py --trials 80            # the same study, resumed, up to 80
    python search.py --fresh                # begin again
    python search.py --storage URL          # where the study is kept; share it to share the work

Optuna chooses the settings, stops poor trials early and keeps everything in a database, by default
the file search.db. A search that was interrupted, or killed, resumes where it stopped when the same
command is given again. Commands that run at the same time with the same ``--storage`` and
``--name`` share the trials between them: SQLite, the default, will do for the processes of one
machine; for several machines give them all the URL of a PostgreSQL or MySQL database, such as
``postgresql://user:password@host/database``, and install its Python driver.
"""

import argparse
import math
import time
from functools import partial

import numpy as np
import optuna
import pandas as pd
from joblib import delayed
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from data_utils import load_mnist
from fc_net import FullyConnectedNet
from solver import DivergedError, Solver
from support.checks import check_integer, check_kind
from support.examples import check_examples
from support.storage import (
    FINISHED,
    absolute_url,
    delete_stored,
    finished_trials,
    identity_of,
    open_stored,
    plain,
    queue_runs,
    run_trial,
)
from support.workers import parallel

STORAGE = "sqlite:///search.db"

# What a network and its training are made of, and the values that settings need not name.
DEFAULTS = {
    "hidden_dim": [100],
    "activation": "relu",
    "weight_scale": "he",
    "reg": 0.0,
    "update_rule": "sgd_momentum",
    "learning_rate": 0.1,
    "lr_decay": 0.9,
    "batch_size": 100,
    "num_epochs": 10,
    "seed": 0,
}

# What is kept of a trial beside its settings and its "mistakes", the indices of the validation
# images that the network of its best epoch gets wrong.
RESULTS = ("training accuracy", "validation accuracy", "epochs")

POLL = 1.0  # seconds between looks at what other processes have done


def two_layer(trial):
    """The search space of the two-layer network: the settings that an Optuna trial suggests.

    A dict with any of the keys of `DEFAULTS`.
    """
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 1.0, log=True),
        "lr_decay": trial.suggest_float("lr_decay", 0.6, 1.0),
        "batch_size": trial.suggest_categorical("batch_size", [50, 100, 200, 400]),
        "hidden_dim": [trial.suggest_categorical("hidden units", [50, 100, 200, 400, 800])],
        "weight_scale": trial.suggest_float("weight_scale", 1e-3, 0.3, log=True),
    }


def make_solver(data, settings, **options):
    """The network and the `Solver` that settings describe, not yet trained.

    data and options are as `Solver` takes them; settings has any of the keys of `DEFAULTS`. An
    unknown key, or a value that the network or `Solver` refuses, is a ValueError or TypeError.
    """
    X, y, *_ = check_examples("make_solver", data).values()
    settings = {**DEFAULTS, **plain("make_solver", DEFAULTS, settings=settings)}
    net = FullyConnectedNet(
        math.prod(X.shape[1:]),
        settings["hidden_dim"],
        num_classes=int(y.max()) + 1,
        weight_scale=settings["weight_scale"],
        reg=settings["reg"],
        seed=settings["seed"],
        activation=settings["activation"],
    )
    return Solver(
        net,
        data,
        settings["update_rule"],
        {"learning_rate": settings["learning_rate"]},
        settings["lr_decay"],
        settings["batch_size"],
        settings["num_epochs"],
        seed=settings["seed"],
        **options,
    )


def train(solver):
    """Train on one BLAS thread, as every trial of a search does.

    Two such trainings side by side are faster than one after the other on two threads each, and the
    number of threads may change the last bits of a sum: with one, the settings of a trial give the
    bits of that trial again.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        solver.train()


def open_study(data, name="two-layer", suggest=None, *, storage=STORAGE):
    """Open a stored study, or begin it. Trials whose process was killed wait to be run again.

    Arguments are as those of `search`. A study that was begun on other data, or with another
    suggest where it is given, is a ValueError.
    """
    check_kind("open_study", str, "a string", name=name)
    data = check_examples("open_study", data)
    if suggest is not None and not callable(suggest):
        suggest = _check_runs("open_study", suggest)
    return open_stored("open_study", storage, name, identity_of(data, suggest))


def search(
    data,
    suggest,
    num_trials=None,
    name="two-layer",
    *,
    storage=STORAGE,
    workers=2,
    seed=0,
    fresh=False,
    verbose=True,
):
    """Run trials until a stored study has enough of them.

    Once five trials have run to their end, another one is pruned after an epoch, from the second
    on, when its best validation accuracy so far is below the median of the complete trials' at that
    epoch. One that diverges counts with the accuracy that it had reached. Ctrl-C ends the search
    and keeps the finished trials; calling it again resumes. Trials whose process was killed are run
    again with the same settings. An error in a trial ends the search with that error.

    Parameters
    ----------
    data : dict
        ``X_train``, ``y_train``, ``X_val``, ``y_val``. The workers share one copy in memory.
    suggest : callable, or list of dict
        ``suggest(trial)`` returns the settings of an `optuna.Trial`, any of the keys of `DEFAULTS`.
        A list holds the settings of all trials to be run, one each; each is trained once, to its
        end.
    num_trials : int, optional
        Number of trials, complete or pruned, that the study is to have, from this and all other
        calls and processes together. When several reach the end at the same time there may be one
        more for each. Default: the length of the list.
    name : str, default 'two-layer'
        The study's name in the storage.
    storage : str, default `STORAGE`
        URL of the database in which the study is kept.
    workers : int, default 2
        Processes, each with one BLAS thread, that run a trial at a time.
    seed : int, default 0
        Trial number n has seed + n for what it draws and for its network, where its settings name
        no seed. With one worker the search is the same each time.
    fresh : bool, default False
        Delete the study first, if there is one; the others in the storage stay. While another
        process is running its trials, that is an error.
    verbose : bool, default True
        Show a progress bar.

    Returns
    -------
    study : optuna.Study

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, a trial's settings are bad, or the study was begun on other
        data or with another suggest.
    """
    check_kind("search", str, "a string", name=name)
    check_integer("search", workers=workers)
    check_integer("search", 0, seed=seed)
    data = check_examples("search", data)
    if len(data["y_val"]) == 0:
        raise ValueError("search: data must hold X_val and y_val, which trials are compared on")
    runs = []
    if not callable(suggest):
        suggest = _check_runs("search", suggest)
        runs = [{**DEFAULTS, "seed": int(seed) + i, **run} for i, run in enumerate(suggest)]
        if num_trials not in (None, len(runs)):
            raise ValueError(f"search: num_trials must be None or {len(runs)}, got {num_trials!r}")
        num_trials = len(runs)
        for run in runs:  # before the first is trained
            make_solver(data, run, verbose=False)
    check_integer("search", num_trials=num_trials)
    storage = absolute_url("search", storage)
    if fresh:
        delete_stored("search", storage, name)
    # Optuna trains a list as it stands; otherwise poor trials make room for others.
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    pruner = optuna.pruners.NopPruner() if runs else pruner
    reopen = partial(open_stored, "search", storage, name, identity_of(data, suggest), pruner)
    task = delayed(_run_trial)(reopen, data, suggest, num_trials, seed)
    study = reopen()
    with tqdm(total=num_trials, unit="trial", disable=not verbose) as bar:
        try:
            while (missing := num_trials - _show(study, bar)) > 0:
                queue_runs(study, runs)
                tasks = (task for _ in range(missing))
                for _ in parallel(min(workers, missing), return_as="generator_unordered")(tasks):
                    _show(study, bar)
                if _show(study, bar) < num_trials:
                    time.sleep(POLL)  # what is left runs in other processes
                    study = reopen()
        except KeyboardInterrupt:
            print(f"Stopped by Ctrl-C: {bar.n} of {num_trials} trials are kept.")
    return study


def _check_runs(function, suggest):
    """The settings of a list of runs, plain."""
    check_kind(function, (list, tuple), "a function or a list of dicts", suggest=suggest)
    if not suggest:
        raise ValueError(f"{function}: suggest must be a function or hold at least one dict")
    return [plain(function, DEFAULTS, **{f"suggest[{i}]": run}) for i, run in enumerate(suggest)]


def _show(study, bar):
    """Bring the progress bar up to date; the number of finished trials."""
    trials = finished_trials(study)
    accuracies = [trial.user_attrs.get("validation accuracy", 0.0) for trial in trials]
    if trials:
        bar.set_postfix({"best": f"{max(accuracies):.2%}"}, refresh=False)
    bar.n = len(trials)
    bar.refresh()
    return len(trials)


def _run_trial(reopen, data, suggest, num_trials, seed):
    """What a worker does for each trial."""
    objective = partial(_objective, data=data, suggest=suggest, seed=seed)
    run_trial(reopen(), objective, num_trials if callable(suggest) else None)


def _objective(trial, interrupt, data, suggest, seed):
    """Train the network of one trial and record what came of it."""
    # The numbers of trials differ, so processes that begin together do not draw the same settings.
    sampler_seed = (seed + trial.number) % 2**32  # as many as there are
    trial.study.sampler = optuna.samplers.TPESampler(seed=sampler_seed, multivariate=False)
    settings = trial.user_attrs.get("settings")  # of a list, or of a killed trial, run again
    if settings is None:
        suggested = plain("search", DEFAULTS, **{"what suggest returns": suggest(trial)})
        settings = {**DEFAULTS, "seed": int(seed) + trial.number, **suggested}
        trial.set_user_attr("settings", settings)

    def after_epoch(solver):
        trial.report(solver.best_val_acc, solver.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    solver = make_solver(data, settings, verbose=False, after_epoch=after_epoch)
    outcome = "complete"
    try:
        if interrupt.is_set():
            raise KeyboardInterrupt
        train(solver)
    except DivergedError:
        outcome = "diverged"
    except optuna.TrialPruned:
        outcome = "pruned"
    if solver.interrupted:
        raise KeyboardInterrupt
    accuracies = 0.0, 0.0  # of a network whose first scores are not finite
    if solver.best_params:
        accuracies = solver.check_accuracy(solver.X_train, solver.y_train), solver.best_val_acc
        wrong = solver.model.predict(data["X_val"]) != data["y_val"]
        trial.set_user_attr("mistakes", np.flatnonzero(wrong).tolist())
    for key, value in zip(RESULTS, (*accuracies, solver.epoch), strict=True):
        trial.set_user_attr(key, value)
    trial.set_user_attr("outcome", outcome)
    if outcome == "pruned":
        raise optuna.TrialPruned
    return accuracies[1]


def table(study):
    """All trials of a study as a pandas.DataFrame, one a row, best first.

    The columns: trial, its number; every setting; outcome ('complete', 'pruned', 'diverged', or
    'running' or 'lost' where a process has it still, or was killed or failed); training and
    validation accuracy of its best epoch, epochs and seconds. A trial that has no settings yet is
    left out. `make_solver` and `train` with a trial's settings repeat it to the bit.
    """
    check_kind("table", optuna.Study, "an optuna.Study", study=study)
    states = {TrialState.RUNNING: "running", TrialState.FAIL: "lost", TrialState.PRUNED: "pruned"}
    rows = [
        {
            "trial": trial.number,
            **trial.user_attrs["settings"],
            "outcome": states.get(trial.state, trial.user_attrs.get("outcome")),
            **{key: trial.user_attrs.get(key) for key in RESULTS if trial.state in FINISHED},
            "seconds": trial.duration.total_seconds() if trial.duration else None,
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
        and "settings" in trial.user_attrs
        and "superfluous" not in trial.user_attrs
    ]
    columns = ["trial", *DEFAULTS, "outcome", *RESULTS, "seconds"]
    numbers = ["training accuracy", "validation accuracy", "seconds"]
    trials = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, float))
    return trials.sort_values("validation accuracy", ascending=False, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description="Search for the best two-layer network.")
    parser.add_argument("--trials", type=int, default=40, help="in all (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--storage", default=STORAGE, help="database (default: %(default)s)")
    parser.add_argument("--name", default="two-layer", help="of the study (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST (default: looked for)")
    parser.add_argument("--fresh", action="store_true", help="begin the study again")
    arguments = parser.parse_args()
    study = search(
        load_mnist(arguments.data),
        two_layer,
        arguments.trials,
        arguments.name,
        storage=arguments.storage,
        workers=arguments.workers,
        fresh=arguments.fresh,
    )
    columns = ["learning_rate", "lr_decay", "batch_size", "hidden_dim", "weight_scale", "outcome"]
    columns += ["training accuracy", "validation accuracy", "epochs", "seconds"]
    print(table(study)[columns].head(10).to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
