"""What makes two runs the same: their data, functions and settings, as JSON holds them."""

import zlib
from functools import partial
from numbers import Integral, Real

import numpy as np

PIECE = 1000  # examples of which a checksum is made at a time: they may be a file


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
