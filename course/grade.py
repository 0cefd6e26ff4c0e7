"""Grade a folder of hand-ins with the autograder's judge, without Gradescope.

    python -m course.grade FOLDER --out grades.csv

Each folder or zip file in FOLDER is a hand-in. The table has a row for each and a column a part;
what the student is told stands in a text file in the folder ``grades`` beside it. A command that
was interrupted goes on where it stopped, and grades again what has changed.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pandas as pd

from course.archive import pack
from course.autograder import make_autograder
from course.grader.student import MAX_BYTES, MAX_DEPTH, copy_code, find_code
from course.parts import PARTS
from support.files import atomic_write
from support.process import print_escaped

COLUMNS = [part.name for part in PARTS if part.points]
MAX_FILES = 2000  # of a zip file
WARNING = """WARNING: you are not root, so students' code runs as you: it can read the solution, and
read and change your files. Grade as root, in a container of its own."""


def _is_code(member):
    is_deep = member.filename.count("/") > MAX_DEPTH
    return member.filename.endswith(".py") and member.file_size <= MAX_BYTES and not is_deep


def copy_hand_in(hand_in, to):
    """Copy the folders of a hand-in, or of its zip file, that hold code of a student."""
    with tempfile.TemporaryDirectory(prefix="zip-") as folder:
        if hand_in.is_file():
            with zipfile.ZipFile(hand_in) as archive:
                for member in islice(filter(_is_code, archive.infolist()), MAX_FILES):
                    with suppress(OSError):  # a name that is too long, or that of a folder too
                        archive.extract(member, folder)
            hand_in = Path(folder)
        to.mkdir()
        for code in find_code(hand_in):
            (to / code.relative_to(hand_in)).mkdir(parents=True, exist_ok=True)
            copy_code(code, to / code.relative_to(hand_in))


def run_judge(root, judge, options):
    """Return Gradescope's results for the submission in root; judge is the autograder's folder."""
    command = [sys.executable, "-B", "-m", "course.grader.judge", "--root", str(root), *options]
    done = subprocess.run(command, cwd=judge, capture_output=True)
    if done.returncode:
        raise ValueError(f"the judge ended: {done.stderr.decode(errors='replace')[-300:]}")
    return json.loads((root / "results" / "results.json").read_bytes())


def grade(hand_in, name, folder, judge, options):
    """Return a row of the table; what the folder of feedback has of this hand-in is taken as it is.

    judge is the autograder's folder.
    """
    path = folder / f"{name}.json"
    with tempfile.TemporaryDirectory(prefix="hand-in-") as root:
        try:
            copy_hand_in(hand_in, submission := Path(root, "submission"))
            files = sorted(p for p in submission.rglob("*.py"))
            code = [(str(p.relative_to(submission)), p.read_bytes()) for p in files]
            key = repr([(judge / "checksum").read_text(), options, code])
            key = hashlib.sha256(key.encode(errors="replace")).hexdigest()
            results = json.loads(path.read_bytes()) if path.exists() else {}
            if results.get("key") != key:
                results = {**run_judge(Path(root), judge, options), "key": key}
        except Exception as error:  # one bad hand-in stops no other
            results = {"output": f"Not graded: {type(error).__name__}: {error}", "tests": []}
    rows = results["tests"]
    told = [f"{r['name']}: {r['score']:g} of {r['max_score']}\n{r['output']}" for r in rows]
    _write(path, json.dumps(results))
    _write(path.with_suffix(".txt"), "\n\n".join([results["output"], *told]) + "\n")
    print_escaped(f"{name}: {results['output']}")
    scores = {row["name"].split(" (")[0]: row["score"] for row in rows}
    total = round(sum(scores.values()), 2)
    return [name, *(scores.get(part, "") for part in COLUMNS), total, results["output"]]


def _write(path, text):
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Grade a folder of hand-ins.")
    parser.add_argument("folder", type=Path, help="with a folder or a zip file for each student")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="table (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="hand-ins at once (%(default)s)")
    parser.epilog = "Other options go to the judge: --seconds of a part, --parts to grade."
    arguments, options = parser.parse_known_args(arguments)
    if not hasattr(os, "getuid") or os.getuid():
        print(WARNING, file=sys.stderr)
    found = sorted(arguments.folder.iterdir())
    hand_ins = [p for p in found if p.is_dir() or (p.suffix == ".zip" and p.is_file())]
    feedback = arguments.out.with_suffix("")
    feedback.mkdir(exist_ok=True)
    packed = pack(make_autograder())
    with tempfile.TemporaryDirectory(prefix="judge-") as judge:
        zipfile.ZipFile(io.BytesIO(packed)).extractall(judge)
        Path(judge, "checksum").write_text(hashlib.sha256(packed).hexdigest())

        def row(hand_in):
            name = os.fsencode(hand_in.name).decode(errors="backslashreplace")
            if len(name) > 60:  # so that it is short enough for a file
                name = f"{name[:50]} {hashlib.sha256(name.encode()).hexdigest()[:8]}"
            return grade(hand_in, name, feedback, Path(judge), options)

        with ThreadPoolExecutor(arguments.jobs) as pool:
            rows = list(pool.map(row, hand_ins))
    table = pd.DataFrame(rows, columns=["hand-in", *COLUMNS, "total", "note"])
    _write(arguments.out, table.to_csv(index=False))
    print_escaped(f"{arguments.out}: {len(rows)} hand-ins")


if __name__ == "__main__":
    main()
