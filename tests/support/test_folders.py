"""Which files of a folder become the data, and what is said of the others."""

import gzip
import io
import os
import re
import warnings
import zipfile

import numpy as np
import pytest
from mnist_files import GOOD, IMAGES, LABELS, course_arrays, csv, idx, load, mat, npz, write

import data_utils
from data_utils import load_mnist
from support import folders

PIXELS = IMAGES["train"], IMAGES["test"]


def idx_set(place, digit, parts=("train", "t10k"), suffix="", pack=bytes):
    """IDX files whose labels are all one digit, which tells data sets apart."""
    files = {}
    for part, images in zip(("train", "t10k"), PIXELS, strict=True):
        if part in parts:
            labels = np.full(len(images), digit)
            files[f"{place}{part}-images-idx3-ubyte{suffix}"] = pack(idx(images))
            files[f"{place}{part}-labels-idx1-ubyte{suffix}"] = pack(idx(labels))
    return files


def csv_set(place, digit, suffix=".csv", pack=bytes):
    return {
        f"{place}{part}{suffix}": pack(csv(images, np.full(len(images), digit)))
        for part, images in zip(("train", "test"), PIXELS, strict=True)
    }


def keras_arrays(digit):
    return {
        f"{axis}_{part}": array
        for part, images in zip(("train", "test"), PIXELS, strict=True)
        for axis, array in (("x", images), ("y", np.full(len(images), digit)))
    }


def course(digit):
    return course_arrays(training_labels=np.full(40, digit))


def unpacked(files, pattern):
    return {pattern.format(name): content for name, content in files.items()}


def zipped(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"")
    return buffer.getvalue()


def gz(content):
    return gzip.compress(content, 1)


ONE, TWO = idx_set("", 1), idx_set("", 2)
X1 = "train-images-idx3-ubyte"
UNKNOWN = npz(arr_0=PIXELS[0])
# name: (files, of which those of digit 1 are used, what a warning says of the rest)
USED = {
    "torchvision, root": (
        idx_set("MNIST/raw/", 1) | idx_set("MNIST/raw/", 1, suffix=".gz", pack=gz),
        None,
    ),
    "torchvision, parent": (
        idx_set("raw/", 1) | idx_set("raw/", 1, suffix=".gz", pack=gz),
        None,
    ),
    "each file in a folder": (unpacked(ONE, "{0}/{0}"), None),
    "each file in a folder, deeper": (unpacked(ONE, "raw/{0}/{0}"), None),
    "unpacked beside": (
        {k.replace("-idx", ".idx"): v for k, v in ONE.items()} | unpacked(ONE, "{0}/{0}"),
        None,
    ),
    "folders of other punctuation": (
        {f"{k}/{k.replace('-idx', '.idx')}": v for k, v in ONE.items()},
        None,
    ),
    "folders of parts": (
        idx_set("train/", 1, ["train"]) | idx_set("test/", 1, ["t10k"]),
        None,
    ),
    "half of them gzipped": (
        {k + ".gz" * (k[0] == "t10k"): gz(v) if k[0] == "t10k" else v for k, v in ONE.items()},
        None,
    ),
    "csv.gz": (csv_set("", 1, ".csv.gz", gz), None),
    "csv.gz beside csv": (csv_set("", 1) | csv_set("", 1, ".csv.gz", gz), None),
    "npz of one part each": (
        {
            f"{p}.npz": npz(**{k: v for k, v in keras_arrays(1).items() if p in k})
            for p in ("train", "test")
        },
        None,
    ),
    "first level": (idx_set("", 1) | idx_set("fashion/", 2), None),
    "idx before csv": (ONE | csv_set("", 2), r"another data set, .*test\.csv, .*train\.csv"),
    "csv before npz": (csv_set("", 1) | {"a.npz": npz(**course(2))}, r"a\.npz \(training_data"),
    "npz before mat": ({"b.npz": npz(**course(1)), "a.mat": mat(**course(2))}, r"a\.mat"),
    "test set of another": (
        idx_set("fashion/", 1, ["train"]) | idx_set("mnist/", 2, ["t10k"]),
        "no training images, only .*mnist/t10k-images.*, .*mnist/t10k-labels",
    ),
    "test set of another name": (
        idx_set("emnist-digits-", 1, ["train"]) | idx_set("", 2, ["t10k"]),
        "no training images, only .*/t10k-images",
    ),
    "test set of another kind": (
        idx_set("", 1, ["train"]) | {"mnist_test.csv": csv_set("", 2)["test.csv"]},
        r"no training images, only .*mnist_test\.csv",
    ),
    "images without labels": (
        csv_set("", 1) | {X1: TWO[X1]},
        f"{X1}: training images without labels",
    ),
    "one set of names is whole": (
        {"a.npz": npz(**keras_arrays(1), training_data=PIXELS[0])},
        r"a\.npz \(training_data\): training images without labels",
    ),
    "stray labels.csv": (ONE | {"labels.csv": b"label,name\n0,shoe\n"}, None),
    "stray text": (
        csv_set("", 1) | {"notes.txt": b"7,8", "submission.csv": b"Id,Category\n1,2\n"},
        None,
    ),
    "stray document": (ONE | {"report.docx": zipped("word/document.xml")}, None),
    "stray npz": (ONE | {"x.npz": UNKNOWN}, r"x\.npz: no arrays of MNIST: .*found arr_0"),
    "stray npz, cut": (ONE | {"x.npz": UNKNOWN[:-9]}, r"x\.npz: damaged"),
    "stray npz, level above": (
        idx_set("MNIST/raw/", 1) | {"x.npz": UNKNOWN},
        r"x\.npz: no arrays of MNIST",
    ),
    "stray mat": (ONE | {"x.mat": mat(a=PIXELS[0])}, r"x\.mat: no arrays of MNIST.* found a"),
    "stray csv of its name": (ONE | {"train.csv": b"PassengerId\n1\n"}, r"train\.csv: expected"),
    "stray zip": (ONE | {"digits.zip": npz(a=PIXELS[0])}, r"digits\.zip: unpack it"),
    "stray pickle": (ONE | {"mnist.pkl.gz": gz(b"\x80\4")}, r"mnist\.pkl\.gz: expected"),
    "cut copy": (ONE | {f"{X1}.gz": gz(ONE[X1])[:-99]}, rf"{X1}\.gz: damaged"),
    "empty copy": (ONE | {f"{X1}.gz": b""}, rf"{X1}\.gz: expected"),
    "download that goes on": (ONE | {f"{X1}.gz.part": gz(ONE[X1])[:99]}, r"\.part"),
    "test labels alone": (
        {k: v for k, v in ONE.items() if k != "t10k-images-idx3-ubyte"},
        "t10k-labels-idx1-ubyte: test labels without images",
    ),
}


