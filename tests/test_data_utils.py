"""Reading MNIST files, where they are looked for, and the validation split."""

import hashlib
import io
import os
import sys
import warnings

import numpy as np
import pytest
from mnist_files import GOOD, IMAGES, LABELS, course_arrays, idx_files, kaggle, load, npz, write

import data_utils
from data_utils import load_mnist, read_submission, save_submission

rng = np.random.default_rng(0)


@pytest.mark.filterwarnings("ignore:load_mnist")  # of other.npz
@pytest.mark.parametrize("name", GOOD)
def test_formats(name, tmp_path):
    files, has_test_labels = GOOD[name]
    data = load(write(tmp_path, files))
    expected = {"X_train", "y_train", "X_val", "y_val", "X_test"}
    assert set(data) == expected | ({"y_test"} if has_test_labels else set())
    for part in "train", "test":
        X = data[f"X_{part}"]
        assert (X.dtype, X.shape[1:]) == (np.uint8, (1, 28, 28))
        np.testing.assert_array_equal(X[:, 0], IMAGES[part])
        if f"y_{part}" in data:
            assert data[f"y_{part}"].dtype == np.int64
            np.testing.assert_array_equal(data[f"y_{part}"], LABELS[part])


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 28, 28), (28, 28, 1)])
@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f4", ">f8"])
@pytest.mark.parametrize("order", "CF")
def test_pixels_of_any_shape_and_dtype(shape, dtype, order, tmp_path):
    images = np.asarray(IMAGES["train"].reshape(40, *shape), dtype=dtype, order=order)
    files = {"mnist.npz": npz(**course_arrays(training_data=images))}
    np.testing.assert_array_equal(load(write(tmp_path, files))["X_train"][:, 0], IMAGES["train"])


@pytest.mark.parametrize("shape", [(40,), (40, 1), (1, 40)])
def test_labels_of_any_shape(shape, tmp_path):
    files = {"mnist.npz": npz(**course_arrays(training_labels=LABELS["train"].reshape(shape)))}
    np.testing.assert_array_equal(load(write(tmp_path, files))["y_train"], LABELS["train"])


def test_training_set_alone(tmp_path):
    data = load(write(tmp_path, {"train.csv": kaggle["train.csv"]}))
    assert list(data) == ["X_train", "y_train", "X_val", "y_val"]


# ------------------------------------------------------------------ where it looks


def test_no_data_in_the_folder_asked_for(tmp_path, monkeypatch):
    write(tmp_path, {"notes.txt": b"no data", "submission.csv": b"Id,Category\n1,2\n"})
    for folder in tmp_path, tmp_path / "nowhere":
        with pytest.raises(FileNotFoundError, match=rf"(?s){folder}.*IDX.*train\.csv.*npz.*mat"):
            load(folder)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load(None)


def test_test_set_alone(tmp_path):
    with pytest.raises(ValueError, match=r"no training images, only .*test\.csv"):
        load(write(tmp_path, {"test.csv": kaggle["test.csv"]}))


@pytest.mark.sample
def test_search_order(tmp_path, monkeypatch, capsys):
    folders = {}
    for i, name in enumerate(["argument", "variable", "datasets", "cache"]):
        folders[name] = write(
            tmp_path / name, {"m.npz": npz(**course_arrays(training_labels=np.full(40, i)))}
        )
    monkeypatch.setattr(data_utils, "DATASETS", folders["datasets"])
    monkeypatch.setattr(data_utils, "cached_mnist", lambda *args: (folders["cache"], ""))
    monkeypatch.setenv("MNIST_DIR", str(folders["variable"]))
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(folders):
        data = load_mnist(folders["argument"] if i == 0 else None)
        assert set(data["y_train"]) == {i}
        line = f"MNIST: 36 training, 4 validation, 20 test images (.npz file in {name})\n"
        assert capsys.readouterr().out == line
        if i == 1:
            monkeypatch.delenv("MNIST_DIR")
        if i == 2:
            (folders["datasets"] / "m.npz").unlink()
    monkeypatch.setattr(data_utils, "cached_mnist", lambda *args: (None, "there is no network"))
    load_mnist()
    line = capsys.readouterr().out
    assert line.startswith("MNIST: 3,600 training, 400 validation, 1,000 test images (")
    assert "sample, as there is no network; for full MNIST see datasets/README.md" in line


