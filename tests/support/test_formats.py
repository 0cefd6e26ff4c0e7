"""What the formats have in common: units of pixels, variants of files, and a bounded cost."""

import gzip
import re
import struct
import time
import tracemalloc

import numpy as np
import pytest
from mnist_files import (
    GOOD,
    IMAGES,
    LABELS,
    course_arrays,
    csv,
    idx,
    idx_files,
    kaggle,
    load,
    mat,
    npz,
    write,
)

from support import table

# ------------------------------------------------------------------ units of pixels

BINARY = {part: images > 127 for part, images in IMAGES.items()}
UNITS = {  # from arrays of training and test images to files
    "idx": lambda train, test: idx_files(images={"train": train, "test": test}),
    "csv": lambda train, test: {
        "train.csv": csv(train, LABELS["train"]),
        "test.csv": csv(test, LABELS["test"]),
    },
    "npz": lambda train, test: {
        "mnist.npz": npz(**course_arrays(training_data=train, test_data=test))
    },
    "mat": lambda train, test: {
        "mnist.mat": mat(**course_arrays(training_data=train, test_data=test))
    },
}
KINDS = [
    ("idx", "u1"),
    *((kind, dtype) for kind in ("csv", "npz", "mat") for dtype in ("u1", "f4", "f8")),
    *(("npz", dtype) for dtype in ("i1", ">i4", "u8", "f2")),
    ("mat", "i2"),
]


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_binary_pixels_are_one_picture_in_any_format(kind, dtype, tmp_path):
    train, test = BINARY["train"].astype(dtype), BINARY["test"].astype(dtype)
    data = load(write(tmp_path / "both", UNITS[kind](train, test)))
    for part in "train", "test":
        np.testing.assert_array_equal(data[f"X_{part}"][:, 0], 255 * BINARY[part])
    # A test set without bright pixels has the unit of its training set.
    train = IMAGES["train"].astype(dtype) if dtype != "i1" else IMAGES["train"] // 2
    data = load(write(tmp_path / "dark", UNITS[kind](train.astype(dtype), test)))
    np.testing.assert_array_equal(data["X_test"][:, 0], BINARY["test"])


@pytest.mark.parametrize("kind", ["csv", "npz", "mat"])
def test_fractions(kind, tmp_path):
    train, test = (IMAGES[part].astype(np.float32) / 255 for part in ("train", "test"))
    data = load(write(tmp_path / "both", UNITS[kind](train, test)))
    for part in "train", "test":
        np.testing.assert_array_equal(data[f"X_{part}"][:, 0], IMAGES[part])
    data = load(write(tmp_path / "dark", UNITS[kind](train, BINARY["test"].astype(int))))
    np.testing.assert_array_equal(data["X_test"][:, 0], 255 * BINARY["test"])


# ------------------------------------------------------------------ variants


def qmnist(labels, magic=b"\0\0\x0c\x02", columns=8):
    table = np.zeros((len(labels), columns), ">i4")
    table[:] = np.arange(100, 100 + columns)
    table[:, 0] = labels
    return magic + struct.pack(">2I", *table.shape) + table.tobytes()


def test_qmnist(tmp_path):
    files = {
        f"qmnist-{part}-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES[part])) for part in IMAGES
    }
    labels = {f"qmnist-{part}-labels-idx2-int": qmnist(LABELS[part]) for part in LABELS}
    data = load(write(tmp_path, files | labels))
    for part in "train", "test":
        np.testing.assert_array_equal(data[f"y_{part}"], LABELS[part])
        np.testing.assert_array_equal(data[f"X_{part}"][:, 0], IMAGES[part])


TRAIN_X, TRAIN_Y = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
ODD_IDX = {  # name: (content, what the error says)
    "labels of 7 columns": (TRAIN_Y, qmnist(LABELS["train"], columns=7), r"found \(40, 7\)"),
    "label 10": (TRAIN_Y, qmnist([10] * 40), "labels 0 to 9"),
    "labels cut": (TRAIN_Y, qmnist(LABELS["train"])[:-1], "1 bytes are missing"),
    "labels with more": (TRAIN_Y, qmnist(LABELS["train"]) + b"0", "bytes after"),
    "float32": (TRAIN_X, b"\0\0\x0d\x03" + idx(IMAGES["train"])[4:], "IDX of float32 in 3 dim"),
    "int16": (TRAIN_Y, b"\0\0\x0b\x01" + idx(LABELS["train"])[4:], "IDX of int16 in 1 dim"),
    "images in 2 dimensions": (TRAIN_X, idx(IMAGES["train"].reshape(40, 784)), "uint8 in 2 dim"),
}


