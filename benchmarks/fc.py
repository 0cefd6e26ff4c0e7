"""Speed of fully-connected networks, side by side with PyTorch, JAX and scikit-learn.

    python -m pip install -r requirements.txt -r benchmarks/requirements.txt
    python benchmarks/fc.py [threads ...]

Each table is made with one thread and with two, unless told otherwise. The first times a training
step (forward, loss, backward, momentum; float32, the batch given as floats) beside the bare matrix
products of the same step, which no implementation on the same BLAS can beat. The second times a
whole epoch on 60,000 images of 28 x 28 pixels through each library's own training loop: `Solver`,
a `DataLoader` loop, `MLPClassifier`. The pixels are random; the time does not depend on them.
"PyTorch, set" keeps the memory that it frees, as `Solver` does.
"""

import sys
from itertools import pairwise
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

NETS = [
    ((784, 100, 10), 100),
    ((784, 800, 10), 128),
    ((784, 1024, 1024, 10), 256),
    ((784, 256, 256, 256, 256, 10), 128),
]
LEARNING_RATE, MOMENTUM = 0.01, 0.9


def batch(dims, n):
    rng = np.random.default_rng(0)
    return rng.random((n, dims[0]), dtype=np.float32), rng.integers(0, dims[-1], n)


def products(dims, n):
    """The matrix products of a training step and nothing else."""
    rng = np.random.default_rng(0)
    h = [rng.random((n, d), dtype=np.float32) for d in dims]
    w = [rng.standard_normal(shape, dtype=np.float32) for shape in pairwise(dims)]

    def step():
        for i in range(len(w)):
            h[i] @ w[i]
        for i in reversed(range(len(w))):
            h[i].T @ h[i + 1]
            if i:
                h[i + 1] @ w[i].T

    return step


def ours(dims, n):
    from fc_net import FullyConnectedNet
    from optim import sgd_momentum
    from support.process import keep_freed_memory

    keep_freed_memory()

    net = FullyConnectedNet(dims[0], dims[1:-1], dims[-1], seed=0)
    X, y = batch(dims, n)
    configs = {name: {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM} for name in net.params}

    def step():
        loss, grads = net.loss(X, y)
        for name, config in configs.items():
            net.params[name], _ = sgd_momentum(net.params[name], grads[name], config)
        return loss

    return step


def torch_net(dims):
    import torch

    torch.set_num_threads(num_threads())
    layers = []
    for fan_in, fan_out in pairwise(dims):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    criterion = torch.nn.CrossEntropyLoss()

    def step(X, y):
        optimizer.zero_grad()
        loss = criterion(net(X), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_eager(dims, n):
    import torch

    step = torch_net(dims)
    X, y = map(torch.from_numpy, batch(dims, n))
    return lambda: step(X, y)


def torch_set(dims, n):
    from support.process import keep_freed_memory

    keep_freed_memory()
    return torch_eager(dims, n)


def jax_jit(dims, n):
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    params = [
        (np.sqrt(2 / a) * rng.standard_normal((a, b), dtype=np.float32), np.zeros(b, np.float32))
        for a, b in pairwise(dims)
    ]
    params = jax.tree.map(jnp.asarray, params)
    X, y = map(jnp.asarray, batch(dims, n))

    def loss(params, X, y):
        for w, b in params[:-1]:
            X = jax.nn.relu(X @ w + b)
        w, b = params[-1]
        return -jnp.mean(jax.nn.log_softmax(X @ w + b)[jnp.arange(len(y)), y])

    def update(params, velocity, X, y):
        value, grads = jax.value_and_grad(loss)(params, X, y)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v - LEARNING_RATE * g, velocity, grads)
        return jax.tree.map(jnp.add, params, velocity), velocity, value

    update = jax.jit(update, donate_argnums=(0, 1))
    state = [params, jax.tree.map(jnp.zeros_like, params)]

    def step():
        *state[:], value = update(*state, X, y)
        return float(value)

    return step


def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60_000, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, 60_000)


def solver_epoch():
    from fc_net import FullyConnectedNet
    from solver import Solver

    X, y = images()
    data = {"X_train": X, "y_train": y}
    optim_config = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM}

    def epoch():
        net = FullyConnectedNet(784, [100], seed=0)
        Solver(net, data, "sgd_momentum", optim_config, num_epochs=1, verbose=False).train()

    return epoch


def torch_epoch():
    import torch

    X, y = images()
    X = torch.from_numpy(X.reshape(len(X), -1).astype(np.float32) / 255)
    dataset = torch.utils.data.TensorDataset(X, torch.from_numpy(y))
    step = torch_net((784, 100, 10))

    def epoch():
        for X, y in torch.utils.data.DataLoader(dataset, batch_size=100, shuffle=True):
            step(X, y)

    return epoch


def sklearn_epoch():
    from sklearn.neural_network import MLPClassifier

    X, y = images()
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    net = MLPClassifier(
        (100,),
        solver="sgd",
        alpha=0.0,
        batch_size=100,
        learning_rate_init=LEARNING_RATE,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        random_state=0,
    )
    return lambda: net.partial_fit(X, y, classes=np.arange(10))


def main():
    print_machine()
    programs = {
        "ours": ours,
        "products": products,
        "PyTorch": torch_eager,
        "PyTorch, set": torch_set,
        "JAX": jax_jit,
    }
    for threads in THREADS:
        print(f"\nOne training step, float32, {threads} threads: ms, then ratios; median (best)")
        peers = ("PyTorch", "PyTorch, set", "JAX")
        print_header(
            "network (batch)", *programs, "ours / products", *(f"{p} / ours" for p in peers)
        )
        for dims, n in NETS:
            times = measure(programs, (dims, n), threads=threads)
            print_row(
                f"{'-'.join(map(str, dims))} ({n})",
                *(milliseconds(times, name) for name in programs),
                ratio(times, "ours", "products"),
                *(ratio(times, name, "ours") for name in peers),
            )

    programs = {"ours": solver_epoch, "PyTorch": torch_epoch, "scikit-learn": sklearn_epoch}
    for threads in THREADS:
        print(f"\nOne epoch, 784-100-10, batch 100, {threads} threads: ms, then ratios")
        print_header(*programs, "PyTorch / ours", "scikit-learn / ours")
        times = measure(programs, threads=threads, rounds=7)
        print_row(
            *(milliseconds(times, name) for name in programs),
            *(ratio(times, name, "ours") for name in ("PyTorch", "scikit-learn")),
        )


if __name__ == "__main__":
    main()
