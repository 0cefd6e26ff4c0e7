"""What is asked of each function of the assignment: `CHECKS`.

A question (see `asked`) is drawn from a generator of random numbers: for the autograder one that
follows from what is handed in, for the tests always the same. So are the inputs of a layer.
"""

from collections import namedtuple
from functools import partial

import numpy as np

# Tolerances of arrays, relative to the largest number that is expected.
ROUNDING, LOOSE = 1e-10, 1e-7
EXACT = 1e-12  # numerical gradients are not as exact
# A check's name stands in messages. Of answers those names count that begin as `only` says; dtype
# says that dtypes are compared too.
Check = namedtuple("Check", "name questions only tolerance dtype", defaults=("", ROUNDING, False))
# Layers of a Network of 6 inputs.
NET = [["FC", 5], ["BatchNorm"], ["Activation", "relu"], ["Dropout", 0.4], ["FC", 4],
       ["Activation", "tanh"], ["FC", 3]]  # fmt: skip
BEFORE = [["Activation", "tanh"], ["Dropout", 0.2], ["FC", 4], ["LayerNorm"], ["FC", 3]]


def _normal(**shapes):
    return lambda rng: {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def _fc(x, w):
    return _normal(x=x, w=w, b=w[1:])


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
    draw = _normal(x=x, w=w, b=w[:1])
    return lambda rng: draw(rng) | {"conv_param": {"stride": stride, "pad": pad}}


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


# Questions.


def _call(name, draw, outputs=("out", "cache")):
    return lambda rng: ("call", name, draw(rng), outputs)


def _backward(name, draw, **options):
    def question(rng):
        inputs, seed = draw(rng), int(rng.integers(2**32))
        dout = np.random.default_rng(seed).standard_normal(_shape_of_out(inputs))
        return "backward", name, inputs, {"dout": dout, "seed": seed}, options

    return question


def _along(question):
    return lambda rng: ("along", int(rng.integers(2**32)), *question(rng))


def _single(question):
    """Return a question with arrays of float32."""

    def cast(value):
        if isinstance(value, dict):
            return {key: cast(item) for key, item in value.items()}
        is_double = getattr(value, "dtype", None) == np.float64
        return value.astype(np.float32) if is_double else value

    return lambda rng: tuple(map(cast, question(rng)))


def _make(*hidden_dim, **options):
    options = {"input_dim": 12, "num_classes": 4, **options}
    return lambda rng: ("make", {"hidden_dim": list(hidden_dim)}, options)


def _net_forward(layers, training=False, dtype="float64", pixels=False):
    def question(rng):
        images = rng.integers(0, 256, (4, 2, 3)).astype(np.uint8)
        X = images if pixels else rng.standard_normal((5, 6))
        return "net_forward", layers, {"X": X}, {"dtype": dtype}, training

    return question


def _net_backward(layers, *absent, need_dx=False):
    dout, dtype = _normal(dout=(5, 3)), {"dtype": "float64"}
    return lambda rng: ("net_backward", layers, dout(rng), dtype, absent, need_dx)


def _net_loss(reg, labels=True, dropout=False, dtype="float64"):
    """Scores differ with and without training, where there is dropout."""

    def question(rng):
        X, scores, others = (rng.standard_normal(shape) for shape in ((5, 6), (5, 3), (5, 3)))
        inputs = {"X": X} | ({"y": rng.integers(0, 3, 5)} if labels else {})
        scores = {"training=False": scores, "training=True": others if dropout else scores}
        return "net_loss", NET, inputs, {"reg": reg, "dtype": dtype}, scores

    return question


# Checks.


def _kept(questions):
    asked = [lambda rng, question=question: ("kept", *question(rng)) for question in questions]
    return Check("inputs stay as they are", asked)


def _usual(question):
    """Return the checks that every layer has."""
    return [Check("float32 stays float32", [_single(question)], dtype=True), _kept([question])]


def _pair(module, names, cases, large, forward=(), backward=()):
    """Return the checks of both functions of a layer, by name."""
    f, b = (f"{module}.{name}" for name in names)
    backwards = [_backward(b, case) for case in cases]
    return {
        names[0]: [
            Check("values", [_call(f, case) for case in cases]),
            *(Check(name, [_call(f, case) for case in cases]) for name, cases in forward),
            *_usual(_call(f, cases[0])),
        ],
        names[1]: [
            Check("values", [*backwards, _along(_backward(b, large))], tolerance=EXACT),
            *(Check(name, [_backward(b, c, **o) for c in cases]) for name, cases, o in backward),
            *_usual(backwards[0]),
        ],
    }


_LISTS = [
    _make(7), _make(), _make(7, 6, 5, activation="tanh"),
    _make(7, 6, activation="sigmoid", dropout=0.4, normalization="batchnorm"),
    _make(6, 7, activation="linear", dropout=0.3, normalization="layernorm"),
]  # fmt: skip
_SETTINGS = [
    _make(7, 6, weight_scale=0.3, reg=0.2, dtype="float64", seed=3),
    _make(5, weight_scale="lecun", dtype="float32", seed=4),
]
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
_SOFTMAX = partial(_call, "layers.softmax_loss", outputs=("loss", "dx"))

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
        Check("values", [
            *(_SOFTMAX(_scores(*size)) for size in ((4, 10), (1, 3), (5, 2), (3, 3))),
            _along(_SOFTMAX(_scores(100, 500))),
        ], tolerance=LOOSE),
        Check(_LARGE, [_SOFTMAX(_large_scores)], tolerance=LOOSE),
        *_usual(_SOFTMAX(_scores(4, 3))),
    ],
    "FullyConnectedNet.__init__": [
        Check("values", _LISTS, "the list"),
        Check("weight_scale, reg, dtype and seed reach the network", _SETTINGS, dtype=True),
        _kept(_LISTS),
    ],
    "Network.forward": [
        Check("values", [_net_forward(NET), _net_forward(BEFORE)], "scores"),
        Check("the list of (pair, cache)", [_net_forward(NET), _net_forward(NET, True)], "caches"),
        Check("training=True", [_net_forward(NET, True), _net_forward(BEFORE, True)], "scores"),
        Check("pixels and other dtypes, which self._as_floats takes",
              [_net_forward(NET, pixels=True), _net_forward(NET, dtype="float32")],
              "scores", dtype=True),
        _kept([_net_forward(NET, True)]),
    ],
    "Network.backward": [
        Check("values", [_net_backward(NET), _net_backward(NET, 3), _net_backward(BEFORE)],
              "grads"),
        Check("dx where need_dx is True, and only there",
              [_net_backward(NET, need_dx=True), _net_backward(BEFORE, 1, need_dx=True),
               _net_backward(NET)], "dx"),
        _kept([_net_backward(NET)]),
    ],
    "Network.loss": [
        Check("values", [_net_loss(0.0), _net_loss(0.3, labels=False), _net_loss(0.3)]),
        Check("training=True with labels, and only then",
              [_net_loss(0.0, dropout=True), _net_loss(0.0, labels=False, dropout=True)]),
        Check("float32 stays float32", [_single(_net_loss(0.3, dtype="float32"))], dtype=True),
        _kept([_net_loss(0.3)]),
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
