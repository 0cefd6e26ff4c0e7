"""The checker is checked: it finds what is wrong, and only that, and says what it looks like."""

import re
from functools import partial

import numpy as np
import pytest

import gradient_check as G
import layers as L
from conv import conv_backward, conv_forward
from fc_net import Activation, FullyConnectedNet, Network
from gradient_check import check_layer, check_net, eval_numerical_gradient, rel_error


def test_rel_error():
    assert rel_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 0.5
    assert rel_error(np.array([1e-9]), np.array([0.0])) == pytest.approx(0.1)
    assert rel_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert np.isnan(rel_error(np.array([np.nan, 1.0]), np.array([1.0, 1.0])))
    assert rel_error(np.uint8([1]), np.uint8([2])) == 1 / 3
    assert rel_error(np.int8([-128]), [127]) == 1.0
    with pytest.raises(ValueError, match="rel_error: y must"):
        rel_error(np.ones((2, 3)), np.ones(3))


def test_gradient_of_a_known_function(rng):
    x = rng.standard_normal((2, 3, 4))
    assert rel_error(eval_numerical_gradient(lambda x: np.sum(np.sin(x)), x), np.cos(x)) < 1e-8
    df = rng.standard_normal(x.shape)
    assert rel_error(G.eval_numerical_gradient_array(np.sin, x, df), np.cos(x) * df) < 1e-8


def test_f_may_ignore_its_argument_or_return_one_buffer():
    x, buffer = np.array([1.0, 2.0]), np.empty(2)
    grad = eval_numerical_gradient(lambda _: x[0] * x[1], x)
    np.testing.assert_allclose(grad, [2.0, 1.0], rtol=1e-8)
    grad = G.eval_numerical_gradient_array(lambda x: np.multiply(x, x, out=buffer), x, np.ones(2))
    np.testing.assert_allclose(grad, [2.0, 4.0], rtol=1e-8)


def test_x_may_be_a_view_and_is_restored_to_the_bit(rng):
    whole = rng.standard_normal((4, 6)) * 10.0 ** rng.integers(-20, 20, (4, 6))
    before = whole.copy()
    eval_numerical_gradient(np.sum, whole[::2, 1::2].T)
    values = iter([1.0, 2.0])
    with pytest.raises(StopIteration):  # at the third call
        eval_numerical_gradient(lambda x: next(values), whole)
    assert whole.tobytes() == before.tobytes()


def test_verbose_prints_each_element(capsys):
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.zeros((1, 2)), verbose=True)
    assert re.fullmatch(r"\(0, 0\) .*\n\(0, 1\) .*\n", capsys.readouterr().out)


def test_only_float64(rng):
    told = pytest.raises(TypeError, match="x must be an array of float64")
    for x in (np.ones(2, np.float32), np.ones(2, int), [1.0, 2.0], 1.0):
        with told:
            eval_numerical_gradient(np.sum, x)
        with told:
            check_layer(L.relu_forward, L.relu_backward, x)
    with told:
        check_net(FullyConnectedNet(2, [2], 2, seed=0), rng.random((3, 2)), np.array([0, 1, 0]))


def test_a_random_layer_is_told_apart(rng):
    for _ in range(50):
        with pytest.raises(ValueError, match="check_layer: forward"):
            check_layer(lambda x: L.dropout_forward(x, 0.5, rng), lambda d, c: 5 * d, np.ones(2))


def test_rounding_is_no_failure_and_hides_none():
    for x in np.array([3.0, 10.0, 15.0, 18.0, -10.0, 300.0])[:, None]:
        assert check_layer(L.tanh_forward, L.tanh_backward, x).passed
        assert check_layer(L.sigmoid_forward, L.sigmoid_backward, x).passed
    for x, factor in (3.0, 1.001), (7.0, 1.001), (10.0, 0.0):
        wrong = partial(lambda factor, *args: factor * L.tanh_backward(*args), factor)
        assert not check_layer(L.tanh_forward, wrong, np.array([x])).passed


