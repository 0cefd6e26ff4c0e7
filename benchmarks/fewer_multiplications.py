"""What fewer multiplications (`winograd`) and batches in parts (`DataParallel`) are worth.

    python benchmarks/fewer_multiplications.py [threads ...]

First the time of a training step's loss and gradients: by the plain products, with `winograd`, and
in two parts besides. Then rounding errors in float32 beside those of the plain products, as root
mean squares against float64. Last the accuracy of the notebook's ConvNet, trained with and without
`winograd` from the same seeds on full MNIST, as `load_mnist` finds it; the validation images
measure it.
"""

import sys
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent.parent))

from side_by_side import THREADS, measure, milliseconds, print_header, print_machine, print_row
from side_by_side import ratio as time_ratio

from conv import conv_backward, conv_forward
from conv_net import ConvNet
from data_utils import load_mnist
from fast import winograd
from fast.data_parallel import DataParallel
from fc_net import FullyConnectedNet
from optim import cosine
from solver import Solver
from support.process import keep_freed_memory

NETS = {  # and their batches
    "ConvNet, 16 and 32 masks 5 x 5": (lambda: ConvNet(seed=0), 100),
    "ConvNet, 16; 32, 32; 64, 64 masks 3 x 3": (
        lambda: ConvNet(num_filters=(16, (32, 32), (64, 64)), filter_size=3, seed=0),
        128,
    ),
    "784-1024-1024-10": (lambda: FullyConnectedNet(784, [1024] * 2, seed=0), 256),
}
LAYERS = [(8, 16, 14, 3), (32, 32, 14, 3), (64, 64, 7, 3), (16, 32, 14, 5), (64, 64, 7, 5)]
SEEDS, EPOCHS = range(5), 3
SIZES = winograd.SIZES


def use(fast):
    winograd.SIZES = SIZES if fast else ()


def step(name, fast, parts):
    use(fast)
    keep_freed_memory()
    make, n = NETS[name]
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)
    model = DataParallel(make()) if parts else make()
    return lambda: model.loss(X, y)


def plain(name):
    return step(name, fast=False, parts=False)


def fast(name):
    return step(name, fast=True, parts=False)


def in_parts(name):
    return step(name, fast=True, parts=True)


def errors(channels, filters, side, size):
    """Root mean square errors of out, dx and dw in float32: with `winograd` over without."""
    rng = np.random.default_rng(0)
    shapes = (
        (64, channels, side, side),
        (filters, channels, size, size),
        (filters,),
        (64, filters, side, side),
    )
    arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    def run(fast, dtype):
        use(fast)
        x, w, b, dout = (a.astype(dtype) for a in arrays)
        out, cache = conv_forward(x, w, b, {"pad": size // 2})
        return out, *conv_backward(dout, cache)[:2]

    exact = run(False, np.float64)
    fast, plain = (
        [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(run(f, np.float32), exact, strict=True)]
        for f in (True, False)
    )
    return np.divide(fast, plain)


def validation_error(data, seed, fast):
    use(fast)
    solver = Solver(
        ConvNet(seed=seed),
        data,
        "sgd_momentum",
        {"learning_rate": 0.05},
        num_epochs=EPOCHS,
        schedule=cosine,
        verbose=False,
        seed=seed,
    )
    with threadpool_limits(1, "blas"):
        solver.train()
    return 1 - solver.val_acc_history[-1]


def main():
    print_machine()
    programs = {"plain products": plain, "winograd": fast, "winograd, in parts": in_parts}
    for threads in THREADS:
        print(f"\nLoss and gradients of a batch, {threads} threads: ms, then ratios; median (best)")
        print_header("network", *programs, *(f"plain / {name}" for name in list(programs)[1:]))
        for name in NETS:
            times = measure(programs, (name,), threads=threads, rounds=9)
            print_row(
                name,
                *(milliseconds(times, program) for program in programs),
                *(time_ratio(times, "plain products", p) for p in list(programs)[1:]),
            )

    print("\nRounding errors of float32, with winograd / without")
    print_header("channels, masks, side, size of a mask", "out", "dx", "dw")
    for layer in LAYERS:
        print_row(", ".join(map(str, layer)), *(f"{ratio:.1f}" for ratio in errors(*layer)))

    data = load_mnist(verbose=False)
    data = {key: data[key] for key in ("X_train", "y_train", "X_val", "y_val")}
    print(f"\nConvNet, {len(data['X_train']):,} images, {EPOCHS} epochs: validation error by seed")
    print_header("", *SEEDS, "mean", "standard deviation")
    for fast_one, name in ((False, "plain products"), (True, "winograd")):
        jobs = (delayed(validation_error)(data, seed, fast_one) for seed in SEEDS)
        found = Parallel(2)(jobs)
        print_row(name, *(f"{e:.2%}" for e in (*found, np.mean(found), np.std(found, ddof=1))))


if __name__ == "__main__":
    main()
