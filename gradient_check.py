"""Numerical gradients, and the one checker that the tests and the notebook use."""

import inspect
from dataclasses import dataclass

import numpy as np

from checks import check_number, describe


def rel_error(x, y):
    """Largest relative difference between two arrays, element by element.

    Parameters
    ----------
    x, y : array_like of float, same shape

    Returns
    -------
    error : float
        max |x - y| / max(1e-8, |x| + |y|), from 0 (equal) to 1 (nothing in common); 0.0 for empty
        arrays, and NaN where either holds one.

    Raises
    ------
    ValueError
        If the shapes differ: broadcasting would compare the wrong elements.

    Examples
    --------
    >>> rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape:
        raise ValueError(f"rel_error: x and y must have one shape, got {x.shape} and {y.shape}")
    error = np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))
    return float(error.max(initial=0.0))


def eval_numerical_gradient(f, x, verbose=False, h=1e-5):
    """Gradient of a function with one number as its value, by central differences.

    Parameters
    ----------
    f : callable
        ``f(x)`` returns a number. It may ignore its argument where it reaches x otherwise, as
        ``lambda _: net.loss(X, y)[0]`` does for ``x = net.params["W1"]``: x is changed in place.
    x : ndarray of float64
        The point. It is restored to the bit, also when f raises.
    verbose : bool, default False
        Print each index with its derivative.
    h : float, default 1e-5
        Step. The error is of order h^2 plus the rounding error of f divided by h.

    Returns
    -------
    grad : ndarray of float64, shape of x
        (f(x + h) - f(x - h)) / 2h, one element of x at a time.

    Raises
    ------
    TypeError
        If x is not a float64 array: a step of 1e-5 drowns in the rounding errors of float32.

    Examples
    --------
    >>> eval_numerical_gradient(lambda x: np.sum(x**2), np.array([1.0, -2.0])).round(6)
    array([ 2., -4.])
    """
    return eval_numerical_gradient_array(f, x, 1.0, h, verbose=verbose)


def eval_numerical_gradient_array(f, x, df, h=1e-5, *, verbose=False):
    """Gradient of sum(f(x) * df) for a function whose value is an array, by central differences.

    Parameters
    ----------
    f : callable
        ``f(x)`` returns an array. It may ignore its argument, as in `eval_numerical_gradient`.
    x : ndarray of float64
        The point. It is restored to the bit, also when f raises.
    df : ndarray of float64, shape of f(x)
        The gradient that arrives from above, dL/df.
    h : float, default 1e-5
        Step.
    verbose : bool, default False
        Print each index with its derivative.

    Returns
    -------
    grad : ndarray of float64, shape of x

    Raises
    ------
    TypeError
        If x is not a float64 array.
    """
    _check_float64(x)
    check_number("numerical gradient", positive=True, h=h)
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = _values_at(f, x, index, (h, -h))
        grad[index] = np.sum((plus - minus) * df) / (2 * h)
        if verbose:
            print(index, grad[index])
    return grad


def _check_float64(x):
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        raise TypeError(f"numerical gradient: x must be an array of float64, got {describe(x)}")


def _values_at(f, x, index, steps):
    """f at x with one element moved by each of the steps in turn, x restored to the bit."""
    old = x[index]
    try:
        values = []
        for step in steps:
            x[index] = old + step
            values.append(np.array(f(x)))  # a copy: f may hand out one buffer twice
        return values
    finally:
        x[index] = old


@dataclass(frozen=True)
class GradientCheckRow:
    """What `check_layer` found for one input of a layer.

    Attributes
    ----------
    name : str
        Of the input.
    shape : tuple of int
        Of the input.
    error : float
        Largest difference between the two gradients away from kinks, divided by the largest element
        of either.
    kinks : int
        Elements that sit on a kink and were not compared.
    passed : bool
        Whether error is within the tolerance.
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
    """Table of a gradient check, one row an input; prints as such.

    Attributes
    ----------
    rows : list of GradientCheckRow
    """

    rows: list

    @property
    def passed(self):
        """Whether every row passed."""
        return all(row.passed for row in self.rows)

    def __str__(self):
        cells = [("input", "shape", "max rel. error", "result")]
        cells += [(r.name, str(r.shape), f"{r.error:.2e}", r.verdict) for r in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        )

    __repr__ = __str__


def check_layer(forward, backward, *inputs, tolerance=1e-7, h=1e-5, seed=0):
    """Compare a layer's gradients with numerical ones.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs) -> out, cache``.
    backward : callable
        ``backward(dout, cache)`` returns the gradient of the input, or a tuple of them, one for
        each of the inputs in their order.
    *inputs : ndarray of float64
        Where to check. They are changed in place and restored to the bit, so forward may also reach
        them otherwise (as a network reaches its parameters) and ignore its arguments.
    tolerance : float, default 1e-7
        Largest error that passes.
    h : float, default 1e-5
        Step of the differences.
    seed : int, default 0
        Of the random gradient that is sent into backward.

    Returns
    -------
    check : GradientCheck
        Prints as a table, one row an input: name, shape, maximum relative error, pass or fail;
        ``check.passed`` says whether all passed.

    Raises
    ------
    TypeError
        If an input is not a float64 array.
    ValueError
        If backward returns gradients of another number or other shapes than the inputs.

    Notes
    -----
    An error is relative to the largest element of the gradient: an element that is almost 0 by
    chance would otherwise measure the rounding error of the differences alone.

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
        largest = max(np.abs(gradient).max(initial=0.0), np.abs(numerical).max(initial=0.0), 1e-8)
        errors = np.abs(gradient - numerical) / largest
        kinks = 0
        for index in np.argwhere(errors > tolerance):
            if _on_kink(value, x, tuple(index), dout, h, gradient[tuple(index)], largest):
                errors[tuple(index)] = 0.0
                kinks += 1
        error = float(errors.max(initial=0.0))
        rows.append(GradientCheckRow(name, x.shape, error, kinks, error <= tolerance))
    return GradientCheck(rows)


def _names(forward, inputs):
    """Names for the rows: forward's own, where it names its parameters."""
    parameters = inspect.signature(forward).parameters.values()
    names = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    if len(names) >= len(inputs):
        return names[: len(inputs)]
    return [f"input {i}" for i in range(1, len(inputs) + 1)]


def _on_kink(f, x, index, df, h, gradient, largest):
    minus, middle, plus = _values_at(f, x, index, (-h, 0.0, h))
    left = np.sum((middle - minus) * df) / h
    right = np.sum((plus - middle) * df) / h
    # The slopes of a smooth function differ by h times its second derivative.
    jump = 100 * h * largest
    slack = jump / 10
    return abs(right - left) > jump and (
        min(left, right) - slack <= gradient <= max(left, right) + slack
    )
