"""Plots: what they show, of small and odd input too, and that their axes say so."""

import re
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers import make_solver, toy_problem

import vis_utils
from layers import relu_backward, relu_forward, tanh_backward, tanh_forward

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("error")

TRIALS = pd.DataFrame(
    {"trial": [2, 0, 1], "outcome": ["complete", "pruned", "complete"], "rate": [0.1, 1.0, 2.0],
     "decay": [0.5, 0.6, 0.9], "validation accuracy": [0.9, 0.8, 0.6]}
)  # fmt: skip
RUNS = pd.DataFrame(
    {"hidden layers": [2, 1, 1, 1], "width": [5, 5, 5, 9], "learning_rate": [1, 2, 2, 2],
     "validation accuracy": [0.4, 0.5, 0.7, 0.6]}
)  # fmt: skip
RELU = relu_forward, relu_backward
PAIRS = {"relu": RELU, "tanh": (tanh_forward, tanh_backward)}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    vis_utils.plt.close("all")


def drawn(fig):
    """Draw a figure, in which a warning is an error; each of its axes says what it shows."""
    fig.canvas.draw()
    for ax in fig.axes:
        assert ax.get_xlabel() or ax.get_label() == "<colorbar>"
        assert any(other.get_ylabel() for other in ax.get_shared_y_axes().get_siblings(ax))
    return fig


class Example:
    def method(self, x):
        """Two lines.
        They are left out."""
        return x + 1  # This is kept.


def without_docstring(x):
    return "~~~", x


def test_show_code():
    listing = vis_utils.show_code(Example.method, without_docstring).data
    method = "def method(self, x):\n    return x + 1  # This is kept."
    other = 'def without_docstring(x):\n    return "~~~", x'
    assert listing == f"~~~python\n{method}\n\n\n{other}\n~~~"


@pytest.fixture(scope="module")
def solver():
    solver = make_solver(toy_problem(), num_epochs=3)
    solver.train()
    return solver


def test_show_images(rng):
    images = rng.integers(0, 256, (7, 4, 4)).astype(np.uint8)
    for shape in (7, 4, 4), (7, 1, 4, 4), (7, 16):
        fig = vis_utils.show_images(images.reshape(shape), titles=range(7), columns=3)
        assert len(fig.axes) == 9
        assert [ax.get_title() for ax in fig.axes if ax.images] == list("0123456")
        for ax, image in zip(fig.axes, images, strict=False):
            np.testing.assert_array_equal(ax.images[0].get_array(), image)


def test_show_matrices_writes_every_number():
    fig = vis_utils.show_matrices({"a": [[1.0, 2.5]], "b": [[3.0]]}, mark=[[0, 1]])
    texts = {ax.get_title(): [text.get_text() for text in ax.texts] for ax in fig.axes}
    assert texts == {"a": ["1", "2.5"], "b": ["3"]}


def test_plot_activations():
    x, slope = drawn(vis_utils.plot_activations(PAIRS)).axes[1].lines[1].get_data()
    np.testing.assert_allclose(slope, 1 / np.cosh(x) ** 2, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "scale", "zero_is_shown"),
    [({"a": [1e-8, 1.0, 2.0], "b": [3, np.nan]}, "log", False),
     ({"a": [0.0, 1e-300, 1.0], "b": [1.0]}, "symlog", True),
     ({"a": [0.0, 0.0]}, "linear", True)],
)  # fmt: skip
def test_plot_by_layer_has_a_place_for_zero(values, scale, zero_is_shown):
    ax = drawn(vis_utils.plot_by_layer(values, "norm")).axes[0]
    assert [len(line.get_xdata()) for line in ax.lines] == list(map(len, values.values()))
    assert ax.get_yscale() == scale
    assert (ax.get_ylim()[0] <= 0) == zero_is_shown


def test_plot_training(solver):
    _, accuracy = drawn(vis_utils.plot_training({"net": solver})).axes
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), solver.train_acc_history)
    np.testing.assert_array_equal(accuracy.lines[1].get_ydata(), solver.val_acc_history)


def test_plot_search():
    fig = drawn(vis_utils.plot_search(TRIALS, ["rate", "decay"], {"rate": 0.7, "decay": 0.3}))
    rate, decay, importances, best = fig.axes
    assert [ax.get_xscale() for ax in (rate, decay)] == ["log", "linear"]
    complete, pruned = (points.get_offsets() for points in rate.collections)
    np.testing.assert_allclose(complete, [[0.1, 0.1], [2.0, 0.4]])
    np.testing.assert_allclose(pruned, [[1.0, 0.2]])
    np.testing.assert_allclose([bar.get_width() for bar in importances.patches], [0.3, 0.7])
    np.testing.assert_allclose(best.lines[0].get_ydata(), [0.2, 0.2, 0.1])


def test_plot_architectures():
    of_5, of_9 = drawn(vis_utils.plot_architectures(RUNS)).axes
    assert (of_5.get_title(), of_9.get_title()) == ("width 5", "width 9")
    line, deeper = of_5.lines
    assert (line.get_label(), deeper.get_label()) == ("1 hidden layer", "2 hidden layers")
    np.testing.assert_allclose([*line.get_data(), *deeper.get_data()], [[2], [0.6], [1], [0.4]])


