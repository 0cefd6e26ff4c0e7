"""Named training recipes: the settings behind every accuracy that the README states.

    python -m leaderboard.recipes elastic-800      # train, measure, write submission.csv
    python -m leaderboard.recipes best --seed 0 --data DIR --out submission.csv

Everything in a recipe was chosen on validation images; the test images are read once, at the end.
Each network trains on one core; those of an ensemble, several at a time. After every epoch
a checkpoint is written: the same command resumes where an earlier one was stopped or killed, and
does not train again what is finished.

``--record leaderboard/recipes.csv`` adds what a run measured to that file, from which `summary`
makes the table of the notebook and of this folder's README.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from conv_net import ConvNet
from data_utils import load_mnist, save_submission
from fc_net import FullyConnectedNet
from leaderboard.augment import adversarial, deskew, distort
from leaderboard.ensemble import Ensemble
from optim import cosine
from solver import Solver
from support.checks import check_integer

WARM_UP = 0.02  # fraction of the training in which the learning rate rises


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

# The networks of each recipe. The seed of the first is the recipe's, then they count up.
RECIPES = {
    "quick": [QUICK],
    "plain": [PLAIN],
    "elastic-800": [ELASTIC_800],
    "deep": [DEEP] * 2,
    "conv": [CONV],
    "best": [CONV, CONV, DEEP, DEEP],
}


def run(name, data, *, seed=0, checkpoints="checkpoints", workers=2, verbose=True):
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
    ValueError
        If there is no such recipe, or a checkpoint is of other data or settings.
    """
    if name not in RECIPES:
        raise ValueError(f"run: recipes are {', '.join(RECIPES)}, got {name!r}")
    check_integer("run", 0, seed=seed)
    check_integer("run", workers=workers)
    trainings = RECIPES[name]
    folder = Path(checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    data = {key: data[key] for key in ("X_train", "y_train", "X_val", "y_val")}
    with (
        get_context("spawn").Manager() as manager,  # no fork: a notebook's kernel has threads
        tqdm(total=sum(t.num_epochs for t in trainings), unit="epoch", disable=not verbose) as bar,
    ):
        # The trainings report from their own processes.
        reports = manager.Queue()
        watcher = Thread(target=_show, args=(reports, bar))
        watcher.start()
        try:
            results = Parallel(min(workers, len(trainings)))(
                delayed(_train)(training, seed + i, data, folder, reports)
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


def _train(training, seed, data, folder, reports):
    """One network of a recipe, the validation accuracy of its best epoch, its seconds."""

    def report(solver):
        reports.put((seed, solver.epoch, solver.best_val_acc))

    net, transform = training.network(seed=seed), training.transform
    if training.preprocess:
        images = {key: training.preprocess(data[key]) for key in ("X_train", "X_val")}
        data = {**data, **images}
    if training.adversarial:
        transform = partial(adversarial, net=net, size=training.adversarial)
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
        checkpoint=folder / f"{training.name}-{seed}.npz",
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
    ``minutes`` of training; in the order of `RECIPES`.
    """
    runs = pd.read_csv(path).groupby("recipe", sort=False)
    table = runs.mean()[["validation error", "test error"]]
    table.insert(0, "seeds", runs.size())
    table["worst"] = runs["test error"].max()
    table["minutes"] = runs["minutes"].mean()
    return table.reindex([name for name in RECIPES if name in table.index]).reset_index()


def main():
    arguments = _parse()
    data = load_mnist(arguments.data)
    try:
        model, networks = run(
            arguments.name,
            data,
            seed=arguments.seed,
            checkpoints=arguments.checkpoints,
            workers=arguments.workers,
        )
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
        save_submission(arguments.out, predictions, num_images=len(data["X_test"]))
        print(f"{arguments.out}: {len(predictions):,} predictions")
    if arguments.record:
        path = Path(arguments.record)
        pd.DataFrame([measured]).to_csv(path, mode="a", header=not path.exists(), index=False)


def _parse():
    parser = argparse.ArgumentParser(description="Train a recipe and write the submission CSV.")
    parser.add_argument("name", choices=RECIPES, help="of the recipe")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST (default: looked for)")
    parser.add_argument("--out", default="submission.csv", help="default: %(default)s")
    parser.add_argument(
        "--checkpoints", metavar="DIR", default="checkpoints", help="default: %(default)s"
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="networks trained at a time (default: %(default)s)"
    )
    parser.add_argument("--record", metavar="CSV", help="file to add the measurements to")
    return parser.parse_args()


def _side_by_side(seconds, workers):
    """How long the workers take, each of which takes the next network as soon as it is free."""
    busy = np.zeros(min(workers, len(seconds)))
    for time in seconds:
        busy[busy.argmin()] += time
    return busy.max()


if __name__ == "__main__":
    main()
