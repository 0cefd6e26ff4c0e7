"""Every plot, table and listing of the notebook, so that its cells stay short.

Each function but `format_table` and `show_code` makes one matplotlib figure and returns it. What is
shown several times, such as curves, comes as a dict by the name that the legend or title gives it.
"""

import ast
import inspect
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

# How the columns of the notebook's tables are written.
FORMATS = {
    "training accuracy": "{:.2%}",
    "validation accuracy": "{:.2%}",
    "test accuracy": "{:.2%}",
    "validation error": "{:.2%}",
    "test error": "{:.2%}",
    "worst": "{:.2%}",
    "minutes": "{:.1f}",
    "max rel. error": "{:.1e}",
    "seconds": "{:.1f}",
    "parameters": "{:,}",
    "learning_rate": "{:g}",
    "lr_decay": "{:g}",
    "reg": "{:g}",
    "weight_scale": "{:.2g}",
    "std": "{:.2%}",
}


def format_table(rows):
    """A table for reading: percentages as such, no superfluous digits, no row numbers.

    rows is a pandas.DataFrame or a list of dicts. Columns that `FORMATS` names are written as it
    says; the first column becomes the index.
    """
    table = pd.DataFrame(rows)
    formats = {name: FORMATS[name] for name in table.columns if name in FORMATS}
    table = table.assign(**{name: table[name].map(f.format) for name, f in formats.items()})
    return table.set_index(table.columns[0])


def show_code(*functions):
    """The code of functions, without their docstrings, which a notebook shows in colours."""
    listings = []
    for function in functions:
        source = textwrap.dedent(inspect.getsource(function))
        lines, [definition] = source.rstrip().split("\n"), ast.parse(source).body
        if ast.get_docstring(definition) is not None:
            docstring = definition.body[0]
            del lines[docstring.lineno - 1 : docstring.end_lineno]
        listings.append("\n".join(lines))
    return Markdown("\n".join(["~~~python", "\n\n\n".join(listings), "~~~"]))


def _as_pictures(images):
    """Images of any of the project's shapes as (N, H, W)."""
    images = np.asarray(images)
    if images.ndim == 2:
        side = round(images.shape[1] ** 0.5)
        return images.reshape(-1, side, side)
    return images.reshape(-1, *images.shape[-2:])


def show_images(images, titles=None, *, columns=10, cmap="gray_r", limits=None):
    """Images side by side in a grid, each with its title above it where titles are given.

    images is (N, H, W), (N, 1, H, W), or (N, H * W) with H = W. The default colour map shows pixels
    as ink on paper. limits are the values at the ends of the colour map, by default each picture's
    own extremes.
    """
    images = _as_pictures(images)
    if len(images) == 0:
        raise ValueError("show_images: images holds none")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(
        rows,
        columns,
        figsize=(0.9 * columns, (1.0 + 0.2 * (titles is not None)) * rows),
        squeeze=False,
        layout="constrained",
    )
    low, high = limits or (None, None)
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(images):
            ax.imshow(images[i], cmap=cmap, vmin=low, vmax=high)
            if titles is not None:
                ax.set_title(titles[i], fontsize=9)
    return fig


def show_weights(w, *, columns=10):
    """First-layer weights w (H * H, M), one image a column: blue is < 0, red > 0, white 0."""
    end = np.abs(w).max()
    return show_images(w.T, columns=columns, cmap="RdBu_r", limits=(-end, end))


def show_matrices(matrices, mark):
    """Small matrices side by side, with their numbers in their cells.

    Cells where mark (H, W) is not 0 are shaded in every matrix of that shape.
    """
    fig, axes = plt.subplots(
        1, len(matrices), figsize=(3 * len(matrices), 3.2), squeeze=False, layout="constrained"
    )
    for ax, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        shade = mark != 0 if mark.shape == matrix.shape else np.ones(matrix.shape)
        ax.imshow(shade, cmap="Blues", vmin=0, vmax=3)
        for (i, j), value in np.ndenumerate(matrix):
            ax.text(j, i, f"{value:g}", ha="center", va="center")
        ax.set(title=title, xticks=[], yticks=[])
    return fig


