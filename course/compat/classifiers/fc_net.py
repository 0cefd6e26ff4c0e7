"""`fc_net` as other years call it."""

import fc_net


class FullyConnectedNet(fc_net.FullyConnectedNet):
    """`fc_net.FullyConnectedNet`, which takes its hidden_dim also by the name hidden_dims."""

    def __init__(self, input_dim, hidden_dim=(10, 5), *args, hidden_dims=None, **options):
        hidden_dim = hidden_dim if hidden_dims is None else hidden_dims
        super().__init__(input_dim, hidden_dim, *args, **options)
