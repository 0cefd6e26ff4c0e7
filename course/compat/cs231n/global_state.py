"""Weights and dropout that follow `np.random.seed`, as notebooks of the course expect."""

import numpy as np

from fc_net import Dropout


class GlobalState(np.random.Generator):
    """NumPy's global state as a Generator; with a seed, its uniform numbers are always the same.

    Weights are the numbers of `numpy.random.randn`, and dropout keeps where `numpy.random.rand` is
    below the part that is kept: in a cell that is seeded, these are the course's own.
    """

    def __init__(self, seed=None):
        super().__init__(np.random.get_bit_generator())
        self.seed = seed

    def __reduce__(self):  # a copy follows the same state
        return GlobalState, (self.seed,)

    def standard_normal(self, size):
        return np.random.standard_normal(size)

    def random(self, size, dtype=None):
        source = np.random if self.seed is None else np.random.RandomState(self.seed)
        return 1 - source.random_sample(size)  # dropout keeps what is high, the course what is low


class FollowsGlobalState:
    """Make a `Network` that of the course, as the first base of its class.

    Weights follow the global state, and dropout too or, with a seed, drops the same units at each
    call; a Generator as seed is what both draw from. Running variances start at 0.
    """

    def __init__(self, *args, seed=None, **options):
        rng = seed if isinstance(seed, np.random.Generator) else GlobalState(seed)
        super().__init__(*args, seed=rng, **options)
        for name, array in self.buffers.items():
            if name.startswith("running_var"):
                array[...] = 0
        draws = seed is None and any(isinstance(layer, Dropout) for layer in self.layers)
        self.rng = rng if draws or rng is seed else None  # which a checkpoint has to keep
