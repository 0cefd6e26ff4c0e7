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

from side_by_side import print_header, print_machine, print_row

import conv
import fc_net
import layers
import optim
from conv_net import ConvNet
from fc_net import FullyConnectedNet
from support import checks

MODULES = (conv, fc_net, layers, optim)


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
    calls, originals, depth = [], [], 0
    for module in MODULES:
        for name, check in list(vars(module).items()):
            if getattr(check, "__module__", "") == checks.__name__ or name.startswith("_check_"):

                def record(*args, check=check, **kwargs):
                    nonlocal depth
                    if depth == 0:  # a check that another one makes is part of that
                        calls.append((check, args, kwargs))
                    depth += 1
                    try:
                        return check(*args, **kwargs)
                    finally:
                        depth -= 1

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
    print_machine()
    print_header("network (batch)", "step, us", "checks", "checks, us", "share")
    for name, (net, shape) in nets.items():
        X, y = rng.random(shape, dtype=np.float32), rng.integers(0, 10, shape[0])
        configs = {key: {"learning_rate": 0.01} for key in net.params}

        def step(net=net, X=X, y=y, configs=configs):
            _, grads = net.loss(X, y)
            for key, config in configs.items():
                optim.sgd_momentum(net.params[key], grads[key], config)

        whole = microseconds(step, 100)
        calls = recorded(step)
        alone = microseconds(lambda calls=calls: [f(*a, **k) for f, a, k in calls], 300)
        share = alone / whole
        print_row(name, f"{whole:.0f}", len(calls), f"{alone:.1f}", f"{share:.2%}")


if __name__ == "__main__":
    main()
