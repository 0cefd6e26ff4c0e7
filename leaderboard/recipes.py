"""Named training recipes: the settings behind the accuracies of this folder's README.

    python -m leaderboard.recipes elastic-800      # train, measure, write submission.csv
    python -m leaderboard.recipes best --seed 0 --data DIR --out submission.csv

Everything in a recipe was chosen on images that were held back from the training images, most of it
in the trials of `leaderboard.tune`; the test images are read once, at the end.
Each network trains on one core; those of an ensemble, several at a time. After every epoch
a checkpoint is written: the same command resumes where an earlier one was stopped or killed, and
does not train again what is finished. Several runs may share a folder of checkpoints, but only one
at a time trains a network.

``--record leaderboard/recipes.csv`` adds what a run measured to that file, from which `summary`
makes the table of the notebook and of this folder's README. ``--all-images`` trains on the images
that would be held back too: the last epoch counts, and nothing but the test images measures it. On
images that are no digits ``--undistorted`` leaves out what was made for digits::

    python -m leaderboard.recipes conv --undistorted --data FOLDER_OF_FASHION_MNIST
"""

import argparse
import sys
from functools import partial
from threading import Thread

import numpy as np
import pandas as pd
from joblib import delayed
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from conv_net import ConvNet
from data_utils import HEADERS, load_mnist, save_submission
from fc_net import FullyConnectedNet
from leaderboard.augment import deskew, distort
from leaderboard.record import add_row, record, writable
from leaderboard.record import summary as summary  # of runs that --record has written
from leaderboard.training import Training, flop, make_solver, predictor, prepare
from support.checks import as_path, check_choice, check_integer
from support.examples import check_examples
from support.workers import locked, parallel, start_manager

# Upright digits are turned and sheared by less than others are.
UPRIGHT = {
    "preprocess": deskew,
    "transform": partial(distort, rotation=7.0, shear=0.04),
    "shifted": True,
}
FC_NET = partial(FullyConnectedNet, 784, reg=1e-5)

QUICK = Training("quick", partial(FC_NET, hidden_dim=[400]), 11, adversarial=1.0)
PLAIN = Training(
    "plain",
    partial(FC_NET, hidden_dim=[800, 800], reg=1e-4),
    30,
    batch_size=64,
    adversarial=1.0,
    shifted=True,
)
ELASTIC_800 = Training("elastic-800", partial(FC_NET, hidden_dim=[800]), 110, **UPRIGHT)
MINUTE = ELASTIC_800._replace(name="minute", num_epochs=18)
DEEP = Training("deep", partial(FC_NET, hidden_dim=[1000, 1000]), 80, **UPRIGHT)
CONV = Training(
    "conv",
    partial(
        ConvNet,
        num_filters=(16, (32, 32), (64, 64)),
        filter_size=3,
        hidden_dim=(256,),
        dropout=0.5,
        reg=1e-4,
    ),
    30,
    learning_rate=0.08,
    preprocess=deskew,
    transform=partial(distort, rotation=6.0, scale=0.08, shear=0.04, elastic=1.5),
    shifted=True,
)

# The networks of each recipe. The seed of the first is the recipe's, then they count up.
RECIPES = {
    "quick": [QUICK],
    "plain": [PLAIN],
    "minute": [MINUTE] * 2,
    "elastic-800": [ELASTIC_800],
    "deep": [DEEP] * 4,
    "conv": [CONV],
    "best": [CONV] * 4,
}


