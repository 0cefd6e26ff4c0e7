"""Fully-connected networks with the arguments of cs231n; and its layers, which it imports here."""

import numpy as np

import fc_net

from ..global_state import FollowsGlobalState
from ..layer_utils import *
from ..layers import *


class TwoLayerNet(FollowsGlobalState, fc_net.FullyConnectedNet):
    """fc - ReLU - fc - softmax loss, in float64."""

    def __init__(self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3,
                 reg=0.0):  # fmt: skip
        super().__init__(input_dim, [hidden_dim], num_classes, weight_scale, reg, np.float64)


class FullyConnectedNet(FollowsGlobalState, fc_net.FullyConnectedNet):
    """`fc_net.FullyConnectedNet`, hidden layers first.

    dropout, or dropout_keep_ratio, is the part that is kept; 0 and 1 are none. With a seed, the
    same units are dropped at each call.
    """

    def __init__(self, hidden_dims, input_dim=3 * 32 * 32, num_classes=10, dropout=1,
                 normalization=None, reg=0.0, weight_scale=1e-2, dtype=np.float32, seed=None, *,
                 dropout_keep_ratio=None, use_batchnorm=False):  # fmt: skip
        kept = dropout if dropout_keep_ratio is None else dropout_keep_ratio
        options = {
            "seed": seed,
            "dropout": 1 - kept if kept else 0,
            "normalization": "batchnorm" if use_batchnorm else normalization,
        }
        super().__init__(input_dim, hidden_dims, num_classes, weight_scale, reg, dtype, **options)
