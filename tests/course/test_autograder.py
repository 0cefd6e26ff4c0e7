"""Typical errors: each loses the points of its own part, and is told to the student."""

import json
import subprocess
import sys
import zipfile

import pytest
from graded import grade, lay_out, run, solution

from course import autograder
from course.grader.compare import is_close
from course.grader.judge import CHECKS
from course.grader.layer_checks import CONV, FC, POOL, RELU, SIGMOID, TANH
from course.parts import PARTS, POINTS
from course.starter import make_starter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Gradescope runs Linux")
GRADED = {part.name: part.points for part in PARTS if part.points}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("autograder")
    lay_out(root)
    return root


# Each is code behind the solution's: it puts a wrong function in the place of a right one. Then
# the part that loses, how much of it, and what the message says.
ALL, SOME = 1.0, 0.2
FC_BACKWARD = """
right_fc_backward = fc_backward
def fc_backward(dout, cache, *, need_dx=True):
    dx, dw, db = right_fc_backward(dout, cache)
    n = len(dout)
    dx = dx if need_dx else None
    return {}
"""
FORWARD = """
right_{0} = {0}
def {0}(x, *rest):
    out, cache = right_{0}(x, *rest)
    return {1}, cache
"""
BACKWARD = """
right_{0} = {0}
def {0}(dout, cache):
    dx = right_{0}(dout, cache)
    return {1}
"""
SOFTMAX = """
right_softmax_loss = softmax_loss
def softmax_loss(x, y):
    loss, dx = right_softmax_loss(x, y)
    n, true = len(x), np.eye(x.shape[1])[y]
    return {}
"""
METHOD = """
right_{1} = {0}.{1}
def wrong(self, *args, **kwargs):
    result = right_{1}(self, *args, **kwargs)
{2}
    return result
{0}.{1} = wrong
"""
CONV_BACKWARD = """
right_conv_backward = conv_backward_naive
def conv_backward_naive(dout, cache, *, need_dx=True):
    dx, dw, db = right_conv_backward(dout, cache)
    dx = dx if need_dx else None
    return {}
"""
CONV_FORWARD = """
right_conv_forward = conv_forward_naive
def conv_forward_naive(x, w, b, conv_param):
    out, cache = right_conv_forward(x, w, b, conv_param)
    stride, pad = conv_param["stride"], conv_param["pad"]
    return {}, cache
"""
POOL_BACKWARD = """
right_forward = max_pool_forward_naive
def max_pool_forward_naive(x, pool_param):
    out, cache = right_forward(x, pool_param)
    return out, (x, pool_param, out)

def max_pool_backward_naive(dout, cache):
    x, param, out = cache
    h, w, s = param["pool_height"], param["pool_width"], param["stride"]
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        where = np.s_[n, c, s * i : s * i + h, s * j : s * j + w]
        largest = x[where] == x[where].max()
        {}
    return dx
"""
LOSS = """
def wrong(self, X, y=None):
    scores, caches = self.forward(X, training={0})
    if y is None:
        return scores
    loss, dout = L.softmax_loss(scores, y)
    _, grads = self.backward(dout, caches)
    for name, w in self.params.items():
        {1}
    return loss, grads
Network.loss = wrong
"""
WEIGHTS = (
    "if name[0] == 'W': loss += {} * self.reg * np.sum(w * w); grads[name] += {} * self.reg * w"
)
ERRORS = {
    "no bias": ("fc_forward", "layers", FORWARD.format("fc_forward", "out - rest[1]"),
                ALL, "out lacks the bias b"),
    "examples not flattened": ("fc_forward", "layers", "def fc_forward(x, w, b):\n"
                               "    return np.dot(x, w) + b, (x, w, b)",
                               ALL, "raised ValueError: shapes (4,2,3) and (6,5) not aligned"),
    "only out": ("fc_forward", "layers", "def fc_forward(x, w, b):\n"
                 "    return x.reshape(len(x), -1) @ w + b", ALL, "must return out, cache, got 1"),
    "dw transposed": ("fc_backward", "layers", FC_BACKWARD.format("dx, dw.T, db"),
                      ALL, "dw is transposed"),
    "dw a mean": ("fc_backward", "layers", FC_BACKWARD.format("dx, dw / n, db"),
                  ALL, "dw is the mean over the batch"),
    "db over the wrong axis": ("fc_backward", "layers", FC_BACKWARD.format("dx, dw, dout.sum(1)"),
                               ALL, "db is summed over the wrong axis"),
    "db not summed": ("fc_backward", "layers", FC_BACKWARD.format("dx, dw, dout"),
                      ALL, "db is not summed over the batch"),
    "dx flat": ("fc_backward", "layers",
                FC_BACKWARD.format("dx if dx is None else dx.reshape(n, -1), dw, db"),
                ALL, "dx must have x's shape"),
    "dx always": ("fc_backward", "layers", FC_BACKWARD.format("right_fc_backward(dout, cache)[0],"
                  " dw, db"), SOME, "with need_dx=False dx must be None"),
    "x of floats only": ("fc_backward", "layers",
                         FC_BACKWARD.format("dx, dw.astype(np.float64), db"),
                         SOME, "dw must be of float32 for such inputs, got an array of float64"),
    "ReLU in place": ("relu_forward", "layers", "def relu_forward(x):\n"
                      "    x[x < 0] = 0\n    return x, x", SOME, "changes x in place"),
    "ReLU is abs": ("relu_forward", "layers", FORWARD.format("relu_forward", "np.abs(x)"),
                    ALL, "out is the input's size"),
    "ReLU by dout": ("relu_backward", "layers",
                     BACKWARD.format("relu_backward", "dout * (dout > 0)"),
                     ALL, "dx goes by the sign of dout"),
    "ReLU's slope": ("relu_backward", "layers", BACKWARD.format("relu_backward",
                     "(dx != 0).astype(dout.dtype)"), ALL, "dx is the slope alone"),
    "dout in place": ("relu_backward", "layers",
                      "def relu_backward(dout, cache):\n    dout *= cache > 0\n    return dout",
                      SOME, "changes dout in place"),
    "sigmoid overflows": ("sigmoid_forward", "layers", "def sigmoid_forward(x):\n"
                          "    out = np.exp(x) / (1 + np.exp(x))\n    return out, out",
                          SOME, "out of very large numbers holds NaN"),
    "sigmoid of x": ("sigmoid_backward", "layers", "_f = sigmoid_forward\n"
                     "def sigmoid_forward(x):\n    return _f(x)[0], x\n"
                     "def sigmoid_backward(dout, x):\n    return dout * x * (1 - x)",
                     ALL, "dx takes the formula in x"),
    "tanh in float64": ("tanh_forward", "layers", FORWARD.format("tanh_forward",
                        "np.tanh(x.astype(np.float64))"), SOME, "out must be of float32"),
    "tanh not squared": ("tanh_backward", "layers",
                         "def tanh_backward(dout, cache):\n    return dout * (1 - cache)",
                         ALL, "dx lacks the square"),
    "no shift": ("softmax_loss", "layers", """
def softmax_loss(x, y):
    e = np.exp(x)
    p = e / e.sum(axis=1, keepdims=True)
    n, rows = len(x), np.arange(len(x))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / n
""", SOME, "subtract the largest score"),
    "loss not divided": ("softmax_loss", "layers", SOFTMAX.format("loss * n, dx"),
                         ALL, "loss is the sum over the examples"),
    "dx not divided": ("softmax_loss", "layers", SOFTMAX.format("loss, dx * n"),
                       ALL, "dx is not divided by N"),
    "1 not subtracted": ("softmax_loss", "layers", SOFTMAX.format("loss, dx + true / n"),
                         ALL, "dx lacks the 1 that is subtracted"),
    "nothing returned": ("softmax_loss", "layers", "def softmax_loss(x, y):\n    pass",
                         ALL, "must return loss, dx, got 1 value"),
    "no hidden layer": ("FullyConnectedNet.__init__", "fc_net", METHOD.format(
                        "FullyConnectedNet", "__init__", "    del self.layers[:-1]"),
                        ALL, "must be [FC(7), Activation('relu'), FC(4)], got [FC(4)]"),
    "activation at the end": ("FullyConnectedNet.__init__", "fc_net", METHOD.format(
                              "FullyConnectedNet", "__init__",
                              "    self.layers += [Activation('relu')]"),
                              ALL, "Activation('relu'), FC(4), Activation('relu')]"),
    "weights of one size": ("FullyConnectedNet.__init__", "fc_net", METHOD.format(
                            "FullyConnectedNet", "__init__",
                            "    self.params['W1'] *= np.float32(0.5)"),
                            SOME, "W1 must have a standard deviation of 0.3, got 0.1"),
    "no activations": ("Network.forward", "fc_net", """
def wrong(self, X, *, training=False):
    out, caches = self._as_floats(X), []
    for pair in self.pairs:
        if pair.names:
            out, cache = pair.forward(out, *(self.params[n] for n in pair.names))
            caches.append((pair, cache))
    return out, caches
Network.forward = wrong
""", ALL, "scores are those of a network without activations"),
    "pixels as they are": ("Network.forward", "fc_net", """
_right = Network.forward
def wrong(self, X, **options):
    return _right(self, X.astype(self.dtype), **options)
Network.forward = wrong
""", SOME, "scores of pixels take pixels as they are"),
    "last layer's gradients": ("Network.backward", "fc_net", METHOD.format(
                               "Network", "backward", "    last = max(result[1])\n"
                               "    result = result[0], {n: g for n, g in result[1].items()"
                               " if n[1:] == last[1:]}"), ALL, "grads lacks W1"),
    "input gradient always": ("Network.backward", "fc_net", """
_right_backward = Network.backward
def wrong(self, dout, caches, *, need_dx=False):
    return _right_backward(self, dout, caches, need_dx=True)
Network.backward = wrong
""", SOME, "with need_dx=False dx must be None"),
    "no penalty": ("Network.loss", "fc_net", LOSS.format("y is not None", "pass"),
                   ALL, "loss lacks the penalty"),
    "no penalty in the gradient": ("Network.loss", "fc_net", LOSS.format(
                                   "y is not None", WEIGHTS.format(0.5, 0)),
                                   ALL, "lacks the penalty's gradient, reg W"),
    "no 0.5": ("Network.loss", "fc_net", LOSS.format("y is not None", WEIGHTS.format(1, 1)),
               ALL, "loss has the penalty without the factor 0.5"),
    "penalty on biases": ("Network.loss", "fc_net", LOSS.format("y is not None",
                          "loss += 0.5 * self.reg * np.sum(w * w); grads[name] += self.reg * w"),
                          ALL, "loss has a penalty on the biases too"),
    "X in place": ("Network.loss", "fc_net",
                   METHOD.format("Network", "loss", "    args[0][...] = 0"),
                   SOME, "changes args in place"),
    "never in training": ("Network.loss", "fc_net", LOSS.format("False", WEIGHTS.format(0.5, 1)),
                          SOME, "must call self.forward with training=True"),
    "conv without bias": ("conv_forward_naive", "conv",
                          CONV_FORWARD.format("out - b[:, None, None]"), ALL, "lacks the biases"),
    "stride ignored": ("conv_forward_naive", "conv", CONV_FORWARD.format(
                       "right_conv_forward(x, w, b, {'stride': 1, 'pad': pad})[0]"),
                       ALL, "out ignores the stride"),
    "padding ignored": ("conv_forward_naive", "conv", CONV_FORWARD.format(
                        "right_conv_forward(x, w, b, {'stride': stride})[0]"),
                        ALL, "out ignores the padding"),
    "off by one": ("conv_forward_naive", "conv", CONV_FORWARD.format("out[:, :, :-1, :-1]"),
                   ALL, "has one row and column too few"),
    "mask flipped": ("conv_forward_naive", "conv", CONV_FORWARD.format(
                     "right_conv_forward(x, w[:, :, ::-1, ::-1], b, conv_param)[0]"),
                     ALL, "out has the mask flipped"),
    "fast convolution": ("conv_forward_naive", "conv", CONV_FORWARD.format(
                         "conv_forward(x, w, b, conv_param)[0]"),
                         ALL, "conv_forward is not to be used here"),
    "padding left": ("conv_backward_naive", "conv", CONV_BACKWARD.format(
                     "dx if dx is None else np.pad(dx, ((0, 0), (0, 0), *[[cache[3]] * 2] * 2)),"
                     " dw, db"), ALL, "dx must have shape (1, 2, 6, 7)"),
    "db over filters": ("conv_backward_naive", "conv",
                        CONV_BACKWARD.format("dx, dw, dout.sum(axis=(1, 2, 3))"),
                        ALL, "db is summed over the wrong axes"),
    "one image's db": ("conv_backward_naive", "conv", CONV_BACKWARD.format(
                       "dx, dw, dout.sum(axis=(2, 3))"), ALL, "db is not summed over the images"),
    "pool off by one": ("max_pool_forward_naive", "conv", FORWARD.format("max_pool_forward_naive",
                        "out[:, :, :-1, :-1]"), ALL, "has one row and column too few"),
    "ties shared": ("max_pool_backward_naive", "conv", POOL_BACKWARD.format(
                    "dx[where] += dout[n, c, i, j] * largest / largest.sum()"),
                    SOME, "where pixels tie, dx is shared between them"),
    "windows not added": ("max_pool_backward_naive", "conv", POOL_BACKWARD.format(
                          "dx[where] = np.where(largest, dout[n, c, i, j], dx[where])"),
                          ALL, "the gradient of the last window only"),
}  # fmt: skip


