"""Layers of a network: pairs of free functions, forward and backward, that stand side by side.

Every pair keeps one convention, said here once and in no docstring below::

    out, cache = something_forward(x, ...)        # cache: what backward needs, opaque to the caller
    dx, ...    = something_backward(dout, cache)  # dout = dL/dout, of out's shape

backward returns dL/dx, then the gradient of each parameter in the order in which forward takes
them; a gradient has the shape of what it belongs to. Arrays are what NumPy makes an array of, of
float32 or float64; integers become float64, and results have the dtype of the arguments. Anything
else is a TypeError, and shapes or numbers that do not fit are a ValueError; both name function and
argument.

Shapes: N examples, D = d_1 * ... * d_k inputs each, M outputs, C classes. Examples are rows. The
assignment writes a layer as ``W_i h_i + b_i`` with a column ``h_i`` and a ``W_i`` of shape
(n_{i+1}, n_i); our ``w`` is the transpose of that ``W_i``, so that a whole batch of rows needs one
matrix product, ``h @ w + b``.
"""

import math

import numpy as np

from fast.arrays import times
from support.checks import as_dout, as_floats, check_axes, check_kind, check_number, check_shape
from support.examples import check_labels


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

    >>> relu_forward([-1.0, 0.0, 2.0])[0]
    array([0., 0., 2.])
    """
    x = as_floats("relu_forward", x=x)
    return np.maximum(x, 0), x > 0


def relu_backward(dout, cache):
    """dx = dout where x > 0, and 0 elsewhere: at x = 0 this project takes the subgradient 0."""
    dout = as_dout("relu_backward", dout, cache.shape)
    return times(dout, cache)


def sigmoid_forward(x):
    """s(x) = 1 / (1 + e^-x), elementwise; as e^x / (1 + e^x) for x < 0, so that no e^x overflows.

    >>> sigmoid_forward([-1e300, 0.0, 1e300])[0]
    array([0. , 0.5, 1. ])
    """
    x = as_floats("sigmoid_forward", x=x)
    exp = np.exp(-np.abs(x))
    out = np.where(x < 0, exp, 1) / (1 + exp)
    return out, out.copy()  # out is the caller's, to change at will


def sigmoid_backward(dout, cache):
    """dx = dout s'(x),  s'(x) = s(x) (1 - s(x)), at most 1/4."""
    dout = as_dout("sigmoid_backward", dout, cache.shape)
    return dout * cache * (1 - cache)


def tanh_forward(x):
    """tanh(x) = (e^x - e^-x) / (e^x + e^-x), elementwise.

    >>> tanh_forward([-1e300, 0.0, 1e300])[0]
    array([-1.,  0.,  1.])
    """
    x = as_floats("tanh_forward", x=x)
    out = np.tanh(x)
    return out, out.copy()


def tanh_backward(dout, cache):
    """dx = dout tanh'(x),  tanh'(x) = 1 - tanh(x)^2, at most 1."""
    dout = as_dout("tanh_backward", dout, cache.shape)
    return dout * (1 - cache * cache)


def dropout_forward(x, p, rng):
    """Inverted dropout, for training only; p is the drop probability, 0 <= p < 1.

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
    dout = as_dout("dropout_backward", dout, cache.shape)
    return times(dout, cache > 0) * cache


def softmax_loss(x, y):
    """Softmax and cross-entropy: scores x (N, C), integer labels y (N,) -> loss, dx (N, C).

    The loss, a numpy.float64, is the mean over the N examples, in nats. For one example with scores
    s, label c and m = max_k s_k::

        L        = -log softmax(s)_c = -(s_c - m) + log sum_k exp(s_k - m)
        dL/ds_j  = softmax(s)_j - [j = c]

    Subtracting m changes neither and keeps every exponent at or below 0. One term of the sum is 1;
    log1p of the others keeps the digits of a small loss. The loss is finite for all finite float32
    scores, and for float64 scores up to half the largest float64.

    >>> loss, dx = softmax_loss([[0, 0, 0, 0]], [2])
    >>> print(loss.round(4), dx)
    1.3863 [[ 0.25  0.25 -0.75  0.25]]
    """
    x, y = _check_softmax(x, y)
    n, rows, top = len(y), np.arange(len(y)), x.argmax(axis=1)
    highest = x[rows, top]
    # A gap between scores beyond the largest float32 becomes -inf, and exp(-inf) is
    # the right 0; the loss needs such a gap as a number, so it is taken in float64.
    with np.errstate(over="ignore"):
        dx = x - highest[:, None]
    gap = x[rows, y].astype(np.float64) - highest
    np.exp(dx, out=dx)
    total = dx.sum(axis=1, keepdims=True)
    dx[rows, top] = 0
    loss = (np.log1p(dx.sum(axis=1)) - gap).sum() / n
    dx[rows, top] = 1
    dx /= n * total
    dx[rows, y] -= 1 / n
    return loss, dx


def _check_fc(x, w, b):
    x, w, b = as_floats("fc_forward", x=x, w=w, b=b)
    check_axes("fc_forward", "(D, M)", w=w)
    if (features := math.prod(x.shape[1:])) != len(w):
        raise ValueError(
            f"fc_forward: x has {features} features per example but w expects {len(w)} (w.shape[0])"
        )
    check_shape("fc_forward", w.shape[1:], "one bias a column of w", b=b)
    return x, w, b


def _check_softmax(x, y):
    x, y = check_labels("softmax_loss", as_floats("softmax_loss", x=x), y, ("x", "y"))
    check_axes("softmax_loss", "(N, C)", x=x)
    if len(y) == 0 or y.max() >= x.shape[1]:
        raise ValueError(f"softmax_loss: y must hold labels 0..{x.shape[1] - 1}, got {y!r:.80}")
    return x, y