def test_format_table():
    rows = [{"name": "a", "validation accuracy": 0.98765, "seconds": 1.26, "other": 3}]
    table = vis_utils.format_table(rows)
    assert table.loc["a"].tolist() == ["98.77%", "1.3", 3]
    assert table.to_html().count("<tr") == 2  # one line of names, one of values


def test_plot_training_of_short_runs(toy_data):
    without = {key: toy_data[key] for key in ("X_train", "y_train")}
    short = {
        "without validation": make_solver(without, num_epochs=2),
        "one iteration": make_solver(toy_data, num_epochs=1, batch_size=300),
    }
    for name, run in short.items():
        run.train()
        loss, accuracy = drawn(vis_utils.plot_training({name: run})).axes
        assert len(loss.lines[0].get_xdata()) > 1 or loss.lines[0].get_marker() == "o"
        low, high = accuracy.get_ylim()
        assert all(low <= a <= high for a in run.train_acc_history[1:])


ODD = [
    ("validation accuracy", [1.0, 0.9, np.nan]), ("rate", [0, 0, 0]), ("rate", [-1, np.nan, 8]),
    ("rate", ["adam", "sgd", None]), ("rate", [[8], [8, 4], [8]]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "values"), ODD)
def test_plot_search_of_odd_trials(column, values):
    trials = TRIALS.assign(**{column: values})
    for table in (trials, trials[:1]):
        fig = drawn(vis_utils.plot_search(table, ["rate"], {}))
        errors = 1 - table["validation accuracy"].dropna()
        assert errors.between(*fig.axes[0].get_ylim()).all()
        assert len(fig.axes[0].collections) == table["outcome"].nunique()


def test_not_a_number_leaves_a_gap():
    gaps = np.array([[np.nan, 1.0, 2.0, np.inf]])
    images = vis_utils.show_images(gaps)
    for fig in images, vis_utils.show_matrices({"a": gaps}, mark=gaps):
        fig.canvas.draw()
    assert images.axes[0].images[0].get_array().mask.any()


SQUARE = np.ones((2, 2))
NOT_SHOWN = [
    ("plot_training", [{"a": make_solver(toy_problem())}], "solvers['a']"),
    ("plot_search", [TRIALS, ["momentum"], {}], "table must have columns momentum"),
    ("plot_architectures", [TRIALS], "table must have columns width"),
    ("show_images", [np.ones((28, 27))], "images"), ("show_images", ["digits"], "images"),
    ("show_matrices", [{"a": np.ones(2)}, SQUARE], "matrices['a']"),
    ("plot_activations", [{}], "activations"), ("plot_by_layer", [{"a": []}, "y"], "values['a']"),
    ("format_table", [[]], "rows"), ("show_code", [len], "functions"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "name"), NOT_SHOWN)
def test_what_cannot_be_shown(function, arguments, name):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(f'{function}: {name}')}"):
        getattr(vis_utils, function)(*arguments)
    assert not vis_utils.plt.get_fignums()


def shown(texts):
    """Return what a reader sees of texts; matplotlib typesets those with two bare dollar signs."""
    contents = [text.get_text() for text in texts]
    assert not any((text.count("$") - text.count(r"\$")) > 1 for text in contents)
    return [text.replace(r"\$", "$").removeprefix(" ") for text in contents]


def legends(fig):
    return [shown(ax.get_legend().get_texts()) for ax in drawn(fig).axes if ax.get_legend()]


@pytest.mark.parametrize("name", ["_adam", r"\$a_{$", "", 3, "error"])
def test_every_name_is_shown_as_it_is(name):
    """Also those that mean something to matplotlib."""
    solver = SimpleNamespace(loss_history=[1.0], train_acc_history=[0.5], val_acc_history=[0.5])
    numbers, text = np.ones(2), str(name)
    for fig in (
        vis_utils.plot_activations({name: RELU}),
        vis_utils.plot_by_layer({name: numbers}, "y"),
        vis_utils.plot_training({name: solver}),
    ):
        assert [text] in legends(fig)
    for fig in (
        vis_utils.show_matrices({name: SQUARE}, SQUARE),
        vis_utils.show_images(SQUARE[None], [name]),
    ):
        assert shown([fig.axes[0].title]) == [text]
    fig = vis_utils.plot_architectures(RUNS.assign(width=text))
    assert shown([fig.axes[0].title]) == [f"width {text}"]
    table = TRIALS.assign(kind=["_a", "$b$", "c"])
    table[name] = table["rate"]
    points, kinds, importances, _ = drawn(
        vis_utils.plot_search(table, [name, "kind"], {name: 1.0})
    ).axes
    assert shown([points.xaxis.label]) == shown(importances.get_yticklabels()) == [text]
    assert sorted(shown(kinds.get_xticklabels())) == ["$b$", "_a", "c"]
    complete, _ = (points.get_offsets() for points in points.collections)
    np.testing.assert_allclose(complete, [[0.1, 0.1], [2.0, 0.4]])
