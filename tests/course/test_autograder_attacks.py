"""Code that attacks the autograder loses its own points, and nothing else happens."""

import os
import sys
import time
from pathlib import Path

import pytest
from graded import POINTS, grade, processes_of_students, run, solution

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Gradescope runs Linux")
is_root = hasattr(os, "getuid") and os.getuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root can become another user")
SITES = ["fc_forward", "relu_forward", "sigmoid_forward", "tanh_forward"]
OTHER = "softmax_loss"  # which is right, and keeps its points


@pytest.fixture
def root(graded_root):
    return graded_root


def contents(root):
    """Everything in the folder that grading should leave as it is."""
    paths = [p for p in root.rglob("*") if p.is_file() and p.parent.name != "results"]
    return {path: path.read_bytes() for path in paths if "__pycache__" not in path.parts}


def attacked(root, codes, *arguments):
    """Rows of functions in whose place code stands, at most one for each of SITES, in their order.

    All else is checked to be in order. A code is the body of a function of x and others. ROOT
    stands for the folder of the autograder.
    """
    layers = "import ctypes, gc, io, json, os, signal, struct, sys, time\n"
    for site, code in zip(SITES, codes, strict=False):
        body = "\n    ".join(code.strip().replace("ROOT", repr(str(root))).split("\n"))
        layers += f"right_{site} = {site}\ndef {site}(x, *others):\n"
        layers += f"    right = right_{site}\n    {body}\n"
    before = contents(root / "source")
    rows = grade(root, solution(layers=layers), "--parts", *SITES[: len(codes)], OTHER, *arguments)
    assert contents(root / "source") == before
    assert os.listdir(root / "results") == ["results.json"]
    assert list(rows) == [*SITES[: len(codes)], OTHER]
    assert rows[OTHER]["score"] == POINTS[OTHER], rows
    assert not processes_of_students(root)
    return list(rows.values())[:-1]


def in_fours(table):
    """The names in a table, four at a time."""
    names = list(table)
    return [names[i : i + 4] for i in range(0, len(names), 4)]


