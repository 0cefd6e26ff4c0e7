"""Files of every format: which are used, what is in them, and what is said of the others."""

import pickle
import re
import warnings

import mnist_files
import numpy as np
import pytest
from mnist_files import IMAGES, LABELS, course, csv, csv_files, gz, idx, idx_files, load, npz, write

import data_utils

X1, Y1 = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
X2, Y2 = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
IDX, CSV = idx_files(), csv_files()
KAGGLE = {"train.csv": CSV["train.csv"], "test.csv": csv(IMAGES["test"])}
OTHERS = {part: (labels + 1) % 10 for part, labels in LABELS.items()}


def qmnist(part):
    table = np.tile(np.arange(100, 108), (len(LABELS[part]), 1))
    table[:, 0] = LABELS[part]
    return idx(table, ">i4")


def without(files, *names):
    return {name: content for name, content in files.items() if name not in names}


# ------------------------------------------------------------------ what is read

GRID = [f"{i}x{j}" for i in range(1, 29) for j in range(1, 29)]
DOUBLES = {name: array.astype(float) for name, array in course().items()}
DOUBLES["test_data"] = IMAGES["test"][..., None] / 255
QMNIST = {f"qmnist-{part}-images-idx3-ubyte.gz": gz(idx(IMAGES[part])) for part in IMAGES}
QMNIST |= {f"qmnist-{part}-labels-idx2-int.gz": gz(qmnist(part)) for part in IMAGES}
PARTS = {f"{p}.npz": npz(**{f"x_{p}": IMAGES[p], f"y_{p}": LABELS[p]}) for p in IMAGES}
TABLE, BOM = CSV["train.csv"], b"\xef\xbb\xbf"
ROWS = TABLE.partition(b"\n")[2]
TABLES = {  # a training set alone
    "as it is": TABLE,
    "255.0": re.sub(rb"(?<=\d)(?=[,\n])", b".0", ROWS),
    "2.55e2": TABLE.replace(b",255,", b",2.55e2,", 1),
    "quoted header, BOM, CRLF": BOM + TABLE.replace(b"label", b'"Label"').replace(b"\n", b"\r\n"),
    "no header": ROWS,
}
GOOD = {
    "idx": IDX,
    "idx, half of them gzipped": without(IDX, X1) | {f"{X1}.gz": gz(IDX[X1])},
    "idx with dots": {name.replace("-idx", ".idx"): content for name, content in IDX.items()},
    "idx, gzipped without saying so": {name: gz(content) for name, content in IDX.items()},
    "emnist": idx_files("emnist-digits-", ".gz", gz),
    "qmnist": QMNIST,
    "torchvision": idx_files("MNIST/raw/") | idx_files("MNIST/raw/", ".gz", gz),
    "torchvision, parent": idx_files("raw/"),
    "kaggle": KAGGLE | {"sample_submission.csv": b"ImageId,Label\n1,0\n"},
    "csv beside csv.gz": CSV | csv_files(suffix=".gz", pack=gz),
    "csv with names of a grid": csv_files("mnist_", names=GRID),
    "keras": {"mnist.npz": npz(**mnist_files.keras()), "readme.txt": b"hello"},
    "npz of one part each": PARTS,
    "course npz of doubles": {"mnist.npz": npz(**DOUBLES)},
    "mat with keras' names": {"mnist.mat": mnist_files.mat(**mnist_files.keras())},
    "mat of doubles": {"mnist.mat": mnist_files.mat(False, **DOUBLES, unrelated="text")},
    **{name: {"train.csv": table} for name, table in TABLES.items()},
    **{f"{name}, gzipped": {"train.csv": gz(table)} for name, table in TABLES.items()},
    "first level": IDX | idx_files("fashion/", labels=OTHERS),
    "hidden files": IDX | {f".{X1}.tmp": b"\0", "._t10k-images-idx3-ubyte": b"", ".git/x.npz": b""},
    "no data": IDX | {"notes.txt": b"7,8", "report.docx": b"PK", "latest.csv": b"Id,Category"},
}
NO_TEST_LABELS = "kaggle", "course npz of doubles", "mat of doubles"


@pytest.mark.filterwarnings("error:load_mnist")
@pytest.mark.parametrize("name", GOOD)
def test_good_files(name, tmp_path):
    data = load(write(tmp_path, GOOD[name]))
    expected = {f"X_{part}": images[:, None] for part, images in IMAGES.items()}
    expected |= {f"y_{part}": labels for part, labels in LABELS.items()}
    if name in NO_TEST_LABELS:
        del expected["y_test"]
    if GOOD[name].keys() == {"train.csv"}:
        del expected["X_test"], expected["y_test"]
    assert data.keys() == {*expected, "X_val", "y_val"}
    for key, array in expected.items():
        assert data[key].dtype == (np.uint8 if key[0] == "X" else np.int64)
        np.testing.assert_array_equal(data[key], array)
        assert data[key].flags.writeable


