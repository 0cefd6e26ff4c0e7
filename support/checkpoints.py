"""Checkpoints, from which a training resumes with the same bits, and saved parameters.

Both are .npz files of plain arrays; nothing is ever pickled or unpickled. What is no array in a
checkpoint is in a text in JSON, and a checksum covers both. A file is read as a whole, and compared
with the solver or network that it is to go into, before that changes. One that is damaged, or that
is of another model, other data or other settings, is a ValueError that names it.
"""

import io
import json
import warnings
import zlib
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real

import numpy as np

from support.checks import as_path
from support.examples import PARTS
from support.files import atomic_write
from support.process import print_escaped

PIECE = 1000  # examples of which a checksum is made at a time: they may be a file
INFO = "info"  # the member of a checkpoint that holds the JSON
LAYERS = "layers"  # that of saved parameters which says what computes with them
# How far a run has come: what a checkpoint holds beside arrays.
PROGRESS = ("epoch", "iteration", "seconds", "best_val_acc")
HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
SETTINGS = ("update_rule", "lr_decay", "batch_size", "num_train_samples", "num_val_samples")
SCORED_EXAMPLES = 4  # whose scores tell models apart that have the same parameters


def arrays_of(model):
    """Return all arrays that a training changes: a model's parameters, and buffers if it has them.

    Buffers, such as running means, are what no gradient changes, but ``loss(X, y)`` itself.
    """
    return {**model.params, **getattr(model, "buffers", {})}


def copy_params(model):
    """Return copies of a model's parameters and buffers by name."""
    return {name: array.copy() for name, array in arrays_of(model).items()}


def set_params(model, params):
    """Write params, and buffers among them, into the arrays that the model has."""
    arrays = arrays_of(model)
    for name, value in params.items():
        arrays[name][...] = value


def save_params(path, net):
    """Write a network's parameters and buffers."""
    path = as_path(f"{type(net).__name__}.save", path=path)
    with atomic_write(path) as file:
        np.savez(file, **arrays_of(net), **{LAYERS: np.array(_layers(net))})


def load_params(path, net):
    """Read what `save_params` wrote for a network of the same shapes into a network."""
    name = type(net).__name__
    path = as_path(f"{name}.load", path=path)
    arrays = _read_path(path, _read, "saved parameters")
    arrays.pop(INFO, None)  # which older files have
    layers = {LAYERS: str(arrays.pop(LAYERS, _layers(net)))}
    here = {**_shapes(arrays_of(net)), LAYERS: _layers(net)}
    if what := difference({**_shapes(arrays), **layers}, here):
        raise ValueError(f"{name}: {path} holds the parameters of another network: {what}")
    set_params(net, arrays)


def _layers(net):
    """Return as text the layers of a network that are not for training only, as dropout is."""
    pairs = zip(getattr(net, "layers", ()), getattr(net, "pairs", ()), strict=False)
    return repr([layer for layer, pair in pairs if pair.predict])


def open_checkpoint(solver, path):
    """Resume from the checkpoint where it exists, or make the folder that it will be in.

    A run that a checkpoint cannot keep is a ValueError.
    """
    solver.checkpoint = path = as_path("Solver", checkpoint=path)
    try:
        _rehearse(solver)
    except Exception as error:  # of whatever the caller's model and functions hold
        raise ValueError(f"Solver: checkpoint cannot keep this training: {error!r}") from error
    if path.exists():
        load_checkpoint(solver)
        if solver.verbose:
            print_escaped(f"resuming from {path}: {solver.epoch} of {solver.num_epochs} epochs")
    path.parent.mkdir(parents=True, exist_ok=True)


