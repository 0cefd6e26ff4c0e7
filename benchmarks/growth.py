"""How time and memory grow with the problem: examples, width, depth, batch and image size.

    python benchmarks/growth.py [picture.png]

One quantity grows at a time, the others stay. The slope of time over that quantity on logarithmic
axes is printed beside the one that the number of multiplications lets expect, and drawn beside it.
A step's memory is the peak of what NumPy allocates in it; the last table is that of whole processes
that train for an epoch on MNIST's shape, repeated up to 8 million images in a memory map (6.3 GB of
a file with holes, which reads as black images and takes no disk).
"""

import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median

import matplotlib as mpl
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from side_by_side import print_header, print_machine, print_row

from conv_net import ConvNet
from fc_net import FullyConnectedNet
from optim import sgd_momentum
from support.process import keep_freed_memory

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

ROOT = Path(__file__).resolve().parent.parent
BATCH, WIDTH = 128, 512
IMAGES = (60_000, 480_000, 8_000_000)

# What grows: its values, the network and the batch for each, the slope that is expected.
GROWTH = {
    "batch": ((32, 64, 128, 256, 512, 1024), lambda n: (fc([WIDTH] * 2), n), 1.0),
    "width": ((128, 256, 512, 1024, 2048), lambda n: (fc([n] * 3), BATCH), 2.0),
    "depth": ((2, 4, 8, 16, 32), lambda n: (fc([256] * n), BATCH), 1.0),
    "image side": (
        (16, 24, 32, 48, 64),
        lambda n: (ConvNet((1, n, n), (16, 32), 3, [], seed=0), 64),
        2.0,
    ),
}


def fc(hidden_dim):
    return FullyConnectedNet(784, hidden_dim, seed=0)


def training_step(net, n):
    """A step of training on n random examples."""
    rng = np.random.default_rng(0)
    shape = net.params["W1"].shape
    if len(shape) == 4:
        side = round((net.params[f"W{len(net.params) // 2}"].shape[0] / 32) ** 0.5) * 4
        X = rng.random((n, 1, side, side), dtype=np.float32)
    else:
        X = rng.random((n, shape[0]), dtype=np.float32)
    y = rng.integers(0, 10, n)
    configs = {name: {"learning_rate": 0.001} for name in net.params}

    def step():
        _, grads = net.loss(X, y)
        for name, config in configs.items():
            sgd_momentum(net.params[name], grads[name], config)

    return step


def seconds_and_bytes(step, repeats=9):
    """Median time of a step, and the peak of what it allocates."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return median(times), peak


TRAIN = """
import resource, sys, time
import numpy as np
from fc_net import FullyConnectedNet
from solver import Solver

n, path = int(sys.argv[1]), sys.argv[2]
X = np.memmap(path, np.uint8, "r", shape=(n, 1, 28, 28))
data = {"X_train": X, "y_train": np.arange(n) % 10}
net = FullyConnectedNet(784, [100], seed=0)
start = time.perf_counter()
Solver(net, data, "sgd_momentum", num_epochs=1, batch_size=1000, verbose=False, seed=0).train()
with open("/proc/self/status") as file:
    anonymous = next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
print(time.perf_counter() - start, anonymous / 1024)
"""


def epoch(n, path):
    """Seconds and MB of anonymous memory of a process that trains on n mapped images."""
    command = [sys.executable, "-c", TRAIN, str(n), str(path)]
    return map(float, subprocess.check_output(command, cwd=ROOT, text=True).split())


def draw(ax, name, sizes, times, expected, unit):
    """Times on logarithmic axes, beside a line of the expected slope through the last of them."""
    ax.loglog(sizes, times, "o-", label="measured")
    line = times[-1] * (np.array(sizes) / sizes[-1]) ** expected
    ax.loglog(sizes, line, "k--", lw=1, label=f"slope {expected:g}")
    ax.set(xlabel=name, ylabel=unit)
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend()


def main():
    print_machine()
    keep_freed_memory()
    count = len(GROWTH) + 1
    fig, axes = plt.subplots(1, count, figsize=(3.2 * count, 3.2), layout="constrained")
    print("\nOne training step")
    print_header("what grows", "from", "to", "ms", "peak MB", "slope of time", "expected")
    for ax, (name, (sizes, make, expected)) in zip(axes, GROWTH.items(), strict=False):
        found = [seconds_and_bytes(training_step(*make(n))) for n in sizes]
        times, peaks = np.transpose(found) * [[1e3], [1e-6]]
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        ends = (f"{a[0]:.3g} to {a[-1]:.3g}" for a in (times, peaks))
        print_row(name, sizes[0], sizes[-1], *ends, f"{slope:.2f}", f"{expected:g}")
        draw(ax, name, sizes, times, expected, "ms a step")

    print("\nOne epoch of 784-100-10 from a memory map, batches of 1,000")
    print_header("images", "s", "s for a million", "anonymous memory, MB", "labels in it, MB")
    epochs = []
    with tempfile.NamedTemporaryFile(dir=ROOT, suffix=".images") as file:
        file.truncate(max(IMAGES) * 784)
        for n in IMAGES:
            seconds, megabytes = epoch(n, file.name)
            epochs.append(seconds)
            row = seconds, seconds / n * 1e6
            print_row(f"{n:,}", *(f"{s:.1f}" for s in row), f"{megabytes:.0f}", f"{n * 8e-6:.1f}")
    draw(axes[-1], "examples", IMAGES, epochs, 1.0, "s an epoch")
    if len(sys.argv) > 1:
        fig.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
