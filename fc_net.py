"""Networks as chains of layers, and the fully-connected nets of the assignment.

A network is a list of `Layer`, pairs of functions from `layers` and `conv` in the order in which
data flows through them. `Network` runs them: the one forward and the one backward loop of all nets.
The constructors of its subclasses, such as `FullyConnectedNet`, show what a net consists of.

X is a batch of N examples, (N, d_1, ..., d_k). An array of uint8 means pixels and is scaled to 0.0
to 1.0; floats are taken as they are. y holds N integer labels, 0 <= y[i] < C. All is computed in
the net's dtype. X or y that does not fit the network is a TypeError or a ValueError.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from layers import (
    dropout_backward,
    dropout_forward,
    fc_backward,
    fc_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softmax_loss,
    tanh_backward,
    tanh_forward,
)
from normalization import (
    batchnorm_backward,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
)
from support.checkpoints import load_params, save_params
from support.checks import (
    as_float_dtype,
    as_generator,
    as_sizes,
    check_choice,
    check_integer,
    check_number,
    describe,
    is_exact_ndarray,
)
from support.examples import predict_labels
from support.identity import describe_function


class Layer(NamedTuple):
    """A pair of layer functions, and the names of the parameters that they share.

    ``forward(x, *parameters) -> out, cache`` takes the parameters in the order of ``names``, their
    keys in the network's ``params``. ``backward(dout, cache)`` returns dx or, with parameters,
    dx and their gradients; that of a network's first layer also takes ``need_dx``.
    """

    forward: Callable
    backward: Callable
    names: tuple = ()
    mode: str | None = None  # 'train': left out where only scores are computed; 'test': only there


# Activations by name, each as the layers that it puts into a network.
ACTIVATIONS = {
    "relu": [Layer(relu_forward, relu_backward)],
    "sigmoid": [Layer(sigmoid_forward, sigmoid_backward)],
    "tanh": [Layer(tanh_forward, tanh_backward)],
    "linear": [],
}

# Normalizations by name, each as a pair of functions.
NORMALIZATIONS = {
    "batchnorm": (batchnorm_forward, batchnorm_backward),
    "layernorm": (partial(layernorm_forward, ln_param={}), layernorm_backward),
}

# Standard deviation of a weight as a function of the number of inputs of its unit.
WEIGHT_SCALES = {
    "he": lambda fan_in: np.sqrt(2 / fan_in),
    "lecun": lambda fan_in: np.sqrt(1 / fan_in),
}


class Network:
    """A chain of layers that ends in class scores, with the softmax loss on top.

    Parameters
    ----------
    weight_scale, reg, dtype, seed
        As in `FullyConnectedNet`.

    Attributes
    ----------
    layers : list of Layer
        In the order in which data flows through them. The first has parameters.
    params : dict of str to ndarray
        Weights ``W1``, ``W2``, ... and biases ``b1``, ``b2``, ...; ``gamma1`` and ``beta1`` of a
        normalization behind ``W1``, and so on.
    buffers : dict of str to ndarray
        What training changes beside the parameters, by no gradient: ``running_mean1`` and
        ``running_var1`` of a batch normalization, and so on.
    dtype : numpy.dtype
        Of the parameters, and so of everything that the network computes.
    rng : numpy.random.Generator
        Drew the weights, and draws what dropout drops.
    """

    def __init__(self, weight_scale, reg, dtype, seed):
        name = type(self).__name__
        if isinstance(weight_scale, str):
            check_choice(name, WEIGHT_SCALES, "a number or one of", weight_scale=weight_scale)
        else:
            check_number(name, weight_scale=weight_scale)
        check_number(name, reg=reg)
        self.weight_scale = weight_scale
        self.reg = float(reg)
        self.dtype = as_float_dtype(name, dtype)
        self.layers = []
        self.params = {}
        self.buffers = {}
        self.rng = as_generator(name, seed)

    def add_fc(self, fan_in, fan_out):
        """Append a fully-connected layer."""
        self.add_weights(fc_forward, fc_backward, (fan_in, fan_out), fan_in, fan_out)

    def add_dropout(self, p):
        """Append dropout with probability p, or nothing where p is 0."""
        if p:
            drop = partial(dropout_forward, p=p, rng=self.rng)
            self.layers.append(Layer(drop, dropout_backward, mode="train"))

    def add_normalization(self, kind, size, pairs=NORMALIZATIONS):
        """Append a normalization of size features or channels, or nothing where kind is None."""
        if kind is None:
            return
        (forward, backward), i = pairs[kind], self.depth
        names = f"gamma{i}", f"beta{i}"
        self.params |= {names[0]: np.ones(size, self.dtype), names[1]: np.zeros(size, self.dtype)}
        if kind == "layernorm":
            self.layers.append(Layer(forward, backward, names))
            return
        self.buffers[f"running_mean{i}"] = np.zeros(size, self.dtype)
        self.buffers[f"running_var{i}"] = np.ones(size, self.dtype)
        for mode in ("train", "test"):
            normalize = partial(self._batchnorm, forward, i, mode)
            self.layers.append(Layer(normalize, backward, names, mode))

    def _batchnorm(self, forward, i, mode, x, gamma, beta):
        """Batch normalization i; in training it updates the running means in the buffers."""
        running = {key: self.buffers[f"{key}{i}"] for key in ("running_mean", "running_var")}
        return forward(x, gamma, beta, {"mode": mode, **running})

    @property
    def depth(self):
        """How many layers have weights."""
        return sum(name.startswith("W") for name in self.params)

    def add_weights(self, forward, backward, shape, fan_in, fan_out):
        """Append a layer with new weights of that shape, fan_in inputs and one bias a unit."""
        i = self.depth + 1
        std = self.weight_scale
        if isinstance(std, str):
            std = WEIGHT_SCALES[std](fan_in)
        try:
            self.params[f"W{i}"] = (std * self.rng.standard_normal(shape)).astype(self.dtype)
            self.params[f"b{i}"] = np.zeros(fan_out, self.dtype)
        except (MemoryError, ValueError) as error:
            raise ValueError(
                f"{type(self).__name__}: weights of shape {shape} do not fit into memory"
            ) from error
        self.layers.append(Layer(forward, backward, (f"W{i}", f"b{i}")))

    def forward(self, X, *, training=False):
        """Run the layers: scores (N, C), and a list of each layer that ran with its cache.

        Of layers that run in one mode only, training runs those of 'train', otherwise of 'test'.
        """
        mode = "train" if training else "test"
        out, caches = self._as_floats(X), []
        for layer in self.layers:
            if layer.mode in (None, mode):
                out, cache = layer.forward(out, *(self.params[name] for name in layer.names))
                caches.append((layer, cache))
        return out, caches

    def backward(self, dout, caches, *, need_dx=False):
        """Run the layers backwards, from dout = dL/dscores (N, C) and the caches of `forward`.

        Returns dL/dX, which is None unless need_dx, and the gradients by the parameters' names.
        """
        grads = {}
        for layer, cache in reversed(caches):
            if layer.names:
                # Nothing below the first layer uses its dx, unless it is asked for.
                needed = need_dx or layer is not self.layers[0]
                options = {} if needed else {"need_dx": False}
                dout, *gradients = layer.backward(dout, cache, **options)
                grads.update(zip(layer.names, gradients, strict=True))
            else:
                dout = layer.backward(dout, cache)
        return dout, grads

    def loss(self, X, y=None):
        """Scores (N, C) of a batch or, with labels, its loss and the gradients by name.

        The loss is the mean softmax loss plus the penalty 0.5 reg sum(W^2) over all weights.
        """
        scores, caches = self.forward(X, training=y is not None)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        _, grads = self.backward(dscores, caches)
        if self.reg:
            for name, w in self.params.items():
                if name.startswith("W"):
                    loss += 0.5 * self.reg * float(np.vdot(w, w))
                    grads[name] += self.reg * w
        return loss, grads

    def predict(self, X, *, batch_size=1000):
        """Class of the highest score of each example, (N,) int64.

        batch_size examples are run at a time, which bounds the memory. A ValueError where scores
        are not finite, because X or the parameters hold NaN, infinite or too large numbers.
        """
        return predict_labels(f"{type(self).__name__}.predict", self, X, batch_size)

    def input_gradient(self, X, y=None):
        """dL/dX of the softmax loss: the direction in which X gets harder fastest.

        y defaults to the classes that the network predicts; for uint8 the gradient is with respect
        to the pixels from 0.0 to 1.0.
        """
        scores, caches = self.forward(X)
        _, dscores = softmax_loss(scores, scores.argmax(axis=1) if y is None else y)
        dx, _ = self.backward(dscores, caches, need_dx=True)
        return dx

    @property
    def settings(self):
        """What changes the training beside the parameters: a checkpoint compares it."""
        layers = [describe_function(layer.forward) for layer in self.layers]
        return {"network": type(self).__name__, "reg": self.reg, "layers": layers}

    def save(self, path):
        """Write parameters and buffers to an .npz file of plain arrays atomically (OSError)."""
        save_params(path, self)

    def load(self, path):
        """Take both from a file that `save` wrote for a network of the same shapes.

        A damaged file or another network's is a ValueError, and then nothing changes.
        """
        load_params(path, self)

    def _as_floats(self, X):
        """What the first layer takes. The one place where pixels are scaled."""
        if is_exact_ndarray(X) and X.dtype == np.uint8:
            return np.multiply(X, 1 / 255, dtype=self.dtype)
        if is_exact_ndarray(X) and X.dtype.kind == "f":
            return X.astype(self.dtype, copy=False)
        raise TypeError(
            f"{type(self).__name__}: X must be an array of uint8 pixels or of floats, "
            f"got {describe(X)}"
        )


class FullyConnectedNet(Network):
    """{fc - normalization - activation - dropout} x L - fc - softmax loss, L >= 0 hidden layers.

    Parameters
    ----------
    input_dim : int
        D, the numbers in one example: 784 for an MNIST image.
    hidden_dim : sequence of int, or int, default (10, 5)
        Units of each hidden layer; a number means one hidden layer.
    num_classes : int, default 10
        C.
    weight_scale : float or {'he', 'lecun'}, default 'he'
        Standard deviation of the normal distribution that weights are drawn from; biases begin at
        0. ``'he'`` is sqrt(2 / n) for a unit of n inputs, which keeps the size of activations
        through ReLU layers (He et al. 2015); ``'lecun'`` is sqrt(1 / n), which does so through
        linear and tanh layers (LeCun et al. 1998).
    reg : float, default 0.0
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights, not the biases.
    dtype : dtype, default numpy.float32
        float32 or float64; the latter for gradient checks.
    seed : int or numpy.random.Generator, optional
        Of the weights and of dropout. The same seed gives the same weights; None gives new ones
        each time.
    activation : {'relu', 'sigmoid', 'tanh', 'linear'}, default 'relu'
        After every hidden layer.
    dropout : float, default 0.0, which is none
        Probability with which training drops a hidden unit from an example, 0 <= dropout < 1.
    normalization : {None, 'batchnorm', 'layernorm'}, default None
        Before every activation.

    Attributes
    ----------
    params : dict of str to ndarray
        ``W1`` (D, hidden_dim[0]), ``b1`` (hidden_dim[0],), ``W2``, ``b2``, ...; of normalization
        ``gamma1`` and ``beta1`` (hidden_dim[0],), ...

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer, a scale or reg is negative or not finite, or a name is
        unknown.

    Examples
    --------
    >>> net = FullyConnectedNet(784, [100], seed=0)
    >>> {name: p.shape for name, p in net.params.items()}
    {'W1': (784, 100), 'b1': (100,), 'W2': (100, 10), 'b2': (10,)}
    >>> net.loss(np.zeros((5, 28, 28), np.uint8)).shape
    (5, 10)
    """

    def __init__(
        self,
        input_dim,
        hidden_dim=(10, 5),
        num_classes=10,
        weight_scale="he",
        reg=0.0,
        dtype=np.float32,
        seed=None,
        *,
        activation="relu",
        dropout=0.0,
        normalization=None,
    ):
        check_integer("FullyConnectedNet", input_dim=input_dim, num_classes=num_classes)
        hidden_dim = as_sizes("FullyConnectedNet", hidden_dim=hidden_dim)
        check_choice("FullyConnectedNet", ACTIVATIONS, activation=activation)
        check_number("FullyConnectedNet", below=1.0, dropout=dropout)
        check_normalization("FullyConnectedNet", normalization)

        super().__init__(weight_scale, reg, dtype, seed)
        *hidden, output = pairwise([input_dim, *hidden_dim, num_classes])
        for fan_in, fan_out in hidden:
            self.add_fc(fan_in, fan_out)
            self.add_normalization(normalization, fan_out)
            self.layers += ACTIVATIONS[activation]
            self.add_dropout(dropout)
        self.add_fc(*output)


def check_normalization(function, normalization):
    """None, or the name of a normalization."""
    if normalization is not None:
        check_choice(function, NORMALIZATIONS, "None or one of", normalization=normalization)
