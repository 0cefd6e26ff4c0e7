"""Checks of the layers: what the judge asks of each function, and which errors it knows."""

import numpy as np

import conv
import layers
from course.grader.compare import describe, gradients, same, unpack
from course.grader.student import CodeError

FC_CASES = [((4, 2, 3), (6, 5)), ((1, 7), (7, 3)), ((3, 4), (4, 1))]
ELEMENTWISE_CASES = [(4, 5), (2, 3, 2)]
# Images, masks, stride, padding.
CONV_CASES = [
    ((2, 3, 5, 4), (4, 3, 3, 2), 1, 0),
    ((1, 2, 6, 7), (3, 2, 3, 3), 2, 1),
    ((2, 1, 4, 4), (2, 1, 2, 3), 1, 2),
]
# Images, window, stride: apart, over each other, not whole at the border.
POOL_CASES = [((2, 2, 4, 6), (2, 2), 2), ((1, 2, 5, 5), (3, 2), 1), ((2, 1, 5, 4), (2, 2), 3)]


class Layer:
    """A pair of functions of a module: how its inputs are drawn, and its typical errors.

    Subclasses have ``cases``, ``draw(case, rng)``, which returns the arrays that have gradients and
    the arguments that have none, and the errors as `same` takes them.
    """

    cases = ()

    def __init__(self, module, forward, backward, inputs):
        self.module = module.__name__
        self.names = forward, backward
        self.forward, self.backward = getattr(module, forward), getattr(module, backward)
        self.gradients = ["d" + name for name in inputs]

    def forward_errors(self, arrays, rest, expected):
        return ()

    def backward_errors(self, arrays, rest, dout, expected):
        return {}

    def call_forward(self, student, arrays, rest):
        name = f"{self.module}.{self.names[0]}"
        return unpack(self.names[0], student(name, *arrays, *rest), ("out", "cache"))

    def check_forward(self, student, rng):
        for case in self.cases:
            arrays, rest = self.draw(case, rng)
            out, _ = self.call_forward(student, arrays, rest)
            expected, _ = self.forward(*arrays, *rest)
            same("out", out, expected, self.forward_errors(arrays, rest, expected))

    def call_backward(self, student, arrays, rest, dout, **options):
        try:
            _, cache = self.call_forward(student, arrays, rest)
        except CodeError as error:
            raise CodeError(f"needs the cache of {self.names[0]}: {error}") from error
        student("forgive")
        result = student(f"{self.module}.{self.names[1]}", dout, cache, **options)
        return unpack(self.names[1], result, self.gradients)

    def check_backward(self, student, rng):
        for case in self.cases:
            arrays, rest = self.draw(case, rng)
            out, cache = self.forward(*arrays, *rest)
            seed = int(rng.integers(2**32))
            dout = np.random.default_rng(seed).standard_normal(out.shape)
            got = self.call_backward(student, arrays, rest, dout)
            expected = self.backward(dout, cache)
            expected = expected if isinstance(expected, tuple) else (expected,)
            gradients(
                lambda *x, rest=rest: self.forward(*x, *rest),
                arrays,
                dict(zip(self.gradients, got, strict=True)),
                dict(zip(self.gradients, expected, strict=True)),
                seed,
                self.backward_errors(arrays, rest, dout, expected),
            )

    def check_dtype(self, student, rng, *, backward):
        """float32 stays float32."""
        arrays, rest = self.draw(self.cases[0], rng)
        arrays = [a.astype(np.float32) for a in arrays]
        out, _ = self.forward(*arrays, *rest)
        if backward:
            got = self.call_backward(student, arrays, rest, np.ones_like(out))
            names = self.gradients
        else:
            got, names = self.call_forward(student, arrays, rest)[:1], ["out"]
        for name, value in zip(names, got, strict=True):
            if getattr(value, "dtype", None) != np.float32:
                raise CodeError(f"{name} must be of float32 for such inputs, got {describe(value)}")

    def check_need_dx(self, student, rng):
        """need_dx=False leaves dx out."""
        arrays, rest = self.draw(self.cases[0], rng)
        out, cache = self.forward(*arrays, *rest)
        dx, *got = self.call_backward(student, arrays, rest, np.ones_like(out), need_dx=False)
        if dx is not None:
            raise CodeError(f"with need_dx=False dx must be None, got {describe(dx)}")
        _, *expected = self.backward(np.ones_like(out), cache)
        for name, value, right in zip(self.gradients[1:], got, expected, strict=True):
            same(f"with need_dx=False {name}", value, right)


