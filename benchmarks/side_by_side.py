"""Time several programs in one run, so that their ratios hold on a machine whose speed drifts.

Every program lives in a process of its own, as thread pools of two libraries in one process fight
over the cores. All processes run on the same cores with as many threads. They take turns: one timed
slice each, then a pause in which idle thread pools go to sleep, then the next round. Reported are
the median over the rounds of a program's time, and that of its ratio to another program's: a slice
that something else disturbed decides neither.

A program is a callable that can be imported by name; it prepares its data and returns the step that
is timed, a callable without arguments. It imports its own library, so that no other process has it.
"""

import argparse
import multiprocessing
import os
import platform
import sys
import time
from importlib.metadata import version
from itertools import chain
from operator import truediv
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_info

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that the benchmarks find the project's modules
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
UNITS = {"s": 1.0, "ms": 1e3}


def parse_arguments(description):
    """Return the numbers of threads and the rounds that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("threads", nargs="*", type=int, default=[1, 2], help="default: 1 2")
    parser.add_argument("--rounds", type=int, help="of every table; 1 only shows that it runs")
    return parser.parse_args()


def print_machine(*packages):
    """Print the processor, the BLAS kernel that NumPy's products run on, and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    print(f"Processor: {names[0] if names else platform.processor()}, {os.cpu_count()} cores")
    versions = (f"{package} {version(package)}" for package in ("numpy", *packages))
    print(f"Python {platform.python_version()}", *versions, sep=", ")
    for library in threadpool_info():
        if library["user_api"] == "blas":
            kernel, threads = library.get("architecture", "unknown"), library["num_threads"]
            print(f"BLAS: {library['internal_api']} {library['version']}, kernel {kernel}", end="")
            print(f", {threads} threads by default")
    if "OPENBLAS_CORETYPE" in os.environ:
        print("WARNING: OPENBLAS_CORETYPE is set, so NumPy's products may run below their speed")


def threads_here():
    """Return the number of threads of the program in this process."""
    return int(os.environ[VARIABLES[0]])


def print_table(title, columns, rows):
    """Print a table in Markdown, each row as soon as it is there."""
    print(f"\n{title}\n")
    for row in chain([columns, ["---"] * len(columns)], rows):
        cells = (f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def compare(title, cases, programs, ratios, num_threads, *, unit="ms", **measuring):
    """Print a table for each number of threads: times of programs, then ratios (a, b) of two.

    ``cases`` maps the label of a row to the arguments of the programs; ``measuring`` is for
    `measure`.
    """

    def rows(threads):
        for label, arguments in cases.items():
            times = measure(programs, arguments, threads=threads, **measuring)
            yield (
                label,
                *(UNITS[unit] * median(slices) for slices in times.values()),
                *(median(map(truediv, times[a], times[b])) for a, b in ratios),
            )

    columns = (f"{name}, {unit}" for name in programs)
    columns = ["", *columns, *(f"{a} / {b}" for a, b in ratios)]
    for threads in num_threads:
        print_table(f"{title}, threads: {threads}", columns, rows(threads))


def measure(programs, arguments, *, threads, rounds, seconds=0.3, pause=0.25, warm_up=1):
    """Return the seconds of a step of each program, a list with one number a round.

    A timed slice lasts ``seconds`` and holds at least one step. Before it come a ``pause`` and
    ``warm_up`` steps that are not timed, before the first slice five times as many.
    """
    os.environ.update(dict.fromkeys(VARIABLES, str(threads)))  # which the processes inherit
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        os.sched_setaffinity(0, cores[:threads])
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name, make in programs.items():
        ours, theirs = context.Pipe()
        task = theirs, make, arguments, seconds, warm_up
        process = context.Process(target=_serve, args=task, daemon=True)
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


def _serve(connection, make, arguments, seconds, warm_up):
    """Time slices of steps, in a process of its own, for as long as the parent asks."""
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
