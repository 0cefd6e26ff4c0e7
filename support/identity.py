"""What makes two runs the same: their data, functions and settings, as JSON can keep them."""

import json
import zlib
from functools import partial

import numpy as np

PIECE = 1000  # examples of which a checksum is made at a time: they may be a file


def checksums(arrays):
    """Shape, dtype and CRC-32 of arrays by name, each as a whole."""
    found = {}
    for name, array in arrays.items():
        crc = 0
        for i in range(0, len(array), PIECE):
            crc = zlib.crc32(np.ascontiguousarray(array[i : i + PIECE]).tobytes(), crc)
        found[name] = [array.shape, str(array[:1].dtype), crc]
    return found


def describe_function(function):
    """What can be known of a function, for JSON: its name, and the arguments of a partial."""
    if isinstance(function, partial):
        arguments = {**dict(enumerate(function.args)), **function.keywords}
        described = {str(key): describe_value(value) for key, value in arguments.items()}
        return [describe_function(function.func), described]
    return function and getattr(function, "__qualname__", type(function).__qualname__)


def describe_value(value):
    """What can be known of a value, for JSON."""
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        crc = zlib.crc32(np.ascontiguousarray(value).tobytes())
        return [value.shape, str(value.dtype), crc]
    return describe_function(value)


def as_json(parts):
    """A dict as it comes back from JSON, with what can be known of what JSON cannot keep."""
    return json.loads(json.dumps(parts, default=describe_value))


def difference(there, here):
    """Which entry of two dicts differs first, for a message; None where all agree.

    >>> difference({"b1": 2}, {"W1": 3, "b1": 2})
    'W1 is absent there and 3 here'
    """
    for key in [*there, *here]:
        a, b = there.get(key, "absent"), here.get(key, "absent")
        if a != b:
            return f"{key} is {a} there and {b} here"
    return None
