"""Writing and reading the submission CSV."""

import numpy as np
import pytest

from data_utils import read_submission, save_submission

HEADER = b"Id,Category\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "submission.csv"


def test_submission_round_trip(path):
    for header, kind in (("Id,Category", list), ("ImageId,Label", np.uint8)):
        save_submission(path, kind([7, 0, 9]), header=header, num_images=3)
        assert path.read_bytes() == f"{header}\n1,7\n2,0\n3,9\n".encode()
        labels = read_submission(path, 3)
        assert (labels.dtype, labels.tolist()) == (np.int64, [7, 0, 9])


REFUSED = {
    "predictions": [[], [[1], [2]], 3, None, [0, 10], [0, -1], [1.0], [True], ["1"], [None]],
    **{"path": [None, 1], "header": ["id,label", ["Id,Category"], None]},
    **{"num_images": [-1, "3", 3.0], "num_classes": [0, "10", None]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, path):
    options = {"path": path, "predictions": [1, 2, 3]}
    for value in REFUSED[name]:
        with pytest.raises((TypeError, ValueError), match=f": {name} "):
            save_submission(**{**options, name: value})
        if name not in ("predictions", "header"):
            with pytest.raises((TypeError, ValueError), match=f": {name} "):
                read_submission(**{"path": path, name: value})
    for another in {"num_images": 2}, {"num_images": 0}, {"num_classes": 3}:
        with pytest.raises(ValueError, match="save_submission: predictions"):
            save_submission(**options, **another)
    assert not path.exists()


BAD = {  # of two images: what the error says, and what may follow these lines
    (b"", "line 1"): [b"", b"id,label\n1,2\n", b"\xff\xfe\n"],
    (HEADER, "line 2"): [b"0,2\n1,3\n", b"1,2\f2,1\n"],
    (HEADER, "found 0"): [b""],
    (HEADER + b"1,2\n", "found 1"): [b""],
    (HEADER + b"1,2\n2,1\n", "found 3"): [b"3,4\n"],
    (HEADER + b"1,2\n2,1\n", "line 4"): [b"\n"],
    (HEADER + b"1,2\n", "line 3"): [b"3,3\n", b"\n2,1\n", b"2\n", b"2," + b"1" * 10**6],
    (HEADER + b"1,2\n2,", "line 3"): [b"10\n", b"-1\n", b"1.0\n", b"\n", b"1,1\n", b"\xff"],
}


def test_read_submission_refuses(path):
    for (first, said), contents in BAD.items():
        for rest in contents:
            path.write_bytes(first + rest)
            with pytest.raises(ValueError, match=rf"submission\.csv.*{said}"):
                read_submission(path, 2)


def test_read_submission_of_unknown_length(path):
    path.write_bytes(b"Id,Category\r\n1,11\r\n2,3")
    assert read_submission(path, num_classes=12).tolist() == [11, 3]
