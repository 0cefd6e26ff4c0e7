"""Hyperparameter search: an Optuna study whose trials train this project's networks.

    python search.py                        # 40 trials of the two-layer network, two at a time
    python search.py --trials 80            # the same study, resumed, up to 80
    python search.py --fresh                # begin again
    python search.py --storage URL          # where the study is kept; share it to share the work

Optuna chooses the settings, stops poor trials early and keeps everything in a database, by default
the file search.db. Trials are numbered from 0, and the number tells what a trial draws. One that
was killed stays open under its number. When no other is left to begin, it is trained again with the
same settings. Commands with the same ``--storage`` and ``--name`` share the trials between them. No
process knows whether another is still alive, so the last open trials may be trained by several, and
the first result counts. A study has no trial too many.

For the processes of one machine SQLite, the default, will do. For two machines that have the same
data, make a database on one that the other reaches, and give both the same command:

    createdb digits
    pip install "psycopg[binary]"
    python search.py --trials 80 --storage postgresql+psycopg://user:password@host/digits

Every trial keeps what makes it comparable: a checksum of the data, what is measured, how poor
trials are stopped, and its settings. Before a trial counts, the function that suggested it is asked
again with the parameters in the database. It must ask for the same distributions and return the
same settings, so an edited function never shares a study with the old one.
"""

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from functools import partial

import optuna
import pandas as pd
from joblib import delayed
from optuna.trial import Trial, TrialState
from tqdm.auto import tqdm

from data_utils import load_mnist
from fast.data_parallel import one_blas_thread
from fc_net import FullyConnectedNet
from solver import DivergedError, Solver
from support.checkpoints import as_json, checksums
from support.checks import check_choice, check_integer, check_kind
from support.examples import check_examples
from support.process import parallel
from support.storage import FINISHED, check_trial, check_trials, defer_sigint, open_stored

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

# Columns of the table that follow the settings.
RESULTS = ("outcome", "training accuracy", "validation accuracy", "epochs", "seconds")


def two_layer(trial):
    """Return the settings that an Optuna trial suggests for the two-layer network.

    Numbers have three digits, as they are printed, so that what is printed can be typed in.
    """

    def number(name, low, high, **options):
        return float(f"{trial.suggest_float(name, low, high, **options):.3g}")

    return {
        "learning_rate": number("learning_rate", 0.01, 1.0, log=True),
        "lr_decay": number("lr_decay", 0.6, 1.0),
        "batch_size": trial.suggest_categorical("batch_size", [50, 100, 200, 400]),
        "hidden_dim": [trial.suggest_categorical("hidden units", [50, 100, 200, 400, 800])],
        "weight_scale": number("weight_scale", 1e-3, 0.3, log=True),
    }


def make_solver(data, settings, **options):
    """Return the `Solver` of the network that settings describe, not yet trained.

    data and options are as `Solver` takes them; settings has any of the keys of `DEFAULTS`. An
    unknown key, or a value that the network or `Solver` refuses, is a ValueError or TypeError.
    """
    X, y, *_ = check_examples("make_solver", data).values()
    settings = {**DEFAULTS, **_plain("make_solver", settings=settings)}
    of_net = ("hidden_dim", "activation", "weight_scale", "reg", "seed")
    of_solver = ("update_rule", "lr_decay", "batch_size", "num_epochs", "seed")
    sizes = {"input_dim": X[0].size, "num_classes": int(y.max()) + 1}
    net = FullyConnectedNet(**sizes, **{key: settings[key] for key in of_net})
    options |= {key: settings[key] for key in of_solver}
    return Solver(net, data, optim_config={"learning_rate": settings["learning_rate"]}, **options)


def train(solver):
    """Train on one BLAS thread, as every trial of a search does.

    Two such trainings side by side are faster than one after the other on two threads each, and the
    number of threads may change the last bits of a sum: with one, the settings of a trial give the
    bits of that trial again.
    """
    with one_blas_thread:
        solver.train()


