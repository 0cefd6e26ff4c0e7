"""ConvNet: gradients, shapes, learning, bad input; layers are checked in test_conv.py."""

import numpy as np
import pytest

from conv_net import ConvNet
from gradient_check import check_net
from solver import Solver

BLOCK = ["conv_forward", "max_pool_forward", "relu_forward"]


def layer_names(net):
    return [getattr(layer.forward, "func", layer.forward).__name__ for layer in net.layers]


@pytest.mark.parametrize(
    ("input_dim", "num_filters", "filter_size", "hidden_dim"),
    [
        ((1, 4, 4), [2], 3, []),
        ((2, 5, 7), [3], 1, [4]),
        ((1, 6, 5), [2, 3], 3, [4]),
        ((3, 4, 4), [2], 5, [3, 2]),
        ((1, 5, 4), [(2, 3), [2, 2]], 3, [3]),
    ],
)
def test_gradients(input_dim, num_filters, filter_size, hidden_dim, rng):
    net = ConvNet(
        input_dim, num_filters, filter_size, hidden_dim, 3, reg=0.1, dtype=np.float64, seed=0
    )
    X, y = rng.standard_normal((4, *input_dim)), rng.integers(0, 3, 4)
    check = check_net(net, X, y)
    assert check.passed, check


def test_shapes_and_initial_loss(rng):
    net = ConvNet(num_filters=[4, 6], filter_size=3, hidden_dim=[20], weight_scale=1e-3, seed=0)
    assert {name: p.shape for name, p in net.params.items()} == {
        "W1": (4, 1, 3, 3), "b1": (4,), "W2": (6, 4, 3, 3), "b2": (6,),
        "W3": (6 * 7 * 7, 20), "b3": (20,), "W4": (20, 10), "b4": (10,),
    }  # fmt: skip
    assert layer_names(net) == [*BLOCK, *BLOCK, "fc_forward", "relu_forward", "fc_forward"]
    loss, grads = net.loss(rng.random((5, 1, 28, 28), np.float32), rng.integers(0, 10, 5))
    assert loss == pytest.approx(np.log(10), abs=0.01)
    assert {name: (g.shape, g.dtype) for name, g in grads.items()} == {
        name: (p.shape, np.dtype(np.float32)) for name, p in net.params.items()
    }


def test_several_convolutions_before_a_pooling():
    net = ConvNet(num_filters=[2, (3, 4)], filter_size=3, hidden_dim=[], seed=0)
    shapes = [net.params[f"W{i}"].shape for i in range(1, 5)]
    assert shapes == [(2, 1, 3, 3), (3, 2, 3, 3), (4, 3, 3, 3), (4 * 7 * 7, 10)]
    assert layer_names(net) == [*BLOCK, "conv_forward", "relu_forward", *BLOCK, "fc_forward"]


def test_learns_where_a_blob_is():
    """Upper or lower half, anywhere in it: needs the position that pooling keeps."""
    rng = np.random.default_rng(0)
    X, y = np.zeros((300, 1, 8, 8), np.uint8), rng.integers(0, 2, 300)
    X[np.arange(300), 0, 4 * y + rng.integers(0, 4, 300), rng.integers(0, 8, 300)] = 255
    net = ConvNet((1, 8, 8), [4], 3, [8], 2, seed=0)
    data = {"X_train": X[:200], "y_train": y[:200], "X_val": X[200:], "y_val": y[200:]}
    Solver(net, data, "adam", {"learning_rate": 0.01}, batch_size=20, verbose=False, seed=0).train()
    assert np.mean(net.predict(X[200:]) == y[200:]) > 0.95


def test_seed_fixes_the_weights():
    a, b, c = (ConvNet(num_filters=[2], seed=seed).params["W1"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": (28, 28)}, r"expected input_dim \(C, H, W\)"),
        ({"input_dim": (1, 0, 28)}, "input_dim must be at least 1, got 0"),
        ({"num_filters": []}, "num_filters with at least one number"),
        ({"num_filters": [4, ()]}, "num_filters with at least one number"),
        ({"num_filters": [4, (4, 0)]}, "num_filters must be at least 1, got 0"),
        ({"num_filters": [4, -1]}, "num_filters must be at least 1, got -1"),
        ({"num_filters": [4] * 5}, "halved 5 times, got 5 and 28 x 28"),
        ({"filter_size": 4}, "expected an odd filter_size"),
        ({"filter_size": 0}, "filter_size must be at least 1, got 0"),
        ({"hidden_dim": [0]}, "hidden_dim must be at least 1, got 0"),
        ({"input_dim": 28}, r"expected input_dim \(C, H, W\)"),
        ({"dropout": 1}, "ConvNet: dropout must be a finite number >= 0 and < 1"),
        ({"weight_scale": "xavier"}, "ConvNet: weight_scale must be a number or one of"),
        ({"reg": -1}, "ConvNet: reg must be a finite number >= 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNet(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_filters": 3}, "num_filters must be a sequence, got int"),
        ({"num_filters": [None]}, "num_filters must be an integer or a sequence of integers"),
        ({"num_filters": [2.0]}, "num_filters must be an integer or a sequence of integers"),
        ({"input_dim": None}, "input_dim must be an integer or a sequence of integers, got None"),
        ({"hidden_dim": [None]}, "hidden_dim must be an integer, got None"),
        ({"filter_size": "3"}, "filter_size must be an integer, got '3'"),
    ],
)
def test_arguments_of_the_wrong_type(arguments, message):
    with pytest.raises(TypeError, match=f"ConvNet: {message}"):
        ConvNet(**arguments)


def test_input_of_the_wrong_size():
    with pytest.raises(ValueError, match="x has 3 channels but w expects 1"):
        ConvNet(num_filters=[2]).loss(np.zeros((2, 3, 28, 28), np.uint8))
