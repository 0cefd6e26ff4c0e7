"""Every argument of the public functions, with values that make no sense there.

Each must be refused by a ValueError or TypeError that names the argument, or be taken for what it
is. What is refused and how is in the tests of each module; here it is that nothing else happens.
"""

from fractions import Fraction

import numpy as np
import pytest

import conv
import gradient_check
import layers
import normalization
import optim
from conv_net import ConvNet
from fc_net import FullyConnectedNet
from solver import DivergedError, Solver


class Odd:
    """What cannot even be printed."""

    def __repr__(self):
        raise RuntimeError("no repr")


BAD = [
    None, True, 0, -1, 1.5, -0.5, float("nan"), float("inf"), 10**400, 10**5000, 2**70, 1j,
    "", "a", b"x", [], [1], (), {}, {1: 2}, set(), object(), Odd(), Fraction(1, 3), range(3),
    memoryview(b"ab"), np.float32, np.dtype("f4"), np.random.default_rng(0),
    np.int64(-3), np.float64(np.inf), np.datetime64("2020-01-01"),
    np.array(3.0), np.array([]), np.array(["a"]), np.zeros((0, 3)), np.zeros((2, 3)),
    np.full((2, 3), np.nan), np.zeros((2,) * 5), np.zeros(3, [("a", "f4")]),
    *(np.zeros((2, 3), dtype) for dtype in ("?", "i8", ">f4", "f2", "g", "c16", "O")),
    np.matrix([[1.0]]), np.ma.ones((2, 3)),
]  # fmt: skip

X, W, B, Y = np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.array([0, 1])
IMAGES, MASKS, BIASES = np.ones((2, 1, 4, 4)), np.ones((2, 1, 3, 3)), np.ones(2)
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}
ONES, ONE = np.ones(3), np.ones(1)
DATA = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}


def net():
    return FullyConnectedNet(3, [2], 2, dtype=np.float64, seed=0)


def train(**options):
    solver = Solver(net(), DATA, verbose=False, **{"num_epochs": 1, **options})
    solver.train()
    return solver


def backward(forward, backward, *inputs):
    return lambda dout: backward(dout, forward(*inputs)[1])


def rule(name):
    return lambda **config: optim.UPDATE_RULES[name](X.copy(), X, config)


