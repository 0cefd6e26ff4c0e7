"""Speed and memory of convolution and max pooling, side by side with PyTorch.

    python -m pip install -r requirements.txt -r benchmarks/requirements.txt
    python benchmarks/conv.py

One layer at a time, float32, forward alone and forward + backward with the gradients of x, w and b.
Convolution also stands beside the bare matrix products of the same size, made of matrices that are
there already: (N OH OW, C HH WW) times (C HH WW, F), and for forward + backward the two more of
that size which give the gradients of the masks and of the patches.

"In C order": x and dout are ordinary arrays, so turning them is part of the time. "In a net": they
are (H, C, W, N) in memory, as the layers of `conv.py` hand them to each other. PyTorch gets
its own ordinary tensors both times.

The last table trains the notebook's ConvNet on 6,000 images, a tenth of an epoch, through each
library's own training loop: `Solver` and a `DataLoader` loop. The pixels are random; the time does
not depend on them.
"""

import sys
import tracemalloc
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from side_by_side import THREADS, measure, ratio  # before the libraries: it sets their threads

CONV = [  # shape of x, masks, size of a mask
    ((64, 1, 28, 28), 32, 5),
    ((64, 32, 12, 12), 64, 5),
    ((64, 16, 14, 14), 32, 3),
    ((64, 3, 32, 32), 32, 3),
    ((64, 32, 14, 14), 32, 3),
]
POOL = [((64, 32, 24, 24), 2, 2), ((64, 32, 27, 27), 3, 2)]  # shape of x, size, stride
HOW = ("in C order", "in a net")


def images(shape, how):
    """Random images of the shape, laid out in memory in the one way or the other."""
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if how == "in a net":
        x = x.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2)
    return x


def conv_inputs(shape, filters, size, pad, how="in C order"):
    """x, w, b and dout of a convolution with stride 1."""
    n, channels, height, width = shape
    out = (n, filters, height + 2 * pad - size + 1, width + 2 * pad - size + 1)
    w, b = images((filters, channels, size, size), "in C order"), np.zeros(filters, np.float32)
    return images(shape, how), w, b, images(out, how)


def our_conv(shape, filters, size, pad, backward, how):
    from conv import conv_backward, conv_forward
    from support.process import keep_freed_memory

    keep_freed_memory()
    x, w, b, dout = conv_inputs(shape, filters, size, pad, how)

    def step():
        _, cache = conv_forward(x, w, b, {"stride": 1, "pad": pad})
        return conv_backward(dout, cache) if backward else None

    return step


def our_conv_in_c_order(*arguments):
    return our_conv(*arguments, "in C order")


def our_conv_in_a_net(*arguments):
    return our_conv(*arguments, "in a net")


def products(shape, filters, size, pad, backward):
    """The matrix products of the same convolution and nothing else."""
    _, w, _, dout = conv_inputs(shape, filters, size, pad)
    w = w.reshape(filters, -1).T.copy()
    dout = dout.transpose(0, 2, 3, 1).reshape(-1, filters).copy()
    patches = images((len(dout), len(w)), "in C order")

    def step():
        patches @ w
        if backward:
            patches.T @ dout
            dout @ w.T

    return step


def torch_conv(shape, filters, size, pad, backward):
    import torch

    torch.set_num_threads(THREADS)
    x, w, b, dout = map(torch.from_numpy, conv_inputs(shape, filters, size, pad))
    for parameter in (x, w, b):
        parameter.requires_grad_(backward)

    def step():
        out = torch.nn.functional.conv2d(x, w, b, padding=pad)
        return torch.autograd.grad(out, (x, w, b), dout) if backward else None

    return step


