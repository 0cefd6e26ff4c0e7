"""Memory and time of a training run, as the operating system counts them (Linux).

    python benchmarks/memory.py

Each row comes from a process of its own. It loads MNIST through `load_mnist`, or maps images from a
file with holes, which reads as black images and takes no disk; then it trains a net and predicts
the labels of 10,000 images. It reports the largest resident memory and the largest anonymous
memory, which leaves out the pages of mapped files.
"""

import multiprocessing
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from side_by_side import ROOT, print_machine, print_table

from conv_net import ConvNet
from data_utils import load_mnist
from fc_net import FullyConnectedNet
from solver import Solver

NETS = {
    "784-100-10": lambda: FullyConnectedNet(784, [100], seed=0),
    "ConvNet": lambda: ConvNet(seed=0),
}
RUNS = [  # network, epochs, mapped images or None for those of MNIST
    ("784-100-10", 1, None),
    ("784-100-10", 20, None),
    ("ConvNet", 1, None),
    ("784-100-10", 1, 60_000),
    ("784-100-10", 1, 1_000_000),
    ("784-100-10", 1, 8_000_000),
]


def megabytes(key):
    """Return a figure of this process from the kernel."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def run(network, epochs, num_mapped, path):
    """Train and predict; return images, seconds of training, peaks of memory."""
    anonymous, done = [], threading.Event()

    def watch():
        while not done.wait(0.02):
            anonymous.append(megabytes("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    if num_mapped:
        X = np.memmap(path, np.uint8, "r", shape=(num_mapped, 1, 28, 28))
        data = {"X_train": X, "y_train": np.arange(num_mapped) % 10}
    else:
        data = load_mnist(verbose=False)
    net = NETS[network]()
    start = time.perf_counter()
    Solver(net, data, "sgd_momentum", num_epochs=epochs, verbose=False, seed=0).train()
    seconds = time.perf_counter() - start
    net.predict(data["X_train"][:10_000])
    done.set()
    watcher.join()
    return len(data["X_train"]), seconds, megabytes("VmHWM"), max(anonymous)


def rows():
    context = multiprocessing.get_context("spawn")
    with tempfile.NamedTemporaryFile(dir=ROOT, suffix=".images") as file:
        for network, epochs, num_mapped in RUNS:
            file.truncate((num_mapped or 0) * 784)
            with ProcessPoolExecutor(1, context) as pool:
                result = pool.submit(run, network, epochs, num_mapped, file.name).result()
            images, seconds, *peaks = result
            source = "mapped" if num_mapped else "MNIST"
            each = 1e6 * seconds / images / epochs
            yield network, epochs, f"{images:,}, {source}", seconds, each, *peaks


def main():
    print_machine()
    columns = ("network", "epochs", "images", "s", "us an image", "peak MB", "anonymous MB")
    print_table("Training run", columns, rows())


if __name__ == "__main__":
    main()
