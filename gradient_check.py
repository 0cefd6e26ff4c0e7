"""Numerical gradients, and the checkers that the tests and the notebook use.

A numerical gradient is the central difference (f(x + h) - f(x - h)) / 2h, one element of x at a
time. Its error is of order h^2 plus the rounding error of f divided by h, so x must be an array of
float64 (otherwise a TypeError): with float32 a step of 1e-5 drowns in rounding. x is changed in
place and restored to the bit, also when f raises; f may therefore ignore its argument where it
reaches x otherwise, as ``lambda _: net.loss(X, y)[0]`` does for ``x = net.params["W1"]``.
"""

import inspect
from collections import namedtuple
from dataclasses import dataclass

import numpy as np

from support.checks import as_generator, check_callable, check_number, check_shape, describe
from support.examples import check_labels, check_model
from support.text import as_table

SMALLEST = 1e-8  # gradients smaller than this count as this large in a relative error
ROUNDING = 2 * np.finfo(np.float64).eps  # relative error of a value of f, in the last bits
# Two one-sided slopes differ by h times the second derivative. This many times h, relative to the
# largest element of the gradient, is more than a smooth layer comes to: it is a kink.
CURVATURE = 100
KINK_SLACK = 0.1  # of that difference: how far beyond the two slopes a gradient may lie on a kink
REPEATS = 20  # of forward at one point: a random layer may give the same value twice
ALIKE = 1e-6  # of the largest element: difference of two gradients that are the same

# The result for one input: error is the largest difference between the two gradients away from
# kinks, relative to the largest element of either; kinks is the number of elements that were not
# compared; looks is in words what a wrong gradient looks like.
GradientCheckRow = namedtuple("GradientCheckRow", "name shape error kinks passed looks")


