"""What changing a minibatch costs, beside the training step that it feeds.

    python benchmarks/augment.py

The programs take turns, each in a process of its own.
"""

import sys
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import side_by_side

BATCH = 128


def _batch():
    return np.random.default_rng(0).integers(0, 256, (BATCH, 1, 28, 28), dtype=np.uint8)


def _net():
    from fc_net import FullyConnectedNet

    return FullyConnectedNet(784, [1000, 1000], seed=0)


def make_step():
    from optim import sgd_momentum

    net, X, y = _net(), _batch(), np.arange(BATCH) % 10
    configs = {name: {"learning_rate": 0.01} for name in net.params}

    def step():
        _, grads = net.loss(X, y)
        for name, config in configs.items():
            sgd_momentum(net.params[name], grads[name], config)

    return step


def make_distort():
    from augment import distort

    X, rng = _batch(), np.random.default_rng(0)
    return lambda: distort(X, rng)


def make_adversarial():
    from augment import adversarial

    net, X = _net(), _batch()
    return lambda: adversarial(X, None, net=net)


def main():
    programs = {"step": make_step, "distort": make_distort, "adversarial": make_adversarial}
    times = side_by_side.measure(programs)
    print(f"784-1000-1000-10, batches of {BATCH}, {side_by_side.THREADS} threads")
    print("| | ms | of the step |")
    print("|---|---|---|")
    for name, values in times.items():
        share = side_by_side.ratio(times, name, "step")
        print(f"| {name} | {1000 * median(values):.2f} | {share:.0%} |")


if __name__ == "__main__":
    main()
