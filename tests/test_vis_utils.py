"""Plots: what they show, of small and odd input too, and that their axes say so."""

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers import interrupted_after, make_solver, toy_problem

import vis_utils
from layers import relu_backward, relu_forward, tanh_backward, tanh_forward

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("error")

TRIALS = pd.DataFrame(
    {"trial": [2, 0, 1], "outcome": ["complete", "pruned", "complete"], "rate": [0.1, 1.0, 2.0],
     "decay": [0.5, 0.6, 0.9], "validation accuracy": [0.9, 0.8, 0.6]}
)  # fmt: skip
RUNS = pd.DataFrame(
    {"hidden layers": [2, 1, 1, 1], "width": [5, 5, 5, 9],
     "training accuracy": [0.5, 0.6, 0.7, 0.8], "validation accuracy": [0.4, 0.5, 0.7, 0.6]}
)  # fmt: skip
PAIRS = {"relu": (relu_forward, relu_backward), "tanh": (tanh_forward, tanh_backward)}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    vis_utils.plt.close("all")


def drawn(fig):
    """Draw a figure, in which a warning is an error."""
    fig.canvas.draw()
    return fig


class Example:
    def method(self, x):
        """Three lines.

        They are left out.
        """
        # This is kept.
        return x + 1


def without_docstring(x):
    return "~~~", x


def test_show_code():
    listing = vis_utils.show_code(Example.method, without_docstring).data
    assert (
        listing
        == """~~~python
def method(self, x):
    # This is kept.
    return x + 1


def without_docstring(x):
    return "~~~", x
~~~"""
    )


@pytest.fixture(scope="module")
def solver():
    solver = make_solver(toy_problem(), num_epochs=3)
    solver.train()
    return solver


@pytest.mark.parametrize("shape", [(7, 4, 4), (7, 1, 4, 4), (7, 16)])
def test_show_images(shape, rng):
    images = rng.integers(0, 256, shape).astype(np.uint8)
    fig = vis_utils.show_images(images, titles=range(7), columns=3)
    shown = [ax for ax in fig.axes if ax.images]
    assert len(fig.axes) == 9
    assert [ax.get_title() for ax in shown] == list("0123456")
    for ax, image in zip(shown, images.reshape(7, 4, 4), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)


def test_show_weights_has_white_for_zero(rng):
    w = rng.standard_normal((16, 5))
    fig = vis_utils.show_weights(w)
    assert len(fig.axes) == 5
    for ax in fig.axes:
        assert ax.images[0].get_clim() == (-np.abs(w).max(), np.abs(w).max())
    image = vis_utils.show_weights(np.zeros((4, 2))).axes[0].images[0]
    assert min(image.cmap(image.norm(0.0))) > 0.95  # white


def test_show_matrices_writes_every_number():
    fig = vis_utils.show_matrices({"a": [[1.0, 2.5]], "b": [[3.0]]}, mark=[[0, 1]])
    assert [[t.get_text() for t in ax.texts] for ax in fig.axes] == [["1", "2.5"], ["3"]]
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]


def test_plot_curves():
    fig = vis_utils.plot_curves(np.arange(3), {"a": np.ones(3), "b": np.zeros(3)}, "t", "u")
    assert [line.get_label() for line in fig.axes[0].lines] == ["a", "b"]


def test_plot_activations():
    fig = vis_utils.plot_activations(PAIRS)
    _, derivatives = fig.axes
    x, slope = derivatives.lines[1].get_data()
    np.testing.assert_allclose(slope, 1 / np.cosh(x) ** 2, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "scale", "zero_is_shown"),
    [
        ({"a": [1e-8, 1.0, 2.0], "b": [3, 2]}, "log", False),
        ({"a": [0.0, 1e-300, 1.0], "b": [1.0]}, "symlog", True),
        ({"a": [0.0, 0.0]}, "linear", True),
        ({"a": [np.nan, 1.0]}, "log", False),
    ],
)
def test_plot_by_layer_has_a_place_for_zero(values, scale, zero_is_shown):
    ax = drawn(vis_utils.plot_by_layer(values, "norm")).axes[0]
    assert [len(line.get_xdata()) for line in ax.lines] == list(map(len, values.values()))
    assert ax.get_yscale() == scale
    assert (ax.get_ylim()[0] <= 0) == zero_is_shown


