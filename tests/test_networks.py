"""Networks: what a list says, what does not fit, gradients, agreement with the reference, X."""

import copy
import pickle
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fc_net_loss

from conv_net import Conv, ConvNet, MaxPool
from fc_net import FC, Activation, BatchNorm, Dropout, FullyConnectedNet, LayerNorm, Network
from gradient_check import check_layer, check_net
from layers import softmax_loss

RELU, sizes = Activation("relu"), st.integers(1, 5)
ENTRIES = [FC(100), RELU, Activation("tanh"), Dropout(0.5), BatchNorm(), LayerNorm(), Conv(16, 5),
           MaxPool(2), MaxPool(3)]  # fmt: skip
NETS = {
    "fc": partial(FullyConnectedNet, 6, [5, 4], 3, seed=0),
    "conv": partial(ConvNet, (2, 4, 4), [(2, 3)], 3, [4], 3, seed=0),
}
MORE = [partial(ConvNet, (1, 4, 4), [2], 3, [], 3, seed=0),
        partial(ConvNet, (2, 5, 7), [1, 2], 1, [4], 3, seed=0),
        partial(ConvNet, (1, 3, 4), [2], 5, [4, 5], 3, seed=0)]  # fmt: skip
each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def examples(net, rng):
    return rng.standard_normal((7, *net.input_dim)), rng.integers(0, 3, 7)


def check_input_gradient(net, X, y):
    def loss(X):
        return softmax_loss(net.loss(X), y)[0], None

    check = check_layer(loss, lambda dout, _: dout * net.input_gradient(X, y), X)
    assert check.passed, check


@pytest.mark.parametrize("entry", ENTRIES, ids=repr)
def test_entries_print_as_written_and_compare_by_value(entry):
    again = eval(repr(entry))
    assert again == entry
    assert hash(again) == hash(entry)
    assert [other for other in ENTRIES if other == entry] == [entry]


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
        *(([Conv(2, 3)], layer) for layer in (MaxPool(0), Conv(2, 17), Conv(2, "3"), Conv)),
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
        ConvNet((1, 28, 28), [4] * 5, 1)


def test_a_list_may_begin_without_weights(rng):
    for first in Dropout(0.5), Activation("tanh"), MaxPool(2):
        net = Network((1, 2, 4), [first, FC(5), RELU, FC(3)], dtype=np.float64, seed=0)
        X, y = examples(net, rng)
        check_input_gradient(net, X, y)
        assert check_net(net, X, y).passed


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("make", [*NETS.values(), *MORE])
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
    loss, grads = net.loss(X, y)
    assert {a.dtype for a in (*net.buffers.values(), *grads.values())} == {np.dtype("f4")}
    assert (net.buffers["running_mean1"] != 0).all()
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
    with pytest.raises(ValueError, match="BatchNorm"):
        net.load(tmp_path / "plain.npz")


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "linear"])
@given(dims=st.lists(sizes, min_size=2, max_size=5), n=sizes, reg=st.sampled_from([0.0, 0.7]),
       seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_agrees_with_the_reference(activation, dims, n, reg, seed):
    rng = np.random.default_rng(seed)
    options = {"reg": reg, "dtype": np.float64, "activation": activation}
    net = FullyConnectedNet(dims[0], dims[1:-1], dims[-1], **options)
    for name, p in net.params.items():
        p[...] = rng.standard_normal(p.shape)
        assert p.shape[-1] == dims[int(name[1:])]
    X, y = rng.standard_normal((n, dims[0])), rng.integers(0, dims[-1], n)
    loss, grads = net.loss(X, y)
    layers = range(1, len(dims))
    weights, biases = ([net.params[f"{key}{i}"].tolist() for i in layers] for key in "Wb")
    ref_loss, dW, db = fc_net_loss(weights, biases, X.tolist(), y.tolist(), activation, reg)
    assert loss == pytest.approx(ref_loss, rel=1e-10, abs=1e-13)
    expected = {f"{key}{i}": d[i - 1] for key, d in (("W", dW), ("b", db)) for i in layers}
    assert set(grads) == set(net.params) == set(expected)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-8, atol=1e-12)


