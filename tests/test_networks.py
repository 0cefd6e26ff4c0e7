"""Networks as lists of layers: what the list says, what does not fit, normalization and dropout."""

import copy
import pickle
import re
from dataclasses import FrozenInstanceError
from functools import partial

import numpy as np
import pytest
from helpers import make_solver

from conv_net import Conv, ConvNet, MaxPool
from fc_net import FC, Activation, BatchNorm, Dropout, FullyConnectedNet, LayerNorm, Network
from gradient_check import check_layer, check_net
from layers import softmax_loss

RELU = Activation("relu")
ENTRIES = [FC(100), RELU, Activation("tanh"), Dropout(0.5), BatchNorm(), LayerNorm(), Conv(16, 5),
           MaxPool(2), MaxPool(3)]  # fmt: skip
NETS = {
    "fc": partial(FullyConnectedNet, 6, [5, 4], 3, seed=0),
    "conv": partial(ConvNet, (2, 4, 4), [(2, 3)], 3, [4], 3, seed=0),
}
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def examples(net, rng):
    return rng.standard_normal((7, *net.input_dim)), rng.integers(0, 3, 7)


def check_input_gradient(net, X, y):
    def loss(X):
        return softmax_loss(net.loss(X), y)[0], None

    check = check_layer(loss, lambda dout, _: dout * net.input_gradient(X, y), X)
    assert check.passed, check


@pytest.mark.parametrize("entry", ENTRIES, ids=repr)
def test_entries_print_as_written_compare_by_value_and_are_frozen(entry):
    again = eval(repr(entry))
    assert again == entry
    assert hash(again) == hash(entry)
    assert [other for other in ENTRIES if other == entry] == [entry]
    for name in vars(entry):
        with pytest.raises(FrozenInstanceError):
            setattr(entry, name, 3)


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (lambda: FullyConnectedNet(4, [], 2, dropout=0.5), [FC(2)]),
        (lambda: FullyConnectedNet(4), [FC(10), RELU, FC(5), RELU, FC(10)]),
        (lambda: FullyConnectedNet(4, [3, 2], activation="linear"), [FC(3), FC(2), FC(10)]),
        (lambda: FullyConnectedNet(4, 3, dropout=0.2, normalization="batchnorm", activation="tanh"),
         [FC(3), BatchNorm(), Activation("tanh"), Dropout(0.2), FC(10)]),
        (ConvNet,
         [Conv(16, 5), MaxPool(2), RELU, Conv(32, 5), MaxPool(2), RELU, FC(128), RELU, FC(10)]),
        (lambda: ConvNet((1, 4, 4), [2, (3, 4)], 3, []),
         [Conv(2, 3), MaxPool(2), RELU, Conv(3, 3), RELU, Conv(4, 3), MaxPool(2), RELU, FC(10)]),
        (lambda: ConvNet((1, 4, 4), [2], 3, 5, dropout=0.1, normalization="layernorm"),
         [Conv(2, 3), LayerNorm(), MaxPool(2), RELU, FC(5), LayerNorm(), RELU, Dropout(0.1),
          FC(10)]),
    ],
)  # fmt: skip
def test_the_nets_of_the_assignment_are_lists(make, layers):
    assert make().layers == layers


def test_a_network_prints_as_a_table():
    net = Network((2, 7, 6), [Conv(3, 5), BatchNorm(), MaxPool(), RELU, FC(4)], seed=0)
    header, *rows, total = str(net).splitlines()
    assert header.split() == ["layer", "output", "parameters", "operations"]
    assert [row.split("  ")[0] for row in rows] == [repr(layer) for layer in net.layers]
    assert "(3, 3, 3)" in rows[2]
    assert "W2 (27, 4), b2 (4,)" in rows[4]
    assert net.operations == [2 * 3 * 2 * 25 * 42, 0, 0, 0, 2 * 27 * 4]
    size = sum(p.size for p in net.params.values())
    assert total.split() == ["sum", str(size), f"{sum(net.operations):,}"]


@pytest.mark.parametrize(
    ("fits", "layer"),
    [
        *(([], layer) for layer in (MaxPool(9), Conv(2, 4), Conv(0, 3), BatchNorm(), FC(0), None)),
        *(([Conv(2, 3)], layer) for layer in (MaxPool(0), Conv(2, 0), Conv(2, "3"), Conv)),
        *(([FC(3)], layer) for layer in (Conv(2, 3), MaxPool(), FC(2.5), FC("3"), FC(None))),
        *(([FC(3)], layer) for layer in (Activation("x"), Dropout(1.0), "relu", Activation)),
        ([FC(3), LayerNorm(), RELU], BatchNorm()),
        ([Conv(2, 3), BatchNorm()], BatchNorm()),
    ],
)  # fmt: skip
def test_a_layer_that_does_not_fit_is_named(fits, layer):
    named = re.escape(f"Network: layer {len(fits) + 1}, {layer!r}, on (")
    with pytest.raises(ValueError, match=f"^{named}"):
        Network((1, 8, 8), [*fits, layer, FC(2)])


def test_so_is_a_layer_of_the_nets_of_the_assignment():
    with pytest.raises(ValueError, match=r"^FullyConnectedNet: layer 2, .*'gelu'.*, on \(10,\)"):
        FullyConnectedNet(784, activation="gelu")
    with pytest.raises(ValueError, match=r"^ConvNet: layer 14, MaxPool.* on \(4, 1, 1\)"):
        ConvNet((1, 28, 28), [4] * 5)


