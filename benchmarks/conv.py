"""Speed of convolution, max pooling and convolutional networks, beside PyTorch and MyGrad.

    python benchmarks/conv.py [threads ...] [--rounds N]

The first tables time one layer, float32: forward alone, then with all its gradients. "ours" gets
its arrays as the layers of `conv.py` hand them to each other, (H, C, W, N) in memory; "C order"
gets ordinary arrays, as the peers do, so turning them is part of the time. "plain products" is ours
without `winograd`, and the same program where that is not used. "PyTorch, tuned" is as an expert
would set it: it keeps the memory that it frees, and has its images in channels_last. MyGrad is in
pure NumPy.

The last table trains ConvNets on 6,000 images, a tenth of an epoch, through each library's own
training loop; "DataParallel" runs a part of the batch on each thread of Python. The pixels are
random; the time does not depend on them.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from fc import digits, torch_loader, torch_step
from side_by_side import compare, parse_arguments, print_machine, threads_here

from conv import conv_backward, conv_forward, max_pool_backward, max_pool_forward
from conv_net import ConvNet
from fast import winograd
from fast.data_parallel import DataParallel
from solver import Solver
from support.process import keep_freed_memory


class Layer(NamedTuple):
    """A convolution, or max pooling where it has no filters."""

    shape: tuple
    size: int
    filters: int = 0
    stride: int = 1
    pad: int = 0


LAYERS = {
    "1x28x28, 32 filters 5x5": Layer((64, 1, 28, 28), 5, filters=32, pad=2),
    "32x12x12, 64 filters 5x5": Layer((64, 32, 12, 12), 5, filters=64, pad=2),
    "16x14x14, 32 filters 3x3": Layer((64, 16, 14, 14), 3, filters=32, pad=1),
    "3x32x32, 32 filters 3x3": Layer((64, 3, 32, 32), 3, filters=32, pad=1),
    "32x14x14, 32 filters 3x3": Layer((64, 32, 14, 14), 3, filters=32, pad=1),
    "32x24x24, pooling 2x2": Layer((64, 32, 24, 24), 2, stride=2),
    "32x27x27, pooling 3x3, stride 2": Layer((64, 32, 27, 27), 3, stride=2),
}
# Filters between one pooling and the next, and their size; 128 hidden units follow.
NETS = {
    "16; 32 filters 5x5": ([[16], [32]], 5),
    "16; 32, 32; 64, 64 filters 3x3": ([[16], [32, 32], [64, 64]], 3),
}


def inputs(layer, in_c_order=True):
    """Return x, the parameters (w, b) of a convolution or none, and dout."""

    def images(*shape):
        x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        return x if in_c_order else x.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2)

    n, channels, *sides = layer.shape
    out = ((side + 2 * layer.pad - layer.size) // layer.stride + 1 for side in sides)
    dout = images(n, layer.filters or channels, *out)
    if not layer.filters:
        return images(*layer.shape), (), dout
    shape = (layer.filters, channels, layer.size, layer.size)
    w = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return images(*layer.shape), (w, np.zeros(layer.filters, np.float32)), dout


def ours(layer, backward, in_c_order=False, plain=False):
    keep_freed_memory()
    if plain:
        winograd.SIZES = ()
    x, parameters, dout = inputs(layer, in_c_order)
    if layer.filters:
        param = {"stride": layer.stride, "pad": layer.pad}
        forward, back = conv_forward, conv_backward
    else:
        param = {"pool_height": layer.size, "pool_width": layer.size, "stride": layer.stride}
        forward, back = max_pool_forward, max_pool_backward

    def step():
        _, cache = forward(x, *parameters, param)
        if backward:
            back(dout, cache)

    return step


def pytorch(layer, backward, tuned=False):
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    torch.set_num_threads(threads_here())
    x, parameters, dout = inputs(layer)
    tensors = [torch.from_numpy(a) for a in (dout, x, *parameters)]
    if tuned:
        keep_freed_memory()
        for i, tensor in enumerate(tensors[:3]):  # all but the bias
            tensors[i] = tensor.contiguous(memory_format=torch.channels_last)
    dout, *tensors = tensors
    for tensor in tensors:
        tensor.requires_grad_(backward)
    if layer.filters:
        forward = partial(conv2d, stride=layer.stride, padding=layer.pad)
    else:
        forward = partial(max_pool2d, kernel_size=layer.size, stride=layer.stride)

    def step():
        out = forward(*tensors)
        if backward:
            torch.autograd.grad(out, tensors, dout)

    return step


def mygrad(layer, backward):
    from mygrad import tensor
    from mygrad.nnet.layers import conv_nd, max_pool

    x, parameters, dout = inputs(layer)
    x, *parameters = (tensor(a, constant=not backward) for a in (x, *parameters))

    def forward():
        if not parameters:
            return max_pool(x, (layer.size, layer.size), layer.stride)
        w, b = parameters
        return conv_nd(x, w, stride=layer.stride, padding=layer.pad) + b.reshape(1, -1, 1, 1)

    def step():
        out = forward()
        if backward:
            out.backward(dout)

    return step


def train_ours(num_filters, filter_size, in_parts=False, plain=False):
    if plain:
        winograd.SIZES = ()
    X, y = digits(6000)
    model = ConvNet(num_filters=num_filters, filter_size=filter_size, seed=0)
    if in_parts:
        model = DataParallel(model, threads_here())
    data, config = {"X_train": X, "y_train": y}, {"learning_rate": 0.01}
    options = {"num_epochs": 1, "num_train_samples": 100, "verbose": False}
    return lambda: Solver(model, data, "sgd_momentum", config, **options).train()


def train_torch(num_filters, filter_size, tuned=False):
    import torch
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU

    if tuned:
        keep_freed_memory()
    layers, channels, side = [], 1, 28
    for block in num_filters:
        for filters in block:
            layers += [Conv2d(channels, filters, filter_size, padding="same"), ReLU()]
            channels = filters
        layers.append(MaxPool2d(2))
        side //= 2
    layers += [Flatten(), Linear(channels * side**2, 128), ReLU(), Linear(128, 10)]
    memory_format = torch.channels_last if tuned else torch.contiguous_format
    step = torch_step(torch.nn.Sequential(*layers).to(memory_format=memory_format))
    images, labels = digits(6000)
    X = torch.from_numpy(images.astype(np.float32) / 255)
    loader = torch_loader(X, torch.from_numpy(labels))

    def epoch():
        for X, y in loader:
            step(X.to(memory_format=memory_format), y)

    return epoch


def main():
    arguments = parse_arguments(__doc__)
    print_machine("torch", "mygrad")
    peers = {"PyTorch": pytorch, "PyTorch, tuned": partial(pytorch, tuned=True), "MyGrad": mygrad}
    rivals = {
        "C order": partial(ours, in_c_order=True),
        "plain products": partial(ours, plain=True),
        **peers,
    }
    ratios = [(rival, "ours") for rival in rivals]
    slices = {"rounds": arguments.rounds or 7, "seconds": 0.1, "pause": 0.2}
    programs = {"ours": ours, **rivals}
    for backward, title in ((False, "Forward"), (True, "Forward and backward")):
        cases = {label: (layer, backward) for label, layer in LAYERS.items()}
        title = f"{title}, 64 images"
        compare(title, cases, programs, ratios, arguments.threads, **slices)

    programs = {
        "Solver": train_ours,
        "plain products": partial(train_ours, plain=True),
        "DataParallel": partial(train_ours, in_parts=True),
        "PyTorch": train_torch,
        "PyTorch, tuned": partial(train_torch, tuned=True),
    }
    ratios = [
        ("plain products", "Solver"),
        ("Solver", "DataParallel"),
        ("PyTorch", "Solver"),
        ("PyTorch", "DataParallel"),
        ("PyTorch, tuned", "DataParallel"),
    ]
    slices = {"rounds": arguments.rounds or 5, "seconds": 0.1}
    title = "Training on 6,000 images"
    compare(title, NETS, programs, ratios, arguments.threads, **slices)


if __name__ == "__main__":
    main()
