# ruff: noqa: E501
"""Wrong solutions lose points in their part and nowhere else, and the starter's tests are red."""

import pytest
from graded import POINTS, lost_here, solution

from course.parts import PARTS

FILES = {part.name: part.file[:-3] for part in PARTS}
# Each is code behind the solution's: it puts a wrong function in the place of a right one.
HEADERS = {
    "fc_forward": "x, w, b", "conv_forward_naive": "x, w, b, conv_param",
    "max_pool_forward_naive": "x, pool_param", "softmax_loss": "x, y",
    "fc_backward": "dout, cache, *, need_dx=True", "conv_backward_naive": "dout, cache, *, need_dx=True",
}  # fmt: skip
RESULTS = {
    "softmax_loss": "loss, dx",
    **dict.fromkeys(("fc_backward", "conv_backward_naive"), "dx, dw, db"),
}


def code_of(part, body):
    """Return code in whose body the right function is ``right``, and its results are there."""
    if "." in part:
        owner, name = part.split(".")
        return f"""
_right_{name.strip("_")} = {part}
def {name}(self, *args, **kwargs):
    def right(*others, **options): return _right_{name.strip("_")}(self, *(others or args), **{{**kwargs, **options}})
    {body}
{owner}.{name} = {name}
"""
    header = HEADERS.get(part, "x" if "forward" in part else "dout, cache")
    names = ", ".join(name.split("=")[0] for name in header.split(", ") if name != "*")
    results = RESULTS.get(part, "out, cache" if "forward" in part else "dx")
    call = f"_{part}({names})".replace("need_dx)", "need_dx=need_dx)")
    return f"""
_{part} = {part}
def {part}({header}):
    def right({header}): return {call}
    given = np.result_type({names.split(", ")[0]})
    {results} = {f"_{part}({names})".replace(", need_dx)", ")").replace("(dout,", "(dout * 1,")}
    {body}
"""


ALL, SOME = None, 1
PENALTY = """if len(args) < 2: return right()
    loss, grads = FRESH
    for name, w in self.params.items():
        if {}: loss += {} * self.reg * np.sum(w * w); grads[name] += {} * self.reg * w
    return loss, grads"""
FRESH = "(lambda r: (setattr(self, 'reg', 0), right(), setattr(self, 'reg', r))[1])(self.reg)"
EXP = "e = np.exp({})\n    p = e / e.sum(axis=1, keepdims=True)\n    loss = {}\n    p[range(len(y)), y] -= 1\n    return loss, p / len(y)"
NLL = "-np.log(p[range(len(y)), y]).mean()"
LOOP = """x, w, stride, pad, shape = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, f, i, j in np.ndindex(shape):
        at = np.s_[n, :, stride * i : stride * i + w.shape[2], stride * j : stride * j + w.shape[3]]
        {}
    dx = dx[:, :, pad : x.shape[2] - pad, pad : x.shape[3] - pad]
    return dx if need_dx else None, dw, db"""
POOL = """x, height, width, s, shape = cache
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(shape):
        at = np.s_[n, c, s * i : s * i + height, s * j : s * j + width]
        largest = x[at] == x[at].max()
        {}
    return dx"""