@pytest.mark.parametrize("name", ODD_IDX)
def test_odd_idx_file_is_named(name, tmp_path):
    bad_name, content, reason = ODD_IDX[name]
    with pytest.raises(ValueError, match=f"{bad_name}.*{reason}"):
        load(write(tmp_path, GOOD["idx"][0] | {bad_name: content}))


def with_points(content, point):
    return re.sub(rb"(\d+)(?=[,\n])", rb"\g<1>" + point, content)


TABLES = {  # training set as CSV
    "plain": kaggle["train.csv"],
    "255.0": with_points(kaggle["train.csv"].split(b"\n", 1)[1], b".0"),
    "255.": kaggle["train.csv"].replace(b",255,", b",255.,"),
    "255.00": kaggle["train.csv"].replace(b",255,", b",255.00,"),
    "1 of 255.0": kaggle["train.csv"].replace(b",255,", b",255.0,", 1),
    "2.55e2": kaggle["train.csv"].replace(b",255,", b",2.55e2,", 1),
    "Label": kaggle["train.csv"].replace(b"label", b"Label", 1),
    "no header": kaggle["train.csv"].split(b"\n", 1)[1],
    "no header, BOM": b"\xef\xbb\xbf" + kaggle["train.csv"].split(b"\n", 1)[1],
    "blank lines": kaggle["train.csv"].replace(b"\n", b"\n\r\n\n"),
    "no last line end": kaggle["train.csv"][:-1],
    "spaces": kaggle["train.csv"].replace(b",", b" , "),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", TABLES)
def test_csv(name, suffix, tmp_path):
    content = gzip.compress(TABLES[name], 1) if suffix else TABLES[name]
    data = load(write(tmp_path, {f"train.csv{suffix}": content}))
    np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])
    np.testing.assert_array_equal(data["y_train"], LABELS["train"])


# ------------------------------------------------------------------ a bounded cost

GB = 2**30
HEADER = kaggle["train.csv"].split(b"\n")[0] + b"\n"
MAT = mat(False, **course_arrays())
LABELS_MAT = mat(False, training_labels=LABELS["train"])[128:]


def large_mat(name):
    """A mat file whose first variable, of this name, has a GB (which follows its header)."""
    size = 10**5
    content = bytearray(mat(False, **{name: np.zeros((size, 1), np.uint8)}))
    values = content.index(struct.pack("<2I", 2, size)) + 8
    shape = content.index(struct.pack("<2i", size, 1))
    struct.pack_into("<I", content, 132, values - 136 + GB)
    struct.pack_into("<2i", content, shape, GB, 1)
    struct.pack_into("<I", content, values - 4, GB)
    return bytes(content[:values])


def zipped(content):
    return gzip.compress(content, 1)


