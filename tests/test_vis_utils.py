"""Plots: what they show, and that their axes say so."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import vis_utils
from fc_net import ACTIVATIONS, FullyConnectedNet
from solver import Solver

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    vis_utils.plt.close("all")


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
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 16)), rng.integers(0, 3, 60)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    solver = Solver(FullyConnectedNet(16, [5], 3, seed=0), data, num_epochs=3, verbose=False)
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


def test_show_images_of_nothing():
    with pytest.raises(ValueError, match="images holds none"):
        vis_utils.show_images(np.zeros((0, 4, 4)))


def test_show_weights_has_white_for_zero(solver):
    w = solver.model.params["W1"]
    fig = vis_utils.show_weights(w)
    assert len(fig.axes) == 5
    for ax in fig.axes:
        assert ax.images[0].get_clim() == (-np.abs(w).max(), np.abs(w).max())


def test_show_matrices_writes_every_number():
    fig = vis_utils.show_matrices(
        {"a": np.array([[1.0, 2.5]]), "b": np.array([[3.0]])}, mark=np.array([[0, 1]])
    )
    assert [[t.get_text() for t in ax.texts] for ax in fig.axes] == [["1", "2.5"], ["3"]]
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]


def test_plot_curves():
    fig = vis_utils.plot_curves(np.arange(3), {"a": np.ones(3), "b": np.zeros(3)}, "t", "u")
    assert [line.get_label() for line in fig.axes[0].lines] == ["a", "b"]
    assert (fig.axes[0].get_xlabel(), fig.axes[0].get_ylabel()) == ("t", "u")


def test_plot_activations():
    fig = vis_utils.plot_activations({name: ACTIVATIONS[name][0][:2] for name in ("relu", "tanh")})
    _, derivatives = fig.axes
    x, slope = derivatives.lines[1].get_data()
    np.testing.assert_allclose(slope, 1 / np.cosh(x) ** 2, atol=1e-12)


def test_plot_by_layer():
    fig = vis_utils.plot_by_layer({"a": [1, 2, 3], "b": [3, 2]}, "norm")
    assert [list(line.get_xdata()) for line in fig.axes[0].lines] == [[1, 2, 3], [1, 2]]
    assert fig.axes[0].get_yscale() == "log"


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


@pytest.fixture
def trials():
    return pd.DataFrame(
        {"trial": [2, 0, 1], "outcome": ["complete", "pruned", "complete"], "rate": [0.1, 1.0, 2.0],
         "decay": [0.5, 0.6, 0.9], "validation accuracy": [0.9, 0.8, 0.6]}
    )  # fmt: skip


def test_plot_search(trials):
    fig = vis_utils.plot_search(trials, ["rate", "decay"], {"rate": 0.7, "decay": 0.3})
    rate, decay, importances, best = fig.axes
    assert [ax.get_xscale() for ax in (rate, decay)] == ["log", "linear"]
    complete, pruned = (points.get_offsets() for points in rate.collections)
    np.testing.assert_allclose(complete, [[0.1, 0.1], [2.0, 0.4]])
    np.testing.assert_allclose(pruned, [[1.0, 0.2]])
    np.testing.assert_allclose([bar.get_width() for bar in importances.patches], [0.3, 0.7])
    np.testing.assert_allclose(best.lines[0].get_ydata(), [0.2, 0.2, 0.1])


@pytest.fixture
def depths():
    return pd.DataFrame(
        {"hidden layers": [2, 1, 1, 1], "width": [5, 5, 5, 9],
         "training accuracy": [0.5, 0.6, 0.7, 0.8], "validation accuracy": [0.4, 0.5, 0.7, 0.6]}
    )  # fmt: skip


def test_plot_architectures(depths):
    fig = vis_utils.plot_architectures(depths)
    line, _, (bars,) = fig.axes[1].containers[0]
    np.testing.assert_allclose(line.get_ydata(orig=False), [0.6, 0.4])
    np.testing.assert_allclose(
        bars.get_segments()[0][:, 1], 0.6 + np.sqrt(0.02) * np.array([-1, 1])
    )


def test_every_axis_of_every_plot_is_labelled(solver, trials, depths):
    figures = [
        vis_utils.plot_training({"net": solver}),
        vis_utils.plot_confusion(np.array([0, 1]), np.array([1, 1])),
        vis_utils.plot_by_layer({"a": [1.0, 2.0]}, "norm"),
        vis_utils.plot_search(trials, ["rate", "decay"], {"rate": 0.7, "decay": 0.3}),
        vis_utils.plot_architectures(depths),
        vis_utils.plot_activations({"relu": ACTIVATIONS["relu"][0][:2]}),
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