@pytest.mark.parametrize("name", USED)
def test_files_that_belong_together_are_used_and_others_are_named(name, tmp_path):
    files, said = USED[name]
    write(tmp_path, files)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load(tmp_path)
    if said is None:
        assert [str(warning.message) for warning in caught] == []
    else:
        [warning] = caught
        assert re.search(rf"(?s)load_mnist: beside the data .*{said}", str(warning.message))
        assert warning.filename.endswith("mnist_files.py")  # where load_mnist is called
    digits = {*data["y_train"], *data.get("y_test", ())}
    assert digits == {1}
    np.testing.assert_array_equal(data["X_train"][:, 0], PIXELS[0])


# name: (files, what the error says)
REFUSED = {
    "two folders": (
        idx_set("fashion/", 1, ["train"]) | idx_set("mnist/", 2),
        r"several data sets.*\n- IDX files in .*fashion: train.*\n- IDX files in .*mnist: t",
    ),
    "two folders, two kinds": (
        idx_set("a/", 1) | csv_set("b/", 2),
        r"several.*/a: t.*\n.*/b: test\.csv",
    ),
    "two names of idx": (
        idx_set("emnist-digits-", 1) | idx_set("emnist-mnist-", 2),
        "several.*emnist-digits.*\n.*emnist-mnist",
    ),
    "two names of idx, one plain": (
        ONE | idx_set("kmnist-", 2),
        r"several.*kmnist.*\n.* train-images",
    ),
    "two names of idx, one gzipped": (
        ONE | idx_set("kmnist-", 2, suffix=".gz", pack=gz),
        r"several.*kmnist.*\n.* train-images",
    ),
    "two names of csv": (csv_set("", 1) | csv_set("mnist_", 2), "several.*\n.*mnist_train.csv"),
    "two npz": ({f"{n}.npz": npz(**course(1)) for n in "ab"}, r"several.*a\.npz.*\n.*b\.npz"),
    "two mat": ({f"{n}.mat": mat(**course(1)) for n in "ab"}, r"several.*a\.mat.*\n.*b\.mat"),
    "both sets of names in an npz": (
        {"a.npz": npz(**keras_arrays(1), **course(2))},
        r"several.*a\.npz \(x_train.*\n.*a\.npz \(training_data",
    ),
    "both sets of names in a mat": (
        {"a.mat": mat(**keras_arrays(1), **course(2))},
        r"several.*a\.mat \(x_train.*\n.*a\.mat \(training_data",
    ),
    "images of one and labels of the other": (
        {"a.npz": npz(x_train=PIXELS[0], training_labels=LABELS["train"])},
        r"a\.npz \(x_train\): training images without labels",
    ),
    "images and labels in two folders": (
        {f"a/{X1}": ONE[X1], "b/train-labels-idx1-ubyte": TWO["train-labels-idx1-ubyte"]},
        rf"a/{X1}: training images without labels",
    ),
    "copies that differ": (
        ONE | idx_set("", 2, suffix=".gz", pack=gz),
        r"-labels-idx1-ubyte and .*-labels-idx1-ubyte\.gz differ",
    ),
    "csv copies that differ": (csv_set("", 1) | csv_set("", 2, ".csv.gz", gz), r"csv\.gz differ"),
    "unknown npz": ({"kmnist-train-imgs.npz": UNKNOWN}, "imgs.npz: no arrays.*x_train.*arr_0"),
    "unknown npz, deeper": ({"a/b/x.npz": UNKNOWN}, r"x\.npz: no arrays of MNIST"),
    "empty npz": ({"x.npz": npz()}, r"x\.npz: no arrays of MNIST.*found none"),
    "unknown mat": ({"x.mat": mat(X=PIXELS[0], y=[1])}, r"x\.mat: no arrays of MNIST.*found X, y"),
    "unknown idx": ({"images-idx3-ubyte": ONE[X1]}, "neither train nor test"),
    "unknown csv": ({"mnist_train.csv": b"a,b\n1,2\n"}, r"mnist_train\.csv: expected IDX"),
    "csv of other images": (
        {"x.csv": b"label,pixel0,pixel1\n1,2,3\n"},
        r"x\.csv: .*Kaggle's header",
    ),
    "csv without labels": ({"train.csv": csv(PIXELS[0])}, r"train\.csv: .* without labels"),
    "npz.gz": ({"mnist.npz.gz": gz(npz(**course(1)))}, r"mnist\.npz\.gz: expected IDX"),
    "npy": ({"train_images.npy": b"\x93NUMPY"}, r"train_images\.npy: expected IDX"),
    "zip": ({"archive.zip": npz(a=[1])}, r"archive\.zip: unpack it; it holds a\.npy"),
    "parquet": ({"mnist/train.parquet": b"PAR1"}, r"train\.parquet: expected IDX"),
    "damaged test images": (
        ONE | {"t10k-images-idx3-ubyte": b"\0" * 99},
        "t10k-images.*: expected",
    ),
    "damaged test labels": (ONE | {"t10k-labels-idx1-ubyte": b""}, "t10k-labels.*: expected"),
    "damaged test.csv": (csv_set("", 1) | {"test.csv": b"no"}, r"test\.csv: expected"),
    "link to nothing": ({"train.csv": None}, r"No such file.*train\.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_one_data_set_is_an_error(name, tmp_path, monkeypatch):
    files, said = REFUSED[name]
    write(tmp_path, {k: v for k, v in files.items() if v is not None})
    for link in (k for k, v in files.items() if v is None):
        (tmp_path / link).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=f"(?s){said}"):
        load(tmp_path)
    # where nobody asked for a folder, too: never the sample instead
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(data_utils, "DATASETS", tmp_path)
    with pytest.raises(ValueError, match=f"(?s){said}"):
        load_mnist(download=False)


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MAX_FILES", 5)
    write(tmp_path, {f"5/{i}.png": b"" for i in range(6)})
    with pytest.raises(ValueError, match="over 5 files; name MNIST's own folder"):
        load(tmp_path)
    assert len(load(write(tmp_path, ONE | {"a": b"", "b": b""}))["X_train"]) == 40


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_not_waited_for(tmp_path):
    write(tmp_path, GOOD["idx"][0])
    os.mkfifo(tmp_path / "train.csv")
    os.mkfifo(tmp_path / "notes")
    with pytest.warns(UserWarning, match=r"train\.csv: expected a file, found a pipe"):
        assert len(load(tmp_path)["X_train"]) == 40
