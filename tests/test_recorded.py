"""Numbers that were recorded before networks became lists of layers, and stay what they are.

What is drawn stays to the bit. What matrix products compute stays to rounding, as their last bits
depend on the machine.
"""

import zlib

import numpy as np
import pytest

from conv_net import ConvNet
from fc_net import FullyConnectedNet
from solver import Solver

NETS = {
    "plain": (FullyConnectedNet, {}),
    "float32": (FullyConnectedNet, {"dtype": np.float32}),
    "reg": (FullyConnectedNet, {"reg": 0.1}),
    "dropout": (FullyConnectedNet, {"dropout": 0.3}),
    "bn": (FullyConnectedNet, {"normalization": "batchnorm", "dropout": 0.2}),
    "ln": (FullyConnectedNet, {"normalization": "layernorm", "activation": "sigmoid"}),
    "tanh": (FullyConnectedNet, {"activation": "tanh", "weight_scale": "lecun"}),
    "linear": (FullyConnectedNet, {"activation": "linear", "weight_scale": 0.01}),
    "conv": (ConvNet, {"reg": 1e-3, "dropout": 0.5}),
    "conv bn": (ConvNet, {"normalization": "batchnorm"}),
    "conv ln": (ConvNet, {"normalization": "layernorm"}),
}
# CRC-32 of the weights; loss, norm of the gradient, its sum with changing signs; the mean loss of
# three epochs by each of the update rules.
RECORDED = {
    "plain": (2143848766, 2.62126, 1.753801, -7.231616, 2.535774, 2.467839, 4.256778, 2.354838),
    "float32": (2273857668, 2.62126, 1.753801, -7.231616, 2.535774, 2.467839, 4.256777, 2.354838),
    "reg": (2143848766, 8.680864, 2.149517, -7.641175, 8.540342, 8.377205, 5.419536, 7.287181),
    "dropout": (2143848766, 3.068871, 2.915411, 1.751274, 2.730116, 2.629654, 3.191583, 2.48579),
    "bn": (2741817280, 2.820799, 1.26712, 0.1451257, 2.821877, 2.764974, 2.165701, 2.452601),
    "ln": (2741817280, 2.567029, 0.7675916, 1.292887, 2.540344, 2.506182, 2.421827, 2.351678),
    "tanh": (384149684, 2.328118, 0.6588974, -2.930167, 2.316137, 2.29566, 2.596972, 2.233091),
    "linear": (2719152479, 2.302576, 0.139315, -0.09085732, 2.302004, 2.300796, 5.020881, 2.278929),
    "conv": (1446748367, 5.440413, 18.46597, 30.66371, 2.90472, 2.752549, 2.713691, 2.858236),
    "conv bn": (2780815462, 2.644354, 1.47348, -0.9775438, 2.570904, 2.470198, 2.180735, 2.252518),
    "conv ln": (2780815462, 3.067945, 4.109038, 8.008195, 2.646474, 2.569255, 2.573012, 2.435864),
}  # fmt: skip


def make(name):
    kind, options = NETS[name]
    sizes = ((1, 8, 8), [4, (6, 4)], 3, [12]) if kind is ConvNet else (64, [30, 20])
    return kind(*sizes, **{"dtype": np.float64, "seed": 3, **options})


def flat(arrays):
    return np.concatenate([array.ravel() for array in arrays.values()])


@pytest.mark.parametrize("name", NETS)
def test_networks_and_trainings(name):
    rng, net = np.random.default_rng(1), make(name)
    X, y = rng.integers(0, 256, (80, 1, 8, 8), dtype=np.uint8), rng.integers(0, 10, 80)
    weights, *expected = RECORDED[name]
    assert zlib.crc32(flat(net.params).tobytes()) == weights
    loss, grads = net.loss(X, y)
    gradient = flat({key: grads[key] for key in net.params}).astype(np.float64)
    signs = np.resize([1.0, 1.0, -1.0], gradient.size)
    numbers = [loss, np.linalg.norm(gradient), gradient @ signs]
    data = {"X_train": X, "y_train": y, "X_val": X[:20], "y_val": y[:20]}
    for rule in ("sgd", "sgd_momentum", "rmsprop", "adam"):
        options = {"lr_decay": 0.9, "batch_size": 32, "num_epochs": 3, "verbose": False, "seed": 5}
        solver = Solver(make(name), data, rule, {"learning_rate": 0.01}, **options)
        solver.train()
        numbers.append(np.mean(solver.loss_history))
    np.testing.assert_allclose(numbers, expected, rtol=1e-5)