FORGED = '{"tests": [{"score": 100, "max_score": 5, "name": "fc_forward (layers.py)"}]}'
RETURNS = "\nreturn np.zeros(3), None"
CHANNEL = "[channel] = [c for c in gc.get_objects() if type(c).__name__ == 'Channel']\n"
WRITES = CHANNEL + (
    "data = json.dumps({{'answer': {{'out': {}}}}}).encode()\n"
    "os.write(channel.writer, struct.pack('<I', len(data)) + data)" + RETURNS
)
PICKLE = """import base64, pickle
class P:
    def __reduce__(self): return os.system, ('touch ' + ROOT + '/source/x',)
pickled = base64.b64encode(pickle.dumps(P())).decode()
"""
NONSENSE, SHAPE = "answered with nonsense", "out must have shape"
ENDED, STOPPED = "the program ended ", "stopped after 1 seconds"
LOSING = {
    "exits": ("os._exit(0)", ENDED + "with exit code 0"),
    "exits politely": ("sys.exit('100 points')", ENDED + "with exit code 1"),
    "crashes": ("ctypes.string_at(0)", ENDED + "by signal 11"),
    "kills its group": ("os.killpg(0, signal.SIGKILL)", ENDED + "by signal 9"),
    "raises a huge error": ("raise ValueError('x' * 10**8)", "raised ValueError: xxx"),
    "has an error without text": (
        "class E(Exception):\n    def __str__(self): os._exit(3)\nraise E", "with exit code 3"),
    "takes memory": ("np.ones(10**10)", "raised "),
    "recurses": ("def f(): f()\nf()", "raised RecursionError"),
    "prints": (
        f"for file in (sys.stdout, sys.stderr): print({FORGED!r}, file=file)" + RETURNS, SHAPE),
    "writes to all files": (
        f"for fd in range(3, 64):\n    try: os.write(fd, {FORGED.encode()!r})\n"
        "    except OSError: pass" + RETURNS, NONSENSE),
    "patches NumPy": (
        "np.allclose = np.all = np.array_equal = lambda *a, **k: True\n"
        "np.abs = np.subtract = lambda *a, **k: np.zeros(1)" + RETURNS, SHAPE),
    "patches pytest and the judge": (
        "for name in ('pytest', 'course.grader.judge', 'course.starter_tests.asked', 'unittest'):\n"
        "    sys.modules[name] = type(sys)(name)" + RETURNS, SHAPE),
    "answers that all is well": (CHANNEL + "channel.send({'answer': True})" + RETURNS, NONSENSE),
    "answers more than was asked": (
        CHANNEL + "channel.send({'answer': {'out': x, 'score': 100}})" + RETURNS, "out is wrong"),
    "answers without end": (CHANNEL + "while True: channel.send({'answer': {}})", "out is missing"),
    "sends zeros without end": (
        CHANNEL + "while True: os.write(channel.writer, bytes(99))", NONSENSE),
    "sends names that are none": (
        CHANNEL + "channel.send({'answer': {'out': type('a', (), {})}, 'error': None})" + RETURNS,
        "out must be an array of shape (4, 5), got type"),
    "announces much": (
        CHANNEL + "os.write(channel.writer, bytes([255] * 4))\ntime.sleep(60)", NONSENSE),
    "announces more than it sends": (
        CHANNEL + "os.write(channel.writer, bytes([99, 0, 0, 0]))\ntime.sleep(60)", STOPPED),
    "sends a pickle": (PICKLE + WRITES.format("{'array': [pickled, 'O', [1]]}"), NONSENSE),
    "sends a huge array": (WRITES.format("{'array': ['AAAA', '<f8', [10**9, 10**9]]}"), NONSENSE),
    "sends what is none": (WRITES.format("{'other': 5}"), NONSENSE),
    "nests without end": (
        CHANNEL + "data = b'[' * 10**5\nos.write(channel.writer, struct.pack('<I', len(data)))\n"
        "os.write(channel.writer, data)" + RETURNS, NONSENSE),
    "returns an array with rules of its own": (
        "class A(np.ndarray):\n    def __sub__(self, other): return 0 * self\n"
        "return np.ones(x.shape).view(A), None", "out "),
    "returns objects": ("return np.array([None]), None", "got ndarray"),
    "hangs": ("while True: pass", STOPPED),
    "hangs in C, deaf": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(60)", STOPPED),
}  # fmt: skip


@pytest.mark.parametrize("names", in_fours(LOSING), ids=" / ".join)
def test_attacks_lose_their_points(names, root):
    rows = attacked(root, [LOSING[name][0] for name in names], "--seconds", "1")
    for name, row in zip(names, rows, strict=True):
        assert row["score"] == 0
        assert LOSING[name][1] in row["output"]
        assert len(row["output"]) < 5000


TRY = "try:\n    {}\nexcept OSError as error: raise OSError('refused: ' + type(error).__name__)"
REFUSED = {
    "writes the results": "open(ROOT + '/results/results.json', 'w').write('{}')",
    "removes the results": "os.unlink(ROOT + '/results/results.json')",
    "writes into the folder": "open(ROOT + '/run_autograder', 'a').write('exit')",
    "reads the course's functions": "raise ValueError(open(ROOT + '/source/layers.py').read())",
    "reads the submission folder": "os.listdir(ROOT + '/submission')",
    "kills the judge": "os.kill(os.getppid(), signal.SIGKILL)",
    "reads the judge's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "becomes root": "os.setuid(0)",
    "changes its own code": "open(sys.path[1] + '/layers.py', 'a').write('pass')",
    "changes the course's code": "open(sys.path[0] + '/course/grader/worker.py', 'a').write('')",
}


@needs_root
@pytest.mark.parametrize("names", in_fours(REFUSED), ids=" / ".join)
def test_what_the_system_refuses(names, root):
    for row in attacked(root, [TRY.format(REFUSED[name]) for name in names]):
        assert row["score"] == 0
        assert "refused: PermissionError" in row["output"], row


@needs_root
def test_no_process_is_left(root):
    """`attacked` counts them. A function that is right all the same may keep its points."""
    codes = [
        "if os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(0.01)",
        "os.posix_spawn('/bin/sleep', ['sleep', '60'], {})",
        "while True: os.fork()",
        "if os.fork() == 0:\n    if os.fork() == 0:\n        os.setsid()\n"
        "        while True: os.fork()\n    os._exit(0)",
    ]
    attacked(root, [f"{code}\nreturn right(x, *others)" for code in codes], "--seconds", "1")


