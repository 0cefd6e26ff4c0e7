"""How layers become a network: the one forward and the one backward loop of all the nets."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from layers import softmax_loss


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
    """

    forward: Callable
    backward: Callable
    names: tuple = ()


class Network:
    """A chain of layers that ends in class scores, with the softmax loss on top.

    The nets of this project are lists of `Layer` given to this class; it knows nothing of what the
    layers do.

    Parameters
    ----------
    layers : list of Layer
        In the order in which data flows through them. The first has parameters.
    params : dict of str to ndarray
        Parameters by name, all of one float dtype. Names of weights, which `reg` applies to, begin
        with ``W``.
    reg : float, default 0.0
        Strength of the L2 penalty ``0.5 * reg * sum(W ** 2)`` over all the weights, not the biases.

    Attributes
    ----------
    params : dict of str to ndarray
    dtype : numpy.dtype
        Of the parameters, and so of everything that the network computes.
    """

    def __init__(self, layers, params, *, reg=0.0):
        if not (np.isfinite(reg) and reg >= 0):
            raise ValueError(f"{type(self).__name__}: reg must be a number >= 0, got {reg}")
        self.layers = layers
        self.params = params
        self.reg = float(reg)
        self.dtype = next(iter(params.values())).dtype

    def _as_floats(self, X):
        """Images as the floats that the first layer takes: the one place where pixels are scaled.

        uint8 means pixels and becomes 0.0 to 1.0; floats are taken as they are, in the net's dtype.
        """
        if isinstance(X, np.ndarray) and X.dtype == np.uint8:
            return np.multiply(X, 1 / 255, dtype=self.dtype)
        if isinstance(X, np.ndarray) and X.dtype.kind == "f":
            return X.astype(self.dtype, copy=False)
        got = f"an array of {X.dtype}" if hasattr(X, "dtype") else type(X).__name__
        raise TypeError(
            f"{type(self).__name__}: X must be an array of uint8 pixels or of floats, got {got}"
        )

    def forward(self, X):
        """Run the layers.

        Parameters
        ----------
        X : ndarray of uint8 or float, shape (N, d_1, ..., d_k)
            uint8 means pixels and is scaled to 0.0 to 1.0.

        Returns
        -------
        scores : ndarray of float, shape (N, C)
        caches : list
            One cache a layer.
        """
        out, caches = self._as_floats(X), []
        for layer in self.layers:
            out, cache = layer.forward(out, *(self.params[name] for name in layer.names))
            caches.append(cache)
        return out, caches

    def backward(self, dout, caches):
        """Run the layers backwards.

        Parameters
        ----------
        dout : ndarray of float, shape (N, C)
            Gradient of the loss with respect to the scores.
        caches : list
            From `forward`.

        Returns
        -------
        grads : dict of str to ndarray
            Gradient of the loss for each parameter, under its name.
        """
        grads = {}
        for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):
            if layer.names:
                # Nothing below the first layer would use its input gradient.
                need_dx = layer is not self.layers[0]
                dout, *gradients = layer.backward(dout, cache, need_dx=need_dx)
                grads.update(zip(layer.names, gradients, strict=True))
            else:
                dout = layer.backward(dout, cache)
        return grads

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
        scores, caches = self.forward(X)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        grads = self.backward(dscores, caches)
        if self.reg:
            for name, w in self.params.items():
                if name.startswith("W"):
                    loss += 0.5 * self.reg * float(np.vdot(w, w))
                    grads[name] += self.reg * w
        return loss, grads

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
        """
        batches = range(0, len(X), batch_size)
        labels = [self.loss(X[i : i + batch_size]).argmax(axis=1) for i in batches]
        return np.concatenate(labels) if labels else np.empty(0, np.int64)
