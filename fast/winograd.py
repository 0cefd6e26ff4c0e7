"""Convolution with fewer multiplications: Winograd's minimal filtering along the rows of images.

A mask g of r numbers that moves along a row has r responses to learn from each number, so T
neighbouring responses take T r multiplications. T + r - 1 are enough. Read g and a row of T
gradients z as polynomials, g(t) = sum of g_q t^q and z(t) = sum of z_j t^j: the coefficients of
their product g(t) z(t) are fixed by its values at any T + r - 1 points, and each value is one
multiplication, g(a) z(a) (Toom and Cook; the point at infinity stands for the leading
coefficients). With V_k the matrix that evaluates k coefficients at these points::

    coefficients of g z = V^-1 ((V_r g) * (V_T z)),      V = V_{T+r-1}

Correlation is the transpose of this map from z: of the T + r - 1 numbers d of a row that T
responses see, it makes these responses (Winograd 1980)::

    responses = V_T^T ((V_r g) * (V^-T d)) = A^T ((G g) * (B d)),   A = V_T, G = V_r, B = V^-T

G g is computed once a batch and B d once for all masks, so that the elementwise product is what
counts: T + r - 1 multiplications for T responses, summed over channels and the rows of the mask,
where the plain product takes T r. With T = 4 these are 6 for 12 (r = 3) and 8 for 20 (r = 5).

The points are small, 0, 1, -1, 2, -2, ..., because rounding errors grow with the numbers in the
matrices: in float32, errors are 1 to 6 times those of the plain product (root mean square). An
infinite or NaN pixel spreads over its whole tile. Lavin and Gray (2016) brought the method to
networks, in two dimensions; along rows only, the products stay large enough for BLAS.

Images are rows here, (H, C, W, N) in memory, as `conv` lays them out; the other symbols are those
of `conv`, and P = T + r - 1 is the number of points.
"""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

TILE = 4  # T
SIZES = (3, 5)  # widths of masks, for which it pays
POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)  # and infinity


def is_faster(w, stride, n):
    """Tell if it is, for masks w and n images: measured; below, the transforms cost too much."""
    return stride == 1 and w.shape[3] in SIZES and w.shape[1] >= 3 and n >= 32


@lru_cache
def matrices(size, dtype):
    """A (P, TILE), G (P, size) and B (P, P) for masks of that size, P = TILE + size - 1."""
    points = np.array(POINTS[: TILE + size - 2])

    def evaluate(k):  # the last row is the value at infinity: the leading coefficient
        return np.vstack([np.vander(points, k, increasing=True), np.eye(k)[-1]])

    all_three = evaluate(TILE), evaluate(size), np.linalg.inv(evaluate(TILE + size - 1)).T
    return [matrix.astype(dtype) for matrix in all_three]


def forward(image, w, b, out):
    """out (OH, F, OW, N) = responses of the padded images to the masks w, plus b.

    image (H, C, W, N) has its rows padded on, W = TILE * tiles + WW - 1, to hold whole tiles.
    Returns D, which is B d: (P, H, C, tiles, N).
    """
    filters, channels, mask_h, mask_w = w.shape
    A, G, B = matrices(mask_w, out.dtype)
    windows = sliding_window_view(image, len(B), axis=2)[:, :, ::TILE].swapaxes(3, 4)
    height, _, tiles, points, n = windows.shape
    D = np.empty((points, height, channels, tiles, n), out.dtype)
    np.matmul(B, windows, out=D.transpose(1, 2, 3, 0, 4))
    masks = (G @ w.transpose(0, 2, 3, 1)).transpose(2, 0, 1, 3).reshape(points, 1, filters, -1)
    products = np.empty((points, filters, tiles, n), out.dtype)
    for i, responses in enumerate(out):
        patches = D[:, i : i + mask_h].reshape(points, -1, tiles, n).swapaxes(1, 2)
        np.matmul(masks, patches, out=products.swapaxes(1, 2))
        row = (A.T @ products.transpose(1, 2, 0, 3)).reshape(filters, -1, n)
        np.add(row[:, : out.shape[2]], b[:, None, None], out=responses)
    return D


def backward(dout, D, w, need_dx):
    """dimage (H, C, W, N), None unless need_dx, and dw: the transposes of the maps of `forward`.

    dout (OH, F, TILE * tiles, N) is 0 where its rows were padded on.
    """
    filters, channels, mask_h, mask_w = w.shape
    dtype = np.result_type(dout, D, w)
    A, G, B = matrices(mask_w, dtype)
    points, height, _, tiles, n = D.shape
    out_h = len(dout)
    dproducts = np.empty((points, out_h, filters, tiles, n), dtype)
    dout = dout.reshape(out_h, filters, tiles, TILE, n)
    np.matmul(A, dout, out=dproducts.transpose(1, 2, 3, 0, 4))
    dmasks = np.zeros((points, mask_h * channels, filters), dtype)
    for i in range(out_h):
        patches = D[:, i : i + mask_h].reshape(points, mask_h * channels, -1)
        dmasks += patches @ dproducts[:, i].reshape(points, filters, -1).swapaxes(1, 2)
    dw = np.tensordot(dmasks.reshape(points, mask_h, channels, filters), G, (0, 0))
    dw = dw.transpose(2, 1, 0, 3)
    if not need_dx:
        return None, dw

    masks = (G @ w[:, :, ::-1].transpose(1, 2, 3, 0)).transpose(2, 0, 1, 3)
    masks = masks.reshape(points, 1, channels, -1)
    dD = np.empty((points, channels, tiles, n), dtype)
    dimage = np.zeros((height, channels, tiles + 1, TILE, n), dtype)
    for h in range(height):
        lowest = h + 1 - mask_h
        start, stop = max(lowest, 0), min(h + 1, out_h)
        part = masks[..., (start - lowest) * filters : (stop - lowest) * filters]
        rows = dproducts[:, start:stop].reshape(points, -1, tiles, n).swapaxes(1, 2)
        np.matmul(part, rows, out=dD.swapaxes(1, 2))
        windows = dD.transpose(1, 2, 0, 3)
        np.matmul(B.T[:TILE], windows, out=dimage[h, :, :-1])
        dimage[h, :, 1:, : mask_w - 1] += B.T[TILE:] @ windows
    return dimage.reshape(height, channels, -1, n), dw
