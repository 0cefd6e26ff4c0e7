"""Reading MNIST from CSV files, line by line, so that no line and no file costs without bound."""

import functools
import itertools
import re
import warnings
from codecs import BOM_UTF8
from contextlib import suppress

import numpy as np

from support.files import open_file
from support.sources import Source, decompressed

LONGEST_LINE = 2**15  # bytes; 784 fractions in full precision have 16,000
MAX_LINES = 500_000  # of a file, and
MAX_SIZE = 2**30  # bytes; 60,000 images of fractions have half of that at most
ROWS = 1000  # that are turned into numbers at a time
NUMBER = r"\d+(\.\d*)?"


def csv_sets(path, part):
    """The sets of a file of images, one a line; part is train, test or None, from its name."""
    header = next(_lines(path)).decode().replace('"', "")
    columns = [column.strip() for column in header.split(",")]
    has_header = not all(re.fullmatch(NUMBER, column) for column in columns)
    if has_header:
        labelled = int(columns[0].lower() == "label")
        names = [tuple(map(int, re.findall(r"\d+", column))) for column in columns[labelled:]]
        if len(names) != 784 or names != sorted(set(names)):
            raise ValueError("expected Kaggle's header: label (training only), pixel0 to pixel783")
    elif len(columns) in (784, 785):
        labelled = len(columns) - 784
    else:
        raise ValueError(f"expected 784 pixels a line, after a label or not, found {len(columns)}")
    if not labelled and part == "train":
        raise ValueError("training images without labels: expected label in the first column")
    num_rows = sum(1 for _ in _lines(path)) - has_header

    @functools.cache
    def table():
        lines = itertools.islice(_lines(path), has_header, None)
        return _table(lines, num_rows, len(columns))

    part = "train" if labelled and part != "test" else "test"
    uint8 = np.dtype(np.uint8)
    images = Source(path, "", (num_rows, 784), uint8, lambda: table()[:, labelled:])
    labels = Source(path, "", (num_rows,), uint8, lambda: table()[:, 0])
    return [{f"X_{part}": images, f"y_{part}": labels} if labelled else {f"X_{part}": images}]


def _lines(path):
    """The lines that are not blank."""
    with open_file(path) as file:
        stream, size = decompressed(file), 0
        for number in itertools.count(1):
            line = stream.readline(LONGEST_LINE + 1)
            size += len(line)
            if not line:
                return
            if len(line) > LONGEST_LINE:
                raise ValueError(f"line {number} has more than {LONGEST_LINE:,} bytes")
            if number > MAX_LINES or size > MAX_SIZE:
                raise ValueError(f"expected at most {MAX_LINES:,} lines and {MAX_SIZE:,} bytes")
            if line.strip():
                yield line.removeprefix(BOM_UTF8) if number == 1 else line


def _table(lines, num_rows, num_columns):
    """The numbers, as uint8 if all are integers and as float32 otherwise."""
    table = np.empty((num_rows, num_columns), np.uint8)
    for start in range(0, num_rows, ROWS):
        piece = list(itertools.islice(lines, ROWS))
        try:
            rows = _numbers(piece)
            if rows.shape != table[start : start + ROWS].shape:
                expected = f"{len(piece)} rows of {num_columns}"
                raise ValueError(f"expected {expected}, found {rows.shape}")
        except ValueError as error:
            raise ValueError(f"rows from {start} on: {error}") from None
        if rows.dtype != table.dtype:
            table = table.astype(np.float32, copy=False)
        table[start : start + ROWS] = rows
    return table


def _numbers(lines):
    lines = [line.decode() for line in lines]
    try:
        return _parsed(lines, np.uint8)
    except (ValueError, Warning) as error:
        with suppress(ValueError, Warning):  # 255.0
            wholes = [f"{line.rstrip()},".replace(".0,", ",")[:-1] for line in lines]
            return _parsed(wholes, np.uint8)
        with suppress(ValueError, Warning):  # fractions
            floats = _parsed(lines, np.float32)
            if floats.min() >= 0 and floats.max() <= 255:
                return floats
        raise ValueError(str(error)) from None


def _parsed(lines, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # old NumPy cuts 1.5 to 1 and only warns
        return np.loadtxt(lines, dtype, delimiter=",", comments=None, ndmin=2)
