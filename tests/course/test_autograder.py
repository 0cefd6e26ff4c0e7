"""The autograder as Gradescope runs it: points, messages, submissions as they come."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from graded import POINTS, grade, lost_here, rows, run, solution
from test_autograder_wrong import wrong

from course import autograder
from course.autograder import SCRIPTS
from course.grader.judge import seed_of
from course.parts import NUMPY, PARTS
from course.starter_tests.questions import CHECKS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Gradescope runs Linux")


@pytest.fixture
def root(graded_root):
    return graded_root


def scores(graded):
    return {name: row["score"] for name, row in graded.items()}


def test_the_solution_has_all_points(root):
    assert set(CHECKS) == set(POINTS)
    graded = grade(root, solution())
    assert scores(graded) == POINTS, graded
    results = json.loads((root / "results" / "results.json").read_bytes())
    assert results["output"] == "100 of 100 points."
    assert results["execution_time"] < 60
    numbers = [i for i, part in enumerate(PARTS, start=1) if part.points]
    assert [int(row["number"]) for row in results["tests"]] == numbers
    assert {row["visibility"] for row in results["tests"]} == {"visible"}


SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed > 0 else ()) for seed in range(25)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_solution_has_all_points_and_the_starter_none(seed, contents):
    nothing = {name: contents[name] for name in solution()}
    for part in POINTS:
        assert lost_here(part, solution(), seed) == (0, "All checks passed.")
        number, text = lost_here(part, nothing, seed)
        assert number is None
        assert f"{part}, values: " in text
        assert "still to be written: TODO" in text


def test_wrong_functions_of_all_parts_at_once(root):
    """Hold what `test_autograder_wrong` says of each, in processes of their own."""
    added, expected = {}, {}
    for number, part in enumerate(POINTS):
        files, lost, words = wrong(part, number % 2)
        for name, text in files.items():
            added[name] = added.get(name, "") + text.removeprefix(solution()[name])
        expected[part] = lost, words
    graded = grade(root, {name: text + added[name] for name, text in solution().items()})
    for part, (lost, words) in expected.items():
        score = 0 if lost is None else round(POINTS[part] * (1 - 0.2 * lost), 2)
        if "needs the cache of" in graded[part]["output"]:
            score, words = 0, "needs the cache of"
        assert (graded[part]["score"], words in graded[part]["output"]) == (score, True), part
    lines = graded["fc_backward"]["output"].splitlines()  # with the table of check_layer
    words = "FAIL: the numerical gradient times 0.25, 1 / the number of examples"
    assert lines[3].split() == ["input", "shape", "max", "rel.", "error", "result"]
    assert [line.split("  ")[-1].strip() for line in lines[4:]] == ["pass", words, "pass"]


NUMERICAL = """
def _slopes(f, x, dout, h):
    slopes = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        old, x[i] = x[i], x[i] + h
        plus, x[i] = f(), old - h
        slopes[i], x[i] = np.sum((plus - f()) * dout) / (2 * h), old
    return slopes
"""
PAIR = """
_{0} = {0}
def {0}(*args):
    return _{0}(*args)[0], args
def {1}(dout, args, need_dx=True):
    found = [_slopes(lambda: _{0}(*args)[0], x, dout, {2}) for x in args if hasattr(x, "shape")]
    return found if len(found) > 1 else found[0]
"""
LINEAR = [("layers", "fc"), ("conv", "conv")]  # whose differences are exact: only time tells
SMOOTH = [("layers", "relu"), ("layers", "sigmoid"), ("layers", "tanh"), ("conv", "max_pool")]
LOSS = """
_loss = softmax_loss
def softmax_loss(x, y):
    x = x.copy()
    return _loss(x, y)[0], _slopes(lambda: _loss(x, y)[0], x, 1, 1e-5)
