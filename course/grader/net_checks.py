"""Checks of the networks. Each method of the student's is tried with the course's for the others.

The layers are the course's, called at the judge. A network is put together layer by layer, without
the student's constructor; the caches that backward gets are those of layers called one by one; loss
gets a forward and a backward that are the judge's.
"""

import numpy as np

import fc_net
from course.grader.compare import describe, same, unpack
from course.grader.student import CodeError
from course.grader.wire import Remote

FLOAT64 = np.dtype(np.float64)
DIMS = [(12, 4), (6, 5, 3), (8, 7, 6, 4)]
ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear")
REG = 0.3


class Pair:
    """A network of the student's and the course's, with the same layers and parameters."""

    def __init__(self, student, dims, rng, *, activation="relu", reg=0.0, dropout=0.0):
        self.student = student
        input_dim, *hidden, num_classes = dims
        options = {"activation": activation, "dropout": dropout}
        layers = fc_net.FullyConnectedNet(input_dim, hidden, num_classes, **options).layers
        options = {"weight_scale": 0.1, "reg": reg, "dtype": FLOAT64, "seed": 0}
        self.net = student("make_net", input_dim, entries(layers), **options)
        self.ours = fc_net.Network(input_dim, layers, **options)
        self.params = {name: rng.standard_normal(p.shape) for name, p in self.ours.params.items()}
        self.ours.params = self.params
        student("set_params", self.net, self.params)
        self.X = rng.standard_normal((5, dims[0]))
        self.y = rng.integers(0, dims[-1], 5)

    def method(self, name, *args, **kwargs):
        return self.student("method", self.net, name, *args, **kwargs)


def entries(layers):
    """Return a network's list as plain data, which can be sent and compared."""
    return [[type(layer).__name__, *vars(layer).values()] for layer in layers]


def dicts(name, got, expected, errors=None):
    """As `same` for a dict of arrays."""
    if not isinstance(got, dict):
        raise CodeError(f"{name} must be a dict, got {describe(got)}")
    if missing := [key for key in expected if key not in got]:
        raise CodeError(f"{name} lacks {', '.join(missing)}")
    if unknown := [key for key in got if key not in expected]:
        raise CodeError(f"{name} must not have {', '.join(unknown)}")
    for key, value in expected.items():
        same(f"{name}[{key!r}]", got[key], value, [
            (text, lambda key=key, f=function: f(key)) for text, function in errors or ()
        ])  # fmt: skip


