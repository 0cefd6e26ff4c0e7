"""Images in a grid, as an array: what notebooks of cs231n call to show the filters of a network."""

import math

import numpy as np


def visualize_grid(Xs, ubound=255.0, padding=1):
    """Images Xs (N, H, W, C) as one image, a square grid with padding black pixels in between.

    Each image is scaled for itself, so that its numbers are from 0 to ubound.
    """
    n, height, width, channels = Xs.shape
    low, high = (extreme(Xs, axis=(1, 2, 3), keepdims=True) for extreme in (np.min, np.max))
    side = math.ceil(math.sqrt(n))
    tiles = np.zeros((side * side, height + padding, width + padding, channels))
    tiles[:n, :height, :width] = ubound * (Xs - low) / np.where(high > low, high - low, 1)
    rows = tiles.reshape(side, side, *tiles.shape[1:]).swapaxes(1, 2)
    grid = rows.reshape(side * tiles.shape[1], side * tiles.shape[2], channels)
    return grid[: len(grid) - padding, : grid.shape[1] - padding]
