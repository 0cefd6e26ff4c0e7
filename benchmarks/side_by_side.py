"""Times several programs in one run, so that their ratios hold on a machine whose speed drifts.

Every program lives in a process of its own (thread pools of two libraries in one process fight over
the cores), all processes run on the same cores with as many threads, and they take turns: one timed
slice each, then a pause in which idle thread pools go to sleep, then the next round. What is
reported is the median over the rounds and, in brackets, the best of them, of a program's time and
of its ratio to another program's: a slice that something else disturbed decides neither.
"""

import multiprocessing
import os
import platform
import sys
import time
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_info

# Threads of each table, from the command line; else the recipes' and the notebook's case.
THREADS = tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or (1, 2)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def num_threads():
    """Threads of a program in its process."""
    return int(os.environ[VARIABLES[0]])


def print_machine():
    """Say which processor and which BLAS, with which kernel, NumPy's products run on."""
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    print(f"Processor: {names[0] if names else platform.processor()}")
    for library in threadpool_info():
        kernel = library.get("architecture", "unknown")
        blas = f"{library['internal_api']} {library['version']}, {kernel}"
        print(f"NumPy {np.__version__}: {blas}, {library['num_threads']} threads by default")
    if "OPENBLAS_CORETYPE" in os.environ:
        print("WARNING: OPENBLAS_CORETYPE is set, so NumPy's products may run below their speed")


def _serve(connection, make, arguments, seconds, warm_up):
    """Run in a process of its own: time slices of steps for as long as the parent asks."""
    step = make(*arguments)
    for _ in range(5 * warm_up):
        step()
    connection.send("ready")
    while connection.recv():
        for _ in range(warm_up):  # wakes the thread pool up
            step()
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            step()
            count += 1
        connection.send((time.perf_counter() - start) / count)


def measure(programs, arguments=(), *, threads, rounds=15, seconds=0.3, pause=0.25, warm_up=1):
    """Time of one step of each program, round by round.

    Parameters
    ----------
    programs : dict of str to callable
        ``make(*arguments)`` returns the step, a callable without arguments. Both must be importable
        by name.
    arguments : tuple
    threads : int
        Of each program, and cores that it runs on.
    rounds : int, default 15
    seconds : float, default 0.3
        Length of a timed slice; it holds at least one step.
    pause : float, default 0.25
        Seconds of rest before a slice.
    warm_up : int, default 1
        Steps before each slice that are not timed, and five times as many before the first.

    Returns
    -------
    times : dict of str to list of float
        Seconds of one step, one number a round.
    """
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))  # which the processes inherit
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        os.sched_setaffinity(0, cores[:threads])
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name, make in programs.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make, arguments, seconds, warm_up))
        process.start()
        theirs.close()  # so that a program that fails is an EOFError here
        workers[name] = ours, process
    if cores:
        os.sched_setaffinity(0, cores)
    for connection, _ in workers.values():
        connection.recv()
    times = {name: [] for name in programs}
    for _ in range(rounds):
        for name, (connection, _) in workers.items():
            time.sleep(pause)
            connection.send(True)
            times[name].append(connection.recv())
    for connection, process in workers.values():
        connection.send(False)
        process.join()
    return times


def milliseconds(times, name):
    """Time of a program, for a table: median (best)."""
    return f"{1e3 * median(times[name]):.2f} ({1e3 * min(times[name]):.2f})"


def ratio(times, a, b):
    """Time of a divided by that of b, for a table: median of the rounds' (that of the best)."""
    middle = median(x / y for x, y in zip(times[a], times[b], strict=True))
    return f"{middle:.2f} ({min(times[a]) / min(times[b]):.2f})"


def print_row(*cells):
    """A line of a table in Markdown."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_header(*cells):
    """The first two lines of one."""
    print_row(*cells)
    print_row(*["---"] * len(cells))
