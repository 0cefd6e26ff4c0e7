"""The calls that notebooks of other years and of cs231n make, with course/compat on the path."""

import copy
import importlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import conv
import layers
import normalization
import optim
import solver
from fc_net import Dropout
from gradient_check import check_layer, check_net, eval_numerical_gradient, rel_error

sys.path.insert(0, str(Path(__file__).parents[2] / "course" / "compat"))
from classifiers.fc_net import FullyConnectedNet as PlainNet
from cs231n import data_utils, layer_utils
from cs231n import gradient_check as checkers
from cs231n import layers as theirs
from cs231n.classifiers.cnn import ThreeLayerConvNet
from cs231n.classifiers.fc_net import FullyConnectedNet, TwoLayerNet, dropout_forward
from cs231n.data_utils import get_CIFAR10_data, load_CIFAR10
from cs231n.solver import Solver
from cs231n.vis_utils import visualize_grid
from deeplearning.classifiers.fc_net import FullyConnectedNet as CS182

ROOT = Path(__file__).parents[2]
C, H, W = 3, 8, 8  # of small images


@pytest.fixture(autouse=True)
def _seed_of_the_global_state():
    np.random.seed(0)


def toy(shape, rng):
    """Random images of ten classes, as a data dict."""
    X, y = rng.standard_normal((60, *shape)), rng.integers(0, 10, 60)
    return {"X_train": X[:40], "y_train": y[:40], "X_val": X[40:], "y_val": y[40:]}


def check_gradients(model, X, y):
    check = check_net(model, X, y)
    assert check.passed, check


def test_path_in_a_process_of_its_own():
    """As a notebook in the project's folder runs: with nothing but the environment variable."""
    code = """
from layers import affine_forward, affine_backward, softmax_loss
from classifiers.fc_net import FullyConnectedNet
from solver import Solver
from importlib import import_module
names = "layers layer_utils fast_layers vis_utils data_utils gradient_check optim solver"
for name in (names + " classifiers.cnn classifiers.fc_net").split():
    import_module("cs231n." + name), import_module("deeplearning." + name)
import deeplearning.solver
assert issubclass(deeplearning.solver.Solver, Solver)
print(*(w.shape for w in FullyConnectedNet(784).params.values()))
"""
    options = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": "course/compat"}, "text": True}
    out = subprocess.check_output([sys.executable, "-c", code], **options, timeout=120)
    assert out == "(784, 10) (10,) (10, 5) (5,) (5, 10) (10,)\n"


def test_networks_of_other_years(rng, tmp_path):
    for options in ({"hidden_dims": [6, 4]}, {"hidden_dim": [6, 4]}):
        net, again = (PlainNet(8, num_classes=10, seed=0, **options) for _ in range(2))
        assert [net.params[f"W{i}"].shape for i in (1, 2, 3)] == [(8, 6), (6, 4), (4, 10)]
        np.testing.assert_array_equal(net.params["W1"], again.params["W1"])
    assert PlainNet(8, [6], 10, 0.01, 0.1).reg == 0.1
    data, net = toy((8,), rng), PlainNet(8, [6])
    check_gradients(net, data["X_val"], data["y_val"])  # in float64
    options = {"lr_decay": 0.95, "num_epochs": 2, "verbose": False}
    solver.Solver(net, data, "sgd", **options, checkpoint_name=str(tmp_path / "net")).train()
    assert {path.name for path in tmp_path.iterdir()} == {"net_epoch_1.npz", "net_epoch_2.npz"}