def pool_inputs(shape, size, stride, how="in C order"):
    """x and dout of a max pooling."""
    out = (*shape[:2], *(1 + (s - size) // stride for s in shape[2:]))
    return images(shape, how), images(out, how)


def our_pool(shape, size, stride, backward, how):
    from conv import max_pool_backward, max_pool_forward
    from support.process import keep_freed_memory

    keep_freed_memory()
    x, dout = pool_inputs(shape, size, stride, how)

    def step():
        _, cache = max_pool_forward(x, {"pool_height": size, "pool_width": size, "stride": stride})
        return max_pool_backward(dout, cache) if backward else None

    return step


def our_pool_in_c_order(*arguments):
    return our_pool(*arguments, "in C order")


def our_pool_in_a_net(*arguments):
    return our_pool(*arguments, "in a net")


def torch_pool(shape, size, stride, backward):
    import torch

    torch.set_num_threads(THREADS)
    x, dout = map(torch.from_numpy, pool_inputs(shape, size, stride))
    x.requires_grad_(backward)

    def step():
        out = torch.nn.functional.max_pool2d(x, size, stride)
        return torch.autograd.grad(out, x, dout) if backward else None

    return step


def digits():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6000, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, 6000)


def solver_epoch():
    from conv_net import ConvNet
    from solver import Solver

    X, y = digits()
    data, optim_config = {"X_train": X, "y_train": y}, {"learning_rate": 0.01}
    options = {"num_epochs": 1, "num_train_samples": 100, "verbose": False}

    def epoch():
        Solver(ConvNet(seed=0), data, "sgd_momentum", optim_config, **options).train()

    return epoch


def torch_epoch():
    import torch
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU

    torch.set_num_threads(THREADS)
    X, y = digits()
    dataset = torch.utils.data.TensorDataset(
        torch.from_numpy(X.astype(np.float32) / 255), torch.from_numpy(y)
    )
    net = torch.nn.Sequential(
        Conv2d(1, 16, 5, padding=2),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 5, padding=2),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(32 * 7 * 7, 128),
        ReLU(),
        Linear(128, 10),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()

    def epoch():
        for X, y in torch.utils.data.DataLoader(dataset, batch_size=100, shuffle=True):
            optimizer.zero_grad()
            criterion(net(X), y).backward()
            optimizer.step()

    return epoch


def peak_memory(shape, filters, size, pad):
    """Peak of forward + backward in MB, and that of input, output and one unfolded copy in MB."""
    from conv import conv_backward, conv_forward

    x, w, b, dout = conv_inputs(shape, filters, size, pad)
    tracemalloc.start()
    out, cache = conv_forward(x, w, b, {"stride": 1, "pad": pad})
    conv_backward(dout, cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    unfolded = dout[:, 0].size * w[0].size * w.itemsize
    return peak / 1e6, *(number / 1e6 for number in (x.nbytes, out.nbytes, unfolded))


def name(shape, filters, size, pad):
    return f"{shape}, {filters} masks {size} x {size}, pad {pad}"


def row(label, programs, arguments):
    """Print a row of milliseconds and ratios."""
    times = measure(programs, arguments, rounds=7, seconds=0.1, pause=0.2)
    cells = [f"{1e3 * median(times[name]):.2f}" for name in programs]
    if "products" in programs:
        cells += [f"{ratio(times, how, 'products'):.2f}" for how in HOW]
    cells += [f"{ratio(times, 'PyTorch', how):.2f}" for how in HOW]
    print(f"| {label} | {' | '.join(cells)} |", flush=True)


def main():
    conv = {
        "in C order": our_conv_in_c_order,
        "in a net": our_conv_in_a_net,
        "products": products,
        "PyTorch": torch_conv,
    }
    pool = {
        "in C order": our_pool_in_c_order,
        "in a net": our_pool_in_a_net,
        "PyTorch": torch_pool,
    }
    conv_cases = [(*case, pad) for case in CONV for pad in (0, case[-1] // 2)]
    for backward, title in ((False, "forward"), (True, "forward + backward")):
        print(f"\nConvolution, {title}, float32, 2 threads: milliseconds, then ratios")
        print(
            "| case | in C order | in a net | products | PyTorch "
            "| of products: in C order | in a net | x PyTorch: in C order | in a net |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for case in conv_cases:
            row(name(*case), conv, (*case, backward))
    for backward, title in ((False, "forward"), (True, "forward + backward")):
        print(f"\nMax pooling, {title}, float32, 2 threads: milliseconds, then ratios")
        print("| case | in C order | in a net | PyTorch | x PyTorch: in C order | in a net |")
        print("|---|---|---|---|---|---|")
        for case in POOL:
            shape, size, stride = case
            row(f"{shape}, {size} x {size}, stride {stride}", pool, (*case, backward))

    print("\nConvNet, 6,000 images, batch 100")
    print("| ours, s | PyTorch, s | PyTorch / ours |")
    print("|---|---|---|")
    times = measure({"ours": solver_epoch, "PyTorch": torch_epoch}, rounds=5, seconds=0.1)
    cells = [f"{median(seconds):.2f}" for seconds in times.values()]
    print(f"| {' | '.join(cells)} | {ratio(times, 'PyTorch', 'ours'):.2f} |", flush=True)

    print("\nPeak memory of convolution, forward + backward, in C order: MB")
    print("| case | peak | input | output | one unfolded copy | peak / their sum |")
    print("|---|---|---|---|---|---|")
    for case in conv_cases:
        peak, *parts = peak_memory(*case)
        cells = " | ".join(f"{number:.1f}" for number in (peak, *parts))
        print(f"| {name(*case)} | {cells} | {peak / sum(parts):.2f} |")


if __name__ == "__main__":
    main()
