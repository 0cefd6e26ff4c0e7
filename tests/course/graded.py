"""Grading as Gradescope does it, in a folder laid out like its own."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

from course.archive import pack
from course.autograder import SCRIPTS, make_autograder
from course.grader.student import MODULES, UIDS
from course.sources import ROOT


def lay_out(root):
    """A folder as Gradescope lays it out for a submission, without one."""
    with zipfile.ZipFile(io.BytesIO(pack(make_autograder(), SCRIPTS))) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, root / "source"))
            path.chmod(member.external_attr >> 16 & 0o777)
    shutil.copy(root / "source" / "run_autograder", root)
    (root / "results").mkdir()
    (root / "submission").mkdir()


def solution(**added):
    """The files of the solution, with code at the end of some: ``layers="..."``."""
    return {
        name: (ROOT / name).read_text(encoding="utf-8") + "\n" + added.pop(name[:-3], "")
        for name in MODULES
    }


def grade(root, files, *arguments):
    """Grade a submission, texts by name, in a folder that is laid out: its rows by part."""
    shutil.rmtree(root / "submission")
    (root / "submission").mkdir()
    for name, text in files.items():
        (root / "submission" / name).write_text(text, encoding="utf-8")
    results = run(root, *arguments)
    return {row["name"].split(" (")[0]: row for row in results["tests"]}


def run(root, *arguments):
    """What run_autograder writes to results.json."""
    environment = {**os.environ, "AUTOGRADER_ROOT": str(root), "AUTOGRADER_PYTHON": sys.executable}
    command = [str(root / "run_autograder"), *arguments]
    subprocess.run(command, cwd=root, env=environment, check=True, timeout=300)
    return json.loads((root / "results" / "results.json").read_bytes())


def processes_of_students():
    """Ids of processes of the users that the judge makes up for students."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid in UIDS:
                found.append(path.name)
    return found
