"""The autograder for Gradescope, made from the solution.

    python -m course.autograder --out autograder.zip

``course/README.md`` says how to use it, and what a student's code can and cannot do there.
"""

import argparse
import ast

from course.archive import pack, save
from course.sources import ROOT, files

FILES = ("course/__init__.py", "course/parts.py", "course/grader/*.py", "support/*.py", "fast/*.py")
# The course's own functions, with which the judge compares those of the students.
MODULES = ("layers.py", "conv.py", "fc_net.py", "gradient_check.py")
SCRIPTS = ("setup.sh", "run_autograder")
REQUIREMENTS = ("numpy",)  # all that these files need


def make_autograder(root=ROOT):
    """The contents of the autograder, bytes by name."""
    names = [*files(root, FILES), *_with_imports(root, MODULES)]
    contents = {name: (root / name).read_bytes() for name in names}
    for name in SCRIPTS:
        contents[name] = (root / "course" / "grader" / name).read_bytes()
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    needed = [line for line in lines if line.startswith(REQUIREMENTS)]
    contents["requirements.txt"] = "".join(needed).encode("utf-8")
    return contents


def _with_imports(root, modules):
    """Modules at the top of the project, and all there that they import."""
    found = list(modules)
    for name in found:  # which grows
        for node in ast.walk(ast.parse((root / name).read_bytes())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                imported = [node.module]
            new = (f"{module}.py" for module in imported)
            found += [n for n in new if n not in found and (root / n).is_file()]
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Make the autograder for Gradescope.")
    parser.add_argument("--out", default="autograder.zip", help="file (default: %(default)s)")
    out = parser.parse_args(arguments).out
    save("autograder", out, lambda: pack(make_autograder(), SCRIPTS))


if __name__ == "__main__":
    main()
