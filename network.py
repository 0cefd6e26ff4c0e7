"""How layers become a network: the one forward and the one backward loop of all the nets."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from checks import check_number, check_whole, describe
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
from npz import difference, load_npz, save_npz


class Layer(NamedTuple):
    """A pair of layer functions and the names of the parameters that they share.

    Attributes
    ----------
    forward : callable
        ``forward(x, *parameters) -> out, cache``.
    backward : callable
        ``backward(dout, cache) -> dx`` or, with parameters, ``-> dx, *gradients``; the latter also
        takes ``need_dx``.
    names : tuple of str
        Keys of the parameters in the network's ``params``, in the order forward takes them.
    only_in_training : bool
        Whether the network leaves the layer out where it only computes scores.
    """

    forward: Callable
    backward: Callable
    names: tuple = ()
    only_in_training: bool = False


# Activations by name, each as the layers that it puts into a network.
ACTIVATIONS = {
    "relu": [Layer(relu_forward, relu_backward)],
    "sigmoid": [Layer(sigmoid_forward, sigmoid_backward)],
    "tanh": [Layer(tanh_forward, tanh_backward)],
    "linear": [],
}

# Standard deviation of a weight as a function of the number of inputs of its unit.
WEIGHT_SCALES = {
    "he": lambda fan_in: np.sqrt(2 / fan_in),
    "lecun": lambda fan_in: np.sqrt(1 / fan_in),
}


class Network:
    """A chain of layers that ends in class scores, with the softmax loss on top.

    The nets of this project are subclasses whose constructors add layers; what runs them is here.

    Parameters
    ----------
    weight_scale : float or {'he', 'lecun'}
        Standard deviation of the normal distribution that weights are drawn from; biases begin at
        0. ``'he'`` is sqrt(2 / n) for a unit of n inputs, which keeps the size of activations
        through ReLU layers (He et al. 2015); ``'lecun'`` is sqrt(1 / n), which does so through
        linear and tanh layers (LeCun et al. 1998).
    reg : float
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights, not the biases.
    dtype : dtype
        float32 or float64.
    seed : int or numpy.random.Generator, optional
        Of the weights and of dropout.

    Attributes
    ----------
    layers : list of Layer
        In the order in which data flows through them. The first has parameters.
    params : dict of str to ndarray
        Weights ``W1``, ``W2``, ... and biases ``b1``, ``b2``, ...
    dtype : numpy.dtype
        Of the parameters, and so of everything that the network computes.
    rng : numpy.random.Generator
        Drew the weights, and draws what dropout leaves out.

    Raises
    ------
    ValueError
        If a scale or reg is negative or not finite, or a name or dtype is unknown.
    """

    def __init__(self, weight_scale, reg, dtype, seed):
        name = type(self).__name__
        if not isinstance(weight_scale, str):
            check_number(name, weight_scale=weight_scale)
        elif weight_scale not in WEIGHT_SCALES:
            raise ValueError(
                f"{name}: weight_scale must be a number or one of {', '.join(WEIGHT_SCALES)}, "
                f"got {weight_scale!r}"
            )
        check_number(name, reg=reg)
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"{name}: dtype must be float32 or float64, got {dtype}")
        self.weight_scale = weight_scale
        self.reg = float(reg)
        self.dtype = np.dtype(dtype)
        self.layers = []
        self.params = {}
        self.rng = np.random.default_rng(seed)

    def _add_weighted(self, forward, backward, shape, num_inputs, num_units):
        """Add a layer with new weights of that shape and one bias a unit."""
        i = len(self.params) // 2 + 1
        std = self.weight_scale
        if isinstance(std, str):
            std = WEIGHT_SCALES[std](num_inputs)
        self.params[f"W{i}"] = (std * self.rng.standard_normal(shape)).astype(self.dtype)
        self.params[f"b{i}"] = np.zeros(num_units, self.dtype)
        self.layers.append(Layer(forward, backward, (f"W{i}", f"b{i}")))

    def _add_fully_connected(self, dims, activation, dropout):
        """Add fully-connected layers from dims[0] inputs to dims[-1] scores."""
        check_number(type(self).__name__, below=1.0, dropout=dropout)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"{type(self).__name__}: activation must be one of {', '.join(ACTIVATIONS)}, "
                f"got {activation!r}"
            )
        *hidden, (last_hidden, num_classes) = pairwise(dims)
        for fan_in, fan_out in hidden:
            self._add_weighted(fc_forward, fc_backward, (fan_in, fan_out), fan_in, fan_out)
            self.layers += ACTIVATIONS[activation]
            if dropout:
                drop = partial(dropout_forward, p=dropout, rng=self.rng)
                self.layers.append(Layer(drop, dropout_backward, only_in_training=True))
        shape = last_hidden, num_classes
        self._add_weighted(fc_forward, fc_backward, shape, last_hidden, num_classes)

    def _as_floats(self, X):
        """Images as the floats that the first layer takes: the one place where pixels are scaled.

        uint8 means pixels and becomes 0.0 to 1.0; floats are taken as they are, in the net's dtype.
        """
        if isinstance(X, np.ndarray) and X.dtype == np.uint8:
            return np.multiply(X, 1 / 255, dtype=self.dtype)
        if isinstance(X, np.ndarray) and X.dtype.kind == "f":
            return X.astype(self.dtype, copy=False)
        raise TypeError(
            f"{type(self).__name__}: X must be an array of uint8 pixels or of floats, "
            f"got {describe(X)}"
        )

    def forward(self, X, *, training=False):
        """Run the layers.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)
            uint8 means pixels and is scaled to 0.0 to 1.0.
        training : bool, default False
            Whether to run also those that are only there in training.

        Returns
        -------
        scores : ndarray of float, shape (N, C)
        caches : list of (Layer, cache)
            Of the layers that were run.
        """
        out, caches = self._as_floats(X), []
        for layer in self.layers:
            if training or not layer.only_in_training:
                out, cache = layer.forward(out, *(self.params[name] for name in layer.names))
                caches.append((layer, cache))
        return out, caches

    def backward(self, dout, caches, *, need_dx=False):
        """Run the layers backwards.

        Parameters
        ----------
        dout : ndarray of float, shape (N, C)
            Gradient of the loss with respect to the scores.
        caches : list of (Layer, cache)
            From `forward`.
        need_dx : bool, default False
            Whether the gradient with respect to the input is of use; otherwise it is None.

        Returns
        -------
        dx : ndarray of float, shape (N, d_1, ..., d_k), or None
            Gradient of the loss with respect to what the first layer took.
        grads : dict of str to ndarray
            Gradient of the loss for each parameter, under its name.
        """
        grads = {}
        for layer, cache in reversed(caches):
            if layer.names:
                # Nothing below the first layer uses its input gradient, unless it is asked for.
                needed = need_dx or layer is not self.layers[0]
                dout, *gradients = layer.backward(dout, cache, need_dx=needed)
                grads.update(zip(layer.names, gradients, strict=True))
            else:
                dout = layer.backward(dout, cache)
        return dout, grads

    def loss(self, X, y=None):
        """Scores of a batch, or its loss and the gradients.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)
            uint8 means pixels and is scaled to 0.0 to 1.0.
        y : ndarray of int, shape (N,), optional
            Labels, 0 <= y[i] < C.

        Returns
        -------
        scores : ndarray of float, shape (N, C)
            If y is None.
        loss, grads : float, dict of str to ndarray
            Otherwise: the mean softmax loss plus the L2 penalty, and its gradient for each
            parameter, under its name.

        Raises
        ------
        TypeError, ValueError
            If X or y does not fit the network.
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

    def input_gradient(self, X, y=None):
        """Gradient of the softmax loss with respect to the input: where X gets harder fastest.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)
        y : ndarray of int, shape (N,), optional
            Labels; default the classes that the network takes the examples for.

        Returns
        -------
        dx : ndarray of float, shape of X
            For uint8 with respect to the pixels from 0.0 to 1.0.

        Raises
        ------
        TypeError, ValueError
            If X or y does not fit the network.
        """
        scores, caches = self.forward(X)
        _, dscores = softmax_loss(scores, scores.argmax(axis=1) if y is None else y)
        dx, _ = self.backward(dscores, caches, need_dx=True)
        return dx

    def predict(self, X, *, batch_size=1000):
        """Most likely class of each example.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)
        batch_size : int, default 1000
            Examples that are run at once, which bounds the memory.

        Returns
        -------
        labels : ndarray of int64, shape (N,)

        Raises
        ------
        TypeError, ValueError
            If X does not fit the network, or the scores are not finite: X or the parameters hold
            NaN, infinite or too large numbers.
        """
        check_whole(f"{type(self).__name__}.predict", batch_size=batch_size)
        labels = [np.empty(0, np.int64)]
        for i in range(0, len(X), batch_size):
            scores = self.loss(X[i : i + batch_size])
            if not np.isfinite(scores).all():
                raise ValueError(
                    f"{type(self).__name__}.predict: scores of X[{i}:{i + len(scores)}] are not "
                    "finite; X or the parameters hold NaN, infinite or too large numbers"
                )
            labels.append(scores.argmax(axis=1))
        return np.concatenate(labels)

    def save(self, path):
        """Write the parameters to a file.

        Parameters
        ----------
        path : str or path
            An .npz file of plain arrays; replaced only once the new one is whole and on the disk.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        save_npz(path, {"network": type(self).__name__}, self.params)

    def load(self, path):
        """Take the parameters from a file that `save` wrote for a network of this shape.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ValueError
            If the file is damaged, or its parameters are not this network's; then nothing changes.
        OSError
            If it cannot be opened.
        """
        max_bytes = 2**20 + sum(p.nbytes for p in self.params.values())
        _, arrays = load_npz(path, "saved parameters", max_bytes)
        theirs, ours = (
            {name: (p.shape, str(p.dtype)) for name, p in params.items()}
            for params in (arrays, self.params)
        )
        if what := difference(theirs, ours):
            raise ValueError(
                f"{type(self).__name__}: {path} holds the parameters of another network: {what}"
            )
        for name, array in arrays.items():
            self.params[name][...] = array


class Preprocessed:
    """A network that is shown what a function makes of each image: a model of the image itself.

    Parameters
    ----------
    network : Network
        Trained on images that the function has made.
    preprocess : callable
        ``preprocess(X)`` returns what is shown in place of X.

    Attributes
    ----------
    network, preprocess
    """

    def __init__(self, network, preprocess):
        self.network = network
        self.preprocess = preprocess

    def loss(self, X):
        """Scores of a batch.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)

        Returns
        -------
        scores : ndarray of float, shape (N, C)

        Raises
        ------
        TypeError, ValueError
            If X does not fit the function or the network.
        """
        return self.network.loss(self.preprocess(X))

    predict = Network.predict


class Ensemble:
    """Networks that decide together: a model whose scores are the mean of theirs.

    Parameters
    ----------
    networks : sequence of Network or Preprocessed
        At least one; trained for the same classes and the same kind of X.

    Attributes
    ----------
    networks : list

    Raises
    ------
    ValueError
        If there are no networks.

    Notes
    -----
    Scores are logarithms of probabilities, up to a constant for each example, so this takes the
    geometric mean of the networks' probabilities (Hinton 2002: a product of experts).
    """

    def __init__(self, networks):
        self.networks = list(networks)
        if not self.networks:
            raise ValueError("Ensemble: networks must hold at least one network")

    def loss(self, X):
        """Scores of a batch.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)

        Returns
        -------
        scores : ndarray of float, shape (N, C)

        Raises
        ------
        TypeError, ValueError
            If X does not fit the networks.
        """
        return sum(net.loss(X) for net in self.networks) / len(self.networks)

    predict = Network.predict
