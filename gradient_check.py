"""Numerical gradients, and the checkers that the tests and the notebook use.

A numerical gradient is the central difference (f(x + h) - f(x - h)) / 2h, one element of x at a
time. Its error is of order h^2 plus the rounding error of f divided by h, so x must be an array of
float64 (otherwise a TypeError): with float32 a step of 1e-5 drowns in rounding. x is changed in
place and restored to the bit, also when f raises; f may therefore ignore its argument where it
reaches x otherwise, as ``lambda _: net.loss(X, y)[0]`` does for ``x = net.params["W1"]``.
"""

import inspect
from dataclasses import dataclass, replace

import numpy as np

from support.checks import check_number, describe

SMALLEST = 1e-8  # gradients smaller than this count as this large in a relative error
# Two one-sided slopes differ by h times the second derivative. This many times h, relative to the
# largest element of the gradient, is more than a smooth layer comes to: it is a kink.
CURVATURE = 100
KINK_SLACK = 0.1  # of that difference: how far beyond the two slopes a gradient may lie on a kink


def rel_error(x, y):
    """Largest relative difference of two arrays: max |x - y| / max(1e-8, |x| + |y|).

    From 0 (equal) to 1 (nothing in common); 0.0 for empty arrays, and NaN where either holds one.
    Arrays of different shapes are a ValueError: broadcasting would compare the wrong elements.

    >>> rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape:
        raise ValueError(f"rel_error: x and y must have one shape, got {x.shape} and {y.shape}")
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
    _check_float64(x)
    check_number("numerical gradient", positive=True, h=h)
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = _values_at(f, x, index, (h, -h))
        grad[index] = np.sum((plus - minus) * df) / (2 * h)
        if verbose:
            print(index, grad[index])
    return grad


def check_layer(forward, backward, *inputs, tolerance=1e-7, h=1e-5, seed=0):
    """Compare a layer's gradients with numerical ones.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs) -> out, cache``. It may ignore its arguments where it reaches the inputs
        otherwise, as a network reaches its parameters.
    backward : callable
        ``backward(dout, cache)`` returns the gradient of the input, or a tuple of them, one for
        each of the inputs in their order. Another number or other shapes are a ValueError.
    *inputs : ndarray of float64
        Where to check.
    tolerance : float, default 1e-7
        Largest error that passes. An error is relative to the largest element of the gradient: an
        element that is almost 0 by chance would otherwise measure the rounding error alone.
    h : float, default 1e-5
        Step of the differences.
    seed : int, default 0
        Of the random gradient that is sent into backward.

    Returns
    -------
    check : GradientCheck
        Prints as a table, one row an input: name, shape, maximum relative error, pass or fail;
        ``check.passed`` says whether all passed.

    Notes
    -----
    A function has no derivative on a kink (ReLU at 0, a tie in max pooling), and each value between
    the slopes on both sides is a right answer there. An element counts as on a kink if the two
    one-sided slopes differ by more than the curvature of a smooth layer could make them, and the
    gradient from backward lies between them; it is counted and left out. Any other value is a
    failure, on a kink as elsewhere.

    Examples
    --------
    >>> def square_forward(x):
    ...     return x * x, x
    >>> def square_backward(dout, cache):
    ...     return 2 * cache * dout
    >>> check_layer(square_forward, square_backward, np.array([1.0, 2.0, 3.0])).passed
    True
    """
    for x in inputs:
        _check_float64(x)
    out, cache = forward(*inputs)
    dout = np.random.default_rng(seed).standard_normal(np.shape(out))
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if [np.shape(g) for g in gradients] != [x.shape for x in inputs]:
        raise ValueError(
            "check_layer: backward must return one gradient of the shape of each input, expected "
            f"{[x.shape for x in inputs]}, got {[np.shape(g) for g in gradients]}"
        )

    def value(_):
        return forward(*inputs)[0]

    rows = []
    for name, x, gradient in zip(_names(forward, inputs), inputs, gradients, strict=True):
        numerical = eval_numerical_gradient_array(value, x, dout, h)
        largest = max(
            np.abs(gradient).max(initial=SMALLEST), np.abs(numerical).max(initial=SMALLEST)
        )
        errors = np.abs(gradient - numerical) / largest
        kinks = 0
        for index in map(tuple, np.argwhere(errors > tolerance)):
            if _on_kink(value, x, index, dout, h, gradient[index], largest):
                errors[index] = 0.0
                kinks += 1
        error = float(errors.max(initial=0.0))
        rows.append(GradientCheckRow(name, x.shape, error, kinks, error <= tolerance))
    return GradientCheck(rows)


def check_net(net, X, y, **options):
    """`check_layer` of a whole network's loss: one row a parameter.

    net has ``params`` of float64 and ``loss(X, y) -> loss, grads``; options are those of
    `check_layer`.
    """
    check = check_layer(
        lambda *_: net.loss(X, y),
        lambda dout, grads: tuple(dout * grads[name] for name in net.params),
        *net.params.values(),
        **options,
    )
    rows = [replace(row, name=name) for row, name in zip(check.rows, net.params, strict=True)]
    return GradientCheck(rows)


@dataclass(frozen=True)
class GradientCheckRow:
    """What was found for one input of a layer.

    error is the largest difference between the two gradients away from kinks, divided by the
    largest element of either; kinks counts the elements that were not compared.
    """

    name: str
    shape: tuple
    error: float
    kinks: int
    passed: bool

    @property
    def verdict(self):
        """The row's result in words."""
        kinks = f" ({self.kinks} of {np.prod(self.shape):.0f} on a kink, left out)"
        return ("pass" if self.passed else "FAIL") + (kinks if self.kinks else "")


@dataclass(frozen=True)
class GradientCheck:
    """A list of rows, one an input; prints as a table."""

    rows: list

    @property
    def passed(self):
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    @property
    def error(self):
        """The largest error of the rows."""
        return max(row.error for row in self.rows)

    def __str__(self):
        cells = [("input", "shape", "max rel. error", "result")]
        cells += [(r.name, str(r.shape), f"{r.error:.2e}", r.verdict) for r in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        )

    __repr__ = __str__


def _names(forward, inputs):
    """Names for the rows: forward's own, where it names its parameters."""
    parameters = inspect.signature(forward).parameters.values()
    names = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    if len(names) >= len(inputs):
        return names[: len(inputs)]
    return [f"input {i}" for i in range(1, len(inputs) + 1)]


def _values_at(f, x, index, steps):
    """f at x with one element moved by each of the steps in turn."""
    old = x[index]
    try:
        values = []
        for step in steps:
            x[index] = old + step
            values.append(np.array(f(x)))  # a copy: f may hand out one buffer twice
        return values
    finally:
        x[index] = old


def _on_kink(f, x, index, df, h, gradient, largest):
    minus, middle, plus = _values_at(f, x, index, (-h, 0.0, h))
    left = np.sum((middle - minus) * df) / h
    right = np.sum((plus - middle) * df) / h
    jump = CURVATURE * h * largest
    slack = KINK_SLACK * jump
    return abs(right - left) > jump and (
        min(left, right) - slack <= gradient <= max(left, right) + slack
    )


def _check_float64(x):
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        raise TypeError(f"numerical gradient: x must be an array of float64, got {describe(x)}")
