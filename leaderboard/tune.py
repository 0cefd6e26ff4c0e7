"""Trials: what the settings of a recipe are worth, measured on training images that are held back.

    python -m leaderboard.tune conv                           # the recipe as it is
    python -m leaderboard.tune conv elastic=1.2 dropout=0.5   # with other settings
    python -m leaderboard.tune conv normalization=batchnorm --seed 1
    python -m leaderboard.tune conv num_epochs=10 --search 8  # eight variants that Optuna chooses

A trial trains the first network of a recipe on the first 50,000 training images and measures it on
the last 10,000. MNIST's files hold the digits of one writer side by side, so most of those are
by other people than the first, as the test images are. The test images are not used.

Settings are fields of `Training`, arguments of its network and of `distort`, and deskew, which is
True or False. Each trial becomes a row of `TRIALS`, with all its settings, also those that are the
recipe's; what else was changed, in the code or the images, says its ``--note``. Its error and its
cross-entropy are means over the last three epochs. The latter says more: 10,000 images hold some 50
errors, which chance alone makes 7 more or less, but each image has its part in the cross-entropy.
Both are measured once more on the last epoch's network, with scores that are means over
`TTA_SHIFTS` of an image, shifted by a pixel.
"""

import argparse
import ast
import sys
import time
from contextlib import suppress
from functools import partial
from inspect import signature
from numbers import Real
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial
from threadpoolctl import threadpool_limits

from data_utils import load_mnist
from layers import softmax_loss
from leaderboard.augment import deskew
from leaderboard.recipes import RECIPES
from leaderboard.record import add_row, record
from leaderboard.training import flop, make_solver, predictor, prepare
from solver import DivergedError
from support.checks import check_choice

TRIALS = Path(__file__).parent / "trials.csv"
HELD_OUT = 10_000  # images at the end
LAST = 3  # epochs that a trial's measurements are the mean of
BATCH = 1000  # images that are run at a time, which bounds the memory

# What a trial can set, by what it belongs to.
NETWORK = ("hidden_dim", "num_filters", "dropout", "normalization", "reg")
DISTORTION = ("rotation", "scale", "shear", "shift", "elastic")
TRAINING = ("num_epochs", "learning_rate", "batch_size", "adversarial")
SETTINGS = (*NETWORK, "deskew", *DISTORTION, *TRAINING)
MEASURED = (
    *("error", "cross-entropy", "shifted error", "shifted cross-entropy"),
    *("TFLOP", "minutes"),
)
COLUMNS = ("recipe", "seed", *SETTINGS, *MEASURED, "note")

# What a search chooses from, of the settings that a recipe has and that are not given.
SPACE = {
    "rotation": FloatDistribution(0, 20),
    "scale": FloatDistribution(0, 0.25),
    "shear": FloatDistribution(0, 0.25),
    "shift": FloatDistribution(0, 4),
    "elastic": FloatDistribution(0, 3),
    "dropout": FloatDistribution(0, 0.7),
    "reg": FloatDistribution(1e-6, 1e-3, log=True),
    "learning_rate": FloatDistribution(0.01, 0.4, log=True),
    "batch_size": CategoricalDistribution([64, 128, 256]),
}


def settings_of(training):
    """All settings of a training by name, the defaults of its network and distortion included."""
    found = {name: getattr(training, name) for name in TRAINING}
    found["deskew"] = training.preprocess is deskew
    for function, names in ((training.network, NETWORK), (training.transform, DISTORTION)):
        parameters = signature(function).parameters if function else {}
        found |= {name: parameters[name].default for name in names if name in parameters}
    return found


def variant(training, settings):
    """The training with other settings, a dict; a name that it does not have is a ValueError."""
    for name, value in settings.items():
        check_choice("variant", settings_of(training), f"a setting of {training.name}", name=name)
        if name in TRAINING:
            training = training._replace(**{name: value})
        elif name == "deskew":
            training = training._replace(preprocess=deskew if value else None)
        else:
            part = "network" if name in NETWORK else "transform"
            changed = partial(getattr(training, part), **{name: value})
            training = training._replace(**{part: changed})
    return training


def held_out(data_dir=None):
    """The data of a trial, of the training images only, in the order in which they are stored."""
    data = load_mnist(data_dir, num_val=0, verbose=False)
    X, y = data["X_train"], data["y_train"]
    split = len(y) - HELD_OUT
    return {"X_train": X[:split], "y_train": y[:split], "X_val": X[split:], "y_val": y[split:]}


