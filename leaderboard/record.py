"""The record of what runs of recipes have measured, a row of a CSV file each."""

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd

from support.checks import as_path

RECORD = Path(__file__).parent / "recipes.csv"
MEASURED = ("recipe", "seed", "validation error", "test error", "TFLOP", "minutes")
OUT_BYTES = 2**20  # more than any file that a command writes at its end


def summary(path=RECORD):
    """What the runs that ``--record`` has written to a file have measured: a row a recipe.

    Number of ``seeds``, mean ``validation error`` (NaN where all images were trained on), mean and
    ``worst`` of the ``test error``, mean ``TFLOP`` and ``minutes`` of training; the recipe of the
    fewest TFLOP comes first. What is no such file is a ValueError.
    """
    runs = read_record(as_path("summary", path=path)).groupby("recipe", sort=False)
    table = runs.mean()[["validation error", "test error"]]
    table.insert(0, "seeds", runs.size())
    table["worst"] = runs["test error"].max()
    table[["TFLOP", "minutes"]] = runs[["TFLOP", "minutes"]].mean()
    return table.sort_values("TFLOP", kind="stable").reset_index()


def read_record(path):
    """The runs that a file holds, a pandas.DataFrame; what is no such file is a ValueError."""
    try:
        runs = pd.read_csv(path, dtype={"recipe": str, **dict.fromkeys(MEASURED[1:], float)})
        if tuple(runs) != MEASURED:
            raise ValueError("columns are missing")
        is_missing = runs.drop(columns="test error").isna()
        is_missing["validation error"] &= ~runs["recipe"].str.endswith("--all-images", na=False)
        if is_missing.any(axis=None):
            raise ValueError("values are missing")
    except ValueError as error:  # also those of pandas and of bytes that are not UTF-8
        raise ValueError(f"{path} is no record of runs, {', '.join(MEASURED)}: {error}") from error
    return runs


def add_row(path, row):
    """Append a row, a dict, to a CSV file, which begins with the first."""
    text = path.read_bytes() if path.is_file() else b""
    with open(path, "a", encoding="utf-8", newline="") as file:
        if text and not text.endswith(b"\n"):
            file.write("\n")  # which an editor may have left out
        pd.DataFrame([row]).to_csv(file, header=not text, index=False)


def writable(name):
    """A path for a file, of which it is known before the training that it can be written."""
    try:
        path = as_path("recipes", path=name)
        if path.exists() and not (path.is_file() or path.is_dir()):
            return path  # a pipe or a device
        file = Path(os.path.realpath(path))
        if file.exists():
            os.close(os.open(file, os.O_WRONLY))
        with tempfile.TemporaryFile(dir=file.parent) as trial:
            trial.write(bytes(OUT_BYTES))
    except (OSError, ValueError) as error:
        message = f"{name} cannot be written: {getattr(error, 'strerror', error)}"
        raise argparse.ArgumentTypeError(message) from error
    return path


def record(name, read=read_record):
    """A path for a file of rows, new or one that ``read`` can read."""
    path = writable(name)
    try:
        if path.is_file():  # a device holds no rows
            read(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
    return path
