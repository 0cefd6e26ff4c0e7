"""Grading: as Gradescope does it, in a folder laid out like its own; and here, in this process."""

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest

from course.grader import judge
from course.grader.student import MODULES, UIDS
from course.parts import PARTS
from course.sources import ROOT
from course.starter_tests.asked import Code, Wrong, in_words
from course.starter_tests.isolation import pack as pack_values
from course.starter_tests.isolation import unpack

POINTS = {part.name: part.points for part in PARTS if part.points}


def sections(name):
    """Return the sections of a text file, which begin with their names in brackets."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return dict(re.findall(r"^\[([\w.]+)\]\n(.*?)\n\n(?=\[|\Z)", text, re.M | re.S))


def lay_out(root, packed):
    """Make a folder as Gradescope lays it out for a submission, without one."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, root / "source"))
            path.chmod(member.external_attr >> 16 & 0o777)
    shutil.copy(root / "source" / "run_autograder", root)
    (root / "results").mkdir()
    (root / "submission").mkdir()


def solution(**added):
    """Return the files of the solution, with code at the end of some: ``layers="..."``."""
    return {
        name: (ROOT / name).read_text(encoding="utf-8") + "\n" + added.pop(name[:-3], "")
        for name in MODULES
    }


def grade(root, files, *arguments):
    """Grade a submission, texts or bytes by name, in a folder that is laid out: rows by part."""
    shutil.rmtree(root / "submission")
    for name, text in files.items():
        path = root / "submission" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rows(run(root, *arguments))


def rows(results):
    return {row["name"].split(" (")[0]: row for row in results["tests"]}


def run(root, *arguments):
    """Return what run_autograder writes to results.json."""
    paths = {"AUTOGRADER_ROOT": str(root), "AUTOGRADER_PYTHON": sys.executable, "TMPDIR": str(root)}
    command = [str(root / "run_autograder"), *arguments]
    subprocess.run(command, cwd=root, env={**os.environ, **paths}, check=True, timeout=300)
    return json.loads((root / "results" / "results.json").read_bytes())


def processes_of_students(root):
    """Return the processes of users that the judge of this root makes up for students."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid in UIDS and os.readlink(path / "cwd").startswith(str(root)):
                found.append(path.name)
    return found


compiled = lru_cache(compile)


def importer(files):
    """Return a function that makes modules of texts, each once."""
    modules = {}

    def load(name):
        if name not in modules:
            modules[name] = ModuleType(name)
            exec(compiled(files[f"{name}.py"], f"{name}.py", "exec"), vars(modules[name]))
        return modules[name]

    return load


def lost_here(part, files, seed=0):
    """Return how many checks a part fails, None if the first, and what is said of it.

    The judge runs here, without another process; questions and answers are packed all the same.
    """
    code = Code(importer(files))

    def answer(*question):
        try:
            return unpack(pack_values(code(*unpack(pack_values(question)))))
        except Exception as error:
            raise Wrong(in_words(error)) from error

    return judge.lost(part, answer, seed)


class Starter:
    """The tests that students get, for files of theirs, in this process."""

    def __init__(self, folder, starter):
        for name in ("asked.py", "isolation.py", "questions.py", "test_asked.py"):
            (folder / name).write_bytes(starter[f"tests/{name}"])
        (folder / "expected.json.gz").write_bytes(starter["tests/expected.json.gz"])
        sys.path.insert(0, str(folder))
        self.tests = importlib.import_module("test_asked")
        sys.path.remove(str(folder))

    def failed(self, part, files):
        """Yield the names of the checks of a part that fail."""
        load = importer(files)
        for number, check in enumerate(self.tests.CHECKS[part]):
            with pytest.MonkeyPatch.context() as patch:
                self.tests.isolate(patch)
                try:
                    for name in MODULES:  # layers first, which fc_net imports
                        patch.setitem(sys.modules, name[:-3], load(name[:-3]))
                    self.tests.test_asked(part, number)
                except (Exception, pytest.fail.Exception):
                    yield check.name
