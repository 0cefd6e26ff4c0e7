"""The checker is checked: it finds what is wrong, and only that."""

import numpy as np
import pytest

from fc_net import FullyConnectedNet
from gradient_check import (
    check_layer,
    check_net,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    rel_error,
)
from layers import (
    dropout_forward,
    fc_backward,
    fc_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)


def test_rel_error():
    assert rel_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 0.5
    assert rel_error(np.array([1e-9]), np.array([0.0])) == pytest.approx(0.1)
    assert rel_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert np.isnan(rel_error(np.array([np.nan, 1.0]), np.array([1.0, 1.0])))
    with pytest.raises(ValueError, match="one shape"):
        rel_error(np.ones((2, 3)), np.ones(3))


def test_gradient_of_a_known_function(rng):
    x = rng.standard_normal((2, 3, 4))
    grad = eval_numerical_gradient(lambda x: np.sum(np.sin(x)), x)
    assert rel_error(grad, np.cos(x)) < 1e-8
    df = rng.standard_normal(x.shape)
    assert rel_error(eval_numerical_gradient_array(np.sin, x, df), np.cos(x) * df) < 1e-8


def test_f_may_ignore_its_argument():
    x = np.array([1.0, 2.0])
    grad = eval_numerical_gradient(lambda _: x[0] * x[1], x)
    np.testing.assert_allclose(grad, [2.0, 1.0], rtol=1e-8)


def test_f_may_return_the_same_buffer_each_time():
    x, buffer = np.array([1.0, 2.0]), np.empty(2)
    grad = eval_numerical_gradient_array(lambda x: np.multiply(x, x, out=buffer), x, np.ones(2))
    np.testing.assert_allclose(grad, [2.0, 4.0], rtol=1e-8)


def test_x_is_a_view_and_is_restored_to_the_bit(rng):
    whole = rng.standard_normal((4, 6)) * 10.0 ** rng.integers(-20, 20, (4, 6))
    before = whole.copy()
    eval_numerical_gradient(lambda x: np.sum(x), whole[::2, 1::2].T)
    assert whole.tobytes() == before.tobytes()


def test_x_is_restored_when_f_raises():
    x, calls = np.array([0.1, 0.2]), []

    def fails_late(x):
        calls.append(x.copy())
        if len(calls) == 3:
            raise RuntimeError("third call")
        return x.sum()

    with pytest.raises(RuntimeError, match="third call"):
        eval_numerical_gradient(fails_late, x)
    assert x.tobytes() == np.array([0.1, 0.2]).tobytes()
    assert calls[2][1] != 0.2


def test_verbose_prints_each_element(capsys):
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.zeros((1, 2)), verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(")")[0] for line in lines] == ["(0, 0", "(0, 1"]


@pytest.mark.parametrize(
    "x",
    [np.ones(2, np.float32), np.ones(2, int), [1.0, 2.0], 1.0, np.ma.ones(2), np.matrix([[1.0]])],
)
def test_only_float64(x):
    message = "must be an array of float64, got .*dtype=np.float64"
    for check in (
        lambda: eval_numerical_gradient(np.sum, x),
        lambda: check_layer(relu_forward, relu_backward, x),
    ):
        with pytest.raises(TypeError, match=message):
            check()


def test_a_net_of_float32_is_told_how_to_be_checked(rng):
    with pytest.raises(TypeError, match=r"got an array of float32; .* made with dtype=np\.float64"):
        check_net(FullyConnectedNet(2, [2], 2, seed=0), rng.random((3, 2)), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    ("x", "y"), [(np.uint8([1]), np.uint8([2])), (np.int8([-128]), np.int8([127])), ([1], [2.0])]
)
def test_rel_error_of_integers(x, y):
    a, b = float(x[0]), float(y[0])
    assert rel_error(x, y) == abs(a - b) / (abs(a) + abs(b))
    for bad in (["a"], [10**400], [1j], np.ma.array(x), None):
        with pytest.raises(TypeError, match="rel_error: y must be an array of numbers, got"):
            rel_error(x, bad)


