"""Examples and their labels: checked, and run through a model in batches."""

import math
import warnings

import numpy as np

from support.checks import check_integer, check_kind, check_number, describe, is_exact_ndarray

PARTS = ("X_train", "y_train", "X_val", "y_val")
LOOKED_AT = 100  # examples
SMALL, LARGE = 0.004, 4.0  # mean absolute values between which pixels and standardized inputs are


class NotFiniteError(ValueError):
    """Scores are not finite: X or the parameters hold NaN, infinite or too large numbers."""

    def __init__(self, message, X):
        super().__init__(message)
        self.X = X


def check_model(function, model):
    """Check that a model has a dict ``params`` of float arrays and a method ``loss``."""
    params = getattr(model, "params", None)
    if not isinstance(params, dict) or not callable(getattr(model, "loss", None)):
        expected = "a model with a dict params and a method loss"
        raise TypeError(f"{function}: expected {expected}, got {describe(model)}")
    for name, w in params.items():
        if not is_exact_ndarray(w) or w.dtype.kind != "f":
            raise TypeError(
                f"{function}: params[{name!r}] must be a NumPy array of floats, got {describe(w)}"
            )


def check_examples(function, data):
    """Return the parts of a dict that training needs, checked; validation is empty where absent.

    X may be any array that is indexed by an array, a memory map too: only its shape is looked at,
    and whether the first floats are of a size that a network can work with.
    """
    check_kind(function, dict, "a dict", data=data)
    X, y = _check_part(function, data, "train")
    if len(y) == 0:
        raise ValueError(f"{function}: X_train holds no examples")
    validation = X[:0], y[:0]
    if any("val" in str(name) for name in data if data[name] is not None):  # X_valid is a mistake
        validation = _check_part(function, data, "val")
    return dict(zip(PARTS, (X, y, *validation), strict=True))


def _check_part(function, data, part):
    names = f"X_{part}", f"y_{part}"
    if missing := [name for name in names if data.get(name) is None]:
        keys = ", ".join(map(str, data)) or "no keys"
        raise ValueError(f"{function}: data lacks {' and '.join(missing)}; it has {keys}")
    X, y = check_labels(function, data[names[0]], data[names[1]], names)
    _warn_of_scale(function, names[0], X)
    return X, y


def check_labels(function, X, y, names=("X", "y")):
    """Return examples, and one label from 0 on for each of them."""
    is_array = isinstance(getattr(X, "shape", None), tuple) and X.shape
    if not is_array or isinstance(X, np.ma.MaskedArray | np.matrix | memoryview):
        raise TypeError(f"{function}: {names[0]} must be an array, got {describe(X)}")
    y = y if is_exact_ndarray(y) else np.asarray(y)
    if y.ndim != 1 or len(X) != len(y):
        raise ValueError(
            f"{function}: {names[1]} must have shape ({len(X)},), one label an example of "
            f"{names[0]}, got {y.shape}"
        )
    if y.dtype.kind not in "iu":
        raise TypeError(f"{function}: {names[1]} must hold integers, got {y.dtype}")
    if len(y) and y.min() < 0:
        raise ValueError(f"{function}: {names[1]} must hold labels from 0 on, got {y.min()}")
    return X, y


def _warn_of_scale(function, name, X):
    """Warn of floats, or of uint8 scaled to 0 to 1, that are of another size than usual."""
    first = np.asarray(X[:LOOKED_AT])
    is_pixels = first.dtype == np.uint8
    if first.size and (is_pixels or first.dtype.kind == "f"):
        size = np.abs(first).mean(dtype=np.float64) / (255 if is_pixels else 1)
        if size <= SMALL or size >= LARGE:
            usual = "pixels should be uint8 from 0 to 255, or floats from 0 to 1"
            message = f"{function}: the numbers of {name} are {size:.3g} on average; {usual}"
            warnings.warn(message, stacklevel=5)


def check_transformed(solver, X, changed):
    """Return what transform makes of X, checked; its scale at the first step only."""
    if getattr(changed, "shape", ())[:1] != X.shape[:1]:
        raise ValueError(f"Solver: transform must return an array of {len(X)} examples, as it gets")
    if solver.iteration == 0:
        _warn_of_scale("Solver", "what transform returns", changed)
    return changed