def test_names_that_are_handed_on():
    aliases = {
        conv.conv_forward: "fast_layers.conv_forward_fast fast_layers.conv_forward_im2col",
        conv.conv_backward: "fast_layers.conv_backward_fast fast_layers.conv_backward_strides",
        conv.max_pool_forward: "fast_layers.max_pool_forward_fast",
        conv.max_pool_backward: "fast_layers.max_pool_backward_fast",
        conv.conv_forward_naive: "layers.conv_forward_naive",
        conv.max_pool_backward_naive: "classifiers.cnn.max_pool_backward_naive",
        layers.fc_forward: "classifiers.fc_net.affine_forward",
        layers.softmax_loss: "classifiers.fc_net.softmax_loss",
        normalization.batchnorm_backward: "layers.batchnorm_backward_alt",
        eval_numerical_gradient: "gradient_check.eval_numerical_gradient",
        optim.adam: "optim.adam", solver.DivergedError: "solver.DivergedError",
    }  # fmt: skip
    for ours, names in aliases.items():
        for prefix, name in product(("cs231n", "deeplearning"), names.split()):
            path, name = name.rsplit(".", 1)
            assert getattr(importlib.import_module(f"{prefix}.{path}"), name) is ours, name


def test_svm_loss_is_the_hinge_loss(rng):
    scores, y = rng.standard_normal((12, 4)), rng.integers(0, 4, 12)
    margins = np.maximum(0, scores - scores[range(12), y][:, None] + 1)
    loss, dx = theirs.svm_loss(scores.astype(np.float32), y)
    assert loss == pytest.approx(margins.sum() / 12 - 1, rel=1e-6)  # the label's own margin is 1
    assert dx.dtype == np.float32
    assert check_layer(lambda x: theirs.svm_loss(x, y), lambda d, dx: d * dx, scores).passed
    with pytest.raises(ValueError, match="svm_loss: y"):
        theirs.svm_loss(scores, y[:3])


def test_sandwich_layers(rng):
    conv, pool = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
    image = [rng.standard_normal(shape) for shape in ((2, 3, 4, 4), (4, 3, 3, 3), 4)]
    flat = [rng.standard_normal(shape) for shape in ((5, 6), (6, 4), 4)]
    norm, train = [rng.random(4) + 0.5, rng.standard_normal(4)], {"mode": "train"}
    for name, arrays, *options in (
        ("affine_relu", flat), ("affine_bn_relu", flat + norm, train),
        ("affine_ln_relu", flat + norm, {}), ("conv_relu", image, conv),
        ("conv_relu_pool", image, conv, pool), ("conv_bn_relu", image + norm, conv, train),
    ):  # fmt: skip
        forward, backward = (getattr(layer_utils, f"{name}_{w}") for w in ("forward", "backward"))
        check = check_layer(lambda *a, f=forward, o=options: f(*a, *o), backward, *arrays)
        assert check.passed, (name, check)


@pytest.mark.parametrize("prefix", ["cs231n", "deeplearning"])
def test_dropout_as_cells_call_it(prefix, rng):
    layers = importlib.import_module(f"{prefix}.classifiers.cnn")  # which hands them on
    x = rng.standard_normal((200, 200)) + 10
    for kept in (0.25, 0.7, 1):
        p = kept if prefix == "cs231n" else 1 - kept
        out, _ = layers.dropout_forward(x, {"mode": "train", "p": p})
        same, cache = layers.dropout_forward(x, {"mode": "test", "p": p})
        assert np.mean(out == 0) == pytest.approx(1 - kept, abs=0.01)
        assert out.mean() == pytest.approx(x.mean(), rel=0.02)
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(layers.dropout_backward(x, cache), x)
        net = importlib.import_module(f"{prefix}.classifiers.fc_net").FullyConnectedNet
        drops = [layer for layer in net([4, 4], dropout=p).layers if isinstance(layer, Dropout)]
        assert drops == [Dropout(1 - kept)] * (2 if kept < 1 else 0)
    param, forward = {"mode": "train", "p": 0.2, "seed": 123}, layers.dropout_forward
    check = check_layer(lambda x: forward(x, param), layers.dropout_backward, x[:5, :5].copy())
    assert check.passed, check
    never = {"cs231n": 0, "deeplearning": 1}[prefix]  # no unit is left
    for param in ({"mode": "train"}, {"p": 0.5}, {"mode": "train", "p": never}):
        with pytest.raises((TypeError, ValueError), match=r"dropout_forward: .*(p|mode)"):
            forward(x, param)