"""


def test_numerical_gradients_have_no_points(root, starter, monkeypatch):
    added = {"layers": NUMERICAL + LOSS, "conv": NUMERICAL}
    for file, kind in LINEAR + SMOOTH:
        names = [f"{kind}_{way}" + "_naive" * (file == "conv") for way in ("forward", "backward")]
        added[file] += PAIR.format(*names, 0.5 if (file, kind) in LINEAR else 1e-5)
    files = solution(**added)
    parts = [part for part in POINTS if "backward" in part and "." not in part] + ["softmax_loss"]
    graded = grade(root, files, "--seconds", "1", "--parts", *parts, "relu_forward")
    assert scores(graded) == dict.fromkeys(parts, 0) | {"relu_forward": 3}, graded
    for part in ("fc_backward", "conv_backward_naive", "softmax_loss"):
        assert "stopped after 1 seconds" in graded[part]["output"]
    monkeypatch.setattr(starter.tests, "SECONDS", 1)
    assert all(any(starter.failed(part, files)) for part in ("fc_backward", "softmax_loss"))


NAIVE = [f"{name}_{way}" for name in ("conv", "max_pool") for way in ("forward", "backward")]
WITHOUT_WORK = {
    "other names": "".join(f"{name}_naive = {name}\n" for name in NAIVE),
    "wrappers": "".join(f"def {n}_naive(*a, f={n}, **k): return f(*a, **k)\n" for n in NAIVE),
    "sources": "import inspect\nexec(inspect.getsource(conv_forward).replace('conv_f', '_f'))\n"
    "exec(inspect.getsource(conv_backward).replace('conv_b', '_b'))\n"
    "conv_forward_naive, conv_backward_naive = _forward, _backward\n"
    "max_pool_forward_naive, max_pool_backward_naive = max_pool_forward, max_pool_backward\n",
    "imports": "from importlib import import_module\nfast = import_module('fast.arrays')\n"
    "to_hcwn = fast.to_hcwn\n" + "".join(f"{name}_naive = {name}\n" for name in NAIVE),
}


@pytest.mark.parametrize("kind", WITHOUT_WORK)
def test_fast_functions_have_no_points(kind, root, starter):
    files, parts = solution(conv=WITHOUT_WORK[kind]), [f"{name}_naive" for name in NAIVE]
    graded = grade(root, files, "--parts", *parts)
    assert scores(graded) == dict.fromkeys(parts, 0), graded
    assert "is not to be used here" in graded["conv_forward_naive"]["output"]
    if kind != "sources":  # which pytest does not see: there is no text to it
        assert all(any(starter.failed(part, files)) for part in parts)


def test_same_submission_same_inputs_other_submission_other_inputs(tmp_path):
    """A function that is right for some inputs only has to be right for those that are drawn."""
    seeds = []
    for comment in ("", "", "# another"):
        (tmp_path / "layers.py").write_text(comment)
        seeds.append(seed_of(tmp_path))
    tells = "_f = relu_forward\ndef relu_forward(x): return _f(x)[0] + x[0, 0], x\n"
    said = [lost_here("relu_forward", solution(layers=tells), seed) for seed in seeds]
    assert said[0] == said[1] != said[2]


# Files, parts, and what each of these is told.
NOT_RUN = [
    ({"layers.py": "def fc_forward(x, w, b:\n", "conv.py": "1 / 0"},
     {"fc_forward": "cannot be imported: SyntaxError",
      "conv_forward_naive": "division by zero (conv.py, line 1)"}),
    ({"layers.py": "import torch", "conv.py": ""},
     {"fc_forward": "cannot be imported: ModuleNotFoundError",
      "conv_forward_naive": "conv.py has no conv_forward_naive",
      "Network.loss": "fc_net.py is not in the submission."}),
    ({"notes.txt": ""}, {"fc_forward": "layers.py is not in the submission."}),
    ({"layers.py": "raise ValueError('a\\0b\\ud800')"}, {"fc_forward": "ValueError: a?b?"}),
]  # fmt: skip


@pytest.mark.parametrize(("files", "told"), NOT_RUN)
def test_what_cannot_be_run_is_named(files, told, root):
    graded = grade(root, files, "--parts", *told)
    assert scores(graded) == dict.fromkeys(told, 0)
    assert all(words in graded[part]["output"] for part, words in told.items())


# What stands at the end of files of the solution; a dict as it is.
IMPORTS = [
    {
        "layers": "from scipy.special import logsumexp\nimport scipy.special as s\ns.expit(0.0)\n"
        "import matplotlib.pyplot as plt, copy, typing, pdb, logging, tqdm, pandas\n"
        "np.fft.fft(np.ones(3))",
    },
    {
        "layers": "from mine import double",
        "fc_net": "from layers import *\nfrom layers import double\n"
        "assert double(2) == 4\nfc_forward, softmax_loss",
        "conv": "import solver, optim, conv_net, normalization, fc_net\n"
        "import data_utils, gradient_check, support.files\nfrom numpy import *",
    },
    {"layers": "raise SystemExit", "fc_net": "from layers import fc_forward"},
]
FIRST = {"layers": "relu_forward", "fc_net": "Network.loss", "conv": "max_pool_forward_naive"}


@pytest.mark.parametrize("ends", IMPORTS)
def test_imports(ends, root):
    files = solution(**ends) | {"mine.py": "def double(x): return 2 * x"}
    parts = [FIRST[file] for file, text in ends.items() if text != "raise SystemExit"]
    assert scores(grade(root, files, "--parts", *parts)) == {part: POINTS[part] for part in parts}


def laid(*names, folder):
    """Return files of the solution in a folder."""
    return {f"{folder}/{name}": solution()[name] for name in names or solution()}


MANY = {f"homework/{name}.py": "" for name in (*range(60), os.fsdecode(b"\xff\xfe"), "\N{SNOWMAN}")}
SUBMISSIONS = [
    (laid(folder="homework") | MANY, "5 of 5 points."),
    (laid("layers.py", folder="a") | laid(folder="b") | laid(folder="a/b"),
     "5 of 5 points. Graded is the folder b, not a/b, a."),
]  # fmt: skip


@pytest.mark.parametrize(("files", "output"), SUBMISSIONS)
def test_submissions_as_they_come(files, output, root):
    grade(root, files, "--parts", "fc_forward")
    assert json.loads((root / "results" / "results.json").read_bytes())["output"] == output


def test_more_folders_in_each_other_than_python_recurses(root):
    grade(root, solution(), "--parts", "fc_forward")
    here = os.open(root / "submission", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("a", dir_fd=here)
        here, above = os.open("a", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    assert scores(rows(run(root, "--parts", "fc_forward"))) == {"fc_forward": 5}
    subprocess.run(["rm", "-rf", "submission/a"], cwd=root, check=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("np.zeros((0, 10**12))", "must have shape"), ("np.zeros((2**40, 0, 2**22))", "too big"),
        ("np.broadcast_to(0.0, (10**6, 10**6))", "is too large"), ("10**5000", "raised ValueError"),
        ("np.zeros(4, complex)", "got ndarray"), ("np.array(['a'])", "got ndarray"),
        ("float('nan')", "got nan"),
        ("{1: x}", "got dict"), ("None", "got None"), ("x + np.inf", "holds NaN or infinity"),
    ],
)  # fmt: skip
def test_odd_values(value, words):
    files = solution(layers=f"def relu_forward(x): return {value}, x")
    lost, text = lost_here("relu_forward", files)
    assert (lost, words in text) == (None, True), text


def test_the_zip_is_what_gradescope_expects(tmp_path, monkeypatch, packed):
    read = Path.read_bytes

    def as_windows_checks_out(path):
        return read(path).replace(b"\n", b"\r\n") if path.name in SCRIPTS else read(path)

    monkeypatch.setattr(Path, "read_bytes", as_windows_checks_out)
    autograder.main(["--out", str(tmp_path / "autograder.zip")])
    assert read(tmp_path / "autograder.zip") == packed
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        modes = {m.filename: m.external_attr >> 16 for m in archive.infolist()}
        requirements = archive.read("requirements.txt").decode()
        scripts = {name: archive.read(name) for name in SCRIPTS}
        given = archive.read("given/conv_net.py").decode()
    names = re.findall(r"(?m)^[\w-]+(?:==[\d.]+)?", requirements)
    assert names == [NUMPY, "tqdm", "pandas", "matplotlib", "scipy"]
    assert "TODO" in given  # what students have, not the solution
    assert not [name for name in modes if name.startswith(("tests", "leaderboard", "given/fast"))]
    for name, script in scripts.items():
        assert modes[name] & 0o111
        assert script.startswith(b"#!/usr/bin/env bash\n")
        assert b"\r" not in script
        subprocess.run(["bash", "-n"], input=script, check=True)
