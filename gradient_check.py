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

from support.checks import as_generator, check_callable, check_number, describe, is_exact_ndarray
from support.examples import check_model

SMALLEST = 1e-8  # gradients smaller than this count as this large in a relative error
ROUNDING = 2 * np.finfo(np.float64).eps  # relative error of a value of f, in the last bits
# Two one-sided slopes differ by h times the second derivative. This many times h, relative to the
# largest element of the gradient, is more than a smooth layer comes to: it is a kink.
CURVATURE = 100
KINK_SLACK = 0.1  # of that difference: how far beyond the two slopes a gradient may lie on a kink
REPEATS = 20  # of forward at one point: a random layer may give the same value twice
HALVINGS = 12  # of an interval around a kink: a change that survives them is a jump


def rel_error(x, y):
    """Largest relative difference of two arrays: max |x - y| / max(1e-8, |x| + |y|).

    From 0 (equal) to 1 (nothing in common); 0.0 for empty arrays, and NaN where either holds one.
    Arrays of different shapes are a ValueError: broadcasting would compare the wrong elements.

    >>> rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    """
    x, y = (_as_float64("rel_error", **{name: a}) for name, a in {"x": x, "y": y}.items())
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
    check_callable("numerical gradient", f=f)
    _check_float64(x)
    check_number("numerical gradient", positive=True, h=h)
    df = _as_float64("numerical gradient", df=df)
    if df.ndim and df.shape != np.shape(f(x)):
        raise ValueError(
            f"numerical gradient: df must have the shape of f(x), {np.shape(f(x))}, got {df.shape}"
        )
    return _differences(f, x, df, h, verbose)[0]


