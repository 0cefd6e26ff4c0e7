"""Every plot, table and listing of the notebook, so that its cells stay short.

Each function but `format_table` and `show_code` makes one matplotlib figure and returns it. What is
shown several times, such as curves, comes as a dict by the name that the legend or title gives it.
NaN is left out of a plot. What does not fit, or holds nothing to show, is a TypeError or a
ValueError that names function and argument.
"""

import ast
import inspect
import math
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from numbers import Real

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from support.checks import check_integer, check_kind, check_number, truncated
from support.examples import check_labels
from support.plotted import as_arrays, as_numbers, check_dict, check_table, set_log_scale

# How the columns of the notebook's tables are written.
FORMATS = {
    **dict.fromkeys(("training accuracy", "validation accuracy", "test accuracy"), "{:.2%}"),
    **dict.fromkeys(("error", "validation error", "test error", "worst"), "{:.2%}"),
    **dict.fromkeys(("TFLOP", "minutes", "seconds"), "{:.1f}"),
    **dict.fromkeys(("learning_rate", "lr_decay", "reg", "weight_scale"), "{:.3g}"),
    "cross-entropy": "{:.4f}",
}
CENTRED = {"ha": "center", "va": "center"}


def format_table(rows):
    """A table for reading: percentages as such, no superfluous digits, no row numbers.

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
    """The code of functions, without their docstrings, which a notebook shows in colours."""
    listing = "\n\n\n".join(map(_without_docstring, functions))
    # A line of nothing but ~ would end the listing, unless the fence is longer.
    longest = max((len(word) for word in listing.split() if set(word) == {"~"}), default=0)
    fence = "~" * max(3, longest + 1)
    return Markdown(f"{fence}python\n{listing}\n{fence}")


def _without_docstring(function):
    try:
        source = textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError) as error:
        raise TypeError(
            f"show_code: functions must be written in Python, got {truncated(repr, function)}"
        ) from error
    lines = source.split("\n")
    with suppress(SyntaxError, TypeError, ValueError):  # a lambda, with what stands around it
        [definition] = ast.parse(source).body
        if ast.get_docstring(definition) is not None:
            docstring, following = definition.body[:2]
            if following.lineno > docstring.end_lineno:
                del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines)


def show_images(images, titles=None, *, columns=10, cmap="gray_r", limits=None):
    """Images side by side in a grid, each with its title above it where titles are given.

    images is (N, H, W), (N, 1, H, W), or (N, H * W) with H = W. The default colour map shows pixels
    as ink on paper. limits are the values at the ends of the colour map, by default each picture's
    own extremes.
    """
    images = as_numbers("show_images", (2, 3, 4), images=images)
    side = math.isqrt(images.shape[-1])
    height, width = (side, side) if images.ndim == 2 else images.shape[-2:]
    if images[0].size != height * width:
        raise ValueError(
            "show_images: images must be (N, H, W), (N, 1, H, W), or (N, H * W) with H = W, "
            f"got {images.shape}"
        )
    images = images.reshape(-1, height, width)
    check_kind("show_images", Iterable | None, "one for each image", titles=titles)
    row_height = 1.0 if titles is None else 1.2
    titles = [""] * len(images) if titles is None else list(titles)
    if len(titles) != len(images):
        raise ValueError(f"show_images: titles must be {len(images)}, got {len(titles)}")
    if limits is not None and not (np.shape(limits) == (2,) and limits[0] < limits[1]):
        raise ValueError(f"show_images: limits must be two rising numbers, got {limits!r}")
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
        ax.set_title(title, fontsize=9)
    return fig


def show_weights(w, *, columns=10):
    """First-layer weights w (H * H, M), one image a column: blue is < 0, red > 0, white 0."""
    w = as_numbers("show_weights", (2,), w=w)
    if math.isqrt(len(w)) ** 2 != len(w):
        raise ValueError(f"show_weights: w must be (H * H, M), got {w.shape}")
    check_integer("show_weights", columns=columns)
    end = np.abs(w[np.isfinite(w)]).max(initial=0) or 1  # where all are 0, all are white
    return show_images(w.T, columns=columns, cmap="RdBu_r", limits=(-end, end))


def show_matrices(matrices, mark):
    """Small matrices side by side, with their numbers in their cells.

    Cells where mark (H, W) is not 0 are shaded in every matrix of that shape.
    """
    matrices = as_arrays("show_matrices", (2,), matrices=matrices)
    mark = as_numbers("show_matrices", (2,), mark=mark)
    size = 3 * len(matrices), 3.2
    fig, axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout="constrained")
    for ax, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        shade = mark != 0 if mark.shape == matrix.shape else np.ones(matrix.shape)
        ax.imshow(shade, cmap="Blues", vmin=0, vmax=3)
        for (i, j), value in np.ndenumerate(matrix):
            ax.text(j, i, f"{value:g}", **CENTRED)
        ax.set(title=title, xticks=[], yticks=[])
    return fig


def plot_curves(x, curves, xlabel, ylabel):
    """Functions of one variable in one picture: x (T,), and curves (T,) by name."""
    x = as_numbers("plot_curves", (1,), x=x)
    curves = as_arrays("plot_curves", (1,), curves=curves)
    if lengths := [len(values) for values in curves.values() if len(values) != len(x)]:
        raise ValueError(f"plot_curves: curves must be as long as x, {len(x)}, got {lengths[0]}")
    fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(x, values, ("-", "o", "--")[i % 3], ms=4, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig


def plot_activations(activations, *, limit=6.0):
    """Activation functions, each a pair (forward, backward), and their derivatives around 0."""
    check_dict("plot_activations", activations=activations)
    for name, pair in activations.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(map(callable, pair)):
            raise TypeError(f"plot_activations: activations[{name!r}] must be a pair of functions")
    check_number("plot_activations", positive=True, limit=limit)
    x = np.linspace(-limit, limit, 601)
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for name, (forward, backward) in activations.items():
        out, cache = forward(x)
        axes[0].plot(x, out, label=name)
        axes[1].plot(x, backward(np.ones_like(x), cache), label=name)
    axes[0].set(xlabel="input $z$", ylabel=r"output $\sigma(z)$", ylim=(-2, 3))
    axes[1].set(xlabel="input $z$", ylabel=r"derivative $\sigma'(z)$", ylim=(-0.1, 1.1))
    axes[0].legend()
    for ax in axes:
        ax.grid(alpha=0.3)
    return fig


def plot_by_layer(values, ylabel):
    """For each network one number a layer, as lines over the layers, on a logarithmic scale."""
    values = as_arrays("plot_by_layer", (1,), values=values)
    fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, numbers in values.items():
        ax.plot(np.arange(1, len(numbers) + 1), numbers, "o-", label=name)
    set_log_scale(ax, np.concatenate(list(values.values())))
    ax.set(xlabel="layer (1 is next to the image)", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig


def plot_training(solvers, *, smooth=100):
    """Loss of the iterations and accuracies of the epochs of one or several trained Solvers.

    The loss is averaged over ``smooth`` iterations; fewer where a run is short.
    """
    check_dict("plot_training", solvers=solvers)
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
        left.plot((np.arange(len(loss)) + 0.5) * window, loss, label=name, **style)
        losses.append(loss)
        windows.append(window)
        for line, history in {"--": solver.train_acc_history, "-": solver.val_acc_history}.items():
            right.plot(np.arange(len(history)), history, line, color=f"C{i}", marker="o", ms=3)
            # The untrained network would squeeze all the rest into the top of the picture.
            accuracies += history[1:] or history
    set_log_scale(left, np.concatenate(losses))
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


def plot_confusion(labels, predicted, *, num_classes=10):
    """How often each class was taken for each other one; the right answers are left blank.

    labels and predicted are integers, (N,).
    """
    labels = as_numbers("plot_confusion", (1,), labels=labels)
    predicted = as_numbers("plot_confusion", (1,), predicted=predicted)
    check_labels("plot_confusion", labels, predicted, ("labels", "predicted"))
    check_labels("plot_confusion", predicted, labels, ("predicted", "labels"))
    least = int(max(labels.max(), predicted.max())) + 1
    check_integer("plot_confusion", least, num_classes=num_classes)
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (labels, predicted), 1)
    mistakes = counts - np.diag(np.diag(counts))
    fig, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    image = ax.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, mistakes.max()))
    for i, j in np.argwhere(mistakes):
        colour = "white" if mistakes[i, j] > 0.6 * mistakes.max() else "black"
        ax.text(j, i, mistakes[i, j], fontsize=8, color=colour, **CENTRED)
    ticks = range(num_classes)
    ax.set(xlabel="predicted digit", ylabel="true digit", xticks=ticks, yticks=ticks)
    fig.colorbar(image, ax=ax, label="images", ticks=MaxNLocator(integer=True))
    return fig


def plot_search(table, columns, importances):
    """Trials of a search: error against each hyperparameter, importances, best error so far.

    table has one trial a row, with the columns ``trial``, ``outcome``, ``validation accuracy`` and
    the hyperparameters in columns: one panel each, on a logarithmic axis where they span a factor
    of 8. importances is by hyperparameter, and empty where they are not known.
    """
    columns = list(columns)
    check_table("plot_search", table, ["trial", "validation accuracy"], ["outcome", *columns])
    check_kind("plot_search", dict, "a dict", importances=importances)
    table = table.assign(error=1 - table["validation accuracy"]).reset_index(drop=True)
    if not columns or table["error"].isna().all():
        missing = "table holds no accuracies" if columns else "columns holds none"
        raise ValueError(f"plot_search: {missing}")
    fig = plt.figure(figsize=(max(6, 2.4 * len(columns)), 6), layout="constrained")
    top, bottom = fig.subfigures(2, 1)
    [axes] = top.subplots(1, len(columns), sharey=True, squeeze=False)
    for ax, column in zip(axes, columns, strict=True):
        values = table[column].infer_objects()
        if not pd.api.types.is_numeric_dtype(values):
            values = values.map(str)
        for outcome, trials in table.groupby("outcome", dropna=False):
            filled = {} if outcome == "complete" else {"facecolors": "none"}
            x, style = values[trials.index], {"s": 24, "edgecolors": "C0", **filled}
            ax.scatter(x, trials["error"], label=outcome, **style)
        ax.set(xlabel=column)
        ax.grid(alpha=0.3)
        distinct = values.dropna().unique()
        if pd.api.types.is_numeric_dtype(values) and len(distinct):
            if 0 < 8 * distinct.min() <= distinct.max():
                ax.set_xscale("log")
            if len(distinct) <= 6:
                ax.set_xticks(distinct, distinct)
                ax.minorticks_off()
    set_log_scale(axes[0], table["error"])
    if axes[0].get_yscale() == "log":
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[0].yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("validation error")
    axes[0].legend()

    left, right = bottom.subplots(1, 2)
    left.barh(list(importances)[::-1], list(importances.values())[::-1])
    left.set(xlabel="share of importance", ylabel="hyperparameter", yticks=range(len(importances)))
    trials = table.sort_values("trial")
    marker = "o" if len(trials) == 1 else ""
    right.step(trials["trial"], trials["error"].cummin(), where="post", marker=marker)
    right.set(xlabel="trial", ylabel="best validation error so far")
    right.grid(alpha=0.3)
    for ax in (axes[0], right):
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return fig


def plot_architectures(table, *, values=("training accuracy", "validation accuracy")):
    """Accuracies of networks of several depths and widths: mean and standard deviation over runs.

    table has one run a row, with the columns ``hidden layers``, ``width`` and values, one panel
    each.
    """
    check_table("plot_architectures", table, ["hidden layers", *values], ["width"])
    if not values:
        raise ValueError("plot_architectures: values holds none")
    size = 4.5 * len(values), 3.6
    fig, [axes] = plt.subplots(1, len(values), figsize=size, squeeze=False, layout="constrained")
    for ax, value in zip(axes, values, strict=True):
        for i, (width, runs) in enumerate(table.groupby("width", dropna=False)):
            # Moved a little to the side, so that the bars of two widths do not hide each other.
            shift = 0.06 * i
            ax.plot(runs["hidden layers"] + shift, runs[value], ".", ms=4, color=f"C{i}", alpha=0.6)
            by_depth = runs.groupby("hidden layers")[value]
            mean, std = by_depth.mean(), by_depth.std()
            style = {"fmt": "o-", "capsize": 4, "color": f"C{i}", "label": f"width {width}"}
            ax.errorbar(mean.index + shift, mean, std, **style)
        ax.set(xlabel="hidden layers", ylabel=f"{value} (mean, std)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
        ax.grid(alpha=0.3)
    axes[0].legend()
    return fig