def test_orphans_are_killed_without_another_user(root, tmp_path):
    note = tmp_path / "note"
    code = (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        own = {str(note)!r} + str(os.getpid())\n"  # several orphans at a time
        "        open(own, 'w').write(str(os.getpid()))\n"
        f"        os.rename(own, {str(note)!r})\n        time.sleep(60)\n"
        f"    os._exit(0)\nwhile not os.path.exists({str(note)!r}): time.sleep(0.01)\n"
        "return right(x, *others)"
    )
    [row] = attacked(root, [code], "--same-user")
    assert row["score"] == POINTS["fc_forward"]
    deadline = time.monotonic() + 5
    while Path("/proc", note.read_text()).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path("/proc", note.read_text()).exists()


def test_results_are_written_over_without_another_user(root):
    name = "ROOT + '/results/results.json'"
    codes = [
        f"open({name}, 'w').write('{{}}')",
        f"os.unlink({name}); os.mkfifo({name})",
        f"os.unlink({name}); os.symlink(ROOT + '/source/layers.py', {name})",
        f"os.unlink({name}); os.mkdir({name})",
    ]
    for row in attacked(root, [code + RETURNS for code in codes], "--same-user"):
        assert "out must have shape" in row["output"]


def test_nothing_is_left_for_the_next_part(root):
    codes = [
        "global np; np = None; open('note', 'w').write('1')\nreturn x, None",
        "assert np and not os.listdir()\nreturn right(x)",
    ]
    rows = attacked(root, codes)
    assert [row["score"] for row in rows] == [0, POINTS["relu_forward"]]


def test_environment_is_empty(root, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "12345")
    [row] = attacked(root, ["raise ValueError(sorted(os.environ))"])
    assert "SECRET" not in row["output"]
    assert "OPENBLAS_NUM_THREADS" in row["output"]


def test_files_that_pretend_to_be_others(root):
    """A student's file of a module's name is in nobody's way, and a link out is not followed."""
    names = ("numpy", "json", "wire", "worker", "support", "course", "gradient_check", "pytest")
    files = solution() | {f"{name}.py": "raise SystemExit" for name in names}
    grade(root, files, "--parts", OTHER)
    (root / "submission" / "stolen.py").symlink_to(root / "source" / "layers.py")
    (root / "submission" / "folder.py").mkdir()
    os.mkfifo(root / "submission" / "pipe.py")
    text = "import os, sys\nraise ValueError(sorted(os.listdir(sys.path[1])))"
    (root / "submission" / "layers.py").write_text(text)
    [row] = run(root, "--parts", OTHER)["tests"]
    assert "conv.py" in row["output"]
    for name in ("stolen", "folder", "pipe"):
        assert name not in row["output"]
    for path in (root / "submission").glob("*.py"):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / "submission" / "homework").symlink_to(root / "source")
    [row] = run(root, "--parts", OTHER)["tests"]
    assert row["score"] == 0


@pytest.mark.parametrize("part", ["Network.forward", "Network.loss"])
def test_a_network_cannot_reach_into_the_judge(part, root):
    """The judge answers no questions, and neither layers nor fast functions are the course's."""
    fc_net = """
import gc, layers, fast.arrays
[channel] = [c for c in gc.get_objects() if type(c).__name__ == 'Channel']
told = [layers.__file__.split('/')[-2], str(fast.arrays.patches), str(layers.nothing)]
def wrong(self, *args, **kwargs):
    if told:
        raise ValueError(told)
    channel.send(['function', 'os.system'])
    return channel.receive()
Network.forward = Network.loss = wrong
"""
    told = str(["student", "<module 'fast.arrays.patches'>", "<module 'layers.nothing'>"])
    cases = (fc_net, told), (fc_net + "told.clear()", "answered with nonsense")
    for code, words in cases:
        rows = grade(root, solution(fc_net=code), "--parts", part)
        assert words in rows[part]["output"]
        assert rows[part]["score"] == 0
