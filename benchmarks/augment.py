"""What changing a minibatch costs, beside the training step that it feeds.

    python benchmarks/augment.py

The programs take turns, each in a process of its own.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from fc import ours  # a training step
from side_by_side import (
    THREADS,
    measure,
    milliseconds,
    print_header,
    print_machine,
    print_row,
    ratio,
)

DIMS, BATCH = (784, 1000, 1000, 10), 128


def images(n):
    return np.random.default_rng(0).integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)


def distortion(dims, n):
    from leaderboard.augment import distort
    from support.process import keep_freed_memory

    keep_freed_memory()
    X, rng = images(n), np.random.default_rng(0)
    return lambda: distort(X, rng)


def adversarial_step(dims, n):
    from fc_net import FullyConnectedNet
    from leaderboard.augment import adversarial
    from support.process import keep_freed_memory

    keep_freed_memory()
    X, net = images(n), FullyConnectedNet(dims[0], dims[1:-1], dims[-1], seed=0)
    return lambda: adversarial(X, None, net=net)


def main():
    print_machine()
    programs = {"step": ours, "distort": distortion, "adversarial": adversarial_step}
    for threads in THREADS:
        times = measure(programs, (DIMS, BATCH), threads=threads)
        print(f"\n{'-'.join(map(str, DIMS))}, batches of {BATCH}, {threads} threads: median (best)")
        print_header("", "ms", "of the step")
        for name in programs:
            print_row(name, milliseconds(times, name), ratio(times, name, "step"))


if __name__ == "__main__":
    main()
