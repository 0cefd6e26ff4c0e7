"""Convolutional networks: blocks of convolution and pooling, then fully-connected layers."""

from functools import partial
from itertools import pairwise

import numpy as np

from conv import conv_backward, conv_forward, max_pool_backward, max_pool_forward
from fc_net import ACTIVATIONS, Layer, Network, check_normalization
from normalization import (
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)
from support.checks import as_sizes, check_integer, check_number, describe, is_sequence

# Halves height and width, rounding down.
POOL_PARAM = {"pool_height": 2, "pool_width": 2, "stride": 2}
POOL = Layer(partial(max_pool_forward, pool_param=POOL_PARAM), max_pool_backward)
# Normalizations of images. Layer normalization is that of one group, of all channels.
NORMALIZATIONS = {
    "batchnorm": (spatial_batchnorm_forward, spatial_batchnorm_backward),
    "layernorm": (
        partial(spatial_groupnorm_forward, G=1, gn_param={}),
        spatial_groupnorm_backward,
    ),
}


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
    weight_scale : float or {'he', 'lecun'}, default 'he'
        As in `FullyConnectedNet`; a unit of a convolution has C * filter_size**2 inputs.
    reg : float, default 0.0
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights and filters, not
        the biases.
    dtype : dtype, default numpy.float32
        float32 or float64; the latter for gradient checks.
    seed : int or numpy.random.Generator, optional
        Of the weights and of dropout. The same seed gives the same weights; None gives new ones
        each time.
    dropout : float, default 0.0
        Probability with which training drops a unit of the fully-connected hidden layers from an
        example, 0 <= dropout < 1.
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
        If a size is not a positive integer, filter_size is even, the images are too small for K
        poolings, a scale or reg is negative or not finite, or a name is unknown.

    Examples
    --------
    >>> net = ConvNet((1, 28, 28), num_filters=[8], filter_size=3, hidden_dim=[], seed=0)
    >>> {name: p.shape for name, p in net.params.items()}
    {'W1': (8, 1, 3, 3), 'b1': (8,), 'W2': (1568, 10), 'b2': (10,)}
    >>> net.loss(np.zeros((5, 1, 28, 28), np.uint8)).shape
    (5, 10)
    """

    def __init__(
        self,
        input_dim=(1, 28, 28),
        num_filters=(16, 32),
        filter_size=5,
        hidden_dim=(128,),
        num_classes=10,
        weight_scale="he",
        reg=0.0,
        dtype=np.float32,
        seed=None,
        *,
        dropout=0.0,
        normalization=None,
    ):
        check_number("ConvNet", below=1.0, dropout=dropout)
        check_normalization("ConvNet", normalization)
        check_integer("ConvNet", filter_size=filter_size, num_classes=num_classes)
        if not is_sequence(num_filters):
            raise TypeError(f"ConvNet: num_filters must be a sequence, got {describe(num_filters)}")
        blocks = [as_sizes("ConvNet", num_filters=filters) for filters in num_filters]
        input_dim = as_sizes("ConvNet", input_dim=input_dim)
        hidden_dim = as_sizes("ConvNet", hidden_dim=hidden_dim)
        _check(input_dim, blocks, filter_size)

        super().__init__(weight_scale, reg, dtype, seed)
        channels, height, width = input_dim
        for block in blocks:
            for i, filters in enumerate(block, start=1):
                self.add_conv(channels, filters, filter_size)
                self.add_normalization(normalization, filters, NORMALIZATIONS)
                if i == len(block):
                    self.layers.append(POOL)
                self.layers += ACTIVATIONS["relu"]
                channels = filters
            height, width = height // 2, width // 2
        *hidden, output = pairwise([channels * height * width, *hidden_dim, num_classes])
        for fan_in, fan_out in hidden:
            self.add_fc(fan_in, fan_out)
            self.add_normalization(normalization, fan_out)
            self.layers += ACTIVATIONS["relu"]
            self.add_dropout(dropout)
        self.add_fc(*output)

    def add_conv(self, channels, filters, size):
        """Append a convolution that keeps height and width."""
        convolve = partial(conv_forward, conv_param={"stride": 1, "pad": size // 2})
        shape = filters, channels, size, size
        self.add_weights(convolve, conv_backward, shape, channels * size**2, filters)


def _check(input_dim, blocks, filter_size):
    if len(input_dim) != 3 or not blocks or not all(blocks):
        raise ValueError(
            "ConvNet: expected input_dim (C, H, W) and num_filters with at least one number "
            f"before each pooling, got {input_dim} and {blocks}"
        )
    _, height, width = input_dim
    if filter_size % 2 == 0 or min(height, width) < 2 ** len(blocks):
        raise ValueError(
            "ConvNet: expected an odd filter_size and images that can be halved "
            f"{len(blocks)} times, got {filter_size} and {height} x {width}"
        )