def test_a_random_layer_is_told_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        with pytest.raises(ValueError, match="check_layer: forward gives different values at one"):
            check_layer(
                lambda x: dropout_forward(x, 0.5, rng), lambda d, c: 5 * d, np.array([1.0, 2.0])
            )


def test_a_net_with_dropout_draws_the_same_at_each_point(rng):
    net = FullyConnectedNet(6, [20, 20], 3, dtype=np.float64, seed=0, dropout=0.5)
    X, y = rng.standard_normal((4, 6)), np.array([0, 1, 2, 0])
    check = check_net(net, X, y)
    assert check.passed, check
    assert check_net(net, X, y).rows == check.rows  # from where the generator was


@pytest.mark.parametrize("slope", [0.0, 1.0, 123.0, -5.0])
@pytest.mark.parametrize("x", [[1.0, -2.0], [1.0 + 4e-6, 0.3], [3.0 - 9e-6, 3.0]])
def test_a_jump_is_no_kink(x, slope):
    """Of the floor: whatever backward says, an element on a jump has no gradient that passes."""
    check = check_layer(lambda x: (np.floor(x), None), lambda d, _: slope * d, np.array(x))
    assert not check.passed
    assert check.rows[0].kinks == 0


def test_no_element_compared_is_no_pass():
    check = check_layer(relu_forward, relu_backward, np.zeros(3))
    assert (check.passed, check.rows[0].kinks) == (False, 3)
    assert "FAIL (3 of 3 on a kink, left out)" in str(check)
    assert check_layer(relu_forward, relu_backward, np.zeros((0, 2))).passed


@pytest.mark.parametrize("x", [3.0, 10.0, 15.0, 18.0, -10.0, 300.0])
def test_rounding_is_no_failure(x):
    assert check_layer(tanh_forward, tanh_backward, np.array([[x]])).passed
    assert check_layer(sigmoid_forward, sigmoid_backward, np.array([[x]])).passed


@pytest.mark.parametrize("x", [3.0, 7.0])
def test_rounding_hides_no_wrong_gradient(x):
    def wrong(dout, cache):
        return 1.001 * tanh_backward(dout, cache)

    assert not check_layer(tanh_forward, wrong, np.array([[x]])).passed
    assert not check_layer(tanh_forward, lambda d, c: 0 * d, np.array([[10.0]])).passed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, relu_backward, np.ones(2)), TypeError, "forward must be callable, got None"),
        ((relu_forward, 3, np.ones(2)), TypeError, "backward must be callable, got 3"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=f"check_layer: {message}"):
        check_layer(*arguments)


@pytest.mark.parametrize("net", [None, 3, relu_forward])
def test_a_net_that_is_none(net):
    with pytest.raises(
        TypeError, match="check_net: expected a model with a dict params and a method"
    ):
        check_net(net, np.ones((1, 2)), np.array([0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0}, "tolerance must be a finite number > 0"),
        ({"h": -1e-5}, "h must be a finite number > 0"),
        ({"seed": -1}, "seed must be an integer >= 0, None or"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f"check_layer: {message}"):
        check_layer(relu_forward, relu_backward, np.ones(2), **options)


def test_table_reads_like_a_table(rng):
    x, w, b = rng.random((2, 3)), rng.random((3, 4)), rng.random(4)
    lines = str(check_layer(fc_forward, fc_backward, x, w, b)).splitlines()
    assert lines[0].split() == ["input", "shape", "max", "rel.", "error", "result"]
    assert [line.split()[0] for line in lines[1:]] == ["x", "w", "b"]
    assert "(3, 4)" in lines[2]
    assert all(line.endswith("pass") for line in lines[1:])


def test_wrong_gradients_fail(rng):
    x, w, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), rng.standard_normal(2)

    def slightly_wrong(dout, cache):
        dx, dw, db = fc_backward(dout, cache)
        dw[1, 1] *= 1 + 1e-5
        return dx, dw, db

    check = check_layer(fc_forward, slightly_wrong, x, w, b)
    assert [row.passed for row in check.rows] == [True, False, True]
    assert not check.passed
    assert "FAIL" in str(check)

    def not_a_number(dout, cache):
        dx, dw, db = fc_backward(dout, cache)
        return dx, dw, db * np.nan

    check = check_layer(fc_forward, not_a_number, x, w, b)
    assert [row.passed for row in check.rows] == [True, True, False]