def save_checkpoint(solver):
    """Write the solver's checkpoint, if it has one. Where that fails, the last one is kept."""
    if solver.checkpoint_name is not None and solver.is_epoch_done:
        name = f"{solver.checkpoint_name}_epoch_{solver.epoch}.npz"
        path = as_path("Solver", checkpoint_name=name)
        with _warn_if_not_written(f"the parameters of epoch {solver.epoch}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_params(path, solver.model)
    if solver.checkpoint is None:
        return
    info, arrays = _pack(solver)
    arrays["scores"] = _scores(solver, {}, info["generators"])
    with _warn_if_not_written("the checkpoint"), atomic_write(solver.checkpoint) as file:
        _write_checkpoint(file, info, arrays)


@contextmanager
def _warn_if_not_written(what):
    try:
        yield
    except OSError as error:
        warnings.warn(f"Solver: {what} could not be written: {error}", stacklevel=5)


def load_checkpoint(solver):
    """Bring a new solver to where the run that wrote its checkpoint was."""
    path, model = solver.checkpoint, solver.model
    info, arrays = _read_path(path, _read_checkpoint, "a checkpoint")
    for what, here in identity(solver).items():
        if found := difference(info["identity"][what], here):
            raise ValueError(f"Solver: the checkpoint {path} is of {what}: {found}")
    last, best = (
        {name: arrays[f"{kind}/{name}"] for name in arrays_of(model)}
        for kind in ("params", "best_params")
    )
    scores, theirs = _scores(solver, last, info["generators"]), arrays["scores"]
    if scores.shape != theirs.shape or not np.allclose(scores, theirs, 1e-3, 1e-3, equal_nan=True):
        raise ValueError(f"Solver: the checkpoint {path} is of another model: scores differ")
    for name in PROGRESS:
        setattr(solver, name, info[name])
    for name in HISTORIES:
        setattr(solver, name, arrays[name].tolist())
    _set_generators(solver, info["generators"])
    for key, name, config in _rule_states(solver):
        array = arrays[f"{key}/{name}"]
        config[key] = array if isinstance(config[key], np.ndarray) else array.item()
    solver.order = arrays.get("order")
    solver.last_params, solver.best_params = last, best
    set_params(model, best)


def identity(solver):
    """Return what a checkpoint and the run that resumes from it must have in common, as JSON.

    Each part has the name of what a checkpoint is of where it differs.
    """
    if solver.data_checksums is None:  # the data do not change while it trains
        solver.data_checksums = checksums({name: getattr(solver, name) for name in PARTS})
    settings = {
        **{name: getattr(solver, name) for name in SETTINGS},
        **solver.optim_config,
        "schedule": describe_function(solver.schedule),
        "transform": describe_function(solver.transform),
        "generators": [type(rng.bit_generator).__name__ for rng in generators_of(solver)],
        "seed": solver.seed,
    }
    if solver.schedule:  # it sees the fraction of all epochs that is finished
        settings["num_epochs"] = solver.num_epochs
    shapes = _shapes(arrays_of(solver.model))
    parts = {
        "another model": {**shapes, **getattr(solver.model, "settings", {})},
        "other data": solver.data_checksums,
        "other settings": settings,
    }
    return as_json(parts)


def _pack(solver):
    """Return what a run must have to go on, but for its model's scores, as JSON and arrays."""
    info = {
        "identity": identity(solver),
        "generators": _generator_states(solver),
        **{name: getattr(solver, name) for name in PROGRESS},
    }
    arrays = {name: np.array(getattr(solver, name), np.float64) for name in HISTORIES}
    if not solver.is_epoch_done:
        arrays["order"] = solver.order
    arrays |= {f"params/{name}": array for name, array in arrays_of(solver.model).items()}
    arrays |= {f"best_params/{name}": array for name, array in solver.best_params.items()}
    for key, name, config in _rule_states(solver):
        arrays[f"{key}/{name}"] = np.asarray(config[key])
    return info, arrays


def _rehearse(solver):
    """Write and read a checkpoint in memory, so that a run does not end in one that is useless."""
    if shared := set(solver.model.params) & set(getattr(solver.model, "buffers", {})):
        raise ValueError(f"params and buffers of the model share the names {sorted(shared)}")
    if _draws_itself(solver.schedule) or _draws_itself(solver.transform):
        raise ValueError("schedule and transform must not have generators of their own")
    file = io.BytesIO()
    _write_checkpoint(file, *_pack(solver))
    file.seek(0)
    _set_generators(solver, _read_checkpoint(file)[0]["generators"])


def generators_of(solver):
    """Return all generators that a run draws from, a model's own (of dropout) among them."""
    rng = getattr(solver.model, "rng", None)
    return [solver.rng, solver.sample_rng, *([] if rng is None else [rng])]


def _draws_itself(function):
    """Return whether a generator is among the arguments of a partial, or of one in it."""
    if not isinstance(function, partial):
        return isinstance(function, np.random.Generator | np.random.RandomState)
    return any(map(_draws_itself, (*function.args, *function.keywords.values())))


def _generator_states(solver):
    """Return all that the numbers of each generator, and its children's, depend on."""
    generators = [rng.bit_generator for rng in generators_of(solver)]
    return [{"state": g.state, "seed": g.seed_seq.state} for g in generators]


def _set_generators(solver, states):
    for rng, found in zip(generators_of(solver), states, strict=True):
        rng.bit_generator.__setstate__((found["state"], np.random.SeedSequence(**found["seed"])))


def _rule_states(solver):
    """Return what the update rule keeps beside its options: key, parameter and its config."""
    configs = solver.optim_configs.items()
    return [(k, name, c) for name, c in configs for k in c if k not in solver.optim_config]


def _scores(solver, params, states):
    """Return scores with these parameters and states of generators; all is then as it was."""
    before = copy_params(solver.model), _generator_states(solver)
    try:
        set_params(solver.model, params)
        _set_generators(solver, states)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(solver.model.loss(solver.X_train[:SCORED_EXAMPLES]))
    finally:
        set_params(solver.model, before[0])
        _set_generators(solver, before[1])


def _shapes(arrays):
    return as_json({f"shape of {name}": [a.shape, str(a.dtype)] for name, a in arrays.items()})


def _write_checkpoint(file, info, arrays):
    """Write arrays by name, and a dict in JSON with the checksum of all."""
    text = _dumps({**info, "checksum": _checksum(info, arrays)})
    np.savez(file, **{INFO: np.frombuffer(text, np.uint8)}, **arrays)


def _read_checkpoint(file):
    """Read info and arrays that `_write_checkpoint` wrote, and that nothing has changed since."""
    arrays = _read(file)
    info = json.loads(arrays.pop(INFO).tobytes())
    if info.pop("checksum") != _checksum(info, arrays):
        raise ValueError("its content is not what was written")
    return info, arrays


def _read(file):
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_path(path, read, what):
    """Read a file that should be what is said: 'a checkpoint'."""
    with open(path, "rb") as file:
        try:
            return read(file)
        except Exception as error:  # whatever bytes of no meaning lead zipfile, NumPy and JSON to
            raise ValueError(f"{path} is damaged or not {what}: {error!r}") from error


def _checksum(info, arrays):
    return zlib.crc32(_dumps([info, as_json(arrays)]))


def _dumps(value):
    """Return JSON, with plain numbers and lists for those of NumPy."""
    return json.dumps(value, default=lambda value: value.tolist()).encode()


def checksums(arrays):
    """Return shape, dtype and CRC-32 of arrays by name, each as a whole."""
    found = {}
    for name, array in arrays.items():
        crc = 0
        for i in range(0, len(array), PIECE):
            crc = _crc32(array[i : i + PIECE], crc)
        found[name] = [list(array.shape), str(np.asarray(array[:1]).dtype), crc]
    return found


def _crc32(array, crc=0):
    array = np.ascontiguousarray(array)
    if array.dtype.hasobject:
        raise ValueError("an array of objects has no checksum")
    return zlib.crc32(array.tobytes(), crc)


def describe_function(function):
    """Return what can be known of a function: its name, and the arguments of a partial."""
    if isinstance(function, partial):
        arguments = {**dict(enumerate(function.args)), **function.keywords}
        return [describe_function(function.func), as_json(arguments)]
    return function and getattr(function, "__qualname__", type(function).__qualname__)


def as_json(value):
    """Return a value as it comes back from JSON, with what can be known of what JSON cannot keep.

    >>> as_json({"rate": np.float64(0.5), "sizes": (1, 2), "function": as_json})
    {'rate': 0.5, 'sizes': [1, 2], 'function': 'as_json'}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, dict):
        return {str(key): as_json(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return [list(value.shape), str(value.dtype), _crc32(value)]
    return describe_function(value)


def difference(there, here):
    """Return which entry of two dicts of JSON differs first, for a message; None where all agree.

    >>> difference({"b1": 2}, {"W1": 3, "b1": 2})
    'W1 is absent there and 3 here'
    """
    for key in [*there, *here]:
        a, b = there.get(key, "absent"), here.get(key, "absent")
        if a != b and repr(a) != repr(b):  # NaN differs from itself
            return f"{key} is {a} there and {b} here"
    return None
