"""Convolution and max pooling of images: pairs of functions, each written twice.

``*_naive`` are the assignment's formulas as literally as Python allows: one loop turn computes one
number of the output. They are for reading, and the tests hold the fast ones against them. The fast
ones take the same arguments, give the same answers to rounding, and are the ones to train with.
Forward and backward, caches, dtypes and errors are as in `layers`.

Shapes: N images x (N, C, H, W) with C channels; F masks (filters) w (F, C, HH, WW) with one bias
each, b (F,); outputs (N, F, OH, OW) of a convolution, (N, C, OH, OW) of a pooling::

    conv_param  {'stride': s, 'pad': p}, by default 1 and 0: p rows and columns of zeros are put
                on each side of the image, and the mask moves s pixels at a time
    pool_param  {'pool_height': HH, 'pool_width': WW, 'stride': s}

    OH = floor(1 + (H + 2p - HH) / s)        OW = floor(1 + (W + 2p - WW) / s)

Pixels beyond the last whole window are left out. What the assignment calls convolution in two
dimensions is cross-correlation: the mask is not flipped. `convolve_1d` is the true convolution of
part (a), where it is.
"""

from functools import reduce

import numpy as np

from fast import winograd
from fast.arrays import every, patches, route_to_first_max, to_hcwn, to_nchw
from support.checks import as_dout, as_floats, as_integers, check_axes, check_shape


def convolve_1d(signal, mask):
    """Convolution of a signal I (T,) with a mask G (K,), wherever they overlap: (T + K - 1,).

    ::

        (I * G)[t] = sum over k of I[t - k] G[k],        I = 0 outside

    While k runs forwards through the mask, t - k runs backwards through the signal: this is the sum
    over a window of the signal times the *flipped* mask, which is what the code does.

    Here k counts from 0. For a mask of 2r + 1 numbers that is centred, k from -r to r, the response
    at t is ``out[t + r]``, so that ``out[r : r + T]`` lines up with the signal.

    >>> convolve_1d(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, -1.0]))
    array([ 1.,  1.,  2.,  4., -8.])
    """
    signal, mask = as_floats("convolve_1d", signal=signal, mask=mask)
    check_axes("convolve_1d", "(T,)", signal=signal, mask=mask)
    size = len(mask)
    padded = np.pad(signal, size - 1)
    flipped = mask[::-1]
    out = np.zeros(len(signal) + size - 1, np.result_type(signal, mask))
    for t in range(len(out)):
        out[t] = np.sum(padded[t : t + size] * flipped)
    return out


def conv_forward_naive(x, w, b, conv_param):
    """The response of each image I (padded, with channels c) to each mask G::

    R[i, j] = b + sum over c, p, q of I_c[s i + p, s j + q] G_c[p, q]
    """
    x, w, b, stride, pad, out_size = _check_conv("conv_forward_naive", x, w, b, conv_param)
    mask_h, mask_w = w.shape[2:]
    image = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((len(x), len(w), *out_size), np.result_type(x, w, b))
    for n, f, i, j in np.ndindex(out.shape):
        top, left = stride * i, stride * j
        patch = image[n, :, top : top + mask_h, left : left + mask_w]
        out[n, f, i, j] = np.sum(patch * w[f]) + b[f]
    return out, (image, w, stride, pad, out.shape)


