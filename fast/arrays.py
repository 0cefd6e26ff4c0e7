"""Tricks with arrays: the layout of images in memory, and products with booleans.

The fast convolution and pooling work on images laid out as (H, C, W, N): the same pixel of all
images of a batch is one run of numbers, and all that a window sees on its way along a row of the
images lies together. What they return is the transposed view of it, (N, C, H, W). Where an input
has that layout already, as between two layers of a network, nothing is rearranged. Any layout gives
the same answers.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def to_nchw(rows):
    """Return (H, C, W, N) as (N, C, H, W): a view."""
    return rows.transpose(3, 1, 0, 2)


def to_hcwn(x, pad=0, right=0):
    """Return (N, C, H, W) as (H + 2 pad, C, W + 2 pad + right, N), contiguous; a view if it can."""
    n, channels, height, width = x.shape
    rows = x.transpose(2, 1, 3, 0)
    if pad == right == 0 and rows.flags.c_contiguous:
        return rows
    new = np.zeros if pad or right else np.empty
    padded = new((height + 2 * pad, channels, width + 2 * pad + right, n), x.dtype)
    padded[pad : pad + height, :, pad : pad + width] = rows
    return padded


def every(stride, start, count):
    """Return the slice of ``count`` indices from ``start`` on, ``stride`` apart."""
    return slice(start, start + stride * (count - 1) + 1, stride)


def patches(unfolded, mask_h, stride):
    """Return all P_i of `conv.conv_forward`, (OH, HH * C * WW, OW * N): a view."""
    height, channels, mask_w, out_w, n = unfolded.shape
    rows = unfolded.reshape(height, channels * mask_w, out_w * n)
    windows = sliding_window_view(rows, mask_h, axis=0)[::stride].transpose(0, 3, 1, 2)
    return windows.reshape(len(windows), mask_h * channels * mask_w, out_w * n)


def times(values, flags):
    """Return the product with booleans; inf * False is 0 here, not NaN.

    The bits of each number are multiplied, as an integer, which is as fast as `*`.
    """
    return (values.view(f"i{values.itemsize}") * flags).view(values.dtype)


def route_to_first_max(dout, out, arrays):
    """Yield the gradient of each array: dout where it is the first that equals out, 0 elsewhere."""
    rest = dout.view(f"i{dout.itemsize}")  # bits, as in `times`
    for array in arrays[:-1]:
        share = rest * (array == out)
        yield share.view(dout.dtype)
        rest = rest - share  # what has been given away is 0 for the arrays that follow
    yield rest.view(dout.dtype)
