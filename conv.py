"""Convolution and max pooling of images, each pair of functions written twice.

``*_naive`` are the assignment's formulas as literally as Python allows: one loop turn computes one
number of the output. They are for reading, and the tests hold the fast ones against them. The
others take the same arguments, give the same answers to rounding, and are the ones to train with.

Shapes: N examples, C channels, images of H x W; F masks (filters) of HH x WW, each with C channels;
outputs of OH x OW. An array of images is (N, C, H, W). The fast functions lay theirs out in memory
with the batch innermost, as (C, H, W, N), and return the transposed view of it: the same neighbour
of a pixel in all the images of a batch is then one run of numbers, and a window that slides over
whole rows of images is copied in long runs. Where their input has that layout already, as between
two layers of a network, nothing is rearranged. Any layout gives the same answers.

What the assignment calls convolution in two dimensions is cross-correlation: the mask is not
flipped. `convolve_1d` is the true convolution of part (a), where it is.
"""

import numpy as np

from layers import check_dout, check_floats

# The fast convolution unfolds this much at a time, whole rows of outputs, so that a block is still
# in the processor's cache when the matrix product reads it. Less saves memory and starts more
# products; from 2 MB up it makes little difference to the time.
BLOCK_BYTES = 8 * 2**20


def convolve_1d(signal, mask):
    """Convolution of a signal with a mask, as literally as Python allows.

    Parameters
    ----------
    signal : ndarray of float, shape (T,)
        I. It counts as 0 outside.
    mask : ndarray of float, shape (K,)
        G.

    Returns
    -------
    out : ndarray of float, shape (T + K - 1,)
        I * G wherever the two overlap, as `numpy.convolve` returns it.

    Raises
    ------
    TypeError
        If an argument is not an array of floats.
    ValueError
        If one is not one-dimensional or is empty.

    Notes
    -----
    ::

        (I * G)[t] = sum over k of I[t - k] G[k]

    While k runs forwards through the mask, t - k runs backwards through the signal: this is the sum
    over a window of the signal times the *flipped* mask, which is what the code does.

    Here k counts from 0. For a mask of 2r + 1 numbers that is centred, k from -r to r, the response
    at t is ``out[t + r]``, so that ``out[r : r + T]`` lines up with the signal.

    Examples
    --------
    >>> convolve_1d(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, -1.0]))
    array([ 1.,  1.,  2.,  4., -8.])
    """
    check_floats("convolve_1d", signal=signal, mask=mask)
    if signal.ndim != 1 or mask.ndim != 1 or 0 in (len(signal), len(mask)):
        raise ValueError(
            f"convolve_1d: signal and mask must be one-dimensional and not empty, "
            f"got {signal.shape} and {mask.shape}"
        )
    size = len(mask)
    padded = np.pad(signal, size - 1)
    flipped = mask[::-1]
    out = np.zeros(len(signal) + size - 1, np.result_type(signal, mask))
    for t in range(len(out)):
        out[t] = np.sum(padded[t : t + size] * flipped)
    return out


def _check_param(function, name, param, defaults, smallest):
    """The values of a dict of whole numbers, in the order of `defaults`; None is no default."""
    if not isinstance(param, dict):
        raise TypeError(f"{function}: {name} must be a dict, got {type(param).__name__}")
    unknown = [key for key in param if key not in defaults]
    missing = [key for key, value in defaults.items() if value is None and key not in param]
    if unknown or missing:
        raise ValueError(
            f"{function}: {name} must have the keys {list(defaults)}, got {list(param)}"
        )
    values = []
    for key, default in defaults.items():
        value = param.get(key, default)
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise TypeError(
                f"{function}: {name}['{key}'] must be a whole number, got {type(value).__name__}"
            )
        if value < smallest.get(key, 1):
            raise ValueError(
                f"{function}: {name}['{key}'] must be at least {smallest.get(key, 1)}, got {value}"
            )
        values.append(int(value))
    return values


