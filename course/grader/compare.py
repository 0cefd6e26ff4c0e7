"""What a student returned beside what is expected, and the typical error that explains it."""

from contextlib import suppress

import numpy as np

from course.grader.student import CodeError
from course.grader.wire import Remote
from gradient_check import check_layer

TOLERANCE = 1e-7  # of a difference, relative to the largest number that is expected


def describe(value):
    """What a value is, for a message."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} of shape {value.shape}"
    return value.kind if isinstance(value, Remote) else type(value).__name__


def is_close(got, expected):
    """Whether two arrays have one shape and the same numbers, to rounding."""
    if np.shape(got) != np.shape(expected):
        return False
    largest = np.abs(expected).max(initial=1e-300)
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(got - expected) <= TOLERANCE * largest))


def same(name, got, expected, errors=()):
    """Raise a CodeError unless got is expected.

    errors are typical ones: a text and a function that returns the value which such an error gives.
    """
    if isinstance(expected, float) and isinstance(got, float):
        got = np.float64(got)
    elif not isinstance(got, np.ndarray):
        what = "a number" if isinstance(expected, float) else f"of shape {expected.shape}"
        raise CodeError(f"{name} must be {what}, got {describe(got)}")
    if is_close(got, expected):
        return
    for text, value in errors:
        with suppress(ValueError):  # an error that these inputs do not allow
            if is_close(got, value()):
                raise CodeError(f"{name} {text}")
    if np.shape(got) != np.shape(expected):
        raise CodeError(f"{name} must have shape {np.shape(expected)}, got {got.shape}")
    if not np.isfinite(got).all():
        raise CodeError(f"{name} holds NaN or infinity")
    difference = np.abs(got - expected)
    where = np.unravel_index(difference.argmax(), difference.shape)
    place = f" at {name}[{', '.join(map(str, where))}]" if where else ""
    raise CodeError(f"{name} is wrong by up to {difference.max():.3g}{place}")


def unpack(function, result, names):
    """The items of the tuple that a function must return."""
    items = result if isinstance(result, tuple) else (result,)
    if len(items) != len(names):
        raise CodeError(
            f"{function} must return {', '.join(names)}, got {len(items)} value"
            f"{'' if len(items) == 1 else 's'}"
        )
    return items


def gradients(forward, inputs, got, expected, seed, errors):
    """As `same` for each gradient of a layer; an error shows the table of `check_layer` too.

    forward is the course's, got and expected are dicts by name, errors lists for some of the names.
    """
    found = []
    for name, value in expected.items():
        try:
            same(name, got[name], value, errors.get(name, ()))
        except CodeError as error:
            found.append(str(error))
    if not found:
        return
    shapes = [np.shape(value) for value in got.values()]
    if shapes == [x.shape for x in inputs]:
        values = tuple(value.astype(np.float64) for value in got.values())
        with np.errstate(all="ignore"):
            table = check_layer(forward, lambda dout, cache: values, *inputs, seed=seed)
        found += ["", "Your gradients beside numerical ones:", str(table)]
    raise CodeError("\n".join(found))
