"""The autograder for Gradescope, made from the solution.

    python -m course.autograder --out autograder.zip

``course/README.md`` says how to use it, and what a student's code can and cannot do there.
"""

import re

from course.archive import pack
from course.grader.student import MODULES
from course.sources import ROOT, files
from course.starter import make_starter, make_zip

# The course's own functions, with which the judge compares those of the students, and the judge.
FILES = (
    "layers.py", "conv.py", "fc_net.py", "normalization.py", "gradient_check.py", "support/*.py",
    "fast/*.py", "course/__init__.py", "course/parts.py", "course/grader/*.py",
    "course/starter_tests/*.py",
)  # fmt: skip
# Of it, what a student's process has too.
GIVEN = ("grader/wire.py", "grader/worker.py", "starter_tests/asked.py",
         "starter_tests/isolation.py")  # fmt: skip
SCRIPTS = ("setup.sh", "run_autograder")
LIBRARIES = ("numpy", "scipy", "matplotlib", "pandas", "tqdm")  # that functions may use


def make_autograder(root=ROOT):
    """Return the contents of the autograder, bytes by name.

    In the folder ``given`` lies what their processes have beside the files that students write.
    """
    contents = {name: (root / name).read_bytes() for name in files(root, FILES)}
    for name in SCRIPTS:
        script = (root / "course" / "grader" / name).read_bytes()
        contents[name] = script.replace(b"\r\n", b"\n")  # as Windows may check it out
    starter = make_starter(root)
    for name, content in starter.items():
        if re.fullmatch(r"(support/)?\w+\.py", name) and name not in (*MODULES, "conftest.py"):
            contents[f"given/{name}"] = content
    contents |= {f"given/course/{name}": contents[f"course/{name}"] for name in GIVEN}
    lines = starter["requirements.txt"].decode().splitlines(keepends=True)
    contents["requirements.txt"] = "".join(n for n in lines if n.startswith(LIBRARIES)).encode()
    return contents


def main(arguments=None):
    make_zip("autograder", lambda: pack(make_autograder(), SCRIPTS), arguments)


if __name__ == "__main__":
    main()
