"""Fully-connected networks with the arguments of cs231n; and its layers, which it imports here."""

import numpy as np

import fc_net
from cs231n.layer_utils import *
from cs231n.layers import *
from support.checks import check_number


class TwoLayerNet(fc_net.FullyConnectedNet):
    """fc - ReLU - fc - softmax loss, in float64."""

    def __init__(
        self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0
    ):
        super().__init__(input_dim, [hidden_dim], num_classes, weight_scale, reg, np.float64)


class FullyConnectedNet(fc_net.FullyConnectedNet):
    """`fc_net.FullyConnectedNet`, hidden layers first.

    dropout, or dropout_keep_ratio, is the part that is kept; 0 and 1 are none. With a seed, the
    same units are dropped at each call.
    """

    def __init__(
        self,
        hidden_dims,
        input_dim=3 * 32 * 32,
        num_classes=10,
        dropout=1,
        normalization=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
        *,
        dropout_keep_ratio=None,
        use_batchnorm=False,
    ):
        kept = dropout if dropout_keep_ratio is None else dropout_keep_ratio
        check_number("FullyConnectedNet", dropout=kept)
        super().__init__(
            input_dim,
            hidden_dims,
            num_classes,
            weight_scale,
            reg,
            dtype,
            seed,
            dropout=1 - kept if kept else 0,
            normalization="batchnorm" if use_batchnorm else normalization,
        )
        self.start = None if seed is None else self.rng.bit_generator.state

    def loss(self, X, y=None):
        """As `Network.loss`."""
        if self.start is not None:
            self.rng.bit_generator.state = self.start
        return super().loss(X, y)
