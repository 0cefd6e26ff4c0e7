"""Plots of small, empty or odd input: a picture without a warning, or an error that names it."""

import re
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from helpers import interrupted_after, make_solver, toy_problem

import vis_utils

mpl.use("Agg")

THREE_TRIALS = pd.DataFrame(
    {"trial": [2, 0, 1], "outcome": ["complete", "pruned", "complete"], "rate": [0.1, 1.0, 2.0],
     "validation accuracy": [0.9, 0.8, 0.6]}
)  # fmt: skip
RUNS = pd.DataFrame(
    {"hidden layers": [2, 1, 1, 1], "width": [5, 5, 5, 9],
     "training accuracy": [0.5, 0.6, 0.7, 0.8], "validation accuracy": [0.4, 0.5, 0.7, 0.6]}
)  # fmt: skip


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    vis_utils.plt.close("all")


def drawn(fig):
    """Draw a figure, with any warning an error; the figure."""
    fig.canvas.draw()
    return fig


@pytest.mark.filterwarnings("error")
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
    fig = vis_utils.plot_training(solvers, smooth=2)
    assert fig.axes[0].get_ylabel() == "loss (mean of 1 to 2 iterations)"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "changes",
    [
        {"validation accuracy": [np.nan, 0.9, np.nan]},
        {"validation accuracy": [1.0, 0.9, 1.0]},
        {"validation accuracy": [1.0, 1.0, 1.0]},
        {"validation accuracy": [0.9, 0.9, 0.9]},
        {"rate": [1, 1, 1]},
        {"rate": [0, 0, 0]},
        {"rate": [-1, np.nan, 8]},
        {"rate": [np.nan] * 3},
        {"rate": [None] * 3},
        {"rate": ["adam", "sgd", None]},
        {"rate": [[8], [8, 4], [8]]},
        {"rate": [True, False, True]},
        {"outcome": [None] * 3},
    ],
)
@pytest.mark.parametrize("num_trials", [1, 3])
def test_plot_search_of_odd_trials(changes, num_trials):
    table = THREE_TRIALS.assign(**changes).iloc[3 - num_trials :]
    if table["validation accuracy"].isna().all():
        with pytest.raises(ValueError, match=r"^plot_search: table holds no accuracies"):
            vis_utils.plot_search(table, ["rate"], {})
        return
    fig = drawn(vis_utils.plot_search(table, ["rate"], {}))
    low, high = fig.axes[0].get_ylim()
    errors = 1 - table["validation accuracy"].dropna()
    assert errors.between(low, high).all()
    assert len(fig.axes[0].collections) == table["outcome"].nunique(dropna=False)
    assert len(fig.axes[1].get_yticks()) == 0  # no importances
    assert (fig.axes[2].lines[0].get_marker() == "o") == (num_trials == 1)


def test_plot_search_of_a_table_put_together():
    table = pd.concat([THREE_TRIALS, THREE_TRIALS]).assign(rate=pd.Series([1, 2, 16], dtype=object))
    ax = vis_utils.plot_search(table, ["rate"], {}).axes[0]
    assert ax.get_xscale() == "log"
    assert sum(len(points.get_offsets()) for points in ax.collections) == 6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [slice(None), slice(1), slice(3, None)])
@pytest.mark.parametrize("values", [["validation accuracy"], ["training accuracy"] * 3])
def test_plot_architectures_of_few_runs(rows, values):
    fig = drawn(vis_utils.plot_architectures(RUNS.iloc[rows], values=values))
    assert [ax.get_ylabel() for ax in fig.axes] == [f"{value} (mean, std)" for value in values]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "scale", "zero_is_shown"),
    [
        ({"a": [1e-8, 1.0]}, "log", False),
        ({"a": [1.0]}, "log", False),
        ({"a": [0.0, 1e-40, 1.0], "b": [1.0]}, "symlog", True),
        ({"a": [0.0, 1e-300, 1.0]}, "symlog", True),
        ({"a": [0.0, 0.0]}, "linear", True),
        ({"a": [np.nan, 1.0]}, "log", False),
        ({"a": [np.nan]}, "linear", True),
    ],
)
def test_plot_by_layer_has_a_place_for_zero(values, scale, zero_is_shown):
    ax = drawn(vis_utils.plot_by_layer(values, "norm")).axes[0]
    assert ax.get_yscale() == scale
    assert (ax.get_ylim()[0] <= 0) == zero_is_shown


