"""Layers that follow each other, as one pair of functions: the "sandwich" layers of cs231n."""

import conv
import layers
import normalization
from conv import max_pool_backward, max_pool_forward

from .layers import batchnorm_forward

FC, RELU = (layers.fc_forward, layers.fc_backward), (layers.relu_forward, layers.relu_backward)
CONV, POOL = (conv.conv_forward, conv.conv_backward), (max_pool_forward, max_pool_backward)
BATCHNORM = batchnorm_forward, normalization.batchnorm_backward
LAYERNORM = normalization.layernorm_forward, normalization.layernorm_backward


def _sandwich(*pairs):
    """Return forward and backward of pairs; with each come the places of its arguments behind x."""

    def forward(x, *arguments):
        caches = []
        for (run, _), places in pairs:
            x, cache = run(x, *(arguments[i] for i in places))
            caches.append(cache)
        return x, caches

    def backward(dout, caches):
        gradients = []
        for ((_, run), _), cache in zip(reversed(pairs), reversed(caches), strict=True):
            result = run(dout, cache)
            dout, *own = result if isinstance(result, tuple) else (result,)
            gradients = own + gradients
        return dout, *gradients

    return forward, backward


_fc, _relu = (FC, (0, 1)), (RELU, ())
affine_relu_forward, affine_relu_backward = _sandwich(_fc, _relu)
affine_bn_relu_forward, affine_bn_relu_backward = _sandwich(_fc, (BATCHNORM, (2, 3, 4)), _relu)
affine_ln_relu_forward, affine_ln_relu_backward = _sandwich(_fc, (LAYERNORM, (2, 3, 4)), _relu)
_conv, _bn, _pool = (CONV, (0, 1, 2)), (BATCHNORM, (2, 3, 5)), (POOL, (3,))
conv_relu_forward, conv_relu_backward = _sandwich(_conv, _relu)
conv_relu_pool_forward, conv_relu_pool_backward = _sandwich(_conv, _relu, _pool)
conv_bn_relu_forward, conv_bn_relu_backward = _sandwich((CONV, (0, 1, 4)), _bn, _relu)
