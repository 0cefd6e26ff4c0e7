"""Checkpoints, from which a training resumes with the same bits, and saved parameters.

Both are .npz files of plain arrays and JSON (see `support.npz`). What is read is compared with the
solver or network that it is to go into, and checked as a whole, before that changes. A file that is
damaged, or that is of another model, other data or other settings, is a ValueError that names it.
"""

import json
import warnings
import zlib
from contextlib import contextmanager
from itertools import product

import numpy as np

from support.checks import as_path, check_integer, check_number
from support.examples import PARTS
from support.identity import as_json, checksums, describe_function, describe_value, difference
from support.npz import load_npz, save_npz
from support.process import print_escaped

# How far a run has come: what a checkpoint holds beside arrays.
PROGRESS = (
    "epoch",
    "iteration",
    "seconds",
    "best_val_acc",
)
HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
SETTINGS = ("lr_decay", "batch_size", "num_train_samples", "num_val_samples")
# The parts of a checkpoint that must be those of the run, and what it is of where they are not.
IDENTITY = {"model": "another model", "data": "other data", "settings": "a run with other settings"}
SCORED_EXAMPLES = 4  # whose scores tell models apart that have the same parameters
SLACK_BYTES = 2**26  # beside the arrays whose sizes are known: histories, JSON, headers


def arrays_of(model):
    """All arrays that a training changes: the parameters, and the buffers of a model that has them.

    Buffers, such as running means, are what no gradient changes, but ``loss(X, y)`` itself.
    """
    return {**model.params, **getattr(model, "buffers", {})}


def copy_params(model):
    """Copies of a model's parameters and buffers by name."""
    return {name: array.copy() for name, array in arrays_of(model).items()}


def set_params(model, params):
    """Write params, and buffers among them, into the arrays that the model has."""
    arrays = arrays_of(model)
    for name, value in params.items():
        arrays[name][...] = value


def save_params(path, net):
    """Write a network's parameters and buffers."""
    path = as_path(f"{type(net).__name__}.save", path=path)
    save_npz(path, {"network": type(net).__name__}, arrays_of(net))


def load_params(path, net):
    """Read what `save_params` wrote for a network of the same shapes into a network."""
    path = as_path(f"{type(net).__name__}.load", path=path)
    max_bytes = SLACK_BYTES + sum(a.nbytes for a in arrays_of(net).values())
    _, arrays = load_npz(path, "saved parameters", max_bytes)
    theirs, ours = (
        {name: (p.shape, str(p.dtype)) for name, p in params.items()}
        for params in (arrays, arrays_of(net))
    )
    if what := difference(theirs, ours):
        raise ValueError(
            f"{type(net).__name__}: {path} holds the parameters of another network: {what}"
        )
    set_params(net, arrays)


def save_checkpoint(solver):
    """Write the solver's checkpoint, if it has one. Where that fails, the last one is kept."""
    if solver.checkpoint_name is not None and solver.is_epoch_done:
        _save_epoch(solver)
    if solver.checkpoint is None:
        return
    info = {
        "identity": identity(solver),
        "rng": [rng.bit_generator.state for rng in solver.generators],
        **{name: getattr(solver, name) for name in PROGRESS},
    }
    arrays = {
        **{name: np.array(getattr(solver, name), np.float64) for name in HISTORIES},
        "scores": solver.model.loss(solver.X_train[:SCORED_EXAMPLES]),
    }
    if not solver.is_epoch_done:
        arrays["order"] = solver.order
    for name, array in arrays_of(solver.model).items():
        arrays[f"params/{name}"] = array
        arrays[f"best_params/{name}"] = solver.best_params[name]
    for name, config in solver.optim_configs.items():
        arrays.update({f"{key}/{name}": config[key] for key in _state_arrays(config)})
    info["checksum"] = checksum(info, arrays)
    try:
        save_npz(solver.checkpoint, info, arrays)
    except OSError as error:
        message = f"Solver: the checkpoint could not be written, the last one is kept: {error}"
        warnings.warn(message, stacklevel=3)


def open_checkpoint(solver, path):
    """Resume from the checkpoint where it exists, or make the folder that it will be in."""
    solver.checkpoint = path = as_path("Solver", checkpoint=path)
    if path.is_dir():
        raise ValueError(f"Solver: checkpoint must be a file, {path} is a folder")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    load_checkpoint(solver)
    if solver.verbose:
        print_escaped(
            f"resuming from {path}: {solver.epoch} of {solver.num_epochs} epochs are done"
        )


