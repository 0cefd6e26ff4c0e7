"""Layers that follow each other, as one pair of functions: the "sandwich" layers of cs231n."""

from conv import conv_backward, conv_forward, max_pool_backward, max_pool_forward
from layers import fc_backward, fc_forward, relu_backward, relu_forward

from .layers import (
    batchnorm_backward,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
)


def _forward(x, *steps):
    """Run steps, each a forward function and its other arguments: out, caches."""
    caches = []
    for forward, *arguments in steps:
        x, cache = forward(x, *arguments)
        caches.append(cache)
    return x, caches


def _backward(dout, caches, *backwards):
    """Run the steps' backward functions, which are given in the steps' order: dx, gradients."""
    gradients = []
    for backward, cache in zip(reversed(backwards), reversed(caches), strict=True):
        result = backward(dout, cache)
        dout, *own = result if isinstance(result, tuple) else (result,)
        gradients = own + gradients
    return dout, *gradients


def affine_relu_forward(x, w, b):
    return _forward(x, (fc_forward, w, b), (relu_forward,))


def affine_relu_backward(dout, cache):
    return _backward(dout, cache, fc_backward, relu_backward)


def affine_bn_relu_forward(x, w, b, gamma, beta, bn_param):
    bn = batchnorm_forward, gamma, beta, bn_param
    return _forward(x, (fc_forward, w, b), bn, (relu_forward,))


def affine_bn_relu_backward(dout, cache):
    return _backward(dout, cache, fc_backward, batchnorm_backward, relu_backward)


def affine_ln_relu_forward(x, w, b, gamma, beta, ln_param):
    ln = layernorm_forward, gamma, beta, ln_param
    return _forward(x, (fc_forward, w, b), ln, (relu_forward,))


def affine_ln_relu_backward(dout, cache):
    return _backward(dout, cache, fc_backward, layernorm_backward, relu_backward)


def conv_relu_forward(x, w, b, conv_param):
    return _forward(x, (conv_forward, w, b, conv_param), (relu_forward,))


def conv_relu_backward(dout, cache):
    return _backward(dout, cache, conv_backward, relu_backward)


def conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param):
    bn = spatial_batchnorm_forward, gamma, beta, bn_param
    return _forward(x, (conv_forward, w, b, conv_param), bn, (relu_forward,))


def conv_bn_relu_backward(dout, cache):
    return _backward(dout, cache, conv_backward, spatial_batchnorm_backward, relu_backward)


def conv_relu_pool_forward(x, w, b, conv_param, pool_param):
    pool = max_pool_forward, pool_param
    return _forward(x, (conv_forward, w, b, conv_param), (relu_forward,), pool)


def conv_relu_pool_backward(dout, cache):
    return _backward(dout, cache, conv_backward, relu_backward, max_pool_backward)