class FullyConnected(Layer):
    cases = FC_CASES

    def draw(self, case, rng):
        shape, weights = case
        return [rng.standard_normal(s) for s in (shape, weights, weights[1:])], []

    def forward_errors(self, arrays, rest, expected):
        _, _, b = arrays
        return [
            ("lacks the bias b", lambda: expected - b),
            ("has b subtracted instead of added", lambda: expected - 2 * b),
        ]

    def backward_errors(self, arrays, rest, dout, expected):
        x, _, _ = arrays
        dx, dw, db = expected
        return {
            "dx": [
                ("must have x's shape, not that of x flattened", lambda: dx.reshape(len(x), -1))
            ],
            "dw": [
                ("is transposed: it must have w's shape", lambda: dw.T),
                ("is the mean over the batch, not the sum", lambda: dw / len(x)),
            ],
            "db": [
                ("is summed over the wrong axis: it has one number a column", lambda: dout.sum(1)),
                ("is not summed over the batch", lambda: dout),
                ("is the mean over the batch, not the sum", lambda: db / len(x)),
                ("must have b's shape (M,), not (1, M)", lambda: db[None]),
                ("is the sum of all of dout: sum over the batch only", dout.sum),
            ],
        }


class Elementwise(Layer):
    cases = ELEMENTWISE_CASES

    def draw(self, case, rng):
        return [2 * rng.standard_normal(case)], []

    def forward_errors(self, arrays, rest, expected):
        [x] = arrays
        return [("is the input", lambda: x), ("is the input's size", lambda: np.abs(x))]

    def backward_errors(self, arrays, rest, dout, expected):
        [x], [dx] = arrays, expected
        with np.errstate(all="ignore"):
            slope = dx / dout
        out, _ = self.forward(x)
        return {
            "dx": [
                ("goes by the sign of dout: what decides is the sign of x",
                 lambda: dout * (dout > 0)),
                ("is the slope alone: multiply it by dout", lambda: slope),
                ("is dout itself", lambda: dout),
                ("takes the formula in x where its letter means the output",
                 lambda: dout * (x * (1 - x) if "sigmoid" in self.names[1] else 1 - x**2)),
                ("lacks the square", lambda: dout * (1 - out)),
            ]
        }  # fmt: skip

    def check_extremes(self, student, rng):
        """Numbers so large that e^x overflows, of both signs."""
        x = np.array([[-1e30, -1e4, -800.0, 800.0, 1e4, 1e30]])
        out, _ = self.call_forward(student, [x], [])
        same("out of very large numbers", out, self.forward(x)[0])


class Convolution(Layer):
    cases = CONV_CASES

    def draw(self, case, rng):
        images, masks, stride, pad = case
        arrays = [rng.standard_normal(s) for s in (images, masks, masks[:1])]
        return arrays, [{"stride": stride, "pad": pad}]

    def forward_errors(self, arrays, rest, expected):
        (x, w, b), [param] = arrays, rest

        def other(w=w, **change):
            return self.forward(x, w, b, param | change)[0]

        return [
            ("lacks the biases b", lambda: expected - b[:, None, None]),
            ("has the mask flipped: here the mask is not flipped",
             lambda: other(w[:, :, ::-1, ::-1])),
            ("ignores the stride", lambda: other(stride=1)),
            ("ignores the stride where the mask lies, not in its shape",
             lambda: other(stride=1)[:, :, : expected.shape[2], : expected.shape[3]]),
            ("ignores the padding", lambda: other(pad=0)),
            ("has one row and column too few", lambda: expected[:, :, :-1, :-1]),
            ("sees the first channel only", lambda: self.forward(x[:, :1], w[:, :1], b, param)[0]),
        ]  # fmt: skip

    def backward_errors(self, arrays, rest, dout, expected):
        (x, w, _), [param] = arrays, rest
        dx, dw, db = expected
        pad = param["pad"]

        def is_padded():
            image = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
            cache = self.forward(image, w, np.zeros(len(w)), param | {"pad": 0})[1]
            return self.backward(dout, cache)[0]

        return {
            "dx": [
                ("still has the padding: cut it off", is_padded),
                ("has the padding cut off twice", lambda: dx[:, :, pad:-pad, pad:-pad]),
            ],
            "dw": [
                ("is flipped: here the mask is not flipped", lambda: dw[:, :, ::-1, ::-1]),
                ("is the mean over the images, not the sum", lambda: dw / len(x)),
            ],
            "db": [
                ("is summed over the wrong axes: it has one number a mask",
                 lambda: dout.sum(axis=(1, 2, 3))),
                ("is not summed over the images", lambda: dout.sum(axis=(2, 3))),
                ("is the mean over the images, not the sum", lambda: db / len(x)),
            ],
        }  # fmt: skip