def _out_size(function, image, window, stride, what):
    """How many windows of `window` pixels fit into `image` pixels, `stride` apart, by axis."""
    if window[0] > image[0] or window[1] > image[1]:
        raise ValueError(
            f"{function}: {what} of {window[0]} x {window[1]} is larger than "
            f"the image of {image[0]} x {image[1]} (padding included)"
        )
    return tuple(1 + (i - k) // stride for i, k in zip(image, window, strict=True))


def _check_conv(function, x, w, b, conv_param):
    """Stride, padding and the size of the output."""
    check_floats(function, x=x, w=w, b=b)
    if x.ndim != 4 or w.ndim != 4 or 0 in w.shape:
        raise ValueError(
            f"{function}: expected x of shape (N, C, H, W) and w of shape (F, C, HH, WW), "
            f"none of w's sizes 0, got x {x.shape} and w {w.shape}"
        )
    if x.shape[1] != w.shape[1]:
        raise ValueError(
            f"{function}: x has {x.shape[1]} channels but w expects {w.shape[1]} (w.shape[1])"
        )
    if b.shape != w.shape[:1]:
        raise ValueError(
            f"{function}: b must have shape {w.shape[:1]}, one bias a mask of w, got {b.shape}"
        )
    stride, pad = _check_param(
        function, "conv_param", conv_param, {"stride": 1, "pad": 0}, {"pad": 0}
    )
    image = x.shape[2] + 2 * pad, x.shape[3] + 2 * pad
    return stride, pad, _out_size(function, image, w.shape[2:], stride, "the mask")


def _check_pool(function, x, pool_param):
    """Height, width and stride of the window, and the size of the output."""
    check_floats(function, x=x)
    if x.ndim != 4:
        raise ValueError(f"{function}: expected x of shape (N, C, H, W), got {x.shape}")
    keys = dict.fromkeys(("pool_height", "pool_width", "stride"))
    height, width, stride = _check_param(function, "pool_param", pool_param, keys, {})
    size = _out_size(function, x.shape[2:], (height, width), stride, "the window")
    return height, width, stride, size


def conv_forward_naive(x, w, b, conv_param):
    """Convolution layer, one output at a time.

    Parameters
    ----------
    x : ndarray of float, shape (N, C, H, W)
        Images.
    w : ndarray of float, shape (F, C, HH, WW)
        Masks.
    b : ndarray of float, shape (F,)
        Biases.
    conv_param : dict
        ``'stride'``, pixels from one position of the mask to the next, default 1, and ``'pad'``,
        rows and columns of zeros put on each side of the image, default 0.

    Returns
    -------
    out : ndarray of float, shape (N, F, OH, OW)
        OH = floor(1 + (H + 2 pad - HH) / stride), and OW likewise.
    cache : tuple
        For `conv_backward_naive`.

    Raises
    ------
    TypeError
        If an array is not one of floats, or a number of conv_param not a whole one.
    ValueError
        If shapes do not fit together, the mask is larger than the padded image, or conv_param has
        unknown keys or a value out of range.

    Notes
    -----
    For one image I (padded), one mask G with channels c, and stride s, the response is::

        R[i, j] = b + sum over c, p, q of I_c[s i + p, s j + q] G_c[p, q]
    """
    stride, pad, (out_h, out_w) = _check_conv("conv_forward_naive", x, w, b, conv_param)
    mask_h, mask_w = w.shape[2:]
    image = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((len(x), len(w), out_h, out_w), np.result_type(x, w, b))
    for n, f, i, j in np.ndindex(out.shape):
        top, left = stride * i, stride * j
        patch = image[n, :, top : top + mask_h, left : left + mask_w]
        out[n, f, i, j] = np.sum(patch * w[f]) + b[f]
    return out, (image, w, stride, pad)


def conv_backward_naive(dout, cache, *, need_dx=True):
    """Gradients of `conv_forward_naive`, one output at a time.

    Parameters
    ----------
    dout : ndarray of float, shape (N, F, OH, OW)
        dL/dout.
    cache : tuple
        From `conv_forward_naive`.
    need_dx : bool, default True
        False leaves dx out, and it is None.

    Returns
    -------
    dx : ndarray of float, shape (N, C, H, W), or None
    dw : ndarray of float, shape (F, C, HH, WW)
    db : ndarray of float, shape (F,)

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of out's shape.

    Notes
    -----
    R[i, j] is a sum of products I_c[s i + x, s j + y] G_c[x, y], so by the chain rule::

        dL/dG_c[x, y] = sum over i, j of dL/dR[i, j] I_c[s i + x, s j + y]
        dL/dI_c[x, y] = sum over i, j of dL/dR[i, j] G_c[x - s i, y - s j]

    where G counts as 0 outside, and the first is summed over the images, the second over the masks.
    The loop goes through R: each of its elements hands dL/dR times the patch to the mask, and dL/dR
    times the mask to the patch.
    """
    image, w, stride, pad = cache
    mask_h, mask_w = w.shape[2:]
    height, width = image.shape[2:]
    out_size = (1 + (height - mask_h) // stride, 1 + (width - mask_w) // stride)
    check_dout("conv_backward_naive", dout, (len(image), len(w), *out_size))
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
    """Max pooling, one output at a time.

    Parameters
    ----------
    x : ndarray of float, shape (N, C, H, W)
        Images.
    pool_param : dict
        ``'pool_height'`` and ``'pool_width'`` of the window, and ``'stride'``, pixels from one
        window to the next. Windows overlap where the stride is the smaller, and pixels beyond the
        last whole window are left out.

    Returns
    -------
    out : ndarray of float, shape (N, C, OH, OW)
        OH = floor(1 + (H - pool_height) / stride), and OW likewise.
    cache : tuple
        For `max_pool_backward_naive`.

    Raises
    ------
    TypeError
        If x is not an array of floats, or a number of pool_param not a whole one.
    ValueError
        If the window is larger than the image, or pool_param lacks a key, has unknown ones or a
        value below 1.

    Notes
    -----
    ::

        R[i, j] = max over p, q of I[s i + p, s j + q],  0 <= p < pool_height, 0 <= q < pool_width
    """
    height, width, stride, size = _check_pool("max_pool_forward_naive", x, pool_param)
    out = np.zeros((*x.shape[:2], *size), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        top, left = stride * i, stride * j
        out[n, c, i, j] = np.max(x[n, c, top : top + height, left : left + width])
    return out, (x, height, width, stride, size)


def max_pool_backward_naive(dout, cache):
    """Gradient of `max_pool_forward_naive`, one output at a time.

    Parameters
    ----------
    dout : ndarray of float, shape (N, C, OH, OW)
        dL/dout.
    cache : tuple
        From `max_pool_forward_naive`.

    Returns
    -------
    dx : ndarray of float, shape (N, C, H, W)

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of out's shape.

    Notes
    -----
    All of dL/dR[i, j] goes to the pixel that was the maximum, and none to the others of the window.
    On a tie it goes to the first of the largest in row-major order (top row first, then from the
    left), here and in `max_pool_backward`. A pixel that wins several overlapping windows gets the
    sum.
    """
    x, height, width, stride, size = cache
    check_dout("max_pool_backward_naive", dout, (*x.shape[:2], *size))
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        top, left = stride * i, stride * j
        patch = x[n, c, top : top + height, left : left + width]
        p, q = np.unravel_index(np.argmax(patch), patch.shape)  # argmax: the first of the largest
        dx[n, c, top + p, left + q] += dout[n, c, i, j]
    return dx


def _batch_innermost(x, pad=0):
    """Images as (C, H + 2 pad, W + 2 pad, N), contiguous; not a copy where they are that already.

    The images are a batch x of shape (N, C, H, W) in any memory layout.
    """
    n, channels, height, width = x.shape
    turned = x.transpose(1, 2, 3, 0)
    if pad == 0 and turned.flags.c_contiguous:
        return turned
    if x.strides[0] > x.itemsize:
        # Turning reads one number from each image in turn. Where images lie a multiple of 4096
        # bytes apart these share a few lines of the cache and push each other out, which takes up
        # to 4 times as long; so they are first copied to a distance that is none.
        apart = np.empty((n, channels * height * width + 16), x.dtype)[:, :-16].reshape(x.shape)
        apart[...] = x
        turned = apart.transpose(1, 2, 3, 0)
    new = np.zeros if pad else np.empty
    out = new((channels, height + 2 * pad, width + 2 * pad, n), x.dtype)
    out[:, pad : pad + height, pad : pad + width] = turned
    return out


def _under(i, j, rows, columns, stride):
    """Index of the pixels of (C, H, W, N) under position (i, j) of the window.

    One pixel for each output in rows `rows` (a slice) and in columns 0 to `columns` - 1: output
    (r, c) has pixel (stride r + i, stride c + j) there.
    """
    top, bottom = stride * rows.start + i, stride * (rows.stop - 1) + i + 1
    return np.s_[:, top:bottom:stride, j : stride * (columns - 1) + j + 1 : stride]


def _blocks(image, mask_shape, out_size):
    """Slices of the output's rows, each of which unfolds to about BLOCK_BYTES."""
    row = np.prod(mask_shape) * out_size[1] * image.shape[3] * image.itemsize
    rows = max(1, int(BLOCK_BYTES // max(1, row)))
    for start in range(0, out_size[0], rows):
        yield slice(start, min(start + rows, out_size[0]))


def _unfold(image, mask_shape, rows, columns, stride):
    """Matrix with a column for each position of the mask: the patch that the mask sees there.

    The image is (C, H, W, N), the matrix (C * HH * WW, rows * columns * N). It is filled a row of
    the matrix at a time, which is the image shifted by (i, j) and takes no loop over positions.
    """
    channels, mask_h, mask_w = mask_shape
    n, count = image.shape[3], rows.stop - rows.start
    patches = np.empty((channels, mask_h, mask_w, count, columns, n), image.dtype)
    for i, j in np.ndindex(mask_h, mask_w):
        patches[:, i, j] = image[_under(i, j, rows, columns, stride)]
    return patches.reshape(channels * mask_h * mask_w, count * columns * n)


def conv_forward(x, w, b, conv_param):
    """Convolution layer: `conv_forward_naive` as a few large matrix products.

    Parameters
    ----------
    x : ndarray of float, shape (N, C, H, W)
        Images, fastest as this module's functions return them: with the batch innermost in memory.
    w : ndarray of float, shape (F, C, HH, WW)
        Masks.
    b : ndarray of float, shape (F,)
        Biases.
    conv_param : dict
        ``'stride'``, default 1, and ``'pad'``, default 0.

    Returns
    -------
    out : ndarray of float, shape (N, F, OH, OW)
        A view with the batch innermost in memory. OH = floor(1 + (H + 2 pad - HH) / stride), and OW
        likewise.
    cache : tuple
        For `conv_backward`.

    Raises
    ------
    TypeError, ValueError
        As `conv_forward_naive` does.

    Notes
    -----
    Write each mask as a row of C * HH * WW numbers and each patch of the image as a column of as
    many. All responses are then one product::

        R (F, OH * OW * N) = W (F, C * HH * WW) P (C * HH * WW, OH * OW * N) + b

    P is HH * WW / stride^2 times as large as the images, so it is made a block of rows of outputs
    at a time and never stored.
    """
    stride, pad, out_size = _check_conv("conv_forward", x, w, b, conv_param)
    image = _batch_innermost(x, pad)
    masks = w.reshape(len(w), -1)
    out = np.empty((len(w), *out_size, len(x)), np.result_type(x, w, b))
    for rows in _blocks(image, w.shape[1:], out_size):
        patches = _unfold(image, w.shape[1:], rows, out_size[1], stride)
        response = out[:, rows].reshape(len(w), -1)  # a view
        np.matmul(masks, patches, out=response)
        response += b[:, None]
    return out.transpose(3, 0, 1, 2), (image, w, stride, pad, out_size)


def conv_backward(dout, cache, *, need_dx=True):
    """Gradients of `conv_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape (N, F, OH, OW)
        dL/dout, fastest with the batch innermost in memory, as out is.
    cache : tuple
        From `conv_forward`.
    need_dx : bool, default True
        False saves the work for dx, and dx is None: a network's first layer has nothing below it
        that would use dx.

    Returns
    -------
    dx : ndarray of float, shape (N, C, H, W), or None
        A view with the batch innermost in memory.
    dw : ndarray of float, shape (F, C, HH, WW)
    db : ndarray of float, shape (F,)

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of out's shape.

    Notes
    -----
    The formulas of `conv_backward_naive` as matrix products, with the matrices of `conv_forward`::

        dL/dW = dL/dR P^T        dL/dP = W^T dL/dR        dL/db = sum of dL/dR over its columns

    dL/dI is dL/dP folded: each column is added back to the pixels that the patch was copied from.
    P is unfolded anew for each block, which is cheap beside the products and saves storing it.
    """
    image, w, stride, pad, out_size = cache
    check_dout("conv_backward", dout, (image.shape[3], len(w), *out_size))
    mask_shape = w.shape[1:]
    masks = w.reshape(len(w), -1)
    dtype = np.result_type(image, w, dout)
    dw, db = np.zeros(masks.shape, dtype), np.zeros(len(w), dtype)
    dimage = np.zeros(image.shape, dtype) if need_dx else None
    for rows in _blocks(image, mask_shape, out_size):
        count = rows.stop - rows.start
        patches = _unfold(image, mask_shape, rows, out_size[1], stride)
        dresponse = _batch_innermost(dout[:, :, rows]).reshape(len(w), -1)
        # The product with more rows than columns splits better between threads.
        if len(patches) > len(dresponse):
            dw += (patches @ dresponse.T).T
        else:
            dw += dresponse @ patches.T
        db += dresponse.sum(axis=1)
        if need_dx:
            dpatches = np.matmul(masks.T, dresponse, out=patches)  # P itself has been used
            dpatches = dpatches.reshape(*mask_shape, count, out_size[1], image.shape[3])
            for i, j in np.ndindex(mask_shape[1:]):
                dimage[_under(i, j, rows, out_size[1], stride)] += dpatches[:, i, j]
    dx = None
    if need_dx:
        height, width = image.shape[1:3]
        dx = dimage[:, pad : height - pad, pad : width - pad].transpose(3, 0, 1, 2)
    return dx, dw.reshape(w.shape), db


def max_pool_forward(x, pool_param):
    """Max pooling: `max_pool_forward_naive`, all windows at once.

    Parameters
    ----------
    x : ndarray of float, shape (N, C, H, W)
        Images, fastest as this module's functions return them: with the batch innermost in memory.
    pool_param : dict
        ``'pool_height'``, ``'pool_width'`` and ``'stride'``.

    Returns
    -------
    out : ndarray of float, shape (N, C, OH, OW)
        A view with the batch innermost in memory. OH = floor(1 + (H - pool_height) / stride), and
        OW likewise.
    cache : tuple
        For `max_pool_backward`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool_forward_naive` does.

    Notes
    -----
    The loop is over the places (p, q) in the window: I[s i + p, s j + q] for all i and j is a slice
    of the image, and R is the elementwise maximum of these slices.
    """
    height, width, stride, size = _check_pool("max_pool_forward", x, pool_param)
    image = _batch_innermost(x)
    places = [
        _under(p, q, slice(0, size[0]), size[1], stride) for p, q in np.ndindex(height, width)
    ]
    out = image[places[0]].copy()
    for place in places[1:]:
        np.maximum(out, image[place], out=out)
    return out.transpose(3, 0, 1, 2), (image, out, places)


def max_pool_backward(dout, cache):
    """Gradient of `max_pool_forward`.

    Parameters
    ----------
    dout : ndarray of float, shape (N, C, OH, OW)
        dL/dout, fastest with the batch innermost in memory, as out is.
    cache : tuple
        From `max_pool_forward`.

    Returns
    -------
    dx : ndarray of float, shape (N, C, H, W)
        A view with the batch innermost in memory.

    Raises
    ------
    TypeError, ValueError
        If dout is not an array of floats of out's shape.

    Notes
    -----
    As `max_pool_backward_naive`, but over places in the window: at each, the windows whose maximum
    is there and that have not found theirs at an earlier place hand their gradient to it. Places
    come in row-major order, so on a tie the first of the largest gets it.
    """
    image, out, places = cache
    check_dout("max_pool_backward", dout, out.transpose(3, 0, 1, 2).shape)
    dout = _batch_innermost(dout)
    dimage = np.zeros(image.shape, dout.dtype)
    searching = np.ones(out.shape, bool)
    for place in places:
        found = image[place] == out
        found &= searching
        searching ^= found
        dimage[place] += dout * found
    return dimage.transpose(3, 0, 1, 2)
