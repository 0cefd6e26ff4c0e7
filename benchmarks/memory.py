"""Peak memory of a training run through `Solver`, as the operating system counts it (Linux).

    python benchmarks/memory.py

Each figure comes from a process of its own that loads full MNIST (through `load_mnist`) or maps a
million images from disk, trains the 784-100-10 net, and reports its peak resident memory (VmHWM)
and its largest anonymous memory (RssAnon), which leaves out pages of mapped files. With less than
full MNIST at hand it says so, and the figures are not those of the README.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TRAIN = """
import threading
import numpy as np
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
net = FullyConnectedNet(784, [100], seed=0)
Solver(net, data, "sgd_momentum", num_epochs={epochs}, verbose=False, seed=0).train()
done.set()
watcher.join()
n = len(data["X_train"])
print(f"| {{n:,}} | {epochs} | {{status('VmHWM'):.0f}} | {{largest:.0f}} |")
"""


def report(epochs, mapped=""):
    code = TRAIN.format(epochs=epochs, mapped=mapped)
    print(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True), end="")


def main():
    print("| training images | epochs | peak resident memory, MB | anonymous memory, MB |")
    print("|---|---|---|---|", flush=True)
    report(1)
    report(20)
    with tempfile.NamedTemporaryFile(dir=ROOT, suffix=".images") as file:
        file.truncate(1_000_000 * 784)  # a file with holes: it reads as black images
        report(1, file.name)


if __name__ == "__main__":
    main()
