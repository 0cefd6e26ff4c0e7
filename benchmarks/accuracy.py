"""Seconds until a network of 784-256-10 knows 98% of MNIST's test images, by each library.

    python benchmarks/accuracy.py [threads ...] [--rounds N]

Each library trains through its own loop, with the same settings and data, and stops after the first
epoch that reaches the accuracy; each round has a seed of its own. This measures time: no setting of
the project was chosen by it. It wants full MNIST, as `load_mnist` finds it.
"""

from functools import partial
from itertools import count, islice

import numpy as np
from fc import LOOPS
from side_by_side import compare, parse_arguments, print_machine

from data_utils import load_mnist

GOAL, MOST_EPOCHS = 0.98, 30
HIDDEN, LEARNING_RATE = 256, 0.03


def mnist():
    data = load_mnist(num_val=0, verbose=False)
    if len(data["X_train"]) < 60_000:
        raise SystemExit("accuracy.py: full MNIST is not where load_mnist looks")
    return data


def until_goal(make_loop):
    data, seeds = mnist(), count()
    loop = make_loop(data, HIDDEN, LEARNING_RATE)

    def step():
        for predict in islice(loop(next(seeds)), MOST_EPOCHS):
            if np.mean(predict() == data["y_test"]) >= GOAL:
                return
        raise SystemExit(f"accuracy.py: {GOAL:.0%} was not reached in {MOST_EPOCHS} epochs")

    return step


def main():
    arguments = parse_arguments(__doc__)
    print_machine("torch", "scikit-learn")
    mnist()
    programs = {name: partial(until_goal, loop) for name, loop in LOOPS.items()}
    slices = {"rounds": arguments.rounds or 3, "seconds": 0.0, "warm_up": 0}
    cases = {f"784-{HIDDEN}-10": ()}
    ratios = [("PyTorch", "ours"), ("scikit-learn", "ours")]
    title = f"Time to {GOAL:.0%} of the test images"
    compare(title, cases, programs, ratios, arguments.threads, unit="s", **slices)


if __name__ == "__main__":
    main()
