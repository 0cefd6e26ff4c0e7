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
DIAGONAL = np.eye(9)


def make_project(root):
    """Write the project's files."""
    texts = {"layers.py": f'"""Layers."""\n\n{LONG_LINE}\n', "solver.py": "# nothing\n"}
    others = """support/text.py leaderboard/recipes.csv tests/test_layers.py README.md
                tests/support/test_files.py tests/course/styles.txt requirements.txt notes.db
                datasets/train.csv __pycache__/layers.pyc"""
    for name, text in (dict.fromkeys(others.split(), "any text") | texts).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    save_submission(root / "submission.csv", np.arange(20) % 10)
    nbformat.write(notebook(root), root / "starter_code.ipynb")


def picture(form, pixels=DIAGONAL):
    """A picture as a file of that form, in base64."""
    plt.imsave(file := io.BytesIO(), pixels, format=form)
    return base64.b64encode(file.getvalue()).decode()


def marks(page):
    """The texts and pictures of a page of a PDF: x and y where they begin, sizes of the texts."""
    found = []

    def text(text, cm, tm, font, size):
        if text.strip():
            place = tm[4] * cm[0] + cm[4], tm[5] * cm[3] + cm[5]
            found.append((*place, abs(size * tm[3] * cm[3])))

    def operation(name, operands, cm, tm):
        if name == b"Do":
            found.append((cm[4], min(cm[5], cm[5] + cm[3]), np.inf))

    page.extract_text(visitor_text=text, visitor_operand_before=operation)
    return found


def code(source, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def notebook(root):
    """A notebook that has run there, from top to bottom."""
    columns = [f"rather wide column {i}" for i in range(12)]
    table = pd.DataFrame([[i + 0.25 for i in range(12)]], columns=columns).to_html(index=False)
    cells = [
        new_markdown_cell("# Networks\n\nAn introduction."),
        new_markdown_cell("# Problem 1\n\nFirst.\n\n## 1. A question\n\nSo $\\frac{a}{b} = c$."),
        code("print(x)"),
        code(
            "print(x)",
            new_output("display_data", {"text/markdown": "~~~python\nlisted = 1\n~~~"}),
            new_output("stream", text="x has 3 ~ $5 *numbers*\n" + "0" * 500),
        ),
        new_markdown_cell("## 2. Another question\n\nAs follows:\n* one\n* two\n"),
        code("plot(x)", new_output("display_data", {"image/png": picture("png")})),
        code(
            "plot(x)",
            new_output("stream", name="stderr", text="40%|####"),
            new_output("display_data", {WIDGET: {}, "text/plain": "60%|######"}),
            new_output("display_data", {"text/html": table, "text/plain": "plain"}),
        ),
    ]
    ran = [cell for cell in cells if cell.cell_type == "code"]
    for number, cell in enumerate(ran, start=1):
        cell.execution_count = number
    recorded = {"text/plain": "2 files", RECORD: record(root, [cell.source for cell in ran])}
    ran[0].outputs = [new_output("display_data", recorded)]
    return new_notebook(cells=cells)
