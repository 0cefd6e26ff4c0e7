"""Processes that work for this one, end when it does, and keep others off what they work on."""

import os
import threading
import time
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.managers import SyncManager

from filelock import FileLock, Timeout
from joblib import Parallel

LOOK = 0.5  # seconds between looks at the parent
LOCK_TIMEOUT = 5  # seconds, in which the workers of a killed process have ended


def parallel(workers, **options):
    """A `joblib.Parallel` whose workers do not outlive this process."""
    return Parallel(workers, initializer=exit_with_parent, initargs=(os.getpid(),), **options)


def start_manager():
    """A multiprocessing manager whose process does not outlive this one."""
    manager = SyncManager(ctx=get_context("loky"))  # no fork: a notebook's kernel has threads
    manager.start(exit_with_parent, (os.getpid(),))
    return manager


def exit_with_parent(parent):
    """Have this process end when its parent, the process of that number, is gone.

    A process that is killed cannot end those that it has started. They would work on, and write to
    files that the next run has begun to use. On Windows, where a process keeps the number of a
    parent that is gone, nothing is done.
    """

    def look():
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=look, daemon=True).start()


@contextmanager
def locked(function, path):
    """Keep other processes off a file, until the block or this process ends.

    Where one has it, and is no worker of a killed process that is about to end, a ValueError.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout as error:
        raise ValueError(
            f"{function}: another process is working on {path.name} in the folder {path.parent}"
        ) from error
    try:
        yield
    finally:
        lock.release()
