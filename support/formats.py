"""The file formats of MNIST: IDX, CSV, .npz and .mat, recognised by content.

How CSV and .mat files are read is in `support.table` and `support.mat`; what all formats share, and
how they name a bad file, in `support.sources`.
"""

import functools
import re
import struct
import zipfile
import zlib
from contextlib import suppress

import numpy as np

from support.checks import truncated
from support.files import open_file
from support.mat import mat_sets
from support.npz import read_header, read_member
from support.sources import WANTED, Source, decompressed, fill, named_sets
from support.table import csv_sets

FORMATS = "IDX files (gzipped or not), Kaggle's train.csv and test.csv, .npz, .mat"
KINDS = ("IDX files", "CSV files", ".npz file", ".mat file")  # in the order of preference
# IDX files begin with two zeros, the code of a dtype and the number of dimensions.
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
IDX_LABELS, IDX_IMAGES, QMNIST_LABELS = b"\0\0\x08\x01", b"\0\0\x08\x03", b"\0\0\x0c\x02"
QMNIST_COLUMNS = 8  # of which the first is the label
HEAD = 16  # bytes by which a file is recognised
LONGEST_HEADER = 2**14  # bytes of a CSV file's first line
TEXT = re.compile(rb'(\xef\xbb\xbf)?"?(label|pixel|\d)', re.IGNORECASE)
PIXEL = re.compile(rb'(\xef\xbb\xbf)?"?(label"?,"?)?(pixel\d|1x1)', re.IGNORECASE)
# Files that are named like data are not passed over in silence where they hold something else, nor
# are those of formats in which others keep MNIST.
NAMED = re.compile(
    r"idx\d.(ubyte|int)|^(mnist.?)?(train|test)\.csv(\.gz)?$"
    r"|\.(npz|mat|npy|pkl|pickle|pt|h5|hdf5|parquet|arff|zip|tar|tgz|7z|bz2|xz)(\.gz)?$",
    re.IGNORECASE,
)


def part_of(name):
    """Which part of the data a file holds by its name: train, test or None."""
    name = name.lower()
    return "train" if "train" in name else "test" if "t10k" in name or "test" in name else None


def recognise(path):
    """Return (kind of file, its sets of sources), or None for a file that holds no data.

    A file that is named like data and is not understood is an error.
    """
    is_named = NAMED.search(path.name)
    try:
        head, start = _beginning(path)
    except (OSError, ValueError):
        if is_named:
            raise
        return None
    part = part_of(path.name)
    if start[:4] in (IDX_IMAGES, IDX_LABELS, QMNIST_LABELS):
        return KINDS[0], [_idx_set(path, start, part)]
    if PIXEL.match(start) or (TEXT.match(start) and start.count(b",") >= 783):
        return KINDS[1], csv_sets(path, part)
    if head.startswith(b"PK"):
        return (KINDS[2], sets) if (sets := npz_sets(path)) else None
    if head.startswith(b"MATLAB"):
        return KINDS[3], mat_sets(path)
    if is_named:
        found = f"a file that starts with {head!r}"
        if start[:2] == b"\0\0" and len(start) > 3 and start[2] in IDX_TYPES:
            dtype = np.dtype(IDX_TYPES[start[2]]).name
            found = f"IDX of {dtype} in {start[3]} dimensions, {found}"
        raise ValueError(f"expected {FORMATS}, found {found}")
    return None


def _beginning(path):
    """The first bytes of a file, and those of what is in it if it is gzipped, or its first line."""
    with open_file(path) as file:
        head = start = file.read(HEAD)
        with suppress(OSError, EOFError, zlib.error):
            stream = decompressed(file)
            start = stream.read(HEAD)
            if TEXT.match(start):
                start = (start + stream.readline(LONGEST_HEADER)).partition(b"\n")[0]
    return head, start


def _idx_set(path, start, part):
    if part is None:
        raise ValueError("an IDX file, but its name has neither train nor test or t10k")
    dtype, ndim = np.dtype(IDX_TYPES[start[2]]), start[3]
    shape = struct.unpack_from(f">{ndim}I", start, 4)
    read = functools.partial(_read_idx, path, 4 + 4 * ndim, dtype, shape)
    if start[:4] == IDX_IMAGES:
        return {f"X_{part}": Source(path, "", shape, dtype, read)}
    if shape[1:] not in ((), (QMNIST_COLUMNS,)):
        raise ValueError(f"expected labels, or QMNIST's rows of {QMNIST_COLUMNS}, found {shape}")
    return {f"y_{part}": Source(path, "", shape[:1], dtype, read)}


def _read_idx(path, offset, dtype, shape):
    array = np.empty(shape, dtype)
    with open_file(path) as file:
        stream = decompressed(file)
        stream.read(offset)
        fill(stream, array)
        if stream.read(1):
            raise ValueError(f"bytes after the last of {shape[0]} items")
    return array[:, 0] if array.ndim == 2 else array


def npz_sets(path):
    """The sets of an .npz file; none where a zip file is none."""
    sources = {}
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        members = dict.fromkeys(archive.namelist())
        for name in WANTED:
            if f"{name}.npy" in members:
                read = functools.partial(_read_npy, path, f"{name}.npy")
                sources[name] = Source(path, name, *read_header(archive, f"{name}.npy"), read)
    names = [member.removesuffix(".npy") for member in members]
    suffix = path.suffix.lower()
    if suffix == ".zip" and not sources:
        raise ValueError(f"unpack it; it holds {truncated(str, ', '.join(members))}")
    is_npz = suffix == ".npz" or any(member.endswith(".npy") for member in members)
    return named_sets(sources, names) if is_npz else []  # a document, say


def _read_npy(path, member):
    with open_file(path) as file, zipfile.ZipFile(file) as archive:
        return read_member(archive, member)
