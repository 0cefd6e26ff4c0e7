"""Layers of a network, each a pair of free functions that stand side by side.

Every pair keeps one convention, said here once::

    out, cache = something_forward(x, ...)       # cache: what backward needs, opaque to the caller
    dx, ...    = something_backward(dout, cache)

Here ``dout`` is dL/dout for a scalar loss L, and backward returns dL/dx, then the gradient of each
parameter in the order in which forward took them. A gradient has the shape of what it belongs to.

Shapes: N examples, D = d_1 * ... * d_k inputs each, M outputs, C classes. Examples are rows. The
assignment writes a layer as ``W_i h_i + b_i`` with a column ``h_i`` and a ``W_i`` of shape
(n_{i+1}, n_i); our ``w`` is the transpose of that ``W_i``, so that a whole batch of rows needs one
matrix product, ``h @ w + b``.

Arrays are float32 or float64, and what comes out has the dtype of what went in.
"""

import math

import numpy as np

from checks import check_dout, check_floats, check_number, describe


def fc_forward(x, w, b):
    """Fully-connected layer: an affine map of each example.

    Parameters
    ----------
    x : ndarray of float, shape (N, d_1, ..., d_k)
        Examples; each is flattened to D = d_1 * ... * d_k numbers.
    w : ndarray of float, shape (D, M)
        Weights.
    b : ndarray of float, shape (M,)
        Biases.

    Returns
    -------
    out : ndarray of float, shape (N, M)
    cache : tuple
        For `fc_backward`.

    Raises
    ------
    TypeError
        If an argument is not an array of floats.
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    out = x w + b, with x flattened to (N, D) and b added to every row. In the assignment's symbols
    this is ``W_i h_i + b_i`` for N columns ``h_i`` at once, with w the transpose of ``W_i``.

    Examples
    --------
    >>> out, cache = fc_forward(np.ones((1, 2, 2)), np.ones((4, 3)), np.arange(3.0))
    >>> out
    array([[4., 5., 6.]])
    """
    check_floats("fc_forward", x=x, w=w, b=b)
    if x.ndim < 2 or w.ndim != 2:
        raise ValueError(
            f"fc_forward: expected x of shape (N, d_1, ..., d_k) and w of shape (D, M), "
            f"got x {x.shape} and w {w.shape}"
        )
    features = math.prod(x.shape[1:])
    if features != w.shape[0]:
        raise ValueError(
            f"fc_forward: x has {features} features per example "
            f"but w expects {w.shape[0]} (w.shape[0])"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"fc_forward: b must have shape {w.shape[1:]}, one bias a column of w, got {b.shape}"
        )
    out = x.reshape(x.shape[0], features) @ w
    out += b
    return out, (x, w)


def fc_backward(dout, cache, *, need_dx=True):
    """Gradients of a fully-connected layer.

    Parameters
    ----------
    dout : ndarray of float, shape (N, M)
        dL/dout.
    cache : tuple
        From `fc_forward`.
    need_dx : bool, default True
        False saves the product that makes dx, and dx is None: a network's first layer has nothing
        below it that would use dx.

    Returns
    -------
    dx : ndarray of float, shape (N, d_1, ..., d_k), or None
    dw : ndarray of float, shape (D, M)
    db : ndarray of float, shape (M,)

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of out's shape.

    Notes
    -----
    With x flattened to (N, D)::

        dx = dout w^T        dw = x^T dout        db = sum of dout over the N examples
    """
    x, w = cache
    n = x.shape[0]
    check_dout("fc_backward", dout, (n, w.shape[1]))
    dw = x.reshape(n, w.shape[0]).T @ dout
    db = dout.sum(axis=0)
    dx = (dout @ w.T).reshape(x.shape) if need_dx else None
    return dx, dw, db


