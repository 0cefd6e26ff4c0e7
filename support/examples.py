"""Examples and their labels: checked, and run through a model in batches."""

import numpy as np

from support.checks import check_integer, describe


class NotFiniteError(ValueError):
    """Scores are not finite: X or the parameters hold NaN, infinite or too large numbers."""

    def __init__(self, message, X):
        super().__init__(message)
        self.X = X


def check_examples(function, data):
    """X_train, y_train, X_val and y_val of a dict, checked; the last two are empty where absent.

    X may be any array that is indexed by an array, a memory map too: only its shape is looked at.
    """
    X, y = _check_part(function, data, "train")
    if len(y) == 0:
        raise ValueError(f"{function}: X_train holds no examples")
    if data.get("X_val") is None and data.get("y_val") is None:
        return X, y, X[:0], y[:0]
    return X, y, *_check_part(function, data, "val")


def _check_part(function, data, part):
    names = f"X_{part}", f"y_{part}"
    if missing := [name for name in names if data.get(name) is None]:
        raise ValueError(
            f"{function}: data lacks {' and '.join(missing)}; it has {', '.join(data)}"
        )
    X, y = (data[name] for name in names)
    if not hasattr(X, "shape"):
        raise TypeError(f"{function}: {names[0]} must be an array, got {describe(X)}")
    y = np.asarray(y)
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


def predict_labels(function, model, X, batch_size):
    """Class of the highest score of each example, (N,) int64, from ``model.loss(X) -> scores``.

    batch_size examples are run at a time, which bounds the memory. Scores that are not finite are
    a NotFiniteError, as NaN would win every comparison.
    """
    check_integer(function, batch_size=batch_size)
    labels = [np.empty(0, np.int64)]
    for i in range(0, len(X), batch_size):
        batch = X[i : i + batch_size]
        scores = model.loss(batch)
        if not np.isfinite(scores).all():
            raise NotFiniteError(
                f"{function}: scores of X[{i}:{i + len(scores)}] are not finite; "
                "X or the parameters hold NaN, infinite or too large numbers",
                batch,
            )
        labels.append(scores.argmax(axis=1))
    return np.concatenate(labels)