@pytest.mark.parametrize("way", ["argument", "variable"])
def test_home_folder(way, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MNIST_DIR", "~/mnist")
    write(tmp_path / "mnist", idx_files())
    assert len(load("~/mnist" if way == "argument" else None)["X_train"]) == 40
    save_submission("~/submission.csv", [1, 2])
    assert read_submission("~/submission.csv").tolist() == [1, 2]
    assert (tmp_path / "submission.csv").exists()


def test_working_directory_that_was_deleted(tmp_path, monkeypatch, capsys):
    write(tmp_path / "mnist", idx_files())
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    load(tmp_path / "mnist", verbose=True)
    assert f"(IDX files in {tmp_path / 'mnist'})" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="no folder mnist"):
        load("mnist")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None])
def test_folder_that_standard_output_cannot_show(encoding, tmp_path, monkeypatch):
    out = io.StringIO() if encoding is None else io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", out)
    load(write(tmp_path / "Übung \u6570", idx_files()), verbose=True)
    out.seek(0)
    shown = {"ascii": r"\xdcbung \u6570", "latin-1": r"Übung \u6570", None: "Übung \u6570"}
    assert shown[encoding] in out.read()


def test_no_standard_output(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as in programs without a console
    assert len(load(write(tmp_path, idx_files()), verbose=True)["X_train"]) == 40


def test_idx_comes_before_other_formats(tmp_path):
    other = {"a.npz": npz(**course_arrays(training_labels=np.zeros(40)))}
    write(tmp_path, {**idx_files(), **other})
    with pytest.warns(UserWarning, match=r"not used: another data set, .*a\.npz"):
        assert set(load(tmp_path)["y_train"]) == set(range(10))


def test_hidden_files_are_left_alone(tmp_path):
    half_written = idx_files()["train-images-idx3-ubyte"][:9]
    hidden = {
        ".train-images-idx3-ubyte.1a2b3c4d.tmp": half_written,
        "._t10k-images": b"\0\0\x08\x03",
    }
    assert len(load(write(tmp_path, {**idx_files(), **hidden}))["X_train"]) == 40
    with pytest.raises(FileNotFoundError, match="no MNIST in"):
        load(write(tmp_path / "hidden", hidden))


@pytest.mark.sample
def test_sample():
    assert data_utils.SAMPLE.stat().st_size < 1_000_000
    with np.load(data_utils.SAMPLE, allow_pickle=False) as file:
        arrays = dict(file)
    digest = hashlib.sha256()
    for key in "x_train", "y_train", "x_test", "y_test":
        assert arrays[key].dtype == np.uint8
        digest.update(arrays[key].tobytes())
    assert np.bincount(arrays["y_train"]).tolist() == [400] * 10
    assert np.bincount(arrays["y_test"]).tolist() == [100] * 10
    assert arrays["x_train"].shape == (4000, 28, 28)
    assert arrays["x_test"].shape == (1000, 28, 28)
    assert digest.hexdigest() == "a37d6f235ecfbb6366f38123bdfdf0307722a04999e01ee1ad3b4f0985404ed3"


@pytest.fixture
def full_mnist():
    folder = os.environ.get("MNIST_DIR")
    if not folder:
        pytest.skip("MNIST_DIR is not set: no full MNIST")
    return load_mnist(folder, verbose=False)


@pytest.mark.sample
def test_full_mnist(full_mnist):
    X, y = full_mnist["X_train"], full_mnist["y_train"]
    assert (len(X), len(full_mnist["X_val"]), len(full_mnist["X_test"])) == (54000, 6000, 10000)
    assert np.bincount(y).sum() == 54000
    assert abs(X.mean() / 255 - 0.1307) < 1e-3
    with np.load(data_utils.SAMPLE) as sample:
        digits = {bytes(image) for key in ("x_train", "x_test") for image in sample[key]}
    assert digits <= {bytes(image) for image in [*X, *full_mnist["X_val"]]}


# ------------------------------------------------------------------ the validation split


@pytest.mark.filterwarnings("ignore:stratified_split")  # of classes without a training image
@pytest.mark.parametrize("num_val", [0, 1, 7, 13, 25, 36])
@pytest.mark.parametrize("counts", [[4] * 10, [1, 2, 3, 4, 5, 6, 7, 8, 1, 0], [0] * 9 + [37]])
def test_split_is_stratified(num_val, counts):
    y = rng.permutation(np.repeat(np.arange(10), counts))
    train, val = data_utils.stratified_split(y, num_val, 3)
    assert len(val) == num_val
    assert sorted([*train, *val]) == list(range(len(y)))
    shares = np.bincount(y[val], minlength=10)
    assert (abs(shares - np.array(counts) * num_val / len(y)) < 1).all()


@pytest.mark.parametrize(
    ("counts", "num_val", "shares"),
    [
        ([1, 99], 10, [0, 10]),
        ([1, 9], 8, [0, 8]),
        ([1, 1, 1, 1, 6], 5, [0, 0, 0, 0, 5]),
        ([1, 2, 3, 4], 6, [0, 1, 2, 3]),
        ([2, 2, 2], 3, [1, 1, 1]),
        ([1] * 9 + [100], 50, [0] * 9 + [50]),
        ([1, 0, 5], 3, [0, 0, 3]),
    ],
)
def test_each_class_keeps_an_image_for_training(counts, num_val, shares):
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    for kind in np.int64, np.uint8:
        train, val = data_utils.stratified_split(y.astype(kind), kind(num_val), kind(3))
        assert np.bincount(y[val], minlength=len(counts)).tolist() == shares
        assert sorted([*train, *val]) == list(range(len(y)))
        assert set(y[train]) == set(y)


def test_split_that_empties_a_class_says_so(tmp_path):
    with pytest.warns(UserWarning, match="num_val=4 leaves a class without a training image"):
        _, val = data_utils.stratified_split([0, 1, 1, 1, 1], 4, 0)
    assert len(val) == 4
    with pytest.warns(UserWarning, match="num_val=31 leaves"):
        load(write(tmp_path, idx_files()), num_val=31)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, num_val=30)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (([0, 1], 2, 0), ValueError, "num_val expected less than the 2 of y, got 2"),
        (([0, 1], -1, 0), ValueError, "num_val must be at least 0, got -1"),
        (([0, 1], 0.5, 0), TypeError, "num_val must be an integer, got 0.5"),
        (([0, 1], 10**400, 0), ValueError, "num_val must be at most"),
        (([0, 1], 10**5000, 0), ValueError, "num_val must be at most"),
        (([0, 1], 1, 10**400), ValueError, "seed must be at most"),
        (([0, 1], 1, -1), ValueError, "seed must be at least 0, got -1"),
        (([0, 1], 1, None), TypeError, "seed must be an integer, got None"),
        (([], 0, 0), ValueError, r"y expected shape \(N,\) with N > 0, got \(0,\)"),
        ((3, 0, 0), ValueError, r"y expected shape \(N,\) with N > 0, got \(\)"),
        ((None, 0, 0), ValueError, r"y expected shape \(N,\) with N > 0, got \(\)"),
        (([[0], [1]], 1, 0), ValueError, r"got \(2, 1\)"),
        (([[0], [1, 2]], 1, 0), TypeError, "y expected a sequence of integers: "),
        (([0.0, 1.0], 1, 0), TypeError, "y expected integers, got float64"),
        ((["0", "1"], 1, 0), TypeError, "y expected integers, got <U1"),
        (([10**400, 1], 1, 0), TypeError, "y expected integers, got object"),
    ],
)
def test_split_refuses(arguments, error, match):
    with pytest.raises(error, match=f"stratified_split: .*{match}"):
        data_utils.stratified_split(*arguments)


