"""Examples and their labels: checked, and run through a model in batches."""

import math
import warnings

import numpy as np

from support.checks import check_integer, check_kind, check_number, describe, is_exact_ndarray

PARTS = ("X_train", "y_train", "X_val", "y_val")
LOOKED_AT = 100  # examples
LARGE = 4.0  # a mean absolute value that standardized inputs and pixels from 0 to 1 stay below


class NotFiniteError(ValueError):
    """Scores are not finite: X or the parameters hold NaN, infinite or too large numbers."""

    def __init__(self, message, X):
        super().__init__(message)
        self.X = X


def check_model(function, model):
    """Check that a model has a dict ``params`` of float arrays and a method ``loss``."""
    params = getattr(model, "params", None)
    if not isinstance(params, dict) or not callable(getattr(model, "loss", None)):
        raise TypeError(
            f"{function}: expected a model with a dict params and a method loss, "
            f"got {describe(model)}"
        )
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
    _warn_of_large_floats(function, X)
    validation = X[:0], y[:0]
    if data.get("X_val") is not None or data.get("y_val") is not None:
        validation = _check_part(function, data, "val")
    return dict(zip(PARTS, (X, y, *validation), strict=True))


def _check_part(function, data, part):
    names = f"X_{part}", f"y_{part}"
    if missing := [name for name in names if data.get(name) is None]:
        keys = ", ".join(map(str, data)) or "no keys"
        raise ValueError(f"{function}: data lacks {' and '.join(missing)}; it has {keys}")
    return check_labels(function, data[names[0]], data[names[1]], names)


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


def _warn_of_large_floats(function, X):
    first = np.asarray(X[:LOOKED_AT])
    if first.dtype.kind == "f" and (size := np.abs(first).mean(dtype=np.float64)) > LARGE:
        warnings.warn(
            f"{function}: the numbers of X_train are {size:.3g} on average, far outside 0 to 1; "
            "pixels should be uint8, which networks scale, or be divided by 255",
            stacklevel=4,
        )


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
    rate = solver.optim_config["learning_rate"]
    check_number("Solver", positive=True, lr_decay=solver.lr_decay, learning_rate=rate)
    if solver.schedule and not any(solver.schedule(i / 10) for i in range(10)):
        raise ValueError("Solver: schedule returns the factor 0 all the time")
    if solver.batch_size == 1 and getattr(solver.model, "buffers", None):
        raise ValueError("Solver: batch_size must be more than 1 where batches are normalized")
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
