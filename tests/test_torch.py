"""Every layer against PyTorch in float64, on random shapes. Runs where PyTorch is installed."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import listed

import conv as C
import layers as L
import normalization as N

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional
EXAMPLES = settings(max_examples=300)
SEEDS = st.integers(0, 2**32 - 1)
SIZE = st.integers(1, 7)


def agree(forward, backward, theirs, *inputs):
    """Compare out and all gradients of a layer with those of PyTorch's function."""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = theirs(*tensors)
    dout = np.random.default_rng(0).standard_normal(expected.shape)
    gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(dout))
    out, cache = forward(*inputs)
    ours = out, *listed(backward(dout, cache))
    for a, b in zip(ours, (expected, *gradients), strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-10, atol=1e-10)


@EXAMPLES
@given(n=SIZE, shape=st.lists(SIZE, min_size=1, max_size=3), m=SIZE, seed=SEEDS)
def test_fc(n, shape, m, seed):
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(s) for s in ((n, *shape), (np.prod(shape), m), m))
    agree(L.fc_forward, L.fc_backward, lambda x, w, b: x.flatten(1) @ w + b, x, w, b)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@EXAMPLES
@given(shape=st.lists(SIZE, min_size=1, max_size=4), seed=SEEDS,
       scale=st.sampled_from([1e-3, 1, 30]))  # fmt: skip
def test_elementwise(name, shape, scale, seed):
    x = scale * np.random.default_rng(seed).standard_normal(shape)
    agree(getattr(L, f"{name}_forward"), getattr(L, f"{name}_backward"), getattr(torch, name), x)


@EXAMPLES
@given(n=SIZE, c=st.integers(1, 12), scale=st.sampled_from([1e-3, 1, 30, 1000]), seed=SEEDS)
def test_softmax_loss(n, c, scale, seed):
    rng = np.random.default_rng(seed)
    x, y = scale * rng.standard_normal((n, c)), rng.integers(0, c, n)
    theirs = partial(F.cross_entropy, target=torch.from_numpy(y))
    agree(partial(L.softmax_loss, y=y), lambda dout, dx: dout * dx, theirs, x)


@st.composite
def images_and_windows(draw, most):
    """Shape of images, height and width of a window that fits into them, stride, padding."""
    shape = [draw(st.integers(1, top)) for top in (3, 4, 10, 10)]
    pad = draw(st.integers(0, most))
    mask = [draw(st.integers(1, size + 2 * pad)) for size in shape[2:]]
    return shape, mask, draw(st.integers(1, 4)), pad


@EXAMPLES
@given(case=images_and_windows(3), filters=st.integers(1, 5), seed=SEEDS)
def test_convolution(case, filters, seed):
    shape, mask, stride, pad = case
    rng = np.random.default_rng(seed)
    arrays = (rng.standard_normal(s) for s in (shape, (filters, shape[1], *mask), filters))
    forward = partial(C.conv_forward, conv_param={"stride": stride, "pad": pad})
    agree(forward, C.conv_backward, partial(F.conv2d, stride=stride, padding=pad), *arrays)


@EXAMPLES
@given(case=images_and_windows(0), seed=SEEDS)
def test_max_pooling(case, seed):
    shape, (height, width), stride, _ = case
    param = {"pool_height": height, "pool_width": width, "stride": stride}
    forward = partial(C.max_pool_forward, pool_param=param)
    theirs = partial(F.max_pool2d, kernel_size=(height, width), stride=stride)
    agree(forward, C.max_pool_backward, theirs, np.random.default_rng(seed).standard_normal(shape))


def normalized(shape, rng):
    """x, gamma, beta."""
    return [rng.standard_normal(s) for s in (shape, shape[1], shape[1])]


@EXAMPLES
@given(shape=st.tuples(SIZE, SIZE, SIZE, SIZE), mode=st.sampled_from(["train", "test"]), seed=SEEDS)
@pytest.mark.parametrize("ndim", [2, 4])
def test_batch_normalization(ndim, shape, mode, seed):
    shape = (shape[0] + 1, *shape[1:ndim])  # PyTorch trains on no single example
    rng = np.random.default_rng(seed)
    mean, var = rng.standard_normal(shape[1]), rng.random(shape[1]) + 0.1
    theirs = torch.tensor(mean), torch.tensor(var)
    param = {"mode": mode, "eps": 0.01, "running_mean": mean.copy(), "running_var": var.copy()}
    forward = partial(N.batchnorm_forward, bn_param=param)

    def batch_norm(x, gamma, beta):
        return F.batch_norm(x, *theirs, gamma, beta, mode == "train", 0.1, 0.01)

    agree(forward, N.batchnorm_backward, batch_norm, *normalized(shape, rng))
    m = np.prod(shape) / shape[1] if mode == "train" else np.inf
    unbiased = 0.9 * var + (param["running_var"] - 0.9 * var) / (1 - 1 / m)  # as PyTorch has it
    for ours, tensor in zip((param["running_mean"], unbiased), theirs, strict=True):
        np.testing.assert_allclose(ours, tensor, rtol=1e-10, atol=1e-10)


@EXAMPLES
@given(n=SIZE, size=SIZE, seed=SEEDS)
def test_layer_normalization(n, size, seed):
    forward = partial(N.layernorm_forward, ln_param={"eps": 0.01})
    inputs = normalized((n, size), np.random.default_rng(seed))
    agree(forward, N.layernorm_backward, lambda x, *a: F.layer_norm(x, (size,), *a, 0.01), *inputs)


@EXAMPLES
@given(shape=st.tuples(SIZE, SIZE, SIZE, SIZE), groups=st.integers(1, 3), seed=SEEDS)
def test_group_normalization(shape, groups, seed):
    shape = shape[0] + 1, groups * shape[1], *shape[2:]  # PyTorch takes no single number
    forward = partial(N.spatial_groupnorm_forward, G=groups, gn_param={"eps": 0.01})
    backward, inputs = N.spatial_groupnorm_backward, normalized(shape, np.random.default_rng(seed))
    agree(forward, backward, lambda x, *a: F.group_norm(x, groups, *a, 0.01), *inputs)