def test_split_follows_the_seed(tmp_path):
    write(tmp_path, idx_files())
    default = load(tmp_path, num_val=None)
    assert default["X_val"].shape == (4, 1, 28, 28)
    assert default["y_val"].shape == (4,)
    draws = [load(tmp_path, num_val=10, seed=seed)["X_val"] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    # the split itself, which no version of NumPy may change
    assert data_utils.stratified_split(LABELS["train"], 10, 1)[1].tolist() == [
        0,
        2,
        5,
        9,
        14,
        27,
        28,
        31,
        33,
        36,
    ]


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"num_val": -1}, ValueError, "num_val must be at least 0, got -1"),
        ({"num_val": 40}, ValueError, "num_val expected less than the 40 .*got 40"),
        ({"num_val": 0.1}, TypeError, "num_val must be an integer, got 0.1"),
        ({"num_val": True}, TypeError, "num_val must be an integer, got True"),
        ({"seed": None}, TypeError, "seed must be an integer, got None"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": "0"}, TypeError, "seed must be an integer, got '0'"),
        ({"seed": 10**400}, ValueError, "seed must be at most"),
        ({"num_val": 10**400}, ValueError, "num_val must be at most"),
        ({"folder": 123}, TypeError, "data_dir must be a path, got int"),
        ({"folder": b"data"}, TypeError, "data_dir must be a path, got bytes"),
        ({"folder": ["data"]}, TypeError, "data_dir must be a path, got list"),
        ({"folder": False}, TypeError, "data_dir must be a path, got bool"),
    ],
)
def test_bad_arguments(kwargs, error, match, tmp_path):
    with pytest.raises(error, match=f"load_mnist: {match}"):
        load(**{"folder": write(tmp_path, idx_files()), **kwargs})
