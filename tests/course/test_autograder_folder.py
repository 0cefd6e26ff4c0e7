"""python -m course.grade: a folder of hand-ins in one command."""

import csv
import io
import os
import subprocess
import sys
import zipfile

import pytest
from graded import POINTS, solution

from course import grade
from course.sources import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the judge")
FEW = ["fc_forward", "relu_forward"]
# Which are tried with -m slow only: they are like others.
SLOW = {"in a folder.zip", "outside.zip", "empty.zip", "half", "exits", "kills", "writes", "memory"}
SLOW |= {f"wrong {i}" for i in range(1, 8)}
LAYERS = [part for part in POINTS if "." not in part and "naive" not in part]


def zipped(files):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file.getvalue()


def wrong(name, body):
    return solution(layers=f"def {name}(*args):\n    {body}\n")


def hand_ins(contents):
    """Return thirty by name: files or the bytes of a zip file, and which parts have no points."""
    right, nothing = solution(), {name: contents[name] for name in solution()}
    deep = {"/".join(["a"] * 3000) + "/layers.py": "", **right}
    no_fc = ["fc_forward", "fc_backward"]
    cases = {
        "ada": (right, []), "bob.zip": (zipped(right), []),
        "in a folder.zip": (zipped({f"hw/{name}": right[name] for name in right}), []),
        "deep.zip": (zipped(deep), []), "outside.zip": (zipped({"../x.py": "", **right}), []),
        "\N{SNOWMAN} =1+1": (right, []), os.fsdecode(b"\xff"): (right, []),
        "a" * 200: (right, []), "starter": (nothing, POINTS), "bob": (nothing, POINTS),
        "empty": ({}, POINTS), "empty.zip": (zipped({}), POINTS),
        "no zip.zip": (b"nothing", POINTS),
        "notes": ({"notes.txt": "later"}, POINTS),
        "half": ({"layers.py": right["layers.py"]}, set(POINTS) - set(LAYERS)),
        "syntax": ({**right, "layers.py": "def"}, LAYERS),
        "hangs": (wrong("fc_forward", "while True: pass"), no_fc),
        "exits": (wrong("fc_forward", "import os; os._exit(0)"), no_fc),
        "forks": (wrong("fc_forward", "import os\n    while True: os.fork()"), no_fc),
        "kills": (wrong("fc_forward", "import os; os.kill(os.getppid(), 9); 1 / 0"), no_fc),
        "writes": (wrong("fc_forward", "open('/autograder/results', 'w')"), no_fc),
        "memory": (wrong("fc_forward", "np.ones(10**10)"), no_fc),
    }  # fmt: skip
    for i, name in enumerate(["relu", "tanh", "sigmoid", "fc"] * 2):
        lost = [f"{name}_forward", f"{name}_backward"]
        cases[f"wrong {i}"] = (wrong(lost[0], f"return {i}"), lost)
    return cases


@pytest.mark.parametrize("parts", [FEW, pytest.param([*POINTS], marks=pytest.mark.slow)], ids=len)
def test_a_folder_of_thirty_hand_ins(parts, tmp_path, contents, monkeypatch, capsys):
    cases = hand_ins(contents)
    assert len(cases) == 30
    if parts == FEW:
        cases = {name: case for name, case in cases.items() if name not in SLOW}
    for name, (files, _) in cases.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(files, bytes):
            path.write_bytes(files)
            continue
        path.mkdir()
        for file, text in files.items():
            (path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    out = tmp_path / "grades.csv"
    arguments = [str(tmp_path / "in"), "--out", str(out), "--seconds", "1.5", "--parts", *parts]
    command = [sys.executable, "-m", "course.grade", *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    text = out.read_bytes()
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    assert header == ["hand-in", *POINTS, "total", "note"]
    totals = {row[0]: float(row[-2]) for row in rows}
    total = sum(POINTS[part] for part in parts)
    lost = {name: sum(POINTS[p] for p in parts if p in c[1]) for name, c in cases.items()}
    lost["\\xff"] = lost.pop(os.fsdecode(b"\xff"))
    lost[next(name for name in totals if name.startswith("aaa"))] = lost.pop("a" * 200)
    expected = {name: total - points for name, points in lost.items()}
    assert totals == expected
    assert len(list((tmp_path / "grades").glob("*.txt"))) == len(cases)
    assert "relu_forward (layers.py): 0 of 3" in (tmp_path / "grades" / "wrong 0.txt").read_text()
    assert "BadZipFile" in (tmp_path / "grades" / "no zip.zip.txt").read_text()

    judged = []  # again: only what has changed, and what could not be read
    run_judge = grade.run_judge
    monkeypatch.setattr(grade, "run_judge", lambda *a: judged.append(1) or run_judge(*a))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    grade.main(arguments)
    assert (out.read_bytes(), judged) == (text, [])
    assert "WARNING: you are not root" in capsys.readouterr().err
    (tmp_path / "in" / "ada" / "layers.py").write_text("", encoding="utf-8")
    grade.main(arguments)
    assert judged == [1]
    assert out.read_bytes() != text