def test_dropout_follows_numpys_global_state(rng):
    X, y = rng.standard_normal((4, 15)), rng.integers(0, 10, 4)
    net = FullyConnectedNet([30], 15, dropout=0.5)
    seeded = FullyConnectedNet([30], 15, dropout=0.5, seed=123)
    losses = []
    for seed in (1, 2, 1):
        np.random.seed(seed)
        out, _ = dropout_forward(X, {"mode": "train", "p": 0.5})
        losses.append((net.loss(X, y)[0], out.tobytes()))
        assert copy.deepcopy(seeded).loss(X, y)[0] == seeded.loss(X, y)[0]
    assert losses[0] == losses[2] != losses[1]


def test_two_layer_net(rng):
    model = TwoLayerNet(input_dim=5, hidden_dim=50, num_classes=7, weight_scale=1e-3)
    for name, shape in {"W1": (5, 50), "b1": (50,), "W2": (50, 7), "b2": (7,)}.items():
        model.params[name] = np.linspace(-0.7, 0.4, num=np.prod(shape)).reshape(shape)
    X, y = rng.standard_normal((3, 5)), np.array([0, 5, 1])
    W1, b1, W2, b2 = model.params.values()
    np.testing.assert_allclose(model.loss(X), np.maximum(0, X @ W1 + b1) @ W2 + b2, rtol=1e-12)
    for model.reg in (0.0, 0.7):
        check_gradients(model, X, y)
    assert TwoLayerNet().params["W1"].shape == (3072, 100)


# Options, the part that is dropped, and whether there is a normalization.
OPTIONS = [
    ({"reg": 3.14}, 0, False), ({"dropout": 1}, 0, False), ({"dropout": 0}, 0, False),
    ({"dropout": 0.5}, 0.5, False), ({"dropout_keep_ratio": 0.75}, 0.25, False),
    ({"use_batchnorm": True}, 0, True), ({"normalization": "batchnorm", "reg": 0.1}, 0, True),
    ({"normalization": "layernorm"}, 0, True),
]  # fmt: skip


@pytest.mark.parametrize(("options", "dropped", "is_normalized"), OPTIONS)
def test_fully_connected_net(options, dropped, is_normalized, rng):
    X, y = rng.standard_normal((4, 7)), rng.integers(0, 10, 4)
    options = {"weight_scale": 0.3, "dtype": np.float64, "seed": 123, **options}
    model = FullyConnectedNet([16, 20], input_dim=7, **options)
    check_gradients(model, X, y)
    drops = [layer for layer in model.layers if isinstance(layer, Dropout)]
    assert drops == [Dropout(dropped)] * (2 if dropped else 0)
    assert ("gamma2" in model.params) == is_normalized


def test_weights_are_those_of_numpys_global_state():
    for make, scale in (
        (lambda: PlainNet(4, [3]), 0.1),
        (lambda: TwoLayerNet(4, 3), 1e-3),
        (lambda: FullyConnectedNet([3], 4, dtype=np.float64, seed=7), 1e-2),
        (lambda: CS182([3], 4, dtype=np.float64), 1e-2),
        (lambda: ThreeLayerConvNet((3, 4, 4), 2, 3, dtype=np.float64), 1e-3),
    ):
        np.random.seed(231)
        net = make()
        np.random.seed(231)
        for w in (net.params["W1"], net.params["W2"]):
            np.testing.assert_array_equal(w, scale * np.random.randn(*w.shape))


def test_losses_are_those_that_notebooks_print():
    """In cells of cs231n's FullyConnectedNets, Dropout and BatchNormalization."""
    for option, others, losses in (
        ("reg", {}, {0: 2.3004790897684924, 3.14: 7.052114776533016}),
        ("dropout", {"seed": 123}, {1: 2.3004790897684924, 0.75: 2.302371489704412}),
        ("reg", {"use_batchnorm": True}, {0: 2.2611955101340957, 3.14: 6.996533220108303}),
    ):
        np.random.seed(231)
        X, y = np.random.randn(2, 15), np.random.randint(10, size=2)
        for value, expected in losses.items():
            options = {"weight_scale": 5e-2, "dtype": np.float64, option: value, **others}
            loss, _ = FullyConnectedNet([20, 30], 15, 10, **options).loss(X, y)
            assert loss == pytest.approx(expected, rel=1e-12)


