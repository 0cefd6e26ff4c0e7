"""What several test files need: a small training and what it leaves behind."""

import os
import signal

import numpy as np

from fc_net import FullyConnectedNet
from solver import Solver


def toy_problem():
    """Two classes of points in the plane, told apart by a curve: learned in a second."""
    rng = np.random.default_rng(1)
    X = rng.random((400, 2)).astype(np.float32)
    y = (X[:, 1] > X[:, 0] ** 2).astype(np.int64)
    return {"X_train": X[:300], "y_train": y[:300], "X_val": X[300:], "y_val": y[300:]}


def make_solver(data, *, net=None, **options):
    """A Solver of the toy problem: 8 epochs of 10 iterations."""
    net = FullyConnectedNet(2, [16], 2, seed=0) if net is None else net
    defaults = {
        **{"update_rule": "sgd_momentum", "optim_config": {"learning_rate": 0.3}, "lr_decay": 0.9},
        **{"batch_size": 32, "num_epochs": 8, "verbose": False, "seed": 0},
    }
    return Solver(net, data, **{**defaults, **options})


def state(solver):
    """Everything that a run leaves behind, as bytes."""
    histories = solver.loss_history, solver.train_acc_history, solver.val_acc_history
    params = solver.best_params, solver.model.params, solver.last_params
    arrays = [*map(np.array, histories), *(p for ps in params for p in ps.values())]
    return [array.tobytes() for array in arrays]


def interrupted_after(n):
    """A transform that presses Ctrl-C in the middle of iteration n."""
    calls = []

    def transform(X, rng):
        calls.append(1)
        if len(calls) == n:
            os.kill(os.getpid(), signal.SIGINT)
        return X

    return transform


def noise(X, rng):
    """A transform that draws."""
    return X + 0.01 * rng.standard_normal(X.shape, dtype=np.float32)
