"""Checkpoints, from which a training resumes with the same bits, and saved parameters.

Both are .npz files of plain arrays and JSON (see `support.npz`). What is read is compared with the
solver or network that it is to go into before that changes. A file that is damaged, or that is of
another model, other data or other settings, is a ValueError that names the file.
"""

import warnings
import zlib
from contextlib import contextmanager
from itertools import product

import numpy as np

from support.checks import check_integer, check_number
from support.npz import difference, load_npz, save_npz

# How far a run has come: what a checkpoint holds beside arrays.
PROGRESS = ("epoch", "iteration", "seconds", "train_acc_history", "val_acc_history", "best_val_acc")
# The parts of a checkpoint that must be those of the run, and what it is of where they are not.
IDENTITY = {"model": "another model", "data": "other data", "settings": "a run with other settings"}
CHECKED_EXAMPLES = 100  # of each array of examples, which may be large and on disk
SCORED_EXAMPLES = 4  # whose scores tell models apart that have the same parameters
SLACK_BYTES = 2**26  # beside the arrays whose sizes are known: histories, JSON, headers


def copy_params(params):
    """A copy of a dict of arrays."""
    return {name: value.copy() for name, value in params.items()}


def set_params(model, params):
    """Write params into the arrays that the model has."""
    for name, value in params.items():
        model.params[name][...] = value


def save_params(path, net):
    """Write a network's parameters."""
    save_npz(path, {"network": type(net).__name__}, net.params)


def load_params(path, net):
    """Read what `save_params` wrote for a network with the same parameters into a network."""
    max_bytes = SLACK_BYTES + sum(p.nbytes for p in net.params.values())
    _, arrays = load_npz(path, "saved parameters", max_bytes)
    theirs, ours = (
        {name: (p.shape, str(p.dtype)) for name, p in params.items()}
        for params in (arrays, net.params)
    )
    if what := difference(theirs, ours):
        raise ValueError(
            f"{type(net).__name__}: {path} holds the parameters of another network: {what}"
        )
    set_params(net, arrays)


def save_checkpoint(solver):
    """Write the solver's checkpoint, if it has one. Where that fails, the last one is kept."""
    if solver.checkpoint is None:
        return
    info = {
        "identity": _identity(solver),
        "rng": [rng.bit_generator.state for rng in solver.generators],
        **{name: getattr(solver, name) for name in PROGRESS},
    }
    arrays = {
        "loss_history": np.array(solver.loss_history),
        "scores": solver.model.loss(solver.X_train[:SCORED_EXAMPLES]),
    }
    if not solver.is_epoch_done:
        arrays["order"] = solver.order
    for name, config in solver.optim_configs.items():
        arrays[f"params/{name}"] = solver.model.params[name]
        arrays[f"best_params/{name}"] = solver.best_params[name]
        arrays.update({f"{key}/{name}": config[key] for key in _state_arrays(config)})
    try:
        save_npz(solver.checkpoint, info, arrays)
    except OSError as error:
        message = f"Solver: the checkpoint could not be written, the last one is kept: {error}"
        warnings.warn(message, stacklevel=3)


def load_checkpoint(solver):
    """Bring a new solver to where the run that wrote its checkpoint was."""
    path, params = solver.checkpoint, solver.model.params
    # Parameters, best parameters and up to three states of them; the order of the examples.
    max_bytes = 5 * sum(p.nbytes for p in params.values()) + 16 * len(solver.y_train) + SLACK_BYTES
    info, arrays = load_npz(path, "a checkpoint", max_bytes)
    here = _identity(solver)
    for part, what in IDENTITY.items():
        with _damaged(path):
            found = difference(info["identity"][part], here[part])
        if found:
            raise ValueError(f"Solver: the checkpoint {path} is of {what}: {found}")
    before = copy_params(params)
    with _damaged(path):
        state_arrays = _state_arrays(next(iter(solver.optim_configs.values())))
        kinds = {kind: {} for kind in ("params", "best_params", *state_arrays)}
        for kind, name in product(kinds, params):
            array = arrays[f"{kind}/{name}"]
            if (array.shape, array.dtype) != (params[name].shape, params[name].dtype):
                raise ValueError(f"{kind}/{name} is {array.dtype} {array.shape}")
            kinds[kind][name] = array
        progress = {name: info[name] for name in PROGRESS}
        check_integer("it", 0, epoch=progress["epoch"], iteration=progress["iteration"])
        check_number("it", seconds=progress["seconds"])
        loss_history, order = arrays["loss_history"].tolist(), None
        if progress["iteration"] % solver.iterations_per_epoch:
            order = arrays["order"]
            if not np.array_equal(np.sort(order), np.arange(len(solver.y_train))):
                raise ValueError("order is no order of the examples")
        for rng, state in zip(solver.generators, info["rng"], strict=True):
            rng.bit_generator.state = state
        set_params(solver.model, kinds["params"])
        ours, scores = solver.model.loss(solver.X_train[:SCORED_EXAMPLES]), arrays["scores"]
        same = ours.shape == scores.shape and np.allclose(ours, scores, 1e-3, 1e-3)
    if not same:
        set_params(solver.model, before)
        raise ValueError(
            f"Solver: the checkpoint {path} is of another model: its parameters fit, but this "
            "model computes other scores with them"
        )
    for name, value in progress.items():
        setattr(solver, name, value)
    for name, config in solver.optim_configs.items():
        config.update({key: kinds[key][name] for key in state_arrays})
        if "t" in config:  # the only number of a rule's state: it counts the steps
            config["t"] = solver.iteration
    solver.loss_history, solver.order = loss_history, order
    solver.last_params, solver.best_params = kinds["params"], kinds["best_params"]
    set_params(solver.model, solver.best_params)


def _state_arrays(config):
    return [key for key, value in config.items() if isinstance(value, np.ndarray)]


def _identity(solver):
    """What a checkpoint and the run that resumes from it must have in common."""
    data = {}
    for name in ("X_train", "y_train", "X_val", "y_val"):
        array = getattr(solver, name)
        step = 1 if name.startswith("y") else max(1, len(array) // CHECKED_EXAMPLES)
        checksum = zlib.crc32(np.ascontiguousarray(array[::step]).tobytes())
        data[name] = [list(array.shape), str(array.dtype), checksum]
    params = solver.model.params
    return {
        "model": {name: [list(p.shape), str(p.dtype)] for name, p in params.items()},
        "data": data,
        "settings": solver.settings,
    }


@contextmanager
def _damaged(path):
    """Say of a checkpoint that it is damaged, where its content is not what it must be."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"Solver: the checkpoint {path} is damaged: {error!r}") from error
