"""Networks as lists of layers, and the fully-connected nets of the assignment.

A network is a list such as ``[FC(100), Activation("relu"), Dropout(0.5), FC(10)]``. Its entries are
plain data that print as they are written and compare by value. Each knows how to add its pair of
functions from `layers`, and the parameters that these share, to a `Network`, which runs the pairs:
the one forward and the one backward loop of all nets.

X is a batch of N examples, (N, d_1, ..., d_k). An array of uint8 means pixels and is scaled to 0.0
to 1.0; floats are taken as they are. y holds N integer labels, 0 <= y[i] < C. All is computed in
the net's dtype. X or y that does not fit the network is a TypeError or a ValueError.
"""

import math
from collections import namedtuple
from dataclasses import dataclass
from functools import partial

import numpy as np

import layers as L
import normalization as N
from support import checks
from support.checkpoints import load_params, save_params
from support.examples import as_examples, predict_labels
from support.text import as_table

ACTIVATIONS = {
    "relu": (L.relu_forward, L.relu_backward),
    "sigmoid": (L.sigmoid_forward, L.sigmoid_backward),
    "tanh": (L.tanh_forward, L.tanh_backward),
}
WEIGHT_SCALES = {"he": 2, "lecun": 1}  # variance of a weight, times the inputs of its unit


class Layer:
    """An entry of a network's list; every kind of them is a frozen dataclass.

    ``add_to(net, shape)`` adds it to a network whose output so far has that shape, for one example,
    and returns the shape of its own output where that is another.
    """

    def __init_subclass__(cls):
        dataclass(frozen=True, repr=False)(cls)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(repr, vars(self).values()))})"


class FC(Layer):
    """Fully-connected layer of so many units."""

    units: int

    def add_to(self, net, shape):
        w = net.draw((math.prod(shape), self.units), fan_in=math.prod(shape))
        net.add(L.fc_forward, L.fc_backward, W=w, b=np.zeros(self.units))
        return (self.units,)


class Activation(Layer):
    """'relu', 'sigmoid' or 'tanh'."""

    name: str

    def add_to(self, net, shape):
        checks.check_choice("Activation", ACTIVATIONS, activation=self.name)
        net.add(*ACTIVATIONS[self.name])


class Dropout(Layer):
    """Dropout with drop probability p."""

    p: float

    def add_to(self, net, shape):
        checks.check_number("Dropout", below=1.0, dropout=self.p)
        drop = partial(L.dropout_forward, p=self.p, rng=net.rng)
        net.add(drop, L.dropout_backward, training_only=True)


class BatchNorm(Layer):
    """Batch normalization of the features or, of images (C, H, W), of the channels."""

    def add_to(self, net, shape):
        n, dtype = shape[0], net.dtype
        running = {"running_mean": np.zeros(n, dtype), "running_var": np.ones(n, dtype)}
        net.buffers |= {f"{key}{net.depth}": array for key, array in running.items()}
        train = partial(N.batchnorm_forward, bn_param={"mode": "train", **running})
        test = partial(N.batchnorm_forward, bn_param={"mode": "test", **running})
        net.add(train, N.batchnorm_backward, predict=test, gamma=np.ones(n), beta=np.zeros(n))


class LayerNorm(Layer):
    """Layer normalization over the features or, of images (C, H, W), over pixels and channels."""

    def add_to(self, net, shape):
        forward, n = partial(N.layernorm_forward, ln_param={}), shape[0]
        net.add(forward, N.layernorm_backward, gamma=np.ones(n), beta=np.zeros(n))


NORMALIZATIONS = {None: [], "batchnorm": [BatchNorm()], "layernorm": [LayerNorm()]}

# A layer's forward(x, *parameters) -> out, cache, its backward(dout, cache) -> dx or, with
# parameters, dx and their gradients, what stands in for forward where only scores are computed (or
# None), and the names of the parameters. The backward of the first weights also takes need_dx.
Pair = namedtuple("Pair", "forward backward predict names")