# A forward that raises, or returns no cache, takes its backward with it, which needs the cache.
NO_CACHE = {"examples not flattened", "only out", "fast convolution"}
CHANGES_BOTH = {"sigmoid of x", "ties shared", "windows not added"}  # for the cache's sake


def other(part):
    """The other part of a pair."""
    ways = ("forward", "backward") if "_forward" in part else ("backward", "forward")
    return part.replace(*ways)


def groups():
    """The errors, in groups whose errors do not meet."""
    result = []
    for name, (part, *_) in ERRORS.items():
        parts = {part, other(part)} if name in NO_CACHE | CHANGES_BOTH else {part}
        for taken, names in result:
            if not taken & parts:
                taken |= parts
                names.append(name)
                break
        else:
            result.append((parts, [name]))
    return [names for _, names in result]


def check(root, names, *arguments):
    """Grade the solution with these errors in it, one a part at most."""
    added = {}
    for name in names:
        _, file, code, *_ = ERRORS[name]
        added[file] = added.get(file, "") + code.strip() + "\n"
    rows = grade(root, solution(**added), *arguments)
    wrong = {ERRORS[name][0]: ERRORS[name][3:] for name in names}
    wrong |= {other(ERRORS[name][0]): (ALL, "needs the cache of") for name in NO_CACHE & {*names}}
    for part, row in rows.items():
        lost, message = wrong.pop(part, (0.0, "All checks passed."))
        assert message in row["output"], row
        assert row["score"] == pytest.approx(GRADED[part] * (1 - lost)), row
        assert row["max_score"] == GRADED[part]
    assert not wrong
    return rows