@pytest.mark.parametrize("first", [Dropout(0.5), Activation("tanh"), MaxPool(2)], ids=repr)
def test_a_list_may_begin_without_weights(first, rng):
    net = Network((1, 2, 4), [first, FC(5), RELU, FC(3)], dtype=np.float64, seed=0)
    X, y = examples(net, rng)
    check_input_gradient(net, X, y)
    assert check_net(net, X, y).passed


def test_a_network_of_a_list_trains(toy_data):
    layers = [Dropout(0.1), FC(16), BatchNorm(), Activation("tanh"), FC(2)]
    solver = make_solver(toy_data, net=Network(2, layers, seed=0), num_epochs=30)
    solver.train()
    assert solver.best_val_acc > 0.9


def test_learns_where_a_blob_is(rng):
    """Upper or lower half, anywhere in it: needs the position that pooling keeps."""
    X, y = np.zeros((300, 1, 8, 8), np.uint8), rng.integers(0, 2, 300)
    X[np.arange(300), 0, 4 * y + rng.integers(0, 4, 300), rng.integers(0, 8, 300)] = 255
    data = {"X_train": X[:200], "y_train": y[:200], "X_val": X[200:], "y_val": y[200:]}
    solver = make_solver(data, net=ConvNet((1, 8, 8), [4], 3, [8], 2, seed=0), num_epochs=12)
    solver.train()
    assert solver.best_val_acc > 0.95


@pytest.mark.parametrize(
    ("input_dim", "num_filters", "filter_size", "hidden_dim"),
    [((1, 4, 4), [2], 3, []), ((2, 5, 7), [3], 1, [4]), ((1, 4, 5), [2, [2, 2]], 5, [3, 2])],
)
def test_gradients_of_conv_nets(input_dim, num_filters, filter_size, hidden_dim, rng):
    options = {"num_classes": 3, "reg": 0.1, "dtype": np.float64, "seed": 0}
    net = ConvNet(input_dim, num_filters, filter_size, hidden_dim, **options)
    check = check_net(net, *examples(net, rng))
    assert check.passed, check


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@each_net
def test_gradients(make, normalization, rng):
    net = make(normalization=normalization, dtype=np.float64, reg=0.1, dropout=0.3)
    X, y = examples(net, rng)
    for p in net.params.values():  # no activation is exactly 0, on its kink
        p += 0.1 * rng.standard_normal(p.shape)
    before, state = copy.deepcopy(net.buffers), net.rng.bit_generator.state
    check = check_net(net, X, y)
    assert check.passed, check
    assert [row.name for row in check.rows] == list(net.params)
    # A check leaves a net as it was.
    assert net.rng.bit_generator.state == state
    assert repr(net.buffers) == repr(before)


@pytest.mark.parametrize("normalization", [None, "batchnorm"])
@each_net
def test_input_gradient(make, normalization, rng):
    net = make(dtype=np.float64, normalization=normalization, dropout=0.5)
    X, y = examples(net, rng)
    check_input_gradient(net, X, y)
    expected = net.input_gradient(X, net.predict(X))
    np.testing.assert_array_equal(net.input_gradient(X), expected)


@each_net
def test_networks_train_on_the_batch_and_score_with_running_means(make, rng):
    net = make(normalization="batchnorm")
    X, y = examples(net, rng)
    untrained = net.loss(X)
    loss, grads = net.loss(X, y)
    assert {a.dtype for a in (*net.buffers.values(), *grads.values())} == {np.dtype("f4")}
    assert (net.buffers["running_mean1"] != 0).all()
    assert (net.loss(X) != untrained).any()
    buffers = copy.deepcopy(net.buffers)
    np.testing.assert_allclose(net.loss(X[:2]), net.loss(X)[:2], rtol=1e-5, atol=1e-5)
    net.predict(X)
    assert repr(net.buffers) == repr(buffers)
    for _ in range(200):  # until the running means are those of the batch
        net.loss(X, y)
    assert softmax_loss(net.loss(X), y)[0] == pytest.approx(loss, rel=1e-4)


@each_net
def test_penalty_is_on_the_weights_only(make, rng):
    net = make(normalization="batchnorm", dtype=np.float64)
    X, y = examples(net, rng)
    loss, grads = net.loss(X, y)
    net.reg = 0.5
    penalized, with_penalty = net.loss(X, y)
    penalty = 0.25 * sum(np.sum(w**2) for name, w in net.params.items() if name[0] == "W")
    assert penalized == pytest.approx(loss + penalty)
    for name, w in net.params.items():
        np.testing.assert_allclose(with_penalty[name], grads[name] + 0.5 * w * (name[0] == "W"))


@each_net
def test_copies_and_files_keep_the_running_means(make, tmp_path, rng):
    net, other = (make(normalization="batchnorm", dropout=0.2) for _ in range(2))
    X, y = examples(net, rng)
    net.loss(X, y)
    net.save(tmp_path / "net.npz")
    other.load(tmp_path / "net.npz")
    scores = net.loss(X)
    for clone in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), other):
        np.testing.assert_array_equal(clone.loss(X), scores)
        clone.params["W1"][...] = 1.0  # its own, as are the running means
        clone.loss(X, y)
        before = clone.loss(X)
        clone.buffers["running_mean1"] += 1  # shared with the functions that use it
        assert (clone.loss(X) != before).any()
        np.testing.assert_array_equal(net.loss(X), scores)
    make().save(tmp_path / "plain.npz")
    with pytest.raises(ValueError, match="gamma1"):
        net.load(tmp_path / "plain.npz")
