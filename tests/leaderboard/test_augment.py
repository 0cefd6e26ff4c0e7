"""Changed images: references, exact special cases, statistics, bad input."""

import numpy as np
import pytest
from scipy import ndimage, special
from scipy.interpolate import BSpline

from fc_net import FullyConnectedNet
from leaderboard.augment import adversarial, deskew, displacement_basis, distort, interpolate, shift

NET = FullyConnectedNet(64, [5], 4, seed=0)
NONE = dict.fromkeys(("rotation", "scale", "shear", "shift", "elastic"), 0)


@pytest.fixture
def digits(rng):
    """Blobs with an empty border, as digits have."""
    X = np.zeros((6, 1, 28, 28), np.uint8)
    X[:, :, 6:22, 6:22] = rng.integers(0, 256, (6, 1, 16, 16))
    return X


DTYPES = np.uint8, np.float32, np.float64


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (3, 3, 9, 14), (2, 1, 1, 7)])
def test_no_distortion_is_the_identity(rng, shape, tmp_path):
    for dtype in DTYPES:
        X = np.memmap(tmp_path / "X", dtype, "w+", shape=shape)
        X[...] = rng.integers(0, 256, shape)
        out = distort(X, rng, **NONE)
        assert out.dtype == (np.float32 if dtype == np.uint8 else dtype)
        np.testing.assert_allclose(out, X / 255 if dtype == np.uint8 else X, atol=2e-3)


def test_interpolation_agrees_with_scipy(rng):
    X, (rows, columns) = rng.random((4, 2, 9, 12)), rng.uniform(-9, 9, (2, 4, 108))
    ours = interpolate(X, rows.copy(), columns.copy(), np.dtype(float)).reshape(4, 2, -1)
    for i, channel in np.ndindex(4, 2):
        places, mode = [rows[i] + 4, columns[i] + 5.5], "grid-constant"
        expected = ndimage.map_coordinates(X[i, channel], places, order=1, mode=mode)
        np.testing.assert_allclose(ours[i, channel], expected, atol=1e-12)


def test_basis_agrees_with_scipy():
    basis = displacement_basis(3, 5, 4, np.dtype(float)).reshape(-1, 3, 5)
    rows, columns = np.mgrid[-1:2, -2:3]
    np.testing.assert_array_equal(basis[:3], [rows, columns, np.ones((3, 5))])
    # The weight of a point along each axis.
    spline = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    down, across = np.linspace(1, 2, 3), np.linspace(1, 2, 5)
    for point, (i, j) in zip(basis[3:], np.ndindex(4, 4), strict=True):
        expected = np.outer(np.nan_to_num(spline(down - i)), np.nan_to_num(spline(across - j)))
        np.testing.assert_allclose(point, expected, atol=1e-15)


class Fixed(np.random.Generator):
    """A generator whose uniform numbers are the ends of the intervals, or given."""

    def __init__(self, *signs):
        super().__init__(np.random.PCG64())
        self.signs = np.array(signs, float)[:, None]

    def uniform(self, low, high, size):
        return np.broadcast_to(self.signs[: size[0]] * high, size)

    def standard_normal(self, size, dtype):
        return np.ones(size, dtype)


def test_exact_distortions(digits):
    for signs, amount, change in (
        ((1, 0, 0, 0), {"rotation": 90}, lambda X: np.rot90(X, -1, axes=(2, 3))),
        ((1, -1, 0, 0), {"shift": 3}, lambda X: np.roll(X, (-3, 3), axis=(2, 3))),
        ((0, 0, 0, 0), {"elastic": 2}, lambda X: np.roll(X, (-2, -2), axis=(2, 3))),
    ):
        out = distort(digits, Fixed(*signs), **{**NONE, **amount})
        np.testing.assert_allclose(out, change(digits) / 255, atol=1e-4)
    bars = np.zeros((1, 1, 29, 29))
    bars[:, :, 10:19, 12:17] = 1  # 9 high, 5 wide
    smaller = distort(bars, Fixed(0, 0, 1, 0), **{**NONE, "scale": 0.5})
    assert smaller[0, 0, :, 14].sum() == pytest.approx(9 / 1.5, abs=0.7)
    assert smaller[0, 0, 14].sum() == pytest.approx(5)


