"""Where MNIST is looked for, what is said of it, the sample, and the validation split."""

import hashlib
import os
import warnings

import numpy as np
import pytest
from mnist_files import IMAGES, LABELS, course, idx_files, load, npz, write

import data_utils
from data_utils import load_mnist, stratified_split

rng = np.random.default_rng(0)

# ------------------------------------------------------------------ where it looks


def test_no_data_in_the_folder_asked_for(tmp_path, monkeypatch):
    write(tmp_path, {"notes.txt": b"no data", "submission.csv": b"Id,Category\n1,2\n"})
    for folder in tmp_path, tmp_path / "nowhere", tmp_path / "notes.txt":
        with pytest.raises(FileNotFoundError, match=rf"(?s){folder}.*IDX.*train\.csv.*npz.*mat"):
            load(folder)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load(None)


@pytest.mark.sample
def test_search_order(tmp_path, monkeypatch, capsys):
    folders = {}
    for i, name in enumerate(["argument", "variable", "datasets", "cache"]):
        files = {"m.npz": npz(**course(training_labels=np.full(40, i)))}
        folders[name] = write(tmp_path / name, files)
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
    monkeypatch.setattr(data_utils, "SAMPLE", tmp_path / "mnist_sample.npz")  # which is not there
    with pytest.raises(FileNotFoundError, match=r"no network.*mnist_sample\.npz"):
        load_mnist()


# ------------------------------------------------------------------ the sample, and full MNIST


@pytest.mark.sample
def test_sample():
    assert data_utils.SAMPLE.stat().st_size < 1_000_000
    with np.load(data_utils.SAMPLE, allow_pickle=False) as arrays:
        stored = [arrays[name].tobytes() for name in ("x_train", "y_train", "x_test", "y_test")]
    digest = hashlib.sha256(b"".join(stored))
    assert digest.hexdigest() == "a37d6f235ecfbb6366f38123bdfdf0307722a04999e01ee1ad3b4f0985404ed3"


@pytest.mark.sample
@pytest.mark.skipif(not os.environ.get("MNIST_DIR"), reason="MNIST_DIR is not set: no full MNIST")
def test_full_mnist():
    data = load_mnist(verbose=False)
    X = data["X_train"]
    assert (len(X), len(data["X_val"]), len(data["X_test"])) == (54000, 6000, 10000)
    assert abs(X.mean() / 255 - 0.1307) < 1e-3
    with np.load(data_utils.SAMPLE) as sample:
        digits = {bytes(image) for key in ("x_train", "x_test") for image in sample[key]}
    assert digits <= {bytes(image) for image in [*X, *data["X_val"]]}


# ------------------------------------------------------------------ the validation split


@pytest.mark.filterwarnings("ignore:stratified_split")  # of classes without a training image
@pytest.mark.parametrize("counts", [[4] * 10, [1, 2, 3, 4, 5, 6, 7, 8, 1, 0], [0] * 9 + [37]])
def test_split_is_stratified(counts):
    y = rng.permutation(np.repeat(np.arange(10), counts))
    for num_val in 0, 1, 7, 13, 25, 36:
        train, val = stratified_split(y, num_val, 3)
        assert len(val) == num_val
        assert sorted([*train, *val]) == list(range(len(y)))
        shares = np.bincount(y[val], minlength=10)
        assert (abs(shares - np.array(counts) * num_val / len(y)) < 1).all()


SHARES = [  # number of each class, number for validation, and of each class among them
    *[([1, 99], 10, [0, 10]), ([1, 2, 3, 4], 6, [0, 1, 2, 3]), ([2, 2, 2], 3, [1, 1, 1])],
    *[([1, 1, 1, 1, 6], 5, [0, 0, 0, 0, 5]), ([1, 0, 5], 3, [0, 0, 3])],
]


@pytest.mark.parametrize(("counts", "num_val", "shares"), SHARES)
def test_each_class_keeps_an_image_for_training(counts, num_val, shares):
    y = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    for kind in np.int64, np.uint8:
        train, val = stratified_split(y.astype(kind), kind(num_val), kind(3))
        assert np.bincount(y[val], minlength=len(counts)).tolist() == shares
        assert sorted([*train, *val]) == list(range(len(y)))


def test_split_that_empties_a_class_says_so(tmp_path):
    with pytest.warns(UserWarning, match="num_val=4"):
        assert len(stratified_split([0, 1, 1, 1, 1], 4, 0)[1]) == 4
    with pytest.warns(UserWarning, match="num_val=31"):
        load(write(tmp_path, idx_files()), num_val=31)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, num_val=30)


def test_split_follows_the_seed(tmp_path):
    write(tmp_path, idx_files())
    assert load(tmp_path, num_val=None)["X_val"].shape == (4, 1, 28, 28)
    draws = [load(tmp_path, num_val=10, seed=seed)["X_val"] for seed in (1, 2)]
    assert not np.array_equal(*draws)
    # the split itself, which no version of NumPy may change
    recorded = np.array([0, 2, 5, 9, 14, 27, 28, 31, 33, 36])
    np.testing.assert_array_equal(stratified_split(LABELS["train"], 10, 1)[1], recorded)
    np.testing.assert_array_equal(draws[0][:, 0], IMAGES["train"][recorded])


REFUSED = {
    **{"num_val": [40, -1, 0.5, True, "4"], "seed": [-1, "0", None]},
    **{"y": [[], None, [[0], [1]], [0.0, 1.0], ["0", "1"]], "data_dir": [123, ["data"], False]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments(name, tmp_path):
    folder = write(tmp_path, idx_files())
    for value in REFUSED[name]:
        if name != "data_dir":
            with pytest.raises((TypeError, ValueError), match=f"stratified_split: {name} "):
                stratified_split(**{"y": LABELS["train"], "num_val": 4, "seed": 0, name: value})
        if name != "y":
            with pytest.raises((TypeError, ValueError), match=f": {name} "):
                load_mnist(**{"data_dir": folder, name: value})
