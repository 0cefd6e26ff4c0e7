"""Named training recipes: the settings behind the accuracies of this folder's README.

    python -m leaderboard.recipes elastic-800      # train, measure, write submission.csv
    python -m leaderboard.recipes best --seed 0 --data DIR --out submission.csv
    python -m leaderboard.recipes conv --set elastic=1.2 --set normalization=batchnorm
    python -m leaderboard.recipes conv --set elastic=1.2 --held-out --record leaderboard/trials.csv

Everything in a recipe was chosen on held-out training images, most of it in the trials of
`leaderboard.trials`; the test images are read once, at the end.
Each network trains on one core; those of an ensemble, several at a time. After every epoch
a checkpoint is written: the same command resumes where an earlier one was stopped or killed, and
does not train again what is finished. Several runs may share a folder of checkpoints, but only one
at a time trains a network.

``--set`` changes a field of `Training`, or an argument of the network or of `distort`, and
``--set deskew=False`` leaves digits slanted. ``--held-out`` makes a trial instead: the first
network of the recipe, measured on training images, without checkpoints. ``--record FILE`` adds what
was measured to a table of `leaderboard.record`. ``--all-images`` trains on the validation images
too: the last epoch counts, and nothing but the test images measures it. ``--curve PNG`` measures
smaller ensembles of the same networks too, and draws their errors. On images that are no
digits ``--undistorted`` leaves out what was made for digits::

    python -m leaderboard.recipes conv --undistorted --data FOLDER_OF_FASHION_MNIST
"""

import argparse
import ast
import sys
from contextlib import suppress
from functools import partial
from threading import Thread

import numpy as np
import pandas as pd
from joblib import delayed
from tqdm.auto import tqdm

from conv_net import ConvNet
from data_utils import HEADERS, load_mnist, save_submission
from fast.data_parallel import one_blas_thread
from fc_net import FullyConnectedNet
from leaderboard.augment import deskew, distort
from leaderboard.record import RUN_COLUMNS, TRIAL_COLUMNS, add_rows, summary  # noqa: F401
from leaderboard.training import Training, flop, make_solver, predictor, prepare, variant
from leaderboard.trials import held_out, run_trial
from support.checks import as_path, check_choice, check_integer
from support.examples import check_examples
from support.process import locked, parallel, start_manager

# Upright digits are turned and sheared by less than others are.
GENTLE = partial(distort, rotation=7.0, shear=0.04)
UPRIGHT = {"preprocess": deskew, "transform": GENTLE, "shifted": True}
UNDISTORTED = {"preprocess": None, "transform": None, "shifted": False}

FC_NET = partial(FullyConnectedNet, 784, reg=1e-5)
PLAIN_NET = partial(FC_NET, hidden_dim=[800, 800], reg=1e-4)
CONV_NET = partial(ConvNet, filter_size=3, hidden_dim=(256,), dropout=0.5, reg=1e-4)
CONV_NET = partial(CONV_NET, num_filters=(16, (32, 32), (64, 64)))
CONV_DISTORT = partial(distort, rotation=6.0, scale=0.08, shear=0.04, elastic=1.5)

QUICK = Training("quick", partial(FC_NET, hidden_dim=[400]), 11, adversarial=1.0)
PLAIN = Training("plain", PLAIN_NET, 30, batch_size=64, adversarial=1.0, shifted=True)
ELASTIC_800 = Training("elastic-800", partial(FC_NET, hidden_dim=[800]), 110, **UPRIGHT)
MINUTE = ELASTIC_800._replace(name="minute", num_epochs=18)
DEEP = Training("deep", partial(FC_NET, hidden_dim=[1500, 1000, 500]), 80, **UPRIGHT)
CONV = Training("conv", CONV_NET, 30, 0.08, 128, CONV_DISTORT, preprocess=deskew, shifted=True)
SHORT = CONV._replace(name="short", num_epochs=3, network=partial(CONV_NET, dropout=0.0))

