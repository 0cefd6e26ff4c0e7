"""How time and memory of a training step grow with batch, width, depth and image size.

    python benchmarks/growth.py [picture.png]

One quantity grows at a time, the others stay. The slope of time over that quantity on logarithmic
axes is printed beside the one that the number of multiplications lets expect, and drawn beside it.
Memory is the peak of what NumPy allocates in a step.
"""

import sys
import time
import tracemalloc
from functools import partial
from statistics import median

import matplotlib as mpl
import numpy as np
from fc import batch, our_step
from side_by_side import print_machine, print_table

from conv_net import ConvNet
from fc_net import FullyConnectedNet

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

fc = partial(FullyConnectedNet, 784, seed=0)
conv = partial(ConvNet, num_filters=(16, 32), filter_size=3, hidden_dim=[], seed=0)
# What grows: its values, the network and the shape of a batch for each, the expected slope.
GROWTH = {
    "batch": ((32, 64, 128, 256, 512, 1024), lambda n: (fc([512] * 2), (n, 784)), 1),
    "width": ((128, 256, 512, 1024, 2048), lambda n: (fc([n] * 3), (128, 784)), 2),
    "depth": ((2, 4, 8, 16, 32), lambda n: (fc([256] * n), (128, 784)), 1),
    "image side": ((16, 24, 32, 48, 64), lambda n: (conv((1, n, n)), (64, 1, n, n)), 2),
}


def milliseconds_and_megabytes(net, shape, repeats=9):
    """Return the median time of a training step, and the peak of what it allocates."""
    step = our_step(net, *batch(shape))
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
    return 1e3 * median(times), 1e-6 * peak


def draw(ax, name, sizes, times, expected):
    """Draw times on logarithmic axes, with a line of the expected slope through the last one."""
    ax.loglog(sizes, times, "o-", label="measured")
    line = times[-1] * (np.array(sizes) / sizes[-1]) ** expected
    ax.loglog(sizes, line, "k--", lw=1, label=f"slope {expected}")
    ax.set(xlabel=name, ylabel="ms a step")
    ax.set_xticks(sizes, sizes)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend()


def rows(axes):
    for ax, (name, (sizes, make, expected)) in zip(axes, GROWTH.items(), strict=True):
        times, peaks = zip(*(milliseconds_and_megabytes(*make(n)) for n in sizes), strict=True)
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        draw(ax, name, sizes, times, expected)
        ends = (f"{a[0]:.4g} to {a[-1]:.4g}" for a in (sizes, times, peaks))
        yield name, *ends, slope, expected


def main():
    print_machine()
    count = len(GROWTH)
    fig, axes = plt.subplots(1, count, figsize=(3.2 * count, 3.2), layout="constrained")
    columns = ("what grows", "from to", "ms", "peak MB", "slope of time", "expected")
    print_table("Training step", columns, rows(axes))
    if len(sys.argv) > 1:
        fig.savefig(sys.argv[1], dpi=120)


if __name__ == "__main__":
    main()