RELU, LARGEST = partial(np.maximum, 0), partial(np.max, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("f", "slopes", "x", "passed", "kinks"),
    [
        # A jump is no kink: whatever backward says, the floor has no gradient there that passes.
        *((np.floor, slope, x, False, 0) for slope in (0.0, 1.0, 123.0, -5.0)
          for x in ([1.0, -2.0], [1.0 + 4e-6, 0.3], [3.0 - 9e-6, 3.0])),
        *((RELU, [0, x > 0, 1], [-1.0, x, 2.0], True, 1) for x in (0.0, 3e-6, -3e-6, 9e-6)),
        (RELU, 0, np.zeros(3), False, 3),  # no element compared is no pass
        (RELU, 0, np.zeros((0, 2)), True, 0),
        (np.abs, [-1, 1, 1], [-1.0, 0.0, 2.0], True, 1),
        (np.abs, [-1, 1, 1.001], [-1.0, 0.0, 2.0], False, 1),
        (np.abs, [-1, -3, 1], [-1.0, 0.0, 2.0], False, 0),
        (LARGEST, [[0, 1, 0]] * 2, [[1.0, 3.0, 3.0], [0.0, 2.0, 1.0]], True, 2),  # a tie
        # An error as small as h f'' must not pass for a kink of a smooth function.
        (np.exp, np.exp([0.3, -0.7]) * (1 + 3e-6), [0.3, -0.7], False, 0),
    ],
)  # fmt: skip
def test_a_kink_is_named_and_hides_no_failure(f, slopes, x, passed, kinks):
    x, slopes = np.array(x), np.array(slopes)
    check = check_layer(lambda x: (f(x), None), lambda dout, _: dout * slopes, x)
    assert (check.passed, check.rows[0].kinks) == (passed, kinks)
    assert kinks == 0 or f" ({kinks} of {x.size} on a kink" in str(check)


@pytest.fixture
def fc(rng):
    """x, w, b of a fully-connected layer."""
    return [rng.standard_normal(shape) for shape in ((4, 5), (5, 3), 3)]


def test_table_reads_like_a_table(fc):
    lines = str(check_layer(L.fc_forward, L.fc_backward, *fc)).splitlines()
    assert [line.split()[0] for line in lines] == ["input", "x", "w", "b"]
    assert "(5, 3)" in lines[2]
    assert all(line.endswith("pass") for line in lines[1:])
    unnamed = check_layer(lambda *inputs: L.fc_forward(*inputs), L.fc_backward, *fc)
    assert [row.name for row in unnamed.rows] == ["input 1", "input 2", "input 3"]


@pytest.mark.parametrize("factor", [1 + 1e-5, np.nan])
def test_one_wrong_element_fails(fc, factor):
    def wrong(dout, cache):
        dx, dw, db = L.fc_backward(dout, cache)
        dw[1, 1] *= factor
        return [dx, dw, db]

    check = check_layer(L.fc_forward, wrong, *fc)
    assert [row.passed for row in check.rows] == [True, False, True]
    assert "FAIL" in str(check)
    with pytest.raises(ValueError, match="check_layer: backward"):
        check_layer(L.fc_forward, lambda dout, cache: L.fc_backward(dout, cache)[:2], *fc)


TIMES = "the numerical gradient times "
CONV, Y = {"stride": 1, "pad": 1}, np.array([0, 2, 1, 0])
# Forward, backward, shapes of the inputs for 4 examples.
LAYERS = {
    "fc": (L.fc_forward, L.fc_backward, (4, 5), (5, 3), (3,)),
    "square fc": (L.fc_forward, L.fc_backward, (4, 3), (3, 3), (3,)),
    "relu": (L.relu_forward, lambda *a: [L.relu_backward(*a)], (4, 5)),
    "softmax": (lambda x: L.softmax_loss(x, Y), lambda dout, dx: [dout * dx], (4, 3)),
    "conv": (lambda x, w, b: conv_forward(x, w, b, CONV), conv_backward, (4, 2, 8, 8), (3, 2, 3, 3),
             (3,)),
}  # fmt: skip


def one_by_one(dout, cache, index):
    """The share of each example in a gradient of fc."""
    x, w, b = cache
    parts = [(dout[i : i + 1], (x[i : i + 1], w, b)) for i in range(len(x))]
    return np.stack([L.fc_backward(*part)[index] for part in parts])


def without_the_ring(dout, cache):
    """dx of conv, the padding forgotten: of the windows that lie within the image."""
    _, shape, w, *_ = cache
    _, inner = conv_forward(np.zeros(shape), w, np.zeros(len(w)), {})
    return conv_backward(dout[:, :, 1:-1, 1:-1], inner)[0]