@pytest.mark.filterwarnings("error")
def test_plots_where_all_is_equal():
    fig = drawn(vis_utils.plot_confusion([1, 2], [1, 2]))
    assert fig.axes[0].images[0].get_clim() == (0, 1)
    fig = drawn(vis_utils.show_weights(np.zeros((4, 2))))
    image = fig.axes[0].images[0]
    assert min(image.cmap(image.norm(0.0))) > 0.95  # white
    fig = drawn(vis_utils.show_images(np.zeros((1, 2, 3)), titles=[0]))
    assert fig.axes[0].images[0].get_array().shape == (2, 3)
    assert fig.get_figheight() > vis_utils.show_images(np.zeros((1, 2, 3))).get_figheight()


@pytest.mark.filterwarnings("error")
def test_not_a_number_leaves_a_gap():
    gaps = np.array([[np.nan, 1.0, 2.0, np.inf]])
    assert drawn(vis_utils.show_weights(gaps.T)).axes[0].images[0].get_clim() == (-2, 2)
    for images in (gaps, np.full((1, 4), np.nan)):
        assert drawn(vis_utils.show_images(images)).axes[0].images[0].get_array().mask.any()
    assert drawn(vis_utils.plot_curves([1, 2], {"a": [np.nan, 1]}, "x", "y"))
    assert drawn(vis_utils.show_matrices({"a": gaps}, mark=gaps))


SQUARE, NAMES = np.ones((2, 2)), ["rate"]
PAIR = (lambda x: (x, None), lambda dout, cache: dout)
TRIALS = pd.DataFrame(
    {"trial": [0], "outcome": ["complete"], "validation accuracy": [0.9], "rate": [1]}
)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("plot_training", [{}], "solvers holds none"),
        ("plot_training", [None], "solvers must be a dict"),
        ("plot_training", [{"a": 3}], "solvers['a'] must be a trained Solver"),
        ("plot_training", [{"a": make_solver(toy_problem())}], "solvers['a'] must be a trained"),
        ("plot_search", [TRIALS[:0], NAMES, {}], "table holds none"),
        ("plot_search", [pd.DataFrame(), NAMES, {}], "table must have columns trial"),
        ("plot_search", [TRIALS, ["decay"], {}], "table must have columns decay"),
        ("plot_search", [TRIALS, [], {}], "columns holds none"),
        ("plot_search", [TRIALS, NAMES, None], "importances must be a dict"),
        ("plot_search", [TRIALS.assign(trial="a"), NAMES, {}], "table must have numbers in its co"),
        ("plot_search", [TRIALS.replace(0.9, np.nan), NAMES, {}], "table holds no accuracies"),
        ("plot_search", [None, NAMES, {}], "table must be a DataFrame"),
        ("plot_architectures", [TRIALS], "table must have columns hidden layers"),
        ("plot_architectures", [pd.DataFrame()], "table must have columns hidden layers"),
        ("plot_architectures", [[]], "table must be a DataFrame"),
        ("plot_confusion", [[], []], "labels holds none"),
        ("plot_confusion", [[0, 1], [0]], "predicted must have shape (2,)"),
        ("plot_confusion", [[0, 10], [0, 1]], "num_classes must be at least 11"),
        ("plot_confusion", [[0, 1], [0, 12]], "num_classes must be at least 13"),
        ("plot_confusion", [[0, -1], [0, 1]], "labels must hold labels from 0 on"),
        ("plot_confusion", [[0.0], [0]], "labels must hold integers"),
        ("show_images", [np.ones((28, 28))], "images must be (N, H, W), (N, 1, H, W), or"),
        ("show_images", [np.ones((2, 8, 8, 3))], "images must be (N, H, W), (N, 1, H, W), or"),
        ("show_images", [np.ones((2, 3, 8, 8))], "images must be (N, H, W), (N, 1, H, W), or"),
        ("show_images", [np.ones(16)], "images must have 2 or 3 or 4 axes"),
        ("show_images", [np.ones((2, 0, 4))], "images holds none"),
        ("show_images", [np.ones((2, 4), complex)], "images must be an array of numbers"),
        ("show_images", [[[1], [1, 2]]], "images must be an array of numbers"),
        ("show_images", [SQUARE[None], ["a", "b"]], "titles must be 1, got 2"),
        ("show_images", [SQUARE[None], 3], "titles must be one for each image"),
        ("show_weights", [np.ones((15, 2))], "w must be (H * H, M)"),
        ("show_weights", [np.ones(16)], "w must have 2 axes"),
        ("show_weights", [np.ones((16, 0))], "w holds none"),
        ("show_matrices", [{}, SQUARE], "matrices holds none"),
        ("show_matrices", [{"a": np.ones(2)}, SQUARE], "matrices['a'] must have 2 axes"),
        ("show_matrices", [{"a": SQUARE}, None], "mark must be an array of numbers"),
        ("plot_curves", [[1, 2], {}, "x", "y"], "curves holds none"),
        ("plot_curves", [[1, 2], {"a": [1]}, "x", "y"], "curves must be as long as x, 2, got 1"),
        ("plot_curves", [[], {"a": []}, "x", "y"], "x holds none"),
        ("plot_curves", [[1], {"a": "b"}, "x", "y"], "curves['a'] must be an array of numbers"),
        ("plot_activations", [{}], "activations holds none"),
        ("plot_activations", [{"a": PAIR[0]}], "activations['a'] must be a pair of functions"),
        ("plot_by_layer", [{}, "y"], "values holds none"),
        ("plot_by_layer", [{"a": []}, "y"], "values['a'] holds none"),
        ("plot_by_layer", [{"a": 3}, "y"], "values['a'] must have 1 axes"),
        ("format_table", [[]], "rows holds none"),
        ("format_table", [pd.DataFrame()], "rows holds none"),
        ("format_table", [None], "rows must be a DataFrame or a list"),
    ],
)
def test_what_cannot_be_shown(function, arguments, message):
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(f'{function}: {message}')}"):
        getattr(vis_utils, function)(*arguments)
    assert not vis_utils.plt.get_fignums()