def _save_epoch(solver):
    """Write the parameters after an epoch to a file of their own."""
    path = as_path("Solver", checkpoint_name=f"{solver.checkpoint_name}_epoch_{solver.epoch}.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_params(path, solver.model)
    except OSError as error:
        message = f"Solver: the parameters of epoch {solver.epoch} could not be written: {error}"
        warnings.warn(message, stacklevel=4)


def load_checkpoint(solver):
    """Bring a new solver to where the run that wrote its checkpoint was."""
    path = solver.checkpoint
    # Parameters, best parameters and up to three states of them; the order of the examples.
    max_bytes = 5 * sum(a.nbytes for a in arrays_of(solver.model).values())
    max_bytes += 16 * len(solver.y_train) + SLACK_BYTES
    info, arrays = load_npz(path, "a checkpoint", max_bytes)
    here = identity(solver)
    for part, what in IDENTITY.items():
        with _damaged(path):
            found = difference(info["identity"][part], here[part])
        if found:
            raise ValueError(f"Solver: the checkpoint {path} is of {what}: {found}")
    with _damaged(path):
        if info.pop("checksum") != checksum(info, arrays):
            raise ValueError("its content is not what was written")
        progress = _progress(solver, info)
        histories = _histories(solver, arrays, progress)
        order = _order(solver, arrays, progress["iteration"])
        kinds = _parameters(solver, arrays)
        for rng, state in zip(solver.generators, info["rng"], strict=True):
            _check_state(rng, state)
        scores = arrays["scores"]
    _check_scores(solver, kinds["params"], scores)
    for name, value in (progress | histories).items():
        setattr(solver, name, value)
    for rng, state in zip(solver.generators, info["rng"], strict=True):
        rng.bit_generator.state = state
    for name, config in solver.optim_configs.items():
        config.update({key: kinds[key][name] for key in _state_arrays(config)})
        if "t" in config:  # the only number of a rule's state: it counts the steps
            config["t"] = solver.iteration
    solver.order = order
    solver.last_params, solver.best_params = kinds["params"], kinds["best_params"]
    set_params(solver.model, solver.best_params)


def identity(solver):
    """What a checkpoint and the run that resumes from it must have in common, as JSON holds it."""
    if solver.data_checksums is None:  # the data do not change while it trains
        parts = {name: getattr(solver, name) for name in PARTS}
        solver.data_checksums = checksums(parts)
    params = {n: [p.shape, str(p.dtype)] for n, p in arrays_of(solver.model).items()}
    parts = {
        "model": {**params, **getattr(solver.model, "settings", {})},
        "data": solver.data_checksums,
        "settings": {
            "update_rule": solver.update_rule,
            **solver.optim_config,
            **{name: getattr(solver, name) for name in SETTINGS},
            "schedule": describe_function(solver.schedule),
            "transform": describe_function(solver.transform),
        },
    }
    return as_json(parts)


def checksum(info, arrays):
    """CRC-32 of what a checkpoint holds, so that an edited one is told from a written one."""
    crc = zlib.crc32(json.dumps(info, sort_keys=True, default=describe_value).encode())
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), crc)
    return crc


def _state_arrays(config):
    return [key for key, value in config.items() if isinstance(value, np.ndarray)]


def _progress(solver, info):
    """How far the run was, checked: kinds, ranges, and that the numbers agree."""
    progress = {name: info[name] for name in PROGRESS}
    epoch, iteration = progress["epoch"], progress["iteration"]
    check_integer("it", 0, epoch=epoch, iteration=iteration)
    check_number("it", seconds=progress["seconds"])
    if epoch != iteration // solver.iterations_per_epoch:
        raise ValueError(f"epoch {epoch} is not that of iteration {iteration}")
    return progress


def _histories(solver, arrays, progress):
    """Losses and accuracies: as many as there must be, finite, and with the best as said."""
    measured = progress["epoch"] + 1
    lengths = progress["iteration"], measured, measured if len(solver.y_val) else 0
    for name, length in zip(HISTORIES, lengths, strict=True):
        history = arrays[name]
        is_finite = history.dtype == np.float64 and np.isfinite(history).all()
        if not is_finite or history.shape != (length,):
            raise ValueError(f"{name} must hold {length} finite numbers")
        if name != "loss_history" and not ((history >= 0) & (history <= 1)).all():
            raise ValueError(f"{name} must hold numbers from 0 to 1")
    best = max(arrays["val_acc_history"], default=np.nan)
    if not np.array_equal(progress["best_val_acc"], best, equal_nan=True):
        raise ValueError(f"best_val_acc must be {best}, got {progress['best_val_acc']}")
    return {name: arrays[name].tolist() for name in HISTORIES}


def _order(solver, arrays, iteration):
    """The order of the examples, where an epoch is not done."""
    if iteration % solver.iterations_per_epoch == 0:
        return None
    order = arrays["order"]
    if not np.array_equal(np.sort(order), np.arange(len(solver.y_train))):
        raise ValueError("order is no order of the examples")
    return order


def _parameters(solver, arrays):
    """Parameters, best parameters and the arrays of the update rule's state, by kind and name."""
    ours, both = arrays_of(solver.model), ("params", "best_params")
    state_arrays = _state_arrays(next(iter(solver.optim_configs.values()), {}))
    kinds = {kind: {} for kind in (*both, *state_arrays)}
    for kind, name in [*product(both, ours), *product(state_arrays, solver.optim_configs)]:
        array = arrays[f"{kind}/{name}"]
        if (array.shape, array.dtype) != (ours[name].shape, ours[name].dtype):
            raise ValueError(f"{kind}/{name} is {array.dtype} {array.shape}")
        if kind in both and not np.isfinite(array).all():
            raise ValueError(f"{kind}/{name} is not finite")
        kinds[kind][name] = array
    return kinds


def _check_state(rng, state):
    """A state that a generator of this kind can have."""
    bit_generator = type(rng.bit_generator)()
    bit_generator.state = state
    if bit_generator.state != state:
        raise ValueError("rng is no state of a generator")


def _check_scores(solver, params, scores):
    """The model computes with the parameters what the model of the run computed with them."""
    before = copy_params(solver.model)
    set_params(solver.model, params)
    with _damaged(solver.checkpoint):
        ours = solver.model.loss(solver.X_train[:SCORED_EXAMPLES])
        same = ours.shape == scores.shape and np.allclose(ours, scores, 1e-3, 1e-3)
    set_params(solver.model, before)
    if not same:
        raise ValueError(
            f"Solver: the checkpoint {solver.checkpoint} is of another model: its parameters fit, "
            "but this model computes other scores with them"
        )


@contextmanager
def _damaged(path):
    """Say of a checkpoint that it is damaged, where its content is not what it must be."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"Solver: the checkpoint {path} is damaged: {error!r}") from error
