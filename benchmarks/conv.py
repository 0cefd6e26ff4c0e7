"""Speed and memory of convolution and max pooling, side by side with PyTorch and MyGrad.

    python -m pip install -r requirements.txt -r benchmarks/requirements.txt
    python benchmarks/conv.py [threads ...]

One layer at a time, float32, forward alone and forward + backward with the gradients of x, w and b.
Convolution also stands beside the bare matrix products of the same size, made of matrices that are
there already: (N OH OW, C HH WW) times (C HH WW, F), and for forward + backward the two more of
that size which give the gradients of the masks and of the patches.

"In C order": x and dout are ordinary arrays, so turning them is part of the time. "In a net": they
are (H, C, W, N) in memory, as the layers of `conv.py` hand them to each other. "In parts": the
same, as `DataParallel` runs a network on several threads. The peers get their own ordinary arrays
each time; "PyTorch, set" is as an expert would set it: it keeps the memory that it frees, and its
images are in the memory format channels_last. MyGrad is in pure NumPy.

The last table trains the notebook's ConvNet on 6,000 images, a tenth of an epoch, through each
library's own training loop: `Solver` and a `DataLoader` loop. The pixels are random; the time does
not depend on them.
"""

import sys
import tracemalloc
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from side_by_side import (
    THREADS,
    measure,
    milliseconds,
    num_threads,
    print_header,
    print_machine,
    print_row,
    ratio,
)

CONV = [  # shape of x, masks, size of a mask
    ((64, 1, 28, 28), 32, 5),
    ((64, 32, 12, 12), 64, 5),
    ((64, 16, 14, 14), 32, 3),
    ((64, 3, 32, 32), 32, 3),
    ((64, 32, 14, 14), 32, 3),
]
POOL = [((64, 32, 24, 24), 2, 2), ((64, 32, 27, 27), 3, 2)]  # shape of x, size, stride
HOW = ("in C order", "in a net", "in parts")


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


def our_conv_in_parts(shape, *arguments):
    return in_parts(our_conv_in_a_net, shape, *arguments)