class Network:
    """A list of layers that ends in class scores, with the softmax loss on top.

    Parameters
    ----------
    input_dim : int or tuple of int
        Shape of one example: 784, or (1, 28, 28) for images.
    layers : list of Layer
        In the order in which data flows through them; a normalization behind weights. An entry that
        does not fit is a ValueError with its place in the list.
    weight_scale : float or {'he', 'lecun'}, default 'he'
        Standard deviation of the normal distribution that weights are drawn from. ``'he'`` is
        sqrt(2 / n) for a unit of n inputs, which keeps the size of activations through ReLU layers
        (He et al. 2015), ``'lecun'`` is sqrt(1 / n), for tanh (LeCun et al. 1998a).
    reg : float, default 0.0
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights, not the biases.
    dtype : dtype, default numpy.float32
        float32 or float64; the latter for gradient checks.
    seed : int or numpy.random.Generator, optional
        Of the weights and of dropout.

    Attributes
    ----------
    params : dict of str to ndarray
        Weights ``W1`` and biases ``b1``, ``gamma1`` and ``beta1`` of a normalization behind, ...
    buffers : dict of str to ndarray
        Running means ``running_mean1`` and ``running_var1``, ..., which training changes too.
    operations : list of int
        Floating-point operations of each layer for one example, forward: two for each use of a
        weight. Elementwise work counts 0.

    Examples
    --------
    >>> Network(784, [FC(100), Activation("relu"), Dropout(0.5), FC(10)], seed=0)
    layer               output  parameters                operations
    FC(100)             (100,)  W1 (784, 100), b1 (100,)  156,800
    Activation('relu')  (100,)                            0
    Dropout(0.5)        (100,)                            0
    FC(10)              (10,)   W2 (100, 10), b2 (10,)    2,000
    sum                         79,510                    158,800
    """

    def __init__(self, input_dim, layers, *, weight_scale="he", reg=0.0, dtype=np.float32,
                 seed=None):  # fmt: skip
        self.name = name = type(self).__name__
        if weight_scale not in list(WEIGHT_SCALES):
            checks.check_number(name, weight_scale=weight_scale)
        checks.check_number(name, reg=reg)
        checks.check_kind(name, (list, tuple), "a list", layers=layers)
        self.weight_scale, self.reg, self.layers = weight_scale, float(reg), list(layers)
        self.dtype, self.rng = checks.as_float_dtype(name, dtype), checks.as_generator(name, seed)
        self.seed, self.params, self.buffers, self.depth = seed, {}, {}, 0
        self.pairs, self.shapes, self.operations = [], [], []
        self.input_dim = shape = tuple(checks.as_sizes(name, input_dim=input_dim))
        for i, layer in enumerate(self.layers, start=1):
            try:
                shape = tuple(checks.as_sizes("it", output=layer.add_to(self, shape) or shape))
            except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
                raise ValueError(f"{name}: layer {i}, {layer!r}, on {shape}: {error}") from error
            self.shapes.append(shape)

    def draw(self, shape, fan_in):
        """Return new weights of that shape, of units with fan_in inputs."""
        std = self.weight_scale
        std = np.sqrt(WEIGHT_SCALES[std] / fan_in) if isinstance(std, str) else std
        return std * self.rng.standard_normal(shape)

    def add(self, forward, backward, *, predict=None, training_only=False, places=1, **params):
        """Append a pair of functions and their parameters, which get the number of their W."""
        self.depth += "W" in params
        named = {f"{key}{self.depth}": w.astype(self.dtype) for key, w in params.items()}
        if named.keys() & self.params.keys() or (params and not self.depth):
            raise ValueError("a normalization comes behind weights, one at most")
        self.params |= named
        self.operations.append(2 * places * params["W"].size if "W" in params else 0)
        predict = None if training_only else predict or forward
        self.pairs.append(Pair(forward, backward, predict, tuple(named)))

    def forward(self, X, *, training=False):
        """Run the layers: scores (N, C), and a list of each pair that ran with its cache."""
        out, caches = self._as_floats(X), []
        for pair in self.pairs:
            run = pair.forward if training else pair.predict
            if run is not None:
                out, cache = run(out, *(self.params[name] for name in pair.names))
                caches.append((pair, cache))
        return out, caches

    def backward(self, dout, caches, *, need_dx=False):
        """Run the layers backwards: dL/dX, None unless need_dx, and the gradients by name."""
        grads = {}
        for pair, cache in reversed(caches):
            # Nothing below the first weights uses their dx, unless it is asked for.
            options = {"need_dx": False} if "W1" in pair.names and not need_dx else {}
            result = pair.backward(dout, cache, **options)
            dout, *gradients = result if pair.names else (result,)
            grads.update(zip(pair.names, gradients, strict=True))
            if dout is None:
                break
        return dout, grads

    def loss(self, X, y=None):
        """Scores (N, C) of a batch or, with labels, its loss and the gradients by name.

        The loss is the mean softmax loss plus the penalty 0.5 reg sum(W^2) over all weights.
        """
        scores, caches = self.forward(X, training=y is not None)
        if y is None:
            return scores
        loss, dscores = L.softmax_loss(scores, y)
        _, grads = self.backward(dscores, caches)
        for name, w in self.params.items():
            if self.reg and name.startswith("W"):
                loss += 0.5 * self.reg * float(np.vdot(w, w))
                grads[name] += self.reg * w
        return loss, grads

    def predict(self, X, *, batch_size=1000):
        """Class of each example's highest score, (N,) int64; not finite is a ValueError."""
        return predict_labels(f"{self.name}.predict", self, X, batch_size)

    def input_gradient(self, X, y=None):
        """dL/dX of the softmax loss, pixels from 0.0 to 1.0; y is by default what is predicted."""
        scores, caches = self.forward(X)
        _, dscores = L.softmax_loss(scores, scores.argmax(axis=1) if y is None else y)
        return self.backward(dscores, caches, need_dx=True)[0]

    @property
    def settings(self):
        """Return what changes the training beside the parameters: a checkpoint compares it."""
        return {"reg": self.reg, "seed": self.seed, "network": f"{self.name} {self.layers}"}

    def save(self, path):
        """Write parameters and buffers to an .npz file of plain arrays atomically (OSError).

        The file also says of which layers they are, but for dropout.
        """
        save_params(path, self)

    def load(self, path):
        """Take both from a file of a network of the same layers, or raise ValueError."""
        load_params(path, self)

    def __repr__(self):
        rows = [("layer", "output", "parameters", "operations")]
        columns = self.layers, self.shapes, self.pairs, self.operations
        for layer, shape, pair, count in zip(*columns, strict=True):
            params = ", ".join(f"{name} {self.params[name].shape}" for name in pair.names)
            rows.append((repr(layer), str(shape), params, f"{count:,}"))
        size = sum(w.size for w in self.params.values())
        return as_table([*rows, ("sum", "", f"{size:,}", f"{sum(self.operations):,}")])

    def _as_floats(self, X):
        """Check X, and scale pixels: the one place where that is done."""
        X = as_examples(self.name, X, self.input_dim)
        if X.dtype == np.uint8:
            return np.multiply(X, 1 / 255, dtype=self.dtype)
        return X.astype(self.dtype, copy=False)


