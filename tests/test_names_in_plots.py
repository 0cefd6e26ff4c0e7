"""Names that mean something to matplotlib: each is shown as it is, in every plot."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import vis_utils
from layers import relu_backward, relu_forward

NAMES = ["_adam", "$5 or $10", r"\$a_{$", "", None, 3, "error"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def shown(texts):
    """What a reader sees of texts; matplotlib typesets those with two bare dollar signs."""
    contents = [text.get_text() for text in texts]
    assert not any((text.count("$") - text.count(r"\$")) > 1 for text in contents)
    return [text.replace(r"\$", "$").removeprefix(" ") for text in contents]


def legends(fig):
    fig.draw_without_rendering()
    return [shown(ax.get_legend().get_texts()) for ax in fig.axes if ax.get_legend()]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_shown(name):
    solver = SimpleNamespace(loss_history=[1.0], train_acc_history=[0.5], val_acc_history=[0.5])
    numbers, pair = np.ones(2), (relu_forward, relu_backward)
    for fig in (
        vis_utils.plot_curves(numbers, {name: numbers}, "x", "y"),
        vis_utils.plot_activations({name: pair}),
        vis_utils.plot_by_layer({name: numbers}, "y"),
        vis_utils.plot_training({name: solver}),
    ):
        assert [str(name)] in legends(fig)
    for fig in (
        vis_utils.show_matrices({name: np.eye(2)}, np.eye(2)),
        vis_utils.show_images(np.ones((1, 2, 2)), [name]),
    ):
        fig.draw_without_rendering()
        assert shown([fig.axes[0].title]) == [str(name)]
    runs = pd.DataFrame({"hidden layers": [1, 1], "width": [str(name)] * 2, "accuracy": [0.5, 0.6]})
    assert legends(vis_utils.plot_architectures(runs, values=["accuracy"])) == [[f"width {name}"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_search_is_shown(name):
    outcomes = ["complete", "_pruned", "complete"]
    trials = {"trial": [0, 1, 2], "outcome": outcomes, "validation accuracy": [0.5, 0.7, 0.9]}
    table = pd.DataFrame({**trials, name: [0.1, 0.2, 0.3]})
    fig = vis_utils.plot_search(table, [name], {name: 1.0})
    assert sorted(*legends(fig)) == ["_pruned", "complete"]
    points, importances, best = fig.axes
    assert shown([points.xaxis.label]) == [str(name)]
    assert shown(importances.get_yticklabels()) == [str(name)]
    complete = max((c.get_offsets() for c in points.collections), key=len)
    np.testing.assert_allclose(complete, [[0.1, 0.5], [0.3, 0.1]])
    np.testing.assert_allclose(best.lines[0].get_ydata(), [0.5, 0.3, 0.1])


def test_values_of_a_search_are_shown():
    values = ["_a", "$b$", "c"]
    table = pd.DataFrame(
        {"trial": range(3), "outcome": "complete", "validation accuracy": 0.5, "kind": values}
    )
    fig = vis_utils.plot_search(table, ["kind"], {})
    fig.draw_without_rendering()
    assert shown(fig.axes[0].get_xticklabels()) == ["_a", "$b$", "c"]
