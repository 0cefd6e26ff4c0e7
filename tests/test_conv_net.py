"""ConvNet: gradients, shapes, learning; layers are checked in test_conv.py."""

import numpy as np
import pytest

from conv_net import Conv, ConvNet
from gradient_check import check_net
from solver import Solver


@pytest.mark.parametrize(
    ("input_dim", "num_filters", "filter_size", "hidden_dim"),
    [((1, 4, 4), [2], 3, []), ((2, 5, 7), [3], 1, [4]), ((1, 6, 5), [2, 3], 3, [4]),
     ((3, 4, 4), [2], 5, [3, 2]), ((1, 5, 4), [(2, 3), [2, 2]], 3, [3])],
)  # fmt: skip
def test_gradients(input_dim, num_filters, filter_size, hidden_dim, rng):
    options = {"num_classes": 3, "reg": 0.1, "dtype": np.float64, "seed": 0}
    net = ConvNet(input_dim, num_filters, filter_size, hidden_dim, **options)
    check = check_net(net, rng.standard_normal((4, *input_dim)), rng.integers(0, 3, 4))
    assert check.passed, check


def test_shapes_and_initial_loss(rng):
    net = ConvNet(num_filters=[4, 6], filter_size=3, hidden_dim=[20], weight_scale=1e-3, seed=0)
    assert {name: p.shape for name, p in net.params.items()} == {
        "W1": (4, 1, 3, 3), "b1": (4,), "W2": (6, 4, 3, 3), "b2": (6,),
        "W3": (6 * 7 * 7, 20), "b3": (20,), "W4": (20, 10), "b4": (10,),
    }  # fmt: skip
    loss, grads = net.loss(rng.random((5, 1, 28, 28), np.float32), rng.integers(0, 10, 5))
    assert loss == pytest.approx(np.log(10), abs=0.01)
    assert {name: (g.shape, g.dtype) for name, g in grads.items()} == {
        name: (p.shape, np.dtype(np.float32)) for name, p in net.params.items()
    }


def test_several_convolutions_before_a_pooling():
    net = ConvNet(num_filters=[2, (3, 4)], filter_size=3, hidden_dim=[], seed=0)
    shapes = [net.params[f"W{i}"].shape for i in range(1, 5)]
    assert shapes == [(2, 1, 3, 3), (3, 2, 3, 3), (4, 3, 3, 3), (4 * 7 * 7, 10)]
    assert [layer.filters for layer in net.layers if isinstance(layer, Conv)] == [2, 3, 4]


def test_learns_where_a_blob_is():
    """Upper or lower half, anywhere in it: needs the position that pooling keeps."""
    rng = np.random.default_rng(0)
    X, y = np.zeros((300, 1, 8, 8), np.uint8), rng.integers(0, 2, 300)
    X[np.arange(300), 0, 4 * y + rng.integers(0, 4, 300), rng.integers(0, 8, 300)] = 255
    net = ConvNet((1, 8, 8), [4], 3, [8], 2, seed=0)
    data = {"X_train": X[:200], "y_train": y[:200], "X_val": X[200:], "y_val": y[200:]}
    Solver(net, data, "adam", {"learning_rate": 0.01}, batch_size=20, verbose=False, seed=0).train()
    assert np.mean(net.predict(X[200:]) == y[200:]) > 0.95
