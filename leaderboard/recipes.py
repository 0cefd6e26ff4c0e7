"""Named training recipes: the settings behind every accuracy that the README states.

    python -m leaderboard.recipes elastic-800      # train, measure, write submission.csv
    python -m leaderboard.recipes best --seed 0 --data DIR --out submission.csv

Everything in a recipe was chosen on validation images; the test images are read once, at the end.
Each network trains on one core; those of an ensemble, several at a time. After every epoch
a checkpoint is written: the same command resumes where an earlier one was stopped or killed, and
does not train again what is finished. Several runs may share a folder of checkpoints, but only one
at a time trains a network.

``--record leaderboard/recipes.csv`` adds what a run measured to that file, from which `summary`
makes the table of the notebook and of this folder's README.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from conv_net import ConvNet
from data_utils import HEADERS, load_mnist, save_submission
from fc_net import FullyConnectedNet
from leaderboard.augment import adversarial, deskew, distort
from leaderboard.ensemble import Ensemble
from optim import cosine
from solver import Solver
from support.checks import as_path, check_choice, check_integer
from support.examples import check_examples
from support.workers import locked, parallel, start_manager

WARM_UP = 0.02  # fraction of the training in which the learning rate rises
OUT_BYTES = 2**20  # more than any file that the command writes at its end


class Training(NamedTuple):
    """How one network is trained: momentum 0.9, and a learning rate that falls on a cosine to 0.

    Before that it rises, for the first 2% of the training.

    Attributes
    ----------
    name : str
        Of its checkpoints.
    network : callable
        ``network(seed=seed)`` is the untrained network.
    num_epochs : int
    learning_rate : float
        The highest, after the warm-up.
    batch_size : int
    transform : callable or None
        As `Solver` takes it.
    adversarial : float
        Where above 0, the transform is `adversarial`, of this size.
    preprocess : callable or None
        What is made of all images, before anything else.
    """

    name: str
    network: Callable
    num_epochs: int
    learning_rate: float = 0.1
    batch_size: int = 128
    transform: Callable | None = None
    adversarial: float = 0.0
    preprocess: Callable | None = None


# Upright digits are turned and sheared by less than others are.
UPRIGHT = {"preprocess": deskew, "transform": partial(distort, rotation=7.0, shear=0.04)}

QUICK = Training("quick", partial(FullyConnectedNet, 784, [400], reg=1e-5), 8, adversarial=0.7)
PLAIN = Training(
    "plain", partial(FullyConnectedNet, 784, [800, 800], reg=1e-5), 30, adversarial=1.0
)
ELASTIC_800 = Training(
    "elastic-800", partial(FullyConnectedNet, 784, [800], reg=1e-5), 75, **UPRIGHT
)
DEEP = Training("deep", partial(FullyConnectedNet, 784, [1000, 1000], reg=1e-5), 90, **UPRIGHT)
CONV = Training(
    "conv",
    partial(ConvNet, num_filters=(16, (32, 32), (64, 64)), filter_size=3, reg=1e-5),
    20,
    learning_rate=0.08,
    transform=distort,
)

RECORD = Path(__file__).parent / "recipes.csv"
MEASURED = ("recipe", "seed", "validation error", "test error", "minutes")

# The networks of each recipe. The seed of the first is the recipe's, then they count up.
RECIPES = {
    "quick": [QUICK],
    "plain": [PLAIN],
    "elastic-800": [ELASTIC_800],
    "deep": [DEEP] * 2,
    "conv": [CONV],
    "best": [CONV, CONV, DEEP, DEEP],
}


def run(name, data, *, seed=0, checkpoints="checkpoints", workers=2, fresh=False, verbose=True):
    """Train the networks of a recipe.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    data : dict
        As `load_mnist` returns it. Its test images are not looked at.
    seed : int, default 0
        Of the first network and its training; the networks that follow count on.
    checkpoints : str or path, default 'checkpoints'
        Folder of the checkpoints; made where it does not exist.
    workers : int, default 2
        Processes that train side by side where a recipe has several networks.
    fresh : bool, default False
        Delete the checkpoints of these networks first.
    verbose : bool, default True
        Show a progress bar.

    Returns
    -------
    model : Ensemble
        Of one network or several, each with the parameters of its best epoch.
    networks : pandas.DataFrame
        A row for each: ``network``, ``seed``, ``validation accuracy`` of its best epoch, and
        ``seconds`` that its training took.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, a checkpoint is of other data or settings, or another process
        is training one of these networks in the folder.
    """
    check_choice("run", RECIPES, "that of a recipe; recipes are", name=name)
    check_integer("run", 0, seed=seed)
    check_integer("run", workers=workers)
    data = check_examples("run", data)
    if len(data["y_val"]) == 0:
        raise ValueError("run: data must hold X_val and y_val, which choose the best epoch")
    trainings = RECIPES[name]
    folder = as_path("run", checkpoints=checkpoints)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"run: checkpoints must be a folder: {error}") from error
    with (
        start_manager() as manager,
        tqdm(total=sum(t.num_epochs for t in trainings), unit="epoch", disable=not verbose) as bar,
    ):
        # The trainings report from their own processes.
        reports = manager.Queue()
        watcher = Thread(target=_show, args=(reports, bar))
        watcher.start()
        try:
            results = parallel(min(workers, len(trainings)))(
                delayed(_train)(training, seed + i, data, folder, fresh, reports)
                for i, training in enumerate(trainings)
            )
        finally:
            reports.put(None)
            watcher.join()
    nets, accuracies, seconds = zip(*results, strict=True)
    preprocess = [training.preprocess for training in trainings]
    networks = {
        "network": [training.name for training in trainings],
        "seed": range(seed, seed + len(trainings)),
        "validation accuracy": accuracies,
        "seconds": seconds,
    }
    return Ensemble(nets, preprocess), pd.DataFrame(networks)


def _train(training, seed, data, folder, fresh, reports):
    """One network of a recipe, the validation accuracy of its best epoch, its seconds."""

    def report(solver):
        reports.put((seed, solver.epoch, solver.best_val_acc))

    net, transform = training.network(seed=seed), training.transform
    if training.preprocess:
        images = {key: training.preprocess(data[key]) for key in ("X_train", "X_val")}
        data = {**data, **images}
    if training.adversarial:
        transform = partial(adversarial, net=net, size=training.adversarial)
    checkpoint = folder / f"{training.name}-{seed}.npz"
    with locked("run", checkpoint):
        if fresh:
            checkpoint.unlink(missing_ok=True)
        solver = Solver(
            net,
            data,
            "sgd_momentum",
            {"learning_rate": training.learning_rate},
            batch_size=training.batch_size,
            num_epochs=training.num_epochs,
            verbose=False,
            schedule=partial(cosine, warm_up=WARM_UP),
            transform=transform,
            after_epoch=report,
            checkpoint=checkpoint,
            seed=seed,
        )
        if solver.epoch:
            report(solver)  # what an earlier run has done
        with threadpool_limits(limits=1, user_api="blas"):
            solver.train()
    if solver.interrupted:
        raise KeyboardInterrupt
    return net, solver.best_val_acc, solver.seconds


def _show(reports, bar):
    """Keep the progress bar up to date until None is reported."""
    epochs, best = {}, {}
    for seed, epoch, accuracy in iter(reports.get, None):
        epochs[seed], best[seed] = epoch, accuracy
        bar.set_postfix({"validation": f"{max(best.values()):.2%}"}, refresh=False)
        bar.update(sum(epochs.values()) - bar.n)


def summary(path=RECORD):
    """What the runs that ``--record`` has written to a file have measured: a row a recipe.

    Number of ``seeds``, mean ``validation error``, mean and ``worst`` of the ``test error``, mean
    ``minutes`` of training; in the order of `RECIPES`. What is no such file is a ValueError.
    """
    runs = _read_record(as_path("summary", path=path)).groupby("recipe", sort=False)
    table = runs.mean()[["validation error", "test error"]]
    table.insert(0, "seeds", runs.size())
    table["worst"] = runs["test error"].max()
    table["minutes"] = runs["minutes"].mean()
    return table.reindex([name for name in RECIPES if name in table.index]).reset_index()


def _read_record(path):
    try:
        runs = pd.read_csv(path, dtype=dict.fromkeys(MEASURED[1:], float))
        if tuple(runs) != MEASURED or runs.drop(columns="test error").isna().any(axis=None):
            raise ValueError("columns or values are missing")
    except ValueError as error:  # also those of pandas and of bytes that are not UTF-8
        raise ValueError(f"{path} is no record of runs, {', '.join(MEASURED)}: {error}") from error
    return runs


def main():
    arguments = _parse()
    data = load_mnist(arguments.data)
    try:
        options = {name: getattr(arguments, name) for name in ("seed", "checkpoints", "workers")}
        model, networks = run(arguments.name, data, **options)
    except KeyboardInterrupt:
        sys.exit("Stopped by Ctrl-C; the same command resumes from the last checkpoint.")
    for row in networks.to_dict("records"):
        print(
            f"{row['network']}, seed {row['seed']}: "
            f"validation accuracy {row['validation accuracy']:.2%}, "
            f"{row['seconds']:.0f} s of training"
        )
    error = np.mean(model.predict(data["X_val"]) != data["y_val"])
    measured = {
        "recipe": arguments.name,
        "seed": arguments.seed,
        "validation error": round(error, 6),
        "test error": None,
        "minutes": round(_side_by_side(networks["seconds"], arguments.workers) / 60, 2),
    }
    print(f"{arguments.name}: validation error {error:.2%}")
    if "X_test" in data:
        predictions = model.predict(data["X_test"])
        if "y_test" in data:
            measured["test error"] = error = np.mean(predictions != data["y_test"])
            print(f"test error {error:.2%} of {len(predictions):,}")
        save_submission(
            arguments.out, predictions, header=arguments.header, num_images=len(data["X_test"])
        )
        print(f"{arguments.out}: {len(predictions):,} predictions")
    if path := arguments.record:
        pd.DataFrame([measured]).to_csv(path, mode="a", header=not path.exists(), index=False)


def _parse():
    parser = argparse.ArgumentParser(
        description="Train a recipe and write the submission CSV.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("name", choices=RECIPES, help="of the recipe")
    add("--seed", type=int, default=0, help="of the first network")
    add("--data", metavar="DIR", help="folder of MNIST; where None, it is looked for")
    add("--out", type=_writable, default="submission.csv", help="file of the submission")
    lines = {"choices": HEADERS, "default": HEADERS[0], "metavar": "LINE"}
    add("--header", help=f"its first line: {' or '.join(HEADERS)}", **lines)
    add("--checkpoints", metavar="DIR", default="checkpoints", help="folder to resume from")
    add("--workers", type=int, default=2, help="networks trained at a time")
    add("--record", metavar="CSV", type=_record, help="file to add the measurements to")
    return parser.parse_args()


def _writable(name):
    """A path for a file, of which it is known before the training that it can be written."""
    try:
        path = as_path("recipes", path=name)
        if path.exists() and not (path.is_file() or path.is_dir()):
            return path  # a pipe or a device
        file = Path(os.path.realpath(path))
        if file.exists():
            os.close(os.open(file, os.O_WRONLY))
        with tempfile.TemporaryFile(dir=file.parent) as trial:
            trial.write(bytes(OUT_BYTES))
    except (OSError, ValueError) as error:
        message = f"{name} cannot be written: {getattr(error, 'strerror', error)}"
        raise argparse.ArgumentTypeError(message) from error
    return path


def _record(path):
    """A path for a record of runs, new or begun already."""
    path = _writable(path)
    try:
        if path.exists():
            _read_record(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
    return path


def _side_by_side(seconds, workers):
    """How long the workers take, each of which takes the next network as soon as it is free."""
    busy = np.zeros(min(workers, len(seconds)))
    for time in seconds:
        busy[busy.argmin()] += time
    return busy.max()


if __name__ == "__main__":
    main()
