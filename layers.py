"""Layers of a network: pairs of free functions, forward and backward, that stand side by side.

Every pair keeps one convention, said here once and in no docstring below::

    out, cache = something_forward(x, ...)        # cache: what backward needs, opaque to the caller
    dx, ...    = something_backward(dout, cache)  # dout = dL/dout, of out's shape

backward returns dL/dx, then the gradient of each parameter in the order in which forward takes
them; a gradient has the shape of what it belongs to. Arrays are NumPy arrays of float32 or float64,
and results have the dtype of the arguments; integers count as float64. Anything else is a
TypeError, and shapes or numbers that do not fit are a ValueError; both name function and argument.

Shapes: N examples, D = d_1 * ... * d_k inputs each, M outputs, C classes. Examples are rows. The
assignment writes a layer as ``W_i h_i + b_i`` with a column ``h_i`` and a ``W_i`` of shape
(n_{i+1}, n_i); our ``w`` is the transpose of that ``W_i``, so that a whole batch of rows needs one
matrix product, ``h @ w + b``.
"""

import math

import numpy as np

from support.checks import as_dout, as_floats, check_kind, check_number, describe, is_exact_ndarray


def fc_forward(x, w, b):
    """Fully-connected layer, out = x w + b: x (N, d_1, ..., d_k), w (D, M), b (M,), out (N, M).

    Each example is flattened to D numbers.

    >>> fc_forward(np.ones((1, 2, 2)), np.ones((4, 3)), np.arange(3.0))[0]
    array([[4., 5., 6.]])
    """
    x, w, b = _check_fc(x, w, b)
    out = x.reshape(len(x), len(w)) @ w
    out += b
    return out, (x, w, b)


def fc_backward(dout, cache, *, need_dx=True):
    """dx = dout w^T,  dw = x^T dout,  db = sum of dout over the examples.

    The first layer of a network has no use for dx: need_dx=False saves the product, dx is None.
    """
    x, w, _ = cache
    dout = as_dout("fc_backward", dout, (len(x), w.shape[1]))
    dx = (dout @ w.T).reshape(x.shape) if need_dx else None
    dw = x.reshape(len(x), len(w)).T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db


affine_forward, affine_backward = fc_forward, fc_backward  # as other years call them


def relu_forward(x):
    """max(0, x), elementwise.

    >>> relu_forward(np.array([-1.0, 0.0, 2.0]))[0]
    array([0., 0., 2.])
    """
    x = as_floats("relu_forward", x=x)
    out = np.maximum(x, 0)
    return out, out


def relu_backward(dout, cache):
    """dx = dout where x > 0, and 0 elsewhere: at x = 0 this project takes the subgradient 0."""
    out = cache
    dout = as_dout("relu_backward", dout, out.shape)
    return dout * (out > 0)


def sigmoid_forward(x):
    """s(x) = 1 / (1 + e^-x), elementwise; as e^x / (1 + e^x) for x < 0, so that no e^x overflows.

    >>> sigmoid_forward(np.array([-1e300, 0.0, 1e300]))[0]
    array([0. , 0.5, 1. ])
    """
    x = as_floats("sigmoid_forward", x=x)
    exp = np.exp(-np.abs(x))
    out = np.where(x < 0, exp, 1) / (1 + exp)
    return out, out


def sigmoid_backward(dout, cache):
    """dx = dout s'(x),  s'(x) = s(x) (1 - s(x)), at most 1/4."""
    out = cache
    dout = as_dout("sigmoid_backward", dout, out.shape)
    return dout * out * (1 - out)


