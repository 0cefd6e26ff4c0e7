"""Normalization layers: batch and layer normalization, for feature vectors and for images.

All of them do the same, with other sets of m numbers. Forward and backward, caches, dtypes and
errors are as in `layers`::

    xhat = (x - mean) / s,   s = sqrt(var + eps)          out = gamma xhat + beta

mean and var are those of the m numbers, var = mean of (x - mean)^2; gamma and beta are learned.

    layer              x               mean and var over                         gamma, beta
    batchnorm          (N, D)          the examples, for each feature            (D,)
    spatial_batchnorm  (N, C, H, W)    examples and pixels, for each channel     (C,)
    layernorm          (N, D)          the features, for each example            (D,)
    spatial_groupnorm  (N, C, H, W)    pixels and the C / G channels of one of   (C,)
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

from support.checks import (
    as_dout,
    as_floats,
    check_choice,
    check_integer,
    check_kind,
    check_number,
    describe,
    is_exact_ndarray,
)

EPS, MOMENTUM = 1e-5, 0.9  # defaults


def batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalization: x (N, D), gamma and beta (D,) -> out (N, D).

    bn_param is a dict::

        mode          'train' or 'test'
        eps           added to the variance, by default 1e-5
        momentum      decay factor of the running means, by default 0.9
        running_mean  (D,), by default zeros    } floats, updated in place, and put
        running_var   (D,), by default ones     } into bn_param where absent

    In training, mean and var are those of the batch, and each running one follows them::

        running <- momentum running + (1 - momentum) that of the batch

    In test mode mean and var are the running ones, and an example's scores do not depend on what
    else is in its batch.

    >>> batchnorm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), {"mode": "train"})[0]
    array([[-0.999995],
           [ 0.999995]])
    """
    return _batchnorm_forward("batchnorm_forward", x, gamma, beta, bn_param, "(N, D)")


def batchnorm_backward(dout, cache):
    """dbeta = sum of dout,  dgamma = sum of dout xhat, over the m = N examples, and

    dx = gamma / s (dout - dbeta / m - xhat dgamma / m).

    This is the module's formula, as the numbers of a feature share their gamma. In test mode mean
    and s are constants, and dx = gamma / s dout.
    """
    return _batchnorm_backward("batchnorm_backward", dout, cache)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """`batchnorm_forward` of images, x (N, C, H, W): every pixel counts as an example."""
    return _batchnorm_forward("spatial_batchnorm_forward", x, gamma, beta, bn_param, "(N, C, H, W)")


def spatial_batchnorm_backward(dout, cache):
    """As `batchnorm_backward`, with m = N H W."""
    return _batchnorm_backward("spatial_batchnorm_backward", dout, cache)


def _batchnorm_forward(function, x, gamma, beta, bn_param, shape):
    """Batch normalization over all axes of x but axis 1."""
    x, gamma, beta = _check_arrays(function, x, gamma, beta, shape)
    keys = ("mode", "eps", "momentum", "running_mean", "running_var")
    mode, eps, momentum = _check_param(function, "bn_param", bn_param, keys)
    check_choice(function, ("train", "test"), **{"bn_param['mode']": mode})
    running = _running(function, bn_param, x)
    if mode == "train":
        if len(x) == 0:
            raise ValueError(f"{function}: x must hold examples in training, got {x.shape}")
        axes = (0, *range(2, x.ndim))
        xhat, mean, var, s = _normalize(x, axes, eps)
        for average, value in zip(running, (mean, var), strict=True):
            average *= momentum
            average += (1 - momentum) * value.ravel()
    else:
        mean, var = (_by_channel(average.astype(x.dtype, copy=False), x) for average in running)
        s = np.sqrt(var + eps)
        xhat = x - mean
        xhat /= s
    return _scale(xhat, gamma, beta), (xhat, gamma, s, mode)


def _batchnorm_backward(function, dout, cache):
    xhat, gamma, s, mode = cache
    dout = as_dout(function, dout, xhat.shape)
    axes = (0, *range(2, dout.ndim))
    dgamma, dbeta = (dout * xhat).sum(axes), dout.sum(axes)
    scale = _by_channel(gamma, dout) / s
    if mode == "test":
        return dout * scale, dgamma, dbeta
    m = dout.size / len(gamma)
    dx = dout - _by_channel(dbeta / m, dout)
    dx -= xhat * _by_channel(dgamma / m, dout)
    dx *= scale
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    """Layer normalization: x (N, D), gamma and beta (D,) -> out (N, D).

    ln_param is a dict in which 'eps' is by default 1e-5. It may hold a 'mode', which changes
    nothing: no example depends on the others, so training and test are the same.
    """
    x, gamma, beta = _check_arrays("layernorm_forward", x, gamma, beta, "(N, D)")
    _, eps, _ = _check_param("layernorm_forward", "ln_param", ln_param, ("mode", "eps"))
    xhat, _, _, s = _normalize(x, 1, eps)
    return _scale(xhat, gamma, beta), (xhat, gamma, s)


