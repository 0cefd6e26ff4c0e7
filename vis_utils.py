"""Every plot, table and listing of the notebook, so that its cells stay short.

Each function but `format_table` and `show_code` makes one matplotlib figure and returns it. What is
shown several times, such as curves, comes as a dict by the name that the legend or title gives it.
Arrays may be lists. NaN is left out of a plot. What does not fit, or holds nothing to show, is a
TypeError or a ValueError that names function and argument.
"""

import ast
import inspect
import math
import textwrap
from contextlib import suppress
from numbers import Real

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from support.checks import check_integer, check_kind, describe

# How the columns of the notebook's tables are written.
FORMATS = {
    **dict.fromkeys(("training accuracy", "validation accuracy", "test accuracy"), "{:.2%}"),
    **dict.fromkeys(("training", "validation", "mean", "training std", "validation std"), "{:.2%}"),
    **dict.fromkeys(("error", "validation error", "test error", "std"), "{:.2%}"),
    **dict.fromkeys(("TFLOP", "minutes", "seconds"), "{:.1f}"),
    **dict.fromkeys(("learning_rate", "lr_decay", "reg", "weight_scale"), "{:.3g}"),
    "cross-entropy": "{:.4f}",
}
CENTRED = {"ha": "center", "va": "center"}


def format_table(rows):
    """Return a table for reading: percentages as such, no superfluous digits, no row numbers.

    rows is a pandas.DataFrame or a list of dicts. Numbers in columns that `FORMATS` names are
    written as it says; the first column becomes the index.
    """
    check_kind("format_table", (pd.DataFrame, list), "a DataFrame or a list of dicts", rows=rows)
    table = pd.DataFrame(rows)
    if len(table.columns) == 0:
        raise ValueError("format_table: rows holds none")
    for name in [name for name in table.columns if name in FORMATS]:
        table = table.assign(**{name: [_format(FORMATS[name], value) for value in table[name]]})
    table = table.set_index(table.columns[0])
    return table.rename_axis(index=None, columns=table.index.name)  # all names in one line


def _format(text, value):
    return text.format(value) if isinstance(value, Real) and value == value else value


def show_code(*functions):
    """Return the code of functions without their docstrings, which a notebook shows in colours."""
    listing = "\n\n\n".join(map(_without_docstring, functions))
    return Markdown(f"~~~python\n{listing}\n~~~")


def _without_docstring(function):
    try:
        source = textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError) as error:
        raise TypeError(f"show_code: functions must be written in Python: {error}") from error
    [definition], lines = ast.parse(source).body, source.split("\n")
    if ast.get_docstring(definition) is not None:
        docstring = definition.body[0]
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines)


def show_images(images, titles=None, *, columns=10, cmap="gray_r", limits=None):
    """Show images side by side in a grid, each with its title above it where titles are given.

    images is (N, H, W), (N, 1, H, W), or (N, H * W) with H = W. The default colour map shows pixels
    as ink on paper. limits are the values at the ends of the colour map, by default each picture's
    own extremes.
    """
    images = _as_numbers("show_images", (2, 3, 4), images=images)
    side = math.isqrt(images.shape[-1])
    height, width = (side, side) if images.ndim == 2 else images.shape[-2:]
    if images[0].size != height * width:
        raise ValueError(
            "show_images: images must be (N, H, W), (N, 1, H, W), or (N, H * W) with H = W, "
            f"got {images.shape}"
        )
    images = images.reshape(-1, height, width)
    row_height = 1.0 if titles is None else 1.2
    titles = [""] * len(images) if titles is None else list(titles)
    if len(titles) != len(images):
        raise ValueError(f"show_images: titles must be {len(images)}, got {len(titles)}")
    low, high = (None, None) if limits is None else limits
    check_integer("show_images", columns=columns)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = 0.9 * columns, row_height * rows
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high)
        ax.set_title(_as_text(title), fontsize=9)
    return fig


def show_matrices(matrices, mark):
    """Show small matrices side by side, with their numbers in their cells.

    Cells where mark (H, W) is not 0 are shaded in every matrix of that shape.
    """
    matrices = _as_arrays("show_matrices", (2,), matrices=matrices)
    mark = _as_numbers("show_matrices", (2,), mark=mark)
    size = 3 * len(matrices), 3.2
    fig, axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout="constrained")
    for ax, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        shade = mark != 0 if mark.shape == matrix.shape else np.ones(matrix.shape)
        ax.imshow(shade, cmap="Blues", vmin=0, vmax=3)
        for (i, j), value in np.ndenumerate(matrix):
            ax.text(j, i, f"{value:g}", **CENTRED)
        ax.set(title=_as_text(title), xticks=[], yticks=[])
    return fig


