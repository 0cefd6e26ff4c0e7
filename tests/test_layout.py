"""The layout: imports point one way, nothing heavy is loaded in passing, no source is left out."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course.sources import ARCHIVE, REPORTED, SOURCES, checksums, files

ROOT = Path(__file__).parent.parent
TOP = sorted(path.stem for path in ROOT.glob("*.py"))
BELOW = {"support", *TOP}
DRAWERS = {"support": set(), "fast": BELOW, "leaderboard": {*BELOW, "fast"}, "course": BELOW}
OURS = {*TOP, *DRAWERS}
# What the assignment is made of: NumPy and the standard library do all of it.
MATHEMATICS = ["layers", "normalization", "conv", "fast/winograd", "fc_net", "conv_net", "optim",
               "gradient_check"]  # fmt: skip
HEAVY = ["tqdm", "pandas", "scipy", "matplotlib", "pooch", "optuna", "threadpoolctl"]
# Requirements that are called otherwise, and those that nothing imports and the notebook runs in.
CALLED = {"pypandoc-binary": "pypandoc", "jupyterlab": "lab", "pytest-xdist": "pytest"}
RUNS_IN = {"ipykernel", "ipywidgets"}
COMMANDS = ROOT / "README.md", ROOT / ".ci" / "run"


def imported(path):
    """The first parts of the names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return names


def test_imports_point_downwards():
    for name in TOP:
        assert imported(ROOT / f"{name}.py") & set(DRAWERS) <= {"support", "fast"}, name
    for drawer, below in DRAWERS.items():
        for path in (ROOT / drawer).rglob("*.py"):
            assert imported(path) & OURS <= below | {drawer}, path
    for name in MATHEMATICS:
        others = imported(ROOT / f"{name}.py") - OURS
        assert others <= {"numpy", *sys.stdlib_module_names}, name


@pytest.mark.skipif(not COMMANDS[1].exists(), reason="it is not in the hand-in's archive")
def test_each_requirement_is_imported_or_a_command():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    commands = "\n".join(path.read_text(encoding="utf-8") for path in COMMANDS)
    used = {*RUNS_IN, *re.findall(r"\.venv/bin/(?:jupyter )?(\w+)", commands)}
    used = used.union(*(imported(ROOT / name) for name in files(ROOT, SOURCES)))
    for name in re.findall(r"(?m)^[\w-]+", lines):
        assert CALLED.get(name, name) in used, name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("conv_net, solver", HEAVY), ("leaderboard.recipes", ["optuna", "matplotlib"]),
     ("data_utils", ["pooch", "pandas", "scipy", "matplotlib", "optuna"]),
     ("course.sources", ["pypandoc", "typst", "nbformat", "optuna"]),
     ("course.grader.judge", ["tqdm", "pandas", "matplotlib", "nbformat", "optuna"])],
)  # fmt: skip
def test_light_modules_load_nothing_heavy(module, heavy):
    code = f"import sys, {module}; print(*(set(sys.modules) & set({heavy})))"
    out = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert out.split() == []


def test_no_source_is_missed_by_the_appendix_the_archive_and_the_record():
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    sources = {p.as_posix() for p in paths if not any(part.startswith(".") for part in p.parts)}
    assert set(files(ROOT, SOURCES)) == sources
    assert sources <= set(files(ROOT, ARCHIVE))
    apart = ("course/", "tests/", "benchmarks/", "datasets/")  # the notebook reports on none of it
    reported = {name for name in sources if not name.startswith(apart)}
    assert set(checksums(ROOT)) == reported | set(files(ROOT, REPORTED[-1:]))