def warn_if_unmoved(solver):
    """Warn where the first epoch, whose beginning is the best so far, has changed no weights."""
    weights = [name for name, w in solver.model.params.items() if w.ndim > 1]
    moved = (solver.model.params[name] != solver.best_params[name] for name in weights)
    if weights and solver.iteration > 1 and not any(map(np.any, moved)):
        warnings.warn("Solver: the first epoch has changed no weights of the model", stacklevel=5)


def as_examples(function, X, shape):
    """Return X as an array of uint8 or floats: examples of a shape, of any if that is (D,)."""
    array = np.asarray(X)
    if (array.dtype != np.uint8 and array.dtype.kind != "f") or isinstance(X, np.ma.MaskedArray):
        raise TypeError(f"{function}: X must be uint8 pixels or floats, got {describe(X)}")
    if array.ndim < 2 or shape not in (array.shape[1:], (math.prod(array.shape[1:]),)):
        expected = ", ".join(map(str, ("N", *shape)))
        raise ValueError(f"{function}: X must have shape ({expected}), got {array.shape}")
    return array


def check_finite(function, name, X):
    """Check the examples of a minibatch, where what was computed of them is not finite."""
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        raise ValueError(f"{function}: {name} holds NaN or infinite numbers")


def check_sense(solver):
    """Refuse the options of a `Solver` with which nothing is learned, or all is forgotten."""
    rate, num_steps = solver.optim_config["learning_rate"], solver.num_iterations
    check_number("Solver", positive=True, lr_decay=solver.lr_decay, learning_rate=rate)
    if solver.schedule and not any(solver.schedule(i / num_steps) for i in range(num_steps)):
        raise ValueError("Solver: schedule returns the factor 0 all the time")
    sizes = solver.batch_size, len(solver.y_train) % solver.batch_size
    if 1 in sizes and getattr(solver.model, "buffers", None):
        raise ValueError("Solver: batch_size must leave no batch of one, which has no variance")
    reg = getattr(solver.model, "reg", 0)
    if "sgd" in solver.update_rule and rate * reg >= 1:
        raise ValueError(
            f"Solver: learning_rate {rate} and reg {reg} of the model undo all weights"
        )


def accuracy(function, model, X, y, batch_size):
    """Return the fraction of the examples whose highest score is that of their label."""
    if len(y) == 0:
        raise ValueError(f"{function}: X must hold examples, got none")
    num_right = 0
    for i, scores in _scores(function, model, X, batch_size):
        labels = y[i : i + len(scores)]
        if labels.max() >= scores.shape[1]:
            raise ValueError(
                f"{function}: y must hold labels of the model's {scores.shape[1]} classes, "
                f"from 0 on, got {labels.max()}"
            )
        num_right += np.count_nonzero(scores.argmax(axis=1) == labels)
    return float(num_right / len(y))


def predict_labels(function, model, X, batch_size):
    """Return the class of the highest score of each example, (N,) int64."""
    labels = [scores.argmax(axis=1) for _, scores in _scores(function, model, X, batch_size)]
    _warn_of_scale(function, "X", X)
    return np.concatenate([np.empty(0, np.int64), *labels])


def _scores(function, model, X, batch_size):
    """Yield the place and the scores of batches, which bounds the memory.

    Scores that are not finite are a NotFiniteError, as NaN would win every comparison.
    """
    check_integer(function, batch_size=batch_size)
    if not isinstance(getattr(X, "shape", None), tuple) or not X.shape:
        raise TypeError(f"{function}: X must be an array of examples, got {describe(X)}")
    for i in range(0, len(X), batch_size):
        batch = X[i : i + batch_size]
        scores = model.loss(batch)
        if np.ndim(scores) != 2 or len(scores) != len(batch):
            raise ValueError(
                f"{function}: the model's scores must have shape ({len(batch)}, C), "
                f"got {np.shape(scores)}"
            )
        if not np.isfinite(scores).all():
            raise NotFiniteError(
                f"{function}: scores of X[{i}:{i + len(scores)}] are not finite; "
                "X or the parameters hold NaN, infinite or too large numbers",
                batch,
            )
        yield i, scores
