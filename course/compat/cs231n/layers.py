"""`layers`, `conv` and `normalization` by the names of cs231n."""

import numpy as np

import layers
import normalization
from conv import *
from layers import *
from normalization import *
from support.checks import as_floats, check_choice, check_number
from support.examples import check_labels

from .global_state import GlobalState


def batchnorm_forward(x, gamma, beta, bn_param):
    """`normalization.batchnorm_forward`, but that running_var starts at 0."""
    bn_param.setdefault("running_var", np.zeros(np.shape(gamma)))
    return normalization.batchnorm_forward(x, gamma, beta, bn_param)


spatial_batchnorm_forward = batchnorm_forward
spatial_batchnorm_backward = batchnorm_backward_alt = normalization.batchnorm_backward


def dropout_forward(x, dropout_param, *, is_kept=True):
    """`layers.dropout_forward` with {'mode': 'train' or 'test', 'p': part that is kept, 'seed'}."""
    mode, p = dropout_param.get("mode"), dropout_param.get("p")
    check_choice("dropout_forward", ("train", "test"), **{"dropout_param['mode']": mode})
    check_number("dropout_forward", positive=is_kept, **{"dropout_param['p']": p})
    if mode == "test":
        return x, None
    rng = GlobalState(dropout_param.get("seed"))
    return layers.dropout_forward(x, 1 - p if is_kept else p, rng)


def dropout_backward(dout, cache):
    """`layers.dropout_backward`; in test mode dx is dout."""
    return dout if cache is None else layers.dropout_backward(dout, cache)


def svm_loss(x, y):
    """Multiclass hinge loss: scores x (N, C), integer labels y (N,) -> loss, dx (N, C).

    The mean over the examples of the sum over j != y of max(0, x_j - x_y + 1).
    """
    x, y = check_labels("svm_loss", as_floats("svm_loss", x=x), y, ("x", "y"))
    rows = np.arange(len(y))
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    dx = (margins > 0) / x.dtype.type(len(y))
    dx[rows, y] -= dx.sum(axis=1)
    return margins.sum() / len(y), dx


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    """`normalization.spatial_groupnorm_forward` with gamma and beta of shape (1, C, 1, 1)."""
    return normalization.spatial_groupnorm_forward(x, gamma.ravel(), beta.ravel(), G, gn_param)


def spatial_groupnorm_backward(dout, cache):
    """`normalization.spatial_groupnorm_backward`; dgamma and dbeta have shape (1, C, 1, 1)."""
    dx, *gradients = normalization.spatial_groupnorm_backward(dout, cache)
    return dx, *(gradient.reshape(1, -1, 1, 1) for gradient in gradients)


spatial_groupnorm_quick_forward = spatial_groupnorm_forward
spatial_groupnorm_quick_backward = spatial_groupnorm_backward
