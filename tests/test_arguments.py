"""Every argument of the public functions, with values that students pass by mistake.

Each must be refused by a ValueError or TypeError that names the argument, or be taken for what it
is. Shapes that do not fit each other are in test_convention.py and test_networks.py.
"""

import copy
import re
from functools import partial

import numpy as np
import pytest

import conv as C
import gradient_check as G
import layers as L
import normalization as N
import optim
from conv_net import ConvNet
from fc_net import FC, FullyConnectedNet, Network
from solver import DivergedError, Solver

WRONG = [None, "a", [], [1], ["a"], {"a": 1}, np.nan, np.inf, -1, 0, 1.5]
ARRAYS = [np.ones(7), np.ones((7, 5, 3)), np.full((2, 3), np.nan), np.ones((2, 3), np.float16)]

X, W, B, Y, ONES = np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.array([0, 1]), np.ones(3)
IMAGES, MASKS, BIASES, ONE = np.ones((2, 1, 4, 4)), np.ones((2, 1, 3, 3)), np.ones(2), np.ones(1)
POOL, TRAIN = {"pool_height": 2, "pool_width": 2, "stride": 2}, {"mode": "train"}
DATA = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
NET = {"hidden_dim": [2], "num_classes": 2, "weight_scale": 0.1, "reg": 0.1, "dtype": np.float32,
       "seed": 0, "dropout": 0.1, "normalization": "batchnorm"}  # fmt: skip


def net():
    return FullyConnectedNet(3, [2], 2, dtype=np.float64, seed=0)


def train(model=None, data=DATA, **options):
    model = net() if model is None else model
    solver = Solver(model, data, **{"verbose": False, "num_epochs": 1, **options})
    solver.train()
    return solver


def config_of(rule):
    return lambda **config: rule(X.copy(), X, config)


RULES = optim.UPDATE_RULES
# A function, and arguments that make sense.
CALLS = {
    "fc_forward": (L.fc_forward, {"x": X, "w": W, "b": B}),
    "dropout": (L.dropout_forward, {"x": X, "p": 0.5, "rng": np.random.default_rng(0)}),
    "softmax_loss": (L.softmax_loss, {"x": X, "y": Y}),
    **{name: (getattr(N, name), {"x": X, "gamma": ONES, "beta": ONES, param: TRAIN}) for name, param
       in (("batchnorm_forward", "bn_param"), ("layernorm_forward", "ln_param"))},
    "bn_param": (lambda **param: N.batchnorm_forward(X, ONES, ONES, param),
                 {"mode": "test", "eps": 0.1, "momentum": 0.5, "running_mean": ONES.copy(),
                  "running_var": ONES.copy()}),
    "groupnorm_forward": (N.spatial_groupnorm_forward,
                          {"x": IMAGES, "gamma": ONE, "beta": ONE, "G": 1, "gn_param": {}}),
    "convolve_1d": (partial(C.convolve_1d, mask=B), {"signal": B}),
    "conv_forward": (C.conv_forward, {"x": IMAGES, "w": MASKS, "b": BIASES, "conv_param": {}}),
    "conv_param": (lambda **param: C.conv_forward(IMAGES, MASKS, BIASES, param),
                   {"stride": 1, "pad": 1}),
    "max_pool_forward": (C.max_pool_forward, {"x": IMAGES, "pool_param": POOL}),
    "pool_param": (lambda **param: C.max_pool_forward(IMAGES, param), POOL),
    **{name: (rule, {"w": X, "dw": X, "config": None}) for name, rule in RULES.items()},
    **{f"{name} config": (config_of(rule), optim.DEFAULTS[name]) for name, rule in RULES.items()},
    "cosine": (partial(optim.cosine, 0.5), {"warm_up": 0.1}),
    "numerical gradient": (G.eval_numerical_gradient, {"f": np.sum, "x": X, "h": 1e-5}),
    "check_layer": (lambda forward, backward, x, **options:
                    G.check_layer(forward, backward, x, **options),
                    {"forward": L.relu_forward, "backward": L.relu_backward, "x": X,
                     "tolerance": 1e-7, "h": 1e-5, "seed": 0}),
    "check_net": (lambda model, X, y: G.check_net(model, X, y), {"model": net(), "X": X, "y": Y}),
    "Network": (Network, {"input_dim": 3, "layers": [FC(2)]}),
    "FullyConnectedNet": (FullyConnectedNet, {"input_dim": 3, "activation": "relu", **NET}),
    "ConvNet": (ConvNet, {"input_dim": (1, 8, 8), "num_filters": (2,), "filter_size": 3, **NET}),
    "loss": (net().loss, {"X": X, "y": Y}),
    "predict": (net().predict, {"X": X, "batch_size": 2}),
    "input_gradient": (net().input_gradient, {"X": X, "y": Y}),
    "Solver": (train, {"model": net(), "data": DATA, "update_rule": "sgd", "optim_config": {},
                       "lr_decay": 0.9, "batch_size": 2, "num_epochs": 1, "print_every": 1,
                       "schedule": None, "transform": None, "after_epoch": None,
                       "num_train_samples": None, "num_val_samples": None, "seed": 0}),
    "data": (lambda **data: train(data=data), DATA),
    "optim_config": (lambda **options: train(optim_config=options), {"learning_rate": 0.1}),
    "schedule": (lambda factor: train(schedule=lambda t: factor), {"factor": 1.0}),
    "transform": (lambda transform: train(transform=lambda X, rng: transform), {"transform": X}),
    "accuracy": (train().check_accuracy, {"X": X, "y": Y, "num_samples": 1, "batch_size": 2}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("call", "name"), [(call, name) for call, (_, good) in CALLS.items() for name in good]
)
def test_wrong_arguments_are_named(call, name):
    function, good = CALLS[call]
    refused = []
    for wrong in WRONG + (ARRAYS if isinstance(good[name], np.ndarray) else []):
        try:
            with np.errstate(all="ignore"):
                function(**{**copy.deepcopy(good), name: wrong})
        except DivergedError:
            pass
        except (TypeError, ValueError) as error:
            refused.append(str(error))
    assert [told for told in refused if not re.search(rf"\b{name}\b|: layer \d", told)] == []
    assert len(refused) >= 3
