"""Speed of fully-connected networks, side by side with PyTorch, JAX and scikit-learn.

    python benchmarks/fc.py [threads ...] [--rounds N]

The first table times a training step: forward, loss, backward, momentum; float32, the batch given
as floats. "products" are the bare matrix products of the same step, which no implementation on the
same BLAS can beat; "DataParallel" is ours with a part of the batch on each thread of Python;
"PyTorch, tuned" keeps the memory that it frees, as `Solver` does. The second table times an epoch
on 60,000 images of 28 x 28 pixels through each library's own training loop: `Solver`, a
`DataLoader` loop, `MLPClassifier`. The pixels are random; the time does not depend on them.
"""

from functools import partial
from itertools import pairwise

import numpy as np
from side_by_side import compare, parse_arguments, print_machine, threads_here

from fast.data_parallel import DataParallel
from fc_net import FullyConnectedNet
from optim import sgd_momentum
from solver import Solver
from support.process import keep_freed_memory

NETS = [  # and their batches
    ((784, 100, 10), 100),
    ((784, 800, 10), 128),
    ((784, 1024, 1024, 10), 256),
    ((784, 256, 256, 256, 256, 10), 128),
]
LEARNING_RATE, MOMENTUM = 0.01, 0.9
BATCH = 100  # of an epoch


def batch(shape):
    rng = np.random.default_rng(0)
    return rng.random(shape, dtype=np.float32), rng.integers(0, 10, shape[0])


def digits(n):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, n)


def products(dims, n):
    """Make the matrix products of a training step and nothing else."""
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


def our_step(net, X, y):
    keep_freed_memory()
    config = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM}
    configs = {name: dict(config) for name in net.params}

    def step():
        _, grads = net.loss(X, y)
        for name in configs:
            net.params[name], _ = sgd_momentum(net.params[name], grads[name], configs[name])

    return step


def ours(dims, n):
    return our_step(FullyConnectedNet(dims[0], dims[1:-1], seed=0), *batch((n, dims[0])))


def in_parts(dims, n):
    net = FullyConnectedNet(dims[0], dims[1:-1], seed=0)
    return our_step(DataParallel(net, threads_here()), *batch((n, dims[0])))


def torch_step(net, learning_rate=LEARNING_RATE):
    """Make a step of training on a batch of tensors, of any network in PyTorch."""
    import torch

    torch.set_num_threads(threads_here())
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=MOMENTUM)
    criterion = torch.nn.CrossEntropyLoss()

    def step(X, y):
        optimizer.zero_grad()
        loss = criterion(net(X), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_net(dims):
    import torch

    layers = []
    for fan_in, fan_out in pairwise(dims):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def pytorch(dims, n, tuned=False):
    import torch

    if tuned:
        keep_freed_memory()
    X, y = map(torch.from_numpy, batch((n, dims[0])))
    return partial(torch_step(torch_net(dims)), X, y)


def jax_jit(dims, n):
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    params = [
        (np.sqrt(2 / a) * rng.standard_normal((a, b), dtype=np.float32), np.zeros(b, np.float32))
        for a, b in pairwise(dims)
    ]
    params = jax.tree.map(jnp.asarray, params)
    X, y = map(jnp.asarray, batch((n, dims[0])))

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


# Training loops. Each prepares the data; then loop(seed) trains a new network, an epoch each time
# that it is asked for the next function which predicts the labels of X_test.


def our_loop(data, hidden, learning_rate=LEARNING_RATE):
    train = {key: data[key] for key in ("X_train", "y_train")}
    config = {"learning_rate": learning_rate, "momentum": MOMENTUM}

    def loop(seed):
        net = FullyConnectedNet(784, [hidden], seed=seed)
        solver = Solver(net, train, "sgd_momentum", config, num_epochs=1, verbose=False, seed=seed)
        while True:
            solver.train()
            yield lambda: net.predict(data["X_test"])
            solver.num_epochs += 1

    return loop


def flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255


def torch_loader(X, y):
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(X, y), batch_size=BATCH, shuffle=True)


def torch_loop(data, hidden, learning_rate=LEARNING_RATE):
    import torch

    X, X_test = (torch.from_numpy(flat(data[key])) for key in ("X_train", "X_test"))
    y = torch.from_numpy(data["y_train"])

    def loop(seed):
        torch.manual_seed(seed)
        net = torch_net((784, hidden, 10))
        step = torch_step(net, learning_rate)
        while True:
            for minibatch in torch_loader(X, y):
                step(*minibatch)
            yield torch.no_grad()(lambda: net(X_test).argmax(1).numpy())

    return loop


def sklearn_loop(data, hidden, learning_rate=LEARNING_RATE):
    from sklearn.neural_network import MLPClassifier

    X, X_test = flat(data["X_train"]), flat(data["X_test"])

    def loop(seed):
        net = MLPClassifier(
            (hidden,),
            solver="sgd",
            alpha=0.0,
            batch_size=BATCH,
            learning_rate_init=learning_rate,
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            random_state=seed,
        )
        while True:
            net.partial_fit(X, data["y_train"], classes=np.arange(10))
            yield lambda: net.predict(X_test)

    return loop


LOOPS = {"ours": our_loop, "PyTorch": torch_loop, "scikit-learn": sklearn_loop}


def first_epoch(make_loop):
    X, y = digits(60_000)
    loop = make_loop({"X_train": X, "y_train": y, "X_test": X[:1000]}, hidden=100)
    return lambda: next(loop(seed=0))


def main():
    arguments = parse_arguments(__doc__)
    print_machine("torch", "jax", "scikit-learn")
    peers = {"PyTorch": pytorch, "PyTorch, tuned": partial(pytorch, tuned=True), "JAX": jax_jit}
    programs = {"ours": ours, "DataParallel": in_parts, "products": products, **peers}
    ratios = [("ours", "products"), ("ours", "DataParallel"), *((peer, "ours") for peer in peers)]
    cases = {f"{'-'.join(map(str, dims))} ({n})": (dims, n) for dims, n in NETS}
    rounds = arguments.rounds or 15
    compare("Training step", cases, programs, ratios, arguments.threads, rounds=rounds)

    programs = {name: partial(first_epoch, loop) for name, loop in LOOPS.items()}
    ratios = [("PyTorch", "ours"), ("scikit-learn", "ours")]
    cases = {"784-100-10 (100)": ()}
    rounds = arguments.rounds or 7
    compare("Epoch", cases, programs, ratios, arguments.threads, rounds=rounds)


if __name__ == "__main__":
    main()