def test_networks_train(rng):
    data, size = toy((C, H, W), rng), C * H * W
    options = {"optim_config": {"learning_rate": 5e-3}, "batch_size": 20, "num_epochs": 20}
    for model in (
        FullyConnectedNet([30, 30], weight_scale=0.05, input_dim=size),
        FullyConnectedNet([30], size, normalization="batchnorm"),
        FullyConnectedNet([30], size, dropout_keep_ratio=0.5),
        ThreeLayerConvNet((C, H, W), 4, filter_size=3, weight_scale=1e-2, hidden_dim=20),
    ):
        solver = Solver(model, data, update_rule="adam", **options, verbose=False, print_every=100)
        solver.train()
        assert solver.loss_history[-1] < solver.loss_history[0]
        assert len(solver.train_acc_history) == len(solver.val_acc_history) == 21
        assert np.argmax(model.loss(data["X_val"]), axis=1).shape == (20,)
        assert all(np.any(solver.last_params[name]) for name in model.buffers)


def test_three_layer_conv_net(rng):
    model = ThreeLayerConvNet()
    loss, _ = model.loss(rng.standard_normal((5, 3, 32, 32)), rng.integers(0, 10, 5))
    assert loss == pytest.approx(np.log(10), abs=0.01)
    assert model.params["W1"].shape == (32, 3, 7, 7)
    options = {"hidden_dim": 7, "dtype": np.float64, "reg": 0.5, "weight_scale": 0.1}
    model = ThreeLayerConvNet(num_filters=3, filter_size=3, input_dim=(3, 6, 6), **options)
    check_gradients(model, rng.standard_normal((2, 3, 6, 6)), np.array([0, 4]))