def test_each_image_has_its_own_and_the_seed_decides(digits):
    same, before = np.repeat(digits[:1], 4, axis=0), digits.copy()
    out, again, other = (distort(same, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (np.abs(out[1:] - out[0]).max(axis=(1, 2, 3)) > 0.1).all()
    np.testing.assert_array_equal(out, again)
    assert not np.array_equal(out, other)
    out = distort(np.repeat(digits, 20, axis=0), np.random.default_rng(0), elastic=5.0, shift=9.0)
    assert 0 <= out.min() < out.max() <= 1 + 1e-6
    np.testing.assert_array_equal(digits, before)
    assert distort(digits[:0], np.random.default_rng(0)).shape == (0, 1, 28, 28)


def moments(X):
    """Means of row and column, standard deviation of each, covariance, of single images' ink."""
    places, found = np.indices(X.shape[2:]).reshape(2, -1), []
    for ink in X.sum(axis=1).reshape(len(X), -1):
        cov = np.cov(places, aweights=ink, bias=True)
        found.append((*np.average(places, axis=1, weights=ink), *np.sqrt(np.diag(cov)), cov[0, 1]))
    return np.array(found).T


@pytest.fixture
def slanted():
    """Sheared ellipses, smooth, of several widths and places: (8, 2, 40, 36) from 0.0 to 1.0."""
    rows, columns, i = np.ogrid[-20:20, -18:18, :8]
    y = rows - i + 4
    x = (columns + i / 2 - 2 - np.linspace(-0.6, 0.6, 8) * y) / (2.5 + 0.4 * i)
    images = np.moveaxis(np.exp(-0.5 * (x**2 + (y / 5) ** 2)), 2, 0)
    return np.stack([images, images / 2], axis=1)


def test_deskew_sets_upright_and_brings_widths_nearer(slanted):
    before, after = moments(slanted), moments(deskew(slanted, width=4.0))
    assert np.abs(before[4]).max() > 5
    np.testing.assert_allclose(after[4], 0, atol=0.1)
    np.testing.assert_allclose(after[:2], before[:2], atol=0.05)
    np.testing.assert_allclose(after[2], before[2], rtol=0.02)
    upright_width = 2.5 + 0.4 * np.arange(8)
    np.testing.assert_allclose(after[3], np.sqrt(4.0 * upright_width), rtol=0.03)


def test_deskew_agrees_with_scipy(slanted):
    expected = np.empty_like(slanted)
    for i, (*centre, height, width, covariance) in enumerate(moments(slanted).T):
        slant = covariance / height**2
        stretch = np.sqrt(np.sqrt(width**2 - slant * covariance) / 3.6)
        matrix = np.array([[1, 0], [slant, stretch]])
        place = {"offset": centre - matrix @ centre, "order": 1, "mode": "grid-constant"}
        for channel, image in enumerate(slanted[i]):
            expected[i, channel] = ndimage.affine_transform(image, matrix, **place)
    np.testing.assert_allclose(deskew(slanted), expected, atol=1e-9)


def test_deskew_limits_the_stretch():
    X = np.zeros((1, 1, 28, 28))
    X[:, :, 4:24, 9:19] = 1
    for width, factor in (30.0, 1.5), (0.1, 1 / 1.5):
        before, after = moments(X)[3], moments(deskew(X, width=width))[3]
        assert after[0] == pytest.approx(before[0] * factor, rel=0.03)


@pytest.mark.parametrize("dtype", DTYPES)
def test_deskew_keeps_dtype_and_empty_images(slanted, dtype):
    X = np.concatenate([slanted, np.zeros_like(slanted[:1])])
    expected, scale = deskew(X), 255 if dtype == np.uint8 else 1
    X = (np.rint(scale * X) if dtype == np.uint8 else X).astype(dtype)
    out = deskew(X)
    assert out.dtype == dtype
    np.testing.assert_allclose(out / scale, expected, atol=0.02 if dtype == np.uint8 else 1e-3)
    assert not out[-1].any()
    assert deskew(X[:0]).shape == (0, 2, 40, 36)
    # Images do not depend on their neighbours, nor on how many are done at a time.
    many = deskew(np.concatenate([X] * 120))
    np.testing.assert_array_equal(many, np.concatenate([out] * 120))


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [(distort, "X", np.zeros((2, 784))), (distort, "rng", 0), (distort, "shift", -1),
     (deskew, "X", np.full((2, 1, 8, 8), np.nan)), (deskew, "width", 0),
     (adversarial, "size", -1), (adversarial, "net", len)],
)  # fmt: skip
def test_bad_input_is_named(function, name, value, rng):
    options = {deskew: {}, distort: {"rng": rng}, adversarial: {"rng": rng, "net": NET}}[function]
    with pytest.raises((TypeError, ValueError), match=rf": {name}\b"):
        function(**{"X": np.zeros((2, 1, 8, 8)), **options, name: value})


@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_example_is_where_the_loss_grows(rng, dtype):
    X = rng.integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)
    as_floats = (X / 255).astype(np.float32 if dtype == np.uint8 else dtype)
    X = X if dtype == np.uint8 else as_floats
    labels = NET.predict(X)

    def losses(X):  # for the class that each example is taken for
        return -special.log_softmax(NET.loss(X).astype(float), axis=1)[np.arange(50), labels]

    out = adversarial(X, rng, net=NET, size=0.01)
    assert (out.dtype, out.shape) == (as_floats.dtype, X.shape)
    distance = np.linalg.norm((out - as_floats).reshape(50, -1), axis=1)
    np.testing.assert_allclose(distance, 0.01, rtol=1e-2)
    for way in rng.standard_normal((5, 50, 64)):  # no other of the same length raises it more
        way *= 0.01 / np.linalg.norm(way, axis=1, keepdims=True)
        other = (as_floats + way.reshape(X.shape)).astype(as_floats.dtype)
        assert (losses(out) > losses(other)).all()


def test_adversarial_without_a_gradient_or_a_size(rng):
    net, X = FullyConnectedNet(4, [], 2, seed=0), rng.random((3, 4)).astype(np.float32)
    np.testing.assert_array_equal(adversarial(X, rng, net=net, size=0), X)
    # A gradient whose square is no float32 still has its direction; one of 0 has none.
    net.params["W1"][...] = [[1e-30, 0.0]]
    np.testing.assert_allclose(np.abs(adversarial(X, rng, net=net) - X), 0.5, rtol=1e-5)
    net.params["W1"][...] = 0
    np.testing.assert_array_equal(adversarial(X, rng, net=net), X)


def test_shift_agrees_with_scipy(rng):
    X = rng.integers(1, 256, (3, 2, 9, 12), dtype=np.uint8)
    for rows, columns in (0, 0), (2, -1), (-3, 5), (9, 0), (0, -12):
        out = shift(X, rows=rows, columns=columns)
        assert out.dtype == X.dtype
        np.testing.assert_array_equal(out, ndimage.shift(X, (0, 0, rows, columns), order=0))