def run(
    name,
    data,
    *,
    seed=0,
    checkpoints="checkpoints",
    workers=2,
    fresh=False,
    undistorted=False,
    verbose=True,
):
    """Train the networks of a recipe.

    Parameters
    ----------
    name : str
        A key of `RECIPES`.
    data : dict
        As `load_mnist` returns it. Its test images are not looked at. Without validation images
        (``load_mnist(num_val=0)``) nothing chooses an epoch, and the last one counts; the
        checkpoints have names of their own.
    seed : int, default 0
        Of the first network and its training; the networks that follow count on.
    checkpoints : str or path, default 'checkpoints'
        Folder of the checkpoints; made where it does not exist.
    workers : int, default 2
        Processes that train side by side where a recipe has several networks.
    fresh : bool, default False
        Delete the checkpoints of these networks first.
    undistorted : bool, default False
        Leave out what was made for digits: distortions, setting them upright, and shifted views.
        The checkpoints have names of their own.
    verbose : bool, default True
        Show a progress bar.

    Returns
    -------
    model : Ensemble
        Of one network or several, each with the parameters of its best epoch (of its last, without
        validation images), and of several views of each image where the recipe says so.
    networks : pandas.DataFrame
        A row for each: ``network``, ``seed``, ``validation accuracy`` of its best epoch (NaN
        without validation images), and ``TFLOP`` and ``seconds`` that its training took (see
        `flop`).

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
    trainings = [_undistorted(t) if undistorted else t for t in RECIPES[name]]
    if len(data["y_val"]) == 0:
        trainings = [t._replace(name=f"{t.name}-all-images") for t in trainings]
    folder = as_path("run", checkpoints=checkpoints)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"run: checkpoints must be a folder: {error}") from error
    # Once for all networks that want the same.
    prepared = {change: prepare(change, data) for change in {t.preprocess for t in trainings}}
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
                delayed(_train)(t, seed + i, prepared[t.preprocess], folder, fresh, reports)
                for i, t in enumerate(trainings)
            )
        finally:
            reports.put(None)
            watcher.join()
    nets, accuracies, seconds = zip(*results, strict=True)
    networks = {
        "network": [training.name for training in trainings],
        "seed": range(seed, seed + len(trainings)),
        "validation accuracy": accuracies,
        "TFLOP": [flop(training, data["X_train"]) / 1e12 for training in trainings],
        "seconds": seconds,
    }
    return predictor(trainings, nets), pd.DataFrame(networks)


def _undistorted(training):
    name = f"{training.name}-undistorted"
    return training._replace(name=name, preprocess=None, transform=None, shifted=False)


def _train(training, seed, data, folder, fresh, reports):
    """One network of a recipe, its best validation accuracy, its seconds."""

    def report(solver):
        reports.put((seed, solver.epoch, solver.best_val_acc))

    checkpoint = folder / f"{training.name}-{seed}.npz"
    with locked("run", checkpoint):
        if fresh:
            checkpoint.unlink(missing_ok=True)
        solver = make_solver(training, data, seed, after_epoch=report, checkpoint=checkpoint)
        if solver.epoch:
            report(solver)  # what an earlier run has done
        with threadpool_limits(limits=1, user_api="blas"):
            solver.train()
    if solver.interrupted:
        raise KeyboardInterrupt
    return solver.model, solver.best_val_acc, solver.seconds


def _show(reports, bar):
    """Keep the progress bar up to date until None is reported."""
    epochs, best = {}, {}
    for seed, epoch, accuracy in iter(reports.get, None):
        epochs[seed], best[seed] = epoch, accuracy
        if not np.isnan(accuracy):  # as it is without validation images
            bar.set_postfix({"validation": f"{max(best.values()):.2%}"}, refresh=False)
        bar.update(sum(epochs.values()) - bar.n)


def main():
    arguments = _parse()
    data = load_mnist(arguments.data, num_val=0 if arguments.all_images else None)
    try:
        names = "seed", "checkpoints", "workers", "undistorted"
        options = {name: getattr(arguments, name) for name in names}
        model, networks = run(arguments.name, data, **options)
    except KeyboardInterrupt:
        sys.exit("Stopped by Ctrl-C; the same command resumes from the last checkpoint.")
    for row in networks.to_dict("records"):
        accuracy = row["validation accuracy"]
        said = "" if np.isnan(accuracy) else f"validation accuracy {accuracy:.2%}, "
        print(f"{row['network']}, seed {row['seed']}: {said}{row['seconds']:.0f} s of training")
    changed = " --undistorted" * arguments.undistorted + " --all-images" * arguments.all_images
    measured = {
        "recipe": arguments.name + changed,
        "seed": arguments.seed,
        "validation error": None,
        "test error": None,
        "TFLOP": round(networks["TFLOP"].sum(), 2),
        "minutes": round(_side_by_side(networks["seconds"], arguments.workers) / 60, 2),
    }
    if len(data["y_val"]):
        error = np.mean(model.predict(data["X_val"]) != data["y_val"])
        measured["validation error"] = round(error, 6)
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
    else:
        print("There are no test images, so no submission is written.")
    if arguments.record:
        add_row(arguments.record, measured)


def _parse():
    parser = argparse.ArgumentParser(
        description="Train a recipe and write the submission CSV.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("name", choices=RECIPES, help="of the recipe")
    add("--seed", type=int, default=0, help="of the first network")
    add("--data", metavar="DIR", help="folder of MNIST; where None, it is looked for")
    add("--out", type=writable, default="submission.csv", help="file of the submission")
    lines = {"choices": HEADERS, "default": HEADERS[0], "metavar": "LINE"}
    add("--header", help=f"its first line: {' or '.join(HEADERS)}", **lines)
    add("--checkpoints", metavar="DIR", default="checkpoints", help="folder to resume from")
    add("--workers", type=int, default=2, help="networks trained at a time")
    add("--undistorted", action="store_true", help="leave out what was made for digits")
    add("--all-images", action="store_true", help="train on the validation images too")
    add("--record", metavar="CSV", type=record, help="file to add the measurements to")
    return parser.parse_args()


def _side_by_side(seconds, workers):
    """How long the workers take, each of which takes the next network as soon as it is free."""
    busy = np.zeros(min(workers, len(seconds)))
    for time in seconds:
        busy[busy.argmin()] += time
    return busy.max()


if __name__ == "__main__":
    main()
