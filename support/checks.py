"""Checks of arguments, so that errors read alike everywhere.

Each check takes the name of the function whose arguments these are, and the arguments by name. What
does not fit is a TypeError (the wrong kind of thing) or a ValueError (the wrong shape or number)
that names function and argument, says what was expected and what came.
"""

import math
from numbers import Integral, Real

import numpy as np


def describe(value):
    """What a value is, for a message: 'an array of int64', 'list'."""
    return f"an array of {value.dtype}" if hasattr(value, "dtype") else type(value).__name__


def check_floats(function, **arrays):
    """Each is a NumPy array of floats: in-place arithmetic would cut off those of integers."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise TypeError(
                f"{function}: {name} must be a NumPy array of floats, got {describe(array)}"
            )


def check_dout(function, dout, shape):
    """dout is an array of floats of the shape that forward returned."""
    check_floats(function, dout=dout)
    if dout.shape != shape:
        raise ValueError(f"{function}: dout must have out's shape {shape}, got {dout.shape}")


def check_integer(function, least=1, **values):
    """Each is an integer, and at least ``least``."""
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be an integer, got {value!r}")
        if value < least:
            raise ValueError(f"{function}: {name} must be at least {least}, got {value}")


def check_number(function, *, positive=False, below=math.inf, **values):
    """Each is a finite number >= 0, or > 0 where ``positive``, and less than ``below``."""
    for name, value in values.items():
        if not isinstance(value, Real):
            raise TypeError(f"{function}: {name} must be a number, got {value!r}")
        if not 0 <= value < below or (positive and value == 0):
            bounds = "> 0" if positive else ">= 0"
            bounds += f" and < {below:g}" if below < math.inf else ""
            raise ValueError(f"{function}: {name} must be a finite number {bounds}, got {value}")


def check_choice(function, choices, expected="one of", **values):
    """Each is one of the choices."""
    for name, value in values.items():
        if not isinstance(value, str) or value not in choices:
            raise ValueError(
                f"{function}: {name} must be {expected} {', '.join(choices)}, got {value!r}"
            )