def layernorm_backward(dout, cache):
    """dbeta = sum of dout,  dgamma = sum of dout xhat, over the examples; dx as the module says."""
    xhat, gamma, s = cache
    dout = as_dout("layernorm_backward", dout, xhat.shape)
    return _dx(dout * gamma, xhat, 1, s), (dout * xhat).sum(axis=0), dout.sum(axis=0)


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """Group normalization: x (N, C, H, W), gamma and beta (C,), G groups -> out of x's shape.

    C is a multiple of G; gn_param is as ln_param in `layernorm_forward`. One group, G = 1, is the
    layer normalization of an image, with one gamma and one beta for each channel.
    """
    x, gamma, beta = _check_arrays("spatial_groupnorm_forward", x, gamma, beta, "(N, C, H, W)")
    check_integer("spatial_groupnorm_forward", G=G)
    if x.shape[1] % G:
        raise ValueError(
            f"spatial_groupnorm_forward: G must divide the {x.shape[1]} channels of x, got {G}"
        )
    _, eps, _ = _check_param("spatial_groupnorm_forward", "gn_param", gn_param, ("mode", "eps"))
    groups = x.reshape(len(x), G, x.shape[1] // G, *x.shape[2:])
    xhat, _, _, s = _normalize(groups, (2, 3, 4), eps)
    xhat = xhat.reshape(x.shape)
    return _scale(xhat, gamma, beta), (xhat, gamma, s)


def spatial_groupnorm_backward(dout, cache):
    """As `layernorm_backward`; the sums of dgamma and dbeta are over examples and pixels."""
    xhat, gamma, s = cache
    dout = as_dout("spatial_groupnorm_backward", dout, xhat.shape)
    dgamma, dbeta = (dout * xhat).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))
    groups = len(dout), s.shape[1], dout.shape[1] // s.shape[1], *dout.shape[2:]
    dxhat = dout * _by_channel(gamma, dout)
    dx = _dx(dxhat.reshape(groups), xhat.reshape(groups), (2, 3, 4), s)
    return dx.reshape(dout.shape), dgamma, dbeta


def _normalize(x, axes, eps):
    """xhat, mean, var and s, of which the last three keep the axes as axes of length 1."""
    mean = x.mean(axes, keepdims=True)
    xhat = x - mean
    var = np.square(xhat).mean(axes, keepdims=True)
    s = np.sqrt(var + eps)
    xhat /= s
    return xhat, mean, var, s


def _dx(dxhat, xhat, axes, s):
    """dL/dx from dL/dxhat."""
    dx = dxhat - dxhat.mean(axes, keepdims=True)
    dx -= xhat * (dxhat * xhat).mean(axes, keepdims=True)
    dx /= s
    return dx


def _scale(xhat, gamma, beta):
    """gamma xhat + beta."""
    out = xhat * _by_channel(gamma, xhat)
    out += _by_channel(beta, xhat)
    return out


def _by_channel(array, x):
    """A number a feature or channel, in the shape that broadcasts along axis 1 of x."""
    return array.reshape(-1, *(1,) * (x.ndim - 2))


# ------------------------------------------------------------------ checks


def _check_arrays(function, x, gamma, beta, shape):
    """The arrays; shape is what x must have, in words."""
    x, gamma, beta = as_floats(function, x=x, gamma=gamma, beta=beta)
    if x.ndim != shape.count(",") + 1 or 0 in x.shape[1:]:
        raise ValueError(f"{function}: x must have shape {shape}, got {x.shape}")
    for name, array in {"gamma": gamma, "beta": beta}.items():
        if array.shape != x.shape[1:2]:
            raise ValueError(
                f"{function}: {name} must have shape {x.shape[1:2]}, one number for each of "
                f"axis 1 of x, got {array.shape}"
            )
    return x, gamma, beta


def _check_param(function, name, param, keys):
    """mode, eps and momentum of a dict that may have these keys."""
    check_kind(function, dict, "a dict", **{name: param})
    if unknown := [key for key in param if key not in keys]:
        raise ValueError(f"{function}: {name} must have keys of {list(keys)}, got {unknown}")
    eps, momentum = param.get("eps", EPS), param.get("momentum", MOMENTUM)
    check_number(function, positive=True, **{f"{name}['eps']": eps})
    check_number(function, below=1.0, **{f"{name}['momentum']": momentum})
    return param.get("mode"), float(eps), float(momentum)


def _running(function, param, x):
    """The running mean and variance in bn_param, which are put there where they are absent."""
    for key, new in {"running_mean": np.zeros, "running_var": np.ones}.items():
        array = param.setdefault(key, new(x.shape[1], x.dtype))
        if not is_exact_ndarray(array) or array.dtype.kind != "f" or array.shape != x.shape[1:2]:
            raise ValueError(
                f"{function}: bn_param['{key}'] must be floats of shape {x.shape[1:2]}, "
                f"got {describe(array)} {np.shape(array)}"
            )
    return param["running_mean"], param["running_var"]
