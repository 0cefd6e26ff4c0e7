"""Checks of arguments, so that errors read alike everywhere.

Each check takes the name of the function whose arguments these are, and the arguments by name. What
does not fit is a TypeError (the wrong kind of thing) or a ValueError (the wrong shape or number)
that names function and argument, says what was expected and what came.
"""

import math
import os
import sys
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path

import numpy as np

LONGEST = 80  # characters of a value in a message


def describe(value):
    """What a value is, for a message: 'an array of int64', 'a matrix of float64', 'list'."""
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    kind = "an array" if is_exact_ndarray(value) else f"a {type(value).__name__}"
    return f"{kind} of {value.dtype}"


def truncated(text_of, value):
    """A value's text (`str` or `repr`) for a message, cut where it is long."""
    try:
        text = text_of(value)
    except Exception:  # an integer of more digits than Python writes, an object's own error
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def is_exact_ndarray(value):
    """Whether a value is an array without rules of its own, as matrices and masked arrays have."""
    return type(value) in (np.ndarray, np.memmap)


def as_integers(function, name, param, defaults, smallest=None):
    """The values of a dict of integers, in the order of `defaults`; None there is no default.

    `smallest` has the smallest value of a key where that is not 1.
    """
    check_kind(function, dict, "a dict", **{name: param})
    unknown = [key for key in param if key not in defaults]
    missing = [key for key, value in defaults.items() if value is None and key not in param]
    if unknown or missing:
        raise ValueError(
            f"{function}: {name} must have the keys {list(defaults)}, got {list(param)}"
        )
    values = []
    for key, default in defaults.items():
        value = param.get(key, default)
        check_integer(function, (smallest or {}).get(key, 1), **{f"{name}['{key}']": value})
        values.append(int(value))
    return values


def is_sequence(value):
    """Whether a value is a sequence of values, whose order means something."""
    return isinstance(value, (list, tuple, range)) or (is_exact_ndarray(value) and value.ndim == 1)


def as_floats(function, **arrays):
    """The arrays, those of integers as float64; a single one, or a list of them.

    Arithmetic in place would cut off the numbers of an array of integers.
    """
    for name, array in arrays.items():
        if not is_exact_ndarray(array) or array.dtype.kind not in "fiu":
            raise TypeError(
                f"{function}: {name} must be a NumPy array of integers or of floats, "
                f"got {describe(array)}"
            )
    floats = [a if a.dtype.kind == "f" else a.astype(np.float64) for a in arrays.values()]
    return floats if len(floats) > 1 else floats[0]


def as_dout(function, dout, shape):
    """dout as an array of floats; it must have the shape that forward returned."""
    dout = as_floats(function, dout=dout)
    if dout.shape != shape:
        raise ValueError(f"{function}: dout must have out's shape {shape}, got {dout.shape}")
    return dout


def check_integer(function, least=1, **values):
    """Each is an integer, at least ``least`` and small enough for an array's size."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be an integer, got {truncated(repr, value)}")
        if not least <= value <= sys.maxsize:
            bound = f"at least {least}" if value < least else f"at most {sys.maxsize}"
            raise ValueError(f"{function}: {name} must be {bound}, got {truncated(str, value)}")


def check_number(function, *, positive=False, below=math.inf, **values):
    """Each is a finite number >= 0, or > 0 where ``positive``, and less than ``below``."""
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be a number, got {truncated(repr, value)}")
        in_range = 0 <= value <= sys.float_info.max and value < below
        if not in_range or (positive and value == 0):
            bounds = "> 0" if positive else ">= 0"
            bounds += f" and < {below:g}" if below < math.inf else ""
            raise ValueError(
                f"{function}: {name} must be a finite number {bounds}, got {truncated(str, value)}"
            )


def check_choice(function, choices, expected="one of", **values):
    """Each is one of the choices, which are strings."""
    for name, value in values.items():
        if not isinstance(value, str) or value not in choices:
            raise ValueError(
                f"{function}: {name} must be {expected} {', '.join(choices)}, "
                f"got {truncated(repr, value)}"
            )


def check_kind(function, kind, expected, **values):
    """Each is an instance of a class, or of one of several; ``expected`` says which: 'a dict'."""
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{function}: {name} must be {expected}, got {describe(value)}")


def check_callable(function, **values):
    """Each can be called."""
    for name, value in values.items():
        if not callable(value):
            raise TypeError(f"{function}: {name} must be callable, got {truncated(repr, value)}")


def as_sizes(function, **sizes):
    """A list of positive integers, from such a sequence or from a single integer."""
    [(name, values)] = sizes.items()
    if isinstance(values, Integral):
        values = [values]
    elif not is_sequence(values):
        raise TypeError(
            f"{function}: {name} must be an integer or a sequence of integers, "
            f"got {truncated(repr, values)}"
        )
    values = list(values)
    for value in values:
        check_integer(function, **{name: value})
    return [int(value) for value in values]


def as_path(function, **paths):
    """The path of that name, with ~ for the home folder."""
    [(name, path)] = paths.items()
    check_kind(function, (str, os.PathLike), "a path", **paths)
    try:
        path = Path(path).expanduser()
    except (RuntimeError, TypeError) as error:  # no home folder, a path of bytes
        raise ValueError(f"{function}: {name}: {error}") from error
    if not os.fspath(paths[name]) or "\0" in str(path):
        raise ValueError(f"{function}: {name} must be a path, got {truncated(repr, paths[name])}")
    return path


def as_float_dtype(function, dtype):
    """The numpy.dtype of float32 or float64."""
    if isinstance(dtype, (str, type, np.dtype)):
        with suppress(TypeError):  # what is no dtype at all
            if np.dtype(dtype) in (np.float32, np.float64):
                return np.dtype(dtype)
    raise ValueError(f"{function}: dtype must be float32 or float64, got {truncated(str, dtype)}")


def as_generator(function, seed):
    """The numpy.random.Generator of a seed: an integer >= 0, None, or a Generator itself."""
    message = (
        f"{function}: seed must be an integer >= 0, None or a numpy.random.Generator, "
        f"got {truncated(repr, seed)}"
    )
    if isinstance(seed, Integral) and not isinstance(seed, bool):
        if seed < 0:
            raise ValueError(message)
    elif not (seed is None or isinstance(seed, np.random.Generator)):
        raise TypeError(message)  # NumPy takes more than that, and crashes on a matrix
    return np.random.default_rng(seed)