EMPTY = zipped(b"")
X = zipped(idx(IMAGES["train"]))
# A file: (name, content in the order of the file, where a number means so many zeros), and what is
# said of it, or None where it is good. Zeros take no room on the disk.
LARGE = {
    "csv, zeros": ("train.csv", [GB], "starts with"),
    "csv, header and zeros": ("train.csv", [HEADER, GB], "line 2 has more than 32,768 bytes"),
    "csv, header without end": ("train.csv", [HEADER[:-1], GB], "line 1 has|Kaggle's header"),
    "csv, header of 6 MB": ("train.csv", [b"label," + b"pixel0," * 10**6], "header|line 1 has"),
    "csv, line of 4 MB": ("train.csv", [HEADER, b"0," * 2 * 10**6], "line 2 has more than 32,768"),
    "csv, short lines": ("train.csv", [HEADER, b"1,2\n" * 10**5], "at most 50,000 lines"),
    "csv, blank lines": ("train.csv", [HEADER, b"\n" * 10**5], "at most 50,000 lines"),
    "csv.gz, long line": ("train.csv.gz", [zipped(HEADER + bytes(10**7))], "line 2 has more than"),
    "csv.gz, blank lines": ("train.csv.gz", [zipped(HEADER + b"\n" * 10**7)], "at most 50,000"),
    "idx and zeros": (TRAIN_X, [idx(IMAGES["train"]), GB], "bytes after the last of 40"),
    "gz and zeros": (f"{TRAIN_X}.gz", [X, 10**8], None),
    "zeros and gz": (f"{TRAIN_X}.gz", [EMPTY, 10**8, X], None),
    "gz in two parts": (f"{TRAIN_X}.gz", [zipped(idx(IMAGES["train"])[:99]), EMPTY, 9,
                        zipped(idx(IMAGES["train"])[99:])], None),
    "gz and no gz": (f"{TRAIN_X}.gz", [X, b"hello"], "damaged"),
    "gz and empty parts": (f"{TRAIN_X}.gz", [X, EMPTY * 500_000], "more than 10,000 compressed"),
    "empty parts and gz": (f"{TRAIN_X}.gz", [EMPTY * 500_000, X], "starts with"),
    "gz and a bomb": (f"{TRAIN_X}.gz", [X, zipped(bytes(10**8))], "bytes after the last of 40"),
    "a bomb and gz": (f"{TRAIN_X}.gz", [zipped(bytes(10**8)), X], "starts with"),
    "npz, zeros": ("a.npz", [b"PK\3\4", GB], "damaged"),
    "npz, directory": (
        "a.npz",
        [b"PK\3\4", GB, struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, GB, 4, 0)],
        "a part of it has more than 1,048,576 bytes",
    ),
    "mat, zeros": ("a.mat", [GB], "starts with"),
    "mat, header and zeros": ("a.mat", [MAT[:128], GB], "damaged"),
    "mat, another variable": ("a.mat", [large_mat("junk"), GB], "no arrays of MNIST.* found junk"),
    "mat, another variable first": ("a.mat", [large_mat("junk"), GB, MAT[128:]], None),
    "mat, images": ("a.mat", [large_mat("training_data"), GB, LABELS_MAT], "1073741824, 1"),
    "mat, many variables": (
        "a.mat",
        [MAT[:128], mat(False, x=1)[128:] * 20_000],
        "more than 10,000 variables",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_files_cost_little(name, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MAX_LINES", 50_000)
    bad_name, content, reason = LARGE[name]
    if bad_name.startswith("train-"):
        write(tmp_path, {k: v for k, v in GOOD["idx"][0].items() if k != TRAIN_X})
    with (tmp_path / bad_name).open("wb") as file:
        for part in content:
            if isinstance(part, int):
                file.truncate(file.seek(part, 1))
            else:
                file.write(part)
    tracemalloc.start()
    start = time.perf_counter()
    if reason is None:
        np.testing.assert_array_equal(load(tmp_path)["X_train"][:, 0], IMAGES["train"])
    else:
        with pytest.raises(ValueError, match=rf"(?s){bad_name}.*({reason})"):
            load(tmp_path)
    duration, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert duration < 5
    assert peak < 12e6


@pytest.mark.parametrize("kind", ["idx", "csv", "npz", "mat", "mat, packed"])
def test_memory_is_a_small_multiple_of_the_images(kind, tmp_path):
    train, test = (np.tile(IMAGES[part], (80, 1, 1)) for part in ("train", "test"))
    labels = {part: np.tile(LABELS[part], 80) for part in LABELS}
    arrays = course_arrays(training_data=train, test_data=test, training_labels=labels["train"])
    files = {
        "idx": lambda: idx_files(images={"train": train, "test": test}, labels=labels),
        "csv": lambda: {"train.csv": csv(train, labels["train"]), "test.csv": csv(test)},
        "npz": lambda: {"mnist.npz": npz(**arrays)},
        "mat": lambda: {"mnist.mat": mat(False, **arrays)},
        "mat, packed": lambda: {"mnist.mat": mat(True, **arrays)},
    }[kind]()
    write(tmp_path, files)
    tracemalloc.start()
    load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * (train.nbytes + test.nbytes)