SHAPES = [((784,), (40,)), ((28, 28), (40, 1)), ((1, 28, 28), (1, 40)), ((28, 28, 1), (40,))]


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f4", ">f8"])
@pytest.mark.parametrize("order", "CF")
def test_arrays_of_any_shape_and_dtype(dtype, order, tmp_path):
    for shape, label_shape in SHAPES:
        images = np.asarray(IMAGES["train"].reshape(40, *shape), dtype=dtype, order=order)
        labels = LABELS["train"].reshape(label_shape).astype(dtype)
        data = load(write(tmp_path, {"m.npz": npz(training_data=images, training_labels=labels)}))
        np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])
        np.testing.assert_array_equal(data["y_train"], LABELS["train"])


# ------------------------------------------------------------------ units of pixels

BINARY = {part: images > 127 for part, images in IMAGES.items()}
FRACTIONS = {part: images / 255 for part, images in IMAGES.items()}
UNITS = {  # from images to files
    "idx": lambda images: idx_files(images=images),
    "csv": lambda images: csv_files(images=images),
    "npz": lambda images: {"mnist.npz": npz(**course(images))},
    "mat": lambda images: {"mnist.mat": mnist_files.mat(**course(images))},
}
KINDS = [(kind, dtype) for kind in ("csv", "npz", "mat") for dtype in ("f4", "f8")]
INTEGERS = [(kind, "u1") for kind in UNITS] + [("npz", "i1"), ("npz", "f2")]


