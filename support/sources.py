"""What all file formats share: arrays that are announced before they are read, and streams.

A format's function turns a file into *sets*: dicts {'X_train': Source, ...} of arrays that belong
together. A Source knows shape and dtype before a number is read, so that a damaged or hostile file
is refused before it costs memory or time. What is wrong with a file is some exception; `naming`
turns it into a ValueError that names the file.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.checks import truncated
from support.files import PIECE, open_file

# Names of arrays in .npz and .mat files: those of Keras, and those of course files.
NAMES = (
    {"x_train": "X_train", "y_train": "y_train", "x_test": "X_test", "y_test": "y_test"},
    {
        "training_data": "X_train",
        "training_labels": "y_train",
        "test_data": "X_test",
        "test_labels": "y_test",
    },
)
WANTED = NAMES[0] | NAMES[1]
CHUNK = 2**16  # bytes that are decompressed at a time
MAX_MEMBERS = 10_000  # compressed parts of a gzip file; most have one, block gzip one in 64 kB


class Source(NamedTuple):
    """An array that a file announces and that has not been read yet."""

    path: Path
    name: str  # the array's own, in a file that has such names
    shape: tuple
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    def __str__(self):
        return f"{self.path} ({self.name})" if self.name else str(self.path)


@contextmanager
def naming(path):
    """Turn whatever bad content raises into a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        if getattr(error, "filename", None):  # an OSError that names it: permissions and the like
            raise
        kind = "" if type(error) is ValueError else f"damaged ({type(error).__name__}): "
        raise ValueError(f"{path}: {kind}{error}") from error


def named_sets(sources, others):
    """The sets, one for each of NAMES, of a file whose arrays have names: {name: source}.

    others are the names of the arrays that nobody wants, for the error where there is no other.
    """
    if not sources:
        wanted = " or ".join(", ".join(names) for names in NAMES)
        found = truncated(str, ", ".join(others) or "none")
        raise ValueError(f"no arrays of MNIST: expected {wanted}; found {found}")
    return [{key: sources[n] for n, key in names.items() if n in sources} for names in NAMES]


def fill(stream, array):
    """Read the bytes of a contiguous array."""
    rest = memoryview(array.reshape(-1).view(np.uint8))
    while len(rest):
        count = stream.readinto(rest[:PIECE])
        if not count:
            raise ValueError(f"truncated: {len(rest)} bytes are missing")
        rest = rest[count:]


class _Inflated(io.RawIOBase):
    """The content of gzip members, or of one zlib stream, in an open file from where it stands.

    Not gzip.GzipFile, which takes 10 seconds for 100 MB of padding or of members without content.
    """

    def __init__(self, file, size, wbits):
        self.file, self.left, self.wbits = file, size, wbits
        self.packed, self.members = b"", 0
        self.inflater = self._next_member()

    def _next_member(self):
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise gzip.BadGzipFile(f"more than {MAX_MEMBERS:,} compressed parts")
        return zlib.decompressobj(self.wbits)

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            if not self.packed:
                self.packed = self.file.read(min(CHUNK, self.left))
                self.left -= len(self.packed)
            is_end = not self.packed
            if self.inflater.eof:
                self.packed = self.packed.lstrip(b"\0")  # tapes are padded with zeros
                if is_end:
                    return 0
                if self.packed:
                    self.inflater = self._next_member()
            elif is_end:
                raise EOFError("the compressed data has no end")
            if self.packed:
                data = self.inflater.decompress(self.packed, len(buffer))
                self.packed = self.inflater.unused_data or self.inflater.unconsumed_tail
                if data:
                    buffer[: len(data)] = data
                    return len(data)


def inflated(file, size=sys.maxsize, wbits=zlib.MAX_WBITS):
    """A stream of what zlib has packed into the next bytes of an open file."""
    return io.BufferedReader(_Inflated(file, size, wbits), CHUNK)


def decompressed(file):
    """A stream of the content of an open binary file, gzipped or not."""
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return inflated(file, wbits=16 + zlib.MAX_WBITS) if is_gzip else file


def same_content(*paths):
    """Whether two files, gzipped or not, hold the same bytes."""
    with open_file(paths[0]) as first, open_file(paths[1]) as second:
        streams = decompressed(first), decompressed(second)
        while True:
            a, b = (stream.read(PIECE) for stream in streams)
            if a != b:
                return False
            if not a:
                return True
