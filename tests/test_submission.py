"""Writing and reading the submission CSV."""

import os

import numpy as np
import pytest

import data_utils
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


@pytest.mark.parametrize(
    ("predictions", "kwargs", "error", "match"),
    [
        ([], {}, ValueError, r"predictions expected shape \(N,\) .*got \(0,\)"),
        ([[1], [2]], {}, ValueError, r"got \(2, 1\)"),
        (3, {}, ValueError, r"got \(\)"),
        ([1.0, 2.0], {}, TypeError, "expected integers, got float64"),
        ([True, False], {}, TypeError, "expected integers, got bool"),
        (["1"], {}, TypeError, "expected integers, got <U1"),
        ([0, 10], {}, ValueError, "labels 0 to 9, got 0 to 10"),
        ([0, -1], {}, ValueError, "labels 0 to 9, got -1 to 0"),
        ([0, 3], {"num_classes": 3}, ValueError, "labels 0 to 2, got 0 to 3"),
        ([0, 1], {"num_images": 3}, ValueError, "expected 3 labels, got 2"),
        ([0, 1], {"header": "id,label"}, ValueError, "header expected one of .* got 'id,label'"),
        ([0, 1], {"header": ["Id,Category"]}, ValueError, r"header expected one of .* got \['Id"),
        (
            [0, 1],
            {"header": np.array(["Id", "x"])},
            ValueError,
            "header expected one of .* got arr",
        ),
        ([0, 1], {"header": None}, ValueError, "header expected one of .* got None"),
        ([0, 1], {"path": None}, TypeError, "path must be a path, got NoneType"),
        ([0, 1], {"path": 1}, TypeError, "path must be a path, got int"),
        ([0, 1], {"num_images": "2"}, TypeError, "num_images must be an integer, got '2'"),
        ([0, 1], {"num_images": 0}, ValueError, "num_images must be at least 1, got 0"),
        ([0, 1], {"num_classes": 0}, ValueError, "num_classes must be at least 1, got 0"),
        ([0, 1], {"num_classes": None}, TypeError, "num_classes must be an integer, got None"),
        ([0, 1], {"num_classes": 10**400}, ValueError, "num_classes must be at most"),
        (None, {}, ValueError, r"predictions expected shape \(N,\) .*got \(\)"),
        ({1: 2}, {}, ValueError, r"predictions expected shape \(N,\) .*got \(\)"),
        ([[1], [2, 3]], {}, TypeError, "predictions expected a sequence of integers"),
        ([10**400], {}, TypeError, "predictions expected integers, got object"),
        ([None], {}, TypeError, "predictions expected integers, got object"),
        (np.matrix([1, 2]), {}, ValueError, r"got \(1, 2\)"),
        (np.ma.array([1, 2], mask=[0, 1]), {}, TypeError, "predictions expected .* without a mask"),
    ],
)
def test_save_submission_refuses(predictions, kwargs, error, match, tmp_path):
    with pytest.raises(error, match=f"save_submission: .*{match}"):
        save_submission(
            **{"path": tmp_path / "submission.csv", "predictions": predictions, **kwargs}
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "line 1: expected one of .* found ''"),
        (b"id,label\n1,2\n", "line 1: .*found 'id,label'"),
        (b"\xff\xfe\n", "line 1: "),
        (b"Id,Category\n", "expected 2 images, found 0"),
        (b"Id,Category\n1,2\n", "expected 2 images, found 1"),
        (b"Id,Category\n1,2\n2,3\n3,4\n", "expected 2 images, found 3"),
        (b"Id,Category\n0,2\n1,3\n", "line 2: expected 1,label .*found '0,2"),
        (b"Id,Category\n1,2\n3,3\n", "line 3: expected 2,label .*found '3,3"),
        (b"Id,Category\n1,2\n2,10\n", "line 3: .*label of 0 to 9"),
        (b"Id,Category\n1,2\n2,-1\n", "line 3"),
        (b"Id,Category\n1,2\n2,1.0\n", "line 3"),
        (b"Id,Category\n1,2\n2,\n", "line 3"),
        (b"Id,Category\n1,2\n2,1,1\n", "line 3"),
        (b"Id,Category\n1,2\n\n2,1\n", "line 3"),
        (b"Id,Category\n1,2\n2,\xff\n", "line 3"),
        (b"Id,Category\n1,2\n2," + b"1" * 10**6, "line 3"),
    ],
)
def test_read_submission_refuses(content, match, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"submission\.csv.*{match}"):
        read_submission(path, 2)


def test_read_submission_of_unknown_length(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"Id,Category\r\n1,11\r\n2,3")
    assert read_submission(path, num_classes=12).tolist() == [11, 3]
    path.write_bytes(b"Id,Category\n")
    with pytest.raises(ValueError, match="expected some images, found 0"):
        read_submission(path)


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"path": None}, TypeError, "path must be a path, got NoneType"),
        ({"num_images": "a"}, TypeError, "num_images must be an integer, got 'a'"),
        ({"num_images": 0}, ValueError, "num_images must be at least 1, got 0"),
        ({"num_classes": "a"}, TypeError, "num_classes must be an integer, got 'a'"),
        ({"num_classes": 10**400}, ValueError, "num_classes must be at most"),
    ],
)
def test_read_submission_refuses_arguments(kwargs, error, match, tmp_path):
    path = tmp_path / "submission.csv"
    save_submission(path, [1, 2])
    with pytest.raises(error, match=f"read_submission: {match}"):
        read_submission(**{"path": path, **kwargs})


def test_large_submission_costs_little(tmp_path, monkeypatch):
    path = tmp_path / "submission.csv"
    save_submission(path, np.zeros(30_000, int))
    assert len(read_submission(path)) == 30_000
    monkeypatch.setattr(data_utils, "MAX_IMAGES", 29_999)
    with pytest.raises(ValueError, match=r"submission\.csv: expected at most 29,999 images"):
        read_submission(path)
    for content in b"", b"Id,Category\n", b"Id,Category\n1,", b"Id,Category\n1,2\n":
        path.write_bytes(content)
        os.truncate(path, 10**9)  # with zeros, which take no room
        with pytest.raises(ValueError, match=r"submission\.csv, line \d: "):
            read_submission(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipe_is_no_submission(tmp_path):
    os.mkfifo(tmp_path / "submission.csv")
    with pytest.raises(ValueError, match=r"submission\.csv: expected a file, found a pipe"):
        read_submission(tmp_path / "submission.csv")