def test_normalization_as_cells_call_it(rng):
    a, gamma, beta = 4 * rng.standard_normal((200, 3)) + 1, np.arange(1.0, 4), np.arange(11.0, 14)
    out, _ = theirs.batchnorm_forward(a, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose([out.mean(0), out.std(0)], [beta, gamma], rtol=1e-4)
    out, _ = theirs.layernorm_forward(a.T.copy(), np.ones(200), np.zeros(200), {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-12)
    x, param = 4 * rng.standard_normal((2, 6, 4, 5)) + 10, {"mode": "train"}
    out, _ = theirs.spatial_batchnorm_forward(x, np.ones(6), np.zeros(6), param)
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(param["running_var"], 0.1 * x.var(axis=(0, 2, 3)))
    ones = np.ones((1, 6, 1, 1))
    out, cache = theirs.spatial_groupnorm_quick_forward(x, ones, 0 * ones, 2, {"mode": "train"})
    np.testing.assert_allclose(out.reshape(4, -1).std(axis=1), 1, rtol=1e-4)
    shapes = [gradient.shape for gradient in theirs.spatial_groupnorm_backward(x, cache)]
    assert shapes == [x.shape, ones.shape, ones.shape]


def test_running_means_are_those_that_a_notebook_prints():
    """In cs231n's BatchNormalization: one dict for all batches, then for the test."""
    np.random.seed(231)
    W1, W2 = np.random.randn(50, 60), np.random.randn(60, 3)
    bn_param = {"mode": "train"}
    for i in range(51):
        bn_param["mode"] = "train" if i < 50 else "test"
        a = np.maximum(0, np.random.randn(200, 50) @ W1) @ W2
        out, _ = theirs.batchnorm_forward(a, np.ones(3), np.zeros(3), bn_param)
    np.testing.assert_allclose(out.mean(axis=0), [-0.03927354, -0.04349152, -0.10452688], rtol=1e-6)
    np.testing.assert_allclose(out.std(axis=0), [1.01531428, 1.01238373, 0.97819988], rtol=1e-8)


def test_grid_of_filters(rng):
    filters = rng.standard_normal((5, 3, 4, 6)).transpose(0, 2, 3, 1)
    filters[4] = 7.0  # of one colour
    grid = visualize_grid(filters)
    assert grid.shape == (3 * 4 + 2, 3 * 6 + 2, 3)
    first = grid[:4, :6]
    assert (first.min(), first.max()) == (0, 255)
    assert (np.diff(first.ravel()) * np.diff(filters[0].ravel()) >= 0).all()
    for empty in grid[5:9, 7:13], grid[4], grid[10:, 14:]:  # the fifth, padding, no image there
        assert not empty.any()
    assert visualize_grid(filters, padding=0).shape == (12, 18, 3)


def test_cifar_10_from_its_binary_version(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path))
    for read in (get_CIFAR10_data, lambda: load_CIFAR10("cs231n/datasets/cifar-10-batches-py")):
        with pytest.raises(FileNotFoundError, match=r"data_batch_1.*cifar-10-binary"):
            read()
    records = rng.integers(0, 256, (6, 4, 3073), np.uint8)
    records[..., 0] = range(4)
    for images, name in zip(records, [*data_utils.TRAINING, "test_batch.bin"], strict=True):
        images.tofile(tmp_path / name)
    data = get_CIFAR10_data(num_training=15, num_validation=5, num_test=3, subtract_mean=False)
    expected = records[:5, :, 1:].reshape(20, 3, 32, 32)
    np.testing.assert_array_equal(data["X_train"], expected[:15])
    np.testing.assert_array_equal(data["y_train"], [0, 1, 2, 3] * 3 + [0, 1, 2])
    assert (data["y_val"].shape, data["X_test"].shape) == ((5,), (3, 3, 32, 32))
    centred, mean = get_CIFAR10_data(15, 5, 3), data["X_train"].mean(axis=0)
    for name in "X_train", "X_test":
        np.testing.assert_allclose(centred[name], data[name] - mean, atol=1e-3)
    for name in (str(tmp_path), "datasets/cifar-10-batches-py"):
        X_train, y_train, X_test, y_test = load_CIFAR10(name)
        assert (y_train.shape, X_test.shape, y_test.shape) == ((20,), (4, 32, 32, 3), (4,))
        np.testing.assert_array_equal(X_train, expected.transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="fewer images"):
        get_CIFAR10_data(15, 50, 3)
    (tmp_path / "test_batch.bin").write_bytes(b"\x80\x04" * 3073)
    with pytest.raises(ValueError, match=r"test_batch\.bin"):
        get_CIFAR10_data(15, 5, 3)


@pytest.mark.filterwarnings("error")
def test_training_is_seeded_and_says_nothing_of_pixels(rng, tmp_path):
    data, histories = toy((8,), rng), []
    data["X_train"] *= 60  # as centred pixels are
    for seed in (1, 2, 1):
        np.random.seed(seed)
        model = FullyConnectedNet([9], 8, dropout=0.5)
        solver = Solver(model, data, batch_size=10, num_epochs=2, verbose=False)
        solver.train()
        histories.append(solver.loss_history)
    assert histories[0] == histories[2] != histories[1]
    solver.record_histories_as_npz(f"{tmp_path}/logs/run")
    assert np.load(tmp_path / "logs" / "run.npz")["train_losses"].tolist() == solver.loss_history


def test_checkers_that_only_notebooks_call(rng, capsys):
    x, w, out = (SimpleNamespace(vals=rng.standard_normal(s)) for s in ((3, 4), (4, 2), (3, 2)))
    out.diffs = rng.standard_normal((3, 2))

    def forward(*_):
        out.vals = x.vals @ w.vals

    net = SimpleNamespace(forward=forward)
    for gradients in (
        checkers.eval_numerical_gradient_blobs(forward, (x, w), out),
        checkers.eval_numerical_gradient_net(net, (x, w), out),
    ):
        assert rel_error(gradients[0], out.diffs @ w.vals.T) < 1e-6
        assert rel_error(gradients[1], x.vals.T @ out.diffs) < 1e-6
    checkers.grad_check_sparse(lambda w: (w**2).sum(), w.vals, 2 * w.vals, 5)
    errors = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(errors) == 5
    assert max(errors) < 1e-6