@pytest.mark.parametrize(
    ("function", "arguments", "options"),
    [
        ("plot_training", [{"a": None}], {"smooth": 0}),
        ("plot_architectures", [TRIALS.assign(width=1, **{"hidden layers": 1})], {"values": ()}),
        ("plot_activations", [{"a": PAIR}], {"limit": 0}),
        ("plot_confusion", [[0], [0]], {"num_classes": 2.5}),
        ("show_images", [SQUARE[None]], {"columns": 0}),
        ("show_images", [SQUARE[None]], {"limits": (1, 0)}),
        ("show_images", [SQUARE[None]], {"limits": 5}),
        ("show_weights", [np.ones((4, 1))], {"columns": 0}),
    ],
)
def test_bad_options(function, arguments, options):
    with pytest.raises((TypeError, ValueError), match=f"^{function}: {next(iter(options))} "):
        getattr(vis_utils, function)(*arguments, **options)
    assert not vis_utils.plt.get_fignums()


def test_format_table_leaves_what_is_no_number():
    rows = [{"name": "a", "seconds": np.nan}, {"name": "b", "seconds": "?"}, {"name": "c"}]
    table = vis_utils.format_table([*rows, {"name": "d", "seconds": 1}])
    assert table["seconds"].isna().tolist() == [True, False, True, False]
    assert table["seconds"].dropna().tolist() == ["?", "1.0"]
    assert len(vis_utils.format_table(pd.DataFrame(columns=["name", "seconds"]))) == 0


class Odd:
    # fmt: off
    def one_line(self): """Left in."""; return 1  # noqa: E702

    # fmt: on
    def nothing_else(self):
        """Left in."""

    def unindented(self):
        return """
~~~~
"""


LAMBDAS = {"a": lambda x: (
    x
)}  # fmt: skip


@pytest.mark.parametrize(
    ("function", "listing"),
    [
        (Odd.one_line, 'def one_line(self): """Left in."""; return 1  # noqa: E702'),
        (Odd.nothing_else, 'def nothing_else(self):\n    """Left in."""'),
        (Odd.unindented, '    def unindented(self):\n        return """\n~~~~\n"""'),
        (LAMBDAS["a"], 'LAMBDAS = {"a": lambda x: (\n    x\n)}  # fmt: skip'),
        (Odd().nothing_else, 'def nothing_else(self):\n    """Left in."""'),
    ],
)
def test_show_code_of_what_is_odd(function, listing):
    fence = "~~~~~" if "~~~~" in listing else "~~~"
    assert vis_utils.show_code(function).data == f"{fence}python\n{listing}\n{fence}"


def test_show_code_of_a_class():
    listing = vis_utils.show_code(Odd).data
    assert listing.startswith("~~~~~python\nclass Odd:\n")
    assert listing.endswith('\n~~~~\n"""\n~~~~~')


namespace = {}
exec("def without_file(): pass", namespace)


@pytest.mark.parametrize(
    "function", [len, np.exp, int, None, partial(Odd.unindented, 1), namespace["without_file"]]
)
def test_show_code_of_what_has_none(function):
    with pytest.raises(TypeError, match=r"^show_code: functions must be written in Python, got"):
        vis_utils.show_code(function)