def open_study(data, name="two-layer", suggest=None, *, storage=STORAGE):
    """Open a stored study, or begin it.

    Arguments are as those of `search`. A study that was begun on other data, or with another
    suggest where it is given, is a ValueError.
    """
    data = check_examples("open_study", data)
    if suggest is not None and not callable(suggest):
        suggest = _check_runs("open_study", suggest)
    study = open_stored("open_study", storage, name)
    settings_of = None if suggest is None else partial(_suggested, suggest)
    check_trials("open_study", study, _identity(data, suggest), settings_of)
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
    fresh=False,
    verbose=True,
):
    """Run trials until a stored study has enough of them.

    Once five trials have run to their end, another one is pruned after an epoch, from the second
    on, when its best validation accuracy so far is below the median of the complete trials' at that
    epoch. One that diverges counts with the accuracy that it had reached. Ctrl-C ends the search
    and keeps the finished trials; calling it again resumes. An error in a trial ends the search
    with that error, and the next call runs that trial again.

    Parameters
    ----------
    data : dict
        ``X_train``, ``y_train``, ``X_val``, ``y_val``. The workers share one copy in memory.
    suggest : callable, or list of dict
        ``suggest(trial)`` returns the settings of an `optuna.Trial`, any of the keys of `DEFAULTS`.
        It is called several times for a trial, also with an `optuna.trial.FixedTrial`, and must
        return the same each time. A list holds the settings of all trials to be run, one each; each
        is trained to its end.
    num_trials : int, optional
        Number of trials, complete or pruned, that the study is to have, from this and all other
        calls and processes together. Default: the length of the list.
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
        Begin a new study of that name. An earlier one stays in the storage, renamed by the date. A
        process that is searching it goes on with it.
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
    check_integer("search", 0, seed=seed)
    data = check_examples("search", data)
    if len(data["y_val"]) == 0:
        raise ValueError("search: data must hold X_val and y_val, which trials are compared on")
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    if not callable(suggest):
        pruner = optuna.pruners.NopPruner()  # a list is trained as it stands
        suggest = _check_runs("search", suggest)
        if num_trials not in (None, len(suggest)):
            raise ValueError(f"search: num_trials must be {len(suggest)}, got {num_trials!r}")
        num_trials = len(suggest)
        for run in suggest:  # before the first is trained
            make_solver(data, run, verbose=False)
    check_integer("search", workers=workers, num_trials=num_trials)
    study = open_stored("search", storage, name, pruner, fresh)
    parts = study, _identity(data, suggest), partial(_suggested, suggest), num_trials
    # A thread sends each task its study, while this one reads the study and so changes its cache.
    task = partial(delayed(_run_trial), deepcopy(study), *parts[1:], data, int(seed))
    with tqdm(total=num_trials, unit="trial", disable=not verbose) as bar:
        try:
            while trial_ids := _unfinished(*parts, bar):
                pool = parallel(min(workers, len(trial_ids)), return_as="generator_unordered")
                for _ in pool(task(trial_id) for trial_id in trial_ids):
                    _unfinished(*parts, bar)
        except KeyboardInterrupt:
            print(f"Stopped by Ctrl-C: {bar.n} of {num_trials} trials are kept.")
    return study


def _plain(function, **settings):
    """Return settings as JSON keeps them: tuples become lists, NumPy's numbers plain ones."""
    [(name, given)] = settings.items()
    check_kind(function, Mapping, "a dict", **settings)
    for key in given:
        check_choice(function, DEFAULTS, **{f"a key of {name}": key})
    try:
        return json.loads(json.dumps(dict(given), default=lambda value: value.tolist()))
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"{function}: {name} has what JSON does not: {error}") from error


def _check_runs(function, suggest):
    """Return the settings of a list of runs, plain."""
    check_kind(function, (list, tuple), "a function or a list of dicts", suggest=suggest)
    if not suggest:
        raise ValueError(f"{function}: suggest must be a function or hold at least one dict")
    return [_plain(function, **{f"suggest[{i}]": run}) for i, run in enumerate(suggest)]


def _suggested(suggest, trial, seed):
    """Return the settings of a trial, with that seed where they name none; None if it is rejected.

    suggest is a function, or a list, whose run that has the trial's number is the suggestion.
    """
    if not callable(suggest):
        return {**DEFAULTS, "seed": seed, **suggest[trial.number]}
    with suppress(optuna.TrialPruned):
        suggested = _plain("search", **{"what suggest returns": suggest(trial)})
        return {**DEFAULTS, "seed": seed, **suggested}


def _identity(data, suggest):
    """Return what all trials of a study have in common beside what they are suggested."""
    identity = {**checksums(data), "measure": "best validation accuracy of all epochs"}
    if suggest is not None:
        identity["pruning"] = "median" if callable(suggest) else "none"
    return as_json(identity)


