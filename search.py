"""Hyperparameter search: an Optuna study whose trials train this project's networks.

    python search.py                        # 40 trials of the two-layer network, two at a time
    python search.py --trials 80            # the same study, resumed, up to 80
    python search.py --storage URL          # where the study is kept; share it to share the work

Optuna chooses the settings, stops poor trials early and keeps everything in a database, by default
the file search.db. A search that was interrupted, or killed, resumes where it stopped when the same
command is given again. Commands that run at the same time with the same ``--storage`` and
``--name`` share the trials between them: SQLite, the default, will do for the processes of one
machine; for several machines give them all the URL of a PostgreSQL or MySQL database, such as
``postgresql://user:password@host/database``, and install its Python driver.
"""

import argparse
import time
import warnings
import zlib
from functools import partial

import numpy as np
import optuna
import pandas as pd
from joblib import Parallel, delayed
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from data_utils import load_mnist
from fc_net import FullyConnectedNet
from solver import DivergedError, Solver
from support.checks import check_integer
from support.storage import open_storage

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

POLL = 1.0  # seconds between looks at what other processes have done
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


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
    unknown key, or a value that the network or `Solver` refuses, is a ValueError.
    """
    if unknown := set(settings) - set(DEFAULTS):
        raise ValueError(
            f"make_solver: settings has {', '.join(sorted(unknown))}; known are "
            f"{', '.join(DEFAULTS)}"
        )
    settings = {**DEFAULTS, **settings}
    net = FullyConnectedNet(
        int(np.prod(data["X_train"].shape[1:])),
        settings["hidden_dim"],
        num_classes=int(np.max(data["y_train"])) + 1,
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


def open_study(data, name="two-layer", *, runs=None, storage=STORAGE):
    """Open a stored study, or begin it. Trials whose process was killed wait to be run again.

    Arguments are as those of `search`; runs is the list of settings where it was given one. A study
    that was begun on other data (by its labels) or another list is a ValueError.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # A list of runs is to be trained as it stands; otherwise poor trials make room for others.
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    labels = [np.asarray(data[part], np.int64) for part in ("y_train", "y_val")]
    identity = {"labels": [[len(y), zlib.crc32(y.tobytes())] for y in labels], "runs": runs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            study_name=name,
            storage=open_storage(storage),
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.NopPruner() if runs else pruner,
        )
        fail_stale_trials(study)
    known = study.user_attrs.get("identity")
    if known is None:
        study.set_user_attr("identity", identity)
    elif known != identity:
        raise ValueError(
            f"open_study: the stored study {name!r} was begun on other data or another list of "
            "runs; give this one another name, or delete that one"
        )
    return study


def search(
    data,
    suggest,
    num_trials=None,
    name="two-layer",
    *,
    storage=STORAGE,
    workers=2,
    seed=0,
    verbose=True,
):
    """Run trials until a stored study has enough of them.

    A trial is pruned after an epoch, from the second on, when its best validation accuracy so far
    is below the median of the earlier trials' at that epoch. One that diverges counts with the
    accuracy that it had reached. Ctrl-C ends the search and keeps the finished trials; calling it
    again resumes. Trials whose process was killed are run again with the same settings.

    Parameters
    ----------
    data : dict
        ``X_train``, ``y_train``, ``X_val``, ``y_val``. The workers share one copy in memory.
    suggest : callable, or list of dict
        ``suggest(trial)`` returns the settings of an `optuna.Trial`, any of the keys of `DEFAULTS`.
        A list holds the settings of all trials to be run, one each; none of them is pruned.
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
    verbose : bool, default True
        Show a progress bar.

    Returns
    -------
    study : optuna.Study

    Raises
    ------
    ValueError
        If the study was begun on other data, or a trial's settings are bad.
    """
    runs = None if callable(suggest) else list(suggest)
    if runs is not None:
        suggest, num_trials = partial(_from_list, runs), len(runs)
    check_integer("search", num_trials=num_trials, workers=workers)
    study = open_study(data, name, runs=runs, storage=storage)
    for i in range(len(runs or [])):
        study.enqueue_trial({"run": i}, skip_if_exists=True)
    data = {key: data[key] for key in ("X_train", "y_train", "X_val", "y_val")}
    task = delayed(_run_trial)(data, suggest, num_trials, name, runs, storage, seed)
    with tqdm(total=num_trials, unit="trial", disable=not verbose) as bar:
        try:
            while (missing := num_trials - _show(study, bar)) > 0:
                for _ in Parallel(workers, return_as="generator_unordered")([task] * missing):
                    _show(study, bar)
                if _show(study, bar) < num_trials:
                    time.sleep(POLL)  # what is left runs in other processes
        except KeyboardInterrupt:
            print(f"Stopped by Ctrl-C: {bar.n} of {num_trials} trials are kept.")
    return study


