"""Times several programs in one run so that their ratios hold on a machine whose speed drifts.

Every program lives in a process of its own (thread pools of two libraries in one process fight over
the cores), all processes run on the same two cores with two threads each, and they take turns: one
timed slice each, then a pause in which idle thread pools go to sleep, then the next round. What is
reported is the median over the rounds of a program's time, and of the ratio to another program's in
the same round.
"""

import multiprocessing
import os
import time
from statistics import median

THREADS = 2
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)


def _serve(connection, make, arguments, seconds):
    """Run in a process of its own: time slices of steps for as long as the parent asks."""
    step = make(*arguments)
    for _ in range(5):
        step()
    connection.send("ready")
    while connection.recv():
        step()  # wakes the thread pool up
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < seconds:
            step()
            count += 1
        connection.send((time.perf_counter() - start) / count)


def measure(programs, arguments=(), *, rounds=15, seconds=0.3, pause=0.25):
    """Time of one step of each program, round by round.

    Parameters
    ----------
    programs : dict of str to callable
        ``make(*arguments)`` returns the step, a callable without arguments. Both must be importable
        by name.
    arguments : tuple
    rounds : int, default 15
    seconds : float, default 0.3
        Length of a timed slice; it holds at least one step.
    pause : float, default 0.25
        Seconds of rest before a slice.

    Returns
    -------
    times : dict of str to list of float
        Seconds of one step, one number a round.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name, make in programs.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, make, arguments, seconds))
        process.start()
        workers[name] = ours, process
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


def ratio(times, a, b):
    """Median over the rounds of the time of a divided by the time of b."""
    return median(x / y for x, y in zip(times[a], times[b], strict=True))
