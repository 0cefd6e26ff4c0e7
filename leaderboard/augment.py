"""Changed images: random distortions and adversarial examples for training, upright digits.

`distort` and `adversarial` are for the ``transform`` of `Solver`, which calls it with a minibatch
and a generator and trains on what it returns: new images in every epoch. `functools.partial` fixes
the other arguments::

    Solver(net, data, transform=partial(distort, rotation=15.0))

`deskew` is for all images, those of validation and test too: it removes differences that say
nothing about the class. `shift` makes the views of an image over which a prediction is averaged.

Images X are (N, C, H, W) with background 0, of uint8, float32 or float64; uint8 means pixels and is
scaled to 0.0 to 1.0. What does not fit is a TypeError or a ValueError.
"""

from functools import lru_cache

import numpy as np

from support.checks import check_callable, check_integer, check_kind, check_number, is_exact_ndarray

DTYPES = (np.uint8, np.float32, np.float64)  # of images
BATCH = 1000  # images that `deskew` changes at a time, which bounds the memory
LEAST_VARIANCE = 1e-3  # of an image's rows: with less there is nothing to set upright
STRETCH = 2 / 3, 3 / 2  # the limits of `deskew`


def distort(X, rng, *, rotation=10.0, scale=0.12, shear=0.12, shift=1.5, elastic=1.6, grid=8):
    """Distort each image by a random affine map and a random smooth displacement of its pixels.

    Parameters
    ----------
    X : ndarray of uint8, float32 or float64, shape (N, C, H, W)
        Images.
    rng : numpy.random.Generator
    rotation : float, default 10.0
        Largest angle, in degrees.
    scale, shear : float, default 0.12
        Largest relative change of height and of width, and largest shear.
    shift : float, default 1.5
        Largest shift in each direction, in pixels.
    elastic : float, default 1.6
        Standard deviation of the displacement that is drawn at each point of the grid, in pixels.
        Smoothing between the points leaves about half of it.
    grid : int, default 8
        The displacement is a smooth surface over grid x grid points, at least 4 x 4.

    Returns
    -------
    ndarray of float, shape (N, C, H, W)
        float32 for uint8, otherwise of X's dtype.

    Notes
    -----
    A pixel at p (row and column, counted from the centre) gets the value of the old image at::

        q = A p + s + D(p),   A = rotation . shear . scaling

    interpolated linearly between the four pixels around q, and 0 outside. A, the shift s and the
    displacement D are drawn again for each image, all uniformly but D, which is a cubic B-spline
    surface with normal coefficients (Simard et al. 2003 smooth a displacement of each pixel with a
    Gaussian, to the same effect).
    """
    _check_images("distort", X)
    check_kind("distort", np.random.Generator, "a numpy.random.Generator", rng=rng)
    amounts = {"rotation": rotation, "scale": scale, "shear": shear, "shift": shift}
    check_number("distort", **amounts, elastic=elastic)
    check_integer("distort", 4, grid=grid)
    n, _, height, width = X.shape
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)

    # q is linear in what is drawn: one matrix product gives it for all pixels of all images.
    largest = np.array([[np.deg2rad(rotation)], [shear], [scale], [scale]])
    angle, shears, *scales = largest * rng.uniform(-1, 1, (4, n))
    cos, sin, (down, across) = np.cos(angle), np.sin(angle), 1 + np.array(scales)
    affine = [
        [cos * down, (cos * shears - sin) * across],
        [sin * down, (sin * shears + cos) * across],
    ]
    drawn = np.empty((2, n, 3 + grid**2), dtype)
    drawn[:, :, :2] = np.transpose(affine, (0, 2, 1))
    drawn[:, :, 2] = rng.uniform(-shift, shift, (2, n))
    drawn[:, :, 3:] = elastic * rng.standard_normal((2, n, grid**2), dtype=np.float32)
    rows, columns = drawn @ displacement_basis(height, width, grid, dtype)

    return interpolate(X, rows, columns, dtype)


def adversarial(X, rng, *, net, size=1.0):
    """Move each example a fixed distance in the direction in which the loss grows fastest.

    x + size g / |g|, where g is the gradient of the loss with respect to x for the class that the
    network in training predicts (Goodfellow et al. 2015, who take the sign of g; Miyato et al. 2016
    its direction, as here; Kurakin et al. 2017 the network's class in place of the label). size is
    the distance in the Euclidean norm; rng is not used, as nothing here is random. Training on such
    examples makes the network's answer change less with its input.

    The result has X's shape, as float32 for uint8, otherwise X's dtype; its pixels may leave the
    range of 0.0 to 1.0. X may be whatever the network takes.
    """
    check_number("adversarial", size=size)
    check_callable("adversarial", **{"net.input_gradient": getattr(net, "input_gradient", None)})
    direction = net.input_gradient(X)
    # In float64, as the squares of the small gradient of a sure answer are no float32.
    axes = tuple(range(1, direction.ndim))
    length = np.sqrt(np.square(direction, dtype=np.float64).sum(axis=axes, keepdims=True))
    direction *= np.divide(size, length, out=np.zeros_like(length), where=length > 0)
    if X.dtype == np.uint8:
        return np.multiply(X, 1 / 255, dtype=np.float32) + direction.astype(np.float32, copy=False)
    return X + direction.astype(X.dtype, copy=False)


