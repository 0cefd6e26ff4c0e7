"""What is plotted: checks of arrays, dicts and tables, and an axis that suits the numbers."""

from contextlib import suppress

import numpy as np
import pandas as pd

from support.checks import check_kind, describe


def check_dict(function, **dicts):
    """Each is a dict with something in it."""
    check_kind(function, dict, "a dict", **dicts)
    for name, values in dicts.items():
        if not values:
            raise ValueError(f"{function}: {name} holds none")


def as_numbers(function, axes, **values):
    """The values of that name as an array of numbers, not empty, with so many axes."""
    [(name, value)] = values.items()
    with suppress(ValueError):  # of lists of several lengths
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
        raise TypeError(f"{function}: {name} must be an array of numbers, got {describe(value)}")
    if value.ndim not in axes:
        counts = " or ".join(map(str, axes))
        raise ValueError(f"{function}: {name} must have {counts} axes, got shape {value.shape}")
    if value.size == 0:
        raise ValueError(f"{function}: {name} holds none, got shape {value.shape}")
    return value


def as_arrays(function, axes, **dicts):
    """The dict of that name with its values as arrays of numbers."""
    check_dict(function, **dicts)
    [(name, values)] = dicts.items()
    return {k: as_numbers(function, axes, **{f"{name}[{k!r}]": v}) for k, v in values.items()}


def check_table(function, table, numbers, others):
    """It is a DataFrame with these columns, and not empty."""
    check_kind(function, pd.DataFrame, "a DataFrame", table=table)
    if missing := [str(name) for name in (*numbers, *others) if name not in table.columns]:
        raise ValueError(f"{function}: table must have columns {', '.join(missing)}")
    if table.empty:
        raise ValueError(f"{function}: table holds none")
    for name in numbers:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise TypeError(f"{function}: table must have numbers in its column {name}")


def set_log_scale(ax, values):
    """A logarithmic y axis for values, with a place for 0 where there is one among them."""
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if len(positive) == 0:
        return
    low, high = positive.min(), positive.max()
    if len(positive) < len(values):
        ax.set_yscale("symlog", linthresh=max(low, 1e-99 * high))
    else:
        margin = (high / low) ** 0.05 if low < high else 2
        ax.set_ylim(low / margin, high * margin)
        ax.set_yscale("log")
