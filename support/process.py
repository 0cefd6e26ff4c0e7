"""What a training asks of the process that it runs in, and of those that work for it.

Memory, Ctrl-C and a progress bar; workers that end when this process does, and locks that keep
others off what it works on. A training that needs none of these loads nothing but NumPy.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, nullcontext

import numpy as np

LOOK = 0.5  # seconds between looks at the parent
LOCK_TIMEOUT = 5  # seconds, in which the workers of a killed process have ended


def keep_freed_memory():
    """Have the memory of freed arrays used again, instead of returned to the system.

    A training step frees all that it took, and glibc's allocator returns the pages of large arrays
    to the system, which hands out new ones in the next step: up to half the time of a ConvNet's
    step, two thirds of a distortion's. See mallopt(3); with other C libraries this changes nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(trim_threshold, 2**31 - 1)  # freed memory is kept
    mallopt(mmap_threshold, 2**25)  # the highest: arrays up to 32 MB come from that memory


def print_escaped(text):
    """Print, with escapes for what standard output cannot show: names of folders in ASCII."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def deferred_interrupt():
    """Turn the first Ctrl-C into an event that is set, so that no step is left half done.

    A second Ctrl-C acts at once, as it would without this.
    """
    event = threading.Event()
    previous = signal.getsignal(signal.SIGINT)
    # Only the main thread may handle signals, and a job in the background ignores Ctrl-C.
    if threading.current_thread() is not threading.main_thread() or previous is signal.SIG_IGN:
        yield event
        return

    def handler(signum, frame):
        event.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)


def progress_bar(solver):
    """Return a bar of all iterations that begins where the solver is; none if it is not verbose."""
    if not solver.verbose:
        return nullcontext()
    from tqdm.auto import tqdm  # a training that shows nothing needs NumPy only

    return tqdm(total=solver.num_iterations, initial=solver.iteration, unit="it")


def show_progress(bar, solver):
    """Show one iteration more; every print_every iterations also the loss and the accuracies."""
    if bar is None:
        return
    bar.update()
    if solver.iteration % solver.print_every:
        return
    bar.set_description(f"epoch {solver.epoch + 1}/{solver.num_epochs}", refresh=False)
    shown = {"loss": np.mean(solver.loss_history[-solver.print_every :])}
    shown["train"] = solver.train_acc_history[-1]
    if solver.val_acc_history:
        shown["val"] = solver.val_acc_history[-1]
    shown["lr"] = solver.learning_rate
    bar.set_postfix({key: f"{value:.4g}" for key, value in shown.items()}, refresh=False)


def summary(solver):
    """Return in a line how a training went."""
    done = f"{solver.epoch} epochs ({solver.iteration:,} iterations)"
    if solver.interrupted:
        done = f"stopped by Ctrl-C after {done}"
    line = f"{done}: training accuracy {solver.train_acc_history[-1]:.2%}"
    if solver.val_acc_history:
        best = solver.val_acc_history.index(solver.best_val_acc)
        line += f", best validation accuracy {solver.best_val_acc:.2%} (epoch {best})"
    return line


def parallel(workers, **options):
    """Return a `joblib.Parallel` whose workers do not outlive this process."""
    from joblib import Parallel

    return Parallel(workers, initializer=exit_with_parent, initargs=(os.getpid(),), **options)


def start_manager():
    """Return a multiprocessing manager whose process does not outlive this one."""
    from multiprocessing.managers import SyncManager

    from joblib.externals.loky.backend import get_context

    manager = SyncManager(ctx=get_context("loky"))  # no fork, and no main guard
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
    from filelock import FileLock, Timeout

    try:
        acquired = FileLock(path.with_name(f".{path.name}.lock")).acquire(timeout=LOCK_TIMEOUT)
    except Timeout as error:
        raise ValueError(
            f"{function}: another process is working on {path.name} in the folder {path.parent}"
        ) from error
    with acquired:
        yield
