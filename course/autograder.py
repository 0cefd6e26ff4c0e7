"""The autograder for Gradescope, made from the solution.

    python -m course.autograder --out autograder.zip

``course/README.md`` says how to use it, and what a student's code can and cannot do there.
"""

import argparse

from course.archive import pack, save
from course.sources import ROOT, files

# The judge, and the course's own functions, with which it compares those of the students.
FILES = (
    "course/__init__.py", "course/parts.py", "course/grader/*.py", "support/*.py",
    "layers.py", "conv.py", "fc_net.py", "gradient_check.py",
)  # fmt: skip
SCRIPTS = ("setup.sh", "run_autograder")
REQUIREMENTS = ("numpy",)  # all that these files need


def make_autograder(root=ROOT):
    """The contents of the autograder, bytes by name."""
    contents = {name: (root / name).read_bytes() for name in files(root, FILES)}
    for name in SCRIPTS:
        contents[name] = (root / "course" / "grader" / name).read_bytes()
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    needed = [line for line in lines if line.startswith(REQUIREMENTS)]
    contents["requirements.txt"] = "".join(needed).encode("utf-8")
    return contents


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the autograder for Gradescope.")
    parser.add_argument("--out", default="autograder.zip", help="file (default: %(default)s)")
    out = parser.parse_args(arguments).out
    save("autograder", out, lambda: pack(make_autograder(), SCRIPTS))


if __name__ == "__main__":
    main()
