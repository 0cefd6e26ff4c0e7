"""Seconds until a network of 784-256-10 knows 98% of MNIST's test images, by each library.

    python -m pip install -r requirements.txt -r benchmarks/requirements.txt
    python benchmarks/accuracy.py [threads ...]

Each library trains through its own loop, `Solver`, a `DataLoader` loop and `MLPClassifier`, with
the same settings and data, and stops after the first epoch that reaches the accuracy. This measures
time: no setting of the project was chosen by it. It wants full MNIST, as `load_mnist` finds it.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from side_by_side import THREADS, measure, num_threads, print_header, print_machine, print_row

GOAL, MOST_EPOCHS, SEEDS = 0.98, 30, 3
HIDDEN = 256
LEARNING_RATE, MOMENTUM, BATCH = 0.03, 0.9, 100


class ReachedError(Exception):
    """The accuracy is there."""


def mnist():
    from data_utils import load_mnist

    data = load_mnist(num_val=0, verbose=False)
    if len(data["X_train"]) < 60_000:
        raise SystemExit("accuracy.py: full MNIST is not where load_mnist looks")
    return data


def counted(train):
    """A program whose steps train with one seed after the other, and say so where one fails."""
    seeds = iter(range(10**6))

    def step():
        if not train(next(seeds)):
            raise SystemExit(f"accuracy.py: {GOAL:.0%} was not reached in {MOST_EPOCHS} epochs")

    return step


def ours():
    from fc_net import FullyConnectedNet
    from solver import Solver

    data = mnist()
    train = {key: data[key] for key in ("X_train", "y_train")}

    def after_epoch(solver):
        if np.mean(solver.model.predict(data["X_test"]) == data["y_test"]) >= GOAL:
            raise ReachedError

    def run(seed):
        net = FullyConnectedNet(784, [HIDDEN], seed=seed)
        optim_config = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM}
        options = {"num_epochs": MOST_EPOCHS, "after_epoch": after_epoch, "num_train_samples": 1}
        solver = Solver(
            net, train, "sgd_momentum", optim_config, seed=seed, verbose=False, **options
        )
        try:
            solver.train()
        except ReachedError:
            return True
        return False

    return counted(run)


def flat(X):
    return X.reshape(len(X), -1).astype(np.float32) / 255


def pytorch():
    import torch

    torch.set_num_threads(num_threads())
    data = mnist()
    X_test, y_test = torch.from_numpy(flat(data["X_test"])), torch.from_numpy(data["y_test"])
    dataset = torch.utils.data.TensorDataset(
        torch.from_numpy(flat(data["X_train"])), torch.from_numpy(data["y_train"])
    )

    def run(seed):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(784, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
        criterion = torch.nn.CrossEntropyLoss()
        for _ in range(MOST_EPOCHS):
            for X, y in torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True):
                optimizer.zero_grad()
                criterion(net(X), y).backward()
                optimizer.step()
            with torch.no_grad():
                if (net(X_test).argmax(1) == y_test).float().mean() >= GOAL:
                    return True
        return False

    return counted(run)


def scikit_learn():
    from sklearn.neural_network import MLPClassifier

    data = mnist()
    X, y, X_test = flat(data["X_train"]), data["y_train"], flat(data["X_test"])

    def run(seed):
        net = MLPClassifier(
            (HIDDEN,),
            solver="sgd",
            alpha=0.0,
            batch_size=BATCH,
            learning_rate_init=LEARNING_RATE,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            random_state=seed,
        )
        for _ in range(MOST_EPOCHS):
            net.partial_fit(X, y, classes=np.arange(10))
            if np.mean(net.predict(X_test) == data["y_test"]) >= GOAL:
                return True
        return False

    return counted(run)


def main():
    print_machine()
    mnist()
    programs = {"ours": ours, "PyTorch": pytorch, "scikit-learn": scikit_learn}
    for threads in THREADS:
        start = time.perf_counter()
        times = measure(programs, threads=threads, rounds=SEEDS, seconds=0.0, warm_up=0)
        title = f"784-{HIDDEN}-10 to {GOAL:.0%}, {threads} threads"
        print(f"\n{title}: seconds, then ratios; median (best)")
        print_header(*programs, "PyTorch / ours", "scikit-learn / ours")
        cells = [f"{median(t):.1f} ({min(t):.1f})" for t in times.values()]
        mine = median(times["ours"])
        ratios = [f"{median(times[name]) / mine:.2f}" for name in list(programs)[1:]]
        print_row(*cells, *ratios)
        print(f"({SEEDS} seeds each, {time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
