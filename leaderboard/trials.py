"""Trials: what the settings of a recipe are worth, measured on held-out training images.

A trial trains one network on the first 50,000 training images and measures it on the last 10,000.
MNIST's files hold the digits of one writer side by side, so most of those are by other people than
the first, as the test images are. The test images are not used.

Error and cross-entropy are means over the last three epochs. The latter says more: 10,000 images
hold some 50 errors, which chance alone makes 7 more or less, but each image has its part in the
cross-entropy. Both are measured once more on the last epoch's network, with scores that are means
over `TTA_SHIFTS` of an image, shifted by a pixel.
"""

import time
from contextlib import suppress

import numpy as np

from data_utils import load_mnist
from fast.data_parallel import one_blas_thread
from layers import softmax_loss
from leaderboard.training import flop, make_solver, predictor, prepare, settings_of
from solver import DivergedError

HELD_OUT = 10_000  # images at the end
LAST = 3  # epochs that a trial's measurements are the mean of
BATCH = 1000  # images that are run at a time, which bounds the memory


def held_out(data_dir=None):
    """Return the data of a trial: the training images, in the order in which they are stored."""
    data = load_mnist(data_dir, num_val=0, verbose=False)
    X, y = data["X_train"], data["y_train"]
    split = len(y) - HELD_OUT
    if split <= 0:
        raise ValueError(f"held_out: data_dir must hold over {HELD_OUT:,} images, got {len(y):,}")
    return {"X_train": X[:split], "y_train": y[:split], "X_val": X[split:], "y_val": y[split:]}


def run_trial(training, data, *, seed=0, verbose=True):
    """Train a network on data as `held_out` returns it; return a dict of settings and measurements.

    Where the training diverges, error and cross-entropy are NaN. The minutes are the processor's,
    for training and measuring on one core.
    """
    data = prepare(training.preprocess, data)
    views = training._replace(preprocess=None, shifted=True)  # of images that are prepared
    last, shifted = [], (np.nan, np.nan)

    def measure(solver):
        nonlocal shifted
        if solver.epoch > training.num_epochs - LAST:
            last.append(_error_and_loss(solver.model, data))
        if solver.epoch == training.num_epochs:
            shifted = _error_and_loss(predictor([views], [solver.model]), data)
        if verbose:
            print(f"epoch {solver.epoch}: {1 - solver.val_acc_history[-1]:.2%}", flush=True)

    start = time.process_time()
    solver = make_solver(training, data, seed, after_epoch=measure)
    with suppress(DivergedError), one_blas_thread:
        solver.train()
    if solver.interrupted:
        raise KeyboardInterrupt
    means = np.mean(last, axis=0) if solver.epoch == training.num_epochs else (np.nan, np.nan)
    names = "error", "cross-entropy", "shifted error", "shifted cross-entropy"
    return {
        "recipe": training.name,
        "seed": seed,
        **settings_of(training),
        **dict(zip(names, np.round([*means, *shifted], 6).tolist(), strict=True)),
        "TFLOP": round(flop(training, data["X_train"]) / 1e12, 2),
        "minutes": round((time.process_time() - start) / 60, 2),
    }


def _error_and_loss(model, data):
    X, y = data["X_val"], data["y_val"]
    scores = np.concatenate([model.loss(X[i : i + BATCH]) for i in range(0, len(X), BATCH)])
    return np.mean(scores.argmax(axis=1) != y), softmax_loss(scores, y)[0]
