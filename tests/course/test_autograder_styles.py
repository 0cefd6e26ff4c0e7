"""Right solutions in many styles have full marks, and the starter's tests are green."""

import pytest
from graded import POINTS, grade, lost_here
from styles import STYLES, styled


def styles(quick):
    """Return the numbers of the styles, of which those from quick on are tested with -m slow."""
    return [pytest.param(k, marks=pytest.mark.slow if k >= quick else ()) for k in range(STYLES)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("k", styles(3))
def test_right_styles_have_full_marks_and_green_tests(k, starter):
    files = styled(k)
    for part in POINTS:
        assert lost_here(part, files) == (0, "All checks passed."), part
        assert list(starter.failed(part, files)) == [], part


@pytest.mark.parametrize("k", styles(0))
def test_right_styles_have_full_marks_in_processes_of_their_own(k, graded_root):
    rows = grade(graded_root, styled(k))
    assert {name: row["score"] for name, row in rows.items()} == POINTS, rows
