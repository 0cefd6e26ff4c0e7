"""A student's code, which the judge calls in a process of its own.

What the process may do is bounded in ``worker.py``. Where the judge runs as root, the process
becomes a user whom nothing belongs to, so that it can neither read nor write the judge's files; all
processes of that user are killed at the end. Elsewhere those that it has started are found as the
judge's children, which orphans become on Linux.
"""

import ast
import ctypes
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from course.grader.wire import Channel, Closed, Late, RemoteError

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent
MODULES = ("layers.py", "fc_net.py", "conv.py")  # which students write
MAX_BYTES = 2**20  # of one of a student's files
MAX_FILES = 50
MAX_NUMBERS = 1000  # that a student's network gives to one of the course's layers
MEMORY = 2**31
SUBREAPER = 36  # of prctl(2)
UIDS = range(30_000, 60_000)  # of users who exist nowhere


class CodeError(Exception):
    """What is wrong with a student's code, in words for the student."""


def become_subreaper():
    """Make orphans of student's processes children of this one (Linux)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def find_code(submission):
    """The folder of a submission that holds the student's files: itself, or one in it."""
    inner = [path for path in submission.iterdir() if path.is_dir() and not path.is_symlink()]
    folders = [submission, *sorted(inner)]
    for folder in folders:
        if any((folder / name).is_file() for name in MODULES):
            return folder
    return submission


def copy_code(submission, to):
    """Copy the Python files of a submission, none of which may be a link out of it."""
    paths = sorted(find_code(submission).glob("*.py"))[:MAX_FILES]
    for path in paths:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(path, flags), "rb") as file:
                is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                content = file.read(MAX_BYTES) if is_file else None
        except OSError:  # a link, a folder
            continue
        if is_file:
            (to / path.name).write_bytes(content)


def preloaded():
    """The modules that the course's versions of the student's files import, but for those files."""
    names = {"wire"}
    for name in MODULES:
        for node in ast.walk(ast.parse((SOURCE / name).read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add("fast.winograd" if node.module == "fast" else node.module)
    return sorted(names - {Path(name).stem for name in MODULES})


class Scratch:
    """A folder with what students' processes read: their code, and what the course gives them."""

    def __init__(self, submission, same_user):
        self.folder = Path(tempfile.mkdtemp(prefix="grader-"))
        self.folder.chmod(0o755)
        self.student, self.course = self.folder / "student", self.folder / "course"
        self.student.mkdir()
        self.course.mkdir()
        copy_code(submission, self.student)
        caches = shutil.ignore_patterns("__pycache__")
        for drawer in ("support", "fast"):
            shutil.copytree(SOURCE / drawer, self.course / drawer, ignore=caches)
        given = [path for path in SOURCE.glob("*.py") if path.name not in MODULES]
        for path in (*given, HERE / "wire.py", HERE / "worker.py"):
            shutil.copy(path, self.course)
        self.uid = None if same_user or os.getuid() else _free_uid()
        for path in self.folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_uid():
    """A user id that no process has; two judges at once begin to look at different ones."""
    used = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            used.add(path.stat().st_uid)
    first = os.getpid() % len(UIDS)
    return next(uid for uid in [*UIDS[first:], *UIDS[:first]] if uid not in used)


class Student:
    """A process with the student's code; a context, at whose end all that it started is dead.

    ``student("layers.fc_forward", x, w, b)`` calls a function of it. functions, by name, are those
    of the judge that the process may call. layers names the functions that stand in it for those of
    the student's ``layers.py``, refused those that it has to do without.
    """

    def __init__(self, scratch, seconds, functions=None, layers=(), refused=()):
        self.scratch, self.seconds = scratch, seconds
        self.functions, self.layers, self.refused = functions or {}, layers, refused

    def __enter__(self):
        self.work = Path(tempfile.mkdtemp(prefix="work-", dir=self.scratch.folder))
        if self.scratch.uid is not None:
            os.chown(self.work, self.scratch.uid, self.scratch.uid)
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        settings = {
            "course": str(self.scratch.course), "student": str(self.scratch.student),
            "preload": preloaded(), "reader": theirs_in, "writer": theirs_out,
            "layers": list(self.layers), "refused": list(self.refused), "uid": self.scratch.uid,
            "seconds": int(self.seconds) + 1, "memory": MEMORY,
        }  # fmt: skip
        environment = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.work),
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }  # fmt: skip
        worker = str(self.scratch.course / "worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", worker, json.dumps(settings)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out), cwd=self.work, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.pipes = ours_in, ours_out
        self.channel = Channel(ours_in, ours_out, self._bounded, self.seconds)
        return self

    def __call__(self, name, *args, **kwargs):
        """Call a function of the student's. Whatever goes wrong is a CodeError that says what."""
        try:
            return self.channel.call(name, *args, **kwargs)
        except RemoteError as error:
            raise CodeError(_in_words(error)) from error
        except Late:
            raise CodeError(f"stopped after {self.seconds:g} seconds") from None
        except Closed:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            raise CodeError(f"the program ended{_ended(self.process.returncode)}") from None
        except Exception as error:  # messages of no meaning: the process has written its own
            kind = type(error).__name__
            raise CodeError(f"the program answered with nonsense ({kind})") from None

    def _bounded(self, name):
        """A function of the judge's, which a student cannot have fill its memory."""
        function = self.functions[name]

        def bounded(*args, **kwargs):
            arrays = (v for v in (*args, *kwargs.values()) if isinstance(v, np.ndarray))
            if sum(array.size for array in arrays) > MAX_NUMBERS:
                raise ValueError(f"{name}: more than {MAX_NUMBERS} numbers in one call")
            return function(*args, **kwargs)

        return bounded

    def __exit__(self, *_):
        for pipe in self.pipes:
            os.close(pipe)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        if self.scratch.uid is not None:
            _kill_user(self.scratch.uid)
        _kill_orphans()
        shutil.rmtree(self.work, ignore_errors=True)


def _in_words(error):
    if error.kind == "NotImplementedError":
        return f"still to be written: {error.text}"
    if error.kind in ("ModuleNotFoundError", "ImportError", "SyntaxError", "IndentationError"):
        return f"cannot be imported: {error}"
    return f"raised {error}"


def _ended(code):
    if code is None:
        return ""
    if code < 0:
        return f" by signal {-code} ({signal.strsignal(-code)}), as where it takes too much memory"
    return f" with exit code {code}"


def _kill_user(uid):
    """Kill all processes of a user, as one of them: no process can escape by forking."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _kill_orphans():
    """Kill and reap this process's children, which are all that the student's process has left."""
    while children := _children():
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children():
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state_and_parent = path.read_bytes().rpartition(b")")[2].split()
            if int(state_and_parent[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found