@pytest.mark.parametrize(("kind", "dtype"), KINDS + INTEGERS)
def test_units_of_pixels(kind, dtype, tmp_path):
    def check(name, train, test, expected):
        images = {"train": train.astype(dtype), "test": test.astype(dtype)}
        data = load(write(tmp_path / name, UNITS[kind](images)))
        for part in expected:
            np.testing.assert_array_equal(data[f"X_{part}"][:, 0], expected[part])

    white = {part: 255 * binary for part, binary in BINARY.items()}
    check("black and white", BINARY["train"], BINARY["test"], white)
    # A test set without bright pixels has the unit of its training set.
    check("dark", IMAGES["train"] // 2, BINARY["test"], {"test": BINARY["test"]})
    if (kind, dtype) in KINDS:
        check("fractions", FRACTIONS["train"], FRACTIONS["test"], IMAGES)
        check("dark fractions", FRACTIONS["train"], BINARY["test"], {"test": white["test"]})


# ------------------------------------------------------------------ what is not used

UNKNOWN = npz(arr_0=IMAGES["train"])
UNUSED = "no labelled training images, only .*"
BESIDE = {  # name: (files that lie beside a set, what a warning says of them)
    "test set of another name": (idx_files("kmnist-"), rf"{UNUSED}kmnist-t10k-images"),
    "test set of another kind": ({"mnist_test.csv": CSV["test.csv"]}, r"only .*mnist_test\.csv"),
    "images without labels": ({"a-" + X1: IDX[X1]}, f"{UNUSED}a-{X1}"),
    "npz": ({"x.npz": UNKNOWN}, r"x\.npz: .*found arr_0"),
    "csv": ({"train.csv": b"PassengerId,Name\n1,Ann\n"}, r"train\.csv: "),
    "pickle": ({"mnist.pkl.gz": gz(pickle.dumps([1]))}, r"mnist\.pkl\.gz: expected IDX"),
    "test labels": ({Y2: IDX[Y2]}, Y2),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_the_data_is_named(name, tmp_path):
    files, said = BESIDE[name]
    others = {n: content for n, content in files.items() if not n.startswith("kmnist-train")}
    for place in "", "MNIST/raw/":
        training = without(idx_files(place), f"{place}{X2}", f"{place}{Y2}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = load(write(tmp_path / str(len(place)), training | others))
        assert list(data) == ["X_train", "y_train", "X_val", "y_val"]
        np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])
        [warning] = caught
        assert warning.filename == mnist_files.__file__  # where load_mnist is called
        assert re.search(f"(?s)load_mnist: beside .*{said}", str(warning.message))


BOTH = {"a.npz": npz(**mnist_files.keras(), **course(labels=OTHERS))}
MIXED = {"a.npz": npz(x_train=IMAGES["train"], training_labels=LABELS["train"])}
APART = {f"a/{X1}": IDX[X1], f"b/{Y1}": IDX[Y1]}
OTHER_COPIES = idx_files(suffix=".gz", pack=gz, labels=OTHERS)
COURSE_NPZ = {f"{name}.npz": npz(**course()) for name in "bc"}
EMNIST = idx_files("emnist-digits-") | idx_files("emnist-mnist-", ".gz", gz)
SEVERAL = "several data sets.*"
REFUSED = {  # name: (files, what the error says)
    "idx and csv": (IDX | csv_files(labels=OTHERS), rf"{SEVERAL}{X1}.*\n.*train\.csv"),
    "two npz": (COURSE_NPZ, rf"{SEVERAL}b\.npz.*\n.*c\.npz"),
    "two names of idx": (EMNIST, rf"{SEVERAL}emnist-digits.*\n.*emnist-mnist"),
    "two folders": (idx_files("fashion/") | csv_files("b/"), rf"{SEVERAL}b/train.*\n.*fashion/t"),
    "two names of arrays": (BOTH, rf"{SEVERAL}a\.npz with Keras.*\n.*a\.npz with course"),
    "half of two names of arrays": (MIXED, rf"{UNUSED}a\.npz"),
    "images and labels in two folders": (APART, f"{UNUSED}a/{X1}"),
    "images without labels": ({X1: IDX[X1]}, f"{UNUSED}{X1}"),
    "test set alone": ({"test.csv": KAGGLE["test.csv"]}, rf"{UNUSED}test\.csv"),
    "copies that differ": (IDX | OTHER_COPIES, rf"{Y1}\.gz: differs from .*{Y1}; keep one"),
    "cut copy": (IDX | {f"{X1}.gz": gz(IDX[X1])[:-99]}, rf"{X1}\.gz: EOFError"),
    "parquet": ({"mnist/train.parquet": b"PAR1"}, r"train\.parquet: expected IDX"),
}


# ------------------------------------------------------------------ damaged files


def pixel(value, dtype=float):
    images = IMAGES["train"].astype(dtype)
    images[3, 3, 3] = value
    return images


class Bomb:
    """Fails where it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


CELLS = IMAGES["train"].astype(object)
HUGE = b"\0\0\x08\x03" + b"\x7f" * 12
DAMAGED_IDX = {
    "more": {Y1: IDX[Y1] + b"0"},
    "huge": {X1: HUGE},
    "no images": {X1: idx(np.zeros((0, 28, 28)))},
    "39 labels": {Y1: idx(LABELS["train"][1:])},
    "label 10": {Y1: idx([10] * 40)},
    "test labels": {Y2: b""},
    "gzip and text": {X1: gz(IDX[X1]) + b"hello"},
    "gzip of another sum": {X1: gz(IDX[X1])[:-8] + bytes(8)},
}
DAMAGED_CSV = {
    "empty": b"",
    "row cut": TABLE[:-1000],
    "row too long": TABLE[:-1] + b",1\n",
    "another table": b"PassengerId,Survived\n1,0\n",
    "text": csv(pixel("x", object), LABELS["train"]),
    "nan": csv(pixel("nan", object), LABELS["train"]),
    "label 10": csv(IMAGES["train"], LABELS["train"] + 1),
}
DAMAGED_ARRAYS = {  # in .npz and .mat
    "strings": {"training_data": np.array(["a"] * 40)},
    "nan": {"training_data": pixel(np.nan)},
    "1.5": {"training_data": pixel(1.5)},
    "colour": {"training_data": np.zeros((40, 3, 28, 28))},
}
NPZ, MAT = npz(**mnist_files.keras()), mnist_files.mat(**course())
BAD = {
    **{f"idx, {name}": IDX | files for name, files in DAMAGED_IDX.items()},
    **{f"csv, {name}": {"train.csv": content} for name, content in DAMAGED_CSV.items()},
    **{f"npz, {n}": {"m.npz": npz(**course(**a))} for n, a in DAMAGED_ARRAYS.items()},
    **{f"mat, {n}": {"m.mat": mnist_files.mat(**course(**a))} for n, a in DAMAGED_ARRAYS.items()},
    "npz, objects": {"m.npz": npz(**course(training_data=np.array([Bomb()])))},
    "npz, pickle": {"m.npz": pickle.dumps(Bomb())},
    "mat, cells": {"m.mat": mnist_files.mat(**course(training_data=CELLS))},
    "mat 7.3": {"m.mat": b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF"},
    **{f"{name}, text": {name: b"<html>"} for name in ("m.npz", "m.mat", X1)},
}


for name, files in BAD.items():
    [bad] = [n for n in files if files[n] != IDX.get(n)]
    REFUSED[name] = (files, f"/{bad}: ")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_one_whole_data_set_is_an_error(name, tmp_path, monkeypatch):
    files, said = REFUSED[name]
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(data_utils, "DATASETS", write(tmp_path, files))
    for asked in tmp_path, None:  # where nobody asked for a folder, too: never the sample instead
        with pytest.raises(ValueError, match=f"(?s){said}"):
            load(asked)


CUT = {
    "idx": (X1, IDX),
    "idx.gz": (f"{X1}.gz", idx_files(suffix=".gz", pack=gz)),
    "npz": ("mnist.npz", {"mnist.npz": NPZ}),
    "mat": ("mnist.mat", {"mnist.mat": MAT}),
}


@pytest.mark.parametrize("name", CUT)
def test_file_that_is_cut(name, tmp_path):
    bad, files = CUT[name]
    content, size = files[bad], len(files[bad])
    write(tmp_path, files)
    for length in (*range(40), *range(40, size, 997), *range(size - 40, size)):
        (tmp_path / bad).write_bytes(content[:length])
        with pytest.raises(ValueError, match=bad):
            load(tmp_path)
