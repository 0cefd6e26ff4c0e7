"""Checks of arguments that all parts share, so that their errors read alike.

An error names the function and the argument, says what was expected and what came.
"""

import math
from numbers import Integral, Real

import numpy as np


def describe(value):
    """What a value is, for the message of an error: 'an array of int64', 'list'."""
    return f"an array of {value.dtype}" if hasattr(value, "dtype") else type(value).__name__


def check_floats(function, **arrays):
    """Raise TypeError unless every named argument is a NumPy array of floats.

    Parameters
    ----------
    function : str
        Name of the function whose arguments these are, for the message.
    **arrays
        The arguments, by name.

    Raises
    ------
    TypeError
        If one is something else, such as a list or an array of integers: whole numbers would be
        cut off silently by in-place arithmetic.
    """
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise TypeError(
                f"{function}: {name} must be a NumPy array of floats, got {describe(array)}"
            )


def check_dout(function, dout, shape):
    """Raise TypeError or ValueError unless dout is an array of floats of that shape.

    Parameters
    ----------
    function : str
        Name of the backward function, for the message.
    dout : ndarray of float
        Its argument.
    shape : tuple of int
        Shape of what forward returned.

    Raises
    ------
    TypeError, ValueError
        If dout is something else.
    """
    check_floats(function, dout=dout)
    if dout.shape != shape:
        raise ValueError(f"{function}: dout must have out's shape {shape}, got {dout.shape}")


def check_whole(function, least=1, **values):
    """Raise TypeError or ValueError unless every named argument is a whole number, not too small.

    Parameters
    ----------
    function : str
        Name of the function whose arguments these are, for the message.
    least : int, default 1
        The smallest number that is allowed.
    **values
        The arguments, by name.

    Raises
    ------
    TypeError, ValueError
        If one is something else, or smaller.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{function}: {name} must be a whole number, got {value!r}")
        if value < least:
            raise ValueError(f"{function}: {name} must be at least {least}, got {value}")


def check_number(function, *, positive=False, below=math.inf, **values):
    """Raise TypeError or ValueError unless every named argument is a finite number >= 0.

    Parameters
    ----------
    function : str
        Name of the function whose arguments these are, for the message.
    positive : bool, default False
        Whether 0 is refused too.
    below : float, default infinity
        Numbers from here on are refused.
    **values
        The arguments, by name.

    Raises
    ------
    TypeError, ValueError
        If one is something else, NaN or out of range.
    """
    for name, value in values.items():
        if not isinstance(value, Real):
            raise TypeError(f"{function}: {name} must be a number, got {value!r}")
        if not 0 <= value < below or (positive and value == 0):
            bounds = "> 0" if positive else ">= 0"
            bounds += f" and < {below:g}" if below < math.inf else ""
            raise ValueError(f"{function}: {name} must be a finite number {bounds}, got {value}")