def plot_activations(activations, *, limit=6.0):
    """Plot activation functions, each a pair (forward, backward), and their derivatives."""
    _check_dict("plot_activations", activations=activations)
    x = np.linspace(-limit, limit, 601)
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, (forward, backward) in activations.items():
        out, cache = forward(x)
        axes[0].plot(x, out, label=_as_text(name))
        axes[1].plot(x, backward(np.ones_like(x), cache))
    axes[0].set(xlabel="input $z$", ylabel=r"output $\sigma(z)$", ylim=(-2, 3))
    axes[1].set(xlabel="input $z$", ylabel=r"derivative $\sigma'(z)$", ylim=(-0.1, 1.1))
    axes[0].legend()
    for ax in axes:
        ax.grid(alpha=0.3)
    return fig


def plot_by_layer(values, ylabel):
    """Plot one number a layer for each network, over the layers, on a logarithmic scale."""
    values = _as_arrays("plot_by_layer", (1,), values=values)
    fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, numbers in values.items():
        ax.plot(np.arange(1, len(numbers) + 1), numbers, "o-", label=_as_text(name))
    _set_log_scale(ax, np.concatenate(list(values.values())))
    ax.set(xlabel="layer (1 is next to the image)", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig


def plot_training(solvers, *, smooth=100):
    """Plot the losses of all iterations, and accuracies of all epochs, of trained Solvers.

    The loss is averaged over ``smooth`` iterations; fewer where a run is short.
    """
    _check_dict("plot_training", solvers=solvers)
    check_integer("plot_training", smooth=smooth)
    for name, solver in solvers.items():
        if not getattr(solver, "loss_history", None):
            raise ValueError(f"plot_training: solvers[{name!r}] must be a trained Solver")
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    losses, windows, accuracies = [], [], []
    for i, (name, solver) in enumerate(solvers.items()):
        loss = np.array(solver.loss_history)
        window = max(1, min(smooth, len(loss) // 10))
        loss = loss[: len(loss) // window * window].reshape(-1, window).mean(axis=1)
        style = {"color": f"C{i}", "ms": 3, "marker": "o" if len(loss) == 1 else ""}
        left.plot((np.arange(len(loss)) + 0.5) * window, loss, label=_as_text(name), **style)
        losses.append(loss)
        windows.append(window)
        for line, history in {"--": solver.train_acc_history, "-": solver.val_acc_history}.items():
            right.plot(np.arange(len(history)), history, line, color=f"C{i}", marker="o", ms=3)
            # The untrained network would squeeze all the rest into the top of the picture.
            accuracies += history[1:] or history
    _set_log_scale(left, np.concatenate(losses))
    means = " to ".join(map(str, sorted({min(windows), max(windows)})))
    left.set(xlabel="iteration", ylabel=f"loss (mean of {means} iterations)")
    left.legend()
    lowest = max(0.0, 1.5 * min(accuracies) - 0.51)
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(lowest, 1.005))
    right.plot([], [], "k--", label="training")
    right.plot([], [], "k-", label="validation")
    right.legend(loc="lower right")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.xaxis.get_major_locator().set_params(integer=True)
    for ax in (left, right):
        ax.grid(alpha=0.3)
    return fig


def plot_search(table, columns, importances):
    """Plot a search: error against each hyperparameter, importances, best error so far.

    table has one trial a row, with the columns ``trial``, ``outcome``, ``validation accuracy`` and
    the hyperparameters in columns: one panel each, on a logarithmic axis where they span a factor
    of 8. importances is by hyperparameter, and empty where they are not known.
    """
    columns = list(columns)
    _check_table("plot_search", table, ["trial", "outcome", "validation accuracy", *columns])
    check_kind("plot_search", dict, "a dict", importances=importances)
    table = table.reset_index(drop=True)
    error = 1 - table["validation accuracy"]  # no column, which one of the table might be called
    if error.isna().all():
        raise ValueError("plot_search: table holds no accuracies")
    fig = plt.figure(figsize=(max(6, 2.4 * len(columns)), 6), layout="constrained")
    top, bottom = fig.subfigures(2, 1)
    [axes] = top.subplots(1, len(columns), sharey=True, squeeze=False)
    for ax, column in zip(axes, columns, strict=True):
        values = table[column].infer_objects()
        if not pd.api.types.is_numeric_dtype(values):
            values = values.map(_as_text)
        for outcome, trials in table.groupby("outcome", dropna=False):
            filled = {} if outcome == "complete" else {"facecolors": "none"}
            x, style = values[trials.index], {"s": 24, "edgecolors": "C0", **filled}
            ax.scatter(x, error[trials.index], label=_as_text(outcome), **style)
        ax.set(xlabel=_as_text(column))
        ax.grid(alpha=0.3)
        distinct = values.dropna().unique()
        if pd.api.types.is_numeric_dtype(values) and len(distinct):
            if 0 < 8 * distinct.min() <= distinct.max():
                ax.set_xscale("log")
            if len(distinct) <= 6:
                ax.set_xticks(distinct, distinct)
                ax.minorticks_off()
    _set_log_scale(axes[0], error)
    if axes[0].get_yscale() == "log":
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[0].yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("validation error")
    axes[0].legend()

    left, right = bottom.subplots(1, 2)
    left.barh([*map(_as_text, importances)][::-1], list(importances.values())[::-1])
    left.set(xlabel="share of importance", ylabel="hyperparameter", yticks=range(len(importances)))
    trials = table.sort_values("trial")
    marker = "o" if len(trials) == 1 else ""
    best = error[trials.index].cummin()
    right.step(trials["trial"], best, where="post", marker=marker)
    right.set(xlabel="trial", ylabel="best validation error so far")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.grid(alpha=0.3)
    for ax in (axes[0], right):
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return fig


def plot_architectures(table):
    """Plot validation accuracy against learning rate: a panel a width, a line a depth.

    table has one run a row, with the columns ``width``, ``hidden layers``, ``learning_rate`` and
    ``validation accuracy``; runs that agree in the first three are a point, their mean. The axis
    begins 5 percentage points below the best, or at the lowest.
    """
    columns = ["width", "hidden layers", "learning_rate", "validation accuracy"]
    _check_table("plot_architectures", table, columns)
    means = table.groupby(columns[:3], dropna=False)[columns[3]].mean()
    widths = means.groupby("width", dropna=False)
    size, shared = (4.5 * len(widths), 3.6), {"sharey": True, "squeeze": False}
    fig, [axes] = plt.subplots(1, len(widths), figsize=size, layout="constrained", **shared)
    for ax, (width, of_width) in zip(axes, widths, strict=True):
        for depth, by_rate in of_width.groupby("hidden layers"):
            label = _as_text(f"{depth} hidden layer{'s' * (depth != 1)}")
            rates = by_rate.index.get_level_values("learning_rate")
            ax.plot(rates, by_rate, "o-", label=label)
        rates = sorted(of_width.index.get_level_values("learning_rate").unique())
        ax.set(title=_as_text(f"width {width}"), xlabel="learning rate", xscale="log")
        ax.set_xticks(rates, rates)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylim(max(means.min(), means.max() - 0.05) - 0.002, means.max() + 0.002)
    axes[0].set_ylabel("validation accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return fig


def _as_text(name):
    """Return a name as matplotlib shows it whole, which hides labels like _a and typesets $a$."""
    text = str(name).replace("$", r"\$")
    return f" {text}" if text[:1] in ("", "_") else text


def _check_dict(function, **dicts):
    """Check that each is a dict with something in it."""
    check_kind(function, dict, "a dict", **dicts)
    for name, values in dicts.items():
        if not values:
            raise ValueError(f"{function}: {name} holds none")


def _as_numbers(function, axes, **values):
    """Return the values of that name as an array of numbers, not empty, with so many axes."""
    [(name, value)] = values.items()
    with suppress(ValueError):  # of lists of several lengths
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
        raise TypeError(f"{function}: {name} must be an array of numbers, got {describe(value)}")
    if value.ndim not in axes or value.size == 0:
        counts = " or ".join(map(str, axes))
        raise ValueError(
            f"{function}: {name} must have {counts} axes and numbers in it, got shape {value.shape}"
        )
    return value


def _as_arrays(function, axes, **dicts):
    """Return the dict of that name with its values as arrays of numbers."""
    _check_dict(function, **dicts)
    [(name, values)] = dicts.items()
    return {k: _as_numbers(function, axes, **{f"{name}[{k!r}]": v}) for k, v in values.items()}


def _check_table(function, table, columns):
    """Check that it is a DataFrame with these columns, and not empty."""
    check_kind(function, pd.DataFrame, "a DataFrame", table=table)
    missing = [str(name) for name in columns if name not in table.columns]
    if missing or table.empty:
        what = f"columns {', '.join(missing)}" if missing else "rows"
        raise ValueError(f"{function}: table must have {what}")


def _set_log_scale(ax, values):
    """Set a logarithmic y axis for values, with a place for 0 where there is one among them."""
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