def deskew(X, *, width=3.6):
    """Set each digit upright, and bring its width halfway to the usual one: X's shape and dtype.

    The usual width is given as the standard deviation of a digit's columns, in pixels; 3.6 is about
    the median of MNIST's upright digits. With the ink as weights, let r, c be the mean row and
    column of an image, V_r, V_c and V_rc their variances and covariance. Each row is shifted so
    that it is centred where the regression of columns on rows says, which leaves a covariance of 0
    (LeCun et al. 1998b call such digits deslanted). It is stretched by 1 / k around that. The pixel
    at (r + y, c + x) gets the old value at::

        (r + y, c + k x + V_rc / V_r y),   k^2 = sqrt(V_c - V_rc^2 / V_r) / width

    with k at least 2/3 and at most 3/2. Differences between columns become smaller by the root, as
    the rest of them tells a 1 from a 0. An image without any ink stays as it is; numbers that are
    negative or not finite are a ValueError.
    """
    _check_images("deskew", X)
    check_number("deskew", positive=True, width=width)
    if X.size and not (X.min() >= 0 and X.max() < np.inf):  # NaN fails both
        raise ValueError(f"deskew: X must be finite and >= 0, got {X.min()} to {X.max()}")
    batches = [deskew_batch(X[i : i + BATCH], width) for i in range(0, len(X), BATCH)]
    return np.concatenate([X[:0], *batches])


def deskew_batch(X, width):
    """Do what `deskew` does to images that are few enough to be changed at once."""
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)
    rows, columns = (np.arange(size, dtype=dtype) - (size - 1) / 2 for size in X.shape[2:])
    ink = X.sum(axis=1, dtype=dtype)
    total = ink.sum(axis=(1, 2), keepdims=True)
    ink /= np.where(total > 0, total, 1)

    by_row, by_column = ink.sum(axis=2), ink.sum(axis=1)
    row, column = by_row @ rows, by_column @ columns
    var_rows, var_columns = by_row @ rows**2 - row**2, by_column @ columns**2 - column**2
    covariance = np.einsum("nij,i,j->n", ink, rows, columns) - row * column
    slant = np.divide(covariance, var_rows, out=np.zeros_like(row), where=var_rows > LEAST_VARIANCE)
    sigma = np.sqrt(np.maximum(var_columns - slant * covariance, 0))
    k = np.sqrt(sigma / width).clip(*STRETCH)

    y, x = rows - row[:, None], columns - column[:, None]
    from_columns = (column + k * x.T).T[:, None] + (slant * y.T).T[:, :, None]
    from_rows = np.zeros_like(from_columns) + rows[:, None]
    out = interpolate(X, from_rows.reshape(len(X), -1), from_columns.reshape(len(X), -1), dtype)
    return np.rint(255 * out).astype(np.uint8) if X.dtype == np.uint8 else out


def shift(X, *, rows=0, columns=0):
    """Move each image down and to the right by whole pixels, with 0 where nothing comes in."""
    _check_images("shift", X)
    down, across = abs(rows), abs(columns)
    padded = np.pad(X, ((0, 0), (0, 0), (down, down), (across, across)))
    top, left = down - rows, across - columns
    return padded[:, :, top : top + X.shape[2], left : left + X.shape[3]].copy()


@lru_cache
def displacement_basis(height, width, grid, dtype):
    """Return what q of `distort` is linear in: row, column, 1, each grid point (3 + grid^2, H W).

    A point of the grid acts on the pixels around it with the weights of a cubic B-spline.
    """
    down, across = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    rows, columns = np.meshgrid(down, across, indexing="ij")
    # The weight of each point of the grid for each pixel of an axis, by distance. The outermost
    # points lie outside the image, so that every pixel has two on each side.
    splines = []
    for size in (height, width):
        distance = abs(np.linspace(1, grid - 2, size)[:, None] - np.arange(grid))
        near, far = (4 - 6 * distance**2 + 3 * distance**3) / 6, (2 - distance) ** 3 / 6
        splines.append(np.where(distance < 1, near, np.where(distance < 2, far, 0)))
    parts = [rows.ravel(), columns.ravel(), np.ones(rows.size), np.kron(*splines).T]
    return np.vstack(parts).astype(dtype)


def interpolate(X, rows, columns, dtype):
    """Return the images X at places (N, H * W), counted from the centre, in pixels."""
    n, channels, height, width = X.shape
    # A border of 0 on all sides; a place further out than that counts as on it.
    padded = np.zeros((n, channels, height + 3, width + 3), dtype)
    inside = padded[:, :, 1 : height + 1, 1 : width + 1]
    np.multiply(X, 1 / 255 if X.dtype == np.uint8 else 1, out=inside, casting="same_kind")
    rows = np.clip(rows + (height + 1) / 2, 0, height + 1, out=rows)
    columns = np.clip(columns + (width + 1) / 2, 0, width + 1, out=columns)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    rows -= top
    columns -= left
    down, across = rows[:, None], columns[:, None]
    images = np.arange(n * channels).reshape(n, channels, 1) * ((height + 3) * (width + 3))
    index = images + (top * (width + 3) + left)[:, None]

    def along_row(index):
        """Return the value between the pixel at the index and the next one to the right."""
        value, right = (padded.reshape(-1).take(i, mode="clip") for i in (index, index + 1))
        return value + across * (right - value)

    above, below = along_row(index), along_row(index + width + 3)
    return (above + down * (below - above)).reshape(X.shape)


def _check_images(function, X):
    if not is_exact_ndarray(X) or X.dtype not in DTYPES or X.ndim != 4:
        got = f"{type(X).__name__} {getattr(X, 'shape', '')} {getattr(X, 'dtype', '')}"
        raise TypeError(f"{function}: X must be (N, C, H, W), uint8, float32 or float64, got {got}")