def check_layer(forward, backward, *inputs, tolerance=1e-7, h=1e-5, seed=0):
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
        Largest error that passes. An error is relative to the largest element of the gradient, as
        an element that is almost 0 by chance would otherwise measure the rounding error alone; and
        where rounding, epsilon |f| / h, is more than the tolerance allows, relative to so much that
        it is not.
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
    TypeError, ValueError
        If an input is no array of float64, backward returns other gradients than one of the shape
        of each input, or forward gives different values at one point, as a layer that draws random
        numbers does: let forward restart its generator.

    Notes
    -----
    A function has no derivative on a kink (ReLU at 0, a tie in max pooling), and each value between
    the slopes on both sides is a right answer there. An element counts as on a kink if the two
    one-sided slopes differ by more than the curvature of a smooth layer could make them, the layer
    is continuous there, and the gradient from backward lies between the slopes; it is counted and
    left out. Any other value is a failure, on a kink as elsewhere, and so is an input of which
    every element is left out.

    Examples
    --------
    >>> def square_forward(x):
    ...     return x * x, x
    >>> def square_backward(dout, cache):
    ...     return 2 * cache * dout
    >>> check_layer(square_forward, square_backward, np.array([1.0, 2.0, 3.0])).passed
    True
    """
    _check_arguments(forward, backward, inputs, tolerance, h)
    result = forward(*inputs)
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"check_layer: forward must return out, cache, got {describe(result)}")
    out, cache = result
    dout = as_generator("check_layer", seed).standard_normal(np.shape(out))
    gradients = backward(dout, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if [np.shape(g) for g in gradients] != [x.shape for x in inputs]:
        raise ValueError(
            "check_layer: backward must return one gradient of the shape of each input, expected "
            f"{[x.shape for x in inputs]}, got {[np.shape(g) for g in gradients]}"
        )

    def value(_):
        return forward(*inputs)[0]

    if not all(np.array_equal(out, value(None), equal_nan=True) for _ in range(REPEATS)):
        raise ValueError(
            "check_layer: forward gives different values at one point; a layer that draws random "
            "numbers must draw the same each time: let forward restart its generator"
        )
    rows = []
    for name, x, gradient in zip(_names(forward, inputs), inputs, gradients, strict=True):
        numerical, rounding = _differences(value, x, dout, h)
        largest = max(
            np.abs(gradient).max(initial=SMALLEST), np.abs(numerical).max(initial=SMALLEST)
        )
        errors = np.abs(gradient - numerical) / np.maximum(largest, rounding / tolerance)
        kinks = 0
        for index in map(tuple, np.argwhere(errors > tolerance)):
            if _on_kink(value, x, index, dout, h, gradient[index], largest):
                errors[index] = 0.0
                kinks += 1
        error = float(errors.max(initial=0.0))
        passed = error <= tolerance and not (kinks and kinks == x.size)
        rows.append(GradientCheckRow(name, x.shape, error, kinks, passed))
    return GradientCheck(rows)


def check_net(net, X, y, **options):
    """`check_layer` of a whole network's loss: one row a parameter.

    net has ``params`` of float64 and ``loss(X, y) -> loss, grads``; options are those of
    `check_layer`. Where net has a generator ``rng``, of dropout, it draws the same at each point;
    afterwards that generator and the net's ``buffers``, running means, are what they were.
    """
    check_model("check_net", net)
    rng = getattr(net, "rng", None)
    state = rng.bit_generator.state if isinstance(rng, np.random.Generator) else None
    buffers = getattr(net, "buffers", {})
    before = {name: array.copy() for name, array in buffers.items()}

    def loss(*_):
        if state is not None:
            rng.bit_generator.state = state
        return net.loss(X, y)

    try:
        check = check_layer(
            loss,
            lambda dout, grads: tuple(dout * grads[name] for name in net.params),
            *net.params.values(),
            **options,
        )
    finally:
        if state is not None:
            rng.bit_generator.state = state
        for name, array in before.items():
            buffers[name][...] = array
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


def _differences(f, x, df, h, verbose=False):
    """The central difference of sum(f(x) * df) for each element of x, and its rounding error."""
    grad, rounding = np.zeros_like(x), np.zeros_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = _values_at(f, x, index, (h, -h))
        grad[index] = np.sum((plus - minus) * df) / (2 * h)
        rounding[index] = ROUNDING * np.sum(np.abs(plus * df)) / h
        if verbose:
            print(index, grad[index])
    return grad, rounding


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
    def sums(*steps):
        return [np.sum(value * df) for value in _values_at(f, x, index, steps)]

    minus, middle, plus = sums(-h, 0.0, h)
    left, right = (middle - minus) / h, (plus - middle) / h
    change = CURVATURE * h * largest
    slack = KINK_SLACK * change
    is_between = min(left, right) - slack <= gradient <= max(left, right) + slack
    return abs(right - left) > change and is_between and _is_continuous(sums, h)


def _is_continuous(sums, h):
    """Whether a function changes the less, the smaller an interval is around its largest change.

    A jump keeps its height in every interval that holds it. sums(*steps) are the values at steps
    from a point.
    """
    start, stop = -h, h
    at_start, at_stop = sums(start, stop)
    whole = abs(at_stop - at_start)
    for _ in range(HALVINGS):
        middle = (start + stop) / 2
        [at_middle] = sums(middle)
        whole = max(whole, abs(at_middle - at_start))
        if abs(at_middle - at_start) > abs(at_stop - at_middle):
            stop, at_stop = middle, at_middle
        else:
            start, at_start = middle, at_middle
    return abs(at_stop - at_start) < whole / 2


def _check_arguments(forward, backward, inputs, tolerance, h):
    check_callable("check_layer", forward=forward, backward=backward)
    for x in inputs:
        _check_float64(x)
    check_number("check_layer", positive=True, tolerance=tolerance, h=h)


def _as_float64(function, **values):
    [(name, value)] = values.items()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{function}: {name} must be an array of numbers, got {describe(value)}")
    return array.astype(np.float64, copy=False)


def _check_float64(x):
    if not is_exact_ndarray(x) or x.dtype != np.float64:
        raise TypeError(
            f"numerical gradient: x must be an array of float64, got {describe(x)}; "
            "a network has such parameters where it is made with dtype=np.float64"
        )
