"""Fully-connected networks of any depth."""

import numpy as np

from checks import check_whole
from network import Network


class FullyConnectedNet(Network):
    """{fc - activation - dropout} x L - fc - softmax loss, for any number L >= 0 of hidden layers.

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
        Of the weights and of dropout. The same seed gives the same weights; None gives new ones
        each time.
    activation : {'relu', 'sigmoid', 'tanh', 'linear'}, default 'relu'
        After every hidden layer.
    dropout : float, default 0.0, which is none
        Probability with which training drops a hidden unit from an example, 0 <= dropout < 1.

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
        dropout=0.0,
    ):
        hidden_dim = [hidden_dim] if isinstance(hidden_dim, (int, np.integer)) else list(hidden_dim)
        check_whole("FullyConnectedNet", input_dim=input_dim, num_classes=num_classes)
        for units in hidden_dim:
            check_whole("FullyConnectedNet", hidden_dim=units)
        super().__init__(weight_scale, reg, dtype, seed)
        self._add_fully_connected([input_dim, *hidden_dim, num_classes], activation, dropout)
