"""Writing and reading the submission CSV."""

import numpy as np
import pytest

from data_utils import read_submission, save_submission


@pytest.mark.parametrize("header", ["Id,Category", "ImageId,Label"])
@pytest.mark.parametrize("kind", [list, np.array, np.uint8, np.int32])
def test_submission_round_trip(header, kind, tmp_path):
    path = tmp_path / "submission.csv"
    save_submission(path, kind([7, 0, 9]), header=header, num_images=3)
    assert path.read_bytes() == f"{header}\n1,7\n2,0\n3,9\n".encode()
    labels = read_submission(path, 3)
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, 0, 9]


REFUSED = {  # by save_submission: error and argument: its values
    (ValueError, "predictions"): [[], [[1], [2]], 3, None, np.matrix([1, 2]), [0, 10], [0, -1]],
    (TypeError, "predictions"): [[1.0, 2.0], [True, False], ["1"], [None]],
    (ValueError, "header"): ["id,label", ["Id,Category"], None],
    (TypeError, "path"): [None, 1],
    (TypeError, "num_images"): ["3", 3.0],
    (ValueError, "num_images"): [-1],
    (TypeError, "num_classes"): ["10", None],
    (ValueError, "num_classes"): [0],
}


@pytest.mark.parametrize(
    ("error", "name", "value"), [(*key, value) for key in REFUSED for value in REFUSED[key]]
)
def test_what_is_refused(error, name, value, tmp_path):
    path = tmp_path / "submission.csv"
    with pytest.raises(error, match=f": {name} "):
        save_submission(**{"path": path, "predictions": [1, 2, 3], name: value})
    assert not list(tmp_path.iterdir())
    save_submission(path, [1, 2, 3])
    if name not in ("predictions", "header"):
        with pytest.raises(error, match=f": {name} "):
            read_submission(**{"path": path, name: value})


def test_save_submission_refuses_another_number(tmp_path):
    for kwargs in {"num_images": 3}, {"num_images": 0}, {"num_classes": 2}:
        with pytest.raises(ValueError, match="save_submission: predictions"):
            save_submission(tmp_path / "submission.csv", [1, 2], **kwargs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "line 1"),
        (b"id,label\n1,2\n", "line 1"),
        (b"\xff\xfe\n", "line 1"),
        (b"Id,Category\n", "found 0"),
        (b"Id,Category\n1,2\n", "found 1"),
        (b"Id,Category\n1,2\n2,3\n3,4\n", "found 3"),
        (b"Id,Category\n0,2\n1,3\n", "line 2"),
        (b"Id,Category\n1,2\n3,3\n", "line 3"),
        (b"Id,Category\n1,2\n2,10\n", "line 3"),
        (b"Id,Category\n1,2\n2,-1\n", "line 3"),
        (b"Id,Category\n1,2\n2,1.0\n", "line 3"),
        (b"Id,Category\n1,2\n2,\n", "line 3"),
        (b"Id,Category\n1,2\n2,1,1\n", "line 3"),
        (b"Id,Category\n1,2\n\n2,1\n", "line 3"),
        (b"Id,Category\n1,2\n2,1\n\n", "line 4"),
        (b"Id,Category\n1,2\f2,1\n", "line 2"),
        (b"Id,Category\n1,2\n2,\xff\n", "line 3"),
        (b"Id,Category\n1,2\n2," + b"1" * 10**6, "line 3"),
    ],
)
def test_read_submission_refuses(content, line, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"submission\.csv.*{line}") as caught:
        read_submission(path, 2)
    assert len(str(caught.value)) < 400


def test_read_submission_of_unknown_length(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"Id,Category\r\n1,11\r\n2,3")
    assert read_submission(path, num_classes=12).tolist() == [11, 3]
    path.write_bytes(b"Id,Category\n")
    with pytest.raises(ValueError, match=r"submission\.csv: expected some images, found 0"):
        read_submission(path)