class FullyConnectedNet(Network):
    """{fc - normalization - activation - dropout} x L - fc - softmax loss, L >= 0 hidden layers.

    Parameters
    ----------
    input_dim : int
        Numbers in one example: 784 for an MNIST image.
    hidden_dim : sequence of int, or int, default (10, 5)
        Units of each hidden layer.
    num_classes : int, default 10
    weight_scale, reg, dtype, seed
        As in `Network`.
    activation : {'relu', 'sigmoid', 'tanh', 'linear'}, default 'relu'
        After every hidden layer.
    dropout : float, default 0.0
        Drop probability of a hidden unit, in training only; 0 is none.
    normalization : {None, 'batchnorm', 'layernorm'}, default None
        Before every activation.

    Examples
    --------
    >>> FullyConnectedNet(784, [100]).layers
    [FC(100), Activation('relu'), FC(10)]
    """

    def __init__(self, input_dim, hidden_dim=(10, 5), num_classes=10, weight_scale="he", reg=0.0,
                 dtype=np.float32, seed=None, *, activation="relu", dropout=0.0,
                 normalization=None):  # fmt: skip
        checks.check_choice("FullyConnectedNet", NORMALIZATIONS, normalization=normalization)
        layers = []
        for units in checks.as_sizes("FullyConnectedNet", hidden_dim=hidden_dim):
            layers += [FC(units), *NORMALIZATIONS[normalization]]
            layers += [Activation(activation)] if activation != "linear" else []
            layers += [Dropout(dropout)] if dropout else []
        options = {"weight_scale": weight_scale, "reg": reg, "dtype": dtype, "seed": seed}
        super().__init__(input_dim, [*layers, FC(num_classes)], **options)
