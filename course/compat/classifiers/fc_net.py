"""`fc_net` as other years call it."""

import numpy as np
from cs231n.global_state import FollowsGlobalState

import fc_net


class FullyConnectedNet(FollowsGlobalState, fc_net.FullyConnectedNet):
    """`fc_net.FullyConnectedNet` with the defaults of other years.

    It takes its hidden_dim also by the name hidden_dims. Without a seed, it follows that of NumPy.
    """

    def __init__(self, input_dim, hidden_dim=(10, 5), num_classes=10, weight_scale=0.1, reg=0.0,
                 dtype=np.float64, seed=None, *, hidden_dims=None, **options):  # fmt: skip
        hidden_dim = hidden_dim if hidden_dims is None else hidden_dims
        sizes = input_dim, hidden_dim, num_classes
        rng = None if seed is None else np.random.default_rng(seed)
        super().__init__(*sizes, weight_scale, reg, dtype, seed=rng, **options)