def _unfinished(study, identity, settings_of, num_trials, bar):
    """Return what is left to do: a None for each trial to begin, else the ids of the open ones.

    Brings the progress bar up to date.
    """
    trials = check_trials("search", study, identity, settings_of)[:num_trials]
    accuracies = [trial.value or 0.0 for trial in trials if trial.state in FINISHED]
    bar.n = len(accuracies)
    bar.set_postfix({"best": f"{max(accuracies, default=0):.2%}"})
    to_begin = [None] * (num_trials - len(trials))
    return to_begin or [trial._trial_id for trial in trials if trial.state not in FINISHED]


def _run_trial(study, identity, settings_of, num_trials, data, seed, trial_id):
    """Begin a trial, or train the open one of that id again, in a worker."""
    # Where another process has finished the trial, its result counts.
    with defer_sigint() as interrupt, suppress(optuna.exceptions.UpdateFinishedTrialError):
        if trial_id is None and len(study.get_trials(deepcopy=False)) >= num_trials:
            return
        trial = study.ask() if trial_id is None else Trial(study, trial_id)
        if trial.number >= num_trials:  # another process has begun the last one at this moment
            return
        trial.set_user_attr("identity", identity)
        accuracy = _objective(trial, interrupt, identity, settings_of, data, seed + trial.number)
        state = TrialState.PRUNED if accuracy is None else TrialState.COMPLETE
        study.tell(trial, accuracy, state, skip_if_finished=True)


def _objective(trial, interrupt, identity, settings_of, data, seed):
    """Train the network of a trial and record what came of it.

    Returns the validation accuracy, None where the trial is rejected or pruned.
    """
    start, study = time.perf_counter(), trial.study
    # Numbers of trials differ, so processes that begin together do not draw the same settings.
    study.sampler = optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=False)
    if settings_of(trial, seed) is None:
        return None
    # If another process draws for the same trial, the first parameters are in the storage.
    stored = study.get_trials(deepcopy=False)[trial.number]
    settings = check_trial("search", study, stored, identity, settings_of, seed)

    def after_epoch(solver):
        if solver.epoch > (stored.last_step or 0):  # a killed process may have reported more
            trial.report(solver.best_val_acc, solver.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    solver = make_solver(data, settings, verbose=False, after_epoch=after_epoch)
    trial.set_user_attr("settings", settings)
    outcome = "complete"
    try:
        if not interrupt.is_set():
            train(solver)
    except DivergedError:
        outcome = "diverged"
    except optuna.TrialPruned:
        outcome = "pruned"
    if solver.interrupted or interrupt.is_set():
        raise KeyboardInterrupt
    accuracies = 0.0, 0.0  # of a network whose first scores are not finite
    if solver.best_params:
        accuracies = solver.check_accuracy(solver.X_train, solver.y_train), solver.best_val_acc
    results = outcome, *accuracies, solver.epoch, time.perf_counter() - start
    for key, value in zip(RESULTS, results, strict=True):
        trial.set_user_attr(key, value)
    return None if outcome == "pruned" else accuracies[1]


def table(study):
    """Return the finished trials of a study as a pandas.DataFrame, one a row, best first.

    The columns: trial, its number; every setting; outcome ('complete', 'pruned' or 'diverged');
    training and validation accuracy of its best epoch, epochs and seconds. A trial that suggest
    rejected has no row. `make_solver` and `train` with a trial's settings repeat it to the bit.
    """
    check_kind("table", optuna.Study, "an optuna.Study", study=study)
    rows = [
        {"trial": trial.number, **trial.user_attrs["settings"]}
        | {key: trial.user_attrs.get(key) for key in RESULTS}
        for trial in study.get_trials(deepcopy=False, states=FINISHED)
        if "settings" in trial.user_attrs
    ]
    numbers = ["training accuracy", "validation accuracy", "seconds"]
    columns = ["trial", *DEFAULTS, *RESULTS]
    trials = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, float))
    return trials.sort_values("validation accuracy", ascending=False, ignore_index=True)


def main():
    parser = argparse.ArgumentParser(description="Search for the best two-layer network.")
    add = parser.add_argument
    add("--trials", dest="num_trials", type=int, default=40, help="in all (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes (default: %(default)s)")
    add("--storage", default=STORAGE, help="database (default: %(default)s)")
    add("--name", default="two-layer", help="of the study (default: %(default)s)")
    add("--data", metavar="DIR", help="folder of MNIST (default: looked for)")
    add("--fresh", action="store_true", help="begin the study again")
    options = vars(parser.parse_args())
    study = search(load_mnist(options.pop("data")), two_layer, **options)
    best = table(study).drop(columns=["activation", "reg", "update_rule", "num_epochs", "seed"])
    print(best.head(10).to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