def rel_error(x, y):
    """Largest relative difference of two arrays: max |x - y| / max(1e-8, |x| + |y|).

    From 0 (equal) to 1 (nothing in common); 0.0 for empty arrays. Other shapes are a ValueError.

    >>> rel_error([1.0, 2.0], [1.0, 2.0])
    0.0
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    check_shape("rel_error", x.shape, "x's", y=y)
    error = np.abs(x - y) / np.maximum(SMALLEST, np.abs(x) + np.abs(y))
    return float(error.max(initial=0.0))


def eval_numerical_gradient(f, x, verbose=False, h=1e-5):
    """Gradient of a function whose value f(x) is a number; verbose prints each element of it.

    >>> eval_numerical_gradient(lambda x: np.sum(x**2), np.array([1.0, -2.0])).round(6)
    array([ 2., -4.])
    """
    return eval_numerical_gradient_array(f, x, 1.0, h, verbose=verbose)


def eval_numerical_gradient_array(f, x, df, h=1e-5, *, verbose=False):
    """Gradient of sum(f(x) * df) for a function whose value is an array, df = dL/df."""
    check_callable("numerical gradient", f=f)
    check_number("numerical gradient", positive=True, h=h)
    _check_float64(x)
    if np.ndim(df):
        check_shape("numerical gradient", np.shape(f(x)), "that of f(x)", df=df)
    return _differences(f, x, np.asarray(df), h, verbose)[0].sum(axis=0)


def check_layer(forward, backward, *inputs, tolerance=1e-7, h=1e-5, seed=577, num_examples=None):
    """Compare a layer's gradients with numerical ones.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs) -> out, cache``. It may ignore its arguments where it reaches the inputs
        otherwise, as a network reaches its parameters.
    backward : callable
        ``backward(dout, cache)`` returns the gradient of the input, or a tuple of them, one for
        each of the inputs in their order.
    *inputs : ndarray of float64
        Where to check.
    tolerance : float, default 1e-7
        Largest error that passes, relative to the largest element of the gradient: one that is
        almost 0 by chance would measure the rounding error alone. Where rounding, epsilon |f| / h,
        is more than the tolerance allows, it is relative to so much that it is not.
    h : float, default 1e-5
        Step of the differences.
    seed : int, default 577
        Of the random gradient that is sent into backward.
    num_examples : int, default len(out)

    Returns
    -------
    check : GradientCheck
        Prints as a table, one row an input: name, shape, maximum relative error, pass or fail, and
        what a wrong gradient looks like (see `explain`). ``check.passed`` says whether all passed.

    Raises
    ------
    TypeError, ValueError
        If an input is no array of float64, backward returns another number of gradients, or forward
        gives different values at one point: one that draws numbers must restart its generator.

    Notes
    -----
    A function has no derivative on a kink (ReLU at 0, a tie in max pooling), and each value between
    the slopes on both sides is a right answer there. Two one-sided slopes differ by O(h) where a
    layer is smooth, by O(1) across a kink, by O(1 / h) across a jump. An element counts as on a
    kink, and is left out, if they differ by more than the first, less than the last, and the
    gradient lies between them. An input of which every element is left out is a failure.

    Examples
    --------
    >>> def square_forward(x):
    ...     return x * x, x
    >>> def square_backward(dout, cache):
    ...     return 2 * cache * dout
    >>> check_layer(square_forward, square_backward, np.array([1.0, 2.0, 3.0])).passed
    True
    """
    check_callable("check_layer", forward=forward, backward=backward)
    check_number("check_layer", positive=True, tolerance=tolerance, h=h)
    _check_float64(*inputs)
    result = forward(*inputs)
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"check_layer: forward must return out, cache, got {describe(result)}")
    out, cache = result
    draw = as_generator("check_layer", seed).standard_normal  # a seed that x was not drawn from
    dout = draw(np.shape(out)) if np.ndim(out) else np.ones(())  # a loss has the gradient 1
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, (tuple, list)) else [gradients]
    if len(gradients) != len(inputs):
        expected = f"one gradient for each of {len(inputs)} inputs"
        raise ValueError(f"check_layer: backward must return {expected}, got {len(gradients)}")

    def value(_):
        return forward(*inputs)[0]

    if not all(np.array_equal(out, value(None), equal_nan=True) for _ in range(REPEATS)):
        raise ValueError("check_layer: forward must give the same again: restart its generator")
    rows = []
    for name, x, gradient in zip(_names(forward, inputs), inputs, gradients, strict=True):
        shares, rounding = _differences(value, x, dout, h)
        gradient, error, kinks = np.asarray(gradient), np.inf, 0
        if gradient.shape == x.shape:
            numerical = shares.sum(axis=0)
            largest = max(np.abs(g).max(initial=SMALLEST) for g in (gradient, numerical))
            errors = np.abs(gradient - numerical) / np.maximum(largest, rounding / tolerance)
            for index in map(tuple, np.argwhere(errors > tolerance)):
                if _on_kink(value, x, index, dout, h, gradient, largest):
                    errors[index], kinks = 0.0, kinks + 1
            error = float(errors.max(initial=0.0))
        right = error <= tolerance
        looks = "" if right else explain(gradient, shares, x, num_examples or len(shares))
        passed = right and not (kinks and kinks == x.size)
        rows.append(GradientCheckRow(name, x.shape, error, kinks, passed, looks))
    return GradientCheck(rows)


def check_net(net, X, y, **options):
    """`check_layer` of a whole network's loss: one row a parameter.

    net has ``params`` of float64 and ``loss(X, y) -> loss, grads``; options are those of
    `check_layer`. Where net has a generator ``rng``, of dropout, it draws the same at each point;
    afterwards that generator and the net's ``buffers``, running means, are what they were.
    """
    check_model("check_net", net)
    X, y = check_labels("check_net", X, y)
    rng, buffers = getattr(net, "rng", None), getattr(net, "buffers", {})
    state, before = rng and rng.bit_generator.state, {k: a.copy() for k, a in buffers.items()}

    def loss(*_):
        if rng:
            rng.bit_generator.state = state
        return net.loss(X, y)

    def backward(dout, grads):
        return [dout * grads[name] for name in net.params]

    try:
        check = check_layer(loss, backward, *net.params.values(), num_examples=len(y), **options)
    finally:
        if rng:
            rng.bit_generator.state = state
        for name, array in before.items():
            buffers[name][...] = array
    return GradientCheck([r._replace(name=n) for r, n in zip(check.rows, net.params, strict=True)])


@np.errstate(all="ignore")
def explain(gradient, shares, x, n):
    """Return in words what a wrong gradient looks like, '' where it looks like nothing.

    shares (N, *x.shape) are the numerical gradients of what each of the n examples adds to the
    loss, or their sum (1, *x.shape); x is where they were taken.
    """
    numerical = shares.sum(axis=0)
    slack = ALIKE * np.abs(numerical).max(initial=SMALLEST)

    def alike(a, b, times=1):
        return a.shape == b.shape and np.abs(a - b).max(initial=0.0) <= times * slack

    if gradient.shape != x.shape:
        if alike(gradient, shares):
            return "the sum over the examples is missing"
        shape = f"its shape is {gradient.shape}"
        return "the transpose of the numerical gradient" if alike(gradient, numerical.T) else shape
    wrong, zero = np.abs(gradient - numerical) > slack, np.abs(numerical) <= slack
    ratio = np.vdot(numerical, gradient) / np.vdot(numerical, numerical)
    numbers = {n: ", the number of examples", 1 / n: ", 1 / the number of examples"}
    named = next((numbers[number] for number in numbers if np.isclose(ratio, number)), "")
    penalty = np.vdot(x, numerical - gradient) / np.vdot(x, x)
    edge = min(x.shape[2:]) // 4 if x.ndim == 4 else 0
    inner = wrong[:, :, edge:-edge, edge:-edge] if edge else wrong
    same = np.array([[alike(a, b) for b in numerical] for a in gradient]) if x.ndim else wrong
    is_float32 = np.array_equal(gradient, gradient.astype(np.float32))
    looks = {
        "right to the precision of float32 only": is_float32 and alike(gradient, numerical, 100),
        "": not wrong.any() or x.size < 2,
        f"the numerical gradient times {ratio:.4g}{named}": alike(gradient, ratio * numerical),
        "the transpose of the numerical gradient": alike(gradient, numerical.T),
        "the share of the last example alone": alike(gradient, shares[-1]),
        "the share of the first example alone": alike(gradient, shares[0]),
        "zero where the numerical gradient is not, right elsewhere": not gradient[wrong].any(),
        "zero where the numerical one is not, and the other way round": not gradient[~zero].any(),
        f"right but for a penalty, {penalty:.4g} times x": alike(gradient + penalty * x, numerical),
        "right but for the boundary of the image": not inner.any(),
        "right but for the order of the examples": same.any(0).all() and same.any(1).all(),
    }
    return next((words for words, found in looks.items() if found), "")


@dataclass(frozen=True)
class GradientCheck:
    """A list of rows, one an input; prints as a table."""

    rows: list

    @property
    def passed(self):
        """Tell if every row passed, and there is one."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def error(self):
        """The largest error of the rows."""
        return max(row.error for row in self.rows)

    def __repr__(self):
        table = [("input", "shape", "max rel. error", "result")]
        for row in self.rows:
            result = "pass" if row.passed else f"FAIL: {row.looks}" if row.looks else "FAIL"
            if row.kinks:
                result += f" ({row.kinks} of {np.prod(row.shape):.0f} on a kink, left out)"
            table.append((row.name, str(row.shape), f"{row.error:.2e}", result))
        return as_table(table)


