"""The judge: grades a submission part by part and writes Gradescope's results.json.

    python -m course.grader.judge --root /autograder

This process never imports the student's code. For each part it draws inputs, has a process of the
student's answer (``student.py``), compares what comes back with what the course's own functions
return, and writes the scores. The inputs follow from the submitted files, so that the same
submission gets the same score again and another one gets other inputs.
"""

import argparse
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import layers
from course.grader import layer_checks, net_checks
from course.grader.layer_checks import CONV, FC, POOL, RELU, SIGMOID, TANH
from course.grader.student import (
    MODULES,
    CodeError,
    Scratch,
    Student,
    become_subreaper,
    find_code,
)
from course.parts import PARTS

SECONDS = 20.0  # for a part
LONGEST = 4000  # characters of a part's output
FAST = ("conv_forward", "conv_backward", "max_pool_forward", "max_pool_backward")
COURSE_LAYERS = {
    f"layers.{name}": function
    for name, function in vars(layers).items()
    if callable(function) and getattr(function, "__module__", "") == "layers" and name[0] != "_"
}


def unchanged(student, rng):
    """No input is changed in place."""
    if changed := student("changed"):
        raise CodeError(f"changes {', '.join(map(str, changed))} in place: others still need it")


def pair_checks(layer, forward=(), backward=()):
    """The checks of both functions of a layer; the first of each decides whether it has points."""

    def dtype(is_backward):
        return lambda student, rng: layer.check_dtype(student, rng, backward=is_backward)

    return {
        layer.names[0]: [layer.check_forward, *forward, dtype(False)],
        layer.names[1]: [layer.check_backward, *backward, dtype(True)],
    }


# By part: what is checked. The first check is for the values and has most of the points; each of
# the others, and that no input is changed, has SHARE of them and none without the first.
CHECKS = {
    **pair_checks(FC, backward=[FC.check_need_dx]),
    **pair_checks(RELU),
    **pair_checks(SIGMOID, forward=[SIGMOID.check_extremes]),
    **pair_checks(TANH, forward=[TANH.check_extremes]),
    "softmax_loss": [
        layer_checks.softmax_values, layer_checks.softmax_extremes, layer_checks.softmax_dtype,
    ],
    "FullyConnectedNet.__init__": [net_checks.constructor_layers, net_checks.constructor_weights],
    "Network.forward": [net_checks.forward_values, net_checks.forward_pixels],
    "Network.backward": [net_checks.backward_values, net_checks.backward_dx],
    "Network.loss": [net_checks.loss_values, net_checks.loss_training],
    **pair_checks(CONV, backward=[CONV.check_need_dx]),
    **pair_checks(POOL, backward=[POOL.check_ties]),
}  # fmt: skip
SHARE = 0.2


def grade(part, scratch, seed, seconds):
    """The score of a part, and what the student is told."""
    if not (scratch.student / part.file).is_file():
        return 0.0, f"{part.file} is not in the submission."
    checks = [*CHECKS[part.name], unchanged]
    is_net = part.file == "fc_net.py"
    functions = dict(COURSE_LAYERS) if is_net else {}
    names = [name.partition(".")[2] for name in functions]
    rng = np.random.default_rng([seed, *part.name.encode()])
    lost = []
    refused = FAST if part.file == "conv.py" else ()
    with Student(scratch, seconds, functions, names, refused) as code:
        for number, check in enumerate(checks):
            try:
                check(code, rng)
            except CodeError as error:
                lost.append(f"{part.name}: {error}")
            except Exception as error:
                # Values of kinds that no check expects, which only the student's side can send;
                # or the judge's own fault, which the instructor sees in Gradescope's record.
                traceback.print_exc(file=sys.stdout)
                kind = type(error).__name__
                lost.append(f"{part.name}: what it returned makes no sense ({kind})")
            if number == 0 and lost:
                return 0.0, lost[0]
    score = round(part.points * max(0.0, 1 - SHARE * len(lost)), 2)
    return score, "\n".join(lost) or "All checks passed."


def seed_of(scratch):
    """A number that follows from the submitted files."""
    digest = hashlib.sha256()
    for path in sorted(scratch.student.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:8], "little")


def write_results(root, results):
    """Write results.json whole, over whatever lies there."""
    folder = root / "results"
    folder.mkdir(exist_ok=True)
    path = folder / "results.json"
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    os.replace(temporary, path)


def as_row(i, score, output):
    """A row of Gradescope's results, for a part by its index."""
    part = PARTS[i]
    output = output if len(output) <= LONGEST else output[:LONGEST] + " ..."
    return {
        "number": str(i + 1), "name": f"{part.name} ({part.file})", "score": score,
        "max_score": part.points, "output": output, "visibility": "visible",
    }  # fmt: skip


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Grade a submission as Gradescope asks for it.")
    root = "folder with submission and results (default: %(default)s)"
    same = "as root, run the student's code as root too: for trials only"
    parser.add_argument("--root", type=Path, default=Path("/autograder"), help=root)
    parser.add_argument("--parts", nargs="+", metavar="PART", help="grade only these")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for a part (%(default)s)")
    parser.add_argument("--same-user", action="store_true", help=same)
    arguments = parser.parse_args(arguments)
    chosen = arguments.parts or [part.name for part in PARTS]
    numbers = [i for i, part in enumerate(PARTS) if part.points and part.name in chosen]
    start = time.monotonic()
    root = arguments.root.resolve()
    tests = [as_row(i, 0.0, "The grading did not get here.") for i in numbers]
    write_results(root, {"tests": tests, "output": "The autograder did not finish."})
    become_subreaper()
    os.umask(0o077)
    submission = root / "submission"
    if not any((find_code(submission) / name).is_file() for name in MODULES):
        missing = f"None of {', '.join(MODULES)} is in the submission."
        write_results(root, {"tests": tests, "output": missing})
        return
    with Scratch(submission, arguments.same_user) as scratch:
        seed = seed_of(scratch)
        for row, i in enumerate(numbers):
            tests[row] = as_row(i, *grade(PARTS[i], scratch, seed, arguments.seconds))
    seconds = time.monotonic() - start
    total = sum(row["score"] for row in tests)
    output = f"{total:g} of {sum(row['max_score'] for row in tests)} points."
    write_results(root, {"tests": tests, "output": output, "execution_time": round(seconds, 1)})
    print(f"{output} {seconds:.1f} seconds.")


if __name__ == "__main__":
    sys.exit(main())