class Pooling(Layer):
    cases = POOL_CASES

    def draw(self, case, rng):
        shape, (height, width), stride = case
        x = rng.permutation(1.0 * np.arange(np.prod(shape))).reshape(shape) / 10
        return [x], [{"pool_height": height, "pool_width": width, "stride": stride}]

    def forward_errors(self, arrays, rest, expected):
        [x], [param] = arrays, rest
        return [
            ("is the mean of the windows, not the maximum", lambda: self.means(x, param)),
            ("has one row and column too few", lambda: expected[:, :, :-1, :-1]),
            ("ignores the stride", lambda: self.forward(x, param | {"stride": 1})[0]),
        ]

    @staticmethod
    def means(x, param):
        height, width, stride = param["pool_height"], param["pool_width"], param["stride"]
        views = np.lib.stride_tricks.sliding_window_view(x, (height, width), (2, 3))
        return np.mean(views[:, :, ::stride, ::stride], axis=(4, 5))

    def backward_errors(self, arrays, rest, dout, expected):
        [x], [param] = arrays, rest
        return {
            "dx": [
                ("has, where windows overlap, the gradient of the last window only: add them up",
                 lambda: self.spread(x, param, dout, add=False)),
                ("has the gradient in every pixel of the window",
                 lambda: self.spread(np.zeros_like(x), param, dout)),
            ]
        }  # fmt: skip

    @staticmethod
    def spread(x, param, dout, *, add=True, ties="first"):
        """The gradient as a wrong layer may compute it: not added up, or shared on ties."""
        height, width, stride = param["pool_height"], param["pool_width"], param["stride"]
        dx = np.zeros_like(x)
        for n, c, i, j in np.ndindex(dout.shape):
            where = np.s_[n, c, stride * i : stride * i + height, stride * j : stride * j + width]
            is_largest = x[where] == x[where].max()
            share = dout[n, c, i, j] * is_largest / (is_largest.sum() if ties == "shared" else 1)
            if add:
                dx[where] += share
            else:
                dx[where] = np.where(is_largest, share, dx[where])
        return dx

    def check_ties(self, student, rng):
        """On a tie the first of the largest, in row-major order, gets all of the gradient."""
        x = rng.integers(0, 2, (2, 2, 4, 4)).astype(float)
        rest = [{"pool_height": 2, "pool_width": 2, "stride": 2}]
        out, cache = self.forward(x, *rest)
        dout = rng.standard_normal(out.shape)
        [dx] = self.call_backward(student, [x], rest, dout)
        errors = [
            ("is shared between them", lambda: self.spread(x, *rest, dout, ties="shared")),
            ("goes to each of them", lambda: self.spread(x, *rest, dout, ties="all")),
        ]
        same("where pixels tie, dx", dx, self.backward(dout, cache), errors)


def softmax_values(student, rng):
    for n, c in ((4, 10), (1, 3), (5, 2)):
        x, y = rng.standard_normal((n, c)), rng.integers(0, c, n)
        loss, dx = unpack("softmax_loss", student("layers.softmax_loss", x, y), ("loss", "dx"))
        right, gradient = layers.softmax_loss(x, y)
        true = np.eye(c)[y]
        same("loss", loss, right, [
            ("is the sum over the examples: divide it by N", lambda n=n, right=right: n * right),
            ("has the wrong sign", lambda right=right: -right),
            ("is the loss of each example: take their mean",
             lambda x=x, y=y: np.array([layers.softmax_loss(r[None], y[i : i + 1])[0]
                                        for i, r in enumerate(x)])),
        ])  # fmt: skip
        same("dx", dx, gradient, [
            ("is not divided by N, as the loss is", lambda n=n, g=gradient: n * g),
            ("lacks the 1 that is subtracted at the label",
             lambda n=n, g=gradient, t=true: g + t / n),
            ("has the 1 of the label added, not subtracted",
             lambda n=n, g=gradient, t=true: g + 2 * t / n),
            ("has the 1 of the label subtracted after the division by N",
             lambda n=n, g=gradient, t=true: g + t / n - t),
            ("has the wrong sign", lambda g=gradient: -g),
        ])  # fmt: skip


def softmax_extremes(student, rng):
    """Scores so large that e^s overflows."""
    x, y = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 5e3]]), np.array([1, 0])
    loss, dx = unpack("softmax_loss", student("layers.softmax_loss", x, y), ("loss", "dx"))
    right, gradient = layers.softmax_loss(x, y)
    hint = ": subtract the largest score of each example from its scores before e^s"
    for name, got, expected in (("loss", loss, right), ("dx", dx, gradient)):
        try:
            same(f"{name} of scores around 10,000", got, expected)
        except CodeError as error:
            raise CodeError(f"{error}{hint}") from error


def softmax_dtype(student, rng):
    """float32 stays float32."""
    x = rng.standard_normal((4, 3)).astype(np.float32)
    _, dx = unpack(
        "softmax_loss", student("layers.softmax_loss", x, np.array([0, 1, 2, 0])), ("loss", "dx")
    )
    if getattr(dx, "dtype", None) != np.float32:
        raise CodeError(f"dx must be of float32 for such scores, got {describe(dx)}")


FC = FullyConnected(layers, "fc_forward", "fc_backward", ["x", "w", "b"])
RELU, SIGMOID, TANH = (
    Elementwise(layers, f"{name}_forward", f"{name}_backward", ["x"])
    for name in ("relu", "sigmoid", "tanh")
)
CONV = Convolution(conv, "conv_forward_naive", "conv_backward_naive", ["x", "w", "b"])
POOL = Pooling(conv, "max_pool_forward_naive", "max_pool_backward_naive", ["x"])