@pytest.mark.parametrize("names", groups()[:4], ids=" / ".join)
def test_errors_lose_their_own_part(names, root):
    """The first four groups: four out of five of the errors. Each by itself is a slow test."""
    assert list(check(root, names)) == list(GRADED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_loses_its_own_part(name, root):
    assert list(check(root, [name])) == list(GRADED)


def test_every_part_is_checked_and_has_an_error():
    assert set(CHECKS) == set(GRADED)
    assert {part for part, *_ in ERRORS.values()} == set(GRADED)


def test_the_solution_has_all_points(root):
    rows = grade(root, solution())
    assert {name: row["score"] for name, row in rows.items()} == GRADED
    results = json.loads((root / "results" / "results.json").read_bytes())
    assert results["output"] == f"{POINTS} of {POINTS} points."
    assert results["execution_time"] < 60
    numbers = [i for i, part in enumerate(PARTS, start=1) if part.points]
    assert [int(row["number"]) for row in results["tests"]] == numbers


def test_the_starter_has_none(root):
    starter = make_starter()
    files = {name: starter[name].decode() for name in ("layers.py", "fc_net.py", "conv.py")}
    rows = grade(root, files)
    assert sum(row["score"] for row in rows.values()) == 0
    for part, row in zip([p for p in PARTS if p.points], rows.values(), strict=True):
        assert "still to be written: TODO" in row["output"]
        assert part.name in row["output"]


def test_gradients_come_with_the_table_of_check_layer(root):
    rows = grade(root, solution(layers=ERRORS["dw a mean"][2]), "--parts", "fc_backward")
    lines = rows["fc_backward"]["output"].splitlines()
    assert lines[0] == "fc_backward: dw is the mean over the batch, not the sum"
    assert lines[3].split() == ["input", "shape", "max", "rel.", "error", "result"]
    words = "FAIL: the numerical gradient times 0.25, 1 / the number of examples"
    assert [line.split("  ")[-1].strip() for line in lines[4:]] == ["pass", words, "pass"]


def test_same_submission_same_score_other_submission_other_inputs(root):
    """A function that is right for some inputs only has to be right for those that are drawn."""
    tells = FORWARD.format("relu_forward", "out if x.shape == (2, 3, 2) else out + x[0, 0]")
    outputs = [
        grade(root, solution(layers=tells + comment), "--parts", "relu_forward")["relu_forward"]
        for comment in ("", "", "# another submission\n")
    ]
    assert outputs[0] == outputs[1] != outputs[2]


@pytest.mark.parametrize(
    ("files", "part", "message"),
    [
        ({"layers.py": "def fc_forward(x, w, b:\n"}, "fc_forward", "cannot be imported: SyntaxErr"),
        ({"layers.py": "import torch"}, "fc_forward", "cannot be imported: ModuleNotFoundError"),
        ({"layers.py": ""}, "fc_forward", "fc_forward: raised AttributeError: layers.py has no fc"),
        (
            {"conv.py": "1 / 0"},
            "conv_forward_naive",
            "ZeroDivisionError: division by zero (conv.py",
        ),
        ({"conv.py": ""}, "fc_forward", "layers.py is not in the submission."),
        ({"notes.txt": ""}, "fc_forward", "The grading did not get here."),
    ],
)
def test_what_cannot_be_run_is_named(files, part, message, root):
    row = grade(root, files, "--parts", part)[part]
    assert row["score"] == 0
    assert message in row["output"]


def test_a_submission_in_a_folder_is_found(root):
    files = solution(layers="from mine import nothing")
    grade(root, files, "--parts", "fc_forward")
    inner = root / "submission" / "homework"
    inner.mkdir()
    for name in files:
        (root / "submission" / name).rename(inner / name)
    (inner / "mine.py").write_text("nothing = None")
    [row] = run(root, "--parts", "fc_forward")["tests"]
    assert row["score"] == GRADED["fc_forward"]


def test_a_network_may_use_functions_of_the_students_layers(root):
    added = {
        "layers": "def double(x):\n    return 2 * x\n",
        "fc_net": "from layers import double, fc_forward\nassert double(2) == 4\n",
    }
    rows = grade(root, solution(**added), "--parts", "Network.forward")
    assert rows["Network.forward"]["score"] == GRADED["Network.forward"], rows


def test_the_zip_is_what_gradescope_expects(tmp_path):
    for name in "ab":
        autograder.main(["--out", str(tmp_path / name)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        modes = {m.filename: m.external_attr >> 16 for m in archive.infolist()}
        assert archive.read("requirements.txt").startswith(b"numpy>=")
        assert archive.read("requirements.txt").count(b"\n") == 1
        scripts = {name: archive.read(name) for name in ("setup.sh", "run_autograder")}
    assert not [name for name in modes if name.startswith(("tests", "leaderboard"))]
    for name, script in scripts.items():
        assert modes[name] & 0o111
        assert script.startswith(b"#!/usr/bin/env bash\n")
        subprocess.run(["bash", "-n"], input=script, check=True)


@pytest.mark.parametrize("layer", [FC, RELU, SIGMOID, TANH, CONV, POOL], ids=lambda x: x.names[0])
def test_a_typical_error_is_none_of_the_right_values(layer, rng):
    """What is compared with a student's values is never what is expected; each can be computed."""
    seen = set()
    for case in layer.cases:
        arrays, rest = layer.draw(case, rng)
        out, cache = layer.forward(*arrays, *rest)
        dout = rng.standard_normal(out.shape)
        expected = layer.backward(dout, cache)
        expected = expected if isinstance(expected, tuple) else (expected,)
        errors = layer.backward_errors(arrays, rest, dout, expected)
        right = dict(zip(layer.gradients, expected, strict=True)) | {"out": out}
        for name, typical in {**errors, "out": layer.forward_errors(arrays, rest, out)}.items():
            for text, value in typical:
                if not is_close(value(), right[name]):
                    seen.add((name, text))
    typical = {**errors, "out": layer.forward_errors(arrays, rest, out)}
    assert seen == {(name, text) for name, found in typical.items() for text, _ in found}
