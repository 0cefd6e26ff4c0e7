"""FullyConnectedNet: agreement with the plain reference, initial loss, options, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import fc_net_loss

from fc_net import ACTIVATIONS, FullyConnectedNet
from gradient_check import check_layer, check_net, eval_numerical_gradient, rel_error
from layers import softmax_loss

sizes = st.integers(1, 5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(
    dims=st.tuples(sizes, st.lists(sizes, max_size=3), sizes),
    n=sizes,
    reg=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_agrees_with_the_reference(activation, dims, n, reg, seed):
    input_dim, hidden_dim, num_classes = dims
    rng = np.random.default_rng(seed)
    net = FullyConnectedNet(
        input_dim, hidden_dim, num_classes, 1.0, reg, np.float64, rng, activation=activation
    )
    for name, p in net.params.items():
        p[...] = rng.standard_normal(p.shape)
        assert p.shape[-1] == (*hidden_dim, num_classes)[int(name[1:]) - 1]
    X, y = rng.standard_normal((n, input_dim)), rng.integers(0, num_classes, n)
    loss, grads = net.loss(X, y)
    layers = range(1, len(hidden_dim) + 2)
    weights = [net.params[f"W{i}"].tolist() for i in layers]
    biases = [net.params[f"b{i}"].tolist() for i in layers]
    ref_loss, dW, db = fc_net_loss(weights, biases, X.tolist(), y.tolist(), activation, reg)
    assert loss == pytest.approx(ref_loss, rel=1e-10, abs=1e-13)
    assert set(grads) == set(net.params)
    for i in layers:
        np.testing.assert_allclose(grads[f"W{i}"], dW[i - 1], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(grads[f"b{i}"], db[i - 1], rtol=1e-8, atol=1e-12)


def test_gradients_as_a_classic_notebook_checks_them(rng):
    X, y = rng.standard_normal((3, 2, 4)), rng.integers(0, 5, 3)
    for reg in (0.0, 3.14):
        net = FullyConnectedNet(8, [6, 7], 5, reg=reg, weight_scale=5e-1, dtype=np.float64, seed=0)
        loss, grads = net.loss(X, y)
        assert isinstance(loss, float)
        for name in net.params:
            f = lambda _: net.loss(X, y)[0]  # noqa: E731, B023
            assert rel_error(eval_numerical_gradient(f, net.params[name]), grads[name]) < 1e-6


def test_gradients_by_check_net(rng):
    X, y = rng.standard_normal((4, 6)), rng.integers(0, 3, 4)
    net = FullyConnectedNet(6, [5, 5], 3, reg=0.1, dtype=np.float64, seed=0, activation="tanh")
    check = check_net(net, X, y)
    assert check.passed, check
    assert [row.name for row in check.rows] == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert check.error == max(row.error for row in check.rows) < 1e-7


def test_input_gradient(rng):
    X, y = rng.standard_normal((4, 2, 3)), rng.integers(0, 3, 4)
    net = FullyConnectedNet(6, [5, 5], 3, dtype=np.float64, seed=0, activation="tanh", dropout=0.5)
    for labels in (y, None):  # without labels: the classes that the network takes them for
        classes = net.predict(X) if labels is None else y
        check = check_layer(
            lambda X, classes=classes: (softmax_loss(net.loss(X), classes)[0], None),
            lambda dout, _, labels=labels: dout * net.input_gradient(X, labels),
            X,
        )
        assert check.passed, check


@pytest.mark.parametrize("hidden_dim", [[], [50], [50, 40, 30, 20]])
def test_initial_loss_is_log_c(hidden_dim, rng):
    net = FullyConnectedNet(784, hidden_dim, 10, weight_scale=1e-3, seed=0)
    X, y = rng.random((50, 784)), rng.integers(0, 10, 50)
    loss, _ = net.loss(X, y)
    assert loss == pytest.approx(np.log(10), abs=0.02)
    net.reg = 2.0
    penalty = sum(np.sum(p**2) for name, p in net.params.items() if name[0] == "W")
    assert net.loss(X, y)[0] == pytest.approx(loss + penalty, rel=1e-6)


@pytest.mark.parametrize(("scale", "std"), [("he", np.sqrt(2 / 400)), ("lecun", 0.05), (0.3, 0.3)])
def test_weight_scale(scale, std):
    net = FullyConnectedNet(400, [300], 10, weight_scale=scale, seed=0)
    assert net.params["W1"].std() == pytest.approx(std, rel=0.02)
    assert abs(net.params["W1"].mean()) < 0.05 * std
    assert not net.params["b1"].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_goes_through(dtype, rng):
    net = FullyConnectedNet(12, [5], 3, reg=np.float64(0.1), dtype=dtype, seed=0)
    for X in (rng.random((4, 3, 4)), rng.integers(0, 256, (4, 12)).astype(np.uint8)):
        loss, grads = net.loss(X, np.array([0, 1, 2, 0]))
        assert net.loss(X).dtype == dtype
        assert {g.dtype for g in grads.values()} == {np.dtype(dtype)}
        assert isinstance(loss, float)


def test_pixels_are_scaled_and_floats_are_not(rng):
    net = FullyConnectedNet(4, [3], 2, dtype=np.float64, seed=0)
    pixels = rng.integers(0, 256, (5, 4)).astype(np.uint8)
    np.testing.assert_allclose(net.loss(pixels), net.loss(pixels / 255), rtol=1e-14)
    assert not np.allclose(net.loss(pixels), net.loss(pixels.astype(float)))


def test_seed_fixes_the_weights():
    a, b, c = (FullyConnectedNet(5, [4], 3, seed=seed).params["W1"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_predict_does_not_depend_on_the_batches(rng):
    net = FullyConnectedNet(6, [20], 4, seed=0)
    X = rng.random((23, 6)).astype(np.float32)
    labels = net.predict(X, batch_size=5)
    np.testing.assert_array_equal(labels, net.loss(X).argmax(axis=1))
    assert labels.dtype == np.int64
    assert net.predict(X[:0]).shape == (0,)


def test_hidden_dim_may_be_a_number_or_left_out():
    assert FullyConnectedNet(4, 3, 2).params["W1"].shape == (4, 3)
    shapes = [p.shape for p in FullyConnectedNet(784).params.values()]
    assert shapes == [(784, 10), (10,), (10, 5), (5,), (5, 10), (10,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"input_dim": 0},
            "FullyConnectedNet: input_dim must be at least 1, got 0",
        ),
        ({"hidden_dim": [5, -1]}, "hidden_dim must be at least 1, got -1"),
        ({"weight_scale": "xavier"}, "weight_scale must be a number or one of he, lecun"),
        ({"weight_scale": -1.0}, "weight_scale"),
        ({"weight_scale": np.inf}, "weight_scale"),
        ({"reg": -0.1}, "reg must be a finite number >= 0, got -0.1"),
        ({"reg": np.nan}, "reg must be a finite number >= 0"),
        ({"dtype": np.int32}, "dtype must be float32 or float64"),
        ({"dtype": np.float16}, "dtype must be float32 or float64"),
        ({"dtype": ">f4"}, "dtype must be float32 or float64, got >f4"),
        ({"dtype": "nonsense"}, "dtype must be float32 or float64, got nonsense"),
        ({"dtype": None}, "dtype must be float32 or float64, got None"),
        ({"input_dim": 10**400}, "input_dim must be at most 9223372036854775807, got 10000"),
        ({"hidden_dim": [2**62]}, r"weights of shape \(4, 4611686018427387904\) do not fit"),
        ({"reg": 10**400}, "reg must be a finite number >= 0, got 10000"),
        ({"seed": -1}, "FullyConnectedNet: seed must be an integer >= 0, None or .*, got -1"),
        ({"activation": ["relu"]}, "activation must be one of relu"),
        ({"activation": "gelu"}, "activation must be one of relu, sigmoid, tanh, linear"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FullyConnectedNet(**{"input_dim": 4, "hidden_dim": [5], "num_classes": 3, **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_dim": [2.5]}, "hidden_dim must be an integer, got 2.5"),
        ({"hidden_dim": None}, "hidden_dim must be an integer or a sequence of integers, got None"),
        ({"hidden_dim": ""}, "hidden_dim must be an integer or a sequence of integers, got ''"),
        ({"hidden_dim": {5, 4}}, "hidden_dim must be an integer or a sequence of integers, got"),
        ({"seed": "a"}, "seed must be an integer >= 0, None or .*, got 'a'"),
        ({"weight_scale": True}, "weight_scale must be a number, got True"),
        ({"hidden_dim": [True]}, "hidden_dim must be an integer, got True"),
        ({"num_classes": None}, "num_classes must be an integer, got None"),
        ({"weight_scale": None}, "weight_scale must be a number, got None"),
        ({"reg": "0"}, "reg must be a number, got '0'"),
    ],
)
def test_options_of_the_wrong_type(options, message):
    with pytest.raises(TypeError, match=f"FullyConnectedNet: {message}"):
        FullyConnectedNet(**{"input_dim": 4, "hidden_dim": [5], **options})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predict_refuses_what_has_no_scores(bad):
    net = FullyConnectedNet(4, [5], seed=0)
    X = np.zeros((7, 4))
    X[5, 2] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=r"X\[4:6\] are not finite"):
        net.predict(X, batch_size=2)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got -1"):
        net.predict(X, batch_size=-1)


@pytest.mark.parametrize(
    "X",
    [np.ones((2, 4), int), [[1.0] * 4], np.ones((2, 4), bool), None, np.matrix(np.ones((2, 4)))],
)
def test_input_that_is_neither_pixels_nor_floats(X):
    with pytest.raises(TypeError, match="X must be an array of uint8 pixels or of floats, got"):
        FullyConnectedNet(4, [5], 3).loss(X)


@pytest.mark.parametrize("X", [None, 3, [[1.0] * 4], np.float64(2)])
def test_predict_of_no_array(X):
    message = r"FullyConnectedNet\.predict: X must be an array of examples, got"
    with pytest.raises(TypeError, match=message):
        FullyConnectedNet(4, [5], 3).predict(X)


def test_a_memory_map_is_an_array(tmp_path, rng):
    X = np.memmap(tmp_path / "X", np.uint8, "w+", shape=(5, 4))
    X[...] = rng.integers(0, 256, X.shape)
    net = FullyConnectedNet(4, [5], 3, seed=0)
    for stored in (X, X.astype(np.float32)):
        assert type(net.loss(stored, np.zeros(5, int))[1]["W1"]) is np.ndarray
        np.testing.assert_array_equal(net.predict(stored), net.predict(np.array(stored)))


def test_input_of_the_wrong_size():
    with pytest.raises(ValueError, match="x has 9 features per example but w expects 4"):
        FullyConnectedNet(4, [5], 3).loss(np.zeros((2, 3, 3)))


def test_dropout_is_there_in_training_only():
    X, y = np.random.default_rng(0).random((6, 4)), np.arange(6) % 3
    plain, net = (
        FullyConnectedNet(4, [50, 50], 3, seed=0, dtype=np.float64, dropout=p) for p in (0.0, 0.5)
    )
    np.testing.assert_array_equal(net.loss(X), plain.loss(X))
    losses = {net.loss(X, y)[0] for _ in range(5)}
    assert len(losses) == 5
    assert plain.loss(X, y)[0] not in losses
    state = net.rng.bit_generator.state
    _, grads = net.loss(X, y)

    def loss(_):  # drops the same units each time
        net.rng.bit_generator.state = state
        return net.loss(X, y)[0]

    for name, w in net.params.items():
        if w.size <= 200:
            assert rel_error(eval_numerical_gradient(loss, w), grads[name]) < 1e-6
    with pytest.raises(ValueError, match=r"FullyConnectedNet: dropout must be .* < 1, got 1.5"):
        FullyConnectedNet(4, [5], dropout=1.5)
