"""Memory of a training run through `Solver`, as the operating system counts it (Linux).

    python benchmarks/memory.py

Each row comes from a process of its own that loads full MNIST (through `load_mnist`) or maps a
million images from disk, trains a net, 784-100-10 or the notebook's ConvNet, and then predicts the
labels of 10,000 images. It reports the largest resident memory while it trains (VmHWM) and the
anonymous memory (RssAnon), which leaves out pages of mapped files: the largest while it trains,
that after the training and that after `predict`. With less than full MNIST at hand it says so, and
the figures are not those of the README.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from side_by_side import print_machine

ROOT = Path(__file__).resolve().parent.parent

TRAIN = """
import threading
import numpy as np
from conv_net import ConvNet
from data_utils import load_mnist
from fc_net import FullyConnectedNet
from solver import Solver


def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


largest, done = 0.0, threading.Event()


def watch():
    global largest
    while not done.wait(0.02):
        largest = max(largest, status("RssAnon"))


watcher = threading.Thread(target=watch)
watcher.start()
if {mapped!r}:
    X = np.memmap({mapped!r}, np.uint8, "r", shape=(1_000_000, 1, 28, 28))
    data = {{"X_train": X, "y_train": np.arange(len(X)) % 10}}
else:
    data = load_mnist(verbose=False)
net = {net}
Solver(net, data, "sgd_momentum", num_epochs={epochs}, verbose=False, seed=0).train()
done.set()
watcher.join()
sizes = [status("VmHWM"), largest, status("RssAnon")]
net.predict(data["X_train"][:10_000])
sizes.append(status("RssAnon"))
print("|", " | ".join([f"{{len(data['X_train']):,}}", *(f"{{size:.0f}}" for size in sizes)]), "|")
"""
FC, CONV = "FullyConnectedNet(784, [100], seed=0)", "ConvNet(seed=0)"


def report(name, net, epochs, mapped=""):
    code = TRAIN.format(net=net, epochs=epochs, mapped=mapped)
    row = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    print(f"| {name} | {epochs} {row}", end="", flush=True)


def main():
    print_machine()
    print()
    print(
        "| network | epochs | training images | peak resident memory, MB "
        "| anonymous memory in training, MB | after it, MB | after predict, MB |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    report("784-100-10", FC, 1)
    report("784-100-10", FC, 20)
    report("ConvNet", CONV, 1)
    with tempfile.NamedTemporaryFile(dir=ROOT, suffix=".images") as file:
        file.truncate(1_000_000 * 784)  # a file with holes: it reads as black images
        report("784-100-10, mapped", FC, 1, file.name)


if __name__ == "__main__":
    main()
