"""What the checks of arguments cost: their share of a training step.

    python benchmarks/checks.py

The checks that one step makes are recorded with their arguments, then made again by themselves and
timed beside the step.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import side_by_side  # noqa: F401  before the libraries: it sets their threads

import checks
import conv
import layers
import network
import optim
from conv_net import ConvNet
from fc_net import FullyConnectedNet

MODULES = (conv, layers, network, optim)


def microseconds(function, repeat):
    """Median time of a call."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e6 * median(times)


def recorded(step):
    """The checks that a step makes, each as a function and its arguments."""
    calls, originals = [], []
    for module in MODULES:
        for name in vars(checks):
            check = getattr(module, name, None)
            if name.startswith("check_") and check is not None:

                def record(*args, check=check, **kwargs):
                    calls.append((check, args, kwargs))
                    return check(*args, **kwargs)

                originals.append((module, name, check))
                setattr(module, name, record)
    step()
    for original in originals:
        setattr(*original)
    return calls


def main():
    rng = np.random.default_rng(0)
    nets = {
        "784-100-10 (100)": (FullyConnectedNet(784, [100], seed=0), (100, 784)),
        "784-800-10 (128)": (FullyConnectedNet(784, [800], seed=0), (128, 784)),
        "ConvNet (100)": (ConvNet(seed=0), (100, 1, 28, 28)),
    }
    print("| network (batch) | step, us | checks | checks, us | share |")
    print("|---|---|---|---|---|")
    for name, (net, shape) in nets.items():
        X, y = rng.random(shape, dtype=np.float32), rng.integers(0, 10, shape[0])
        configs = {key: {"learning_rate": 0.01} for key in net.params}

        def step(net=net, X=X, y=y, configs=configs):
            _, grads = net.loss(X, y)
            for key, config in configs.items():
                optim.sgd_momentum(net.params[key], grads[key], config)

        def labels(y=y):  # what softmax_loss looks at beside
            return y.min() < 0 or y.max() >= 10

        whole = microseconds(step, 100)
        calls = recorded(step)
        alone = microseconds(lambda calls=calls: [f(*a, **k) for f, a, k in calls], 300)
        alone += microseconds(labels, 300)
        share = alone / whole
        print(f"| {name} | {whole:.0f} | {len(calls) + 1} | {alone:.1f} | {share:.2%} |")


if __name__ == "__main__":
    main()
