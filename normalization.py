"""Normalization layers: batch and layer normalization, for feature vectors and for images.

All of them do the same, with other sets of m numbers. Forward and backward, caches, dtypes and
errors are as in `layers`::

    xhat = (x - mean) / s,   s = sqrt(var + eps)          out = gamma xhat + beta

mean and var are those of the m numbers, var = mean of (x - mean)^2; gamma and beta are learned.

    layer              x                mean and var over                          gamma, beta
    batchnorm          (N, D)           the examples, for each feature             (D,)
                       (N, C, H, W)     examples and pixels, for each channel      (C,)
    layernorm          (N, D)           the features, for each example             (D,)
                       (N, C, H, W)     pixels and channels, for each example      (C,)
    spatial_groupnorm  (N, C, H, W)     pixels and the C / G channels of one of    (C,)
                                        G groups, for each example

The gradient is the same too. A number x_i changes mean, var and so s::

    dmean/dx_i = 1 / m        dvar/dx_i = 2 (x_i - mean) / m        ds/dx_i = xhat_i / m

    dxhat_j/dx_i = ([i = j] - 1 / m - xhat_i xhat_j / m) / s

    dL/dx_i = sum over j of dL/dxhat_j dxhat_j/dx_i
            = (dxhat_i - mean of dxhat - xhat_i mean of (dxhat xhat)) / s,     dxhat = gamma dout

Sources: Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016; Wu and He 2018. Images keep the layout
that they have in memory, as elementwise functions of NumPy do.
"""

import numpy as np

from support.checks import as_dout, as_floats, check_choice, check_kind, check_number, check_shape

EPS, MOMENTUM = 1e-5, 0.9  # defaults
KEYS = ("mode", "eps", "momentum", "running_mean", "running_var")  # the first two, everywhere


def batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalization: x (N, D) or (N, C, H, W) -> out of x's shape.

    bn_param is a dict::

        mode          'train' or 'test'
        eps           added to the variance, by default 1e-5
        momentum      decay factor of the running means, by default 0.9
        running_mean  of gamma's shape, by default zeros    } floats, updated in place, and put
        running_var   of gamma's shape, by default ones     } into bn_param where absent

    In training, mean and var are those of the batch, and each running one follows them::

        running <- momentum running + (1 - momentum) that of the batch

    In test mode mean and var are the running ones, and an example's scores do not depend on what
    else is in its batch.

    >>> batchnorm_forward([[1.0], [3.0]], [1.0], [0.0], {"mode": "train"})[0]
    array([[-0.999995],
           [ 0.999995]])
    """
    x, gamma, beta, eps = _prepare("batchnorm_forward", KEYS, x, gamma, beta, bn_param=bn_param)
    mode, momentum = bn_param.get("mode"), bn_param.get("momentum", MOMENTUM)
    check_choice("batchnorm_forward", ("train", "test"), mode=mode)
    check_number("batchnorm_forward", below=1.0, momentum=momentum)
    running = _running(bn_param, x=x, gamma=gamma, beta=beta)
    if mode == "train" and len(x):  # no examples have no mean
        xhat, mean, var, s = _normalize(x, (0, *range(2, x.ndim)), eps)
        for average, value in zip(running, (mean, var), strict=True):
            average *= momentum
            average += (1 - momentum) * value.ravel()
    else:
        mean, var = (_by_channel(average.astype(x.dtype, copy=False), x) for average in running)
        s = np.sqrt(var + eps)
        xhat = x - mean
        xhat /= s
    return _scale(xhat, gamma, beta), (xhat, gamma, s, mode)


def batchnorm_backward(dout, cache):
    """dbeta = sum of dout,  dgamma = sum of dout xhat, over the m examples (and pixels), and

    dx = gamma / s (dout - dbeta / m - xhat dgamma / m).

    This is the module's formula, as the numbers of a feature share their gamma. In test mode mean
    and s are constants, and dx = gamma / s dout.
    """
    xhat, gamma, s, mode = cache
    dout = as_dout("batchnorm_backward", dout, xhat.shape)
    axes = (0, *range(2, dout.ndim))
    dgamma, dbeta = (dout * xhat).sum(axes), dout.sum(axes)
    scale = _by_channel(gamma, dout) / s
    if mode == "test" or len(dout) == 0:
        return dout * scale, dgamma, dbeta
    m = dout.size / len(gamma)
    dx = dout - _by_channel(dbeta / m, dout)
    dx -= xhat * _by_channel(dgamma / m, dout)
    dx *= scale
    return dx, dgamma, dbeta


# As other years call batch normalization of images.
spatial_batchnorm_forward, spatial_batchnorm_backward = batchnorm_forward, batchnorm_backward


def layernorm_forward(x, gamma, beta, ln_param):
    """Layer normalization: x (N, D) or (N, C, H, W) -> out of x's shape.

    ln_param is a dict in which 'eps' is by default 1e-5. It may hold a 'mode', which changes
    nothing: no example depends on the others, so training and test are the same.
    """
    return _groupnorm_forward("layernorm_forward", x, gamma, beta, 1, ln_param=ln_param)


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """Group normalization: x (N, C, H, W), C a multiple of G -> out of x's shape.

    gn_param is as ln_param in `layernorm_forward`, which is the case of one group.
    """
    return _groupnorm_forward("spatial_groupnorm_forward", x, gamma, beta, G, gn_param=gn_param)


def layernorm_backward(dout, cache):
    """dbeta = sum of dout,  dgamma = sum of dout xhat, over examples (and pixels).

    dx is as the module says, with dxhat = gamma dout.
    """
    xhat, gamma, s = cache
    dout = as_dout("layernorm_backward", dout, xhat.shape)
    axes = (0, *range(2, dout.ndim))
    dgamma, dbeta = (dout * xhat).sum(axes), dout.sum(axes)
    dxhat, xhat = _groups(dout * _by_channel(gamma, dout), s.shape[1]), _groups(xhat, s.shape[1])
    over = tuple(range(2, dxhat.ndim))
    dx = dxhat - dxhat.mean(over, keepdims=True)
    dx -= xhat * (dxhat * xhat).mean(over, keepdims=True)
    dx /= s
    return dx.reshape(dout.shape), dgamma, dbeta


spatial_groupnorm_backward = layernorm_backward


def _groupnorm_forward(function, x, gamma, beta, G, **param):
    x, gamma, beta, eps = _prepare(function, KEYS[:2], x, gamma, beta, **param)
    if G not in range(1, x.shape[1] + 1) or x.shape[1] % G:
        raise ValueError(f"{function}: G must divide the {x.shape[1]} channels of x, got {G!r:.80}")
    groups = _groups(x, int(G))
    xhat, _, _, s = _normalize(groups, tuple(range(2, groups.ndim)), eps)
    xhat = xhat.reshape(x.shape)
    return _scale(xhat, gamma, beta), (xhat, gamma, s)


def _groups(x, G):
    """Return x with axis 1 as two, G groups and what is in them."""
    return x.reshape(len(x), G, x.shape[1] // G, *x.shape[2:])


def _normalize(x, axes, eps):
    """Return xhat, mean, var and s, of which the last three keep the axes, of length 1."""
    mean = x.mean(axes, keepdims=True)
    xhat = x - mean
    var = np.square(xhat).mean(axes, keepdims=True)
    s = np.sqrt(var + eps)
    xhat /= s
    return xhat, mean, var, s


def _scale(xhat, gamma, beta):
    """Return gamma xhat + beta."""
    out = xhat * _by_channel(gamma, xhat)
    out += _by_channel(beta, xhat)
    return out


def _by_channel(array, x):
    """Return a number a feature or channel in the shape that broadcasts along axis 1 of x."""
    return array.reshape(-1, *(1,) * (x.ndim - 2))


def _prepare(function, keys, x, gamma, beta, **param):
    """Return the arrays and eps, checked."""
    x, gamma, beta = as_floats(function, x=x, gamma=gamma, beta=beta)
    if x.ndim not in (2, 4) or 0 in x.shape[1:]:
        raise ValueError(f"{function}: x must have shape (N, D) or (N, C, H, W), got {x.shape}")
    check_shape(function, x.shape[1:2], "one number for each channel of x", gamma=gamma, beta=beta)
    check_kind(function, dict, "a dict", **param)
    [(name, param)] = param.items()
    if unknown := [key for key in param if key not in keys]:
        raise ValueError(f"{function}: {name} must have keys of {list(keys)}, got {unknown}")
    eps = param.get("eps", EPS)
    check_number(function, positive=True, eps=eps)
    return x, gamma, beta, float(eps)


def _running(param, **arrays):
    """Return the running mean and variance, which are put into param where they are absent."""
    for key, new in ("running_mean", np.zeros_like), ("running_var", np.ones_like):
        array = param.setdefault(key, new(arrays["gamma"]))
        check_shape("batchnorm_forward", arrays["gamma"].shape, "gamma's", **{key: array})
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":  # updated in place
            raise TypeError(f"batchnorm_forward: {key} must be floats, got {array!r:.80}")
        if shared := [name for name, other in arrays.items() if np.shares_memory(array, other)]:
            raise ValueError(f"batchnorm_forward: {key} and {shared[0]} must not share memory")
        arrays[key] = array
    return param["running_mean"], param["running_var"]
