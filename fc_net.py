"""Fully-connected networks of any depth."""

from itertools import pairwise

import numpy as np

from layers import (
    fc_backward,
    fc_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from network import Layer, Network

ACTIVATIONS = {
    "relu": [Layer(relu_forward, relu_backward)],
    "sigmoid": [Layer(sigmoid_forward, sigmoid_backward)],
    "tanh": [Layer(tanh_forward, tanh_backward)],
    "linear": [],
}

# Standard deviation of a weight as a function of the number of inputs of its layer.
WEIGHT_SCALES = {
    "he": lambda fan_in: np.sqrt(2 / fan_in),
    "lecun": lambda fan_in: np.sqrt(1 / fan_in),
}


class FullyConnectedNet(Network):
    """{fc - activation} x L - fc - softmax loss, for any number L >= 0 of hidden layers.

    Parameters
    ----------
    input_dim : int
        D, the numbers in one example: 784 for an MNIST image.
    hidden_dim : sequence of int, or int
        Units of each hidden layer; a number means one hidden layer.
    num_classes : int, default 10
        C.
    weight_scale : float or {'he', 'lecun'}, default 'he'
        Standard deviation of the normal distribution that weights are drawn from; biases begin at
        0. ``'he'`` is sqrt(2 / n) for a layer of n inputs, which keeps the size of activations
        through ReLU layers (He et al. 2015); ``'lecun'`` is sqrt(1 / n), which does so through
        linear and tanh layers (LeCun et al. 1998).
    reg : float, default 0.0
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights, not the biases.
    dtype : dtype, default numpy.float32
        float32 or float64; the latter for gradient checks.
    seed : int or numpy.random.Generator, optional
        Of the weights. The same seed gives the same weights; None gives new ones each time.
    activation : {'relu', 'sigmoid', 'tanh', 'linear'}, default 'relu'
        After every hidden layer.

    Attributes
    ----------
    params : dict of str to ndarray
        ``W1`` (D, hidden_dim[0]), ``b1`` (hidden_dim[0],), ``W2``, ``b2``, ...

    Raises
    ------
    ValueError
        If a size is not a positive whole number, a scale or reg is negative or not finite, or a
        name is unknown.

    Examples
    --------
    >>> net = FullyConnectedNet(784, [100], seed=0)
    >>> {name: p.shape for name, p in net.params.items()}
    {'W1': (784, 100), 'b1': (100,), 'W2': (100, 10), 'b2': (10,)}
    >>> net.loss(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 10)
    """

    def __init__(
        self,
        input_dim,
        hidden_dim,
        num_classes=10,
        weight_scale="he",
        reg=0.0,
        dtype=np.float32,
        seed=None,
        *,
        activation="relu",
    ):
        hidden_dim = [hidden_dim] if isinstance(hidden_dim, (int, np.integer)) else list(hidden_dim)
        dims = [input_dim, *hidden_dim, num_classes]
        if not all(isinstance(d, (int, np.integer)) and d > 0 for d in dims):
            raise ValueError(
                "FullyConnectedNet: input_dim, hidden_dim and num_classes must be positive whole "
                f"numbers, got {input_dim}, {hidden_dim} and {num_classes}"
            )
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"FullyConnectedNet: dtype must be float32 or float64, got {dtype}")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"FullyConnectedNet: activation must be one of {', '.join(ACTIVATIONS)}, "
                f"got {activation!r}"
            )
        rng = np.random.default_rng(seed)
        layers, params = [], {}
        for i, (fan_in, fan_out) in enumerate(pairwise(dims), 1):
            names = f"W{i}", f"b{i}"
            std = _weight_std(weight_scale, fan_in)
            params[names[0]] = (std * rng.standard_normal((fan_in, fan_out))).astype(dtype)
            params[names[1]] = np.zeros(fan_out, dtype)
            layers += [Layer(fc_forward, fc_backward, names), *ACTIVATIONS[activation]]
        if ACTIVATIONS[activation]:
            layers.pop()  # scores go into the loss as they are
        super().__init__(layers, params, reg=reg)


def _weight_std(weight_scale, fan_in):
    if isinstance(weight_scale, str) and weight_scale in WEIGHT_SCALES:
        return WEIGHT_SCALES[weight_scale](fan_in)
    if not isinstance(weight_scale, str) and np.isfinite(weight_scale) and weight_scale >= 0:
        return weight_scale
    raise ValueError(
        "FullyConnectedNet: weight_scale must be a number >= 0 or one of "
        f"{', '.join(WEIGHT_SCALES)}, got {weight_scale!r}"
    )
