"""Grade a folder of hand-ins with the autograder's judge, without Gradescope.

    python -m course.grade FOLDER --out grades.csv

Each folder or zip file in FOLDER is the hand-in of the student of that name. The table has a row a
student and a column a part; what each is told stands in a text file in the folder ``grades`` beside
it. A command that was interrupted goes on where it stopped, and grades again what has changed.
"""

import argparse
import csv
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

from course.archive import pack
from course.autograder import make_autograder
from course.parts import PARTS
from support.files import atomic_write
from support.process import print_escaped

COLUMNS = [part.name for part in PARTS if part.points]
MAX_BYTES = 2**20  # of a file of a hand-in
MAX_FILES, MAX_DEPTH = 2000, 20
WARNING = """WARNING: you are not root, so students' code runs as you: it can read the solution, and
read and change your files. Grade as root, in a container of its own."""


def python_files(hand_in):
    """Yield the names and contents of a hand-in's Python files, but for links and large ones."""
    if hand_in.is_dir():
        for folder, folders, names in os.walk(hand_in):
            if len(Path(folder).relative_to(hand_in).parts) == MAX_DEPTH:
                folders.clear()
            for path in (Path(folder, name) for name in sorted(names) if name.endswith(".py")):
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_BYTES:
                    yield path.relative_to(hand_in), path.read_bytes()
        return
    with zipfile.ZipFile(hand_in) as archive:
        for member in archive.infolist():
            name = Path(member.filename)
            is_inside = not name.is_absolute() and ".." not in name.parts
            if name.suffix == ".py" and is_inside and member.file_size <= MAX_BYTES:
                yield name, archive.read(member)


def run_judge(files, judge, options):
    """Return Gradescope's results for the files of a hand-in; judge is the autograder's folder."""
    with tempfile.TemporaryDirectory(prefix="hand-in-") as folder:
        submission = Path(folder, "submission")
        submission.mkdir()
        for name, content in files:
            with suppress(OSError):  # a name that is too long, or that of a folder too
                (submission / name).parent.mkdir(parents=True, exist_ok=True)
                (submission / name).write_bytes(content)
        command = [sys.executable, "-B", "-m", "course.grader.judge", "--root", folder, *options]
        done = subprocess.run(command, cwd=judge, capture_output=True)
        if done.returncode:
            raise ValueError(f"the judge ended: {done.stderr.decode(errors='replace')[-300:]}")
        return json.loads(Path(folder, "results", "results.json").read_bytes())


def grade(hand_in, name, folder, judge, options):
    """Return a student's row; what is in the folder of feedback for this hand-in is taken as it is.

    judge is the autograder's folder.
    """
    path = folder / f"{name}.json"
    try:
        files = list(islice(python_files(hand_in), MAX_FILES))
        key = [(judge / "checksum").read_text(), options, sorted(map(repr, files))]
        key = hashlib.sha256(repr(key).encode(errors="replace")).hexdigest()
        results = json.loads(path.read_bytes()) if path.exists() else {}
        if results.get("key") != key:
            results = {**run_judge(files, judge, options), "key": key}
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
            name = os.fsencode(hand_in.name.removesuffix(".zip")).decode(errors="backslashreplace")
            twice = hand_in.suffix == ".zip" and hand_in.with_suffix("") in hand_ins
            name = f"{name} (zip)" if twice else name
            if len(name) > 60:  # so that it is short enough for a file
                name = f"{name[:50]} {hashlib.sha256(name.encode()).hexdigest()[:8]}"
            return grade(hand_in, name, feedback, Path(judge), options)

        with ThreadPoolExecutor(arguments.jobs) as pool:
            rows = list(pool.map(row, hand_ins))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["student", *COLUMNS, "total", "note"], *rows])
    _write(arguments.out, text.getvalue())
    print_escaped(f"{arguments.out}: {len(rows)} hand-ins")


if __name__ == "__main__":
    main()