def in_parts(make, shape, *arguments):
    """The same layer as `DataParallel` runs it: a part of the batch on each thread of Python."""
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    threadpool_limits(1, "blas")
    n, parts = shape[0], num_threads()
    pool = ThreadPoolExecutor(parts)
    steps = [make((n // parts, *shape[1:]), *arguments) for _ in range(parts)]
    return lambda: list(pool.map(lambda step: step(), steps))


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

    torch.set_num_threads(num_threads())
    x, w, b, dout = map(torch.from_numpy, conv_inputs(shape, filters, size, pad))
    return torch_conv_step(x, w, b, dout, pad, backward)


def torch_conv_set(shape, filters, size, pad, backward):
    import torch

    from support.process import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(num_threads())
    x, w, b, dout = map(torch.from_numpy, conv_inputs(shape, filters, size, pad))
    x, w, dout = (t.contiguous(memory_format=torch.channels_last) for t in (x, w, dout))
    return torch_conv_step(x, w, b, dout, pad, backward)


def torch_conv_step(x, w, b, dout, pad, backward):
    import torch

    for parameter in (x, w, b):
        parameter.requires_grad_(backward)

    def step():
        out = torch.nn.functional.conv2d(x, w, b, padding=pad)
        return torch.autograd.grad(out, (x, w, b), dout) if backward else None

    return step


def mygrad_conv(shape, filters, size, pad, backward):
    import mygrad
    from mygrad.nnet.layers import conv_nd

    x, w, b, dout = conv_inputs(shape, filters, size, pad)
    x, w, b = (mygrad.tensor(a, constant=not backward) for a in (x, w, b.reshape(1, -1, 1, 1)))

    def step():
        out = conv_nd(x, w, stride=1, padding=pad) + b
        if backward:
            out.backward(dout)

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


def our_pool_in_parts(shape, *arguments):
    return in_parts(our_pool_in_a_net, shape, *arguments)


def torch_pool(shape, size, stride, backward):
    import torch

    torch.set_num_threads(num_threads())
    x, dout = map(torch.from_numpy, pool_inputs(shape, size, stride))
    return torch_pool_step(x, dout, size, stride, backward)


def torch_pool_set(shape, size, stride, backward):
    import torch

    from support.process import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(num_threads())
    x, dout = map(torch.from_numpy, pool_inputs(shape, size, stride))
    x, dout = (t.contiguous(memory_format=torch.channels_last) for t in (x, dout))
    return torch_pool_step(x, dout, size, stride, backward)


def torch_pool_step(x, dout, size, stride, backward):
    import torch

    x.requires_grad_(backward)

    def step():
        out = torch.nn.functional.max_pool2d(x, size, stride)
        return torch.autograd.grad(out, x, dout) if backward else None

    return step


def mygrad_pool(shape, size, stride, backward):
    import mygrad
    from mygrad.nnet.layers import max_pool

    x, dout = pool_inputs(shape, size, stride)
    x = mygrad.tensor(x, constant=not backward)

    def step():
        out = max_pool(x, (size, size), stride)
        if backward:
            out.backward(dout)

    return step


def digits():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6000, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, 6000)


def solver_epoch():
    from conv_net import ConvNet

    return solver_epoch_of(ConvNet(seed=0))


def solver_epoch_in_parts():
    from conv_net import ConvNet
    from fast.data_parallel import DataParallel

    return solver_epoch_of(DataParallel(ConvNet(seed=0), num_threads()))


def solver_epoch_of(model):
    from solver import Solver

    X, y = digits()
    data, optim_config = {"X_train": X, "y_train": y}, {"learning_rate": 0.01}
    options = {"num_epochs": 1, "num_train_samples": 100, "verbose": False}

    def epoch():
        Solver(model, data, "sgd_momentum", optim_config, **options).train()

    return epoch


def torch_epoch():
    import torch

    return torch_epoch_in(torch.contiguous_format)


def torch_epoch_set():
    import torch

    from support.process import keep_freed_memory

    keep_freed_memory()
    return torch_epoch_in(torch.channels_last)


def torch_epoch_in(memory_format):
    import torch
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU

    torch.set_num_threads(num_threads())
    X, y = digits()
    X = torch.from_numpy(X.astype(np.float32) / 255)
    dataset = torch.utils.data.TensorDataset(X, torch.from_numpy(y))
    net = torch.nn.Sequential(
        *(Conv2d(1, 16, 5, padding=2), ReLU(), MaxPool2d(2)),
        *(Conv2d(16, 32, 5, padding=2), ReLU(), MaxPool2d(2)),
        *(Flatten(), Linear(32 * 7 * 7, 128), ReLU(), Linear(128, 10)),
    ).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()

    def epoch():
        for X, y in torch.utils.data.DataLoader(dataset, batch_size=100, shuffle=True):
            optimizer.zero_grad()
            criterion(net(X.to(memory_format=memory_format)), y).backward()
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


def print_table(title, programs, peers, cases):
    """A table of cases, (label, arguments): milliseconds, then ratios."""
    print(f"\n{title}: ms, then ratios; median (best)")
    of_products = HOW if "products" in programs else ()
    print_header(
        "case",
        *programs,
        *(f"{how} / products" for how in of_products),
        *(f"{peer} / {how}" for how in HOW for peer in peers),
    )
    for label, threads, arguments in cases:
        times = measure(programs, arguments, threads=threads, rounds=7, seconds=0.1, pause=0.2)
        print_row(
            label,
            *(milliseconds(times, name) for name in programs),
            *(ratio(times, how, "products") for how in of_products),
            *(ratio(times, peer, how) for how in HOW for peer in peers),
        )


def main():
    print_machine()
    ours = {
        "in C order": our_conv_in_c_order,
        "in a net": our_conv_in_a_net,
        "in parts": our_conv_in_parts,
        "products": products,
    }
    peers = {"PyTorch": torch_conv, "PyTorch, set": torch_conv_set, "MyGrad": mygrad_conv}
    conv_cases = [(*case, pad) for case in CONV for pad in (0, case[-1] // 2)]
    for threads in THREADS:
        for backward, title in ((False, "forward"), (True, "forward + backward")):
            cases = [(name(*case), threads, (*case, backward)) for case in conv_cases]
            title = f"Convolution, {title}, float32, {threads} threads"
            print_table(title, ours | peers, peers, cases)
    ours = {
        "in C order": our_pool_in_c_order,
        "in a net": our_pool_in_a_net,
        "in parts": our_pool_in_parts,
    }
    peers = {"PyTorch": torch_pool, "PyTorch, set": torch_pool_set, "MyGrad": mygrad_pool}
    for threads in THREADS:
        for backward, title in ((False, "forward"), (True, "forward + backward")):
            cases = [
                (f"{shape}, {size} x {size}, stride {stride}", threads,
                 (shape, size, stride, backward))
                for shape, size, stride in POOL
            ]  # fmt: skip
            title = f"Max pooling, {title}, float32, {threads} threads"
            print_table(title, ours | peers, peers, cases)

    ours = {"Solver": solver_epoch, "DataParallel": solver_epoch_in_parts}
    peers = {"PyTorch": torch_epoch, "PyTorch, set": torch_epoch_set}
    for threads in THREADS:
        print(f"\nConvNet, 6,000 images, batch 100, {threads} threads: ms, then ratios")
        print_header(*ours, *peers, *(f"{peer} / {our}" for our in ours for peer in peers))
        times = measure(ours | peers, threads=threads, rounds=5, seconds=0.1)
        print_row(
            *(milliseconds(times, name) for name in ours | peers),
            *(ratio(times, peer, our) for our in ours for peer in peers),
        )

    print("\nPeak memory of convolution, forward + backward, in C order: MB")
    print_header("case", "peak", "input", "output", "one unfolded copy", "peak / their sum")
    for case in conv_cases:
        peak, *parts = peak_memory(*case)
        numbers = (f"{number:.1f}" for number in (peak, *parts))
        print_row(name(*case), *numbers, f"{peak / sum(parts):.2f}")


if __name__ == "__main__":
    main()
