"""The judge: grades a submission part by part and writes Gradescope's results.json.

    python -m course.grader.judge --root /autograder

This process never imports the student's code. For each part it draws inputs, has a process of the
student's answer (``student.py``), compares what comes back with what the course's own functions
return, and writes the scores. The inputs follow from the submitted files, so that the same
submission gets the same score again and another one gets other inputs.
"""

import argparse
import hashlib
import importlib
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path

from course.grader.hints import hint
from course.grader.student import Student, become_subreaper, find_code, scratch
from course.parts import PARTS
from course.starter_tests.asked import Code, Wrong, ask
from course.starter_tests.questions import CHECKS, generator
from support.files import atomic_write

SECONDS = 20.0  # for a part
LONGEST = 4000  # characters of a part's output
SHARE = 0.2  # of the points of a part, for each check but the first
COURSE = Code(importlib.import_module)


def lost(part, code, seed):
    """Return the number of checks of a part that code fails, None if the first, and what is said.

    code answers questions, as `Code` does.
    """
    texts = []
    for number, check in enumerate(CHECKS[part]):
        try:
            ask(check, code, COURSE, generator(part, number, seed), COURSE.function)
        except Wrong as error:
            texts.append(f"{part}, {error}{hint(error, COURSE)}")
        except Exception as error:
            # Values of kinds that no check expects, which only the student's side can send;
            # or the judge's own fault, which the instructor sees in Gradescope's record.
            traceback.print_exc(file=sys.stdout)
            texts.append(f"{part}: what it returned makes no sense ({type(error).__name__})")
        if number == 0 and texts:
            return None, texts[0]
    return len(texts), "\n".join(texts) or "All checks passed."


def grade(part, folder, uid, seed, seconds):
    """Return the score of a part, and what the student is told; folder and uid as in `scratch`."""
    if not (folder / "student" / part.file).is_file():
        return 0.0, f"{part.file} is not in the submission."
    with Student(folder, uid, seconds, is_network=part.file == "fc_net.py") as code:
        number, text = lost(part.name, code, seed)
    score = 0.0 if number is None else part.points * (1 - SHARE * number)
    return round(score, 2), text


def seed_of(folder):
    """Return a number that follows from the files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(os.fsencode(path.name) + b"\0" + path.read_bytes())
    return int.from_bytes(digest.digest()[:8], "little")


def write_results(root, results):
    """Write results.json whole, in place of whatever lies there."""
    path = root / "results" / "results.json"
    path.parent.mkdir(exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    with atomic_write(path, "w") as file:
        json.dump(results, file, indent=1)


def as_row(i, score, output):
    """A row of Gradescope's results, for a part by its index."""
    part = PARTS[i]
    return {
        "number": str(i + 1), "name": f"{part.name} ({part.file})", "score": score,
        "max_score": part.points, "output": printable(output), "visibility": part.visibility,
    }  # fmt: skip


def printable(text):
    """Return a text that every reader of JSON takes: no zeros, no half characters, not too long."""
    text = text if len(text) <= LONGEST else text[:LONGEST] + " ..."
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


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
    folders = find_code(root / "submission") or [root / "submission"]
    with scratch(folders[0], arguments.same_user) as (folder, uid):
        seed = seed_of(folder / "student")
        for row, i in enumerate(numbers):
            tests[row] = as_row(i, *grade(PARTS[i], folder, uid, seed, arguments.seconds))
    seconds = time.monotonic() - start
    total = sum(row["score"] for row in tests)
    output = f"{total:g} of {sum(row['max_score'] for row in tests)} points."
    if len(folders) > 1:
        names = [str(folder.relative_to(root / "submission")) for folder in folders]
        output += printable(f" Graded is the folder {names[0]}, not {', '.join(names[1:])}.")
    write_results(root, {"tests": tests, "output": output, "execution_time": round(seconds, 1)})
    print(f"{output} {seconds:.1f} seconds.")


if __name__ == "__main__":
    sys.exit(main())
