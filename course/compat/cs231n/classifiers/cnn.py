"""The convolutional network of cs231n; and its layers, which it imports here."""

import numpy as np

from conv_net import ConvNet
from cs231n.fast_layers import *
from cs231n.layer_utils import *
from cs231n.layers import *


class ThreeLayerConvNet(ConvNet):
    """conv - ReLU - pool - fc - ReLU - fc - softmax loss."""

    def __init__(
        self,
        input_dim=(3, 32, 32),
        num_filters=32,
        filter_size=7,
        hidden_dim=100,
        num_classes=10,
        weight_scale=1e-3,
        reg=0.0,
        dtype=np.float32,
    ):
        hidden_dim, num_filters = [hidden_dim], [num_filters]
        super().__init__(
            input_dim, num_filters, filter_size, hidden_dim, num_classes, weight_scale, reg, dtype
        )
