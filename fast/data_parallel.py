"""A network that runs the parts of each batch side by side, on threads of its own."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from threadpoolctl import ThreadpoolController

from fc_net import BatchNorm, Dropout, Network
from support.checks import check_integer, check_kind, is_exact_ndarray


class DataParallel:
    """A model for `Solver` that splits each batch into equal parts, one a thread.

    Loss and gradients are the means over the parts, weighted by their sizes, and so those of the
    whole batch, to rounding. NumPy lets other threads run while it computes; so all layers use all
    cores, where threads of the matrix products speed up nothing but these. What it is worth depends
    on the network: a `ConvNet` on two cores is trained 1.3 to 1.5 times as fast, most
    fully-connected networks more slowly (measured by ``benchmarks/fewer_multiplications.py``).

    Parameters
    ----------
    network : Network
        It is trained in place. One with dropout is refused: threads that draw from one generator do
        so in an order that changes from run to run. So is one with batch normalization, whose loss
        is not the mean of those of its parts. All else has the same bits each time.
    num_threads : int, default 2
        Threads and parts; while they run, matrix products have one thread each.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> from conv_net import ConvNet
    >>> net = ConvNet((1, 8, 8), num_filters=[4], hidden_dim=[], seed=0)
    >>> X, y = np.zeros((6, 1, 8, 8)), np.arange(6)
    >>> loss, grads = DataParallel(net).loss(X, y)
    >>> bool(np.isclose(loss, net.loss(X, y)[0]))
    True
    """

    def __init__(self, network, num_threads=2):
        check_kind("DataParallel", Network, "a Network", network=network)
        check_integer("DataParallel", num_threads=num_threads)
        if any(isinstance(layer, Dropout | BatchNorm) for layer in network.layers):
            raise ValueError(
                "DataParallel: network must be one without dropout and batch normalization"
            )
        self.network = network
        self.num_threads = num_threads
        self.threads = ThreadPoolExecutor(num_threads)
        self.controller = ThreadpoolController()

    @property
    def params(self):
        return self.network.params

    @property
    def rng(self):
        return self.network.rng

    @property
    def settings(self):
        return {**self.network.settings, "threads": self.num_threads}

    def loss(self, X, y=None):
        """As `Network.loss`."""
        if not is_exact_ndarray(X) or X.ndim == 0 or (y is not None and np.shape(y) != X.shape[:1]):
            return self.network.loss(X, y)  # which says what does not fit
        n = len(X)
        num_parts = max(1, min(self.num_threads, n))
        bounds = [n * i // num_parts for i in range(num_parts + 1)]
        errors = np.geterr()  # which every thread has its own of

        def run(bounds):
            part = slice(*bounds)
            with np.errstate(**errors):
                return self.network.loss(X[part], None if y is None else y[part])

        with self.controller.limit(limits=1, user_api="blas"):
            results = list(self.threads.map(run, pairwise(bounds)))
        if y is None:
            return np.concatenate(results)
        weights = np.diff(bounds) / n
        loss = sum(weight * loss for weight, (loss, _) in zip(weights, results, strict=True))
        grads = results[0][1]
        for name, total in grads.items():
            total *= weights[0]
            for weight, (_, others) in zip(weights[1:], results[1:], strict=True):
                total += weight * others[name]
        return loss, grads