def relu_forward(x):
    """ReLU, elementwise: 0 for x < 0, and x otherwise.

    Parameters
    ----------
    x : ndarray of float, shape (N, ...)

    Returns
    -------
    out : ndarray of float, shape of x
    cache : ndarray
        For `relu_backward`.

    Raises
    ------
    TypeError
        If x is not an array of floats.

    Notes
    -----
    ReLU has no derivative at 0. `relu_backward` uses the subgradient 0 there, here and everywhere
    in this project.

    Examples
    --------
    >>> relu_forward(np.array([-1.0, 0.0, 2.0]))[0]
    array([0., 0., 2.])
    """
    check_floats("relu_forward", x=x)
    # NumPy takes the larger of two arrays with SIMD instructions, that of an array and a number
    # without: zeros of the shape of x, but 1 along its outermost axis in memory, halve the time.
    outermost = x.strides.index(max(x.strides))
    out = np.maximum(x, np.zeros_like(x[(slice(None),) * outermost + (slice(1),)]))
    return out, out


def relu_backward(dout, cache):
    """Gradient of `relu_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape of x
        dL/dout.
    cache : ndarray
        From `relu_forward`.

    Returns
    -------
    dx : ndarray of float, shape of x

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of x's shape.

    Notes
    -----
    dx = dout where x > 0, and 0 where x <= 0: the subgradient at 0 is 0.
    """
    out = cache
    check_dout("relu_backward", dout, out.shape)
    dx = (out > 0).astype(dout.dtype)  # a product of bools and floats would convert them slower
    dx *= dout
    return dx


def sigmoid_forward(x):
    """Logistic sigmoid, elementwise.

    Parameters
    ----------
    x : ndarray of float, shape (N, ...)

    Returns
    -------
    out : ndarray of float, shape of x, within [0, 1]
    cache : ndarray
        For `sigmoid_backward`.

    Raises
    ------
    TypeError
        If x is not an array of floats.

    Notes
    -----
    s(x) = 1 / (1 + e^-x). For x < 0 the equal form e^x / (1 + e^x) is used, so the exponent is
    never positive and nothing overflows.

    Examples
    --------
    >>> sigmoid_forward(np.array([-1e300, 0.0, 1e300]))[0]
    array([0. , 0.5, 1. ])
    """
    check_floats("sigmoid_forward", x=x)
    exp = np.exp(-np.abs(x))
    out = np.where(x < 0, exp, 1) / (1 + exp)
    return out, out


def sigmoid_backward(dout, cache):
    """Gradient of `sigmoid_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape of x
        dL/dout.
    cache : ndarray
        From `sigmoid_forward`.

    Returns
    -------
    dx : ndarray of float, shape of x

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of x's shape.

    Notes
    -----
    s'(x) = s(x) (1 - s(x)), which is at most 1/4.
    """
    out = cache
    check_dout("sigmoid_backward", dout, out.shape)
    return dout * out * (1 - out)


def tanh_forward(x):
    """Hyperbolic tangent, elementwise.

    Parameters
    ----------
    x : ndarray of float, shape (N, ...)

    Returns
    -------
    out : ndarray of float, shape of x, within [-1, 1]
    cache : ndarray
        For `tanh_backward`.

    Raises
    ------
    TypeError
        If x is not an array of floats.

    Notes
    -----
    tanh(x) = (e^x - e^-x) / (e^x + e^-x) = 2 s(2x) - 1, s the logistic sigmoid.

    Examples
    --------
    >>> tanh_forward(np.array([-1e300, 0.0, 1e300]))[0]
    array([-1.,  0.,  1.])
    """
    check_floats("tanh_forward", x=x)
    out = np.tanh(x)
    return out, out


def tanh_backward(dout, cache):
    """Gradient of `tanh_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape of x
        dL/dout.
    cache : ndarray
        From `tanh_forward`.

    Returns
    -------
    dx : ndarray of float, shape of x

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of x's shape.

    Notes
    -----
    tanh'(x) = 1 - tanh(x)^2, which is at most 1.
    """
    out = cache
    check_dout("tanh_backward", dout, out.shape)
    return dout * (1 - out * out)