def run_trial(training, data, *, seed=0, verbose=True):
    """Train a network; its row of `COLUMNS`, a dict: None for settings that it does not have.

    Where the training diverges, error and cross-entropy are NaN. data is as `held_out` returns it
    and `prepare` has changed it. The minutes are the processor's, for training and measuring on one
    core.
    """
    measured, shifted = [], [np.nan, np.nan]

    def measure(solver):
        if solver.epoch > training.num_epochs - LAST:
            measured.append(_error_and_loss(solver.model, data))
        if solver.epoch == training.num_epochs:
            views = predictor([training._replace(preprocess=None, shifted=True)], [solver.model])
            shifted[:] = _error_and_loss(views, data)
        if verbose:
            print(f"epoch {solver.epoch}: {1 - solver.val_acc_history[-1]:.2%}", flush=True)

    start = time.process_time()
    solver = make_solver(training, data, seed, after_epoch=measure)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            solver.train()
        error, loss = np.mean(measured, axis=0)
    except DivergedError:
        error = loss = np.nan
    if solver.interrupted:
        raise KeyboardInterrupt
    return {
        **dict.fromkeys(COLUMNS),
        "recipe": training.name,
        "seed": seed,
        **settings_of(training),
        "error": round(error, 6),
        "cross-entropy": round(loss, 6),
        "shifted error": round(shifted[0], 6),
        "shifted cross-entropy": round(shifted[1], 6),
        "TFLOP": round(flop(training, data["X_train"]) / 1e12, 2),
        "minutes": round((time.process_time() - start) / 60, 2),
    }


def _error_and_loss(model, data):
    X, y = data["X_val"], data["y_val"]
    scores = [model.loss(X[i : i + BATCH]) for i in range(0, len(X), BATCH)]
    scores = np.concatenate(scores)
    return np.mean(scores.argmax(axis=1) != y), softmax_loss(scores, y)[0]


def suggest(training, space, path=TRIALS, note=None):
    """A value for each setting of the space, which Optuna chooses after the trials of a file (TPE).

    Those count that agree with the training in recipe and settings outside the space, and in note,
    whatever their seed.
    """
    trials = read_trials(path)
    # Also those that diverged: after one, the next suggestion must be another.
    sampler = optuna.samplers.TPESampler(n_startup_trials=5, multivariate=True, seed=len(trials))
    trials = trials.dropna(subset="cross-entropy")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    wanted = {"recipe": training.name, **settings_of(training), "note": note}
    for row in trials.to_dict("records"):
        if all(_agree(row[name], value) for name, value in wanted.items() if name not in space):
            params = {name: row[name] for name in space}
            with suppress(ValueError):  # of settings that are not in the space
                study.add_trial(
                    create_trial(value=row["cross-entropy"], params=params, distributions=space)
                )
    return study.ask(space).params


def _agree(written, value):
    """Whether a setting is the one that was written to a file."""
    if value is None:
        return pd.isna(written)
    return written == (value if isinstance(value, Real) else str(value))


def read_trials(path=TRIALS):
    """The trials of a file, a pandas.DataFrame with `COLUMNS`; none where there is no file.

    What is no such file is a ValueError.
    """
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    try:
        # A note is text, also one that reads like a number, or like what pandas takes for nothing.
        options = {"keep_default_na": False, "na_values": ""}
        trials = pd.read_csv(path, dtype={"note": str}, **options)
        if tuple(trials) != COLUMNS:
            raise ValueError("columns are missing")
    except ValueError as error:  # also those of pandas and of bytes that are not UTF-8
        raise ValueError(f"{path} is no file of trials: {error}") from error
    return trials


def main():
    arguments = _parse()
    given, note = dict(arguments.settings), arguments.note or None
    try:
        training = variant(RECIPES[arguments.name][0], given)
        space = {k: v for k, v in SPACE.items() if k in settings_of(training) and k not in given}
        data = prepare(training.preprocess, held_out(arguments.data))
        for _ in range(arguments.search or 1):
            chosen = suggest(training, space, arguments.trials, note) if arguments.search else {}
            print(arguments.name, *(f"{name}={value:.4g}" for name, value in chosen.items()))
            row = run_trial(variant(training, chosen), data, seed=arguments.seed)
            add_row(arguments.trials, {**row, "note": note})
            print(f"error {row['error']:.2%}, cross-entropy {row['cross-entropy']:.4f}")
    except (ValueError, TypeError) as error:
        sys.exit(f"tune: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped by Ctrl-C; the finished trials are in the file.")


def _parse():
    parser = argparse.ArgumentParser(
        description="Measure variants of a recipe on training images that are held back.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("name", choices=RECIPES, help="of the recipe, whose first network is trained")
    add("settings", type=_setting, nargs="*", metavar="NAME=VALUE", help="other than the recipe's")
    add(
        "--search", type=int, default=0, metavar="N", help="trials of which Optuna chooses the rest"
    )
    add("--seed", type=int, default=0, help="of the network and its training")
    add("--note", metavar="TEXT", help="what was changed besides, kept with the trial")
    add("--data", metavar="DIR", help="folder of MNIST; where None, it is looked for")
    file = partial(record, read=read_trials)
    add("--trials", type=file, metavar="CSV", default=TRIALS, help="file to add the trials to")
    return parser.parse_args()


def _setting(text):
    """The name and the value of NAME=VALUE."""
    name, _, value = text.partition("=")
    if name == "normalization":
        return name, value
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE, with a number") from error


if __name__ == "__main__":
    main()