def _from_list(runs, trial):
    """The settings that a trial of a list takes."""
    return runs[trial.suggest_int("run", 0, len(runs) - 1)]


def _show(study, bar):
    """Bring the progress bar up to date; the number of finished trials."""
    trials = study.get_trials(deepcopy=False, states=FINISHED)
    if trials:
        best = max(trial.user_attrs["validation accuracy"] for trial in trials)
        bar.set_postfix({"best": f"{best:.2%}"}, refresh=False)
    bar.n = len(trials)
    bar.refresh()
    return len(trials)


def _run_trial(data, suggest, num_trials, name, runs, storage, seed):
    """What a worker does for each trial, if the study still needs one."""
    study = open_study(data, name, runs=runs, storage=storage)
    taken = study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING))
    if len(taken) < num_trials:
        study.optimize(partial(_objective, data=data, suggest=suggest, seed=seed), n_trials=1)


def _objective(trial, data, suggest, seed):
    """Train the network of one trial and record what came of it."""
    # The numbers of trials differ, so processes that begin together do not draw the same settings.
    trial.study.sampler = optuna.samplers.TPESampler(seed=seed + trial.number, multivariate=False)
    settings = trial.user_attrs.get("settings")  # of a killed trial, which is run again
    if settings is None:
        settings = {**DEFAULTS, "seed": seed + trial.number, **suggest(trial)}
        trial.set_user_attr("settings", settings)

    def after_epoch(solver):
        trial.report(solver.best_val_acc, solver.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    solver = make_solver(data, settings, verbose=False, after_epoch=after_epoch)
    outcome = "complete"
    try:
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
    results = {
        "outcome": outcome,
        "training accuracy": accuracies[0],
        "validation accuracy": accuracies[1],
        "epochs": solver.epoch,
    }
    for key, value in results.items():
        trial.set_user_attr(key, value)
    if outcome == "pruned":
        raise optuna.TrialPruned
    return results["validation accuracy"]


def table(study):
    """All trials of a study as a pandas.DataFrame, one a row, best first.

    The columns: number, every setting, outcome ('complete', 'pruned', 'diverged', or 'running' or
    'lost' where a process has it still or was killed), training and validation accuracy of its best
    epoch, epochs and seconds. `make_solver` and `train` with its settings repeat it to the bit.
    """
    states = {TrialState.RUNNING: "running", TrialState.FAIL: "lost"}
    rows = [
        {
            "trial": trial.number,
            **dict.fromkeys(DEFAULTS),
            **trial.user_attrs.get("settings", {}),
            "outcome": states.get(trial.state),
            **{key: value for key, value in trial.user_attrs.items() if key != "settings"},
            "seconds": trial.duration.total_seconds() if trial.duration else np.nan,
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]
    return pd.DataFrame(rows).sort_values("validation accuracy", ascending=False, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description="Search for the best two-layer network.")
    parser.add_argument("--trials", type=int, default=40, help="in all (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--storage", default=STORAGE, help="database (default: %(default)s)")
    parser.add_argument("--name", default="two-layer", help="of the study (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST (default: looked for)")
    arguments = parser.parse_args()
    study = search(
        load_mnist(arguments.data),
        two_layer,
        arguments.trials,
        arguments.name,
        storage=arguments.storage,
        workers=arguments.workers,
    )
    columns = ["learning_rate", "lr_decay", "batch_size", "hidden_dim", "weight_scale", "outcome"]
    columns += ["training accuracy", "validation accuracy", "epochs", "seconds"]
    print(table(study)[columns].head(10).to_string(float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
