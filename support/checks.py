"""Checks of arguments, so that errors read alike everywhere.

Each check takes the name of the function whose arguments these are, and the arguments by name. What
does not fit is a TypeError (the wrong kind of thing) or a ValueError (the wrong shape or number)
that names function and argument, says what was expected and what came.
"""

import math
import os
import sys
from numbers import Integral, Real
from pathlib import Path

import numpy as np


def describe(value):
    """Return what a value is, for a message: 'ndarray of int64', 'list'."""
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ + (f" of {dtype}" if dtype is not None else "")


def is_exact_ndarray(value):
    """Tell an array from those with rules of their own, as matrices and masked arrays have."""
    return type(value) in (np.ndarray, np.memmap)


def as_integers(function, name, param, **defaults):
    """Return the values of a dict of integers, in the order of `defaults`; None is no default.

    All are at least 1, but for a 'pad'.
    """
    check_kind(function, dict, "a dict", **{name: param})
    values = {**defaults, **param}
    if values.keys() != defaults.keys() or any(value is None for value in values.values()):
        raise ValueError(
            f"{function}: {name} must have the keys {list(defaults)}, got {list(param)}"
        )
    for key, value in values.items():
        check_integer(function, 0 if key == "pad" else 1, **{f"{name}['{key}']": value})
    return [int(value) for value in values.values()]


def as_floats(function, **values):
    """Return arrays of float32 or float64, those of integers as float64; a list where several.

    What NumPy makes an array of is taken; results of float16 would overflow.
    """
    arrays = []
    for name, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind in "iu":
            array = array.astype(np.float64)
        if array.dtype.char not in "fd" or isinstance(value, np.ma.MaskedArray):
            expected = "an array of float32, float64 or integers"
            raise TypeError(f"{function}: {name} must be {expected}, got {describe(value)}")
        arrays.append(array)
    return arrays if len(arrays) > 1 else arrays[0]


def check_shape(function, shape, why, **arrays):
    """Check that each has a shape; ``why`` says in words what it has to do with other arrays."""
    for name, array in arrays.items():
        if np.shape(array) != shape:
            got = np.shape(array)
            raise ValueError(f"{function}: {name} must have shape {shape}, {why}, got {got}")


def check_axes(function, axes, **arrays):
    """Check that each has as many axes as a text lists, such as '(N, C, H, W)'."""
    for name, array in arrays.items():
        if array.ndim != len(axes.split(", ")):
            raise ValueError(f"{function}: {name} must have shape {axes}, got {array.shape}")


def as_dout(function, dout, shape):
    """Return dout as an array of floats; it must have the shape that forward returned."""
    dout = as_floats(function, dout=dout)
    check_shape(function, shape, "that of out", dout=dout)
    return dout


def check_integer(function, least=1, **values):
    """Check that each is an integer, at least ``least`` and small enough for an array's size."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be an integer, got {value!r:.80}")
        if not least <= value <= sys.maxsize:
            bound = f"at least {least}" if value < least else f"at most {sys.maxsize}"
            raise ValueError(f"{function}: {name} must be {bound}, got {value!s:.80}")


def check_number(function, *, positive=False, below=math.inf, **values):
    """Check that each is a finite number >= 0, or > 0 where ``positive``, and < ``below``."""
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be a number, got {value!r:.80}")
        if not (0 <= value < below) or value == math.inf or (positive and value == 0):
            bounds = "> 0" if positive else ">= 0"
            bounds += f" and < {below:g}" if below < math.inf else ""
            raise ValueError(f"{function}: {name} must be a finite number {bounds}, got {value}")


def check_choice(function, choices, expected="one of", **values):
    """Check that each is one of the choices, which are strings or None."""
    for name, value in values.items():
        if not (value is None or isinstance(value, str)) or value not in choices:
            raise ValueError(
                f"{function}: {name} must be {expected} {', '.join(map(str, choices))}, "
                f"got {value!r:.80}"
            )


def check_kind(function, kind, expected, **values):
    """Check that each is an instance of a class or of one of several, in words: 'a dict'."""
    for name, value in values.items():
        if not isinstance(value, kind):
            raise TypeError(f"{function}: {name} must be {expected}, got {describe(value)}")


def check_callable(function, **values):
    """Check that each can be called."""
    for name, value in values.items():
        if not callable(value):
            raise TypeError(f"{function}: {name} must be callable, got {value!r:.80}")


def check_given(function, check, thing, names):
    """Make a check of those attributes of a thing that are not None, their names in one text."""
    for name in names.split():
        if getattr(thing, name) is not None:
            check(function, **{name: getattr(thing, name)})


def as_sizes(function, **sizes):
    """Return a list of positive integers, from a sequence of them or from a single one."""
    [(name, values)] = sizes.items()
    values = [values] if np.ndim(values) == 0 else list(values)
    for value in values:
        check_integer(function, **{name: value})
    return [int(value) for value in values]


def as_path(function, **paths):
    """Return the path of that name, with ~ for the home folder."""
    [(name, path)] = paths.items()
    check_kind(function, (str, os.PathLike), "a path", **paths)
    if not os.fspath(path):
        raise ValueError(f"{function}: {name} must be a path, got ''")
    return Path(os.path.expanduser(path))  # where ~ is no user, it is part of a name


def as_float_dtype(function, dtype):
    """Return the numpy.dtype of float32 or float64."""
    if dtype in (np.float32, np.float64, "float32", "float64"):
        return np.dtype(dtype)
    raise ValueError(f"{function}: dtype must be float32 or float64, got {dtype!s:.80}")


def as_generator(function, seed):
    """Return the numpy.random.Generator of a seed: an integer >= 0, None, or a Generator itself."""
    if seed is not None and not isinstance(seed, np.random.Generator):
        check_integer(function, 0, seed=seed)
    return np.random.default_rng(seed)