def test_plot_training(solver):
    fig = vis_utils.plot_training({"net": solver})
    _, accuracy = fig.axes
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), solver.train_acc_history)
    np.testing.assert_array_equal(accuracy.lines[1].get_ydata(), solver.val_acc_history)


def test_plot_confusion_counts_mistakes_only():
    fig = vis_utils.plot_confusion(np.array([0, 0, 0, 1, 2]), np.array([0, 2, 2, 1, 0]))
    counts = fig.axes[0].images[0].get_array()
    assert counts.sum() == 3
    assert (counts[0, 2], counts[2, 0]) == (2, 1)
    assert sorted(text.get_text() for text in fig.axes[0].texts) == ["1", "2"]


def test_plot_search():
    fig = vis_utils.plot_search(TRIALS, ["rate", "decay"], {"rate": 0.7, "decay": 0.3})
    rate, decay, importances, best = fig.axes
    assert [ax.get_xscale() for ax in (rate, decay)] == ["log", "linear"]
    complete, pruned = (points.get_offsets() for points in rate.collections)
    np.testing.assert_allclose(complete, [[0.1, 0.1], [2.0, 0.4]])
    np.testing.assert_allclose(pruned, [[1.0, 0.2]])
    np.testing.assert_allclose([bar.get_width() for bar in importances.patches], [0.3, 0.7])
    np.testing.assert_allclose(best.lines[0].get_ydata(), [0.2, 0.2, 0.1])


def test_plot_architectures():
    fig = vis_utils.plot_architectures(RUNS)
    line, _, (bars,) = fig.axes[1].containers[0]
    np.testing.assert_allclose(line.get_ydata(orig=False), [0.6, 0.4])
    np.testing.assert_allclose(
        bars.get_segments()[0][:, 1], 0.6 + np.sqrt(0.02) * np.array([-1, 1])
    )


def test_every_axis_of_every_plot_is_labelled(solver):
    figures = [
        vis_utils.plot_training({"net": solver}),
        vis_utils.plot_confusion(np.array([0, 1]), np.array([1, 1])),
        vis_utils.plot_by_layer({"a": [1.0, 2.0]}, "norm"),
        vis_utils.plot_curves([1, 2], {"a": [1, 2]}, "x", "y"),
        vis_utils.plot_search(TRIALS, ["rate", "decay"], {"rate": 0.7, "decay": 0.3}),
        vis_utils.plot_architectures(RUNS),
        vis_utils.plot_activations(PAIRS),
    ]
    for fig in figures:
        for ax in fig.axes:
            if ax.get_label() != "<colorbar>":
                assert ax.get_xlabel()
            assert any(other.get_ylabel() for other in ax.get_shared_y_axes().get_siblings(ax))


def test_format_table():
    rows = [{"name": "a", "validation accuracy": 0.98765, "seconds": 1.26, "other": 3}]
    table = vis_utils.format_table(rows)
    assert table.loc["a"].tolist() == ["98.77%", "1.3", 3]
    assert table.to_html().count("<tr") == 2  # one line of names, one of values
    odd = [{"name": "a", "seconds": np.nan}, {"name": "b", "seconds": "?"}, {"name": "c"}]
    assert vis_utils.format_table(odd)["seconds"].dropna().tolist() == ["?"]


@pytest.mark.usefixtures("foreground")
def test_plot_training_of_short_runs(toy_data):
    without = {key: toy_data[key] for key in ("X_train", "y_train")}
    solvers = {
        "long": make_solver(toy_data),
        "without validation": make_solver(without, num_epochs=2),
        "one iteration": make_solver(toy_data, num_epochs=1, batch_size=300),
        "interrupted": make_solver(toy_data, transform=interrupted_after(1)),
    }
    for name, solver in solvers.items():
        solver.train()
        fig = drawn(vis_utils.plot_training({name: solver}))
        loss, *_ = fig.axes[0].lines
        assert len(loss.get_xdata()) > 1 or loss.get_marker() == "o"
        low, high = fig.axes[1].get_ylim()
        assert all(low <= a <= high for a in solver.train_acc_history[1:])
    fig = drawn(vis_utils.plot_training(solvers))
    assert fig.axes[0].get_ylabel() == "loss (mean of 1 to 8 iterations)"