def test_initial_loss_is_log_c(rng):
    fc_nets = (partial(FullyConnectedNet, 784, hidden_dim) for hidden_dim in ([], [50, 40, 30, 20]))
    for make in (*fc_nets, partial(ConvNet, (1, 28, 28), [4, 6], 3, [20])):
        net = make(num_classes=10, weight_scale=1e-3, seed=0)
        loss, _ = net.loss(rng.random((50, *net.input_dim)), rng.integers(0, 10, 50))
        assert loss == pytest.approx(np.log(10), abs=0.02)


@pytest.mark.parametrize(("scale", "std"), [("he", np.sqrt(2 / 400)), ("lecun", 0.05), (0.3, 0.3)])
def test_weight_scale(scale, std):
    net = FullyConnectedNet(400, [300], 10, weight_scale=scale, seed=0)
    assert net.params["W1"].std() == pytest.approx(std, rel=0.02)
    assert abs(net.params["W1"].mean()) < 0.05 * std
    assert not net.params["b1"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("X", [np.ones((4, 3, 4)), np.ones((4, 12), np.uint8)])
def test_dtype_goes_through(dtype, X):
    net = FullyConnectedNet(12, [5], 3, reg=np.float64(0.1), dtype=dtype, seed=0)
    loss, grads = net.loss(X, np.array([0, 1, 2, 0]))
    assert {g.dtype for g in (net.loss(X), *grads.values())} == {np.dtype(dtype)}
    assert isinstance(loss, float)


def test_pixels_are_scaled_and_floats_are_not(rng):
    net = FullyConnectedNet(4, [3], 2, dtype=np.float64, seed=0)
    pixels = rng.integers(0, 256, (5, 4)).astype(np.uint8)
    np.testing.assert_allclose(net.loss(pixels), net.loss(pixels / 255), rtol=1e-14)
    assert not np.allclose(net.loss(pixels), net.loss(pixels.astype(float)))


def test_predict_does_not_depend_on_the_batches(rng):
    net = FullyConnectedNet(6, [20], 4, seed=0)
    X = rng.random((23, 6)).astype(np.float32)
    labels = net.predict(X, batch_size=5)
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    assert labels.dtype == np.int64
    assert net.predict(X[:0]).shape == (0,)


def test_predict_refuses_what_has_no_scores():
    X = np.where(np.arange(28).reshape(7, 4) == 22, np.nan, 0)
    with pytest.raises(ValueError, match=r"X\[4:6\]"):
        FullyConnectedNet(4, [5], seed=0).predict(X, batch_size=2)


def test_a_memory_map_is_an_array(tmp_path, rng):
    X = np.memmap(tmp_path / "X", np.uint8, "w+", shape=(5, 4))
    X[...] = rng.integers(0, 256, X.shape)
    net = FullyConnectedNet(4, [5], 3, seed=0)
    for stored in (X, X / np.float32(255)):
        assert type(net.loss(stored, np.zeros(5, int))[1]["W1"]) is np.ndarray
        np.testing.assert_array_equal(net.predict(stored), net.predict(np.array(stored)))


def test_dropout_is_there_in_training_only(rng):
    X, y = rng.random((6, 4)), np.arange(6) % 3
    plain, net = (FullyConnectedNet(4, [50, 50], 3, seed=0, dropout=p) for p in (0.0, 0.5))
    np.testing.assert_array_equal(net.loss(X), plain.loss(X))
    assert len({plain.loss(X, y)[0], *(net.loss(X, y)[0] for _ in range(5))}) == 6


@pytest.mark.parametrize("X", [np.ones((2, 4), int), [[1] * 4], np.ones((2, 4), bool), None,
                               np.ma.ones((2, 4)), np.zeros((2, 3, 3)), np.zeros(4)])  # fmt: skip
def test_input_of_another_kind_or_size_is_named(X):
    with pytest.raises((TypeError, ValueError), match="FullyConnectedNet: X must"):
        FullyConnectedNet(4, [5], 3).loss(X)