# A layer, which of its gradients is wrong, made from the right one, and what it is called.
WRONG = [
    ("fc", 1, lambda g, *_: 4 * g, TIMES + "4, the number of examples"),
    ("fc", 2, lambda g, *_: g / 4, TIMES + r"0.25, 1 / .* of examples"),
    ("fc", 0, lambda g, *_: -g, TIMES + "-1"),
    ("fc", 1, lambda g, *_: g * (1 + 3e-7), ""),
    ("fc", 1, lambda g, *_: g.T, "the transpose of the numerical gradient"),
    ("square fc", 1, lambda g, *_: g.T, "the transpose of the numerical gradient"),
    ("fc", 1, lambda g, *a: one_by_one(*a, 1), "the sum over the examples is missing"),
    ("fc", 1, lambda g, *a: one_by_one(*a, 1)[-1], "the share of the last example alone"),
    ("fc", 2, lambda g, *a: one_by_one(*a, 2)[0], "the share of the first example alone"),
    ("fc", 2, lambda g, *_: g.sum(), r"its shape is \(\)"),
    ("fc", 0, lambda g, *_: g[::-1], "right but for the order of the examples"),
    ("fc", 1, lambda g, *_: g.astype(np.float32), "right to the precision of float32 only"),
    ("fc", 1, lambda g, dout, cache: g - 0.5 * cache[1], "right but for a penalty, 0.5 times x"),
    ("relu", 0, lambda g, dout, mask: dout * ~mask, "zero where .*, and the other way round"),
    ("relu", 0, lambda g, dout, mask: g * (dout > 0), "zero where .*, right elsewhere"),
    ("softmax", 0, lambda g, dout, _: g + dout * np.eye(3)[Y] / 4, ""),
    ("conv", 0, lambda g, *a: without_the_ring(*a), "right but for the boundary of the image"),
    ("conv", 1, lambda g, *_: g[:, :, ::-1, ::-1], ""),
]  # fmt: skip


def check_with(layer, index, change):
    """Check a layer whose backward has one gradient changed."""
    forward, backward, *shapes = LAYERS[layer]
    rng = np.random.default_rng(0)

    def wrong(dout, cache):
        gradients = list(backward(dout, cache))
        gradients[index] = change(gradients[index], dout, cache)
        return gradients

    inputs = [rng.standard_normal(shape) for shape in shapes]
    return check_layer(forward, wrong, *inputs, num_examples=4, tolerance=1e-8)


@pytest.mark.parametrize(("layer", "index", "change", "words"), WRONG)
def test_a_wrong_gradient_is_explained(layer, index, change, words):
    check = check_with(layer, index, change)
    assert [row.passed for row in check.rows] == [i != index for i in range(len(check.rows))]
    assert re.fullmatch(words, "".join(row.looks for row in check.rows))
    assert re.search(f"FAIL: {words}" if words else "FAIL", str(check))


def test_a_wrong_gradient_of_a_net_is_explained(rng):
    net = FullyConnectedNet(4, [4], 2, reg=0.1, dtype=np.float64, seed=0)
    X, y, loss = rng.standard_normal((5, 4)), rng.integers(0, 2, 5), net.loss

    def wrong(X, y):
        value, grads = loss(X, y)
        return value, {**grads, "W1": 5 * grads["W1"], "W2": grads["W2"] + 0.1 * net.params["W2"]}

    assert check_net(net, X, y).passed
    assert not check_net(Network(4, [Activation("relu")]), X, y).passed  # it has no parameters
    net.loss = wrong
    looks = {row.name: row.looks for row in check_net(net, X, y).rows}
    assert looks["W1"] == TIMES + "5, the number of examples"
    assert looks == {**looks, "b1": "", "W2": "right but for a penalty, -0.1 times x", "b2": ""}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_gradient_that_looks_like_nothing_gets_no_word(layer, rng):
    for index in range(len(LAYERS[layer]) - 2):
        check = check_with(layer, index, lambda g, *_: rng.standard_normal(g.shape))
        assert [row.looks for row in check.rows] == [""] * len(check.rows)
        assert not check.passed
    assert check_with(layer, 0, lambda g, *_: g).passed
