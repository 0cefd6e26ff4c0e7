"""The file formats of MNIST: IDX, CSV, .npz and .mat.

Each format has a function that turns a file into *sources*, {'X_train': Source, ...}: arrays that
are announced (shape, dtype) before they are read, so that a damaged or hostile file is refused
before it costs memory or time. What is wrong with a file is some exception; `naming` turns it into
a ValueError that names the file.
"""

import functools
import gzip
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.npz import read_header, read_member

FORMATS = "IDX files (gzipped or not), Kaggle's train.csv and test.csv, .npz, .mat"
KINDS = ("IDX files", "CSV files", ".npz file", ".mat file")  # in the order of preference
# Names of arrays in npz and mat files: those of Keras, and those of course files.
KEYS = {
    "x_train": "X_train",
    "y_train": "y_train",
    "x_test": "X_test",
    "y_test": "y_test",
    "training_data": "X_train",
    "training_labels": "y_train",
    "test_data": "X_test",
    "test_labels": "y_test",
}
# The two files that IDX begins with: of bytes, in one dimension (labels) or three (images).
IDX_MAGIC = (b"\0\0\x08\x01", b"\0\0\x08\x03")
KAGGLE_HEADER = rb'(\xef\xbb\xbf)?"?(label|pixel\d+|1x1)"?,'
PIECE = 2**20  # bytes that are read at a time
LONGEST_HEADER = 2**14  # bytes of a CSV file's first line
# Codes of number types in MAT files.
MAT_TYPES = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "bBhHiIfdqQ", strict=True))
MAT_COMPRESSED = 15
MAT_HEAD = 2**10  # bytes of a variable that hold its type, shape and name
MAT_PADDING = 64


class Source(NamedTuple):
    """An array that a file announces and that has not been read yet."""

    path: Path
    shape: tuple
    dtype: np.dtype
    read: Callable[[], np.ndarray]


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


def recognise(path):
    """Return (kind of file, {key: source}); the dictionary is empty for files of other kinds."""
    with path.open("rb") as file:
        head = start = file.read(16)
        with suppress(OSError, EOFError, zlib.error):
            start = decompressed(file).read(4)
    if start in IDX_MAGIC:
        return KINDS[0], _idx_sources(path)
    if re.match(KAGGLE_HEADER, head):
        return KINDS[1], _csv_sources(path)
    if head.startswith(b"PK"):
        return KINDS[2], npz_sources(path)
    if head.startswith(b"MATLAB"):
        return KINDS[3], _mat_sources(path)
    # A file that is named like data but holds something else is not passed over in silence.
    if re.search(r"idx[13].ubyte|\.npz$|\.mat$|^(train|test)\.csv$", path.name):
        raise ValueError(f"expected {FORMATS}, found a file that starts with {head!r}")
    return KINDS[0], {}


def decompressed(file):
    """Return a stream of the contents of an open binary file, gzipped or not."""
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_gzip else file


def _idx_sources(path):
    name = path.name.lower()
    role = "train" if "train" in name else "test" if "t10k" in name or "test" in name else None
    if role is None:
        return {}
    with path.open("rb") as file:
        header = decompressed(file).read(16)
    ndim = header[3]
    shape = struct.unpack_from(f">{ndim}I", header, 4)
    read = functools.partial(_read_idx, path, 4 + 4 * ndim, shape)
    return {f"{'X' if ndim == 3 else 'y'}_{role}": Source(path, shape, np.dtype(np.uint8), read)}


def _read_idx(path, offset, shape):
    array = np.empty(shape, dtype=np.uint8)
    rest = memoryview(array).cast("B")
    with path.open("rb") as file:
        stream = decompressed(file)
        stream.read(offset)
        while len(rest):
            count = stream.readinto(rest[:PIECE])
            if count == 0:
                raise ValueError(f"truncated: {len(rest)} bytes are missing")
            rest = rest[count:]
        if stream.read(1):
            raise ValueError(f"bytes after the last of {shape[0]} items")
    return array


