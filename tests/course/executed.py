"""A small project with an executed notebook, which several test files hand in."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.document import WIDGET
from course.sources import RECORD, record
from data_utils import save_submission

LONG_LINE = "name = " + " + ".join(["another_name"] * 6) + "  #"
LONG_LINE = LONG_LINE.ljust(100, "x")


def make_project(root):
    """Write the project's files."""
    for name, text in {
        "layers.py": f'"""Layers."""\n\n{LONG_LINE}\n',
        "solver.py": "# nothing\n",
        "support/text.py": "# files\n",
        "leaderboard/recipes.csv": "recipe,seed\n",
        "tests/test_layers.py": "def test():\n    assert True\n",
        "tests/support/test_files.py": "# tests of files\n",
        "README.md": "# Read me\n",
        "requirements.txt": "numpy\n",
        "notes.db": "no source",
        "datasets/train.csv": "data",
        "__pycache__/layers.pyc": "cache",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    save_submission(root / "submission.csv", np.arange(20) % 10)
    nbformat.write(notebook(root), root / "starter_code.ipynb")


def notebook(root):
    plt.figure(figsize=(2, 1)).gca().plot([0, 1])
    plt.savefig(png := io.BytesIO())
    plt.close()
    picture = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "<Figure>"}
    columns = [f"rather wide column {i}" for i in range(12)]
    table = pd.DataFrame([[i + 0.25 for i in range(12)]], columns=columns).to_html(index=False)
    outputs = [
        [new_output("display_data", {"text/plain": "2 files", RECORD: record(root)})],
        [
            new_output("display_data", {"text/markdown": "~~~python\nlisted = 1\n~~~"}),
            new_output("stream", text="x has 3 ~ $5 *numbers*\n" + "0" * 500),
        ],
        [new_output("display_data", picture)],
        [
            new_output("stream", name="stderr", text="40%|####"),
            new_output("display_data", {WIDGET: {}, "text/plain": "60%|######"}),
            new_output("execute_result", {"text/html": table, "text/plain": "plain"}),
        ],
    ]
    cells = [
        new_markdown_cell("# Networks\n\nAn introduction."),
        new_markdown_cell(
            "# Problem 1\n\nFirst.\n\n## 1. A question\n\nSo $\\frac{a}{b} = \\sigma$."
        ),
        *[new_code_cell("print(x)", outputs=out) for out in outputs[:2]],
        new_markdown_cell("## 2. Another question\n\nAs follows:\n* one\n* two\n"),
        *[new_code_cell("plot(x)", outputs=out) for out in outputs[2:]],
    ]
    code = [cell for cell in cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    return new_notebook(cells=cells)
