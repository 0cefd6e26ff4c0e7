"""A student's code, which the judge calls in a process of its own.

What the process may do is bounded in ``worker.py``. Where the judge runs as root, the process
becomes a user whom nothing belongs to, so that it can neither read nor write the judge's files; all
processes of that user are killed at the end. Elsewhere those that it has started are found as the
judge's children, which orphans become on Linux.
"""

import ctypes
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from course.grader.wire import Channel, Closed, Late
from course.starter_tests.asked import Wrong

GIVEN = Path(__file__).parents[2] / "given"  # what a student's process has of the course
MODULES = ("layers.py", "fc_net.py", "conv.py")  # which students write
MAX_BYTES = 2**20  # of one of a student's files
MAX_FILES = 50
MAX_DEPTH, MAX_FOLDERS = 4, 20_000  # of a submission, where a student's files are looked for
MEMORY = 2**31
LONGEST = 600  # characters of an error
SUBREAPER = 36  # of prctl(2)
UIDS = range(30_000, 60_000)  # of users who exist nowhere


def become_subreaper():
    """Make orphans of student's processes children of this one (Linux)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def find_code(submission):
    """Return the folders of a submission that hold some of the student's files, the best first.

    That is the one with the most of them, of those the least deep.
    """
    found = []
    for path, folders, names in islice(os.walk(submission), MAX_FOLDERS):
        depth = len(Path(path).relative_to(submission).parts)
        folders[:] = sorted(folders) if depth < MAX_DEPTH else []
        if count := len({*MODULES} & {*names}):
            found.append((-count, depth, Path(path)))
    return [folder for *_, folder in sorted(found)]


def copy_code(folder, to):
    """Copy a folder's Python files, none of which may be a link out of it; those to grade first."""
    paths = sorted(folder.glob("*.py"), key=lambda path: (path.name not in MODULES, path))
    for path in paths[:MAX_FILES]:
        with suppress(OSError):  # a link, a folder
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(path, flags), "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    (to / path.name).write_bytes(file.read(MAX_BYTES))


@contextmanager
def scratch(code, same_user):
    """Make a folder for students' processes: their code in ``student``, what we give in ``course``.

    Yields the folder, and the user whom the processes become, None for the judge's own.
    """
    with tempfile.TemporaryDirectory(prefix="grader-") as path:
        folder = Path(path)
        (folder / "student").mkdir()
        copy_code(code, folder / "student")
        shutil.copytree(GIVEN, folder / "course")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder, None if same_user or os.getuid() else _free_uid()


def _free_uid():
    """Return a user that has no process; two judges at once begin to look at different ones."""
    used = {uid for _, uid, _ in _processes()}
    first = os.getpid() % len(UIDS)
    return next(uid for uid in [*UIDS[first:], *UIDS[:first]] if uid not in used)


def _processes():
    """Return the number of each process, of its user and of its parent (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            _, parent, *_ = (path / "stat").read_bytes().rpartition(b")")[2].split()
            found.append((int(path.name), path.stat().st_uid, int(parent)))
    return found


class Student:
    """A process with the student's code; a context, at whose end all that it started is dead.

    ``student("call", "layers.fc_forward", inputs, outputs)`` has it answer a question.
    """

    def __init__(self, folder, uid, seconds, is_network):
        self.folder, self.uid, self.seconds, self.is_network = folder, uid, seconds, is_network

    def __enter__(self):
        self.work = tempfile.mkdtemp(prefix="work-", dir=self.folder)
        if self.uid is not None:
            os.chown(self.work, self.uid, self.uid)
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        settings = {
            "folder": str(self.folder), "reader": theirs_in, "writer": theirs_out,
            "is_network": self.is_network, "uid": self.uid, "seconds": int(self.seconds) + 1,
            "memory": MEMORY,
        }  # fmt: skip
        environment = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self.work,
            "MPLCONFIGDIR": str(self.folder / "matplotlib"),
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }  # fmt: skip
        worker = str(self.folder / "course/course/grader/worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", worker, json.dumps(settings)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out), cwd=self.work, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.pipes = ours_in, ours_out
        self.channel = Channel(ours_in, ours_out, self.seconds)
        return self

    def __call__(self, *question):
        """Return the answer to a question. Whatever goes wrong is a `Wrong` that says what."""
        try:
            self.channel.send(question)
            answer = self.channel.receive()
            error, answer = answer.get("error"), answer.get("answer", {})
            if error is None:
                return {**answer}
        except Late:
            error = f"stopped after {self.seconds:g} seconds"
        except Closed:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            error = f"the program ended{_ended(self.process.returncode)}"
        except Exception as nonsense:  # the process has written messages of its own
            error = f"the program answered with nonsense ({type(nonsense).__name__})"
        raise Wrong(str(error)[:LONGEST])

    def __exit__(self, *_):
        for pipe in self.pipes:
            os.close(pipe)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.uid is not None:
            _kill_user(self.uid)
        _kill_orphans()
        shutil.rmtree(self.work, ignore_errors=True)


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
    while children := [number for number, _, parent in _processes() if parent == os.getpid()]:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
