"""The images and labels of a data set, read, checked and brought to one form.

Pixels become uint8 from 0 to 255, whatever they are in the file. An array with a value above 1 has
that unit already, one with values between 0 and 1 has fractions. Where only 0 and 1 occur, in
integers or floats, test images have the unit of the training images, and these are fractions.
"""

import math

import numpy as np

from support.sources import naming

IMAGE_SHAPES = ((784,), (28, 28), (1, 28, 28), (28, 28, 1))
# No array of a data file may be larger: 60,000 images of float64 are 359 MiB.
MAX_BYTES = 400 * 2**20
BATCH = 1000  # images that are converted at a time


def read_data(sources):
    """Compare what is announced with what MNIST can be, then read and check the values."""
    data, white = {}, 1  # pixels of which nothing is known but 0 and 1 are fractions
    for X_key, y_key in (("X_train", "y_train"), ("X_test", "y_test")):
        X, y = sources.get(X_key), sources.get(y_key)
        if X is None:
            continue
        _check_announced(X, "images", tuple(X.shape[1:]) in IMAGE_SHAPES)
        if y is not None:
            num_labels = math.prod(y.shape)
            _check_announced(
                y, "labels", len(y.shape) <= 2 and num_labels == max(y.shape, default=0)
            )
            if num_labels != X.shape[0]:
                raise ValueError(f"{X}: {X.shape[0]} images, but {num_labels} labels in {y}")
            with naming(y):
                data[y_key] = _as_labels(_values(y))
        with naming(X):
            images = _values(X)
            white = _white(images) or white  # of training images first, then those of the test
            data[X_key] = _as_images(images, white)
    return data


def _values(source):
    array = source.read()
    if array.shape != source.shape or array.dtype.kind not in "uif":
        raise ValueError(
            f"expected {source.dtype} {source.shape}, found {array.dtype} {array.shape}"
        )
    return array


def _check_announced(source, what, shape_is_good):
    shape, dtype = source.shape, source.dtype
    if not shape_is_good or min(shape) < 1:
        raise ValueError(f"{source}: expected {what} of MNIST, found an array of shape {shape}")
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise ValueError(f"{source}: expected {what} as numbers, found dtype {dtype}")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:
        raise ValueError(f"{source}: expected at most {MAX_BYTES:,} bytes, found {what} {shape}")


def _as_labels(array):
    if not np.isin(array, np.arange(10)).all():
        raise ValueError("expected labels 0 to 9")
    return array.ravel().astype(np.int64)


def _pieces(array):
    return (array[start : start + BATCH] for start in range(0, len(array), BATCH))


def _white(array):
    """The number that stands for white: 255, or 1 where pixels are fractions.

    None where every pixel is 0 or 1, which fits both.
    """
    has_fractions = False
    for piece in _pieces(array):
        if piece.max() > 1:
            return 255
        has_fractions |= piece.dtype.kind == "f" and not np.array_equal(piece, np.rint(piece))
    return 1 if has_fractions else None


def _as_images(array, white):
    """Return pixels as uint8 (N, 1, 28, 28), without a copy where they have that type already."""
    if array.dtype == np.uint8 and white == 255:
        return array.reshape(-1, 1, 28, 28)
    result = np.empty((len(array), 1, 28, 28), dtype=np.uint8)
    for piece, images in zip(_pieces(array), _pieces(result), strict=True):
        if not (piece.min() >= 0 and piece.max() <= white):  # NaN fails both
            raise ValueError(f"expected pixels 0 to {white}, found {piece.min()} to {piece.max()}")
        pixels = np.rint(piece * (255 / white))
        if white == 255 and not np.array_equal(pixels, piece):
            odd = piece[pixels != piece][0]
            raise ValueError(f"expected whole pixels 0 to 255, or fractions 0 to 1, found {odd}")
        images[...] = pixels.reshape(images.shape)
    return result