WRONG = {
    "fc_forward": [
        ("out - b, cache", ALL, "out lacks the bias b"),
        ("np.dot(x, w) + b, cache", ALL, "raised ValueError: shapes (4,2,3) and (6,5) not aligned"),
        ("out", ALL, "must return out, cache, got 1 value"),
        ("right(np.moveaxis(x, 1, -1).reshape(x.shape), w, b)[0], cache", ALL, "wrong by up to"),
        ("out.astype(np.float32).astype(given), cache", ALL, "wrong by up to"),
        ("out.astype(float), cache", SOME, "must be of float32"),
        ("out * (1.01 if given == np.float32 else 1), cache", SOME, "float32 stays float32: out is wrong"),
        ("x.reshape(len(x), -1) @ w + (b[:, None] if len(x) == len(b) else b), cache", ALL, "out is wrong by"),
        ("(out, cache, x.fill(0))[:2]", SOME, "as they are: x changed"),
    ],
    "fc_backward": [
        ("dx, dw.T, db", ALL, "the transpose of the numerical gradient"),
        ("dx, dw / len(dout), db", ALL, "1 / the number of examples"),
        ("dx, dw, dout.sum(1)", ALL, "db must have shape (5,)"),
        ("dx, dw, dout", ALL, "the sum over the examples is missing"),
        ("dx.reshape(len(dx), -1), dw, db", ALL, "dx must have shape (4, 2, 3)"),
        ("dx, dw, db", SOME, "need_dx=False: dx must be None"),
        ("dx * need_dx, dw, db", SOME, "need_dx=False: dx must be None"),
        ("dx if need_dx else None, dw.astype(float), db", SOME, "dw must be of float32"),
        ("dx, np.outer(cache[0][-1], dout[-1]), db", ALL, "the share of the last example alone"),
        ("(dx if need_dx else None, dw, db, cache[0].fill(0))[:3]", SOME, "as they are: x changed"),
        ("dx if need_dx else None, dw, db + 1e-9", ALL, "db is wrong by"),
        ("dx", ALL, "must return dx, dw, db"),
        ("dx, dw, db[None]", ALL, "db must have shape (5,), got (1, 5)"),
    ],
    "relu_forward": [
        ("(x.__setitem__(x < 0, 0), (x, cache))[1]", SOME, "as they are: x changed"),
        ("np.abs(x), cache", ALL, "out is wrong by"),
        ("np.where(x > 0, x, 0.01 * x), cache", ALL, "out is wrong by"),
        ("np.minimum(out, 6), cache", ALL, "out is wrong by"),
        ("np.maximum(x, np.zeros(x.shape)), cache", SOME, "out must be of float32"),
    ],
    "relu_backward": [
        ("dout * (dout > 0)", ALL, "FAIL"),
        ("(dx != 0).astype(dout.dtype)", ALL, "dx is wrong by"),
        ("(dx, dout.fill(0))[0]", SOME, "as they are: dout changed"),
        ("np.where(dx == 0, 0.01 * dout, dx)", ALL, "dx is wrong by"),
        ("dout", ALL, "FAIL"),
    ],
    "sigmoid_forward": [
        ("np.exp(x) / (1 + np.exp(x)), cache", SOME, "very large numbers: out holds NaN"),
        ("1 / (1 + np.exp(-np.clip(x, -5, 5))), cache", ALL, "out is wrong by"),
    ],
    "sigmoid_backward": [
        ("dout * cache", ALL, "dx is wrong by"),
        ("dx / dout", ALL, "dx is wrong by"),
        ("(dx, cache.fill(0), dout.fill(1))[0]", SOME, "as they are: dout changed"),
    ],
    "tanh_forward": [
        ("np.tanh(x.astype(float)), cache", SOME, "out must be of float32"),
        ("(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), cache", SOME, "very large numbers: out holds"),
    ],
    "tanh_backward": [
        ("dout * (1 - cache)", ALL, "dx is wrong by"),
        ("dout * (1 - np.arctanh(np.clip(cache, -1 + 1e-9, 1 - 1e-9)) ** 2)", ALL, "dx is wrong by"),
        ("-dx", ALL, "the numerical gradient times -1"),
    ],
    "softmax_loss": [
        (EXP.format("x", NLL), SOME, "overflows: subtract the largest score of each"),
        (EXP.format("x - x.max()", NLL), SOME, "overflows: subtract the largest score of each"),
        (EXP.format("x - x.mean(1, keepdims=True)", NLL), SOME, "very large numbers: "),
        (EXP.format("x - x.max(1, keepdims=True)", NLL), SOME, "loss takes the logarithm of a probability"),
        (EXP.format("x - x.max(1, keepdims=True)", "-np.log(p[range(len(y)), y] + 1e-9).mean()"), SOME,
         "loss takes the logarithm of a probability"),
        (EXP.format("x - x.max(1, keepdims=True)", "-np.log2(p[range(len(y)), y]).mean()"), ALL, "loss is wrong"),
        ("loss * len(x), dx", ALL, "loss is the sum over the examples"),
        ("loss, dx * len(x)", ALL, "4, the number of examples"),
        ("loss, dx + np.eye(x.shape[1])[y] / len(x)", ALL, "dx lacks the 1 that is subtracted"),
        ("None", ALL, "must return loss, dx, got 1 value"),
        ("loss, -dx", ALL, "the numerical gradient times -1"),
        ("np.array([loss]), dx", ALL, "loss must be a number, got an array"),
        ("loss, dx.astype(float)", SOME, "dx must be of float32"),
        ("dx[range(len(y)), y] += 1 / len(y)\n    dx[:, y] -= 1 / len(y)\n    return loss, dx", ALL, "dx is wrong by"),
        (EXP.format("x - x.max(1, keepdims=True)", "-np.log(np.clip(p[range(len(y)), y], 1e-7, 1)).mean()"), SOME,
         "loss takes the logarithm of a probability"),
        ("(loss, dx, y.fill(0))[:2]", SOME, "as they are: y changed"),
        ("0.9 * loss - 0.1 * (x - x.max(1, keepdims=True)).mean(), dx", ALL, "loss is wrong by"),
    ],
    "FullyConnectedNet.__init__": [
        ("right(); del self.layers[:-1]", ALL, "must be [FC(7), Activation('relu'), FC(4)], got '[FC(4)]'"),
        ("right(); self.layers += [Activation('relu')]", ALL, "Activation('relu'), FC(4), Activation('relu')]"),
        ("right(); self.params['W1'] *= np.float32(0.5)", SOME, "params['W1'] is wrong by"),
        ("right(reg=0.0)", SOME, "reg is wrong"),
        ("right(dtype=np.float64)", SOME, "dtype must be float32, got 'float64'"),
        ("right(seed=0)", SOME, "params['W1'] is wrong by"),
        ("right(weight_scale='he')", SOME, "params['W1'] is wrong by"),
        ("right(dropout=0.0)", ALL, "Dropout(0.4)"),
        ("right(normalization=None)", ALL, "BatchNorm()"),
        ("right(dropout=kwargs.get('dropout') and 1 - kwargs['dropout'])", ALL, "Dropout(0.4)"),
        ("right(hidden_dim=kwargs['hidden_dim'][::-1])", ALL, "[FC(7), Activation('tanh'), FC(6)"),
        ("right(); kwargs['hidden_dim'].append(4)", SOME, "hidden_dim changed"),
        ("right(); self.layers.sort(key=lambda layer: 'Norm' in repr(layer))", ALL, "BatchNorm()"),
    ],
    "Network.forward": [
        ("return right()[0], []", SOME, "the list of (pair, cache): caches must be"),
        ("return right()[0], right()[1][::-1]", SOME, "caches must be"),
        ("return right()[0], [cache for _, cache in right()[1]]", SOME, "caches must be"),
        ("return right()[0], [(cache, pair) for pair, cache in right()[1]]", SOME, "caches must be"),
        ("return right()[0], [(pair, dict(right()[1]).get(pair)) for pair in self.pairs]", SOME, "caches must be"),
        ("return right(training=False)", 2, "training=True: scores is wrong"),
        ("return right(training=True)", ALL, "scores is wrong"),
        ("return right(args[0].astype(self.dtype))", SOME, "self._as_floats takes: scores is wrong"),
        ("self.pairs = [p for p in self.pairs if p.names]\n    return right()", ALL, "scores is wrong"),
        ("r = right(); args[0].fill(0)\n    return r", SOME, "as they are: X changed"),
    ],
    "Network.backward": [
        ("dx, g = right()\n    return dx, {n: g[n] for n in g if n[1:] == max(g)[1:]}", ALL, "grads['W1'] is missing"),
        ("return right(need_dx=True)", SOME, "dx must be None"),
        ("return None, right()[1]", SOME, "dx must be an array"),
        ("return right(args[0], args[1][::-1])", ALL, "grads"),
        ("return right(args[0], [(p, c) for p, (_, c) in zip(self.pairs[::-1], args[1][::-1])][::-1])", ALL, "grads"),
        ("return right()[0], {k: g for k, g in right()[1].items() if k[0] in 'Wb' and 'beta' not in k}", ALL, "is missing"),
        ("return right()[0], {k: g / len(args[0]) for k, g in right()[1].items()}", ALL, "is wrong by"),
        ("return right()[0], list(right()[1].items())", ALL, "grads must be a dict, got list"),
        ("return right()[0], {k: g.astype('f') for k, g in right()[1].items()}", ALL, "is wrong by"),
        ("out = [p.backward(args[0], c, need_dx=False) for p, c in args[1]]", ALL, "TypeError"),
        ("r = right(); args[0].fill(0)\n    return r", SOME, "as they are: dout changed"),
    ],
    "Network.loss": [
        (PENALTY.format("False", 0, 0), ALL, "loss lacks the penalty"),
        (PENALTY.format("name[0] == 'W'", 0.5, 0), ALL, "lacks the penalty's gradient, reg W"),
        (PENALTY.format("name[0] == 'W'", 0.5, 2), ALL, "has a penalty's gradient too much"),
        (PENALTY.format("name[0] == 'W'", 1, 1), ALL, "the penalty without the factor 0.5"),
        (PENALTY.format("name[0] in 'Wb' and name[:2] != 'be'", 0.5, 1), ALL, "a penalty on the biases too"),
        (PENALTY.format("True", 0.5, 1), ALL, "a penalty on all parameters"),
        (PENALTY.format("name[0] in 'Wg'", 0.5, 1), ALL, "loss is wrong by"),
        (PENALTY.format("name == 'W1'", 0.5, 1), ALL, "grads['W2'] lacks the penalty's gradient, reg W"),
        ("r = right()\n    return r.argmax(axis=1) if len(args) < 2 else r", ALL, "scores must have shape (5, 3)"),
        ("r = right(); args[0].fill(0)\n    return r", SOME, "as they are: X changed"),
        ("self.params['W1'] *= 0.9\n    return right()", ALL, "is wrong"),
        ("r = right(); self.params['W1'] *= 0.9\n    return r", SOME, "as they are: W1 changed"),
        ("f = self.forward; self.forward = lambda X, **_: f(X)\n    return right()", SOME, "training=True with labels"),
        ("f = self.forward; self.forward = lambda X, **_: f(X, training=True)\n    return right()", SOME, "scores is wrong"),
        ("self.backward = lambda dout, caches: (None, dict(self.params))\n    return right()", ALL, "is wrong by"),
        ("r = right()\n    return r if len(args) < 2 else (r[0], {k: g.astype(float) for k, g in r[1].items()})",
         SOME, "must be of float32"),
    ],
    "conv_forward_naive": [
        ("out - b[:, None, None], cache", ALL, "lacks the biases"),
        ("right(x, w, b, conv_param | {'stride': 1})[0], cache", ALL, "must have shape (1, 3, 4, 3)"),
        ("right(x, w, b, conv_param | {'pad': 0})[0], cache", ALL, "must have shape (1, 3, 4, 3)"),
        ("out[:, :, :-1, :-1], cache", ALL, "must have shape (2, 4, 3, 3)"),
        ("right(x, w[:, :, ::-1, ::-1], b, conv_param)[0], cache", ALL, "has the mask flipped"),
        ("right(x[:, :1], w[:, :1], b, conv_param)[0], cache", ALL, "sees the first channel only"),
        ("right(x, w, b, conv_param | {'stride': 1})[0][:, :, :out.shape[2], :out.shape[3]], cache", ALL,
         "ignores the stride where the mask lies"),
        ("right(np.pad(x, [(0, 0), (0, 0), *[[conv_param['pad']] * 2] * 2], 'edge'), w, b, conv_param | {'pad': 0})[0],"
         " cache", ALL, "out is wrong by"),
        ("right(np.pad(x, [(0, 0), (0, 0), *[(2 * conv_param['pad'], 0)] * 2]), w, b, conv_param | {'pad': 0})[0],"
         " cache", ALL, "out is wrong by"),
        ("out.astype('f').astype(given), cache", ALL, "out is wrong by"),
        ("out.astype(float), cache", SOME, "must be of float32"),
        ("conv_param.pop('pad')\n    return out, cache", SOME, "conv_param changed"),
        ("s, p = conv_param['stride'], conv_param['pad']\n    assert (x.shape[2] + 2 * p - w.shape[2]) % s == 0\n"
         "    assert (x.shape[3] + 2 * p - w.shape[3]) % s == 0\n    return out, cache", SOME, "sizes are rounded down"),
        ("np.pad(out, [(0, 0), (0, 0), (0, 1), (0, 0)]) if (x.shape[2] + 2 * conv_param['pad'] - w.shape[2])"
         " % conv_param['stride'] else out, cache", SOME, "sizes are rounded down"),
    ],
    "conv_backward_naive": [
        ("np.pad(dx, ((0, 0), (0, 0), *[[cache[3]] * 2] * 2)), dw, db", ALL, "FAIL: its shape is (1, 2, 9, 7)"),
        ("np.pad(dx, ((0, 0), (0, 0), *[[cache[3]] * 2] * 2))[:, :, cache[3]:-cache[3], cache[3]:-cache[3]], dw, db",
         ALL, "dx is empty: [pad:-pad]"),
        ("dx, dw, dout.sum(axis=(1, 2, 3))", ALL, "db must have shape (4,)"),
        ("dx, dw, dout.sum(axis=(2, 3))", ALL, "the sum over the examples is missing"),
        ("dx, dw, db", SOME, "need_dx=False: dx must be None"),
        ("dx, dw[:, :, ::-1, ::-1], db", ALL, "dw is wrong by"),
        ("dx, dw / len(dout), db", ALL, "1 / the number of examples"),
        (LOOP.format("dw[f] += dout[n, f, i, j] * x[at]; dx[at] = dout[n, f, i, j] * w[f]"), ALL, "dx is wrong by"),
        ("dx if need_dx else None, dw.astype(float), db", SOME, "dw must be of float32"),
        ("(dx if need_dx else None, dw, db, dout.fill(0))[:3]", SOME, "as they are: dout changed"),
    ],
    "max_pool_forward_naive": [
        ("out[:, :, :-1, :-1], cache", ALL, "must have shape (2, 2, 2, 3)"),
        ("right(x, pool_param | {'pool_width': pool_param['pool_height']})[0], cache", ALL, "out"),
        ("-right(-x, pool_param)[0], cache", ALL, "out is wrong by"),
        ("(out, cache, x.fill(0))[:2]", SOME, "as they are: x changed"),
        ("assert (x.shape[2] - pool_param['pool_height']) % pool_param['stride'] == 0\n    return out, cache", SOME,
         "sizes are rounded down): raised AssertionError"),
    ],
    "max_pool_backward_naive": [
        (POOL.format("dx[at] += dout[n, c, i, j] * largest / largest.sum()"), SOME, "shared by the pixels that tie"),
        (POOL.format("dx[at] += dout[n, c, i, j] * largest"), SOME, "each of the pixels that tie"),
        (POOL.format("last = np.flatnonzero(largest)[-1]\n"
                     "        dx[n, c, s * i + last // width, s * j + last % width] += dout[n, c, i, j]"), SOME,
         "where pixels tie: dx is wrong"),
        (POOL.format("dx[at] = np.where(largest, dout[n, c, i, j], dx[at])"), ALL, "that of the last window only"),
        (POOL.format("dx[at] += dout[n, c, i, j]"), ALL, "FAIL"),
        (POOL.format("k = x[at].argmax()\n"
                     "        dx[n, c, s * i + k // width, s * j + k % width] = dout[n, c, i, j]"), ALL,
         "that of the last window only"),
        (POOL.format("dx[at] += dout[n, c, i, j] * (x[at] == x[n, c].max())"), ALL, "right elsewhere"),
    ],
}  # fmt: skip


def cases():
    """Yield a part and the number of a row; each kind of words once, and all of them with -m slow."""
    seen = set()
    for part, rows in WRONG.items():
        for i, (*_, words) in enumerate(rows):
            kind = tuple(words.split()[-2:])
            marks = pytest.mark.slow if i and kind in seen else ()
            yield pytest.param(part, i, marks=marks, id=f"{part} {i}")
            seen.add(kind)


def wrong(part, i):
    """Return the files of the solution with a wrong function, what it loses, what is said."""
    body, lost, words = WRONG[part][i]
    is_expression = "return" not in body and "." not in part
    code = code_of(part, f"return {body}" if is_expression else body.replace("FRESH", FRESH))
    return solution(**{FILES[part]: code}), lost, words


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("part", "i"), cases())
def test_wrong_solutions_lose_their_part_and_its_tests_are_red(part, i, starter):
    files, lost, words = wrong(part, i)
    number, text = lost_here(part, files)
    assert (number, words in text) == (lost, True), text
    assert any(starter.failed(part, files))
    pair = part.replace("forward", "*").replace("backward", "forward").replace("*", "backward")
    if pair != part and pair in POINTS:
        number, text = lost_here(pair, files)
        assert number == 0 or "needs the cache of" in text, text
