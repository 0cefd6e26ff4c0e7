"""The convolutional network of cs231n; and its layers, which it imports here."""

from conv_net import ConvNet

from ..fast_layers import *
from ..global_state import FollowsGlobalState
from ..layer_utils import *
from ..layers import *


class ThreeLayerConvNet(FollowsGlobalState, ConvNet):
    """conv - ReLU - pool - fc - ReLU - fc - softmax loss."""

    def __init__(self, input_dim=(3, 32, 32), num_filters=32, filter_size=7, hidden_dim=100,
                 num_classes=10, weight_scale=1e-3, *args, **options):  # fmt: skip
        sizes = input_dim, [num_filters], filter_size, [hidden_dim], num_classes
        super().__init__(*sizes, weight_scale, *args, **options)
