"""The committed notebook: executed from top to bottom, in order, without an error."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "starter_code.ipynb"


@pytest.fixture(scope="module")
def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_executed_in_order(code_cells):
    assert [cell["execution_count"] for cell in code_cells] == list(range(1, len(code_cells) + 1))


def test_no_errors_and_no_leftovers(code_cells):
    for cell in code_cells:
        assert "".join(cell["source"]).strip()
        for output in cell["outputs"]:
            assert output["output_type"] != "error", output
            assert output.get("name") != "stderr", output


def test_gradient_checks_are_printed_and_pass(code_cells):
    printed = [json.dumps(cell["outputs"]) for cell in code_cells if "check_" in json.dumps(cell)]
    assert sum("pass" in text for text in printed) >= 5
    assert not any("FAIL" in text for text in printed)