def plot_curves(x, curves, xlabel, ylabel):
    """Functions of one variable in one picture: x (T,), and curves (T,) by name."""
    fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for i, (name, values) in enumerate(curves.items()):
        ax.plot(x, values, ("-", "o", "--")[i % 3], ms=4, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig


def plot_activations(activations, *, limit=6.0):
    """Activation functions, each a pair (forward, backward), and their derivatives around 0."""
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
    fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, numbers in values.items():
        ax.semilogy(np.arange(1, len(numbers) + 1), numbers, "o-", label=name)
    ax.set(xlabel="layer (1 is next to the image)", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return fig


def plot_training(solvers, *, smooth=100):
    """Loss of the iterations and accuracies of the epochs of one or several trained Solvers.

    The loss is averaged over ``smooth`` iterations; fewer where a run is short.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for i, (name, solver) in enumerate(solvers.items()):
        loss = np.array(solver.loss_history)
        window = max(1, min(smooth, len(loss) // 10))
        loss = loss[: len(loss) // window * window].reshape(-1, window).mean(axis=1)
        left.semilogy((np.arange(len(loss)) + 0.5) * window, loss, color=f"C{i}", label=name)
        histories = {"o--": solver.train_acc_history, "o-": solver.val_acc_history}
        for style, accuracies in histories.items():
            right.plot(np.arange(len(accuracies)), accuracies, style, ms=3, color=f"C{i}")
    left.set(xlabel="iteration", ylabel=f"loss (mean of {window} iterations)")
    left.legend()
    # The untrained network would squeeze all the rest into the top of the picture.
    trained = [acc for solver in solvers.values() for acc in solver.val_acc_history[1:]]
    right.set(xlabel="epoch", ylabel="accuracy", ylim=(max(0.0, 1.5 * min(trained) - 0.51), 1.005))
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
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (labels, predicted), 1)
    mistakes = counts - np.diag(np.diag(counts))
    fig, ax = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    image = ax.imshow(mistakes, cmap="Reds")
    for i, j in np.argwhere(mistakes):
        dark = mistakes[i, j] > 0.6 * mistakes.max()
        ax.text(
            j,
            i,
            mistakes[i, j],
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    ax.set(
        xlabel="predicted digit",
        ylabel="true digit",
        xticks=range(num_classes),
        yticks=range(num_classes),
    )
    fig.colorbar(image, ax=ax, label="images")
    return fig


def plot_search(table, columns, importances):
    """Trials of a search: error against each hyperparameter, importances, best error so far.

    table has one trial a row, with the columns ``trial``, ``outcome``, ``validation accuracy`` and
    the hyperparameters in columns: one panel each, on a logarithmic axis where they span a factor
    of 8. importances is by hyperparameter.
    """
    fig = plt.figure(figsize=(2.4 * len(columns), 6), layout="constrained")
    top, bottom = fig.subfigures(2, 1)
    axes = top.subplots(1, len(columns), sharey=True)
    for ax, column in zip(axes, columns, strict=True):
        for outcome, trials in table.groupby("outcome"):
            error = 1 - trials["validation accuracy"]
            filled = {} if outcome == "complete" else {"facecolors": "none"}
            ax.scatter(trials[column], error, s=24, edgecolors="C0", label=outcome, **filled)
        ax.set(xlabel=column, yscale="log")
        values = table[column].unique()
        if values.min() > 0 and values.max() >= 8 * values.min():
            ax.set_xscale("log")
        if len(values) <= 6:
            ax.set_xticks(values, values)
            ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("validation error")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_minor_formatter(NullFormatter())
    axes[0].legend()

    left, right = bottom.subplots(1, 2)
    left.barh(list(importances)[::-1], list(importances.values())[::-1])
    left.set(xlabel="share of importance", ylabel="hyperparameter")
    trials = table.sort_values("trial")
    right.step(trials["trial"], (1 - trials["validation accuracy"]).cummin(), where="post")
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
    fig, axes = plt.subplots(1, len(values), figsize=(9, 3.6), layout="constrained")
    for ax, value in zip(axes, values, strict=True):
        for i, (width, runs) in enumerate(table.groupby("width")):
            # Moved a little to the side, so that the bars of two widths do not hide each other.
            shift = 0.06 * i
            ax.plot(runs["hidden layers"] + shift, runs[value], ".", ms=4, color=f"C{i}", alpha=0.6)
            by_depth = runs.groupby("hidden layers")[value]
            mean, std = by_depth.mean(), by_depth.std()
            ax.errorbar(
                mean.index + shift,
                mean,
                std,
                fmt="o-",
                capsize=4,
                color=f"C{i}",
                label=f"width {width}",
            )
        ax.set(xlabel="hidden layers", ylabel=f"{value} (mean, std)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=2))
        ax.grid(alpha=0.3)
    axes[0].legend()
    return fig