def _names(forward, inputs):
    """Return names for the rows: forward's own, where it names its parameters."""
    names = list(inspect.signature(forward).parameters)
    numbered = [f"input {i}" for i in range(1, len(inputs) + 1)]
    return names[: len(inputs)] if len(names) >= len(inputs) else numbered


def _value(f, x, index, step):
    """Return f at x with one element moved by a step."""
    old = x[index]
    try:
        x[index] = old + step
        return np.array(f(x))  # a copy: f may hand out one buffer twice
    finally:
        x[index] = old


def _differences(f, x, df, h, verbose=False):
    """Return the shares of `explain` in the central differences, and the rounding error."""
    shares, rounding = np.zeros((len(df) if df.ndim else 1, *x.shape)), np.zeros_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = _value(f, x, index, h), _value(f, x, index, -h)
        parts = (plus - minus) * df / (2 * h)
        shares[(slice(None), *index)] = parts.sum(axis=tuple(range(1, parts.ndim)))
        rounding[index] = ROUNDING * np.sum(np.abs(plus * df)) / h
        if verbose:
            print(index, parts.sum())
    return shares, rounding


def _on_kink(f, x, index, df, h, gradient, largest):
    minus, middle, plus = (np.sum(_value(f, x, index, step) * df) for step in (-h, 0.0, h))
    left, right = (middle - minus) / h, (plus - middle) / h
    curvature, jump = CURVATURE * h * largest, (np.abs(gradient).max() + np.abs(df).max()) / h**0.5
    slack = KINK_SLACK * curvature
    is_between = min(left, right) - slack <= gradient[index] <= max(left, right) + slack
    return is_between and curvature < abs(right - left) < jump


def _check_float64(*arrays):
    for x in arrays:
        if not isinstance(x, np.ndarray) or x.dtype != np.float64:
            expected = "an array of float64 (a network has them if made with dtype=np.float64)"
            raise TypeError(f"numerical gradient: x must be {expected}, got {describe(x)}")
