"""A network that runs the parts of each batch side by side, on threads of its own."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from fc_net import BatchNorm, Dropout, Network
from support.checks import check_integer, check_kind, is_exact_ndarray


class OneBlasThread:
    """A limit for the process: set by the first training that enters, undone by the last to leave.

    Each for itself would restore what another had set.
    """

    lock, inside = threading.Lock(), 0

    def __enter__(self):
        with self.lock:
            if not self.inside:
                self.limits = _controller().limit(limits=1, user_api="blas")
            self.inside += 1

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.limits.restore_original_limits()
            # A thread that has set a limit is the only one that may, until it ends such a block.
            with _controller().limit(user_api="blas"):
                pass


one_blas_thread, _controller = OneBlasThread(), cache(ThreadpoolController)
# For each process, as a fork has none of its parent's threads, and for each thread that calls, so
# that no training waits for another. Measured: new ones at each call would cost 5 to 10% of a step.
_threads = cache(lambda process, caller, count: ThreadPoolExecutor(count))


@dataclass(eq=False)
class DataParallel:
    """A model for `Solver` that splits each batch into equal parts, one a thread.

    Loss and gradients are the means over the parts, weighted by their sizes, and so those of the
    whole batch, to rounding. NumPy lets other threads run while it computes; so all layers use all
    cores, where threads of the matrix products speed up nothing but these. What it is worth depends
    on the network: a `ConvNet` on two cores is trained 1.3 times as fast, most fully-connected
    networks more slowly (``benchmarks/conv.py``, ``benchmarks/fc.py``). What else a network has,
    its parameters and methods, this model has too.

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

    network: Network
    num_threads: int = 2

    predict, __repr__ = Network.predict, Network.__repr__  # predict calls the loss below

    def __post_init__(self):
        check_kind("DataParallel", Network, "a Network", network=self.network)
        check_integer("DataParallel", num_threads=self.num_threads)
        if any(isinstance(layer, Dropout | BatchNorm) for layer in self.network.layers):
            expected = "one without dropout and batch normalization"
            raise ValueError(f"DataParallel: network must be {expected}")

    def __getattr__(self, name):
        return getattr(vars(self).get("network"), name)  # a copy that is being made has none yet

    def __setattr__(self, name, value):
        owner = self if name in ("network", "num_threads", "loss") else self.network
        object.__setattr__(owner, name, value)

    @property
    def settings(self):
        return {**self.network.settings, "threads": self.num_threads}

    def loss(self, X, y=None):
        """As `Network.loss`."""
        if not is_exact_ndarray(X) or X.ndim == 0 or (y is not None and np.shape(y) != X.shape[:1]):
            return self.network.loss(X, y)  # which says what does not fit
        num_parts = max(1, min(self.num_threads, len(X)))
        bounds = [len(X) * i // num_parts for i in range(num_parts + 1)]

        @np.errstate(**np.geterr())  # which every thread has its own of
        def run(start, stop):
            return self.network.loss(X[start:stop], None if y is None else y[start:stop])

        threads = _threads(os.getpid(), threading.get_ident(), self.num_threads)
        with one_blas_thread:
            results = list(threads.map(run, bounds, bounds[1:]))
        if y is None:
            return np.concatenate(results)
        weights = np.diff(bounds) / len(X)
        loss = sum(weight * loss for weight, (loss, _) in zip(weights, results, strict=True))
        grads = results[0][1]
        for name, total in grads.items():
            total *= weights[0]
            for weight, (_, others) in zip(weights[1:], results[1:], strict=True):
                total += weight * others[name]
        return loss, grads