def dropout_forward(x, p, rng):
    """Inverted dropout, for training: numbers are set to 0 at random, and the others grow for it.

    Parameters
    ----------
    x : ndarray of float, shape (N, ...)
    p : float
        Probability that a number is dropped, 0 <= p < 1.
    rng : numpy.random.Generator
        Draws which.

    Returns
    -------
    out : ndarray of float, shape of x
    cache : ndarray
        For `dropout_backward`.

    Raises
    ------
    TypeError, ValueError
        If x is not an array of floats, or p not a number in [0, 1).

    Notes
    -----
    out = x * mask, where mask is 0 with probability p and 1 / (1 - p) otherwise, so that out has
    the mean x and the trained network needs no dropout and no other scale (Srivastava et al. 2014,
    section 10).
    """
    check_floats("dropout_forward", x=x)
    check_number("dropout_forward", below=1.0, p=p)
    mask = (rng.random(x.shape, dtype=np.float32) >= p).astype(x.dtype)
    mask *= 1 / (1 - p)
    return x * mask, mask


def dropout_backward(dout, cache):
    """Gradient of `dropout_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape of x
        dL/dout.
    cache : ndarray
        From `dropout_forward`.

    Returns
    -------
    dx : ndarray of float, shape of x

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of x's shape.

    Notes
    -----
    dx = dout * mask: what was dropped had no part in the loss.
    """
    mask = cache
    check_dout("dropout_backward", dout, mask.shape)
    return dout * mask


def softmax_loss(x, y):
    """Softmax followed by the cross-entropy loss, averaged over the batch, with its gradient.

    Parameters
    ----------
    x : ndarray of float, shape (N, C)
        Scores, one column a class.
    y : ndarray of int, shape (N,)
        Labels, 0 <= y[i] < C.

    Returns
    -------
    loss : float
        Mean over the N examples, in nats.
    dx : ndarray of float, shape (N, C)
        dL/dx.

    Raises
    ------
    TypeError
        If x is not an array of floats or y not an array of integers.
    ValueError
        If the shapes do not fit, the batch is empty or a label is out of range.

    Notes
    -----
    For one example with scores s, label c and m = max_k s_k::

        L        = -log softmax(s)_c = -(s_c - m) + log sum_k exp(s_k - m)
        dL/ds_j  = softmax(s)_j - [j = c]

    Subtracting m changes neither and keeps every exponent at or below 0. The loss is finite for all
    finite float32 scores, and for float64 scores up to half the largest float64.

    Examples
    --------
    >>> loss, dx = softmax_loss(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 4), dx
    (1.3863, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    check_floats("softmax_loss", x=x)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"softmax_loss: x must have shape (N, C), N and C > 0, got {x.shape}")
    n, num_classes = x.shape
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu":
        raise TypeError(f"softmax_loss: y must be a NumPy array of integers, got {describe(y)}")
    if y.shape != (n,):
        raise ValueError(
            f"softmax_loss: y must have shape ({n},), one label a row of x, got {y.shape}"
        )
    if y.min() < 0 or y.max() >= num_classes:
        raise ValueError(
            f"softmax_loss: labels must be within 0..{num_classes - 1}, "
            f"got {y.min()}..{y.max()} in y"
        )
    rows = np.arange(n)
    top = x.max(axis=1, keepdims=True)
    # A gap between scores beyond the largest float32 becomes -inf, and exp(-inf) is the right 0;
    # the loss itself needs such a gap as a number, so it is taken in float64.
    with np.errstate(over="ignore"):
        dx = x - top
    gap = x[rows, y].astype(np.float64) - top[:, 0]
    np.exp(dx, out=dx)
    total = dx.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - gap).sum() / n)
    dx /= n * total
    dx[rows, y] -= 1 / n
    return loss, dx