def forward_values(student, rng):
    for dims, activation in zip([*DIMS, DIMS[-1]], ACTIVATIONS, strict=True):
        pair = Pair(student, dims, rng, activation=activation)
        scores, _ = unpack("forward", pair.method("forward", pair.X), ("scores", "caches"))
        expected, _ = pair.ours.forward(pair.X)

        def without_activations(pair=pair):
            out = pair.X
            for i in range(1, len(pair.params) // 2 + 1):
                out = out @ pair.params[f"W{i}"] + pair.params[f"b{i}"]
            return out

        errors = [("are those of a network without activations", without_activations)]
        same("scores", scores, expected, errors)


def forward_pixels(student, rng):
    """Pixels are scaled, images flattened, and dropout runs in training only."""
    pair = Pair(student, DIMS[1], rng, dropout=0.5)
    pixels = rng.integers(0, 256, (4, 2, 3)).astype(np.uint8)
    scores, _ = unpack("forward", pair.method("forward", pixels), ("scores", "caches"))
    errors = [
        ("take pixels as they are: X must go through self._as_floats",
         lambda: pair.ours.forward(pixels.astype(float))[0]),
    ]  # fmt: skip
    same("scores of pixels", scores, pair.ours.forward(pixels)[0], errors)


def backward_case(student, rng, dims, activation, need_dx):
    """What backward returns, for caches of layers called one by one, and what is expected."""
    pair = Pair(student, dims, rng, activation=activation)
    scores, caches = pair.ours.forward(pair.X)
    dout = rng.standard_normal(scores.shape)
    out, theirs = pair.X, []
    for i, functions in enumerate(pair.ours.pairs):
        args = [pair.params[name] for name in functions.names]
        out, cache = student("pair_forward", pair.net, i, out, *args)
        theirs.append(cache)
    theirs = student("with_pairs", pair.net, *theirs)
    result = pair.method("backward", dout, theirs, need_dx=need_dx)
    got = unpack("backward", result, ("dx", "grads"))
    return got, pair.ours.backward(dout, caches, need_dx=need_dx)


def backward_values(student, rng):
    for dims, activation in zip([*DIMS, DIMS[-1]], ACTIVATIONS, strict=True):
        (_, grads), (_, expected) = backward_case(student, rng, dims, activation, False)
        dicts("grads", grads, expected)


def backward_dx(student, rng):
    """dL/dX where it is asked for, and only there."""
    (dx, _), (expected, _) = backward_case(student, rng, DIMS[1], "relu", True)
    if not isinstance(dx, np.ndarray):
        raise CodeError(f"with need_dx=True dx must be an array, got {describe(dx)}")
    same("dx", dx, expected)
    (dx, _), _ = backward_case(student, rng, DIMS[1], "relu", False)
    if dx is not None:
        raise CodeError(f"with need_dx=False dx must be None, got {describe(dx)}")


def borrowed(student, rng, functions, reg):
    """A pair whose network of the student's has the judge's forward and backward."""
    pair = Pair(student, DIMS[2], rng, reg=reg)
    pair.training = None

    def forward(X, *, training=False):
        pair.training = training
        return pair.ours.forward(X, training=training)

    functions["net.forward"], functions["net.backward"] = forward, pair.ours.backward
    student("borrow", pair.net)
    return pair


def loss_values(student, rng):
    for reg in (0.0, REG):
        pair = borrowed(student, rng, student.functions, reg)
        scores = pair.method("loss", pair.X)
        same("the scores of loss(X)", scores, pair.ours.forward(pair.X)[0])
        result = pair.method("loss", pair.X, pair.y)
        loss, grads = unpack("loss", result, ("loss", "grads"))
        if isinstance(loss, np.ndarray) and loss.ndim == 0:
            loss = float(loss)
        right, expected = pair.ours.loss(pair.X, pair.y)
        W = {name: w for name, w in pair.params.items() if name[0] == "W"}
        penalty = {name: 0.5 * reg * float(np.sum(w**2)) for name, w in pair.params.items()}
        weights, biases = (sum(penalty[k] for k in penalty if k[0] == c) for c in "Wb")

        def plain(key, grads=expected, W=W, reg=reg):
            return grads[key] - reg * W.get(key, 0.0)

        same("loss", loss, right, [
            ("lacks the penalty", lambda r=right, w=weights: r - w),
            ("has a penalty on the biases too", lambda r=right, w=biases: r + w),
            ("has the penalty without the factor 0.5", lambda r=right, w=weights: r + w),
            ("has the penalty of the first layer only",
             lambda r=right, w=weights, p=penalty: r - w + p["W1"]),
        ])  # fmt: skip
        dicts("grads", grads, expected, [
            ("lacks the penalty's gradient, reg W", plain),
            ("has the penalty of a bias",
             lambda key, p=pair, g=expected, reg=reg: g[key] + reg * p.params[key]),
            ("has twice the penalty's gradient, which is reg W",
             lambda key, g=expected, W=W, reg=reg: g[key] + reg * W.get(key, np.nan)),
            ("has half the penalty's gradient, which is reg W",
             lambda key, g=expected, W=W, reg=reg: g[key] - 0.5 * reg * W.get(key, np.nan)),
        ])  # fmt: skip


def loss_training(student, rng):
    """What runs in training only runs with labels, and only then."""
    for labels in (False, True):
        pair = borrowed(student, rng, student.functions, 0.0)
        pair.method("loss", pair.X, *([pair.y] if labels else []))
        if pair.training is not None and bool(pair.training) != labels:
            call = "loss(X, y) must call self.forward with training=True" if labels else (
                "loss(X) must call self.forward with training=False"
            )  # fmt: skip
            raise CodeError(f"{call}, got {pair.training}")


def described(student, *args, **kwargs):
    """Return what the student's constructor makes: its list of layers, its parameters."""
    net = student("fc_net.FullyConnectedNet", *args, **kwargs)
    if not isinstance(net, Remote):
        raise CodeError(f"FullyConnectedNet is no class: got {describe(net)}")
    found = student("describe", net)
    return found["layers"], found["params"]


def constructor_layers(student, rng):
    for hidden, activation, dropout, normalization in (
        ([7], "relu", 0.0, None), ([], "relu", 0.0, None), ([7, 6, 5], "tanh", 0.0, None),
        ([7, 6], "sigmoid", 0.4, "batchnorm"), ([7, 6], "linear", 0.0, "layernorm"),
    ):  # fmt: skip
        options = {"activation": activation, "dropout": dropout, "normalization": normalization}
        layers, params = described(student, 12, hidden, 4, 0.1, 0.2, FLOAT64, 0, **options)
        ours = fc_net.FullyConnectedNet(12, hidden, 4, 0.1, 0.2, np.float64, 0, **options)
        if layers != entries(ours.layers):
            got = ", ".join(f"{name}({', '.join(map(repr, args))})" for name, *args in layers)
            given = ", ".join(f"{name}={value!r}" for name, value in options.items())
            raise CodeError(
                f"with hidden_dim={hidden}, {given} the list must be {ours.layers}, got [{got}]"
            )
        shapes = {name: p.shape for name, p in ours.params.items()}
        if {name: np.shape(p) for name, p in params.items()} != shapes:
            raise CodeError(
                f"params must have the shapes {shapes}, "
                f"got { {name: np.shape(p) for name, p in params.items()} }"
            )


def constructor_weights(student, rng):
    """The settings reach the network: the scale of the weights, dtype, seed."""
    for scale, std in ((0.3, 0.3), ("he", np.sqrt(2 / 300))):
        _, params = described(student, 300, [200], 10, scale, 0.0, np.dtype(np.float32), 1)
        found = params["W1"].std()
        if abs(found - std) > 0.05 * std:
            raise CodeError(
                f"with weight_scale={scale!r} W1 must have a standard deviation of {std:.3g}, "
                f"got {found:.3g}"
            )
        if params["b1"].any():
            raise CodeError("biases must begin at 0")
        if {p.dtype for p in params.values()} != {np.dtype(np.float32)}:
            raise CodeError(f"params must be of the dtype float32, got {params['W1'].dtype}")
    first, again = (described(student, 6, [5], 3, 0.1, 0.0, FLOAT64, 7)[1] for _ in range(2))
    dicts("params of a second network with the same seed", again, first)
