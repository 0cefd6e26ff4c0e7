"""Typical errors that are recognised by what they return.

How a wrong gradient differs from a numerical one is said by `gradient_check.explain`, a wrong shape
by the comparison; here is what these cannot know. A typical error is the key of an answer, what is
wrong with it in words, and the value that it has, or what tells such a value.
"""

from contextlib import suppress

import numpy as np

import conv


def hint(error, right):
    """Return what may have led to a wrong answer, or ''; right answers questions rightly."""
    question, got, expected = error.question, error.got, error.expected
    method, name, *arguments = question
    if got is None or method not in ("call", "backward", "net_loss"):
        return ""
    if method == "net_loss":
        found = _loss(right.network(name, arguments[1]).params, arguments[1]["reg"], **expected)
    else:
        found = TYPICAL.get(name, lambda *_, **__: ())(*arguments, **expected)
    with suppress(Exception):  # values of kinds that nobody expects
        for key, text, value in found:
            typical = value(got[key]) if callable(value) else is_close(got[key], value)
            if typical and not is_close(got[key], expected[key]):
                return f"\n{key} {text}"
    return ""


def is_close(a, b):
    """Tell if two arrays have one shape and the same numbers, to rounding."""
    if np.shape(a) != np.shape(b):
        return False
    return bool(np.all(np.abs(np.subtract(a, b)) <= 1e-7 * np.abs(b).max(initial=1e-300)))


def _fc(inputs, _, out):
    yield "out", "lacks the bias b", out - inputs["b"]


def _softmax(inputs, _, loss, dx):
    x, y = inputs.values()
    n, true = len(x), np.eye(x.shape[1])[y]
    if np.abs(x).max() > 1000:
        text = "overflows: subtract the largest score of each example from its scores before e^s"
        yield "dx", text, lambda dx: not np.isfinite(dx).all()
        text = "takes the logarithm of a probability that is 0: take it of the sum of e^s instead"
        yield "loss", text, lambda got: True
    yield "loss", "is the sum over the examples: divide it by N", n * loss
    yield "dx", "lacks the 1 that is subtracted at the label", dx + true / n
    yield "dx", "has the 1 subtracted after the division by N", dx + true / n - true


def _conv(inputs, _, out):
    def run(**changed):
        return conv.conv_forward_naive(*{**inputs, **changed}.values())[0]

    x, w, b, param = inputs.values()
    yield "out", "lacks the biases b", out - b[:, None, None]
    yield "out", "has the mask flipped: here it is not", run(w=w[:, :, ::-1, ::-1])
    yield "out", "sees the first channel only", run(x=x[:, :1], w=w[:, :1])
    dense = run(conv_param=param | {"stride": 1})[:, :, : out.shape[2], : out.shape[3]]
    yield "out", "ignores the stride where the mask lies, not in its shape", dense


def _conv_backward(inputs, *_, dx, dw, db):
    yield "dx", "is empty: [pad:-pad] is, where pad is 0", lambda dx: dx.size == 0


def _pool(inputs, _, out):
    yield "out", "is never negative: a maximum does not begin at 0", np.maximum(out, 0)


def _pool_backward(inputs, douts, _, dx):
    x, param = inputs.values()
    dout, (height, width, s) = douts["dout"], param.values()
    shared, each, last = np.zeros((3, *x.shape))
    for n, c, i, j in np.ndindex(dout.shape):
        where = np.s_[n, c, s * i : s * i + height, s * j : s * j + width]
        largest = x[where] == x[where].max()
        shared[where] += dout[n, c, i, j] * largest / largest.sum()
        each[where] += dout[n, c, i, j] * largest
        last[where][largest] = dout[n, c, i, j]
    yield "dx", "is shared by the pixels that tie: the first gets all of it", shared
    yield "dx", "goes to each of the pixels that tie: the first gets it", each
    yield "dx", "is that of the last window only, where windows overlap: add up", last


def _loss(params, reg, loss=0.0, **grads):
    penalty = {name: 0.5 * reg * np.sum(w**2) for name, w in params.items()}
    weights = sum(value for name, value in penalty.items() if name[0] == "W")
    biases = sum(value for name, value in penalty.items() if name[1:].isdigit()) - weights
    yield "loss", "lacks the penalty", loss - weights
    yield "loss", "has the penalty without the factor 0.5", loss + weights
    yield "loss", "has a penalty on the biases too", loss + biases
    yield "loss", "has a penalty on all parameters", loss + sum(penalty.values()) - weights
    for name, p in params.items():
        key = f"grads[{name!r}]"
        yield key, "lacks the penalty's gradient, reg W", grads.get(key, p) - reg * p
        yield key, "has a penalty's gradient too much", grads.get(key, p) + reg * p


TYPICAL = {
    "layers.fc_forward": _fc,
    "layers.softmax_loss": _softmax,
    "conv.conv_forward_naive": _conv,
    "conv.conv_backward_naive": _conv_backward,
    "conv.max_pool_forward_naive": _pool,
    "conv.max_pool_backward_naive": _pool_backward,
}
