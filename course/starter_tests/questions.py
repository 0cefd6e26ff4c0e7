"""What is asked of each function of the assignment: `CHECKS`.

A check asks questions (see `asked`), which it draws from a generator of random numbers: for the
autograder one that follows from what is handed in, for the tests always the same.
"""

from collections import namedtuple
from functools import partial

import numpy as np

# Tolerances of arrays, relative to the largest number that is expected.
ROUNDING, LOOSE = 1e-10, 1e-7
EXACT = 1e-12  # numerical gradients are not as exact
# A check's name stands in messages. dtype says that dtypes are compared too.
Check = namedtuple("Check", "name questions tolerance dtype", defaults=(ROUNDING, False))
# Layers of a Network of 6 inputs.
NET = [["FC", 5], ["BatchNorm"], ["Activation", "relu"], ["Dropout", 0.4], ["FC", 4],
       ["Activation", "tanh"], ["FC", 3]]  # fmt: skip
BEFORE = [["Activation", "tanh"], ["Dropout", 0.2], ["FC", 4], ["LayerNorm"], ["FC", 3]]


# A case draws the inputs of a layer.


def _fc(x, w):
    shapes = {"x": x, "w": w, "b": w[1:]}
    return lambda rng: {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def _elementwise(shape):
    """Small and large numbers, and a 0."""

    def draw(rng):
        x = rng.standard_normal(shape) * 10 ** rng.uniform(-2, 1, shape)
        x.flat[x.size // 2] = 0
        return {"x": x}

    return draw


def _large_numbers(rng):
    """Numbers of both signs, of which e^x overflows."""
    return {"x": np.array([[-1.0, 1.0]]) * 10 ** rng.uniform(3, 30, (4, 1))}


def _conv(x, w, stride, pad):
    shapes = {"x": x, "w": w, "b": w[:1]}
    param = {"conv_param": {"stride": stride, "pad": pad}}
    return lambda rng: {name: rng.standard_normal(s) for name, s in shapes.items()} | param


def _pool(shape, height, width, stride, ties=False):
    """Pixels that are all different, nine of ten negative; or many that are the same."""
    param = {"pool_height": height, "pool_width": width, "stride": stride}
    size = int(np.prod(shape))

    def draw(rng):
        x = rng.integers(-1, 1, size) if ties else rng.permutation(size) - 0.9 * size
        return {"x": x.reshape(shape) / 10, "pool_param": param}

    return draw


def _scores(n, c):
    return lambda rng: {"x": rng.standard_normal((n, c)), "y": rng.integers(0, c, n)}


def _large_scores(rng):
    """Rows of very large, of very small and of both kinds of scores."""
    x = rng.uniform(-1e4, 1e4, (6, 3)) + np.repeat([[2e4], [-2e4], [0]], 2, axis=0)
    return {"x": x, "y": rng.integers(0, 3, 6)}


def _shape_of_out(inputs):
    x, w = inputs["x"], inputs.get("w")
    param = {"pad": 0, **inputs.get("conv_param", inputs.get("pool_param", {}))}
    if "stride" in param:
        window = (param["pool_height"], param["pool_width"]) if w is None else w.shape[2:]
        spaces = [i + 2 * param["pad"] - k for i, k in zip(x.shape[2:], window, strict=True)]
        sizes = [1 + space // param["stride"] for space in spaces]
        return len(x), x.shape[1] if w is None else len(w), *sizes
    return x.shape if w is None else (len(x), w.shape[1])


# From cases to questions.


def _calls(name, *cases, outputs=("out", "cache")):
    return lambda rng: [("call", name, case(rng), outputs) for case in cases]


def _backwards(name, *cases, large=None, **options):
    def questions(rng):
        for case in [*cases, *([large] if large else [])]:
            inputs, seed = case(rng), int(rng.integers(2**32))
            dout = np.random.default_rng(seed).standard_normal(_shape_of_out(inputs))
            question = "backward", name, inputs, {"dout": dout, "seed": seed}, options
            yield ("along", seed, *question) if case is large else question

    return questions


def _each(questions, *before):
    """Return the questions with arguments before each."""
    return lambda rng: [(*before, *question) for question in questions(rng)]


def _single(questions):
    """Return the questions with arrays of float32."""

    def cast(value):
        if isinstance(value, dict):
            return {key: cast(item) for key, item in value.items()}
        is_double = getattr(value, "dtype", None) == np.float64
        return value.astype(np.float32) if is_double else value

    return lambda rng: [tuple(map(cast, question)) for question in questions(rng)]


def _usual(questions):
    """Return the checks that every layer has."""
    return [
        Check("float32 stays float32", _single(questions), dtype=True),
        Check("inputs stay as they are", _each(questions, "kept")),
    ]


def _pair(module, names, cases, large, forward=(), backward=()):
    """Return the checks of both functions of a layer, by name."""
    first, second = names
    f, b = (f"{module}.{name}" for name in names)
    backward = [Check(name, _backwards(b, *cases, **options)) for name, cases, options in backward]
    values = Check("values", _backwards(b, *cases, large=large), EXACT)
    return {
        first: [
            Check("values", _calls(f, *cases)),
            *(Check(name, _calls(f, *cases)) for name, cases in forward),
            *_usual(_calls(f, cases[0])),
        ],
        second: [values, *backward, *_usual(_backwards(b, cases[0]))],
    }


def _networks(method, *cases):
    """Return questions about networks; a case is a list of layers and, with rng, the arguments."""
    return lambda rng: [(method, layers, *arguments(rng)) for layers, arguments in cases]


def _forward(layers, training=False, dtype="float64", draw=None):
    draw = draw or (lambda rng: rng.standard_normal((5, 6)))
    return layers, lambda rng: ({"X": draw(rng)}, {"dtype": dtype}, training)


def _backward(layers, absent=(), need_dx=False):
    dout = {"dtype": "float64"}, list(absent), need_dx
    return layers, lambda rng: ({"dout": rng.standard_normal((5, 3))}, *dout)


def _loss(reg, labels=True, training=None, dtype="float64"):
    """scores are the same with and without training, where that is None."""

    def arguments(rng):
        X, scores, others = (rng.standard_normal(shape) for shape in ((5, 6), (5, 3), (5, 3)))
        inputs = {"X": X} | ({"y": rng.integers(0, 3, 5)} if labels else {})
        others = scores if training is None else others
        scores = {"training=False": scores, "training=True": others}
        return inputs, {"reg": reg, "dtype": dtype}, scores

    return NET, arguments


def _pixels(rng):
    return rng.integers(0, 256, (4, 2, 3)).astype(np.uint8)


def _makes(*cases):
    def questions(rng):
        for hidden, options in cases:
            yield "make", {"hidden_dim": hidden}, {"input_dim": 12, "num_classes": 4, **options}

    return questions


_LISTS = _makes(
    ([7], {}), ([], {}), ([7, 6, 5], {"activation": "tanh"}),
    ([7, 6], {"activation": "sigmoid", "dropout": 0.4, "normalization": "batchnorm"}),
    ([6, 7], {"activation": "linear", "dropout": 0.3, "normalization": "layernorm"}),
)  # fmt: skip
_SETTINGS = _makes(
    ([7, 6], {"weight_scale": 0.3, "reg": 0.2, "dtype": "float64", "seed": 3}),
    ([5], {"weight_scale": "lecun", "dtype": "float32", "seed": 4}),
)
_NEED_DX = "need_dx=False"
_FLOOR = "a last window that does not fit is left out (sizes are rounded down)"
_LARGE = "very large numbers"
_ELEMENTWISE = [_elementwise((4, 5)), _elementwise((2, 3, 2))], _elementwise((400, 500))
_FC = [_fc((4, 2, 3), (6, 5)), _fc((1, 7), (7, 3)), _fc((3, 4), (4, 1)), _fc((4, 4), (4, 4))]
_CONV = [_conv((2, 3, 5, 4), (4, 3, 3, 2), 1, 0), _conv((1, 2, 7, 5), (3, 2, 3, 3), 2, 1),
         _conv((2, 1, 4, 4), (2, 1, 2, 3), 1, 2)]  # fmt: skip
_CONV_MISFIT = [_conv((1, 2, 6, 7), (3, 2, 3, 2), 2, 0), _conv((1, 1, 6, 5), (2, 1, 3, 3), 3, 1)]
_POOL = [_pool((2, 2, 4, 6), 2, 2, 2), _pool((1, 2, 5, 5), 3, 2, 1), _pool((2, 1, 4, 7), 2, 3, 2)]
_POOL_MISFIT = [_pool((2, 1, 5, 4), 2, 2, 3), _pool((1, 2, 6, 7), 3, 2, 2)]
_TIES = [_pool((2, 2, 4, 4), 2, 2, 2, ties=True), _pool((1, 2, 4, 5), 2, 3, 1, ties=True)]
_SOFTMAX = partial(_calls, "layers.softmax_loss", outputs=("loss", "dx"))

# By part: the first check decides whether it has points, each of the others is for a fifth of them.
CHECKS = {
    **_pair("layers", ("fc_forward", "fc_backward"), _FC, _fc((2, 600), (600, 500)),
            backward=[(_NEED_DX, _FC[:1], {"need_dx": False})]),
    **_pair("layers", ("relu_forward", "relu_backward"), *_ELEMENTWISE),
    **_pair("layers", ("sigmoid_forward", "sigmoid_backward"), *_ELEMENTWISE,
            [(_LARGE, [_large_numbers])]),
    **_pair("layers", ("tanh_forward", "tanh_backward"), *_ELEMENTWISE,
            [(_LARGE, [_large_numbers])]),
    "softmax_loss": [
        Check("values", lambda rng: [
            *_SOFTMAX(_scores(4, 10), _scores(1, 3), _scores(5, 2), _scores(3, 3))(rng),
            *_each(_SOFTMAX(_scores(100, 500)), "along", 0)(rng),
        ], LOOSE),
        Check(_LARGE, _SOFTMAX(_large_scores), LOOSE), *_usual(_SOFTMAX(_scores(4, 3))),
    ],
    "FullyConnectedNet.__init__": [
        Check("values", _each(_LISTS, "only", "the list")),
        Check("weight_scale, reg, dtype and seed reach the network", _SETTINGS, dtype=True),
        Check("inputs stay as they are", _each(_LISTS, "kept")),
    ],
    "Network.forward": [
        Check("values", _each(_networks("net_forward", _forward(NET), _forward(BEFORE)),
                              "only", "scores")),
        Check("the list of (pair, cache)", _each(
            _networks("net_forward", _forward(NET), _forward(NET, True)), "only", "caches")),
        Check("training=True", _each(
            _networks("net_forward", _forward(NET, True), _forward(BEFORE, True)),
            "only", "scores")),
        Check("pixels and other dtypes, which self._as_floats takes", _each(_networks(
            "net_forward", _forward(NET, draw=_pixels), _forward(NET, dtype="float32")),
            "only", "scores"), dtype=True),
        Check("inputs stay as they are", _each(
            _networks("net_forward", _forward(NET, True)), "kept")),
    ],
    "Network.backward": [
        Check("values", _each(_networks(
            "net_backward", _backward(NET), _backward(NET, [3]), _backward(BEFORE)),
            "only", "grads")),
        Check("dx where need_dx is True, and only there", _each(_networks(
            "net_backward", _backward(NET, need_dx=True), _backward(BEFORE, [1], need_dx=True),
            _backward(NET)), "only", "dx")),
        Check("inputs stay as they are", _each(
            _networks("net_backward", _backward(NET)), "kept")),
    ],
    "Network.loss": [
        Check("values", _networks(
            "net_loss", _loss(0.0), _loss(0.3, labels=False), _loss(0.3))),
        Check("training=True with labels, and only then", _networks(
            "net_loss", _loss(0.0, training=True), _loss(0.0, labels=False, training=True))),
        Check("float32 stays float32", _single(
            _networks("net_loss", _loss(0.3, dtype="float32"))), dtype=True),
        Check("inputs stay as they are", _each(_networks("net_loss", _loss(0.3)), "kept")),
    ],
    **_pair("conv", ("conv_forward_naive", "conv_backward_naive"), _CONV,
            _conv((1, 1, 400, 500), (1, 1, 2, 2), 10, 0), [(_FLOOR, _CONV_MISFIT)],
            [(_FLOOR, _CONV_MISFIT, {}), (_NEED_DX, _CONV[:1], {"need_dx": False})]),
    **_pair("conv", ("max_pool_forward_naive", "max_pool_backward_naive"), _POOL,
            _pool((1, 1, 400, 500), 2, 2, 10), [(_FLOOR, _POOL_MISFIT)],
            [(_FLOOR, _POOL_MISFIT, {}), ("where pixels tie", _TIES, {})]),
}  # fmt: skip


def generator(part, number, seed=0):
    """Return the random numbers of a check, by its place in the list."""
    return np.random.default_rng([seed, number, *part.encode()])
