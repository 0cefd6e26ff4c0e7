"""The two tables of what was measured: runs of recipes, and trials on held-out training images.

Each is a CSV file of a header and a row a run. A file of other columns is a ValueError that names
it.
"""

from pathlib import Path

import pandas as pd

from support.checks import as_path
from support.process import locked

RUNS = Path(__file__).parent / "recipes.csv"
RUN_COLUMNS = ("recipe", "seed", "validation error", "test error", "TFLOP", "minutes")

TRIAL_COLUMNS = (
    *("recipe", "seed", "hidden_dim", "num_filters", "dropout", "normalization", "reg", "deskew"),
    *("rotation", "scale", "shear", "shift", "elastic"),
    *("num_epochs", "learning_rate", "batch_size", "adversarial"),
    *("error", "cross-entropy", "shifted error", "shifted cross-entropy"),
    *("TFLOP", "minutes", "note"),
)


def read_rows(path, columns):
    """Return the rows of a file with these columns, a pandas.DataFrame."""
    path = as_path("read_rows", path=path)
    types = {"recipe": str, "note": str, **dict.fromkeys(RUN_COLUMNS[2:], float)}
    try:
        # A note is text, also one that reads like a number, or like what pandas takes for nothing.
        rows = pd.read_csv(path, dtype=types, keep_default_na=False, na_values="")
        if tuple(rows) != tuple(columns):
            raise ValueError(f"expected the columns {', '.join(columns)}")
    except ValueError as error:  # also those of pandas and of bytes that are not UTF-8
        raise ValueError(f"{path}: {error}") from error
    return rows


def add_rows(path, columns, *rows):
    """Append rows, dicts, to a file, one process at a time; the file is begun where it is new.

    Called without rows before a training, it finds out whether the file will take them.
    """
    path = as_path("add_rows", path=path)
    with locked("add_rows", path):
        text = path.read_bytes() if path.is_file() else b""
        if text:
            read_rows(path, columns)
        with open(path, "a", encoding="utf-8", newline="") as file:
            if text and not text.endswith(b"\n"):
                file.write("\n")  # which an editor may have left out
            pd.DataFrame(rows, columns=columns).to_csv(file, header=not text, index=False)


def summary(path=RUNS):
    """Return what the runs of a file have measured, a pandas.DataFrame with a row a recipe.

    Number of ``seeds``, of each of which the last run counts, mean ``validation error`` (NaN where
    all images were trained on), mean and ``std`` (dividing by seeds - 1) of the ``test error``,
    mean ``TFLOP`` and ``minutes`` of training; the recipe of the fewest TFLOP comes first.
    """
    rows = read_rows(path, RUN_COLUMNS).drop_duplicates(["recipe", "seed"], keep="last")
    runs = rows.groupby("recipe", sort=False)
    table = runs.mean()[["validation error", "test error"]]
    table.insert(0, "seeds", runs.size())
    table["std"] = runs["test error"].std()
    table[["TFLOP", "minutes"]] = runs[["TFLOP", "minutes"]].mean()
    return table.sort_values("TFLOP", kind="stable").reset_index()