@pytest.mark.parametrize("offset", [0.0, 3e-6, -3e-6, 9e-6])
def test_a_kink_is_named_and_not_a_failure(offset):
    check = check_layer(relu_forward, relu_backward, np.array([-1.0, offset, 2.0]))
    assert check.passed
    assert check.rows[0].kinks == 1
    assert "1 of 3 on a kink" in str(check)


def test_a_kink_hides_no_other_failure():
    x = np.array([-1.0, 0.0, 2.0])

    def wrong_at_two(dout, cache):
        dx = relu_backward(dout, cache)
        dx[2] *= 1.001
        return dx

    assert not check_layer(relu_forward, wrong_at_two, x).passed

    def wrong_on_the_kink(dout, cache):
        dx = relu_backward(dout, cache)
        dx[1] = -3 * dout[1]
        return dx

    assert not check_layer(relu_forward, wrong_on_the_kink, x).passed


def test_a_tie_in_a_maximum_is_a_kink():
    def forward(x):
        return x.max(axis=1), x

    def backward(dout, cache):
        dx = np.zeros_like(cache)
        dx[np.arange(len(cache)), cache.argmax(axis=1)] = dout
        return dx

    check = check_layer(forward, backward, np.array([[1.0, 3.0, 3.0], [0.0, 2.0, 1.0]]))
    assert check.passed
    assert check.rows[0].kinks == 2


def test_strong_curvature_is_not_a_kink():
    """An error as small as h f'' must not pass for a kink of a smooth function."""
    x = np.array([0.3, -0.7])
    check = check_layer(lambda x: (np.exp(x), x), lambda dout, x: dout * np.exp(x) * (1 + 3e-6), x)
    assert not check.passed
    assert check.rows[0].kinks == 0


def test_wrong_number_or_shape_of_gradients(rng):
    x, w, b = rng.random((2, 3)), rng.random((3, 4)), rng.random(4)
    with pytest.raises(ValueError, match="one gradient of the shape of each input"):
        check_layer(fc_forward, lambda dout, cache: fc_backward(dout, cache)[:2], x, w, b)
    with pytest.raises(ValueError, match="one gradient of the shape of each input"):
        check_layer(relu_forward, lambda dout, cache: dout.sum(), x)


def test_a_wrong_gradient_of_a_net_fails(rng):
    net = FullyConnectedNet(4, [3], 2, dtype=np.float64, seed=0)
    X, y, loss = rng.standard_normal((5, 4)), rng.integers(0, 2, 5), net.loss

    def wrong(X, y):
        value, grads = loss(X, y)
        return value, {**grads, "W2": 1.001 * grads["W2"]}

    assert check_net(net, X, y).passed
    net.loss = wrong
    assert {row.name: row.passed for row in check_net(net, X, y).rows} == {
        "W1": True,
        "b1": True,
        "W2": False,
        "b2": True,
    }


def test_rows_of_a_forward_without_names(rng):
    x, w, b = rng.random((2, 3)), rng.random((3, 4)), rng.random(4)
    check = check_layer(lambda *inputs: fc_forward(*inputs), fc_backward, x, w, b)
    assert [row.name for row in check.rows] == ["input 1", "input 2", "input 3"]