def _csv_sources(path):
    with path.open(encoding="utf-8-sig") as file:
        columns = file.readline(LONGEST_HEADER).strip().replace('"', "").split(",")
    labelled = int(columns[0] == "label")
    pixels = [tuple(map(int, re.findall(r"\d+", column))) for column in columns[labelled:]]
    if len(pixels) != 784 or pixels != sorted(set(pixels)):
        raise ValueError("expected Kaggle's header: label (training only), pixel0 to pixel783")
    with path.open("rb") as file:
        num_rows = sum(1 for line in file if line.strip()) - 1

    @functools.cache
    def table():
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # old NumPy cuts 1.5 to 1 and only warns
            table = np.loadtxt(file, np.uint8, delimiter=",", comments=None, skiprows=1, ndmin=2)
        if table.shape != (num_rows, len(columns)):
            raise ValueError(f"expected {num_rows} rows of {len(columns)}, found {table.shape}")
        return table

    role = "train" if labelled and "test" not in path.name.lower() else "test"
    uint8 = np.dtype(np.uint8)
    sources = {f"X_{role}": Source(path, (num_rows, 784), uint8, lambda: table()[:, labelled:])}
    if labelled:
        sources[f"y_{role}"] = Source(path, (num_rows,), uint8, lambda: table()[:, 0])
    return sources


def npz_sources(path):
    sources = {}
    with zipfile.ZipFile(path) as archive:
        for member in set(archive.namelist()) & {f"{name}.npy" for name in KEYS}:
            read = functools.partial(_read_npy, path, member)
            source = Source(path, *read_header(archive, member), read)
            sources[KEYS[member.removesuffix(".npy")]] = source
    return sources


def _read_npy(path, member):
    with zipfile.ZipFile(path) as archive:
        return read_member(archive, member)


def _mat_sources(path):
    """Walk a MAT 5.0 file: 128 bytes, then one element (type, size, data) for each variable.

    Not by SciPy, which (up to 1.17 at least) crashes the interpreter on some damaged files and
    does not bound what it inflates. Format: "MAT-File Format", The MathWorks, chapter 1.
    """
    content = path.read_bytes()
    order = "<" if content[126:128] == b"IM" else ">"
    if not content.startswith(b"MATLAB 5.0"):
        raise ValueError("expected MATLAB 5.0 format; in MATLAB, save it with -v7")
    sources, end = {}, 128
    while end < len(content):
        start = end
        kind, size = struct.unpack_from(f"{order}2I", content, start)
        end = start + 8 + size
        if end > len(content):
            raise ValueError(f"truncated: {end - len(content)} bytes are missing")
        is_compressed = kind == MAT_COMPRESSED
        body = memoryview(content)[start + 8 * is_compressed : end]
        head = zlib.decompressobj().decompress(body, MAT_HEAD) if is_compressed else body[:MAT_HEAD]
        # A variable: its own tag, then flags, dimensions, name and values, each an element.
        _, at, _, end_of_flags = _mat_element(head, 8, order)
        flags = struct.unpack_from(f"{order}I", head, at)[0]
        _, at, size, end_of_dims = _mat_element(head, end_of_flags, order)
        shape = struct.unpack_from(f"{order}{size // 4}i", head, at)
        _, at, size, end_of_name = _mat_element(head, end_of_dims, order)
        key = KEYS.get(bytes(head[at : at + size]).decode("latin-1"))
        if key is None:
            continue
        kind, at, size, _ = _mat_element(head, end_of_name, order)
        # classes 6 to 15 are arrays of numbers; then bits for complex and logical ones
        if not 6 <= flags & 0xFF <= 15 or flags & 0xA00 or kind not in MAT_TYPES:
            raise ValueError(f"{key}: expected an array of real numbers")
        dtype = np.dtype(order + MAT_TYPES[kind])
        if size != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{key}: {size} bytes, but announces {dtype} {shape}")
        read = functools.partial(_read_mat, body, is_compressed, at, size, dtype, shape)
        sources[key] = Source(path, shape, dtype, read)
    return sources


def _mat_element(buffer, start, order):
    """Return (type, where the data starts, its size, where the next element starts)."""
    kind, size = struct.unpack_from(f"{order}2I", buffer, start)
    if kind >> 16:  # up to 4 bytes of data are packed into the tag
        return kind & 0xFFFF, start + 4, kind >> 16, start + 8
    return kind, start + 8, size, start + 8 + size + -size % 8


def _read_mat(body, is_compressed, at, size, dtype, shape):
    if is_compressed:
        inflater = zlib.decompressobj()
        body = inflater.decompress(body, at + size + MAT_PADDING)
        if not inflater.eof:
            raise ValueError("truncated, or larger than it announces")
    if len(body) < at + size:
        raise ValueError(f"truncated: {at + size - len(body)} bytes are missing")
    return np.frombuffer(body, dtype, math.prod(shape), at).reshape(shape, order="F")