# The networks of each recipe. The seed of the first is the recipe's, then they count up.
RECIPES = {
    "quick": [QUICK],
    "plain": [PLAIN],
    "minute": [MINUTE] * 2,
    "elastic-800": [ELASTIC_800],
    "short": [SHORT] * 2,
    "deep": [DEEP] * 2,
    "conv": [CONV],
    "best": [CONV] * 4,
    "fifteen": [CONV] * 15,
}


def trainings_of(name, settings=None, undistorted=False):
    """Return the trainings of a recipe with other settings, a dict: see `variant`."""
    check_choice("run", RECIPES, "that of a recipe; recipes are", name=name)
    kept = UNDISTORTED if undistorted else {}
    return [variant(training._replace(**kept), settings or {}) for training in RECIPES[name]]


def run(
    name,
    data,
    *,
    seed=0,
    checkpoints="checkpoints",
    workers=2,
    fresh=False,
    undistorted=False,
    settings=None,
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
    settings : dict, optional
        Other settings than the recipe's, as `variant` takes them. The checkpoints have names of
        their own.
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
    trainings = trainings_of(name, settings, undistorted)
    check_integer("run", 0, seed=seed)
    check_integer("run", workers=workers)
    data = check_examples("run", data)
    suffix = "".join(f"-{name}={value}" for name, value in (settings or {}).items())
    suffix += "-undistorted" * undistorted + "-all-images" * (len(data["y_val"]) == 0)
    trainings = [training._replace(name=training.name + suffix) for training in trainings]
    folder = as_path("run", checkpoints=checkpoints).absolute()  # in workers too
    if folder.is_file():
        raise ValueError(f"run: checkpoints must be a folder, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    # Once for all networks that want the same.
    prepared = {change: prepare(change, data) for change in {t.preprocess for t in trainings}}
    total = sum(training.num_epochs for training in trainings)
    with start_manager() as manager, tqdm(total=total, unit="epoch", disable=not verbose) as bar:
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
    nets, networks = zip(*results, strict=True)
    return predictor(trainings, nets), pd.DataFrame(networks)


def _train(training, seed, data, folder, fresh, reports):
    """Train one network of a recipe; return it and its row of the table."""

    def report(solver, epochs=1):
        reports.put((epochs, solver.best_val_acc))

    checkpoint = folder / f"{training.name}-{seed}.npz"
    with locked("run", checkpoint):
        if fresh:
            checkpoint.unlink(missing_ok=True)
        solver = make_solver(training, data, seed, after_epoch=report, checkpoint=checkpoint)
        if solver.epoch:
            report(solver, solver.epoch)  # what an earlier run has done
        with one_blas_thread:
            solver.train()
    if solver.interrupted:
        raise KeyboardInterrupt
    return solver.model, {
        "network": training.name,
        "seed": seed,
        "validation accuracy": solver.best_val_acc,
        "TFLOP": flop(training, data["X_train"]) / 1e12,
        "seconds": solver.seconds,
    }


def _show(reports, bar):
    """Keep the progress bar up to date until None is reported."""
    for epochs, accuracy in iter(reports.get, None):
        bar.set_postfix({"validation": f"{accuracy:.2%}"}, refresh=False)
        bar.update(epochs)


def main():
    arguments = _parse()
    columns = TRIAL_COLUMNS if arguments.held_out else RUN_COLUMNS
    try:
        for path in filter(None, (arguments.out, arguments.record, arguments.curve)):
            if not as_path("recipes", path=path).parent.is_dir():
                raise ValueError(f"there is no folder for {path}")
        if arguments.record:
            add_rows(arguments.record, columns)  # a wrong file is better refused before than after
        row = _trial(arguments) if arguments.held_out else _run(arguments)
        print(*(f"{name} {value}" for name, value in row.items()), sep="\n")
        if arguments.record:
            add_rows(arguments.record, columns, row)
    except (ValueError, TypeError, OSError) as error:
        sys.exit(f"recipes: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped by Ctrl-C; the same command resumes a recipe from its last checkpoint.")


def _trial(arguments):
    """Run a trial, and return its row; settings that have no column are part of its note."""
    training = trainings_of(arguments.name, arguments.settings, arguments.undistorted)[0]
    row = run_trial(training, held_out(arguments.data), seed=arguments.seed)
    notes = [f"{k}={v}" for k, v in arguments.settings.items() if k not in TRIAL_COLUMNS]
    return {**row, "note": "; ".join(filter(None, [*notes, arguments.note])) or None}


def _run(arguments):
    """Run a recipe, write the submission, and return the row of what was measured."""
    data = load_mnist(arguments.data, num_val=0 if arguments.all_images else None)
    names = "name", "seed", "checkpoints", "workers", "undistorted", "settings"
    model, networks = run(data=data, **{name: getattr(arguments, name) for name in names})
    print(networks.to_string(index=False))
    changes = "".join(f" --set {name}={value}" for name, value in arguments.settings.items())
    changes += " --undistorted" * arguments.undistorted + " --all-images" * arguments.all_images
    seconds = [networks["seconds"][i :: arguments.workers].sum() for i in range(arguments.workers)]
    measured = {"recipe": arguments.name + changes, "seed": arguments.seed}
    measured["TFLOP"] = round(networks["TFLOP"].sum(), 2)
    measured["minutes"] = round(max(seconds) / 60, 2)  # of the busiest worker
    if len(data["y_val"]):
        error = np.mean(model.predict(data["X_val"]) != data["y_val"])
        measured["validation error"] = round(error, 6)
    if "X_test" in data:
        predictions = model.predict(data["X_test"])
        if "y_test" in data:
            measured["test error"] = np.mean(predictions != data["y_test"])
            if arguments.curve:
                curve = model.error_by_number(data["X_test"], data["y_test"])
                print(curve.to_string(index=False))
                labels = {"ylabel": "test error in %", "legend": False}
                percent = 100 * curve.set_index("networks")
                axes = percent.plot(y="error", yerr="std", marker="o", **labels)
                axes.figure.savefig(arguments.curve)
        save_submission(arguments.out, predictions, header=arguments.header)
        print(f"{arguments.out}: {len(predictions):,} predictions")
    return measured


def _parse():
    parser = argparse.ArgumentParser(description="Train a recipe, or try settings of one.")
    add = parser.add_argument
    add("name", choices=RECIPES, help="of the recipe")
    add("--seed", type=int, default=0, help="of the first network")
    add("--data", metavar="DIR", help="folder of MNIST, which is looked for where none is given")
    add("--out", default="submission.csv", metavar="CSV", help="file of the submission")
    add("--header", choices=HEADERS, default=HEADERS[0], help="its first line")
    add("--checkpoints", metavar="DIR", default="checkpoints", help="folder to resume from")
    add("--workers", type=int, default=2, help="networks trained at a time")
    setting = {"type": _setting, "action": "append", "default": [], "metavar": "NAME=VALUE"}
    add("--set", dest="settings", help="another setting than the recipe's", **setting)
    add("--curve", metavar="PNG", help="picture to make of the error by number of networks")
    add("--undistorted", action="store_true", help="leave out what was made for digits")
    either = parser.add_mutually_exclusive_group().add_argument
    either("--all-images", action="store_true", help="train on the validation images too")
    either("--held-out", action="store_true", help="try the first network on training images")
    add("--note", metavar="TEXT", help="kept with a trial: what was changed in code or images")
    add("--record", metavar="CSV", help="file to add the measurements to")
    arguments = parser.parse_args()
    arguments.settings = dict(arguments.settings)
    if arguments.note and not arguments.held_out:
        parser.error("--note goes with --held-out")
    return arguments


def _setting(text):
    """Return the name and the value of NAME=VALUE; what is no literal of Python is text."""
    name, _, value = text.partition("=")
    with suppress(ValueError, SyntaxError):
        value = ast.literal_eval(value)
    return name, value


if __name__ == "__main__":
    main()