def tanh_forward(x):
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x), elementwise.

    >>> tanh_forward(np.array([-1e300, 0.0, 1e300]))[0]
    array([-1.,  0.,  1.])
    """
    x = as_floats("tanh_forward", x=x)
    out = np.tanh(x)
    return out, out


def tanh_backward(dout, cache):
    """dx = dout tanh'(x),  tanh'(x) = 1 - tanh(x)^2, at most 1."""
    out = cache
    dout = as_dout("tanh_backward", dout, out.shape)
    return dout * (1 - out * out)


def dropout_forward(x, p, rng):
    """Inverted dropout, for training only: each element is 0 with probability p, 0 <= p < 1.

    out = x * mask, mask = 0 with probability p and 1 / (1 - p) otherwise, drawn by rng, a
    numpy.random.Generator. The rest is scaled by 1 / (1 - p) so that the mean of out is x and
    prediction needs neither dropout nor another scale (Srivastava et al. 2014, section 10).
    """
    x = as_floats("dropout_forward", x=x)
    check_number("dropout_forward", below=1.0, p=p)
    check_kind("dropout_forward", np.random.Generator, "a numpy.random.Generator", rng=rng)
    mask = (rng.random(x.shape, dtype=np.float32) >= p).astype(x.dtype)
    mask *= 1 / (1 - float(p))
    return x * mask, mask


def dropout_backward(dout, cache):
    """dx = dout * mask: an element that was dropped had no part in the loss."""
    mask = cache
    dout = as_dout("dropout_backward", dout, mask.shape)
    return dout * mask


def softmax_loss(x, y):
    """Softmax and cross-entropy: scores x (N, C), integer labels y (N,) -> loss, dx (N, C).

    The loss, a numpy.float64, is the mean over the N examples, in nats. For one example with scores
    s, label c and m = max_k s_k::

        L        = -log softmax(s)_c = -(s_c - m) + log sum_k exp(s_k - m)
        dL/ds_j  = softmax(s)_j - [j = c]

    Subtracting m changes neither and keeps every exponent at or below 0. The loss is finite for all
    finite float32 scores, and for float64 scores up to half the largest float64.

    >>> loss, dx = softmax_loss(np.zeros((1, 4)), np.array([2]))
    >>> print(loss.round(4), dx)
    1.3863 [[ 0.25  0.25 -0.75  0.25]]
    """
    x = _check_softmax(x, y)
    n, rows = len(y), np.arange(len(y))
    top = x.max(axis=1, keepdims=True)
    # A gap between scores beyond the largest float32 becomes -inf, and exp(-inf) is
    # the right 0; the loss needs such a gap as a number, so it is taken in float64.
    with np.errstate(over="ignore"):
        dx = x - top
    gap = x[rows, y].astype(np.float64) - top[:, 0]
    np.exp(dx, out=dx)
    total = dx.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - gap).sum() / n
    dx /= n * total
    dx[rows, y] -= 1 / n
    return loss, dx


def _check_fc(x, w, b):
    x, w, b = as_floats("fc_forward", x=x, w=w, b=b)
    if x.ndim < 2 or w.ndim != 2:
        raise ValueError(
            f"fc_forward: expected x of shape (N, d_1, ..., d_k) and w of shape (D, M), "
            f"got x {x.shape} and w {w.shape}"
        )
    features = math.prod(x.shape[1:])
    if features != len(w):
        raise ValueError(
            f"fc_forward: x has {features} features per example but w expects {len(w)} (w.shape[0])"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"fc_forward: b must have shape {w.shape[1:]}, one bias a column of w, got {b.shape}"
        )
    return x, w, b


def _check_softmax(x, y):
    x = as_floats("softmax_loss", x=x)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"softmax_loss: x must have shape (N, C), N and C > 0, got {x.shape}")
    if not is_exact_ndarray(y) or y.dtype.kind not in "iu":
        raise TypeError(f"softmax_loss: y must be a NumPy array of integers, got {describe(y)}")
    if y.shape != x.shape[:1]:
        raise ValueError(
            f"softmax_loss: y must have shape {x.shape[:1]}, one label a row of x, got {y.shape}"
        )
    if y.min() < 0 or y.max() >= x.shape[1]:
        raise ValueError(
            f"softmax_loss: labels must be within 0..{x.shape[1] - 1}, "
            f"got {y.min()}..{y.max()} in y"
        )
    return x
