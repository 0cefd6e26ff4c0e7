"""The networks of `cs231n.classifiers.fc_net`, with dropout as the part that is dropped."""

from cs231n.classifiers.fc_net import FullyConnectedNet as _FullyConnectedNet
from cs231n.classifiers.fc_net import TwoLayerNet

from support.checks import check_number

from ..layer_utils import *
from ..layers import *


class FullyConnectedNet(_FullyConnectedNet):
    """`cs231n.classifiers.fc_net.FullyConnectedNet`; dropout is dropped, 0 is none."""

    def __init__(self, hidden_dims, input_dim=3 * 32 * 32, num_classes=10, dropout=0,
                 use_batchnorm=False, *args, **options):  # fmt: skip
        check_number("FullyConnectedNet", below=1.0, dropout=dropout)
        normalization = "batchnorm" if use_batchnorm else None
        sizes = hidden_dims, input_dim, num_classes
        super().__init__(*sizes, 1 - dropout, normalization, *args, **options)
