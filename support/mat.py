"""Reading MATLAB's files of format 5.0, of which only the arrays that are wanted are read.

Not by SciPy, which (up to 1.17 at least) crashes the interpreter on some damaged files and does not
bound what it inflates. Format: "MAT-File Format", The MathWorks, chapter 1.
"""

import functools
import math
import struct

import numpy as np

from support.files import open_file
from support.sources import WANTED, Source, fill, inflated, named_sets

# Codes of number types.
TYPES = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "bBhHiIfdqQ", strict=True))
COMPRESSED = 15
OPAQUE = 17  # class of tables, strings and the like, which are described in another way
NUMBERS = range(6, 16)  # classes of arrays of numbers
COMPLEX_OR_LOGICAL = 0xA00  # bits beside the class
HEADER = 128  # bytes before the first variable
HEAD = 2**10  # bytes of a variable that hold its type, shape and name
PADDING = 64  # bytes that may follow the numbers of a variable
MAX_VARIABLES = 10_000


def mat_sets(path):
    """The sets of a file: after a header, one element (type, size, data) for each variable."""
    sources, others = {}, []
    with open_file(path) as file:
        header = file.read(HEADER)
        order = "<" if header[126:128] == b"IM" else ">"
        if not header.startswith(b"MATLAB 5.0"):
            raise ValueError("expected MATLAB 5.0 format; in MATLAB, save it with -v7")
        end, end_of_file = HEADER, path.stat().st_size
        while end < end_of_file:
            start = end
            file.seek(start)
            kind, size = struct.unpack(f"{order}2I", file.read(8))
            end = start + 8 + size
            if end > end_of_file:
                raise ValueError(f"truncated: {end - end_of_file} bytes are missing")
            if len(sources) + len(others) == MAX_VARIABLES:
                raise ValueError(f"more than {MAX_VARIABLES:,} variables")
            if kind == COMPRESSED:
                head = inflated(file, size).read(HEAD)
                packed = (start + 8, size)
            else:
                file.seek(start)
                head = file.read(min(HEAD, 8 + size))
                packed = None
            name, *where = _announced(head, order)
            if name in WANTED:
                at, dtype, shape = where
                if packed is None and at + math.prod(shape) * dtype.itemsize > 8 + size:
                    raise ValueError(f"{name}: truncated")
                place = (start + at, None) if packed is None else (at, packed)
                read = functools.partial(_read, path, *place, dtype, shape)
                sources[name] = Source(path, name, shape, dtype, read)
            else:
                others.append(name)
    return named_sets(sources, others)


def _announced(head, order):
    """What a variable begins with: (name, where its numbers start, dtype, shape), or the name."""
    # A variable: its own tag, then flags, dimensions, name and numbers, each an element.
    _, at, _, end = _element(head, 8, order)
    flags = struct.unpack_from(f"{order}I", head, at)[0]
    if flags & 0xFF == OPAQUE:
        return ("an object",)
    _, at, size, end = _element(head, end, order)
    shape = struct.unpack_from(f"{order}{size // 4}i", head, at)
    _, at, size, end = _element(head, end, order)
    name = bytes(head[at : at + size]).decode("latin-1")
    if name not in WANTED:
        return (name,)
    kind, at, size, _ = _element(head, end, order)
    if flags & 0xFF not in NUMBERS or flags & COMPLEX_OR_LOGICAL or kind not in TYPES:
        raise ValueError(f"{name}: expected an array of real numbers")
    dtype = np.dtype(order + TYPES[kind])
    if size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name}: {size} bytes, but announces {dtype} {shape}")
    return name, at, dtype, shape


def _element(buffer, start, order):
    """Return (type, where the data starts, its size, where the next element starts)."""
    kind, size = struct.unpack_from(f"{order}2I", buffer, start)
    if kind >> 16:  # up to 4 bytes of data are packed into the tag
        return kind & 0xFFFF, start + 4, kind >> 16, start + 8
    return kind, start + 8, size, start + 8 + size + -size % 8


def _read(path, at, packed, dtype, shape):
    """Numbers that start at a byte of the file or, where they are packed, of what that inflates to.

    packed is None, or (where the compressed bytes start, their number).
    """
    array = np.empty(math.prod(shape), dtype)
    with open_file(path) as file:
        file.seek(packed[0] if packed else at)
        stream = inflated(file, packed[1]) if packed else file
        if packed:
            stream.read(at)
        fill(stream, array)
        if packed and len(stream.read(PADDING + 1)) > PADDING:
            raise ValueError("larger than it announces")
    return array.reshape(shape, order="F")