@pytest.mark.parametrize(
    "changes",
    [
        {"validation accuracy": [1.0, 0.9, np.nan]},
        {"rate": [0, 0, 0]},
        {"rate": [-1, np.nan, 8]},
        {"rate": [None] * 3},
        {"rate": ["adam", "sgd", None]},
        {"rate": [[8], [8, 4], [8]]},
        {"outcome": [None] * 3},
    ],
)
def test_plot_search_of_odd_trials(changes):
    trials = TRIALS.assign(**changes)
    for table in (trials, trials[:1]):
        fig = drawn(vis_utils.plot_search(table, ["rate"], {}))
        low, high = fig.axes[0].get_ylim()
        errors = 1 - table["validation accuracy"].dropna()
        assert errors.between(low, high).all()
        assert len(fig.axes[0].collections) == table["outcome"].nunique(dropna=False)
        assert (fig.axes[2].lines[0].get_marker() == "o") == (len(table) == 1)


def test_not_a_number_leaves_a_gap():
    gaps = np.array([[np.nan, 1.0, 2.0, np.inf]])
    assert drawn(vis_utils.show_weights(gaps.T)).axes[0].images[0].get_clim() == (-2, 2)
    assert drawn(vis_utils.show_images(gaps)).axes[0].images[0].get_array().mask.any()
    assert drawn(vis_utils.plot_curves([1, 2], {"a": [np.nan, 1]}, "x", "y"))
    assert drawn(vis_utils.show_matrices({"a": gaps}, mark=gaps))


SQUARE, NAMES = np.ones((2, 2)), ["rate"]


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        ("plot_training", [{}], "solvers"),
        ("plot_training", [None], "solvers"),
        ("plot_training", [{"a": make_solver(toy_problem())}], "solvers['a']"),
        ("plot_search", [TRIALS[:0], NAMES, {}], "table"),
        ("plot_search", [TRIALS, ["momentum"], {}], "table must have columns momentum"),
        ("plot_search", [TRIALS, NAMES, None], "importances"),
        ("plot_search", [TRIALS.assign(**{"validation accuracy": np.nan}), NAMES, {}], "table"),
        ("plot_architectures", [TRIALS], "table must have columns hidden layers"),
        ("plot_confusion", [[], []], "labels"),
        ("plot_confusion", [[0, 1], [0]], "predicted"),
        ("plot_confusion", [[0, 10], [0, 1]], "num_classes"),
        ("plot_confusion", [[0, -1], [0, 1]], "labels"),
        ("show_images", [np.ones((28, 27))], "images"),
        ("show_images", [np.ones(16)], "images"),
        ("show_images", ["digits"], "images"),
        ("show_images", [[[1], [1, 2]]], "images"),
        ("show_images", [SQUARE[None], ["a", "b"]], "titles"),
        ("show_weights", [np.ones((15, 2))], "w "),
        ("show_weights", [np.ones(16)], "w "),
        ("show_matrices", [{"a": np.ones(2)}, SQUARE], "matrices['a']"),
        ("plot_curves", [[1, 2], {"a": [1]}, "x", "y"], "curves"),
        ("plot_activations", [{}], "activations"),
        ("plot_by_layer", [{"a": []}, "y"], "values['a']"),
        ("format_table", [[]], "rows"),
        ("format_table", [None], "rows"),
        ("show_code", [len], "functions"),
    ],
)
def test_what_cannot_be_shown(function, arguments, name):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(f'{function}: {name}')}"):
        getattr(vis_utils, function)(*arguments)
    assert not vis_utils.plt.get_fignums()
