"""Convolutional networks: blocks of convolution and pooling, then fully-connected layers."""

from functools import partial

import numpy as np

from conv import conv_backward, conv_forward, max_pool_backward, max_pool_forward
from fc_net import FC, NORMALIZATIONS, Activation, Dropout, Layer, Network
from support.checks import as_sizes, check_choice, check_kind


class Conv(Layer):
    """Convolution with so many filters of size x size, an odd number; height and width stay."""

    filters: int
    size: int

    def add_to(self, net, shape):
        channels, height, width = shape
        if self.size % 2 == 0 or self.size // 2 >= min(height, width):
            raise ValueError("the size of the filters must be odd, and below twice the image's")
        forward = partial(conv_forward, conv_param={"stride": 1, "pad": self.size // 2})
        shape = self.filters, channels, self.size, self.size
        w, b = net.draw(shape, fan_in=channels * self.size**2), np.zeros(self.filters)
        net.add(forward, conv_backward, places=height * width, W=w, b=b)
        return self.filters, height, width


class MaxPool(Layer):
    """Maximum of each size x size pixels: divides height and width, rounding down."""

    size: int = 2

    def add_to(self, net, shape):
        channels, height, width = shape
        param = {"pool_height": self.size, "pool_width": self.size, "stride": self.size}
        net.add(partial(max_pool_forward, pool_param=param), max_pool_backward)
        return channels, height // self.size, width // self.size


class ConvNet(Network):
    """{{conv - ReLU} x (M - 1) - conv - pool - ReLU} x K - {fc - ReLU - dropout} x L - fc.

    Pooling takes the maximum of 2 x 2 pixels. ReLU commutes with a maximum, so it runs after the
    pooling, on a quarter of the numbers. Where there is normalization, it comes right behind every
    convolution and every hidden fc.

    Parameters
    ----------
    input_dim : tuple of int, default (1, 28, 28)
        (C, H, W) of one image.
    num_filters : sequence, default (16, 32)
        Filters of the convolution before each of the K >= 1 poolings; where there are several
        convolutions, M of them one after the other, a sequence of their numbers of filters.
    filter_size : int, default 5
        Height and width of every filter, an odd number. The images are padded with zeros so that a
        convolution keeps their size; each pooling halves it, rounding down.
    hidden_dim : sequence of int, default (128,)
        Units of each of the L >= 0 fully-connected hidden layers.
    num_classes : int, default 10
    weight_scale, reg, dtype, seed
        As in `Network`; a unit of a convolution has C * filter_size**2 inputs.
    dropout : float, default 0.0
        Drop probability of the units of the fully-connected hidden layers, 0 <= dropout < 1.
    normalization : {None, 'batchnorm', 'layernorm'}, default None
        Of the channels of an image, behind a convolution, or of the units of a hidden layer. For an
        image, 'layernorm' is over all its pixels and channels, with one gamma and beta a channel.

    Attributes
    ----------
    params : dict of str to ndarray
        ``W1`` (num_filters[0], C, filter_size, filter_size), ``b1`` (num_filters[0],), ...; then
        the fully-connected layers' as in `FullyConnectedNet`, numbered on; of normalization
        ``gamma1`` and ``beta1`` (num_filters[0],), ...

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer, filter_size is even or twice that of an image, the
        images are too small for K poolings, a scale or reg is negative or not finite, or a name is
        unknown.

    Examples
    --------
    >>> net = ConvNet((1, 28, 28), num_filters=[8], filter_size=3, hidden_dim=[], seed=0)
    >>> {name: p.shape for name, p in net.params.items()}
    {'W1': (8, 1, 3, 3), 'b1': (8,), 'W2': (1568, 10), 'b2': (10,)}
    >>> net.loss(np.zeros((5, 1, 28, 28), np.uint8)).shape
    (5, 10)
    """

    def __init__(self, input_dim=(1, 28, 28), num_filters=(16, 32), filter_size=5,
                 hidden_dim=(128,), num_classes=10, weight_scale="he", reg=0.0, dtype=np.float32,
                 seed=None, *, dropout=0.0, normalization=None):  # fmt: skip
        check_kind("ConvNet", (list, tuple), "a list", num_filters=num_filters)
        check_choice("ConvNet", NORMALIZATIONS, normalization=normalization)
        normalize, relu, layers = NORMALIZATIONS[normalization], Activation("relu"), []
        for block in num_filters:
            for filters in as_sizes("ConvNet", num_filters=block):
                layers += [Conv(filters, filter_size), *normalize, relu]
            layers.insert(-1, MaxPool(2))
        for units in as_sizes("ConvNet", hidden_dim=hidden_dim):
            layers += [FC(units), *normalize, relu, *([Dropout(dropout)] if dropout else [])]
        options = {"weight_scale": weight_scale, "reg": reg, "dtype": dtype, "seed": seed}
        super().__init__(input_dim, [*layers, FC(num_classes)], **options)