def conv_backward_naive(dout, cache, *, need_dx=True):
    """Gradients dx, dw, db. R is a sum of products, so by the chain rule, with G = 0 outside::

        dL/dG_c[x, y] = sum over i, j of dL/dR[i, j] I_c[s i + x, s j + y]
        dL/dI_c[x, y] = sum over i, j of dL/dR[i, j] G_c[x - s i, y - s j]

    The first is summed over the images, the second over the masks. The loop goes through R: each of
    its elements gives dL/dR times the patch to the mask, and dL/dR times the mask to the patch.
    """
    image, w, stride, pad, out_shape = cache
    dout = as_dout("conv_backward_naive", dout, out_shape)
    mask_h, mask_w = w.shape[2:]
    height, width = image.shape[2:]
    dimage, dw, db = np.zeros_like(image), np.zeros_like(w), np.zeros_like(w[:, 0, 0, 0])
    for n, f, i, j in np.ndindex(dout.shape):
        top, left = stride * i, stride * j
        patch = np.s_[n, :, top : top + mask_h, left : left + mask_w]
        dw[f] += dout[n, f, i, j] * image[patch]
        dimage[patch] += dout[n, f, i, j] * w[f]
        db[f] += dout[n, f, i, j]
    dx = dimage[:, :, pad : height - pad, pad : width - pad] if need_dx else None
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    """The largest pixel of each window of each channel I::

    R[i, j] = max over p, q of I[s i + p, s j + q],  0 <= p < pool_height, 0 <= q < pool_width
    """
    x, height, width, stride, out_size = _check_pool("max_pool_forward_naive", x, pool_param)
    out = np.zeros((*x.shape[:2], *out_size), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        top, left = stride * i, stride * j
        out[n, c, i, j] = np.max(x[n, c, top : top + height, left : left + width])
    return out, (x, height, width, stride, out.shape)


def max_pool_backward_naive(dout, cache):
    """All of dL/dR[i, j] goes to the pixel that was the maximum, none to the rest of the window.

    On a tie it goes to the first of the largest in row-major order (top row first, then from the
    left). A pixel that is the maximum of several overlapping windows gets the sum.
    """
    x, height, width, stride, out_shape = cache
    dout = as_dout("max_pool_backward_naive", dout, out_shape)
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        top, left = stride * i, stride * j
        patch = x[n, c, top : top + height, left : left + width]
        p, q = np.unravel_index(np.argmax(patch), patch.shape)  # the first of the largest
        dx[n, c, top + p, left + q] += dout[n, c, i, j]
    return dx


def conv_forward(x, w, b, conv_param):
    """`conv_forward_naive` as one matrix product a row of outputs (im2col, a row at a time).

    The images I are unfolded along their rows, S[h, c, q, j] = I_c[h, s j + q] for each column q
    of the mask, with N numbers each. The HH rows of S from s i on then lie in memory as one matrix
    P_i, whose OW * N columns are all the patches of row i of the outputs. With one mask in each row
    of W::

        R_i (F, OW * N) = W (F, HH * C * WW) P_i (HH * C * WW, OW * N) + b

    S is only WW / s times as large as the images, because the matrices P_i share their rows; im2col
    of the whole image takes HH / s times as much again. Where `winograd` is faster, it does this
    and the gradients with fewer multiplications.
    """
    x, w, b, stride, pad, (out_h, out_w) = _check_conv("conv_forward", x, w, b, conv_param)
    filters, channels, mask_h, mask_w = w.shape
    out = np.empty((out_h, filters, out_w, len(x)), np.result_type(x, w, b))
    if winograd.is_faster(w, stride, len(x)):
        image = to_hcwn(x, pad, right=-out_w % winograd.TILE)
        transformed = winograd.forward(image, w, b, out)
        return to_nchw(out), (transformed, x.shape, w, stride, pad, to_nchw(out).shape)
    image = to_hcwn(x, pad)
    unfolded = np.empty((len(image), channels, mask_w, out_w, len(x)), x.dtype)
    for q in range(mask_w):
        unfolded[:, :, q] = image[:, :, every(stride, q, out_w)]
    masks = w.transpose(0, 2, 1, 3).reshape(filters, -1)
    np.matmul(masks, patches(unfolded, mask_h, stride), out=out.reshape(out_h, filters, -1))
    out += b[:, None, None]
    return to_nchw(out), (unfolded, x.shape, w, stride, pad, to_nchw(out).shape)


def conv_backward(dout, cache, *, need_dx=True):
    """The formulas of `conv_backward_naive` as products of the matrices of `conv_forward`::

        dL/dW^T = sum over i of P_i dL/dR_i^T        db = sum of dL/dR over all but the masks

    Row p of the masks lay on row s i + p of S for each row i of the outputs, so that to its
    gradient is added, with W_p the masks' rows p (F, C * WW)::

        dL/dS[s i + p] (C * WW, OW * N) += W_p^T dL/dR_i

    and each number of dL/dS is added to the gradient of the pixel that it was copied from.
    """
    unfolded, (n, _, height, width), w, stride, pad, out_shape = cache
    dout = as_dout("conv_backward", dout, out_shape)
    if winograd.is_faster(w, stride, n):
        dout = to_hcwn(dout, right=-out_shape[3] % winograd.TILE)
        dimage, dw = winograd.backward(dout, unfolded, w, need_dx)
    else:
        dout = to_hcwn(dout)
        dw = _dmasks(dout, unfolded, w, stride)
        dimage = _dimage(dout, w, stride, height + 2 * pad, width + 2 * pad) if need_dx else None
    # A product with ones is faster than a sum over two axes.
    db = (dout.reshape(len(dout), len(w), -1) @ np.ones(dout[0, 0].size, dw.dtype)).sum(axis=0)
    dx = to_nchw(dimage[pad : pad + height, :, pad : pad + width]) if need_dx else None
    return dx, dw, db


def _dmasks(dout, unfolded, w, stride):
    """Return dL/dW of `conv_backward`, with the shape of w."""
    filters, channels, mask_h, mask_w = w.shape
    dw = np.zeros((mask_h * channels * mask_w, filters), np.result_type(dout, unfolded, w))
    for P, drow in zip(patches(unfolded, mask_h, stride), dout, strict=True):
        dw += P @ drow.reshape(filters, -1).T
    return dw.reshape(mask_h, channels, mask_w, filters).transpose(3, 1, 0, 2)


def _dimage(dout, w, stride, height, width):
    """Return the gradient of the padded images, from dL/dS of `conv_backward`."""
    filters, channels, mask_h, mask_w = w.shape
    out_h, _, out_w, n = dout.shape
    dimage = np.zeros((height, channels, width, n), np.result_type(dout, w))
    for p in range(mask_h):
        rows = w[:, :, p].reshape(filters, -1).T @ dout.reshape(out_h, filters, -1)
        rows = rows.reshape(out_h, channels, mask_w, out_w, n)
        for q in range(mask_w):
            dimage[every(stride, p, out_h), :, every(stride, q, out_w)] += rows[:, :, q]
    return dimage


def max_pool_forward(x, pool_param):
    """`max_pool_forward_naive`, all windows at once: pixel p, q of every window is one slice of I.

    R is the elementwise maximum of these slices.
    """
    x, height, width, stride, (out_h, out_w) = _check_pool("max_pool_forward", x, pool_param)
    image = to_hcwn(x)
    rows = [every(stride, p, out_h) for p in range(height)]
    columns = [every(stride, q, out_w) for q in range(width)]
    slices = [np.s_[row, :, column] for row in rows for column in columns]
    out = reduce(np.maximum, [image[pixels] for pixels in slices])
    # The copy is the caller's, to change at will.
    return to_nchw(out.copy()), (image, slices, stride < max(height, width), out)


def max_pool_backward(dout, cache):
    """As `max_pool_backward_naive`: slice by slice, where a pixel is the first maximum so far."""
    image, slices, overlap, out = cache
    dout = to_hcwn(as_dout("max_pool_backward", dout, to_nchw(out).shape))
    dimage = np.zeros(image.shape, dout.dtype)
    shares = route_to_first_max(dout, out, [image[pixels] for pixels in slices])
    for pixels, share in zip(slices, shares, strict=True):
        if overlap:
            dimage[pixels] += share
        else:
            dimage[pixels] = share
    return to_nchw(dimage)


def _check_conv(function, x, w, b, conv_param):
    """Return the arrays, stride, padding and the size of the output."""
    x, w, b = as_floats(function, x=x, w=w, b=b)
    check_axes(function, "(N, C, H, W)", x=x)
    check_axes(function, "(F, C, HH, WW)", w=w)
    if x.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: x has {x.shape[1]} channels but w expects {w.shape[1]} (w.shape[1])"
        )
    check_shape(function, w.shape[:1], "one bias a mask of w", b=b)
    stride, pad = as_integers(function, "conv_param", conv_param, stride=1, pad=0)
    image = x.shape[2] + 2 * pad, x.shape[3] + 2 * pad
    return x, w, b, stride, pad, _out_size(function, image, w.shape[2:], stride, "the mask")


def _check_pool(function, x, pool_param):
    """Return the images, height, width and stride of the window, and the size of the output."""
    x = as_floats(function, x=x)
    check_axes(function, "(N, C, H, W)", x=x)
    keys = dict.fromkeys(("pool_height", "pool_width", "stride"))
    height, width, stride = as_integers(function, "pool_param", pool_param, **keys)
    size = _out_size(function, x.shape[2:], (height, width), stride, "the window")
    return x, height, width, stride, size


def _out_size(function, image, window, stride, what):
    """Return how many windows fit into so many pixels, ``stride`` apart, by axis."""
    if window[0] > image[0] or window[1] > image[1]:
        raise ValueError(
            f"{function}: {what} of {window[0]} x {window[1]} is larger than "
            f"the image of {image[0]} x {image[1]} (padding included)"
        )
    return tuple(1 + (i - k) // stride for i, k in zip(image, window, strict=True))
