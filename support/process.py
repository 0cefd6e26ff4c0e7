"""What a training asks of the process that it runs in: memory, Ctrl-C, and a progress bar."""

import ctypes
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext

import numpy as np


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