# A function, and arguments that make sense.
CALLS = {
    "fc_forward": (layers.fc_forward, {"x": X, "w": W, "b": B}),
    "relu_forward": (layers.relu_forward, {"x": X}),
    "sigmoid_forward": (layers.sigmoid_forward, {"x": X}),
    "tanh_forward": (layers.tanh_forward, {"x": X}),
    "dropout_forward": (layers.dropout_forward,
                        {"x": X, "p": 0.5, "rng": np.random.default_rng(0)}),
    **{name: (getattr(normalization, name),
              {"x": X, "gamma": ONES, "beta": ONES, param: {"mode": "train"}})
       for name, param in (("batchnorm_forward", "bn_param"), ("layernorm_forward", "ln_param"))},
    "spatial_batchnorm_forward": (normalization.spatial_batchnorm_forward,
                                  {"x": IMAGES, "gamma": ONE, "beta": ONE,
                                   "bn_param": {"mode": "train"}}),
    "spatial_groupnorm_forward": (normalization.spatial_groupnorm_forward,
                                  {"x": IMAGES, "gamma": ONE, "beta": ONE, "G": 1, "gn_param": {}}),
    "options of batch normalization": (lambda **param:
                                       normalization.batchnorm_forward(X, ONES, ONES, param),
                                       {"mode": "test", "eps": 0.1, "momentum": 0.5,
                                        "running_mean": ONES, "running_var": ONES}),
    "softmax_loss": (layers.softmax_loss, {"x": X, "y": Y}),
    "fc_backward": (backward(layers.fc_forward, layers.fc_backward, X, W, B),
                    {"dout": np.ones((2, 4))}),
    "relu_backward": (backward(layers.relu_forward, layers.relu_backward, X), {"dout": X}),
    "convolve_1d": (conv.convolve_1d, {"signal": B, "mask": B}),
    **{name: (getattr(conv, name), {"x": IMAGES, "w": MASKS, "b": BIASES, "conv_param": {}})
       for name in ("conv_forward", "conv_forward_naive")},
    **{name: (getattr(conv, name), {"x": IMAGES, "pool_param": POOL})
       for name in ("max_pool_forward", "max_pool_forward_naive")},
    "conv_param": (lambda **param: conv.conv_forward(IMAGES, MASKS, BIASES, param),
                   {"stride": 1, "pad": 1}),
    "conv_backward": (backward(conv.conv_forward, conv.conv_backward, IMAGES, MASKS, BIASES, {}),
                      {"dout": np.ones((2, 2, 2, 2))}),
    "max_pool_backward": (backward(conv.max_pool_forward, conv.max_pool_backward, IMAGES, POOL),
                          {"dout": np.ones((2, 1, 2, 2))}),
    **{name: (function, {"w": X.copy(), "dw": X, "config": None})
       for name, function in optim.UPDATE_RULES.items()},
    **{f"config of {name}": (rule(name), options) for name, options in optim.DEFAULTS.items()},
    "state of adam": (rule("adam"), {"m": X.copy(), "v": X.copy(), "t": 1}),
    "cosine": (optim.cosine, {"t": 0.5, "warm_up": 0.1}),
    "rel_error": (gradient_check.rel_error, {"x": X, "y": X}),
    "eval_numerical_gradient": (gradient_check.eval_numerical_gradient,
                                {"f": np.sum, "x": X.copy(), "h": 1e-5}),
    "eval_numerical_gradient_array": (gradient_check.eval_numerical_gradient_array,
                                      {"f": np.sin, "x": X.copy(), "df": X, "h": 1e-5}),
    "check_layer": (lambda forward, backward, x, **options:
                    gradient_check.check_layer(forward, backward, x, **options),
                    {"forward": layers.relu_forward, "backward": layers.relu_backward,
                     "x": X.copy(), "tolerance": 1e-7, "h": 1e-5, "seed": 0}),
    "check_net": (gradient_check.check_net, {"net": net(), "X": X, "y": Y}),
    "FullyConnectedNet": (FullyConnectedNet,
                          {"input_dim": 3, "hidden_dim": [2], "num_classes": 2, "weight_scale": 0.1,
                           "reg": 0.1, "dtype": np.float32, "seed": 0, "activation": "relu",
                           "dropout": 0.1, "normalization": "batchnorm"}),
    "ConvNet": (ConvNet, {"input_dim": (1, 8, 8), "num_filters": (2,), "filter_size": 3,
                          "hidden_dim": (2,), "num_classes": 2, "weight_scale": 0.1, "reg": 0.1,
                          "dtype": np.float32, "seed": 0, "dropout": 0.1,
                          "normalization": "layernorm"}),
    "loss": (lambda X, y: net().loss(X, y), {"X": X, "y": Y}),
    "predict": (lambda X, batch_size: net().predict(X, batch_size=batch_size),
                {"X": X, "batch_size": 2}),
    "input_gradient": (lambda X, y: net().input_gradient(X, y), {"X": X, "y": Y}),
    "load": (lambda path: net().load(path), {"path": "nowhere.npz"}),
    "Solver": (train, {"update_rule": "sgd", "optim_config": {}, "lr_decay": 0.9, "batch_size": 2,
                       "num_epochs": 1, "print_every": 1, "schedule": None, "transform": None,
                       "after_epoch": None, "checkpoint_name": None, "num_train_samples": None,
                       "num_val_samples": None, "seed": 0}),
    "model of Solver": (lambda model: Solver(model, DATA, verbose=False), {"model": net()}),
    "data": (lambda **data: Solver(net(), data, verbose=False, num_epochs=1).train(), DATA),
    "optim_config": (lambda learning_rate: train(optim_config={"learning_rate": learning_rate}),
                     {"learning_rate": 0.1}),
    "schedule": (lambda factor: train(schedule=lambda t: factor), {"factor": 1.0}),
    "transform": (lambda transform: train(transform=lambda X, rng: transform), {"transform": X}),
    "check_accuracy": (lambda **arguments: train().check_accuracy(**arguments),
                       {"X": X, "y": Y, "num_samples": 1, "batch_size": 2}),
}  # fmt: skip
# What a message may name in place of the argument: a part of it, or what it has led to.
ALSO = {
    "x": ["x has", "numerical gradient"], "w": ["epsilon"],
    "X": ["x must", "x has", "x of shape", "scores"],
    "y": ["labels"], "net": ["model", "params"], "model": ["params"], "df": ["numerical gradient"],
    "transform": ["X must", "x must", "x has", "y_train"], "X_train": ["X_val", "x has", "X must"],
    "X_val": ["x has", "X must"], "y_train": ["labels"], "y_val": ["labels"],
}  # fmt: skip
# Functions that are asked for something are not the project's to name.
FUNCTIONS = {"f", "forward", "backward", "schedule", "transform", "after_epoch"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("call", "name"), [(call, name) for call, (_, good) in CALLS.items() for name in good]
)
def test_bad_arguments_are_named(call, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, good = CALLS[call]
    refused = 0
    for bad in BAD:
        if callable(bad) and name in FUNCTIONS:
            continue
        arguments = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in good.items()}
        try:
            with np.errstate(all="ignore"):
                function(**{**arguments, name: bad})
        except DivergedError:
            pass
        except FileNotFoundError:
            pass
        except (TypeError, ValueError) as error:
            refused += 1
            names = [name, *ALSO.get(name, [])]
            message = str(error)
            assert any(word in message for word in names), f"{call}: {message}"
    assert refused >= 20
