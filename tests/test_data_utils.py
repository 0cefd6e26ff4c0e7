"""Reading, checking and splitting MNIST files; writing and reading submissions."""

import gzip
import hashlib
import io
import os
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import data_utils
from data_utils import load_mnist, read_submission, save_submission

rng = np.random.default_rng(0)
IMAGES = {"train": rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)}
LABELS = {"train": np.arange(40) % 10, "test": np.arange(20) % 10}
IMAGES["test"] = IMAGES["train"][:20] // 2
STEMS = {"train": "train", "test": "t10k"}


def idx(array):
    array = np.asarray(array, dtype=np.uint8)
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


KAGGLE_NAMES = [f"pixel{i}" for i in range(784)]
GRID_NAMES = [f"{i}x{j}" for i in range(1, 29) for j in range(1, 29)]


def csv(images, labels=None, names=KAGGLE_NAMES):
    table = images.reshape(len(images), 784)
    if labels is not None:
        table, names = np.column_stack([labels, table]), ["label", *names]
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in table), ""]).encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def mat(do_compression=True, **arrays):
    scipy_io = pytest.importorskip("scipy.io")
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, arrays, do_compression=do_compression)
    return buffer.getvalue()


def idx_files(compress=bytes, suffix="", separator="-"):
    files = {}
    for part, stem in STEMS.items():
        files[f"{stem}-images{separator}idx3-ubyte{suffix}"] = compress(idx(IMAGES[part]))
        files[f"{stem}-labels{separator}idx1-ubyte{suffix}"] = compress(idx(LABELS[part]))
    return files


def course_arrays(**changes):
    arrays = {
        "training_data": IMAGES["train"],
        "training_labels": LABELS["train"],
        "test_data": IMAGES["test"],
    }
    return {**arrays, **changes}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def load(folder, **kwargs):
    return load_mnist(folder, **{"num_val": 0, "download": False, "verbose": False, **kwargs})


keras = npz(
    x_train=IMAGES["train"], y_train=LABELS["train"], x_test=IMAGES["test"], y_test=LABELS["test"]
)
kaggle = {"train.csv": csv(IMAGES["train"], LABELS["train"]), "test.csv": csv(IMAGES["test"])}
GOOD = {  # name: (files, has test labels)
    "idx": (idx_files(), True),
    "idx.gz": (idx_files(gzip.compress, ".gz"), True),
    "idx.dots": (idx_files(separator="."), True),
    "idx in subfolders": ({f"raw/{k}/{k}": v for k, v in idx_files().items()}, None),
    "idx in a subfolder": ({f"raw/{k}": v for k, v in idx_files().items()}, True),
    "kaggle": ({**kaggle, "sample_submission.csv": b"ImageId,Label\n1,0\n"}, False),
    "csv": (
        {
            "mnist_train.csv": csv(IMAGES["train"], LABELS["train"], GRID_NAMES),
            "mnist_test.csv": csv(IMAGES["test"], LABELS["test"], GRID_NAMES),
        },
        True,
    ),
    "csv, quoted header, CRLF": (
        {
            "train.csv": csv(IMAGES["train"], LABELS["train"])
            .replace(b"label", b'\xef\xbb\xbf"label"')
            .replace(b"\n", b"\r\n"),
            "test.csv": kaggle["test.csv"],
        },
        False,
    ),
    "keras": ({"mnist.npz": keras, "readme.txt": b"hello", "other.npz": npz(a=1)}, True),
    "keras by content": ({"mnist.data": keras}, True),
    "course npz": ({"mnist.npz": npz(**course_arrays())}, False),
    "course npz of fractions": (
        {
            "mnist.npz": npz(
                training_data=IMAGES["train"].reshape(40, 784) / 255,
                training_labels=LABELS["train"].astype(np.float32)[:, None],
                test_data=(IMAGES["test"] / 255).astype(np.float16)[:, None],
            )
        },
        False,
    ),
    "mat": ({"mnist.mat": mat(**course_arrays())}, False),
    "mat of doubles": (
        {
            "mnist.mat": mat(
                False,
                training_data=IMAGES["train"].reshape(40, 784).astype(float),
                training_labels=LABELS["train"].astype(float),
                test_data=IMAGES["test"][..., None] / 255,
                unrelated="text",
            )
        },
        False,
    ),
}


@pytest.mark.parametrize("name", [name for name in GOOD if GOOD[name][1] is not None])
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


def test_idx_comes_before_other_formats(tmp_path):
    other = {"a.npz": npz(**course_arrays(training_labels=np.zeros(40)))}
    assert set(load(write(tmp_path, {**idx_files(), **other}))["y_train"]) == set(range(10))


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


@pytest.mark.parametrize("num_val", [0, 1, 7, 13, 25, 36])
@pytest.mark.parametrize("counts", [[4] * 10, [1, 2, 3, 4, 5, 6, 7, 8, 1, 0], [0] * 9 + [37]])
def test_split_is_stratified(num_val, counts):
    y = rng.permutation(np.repeat(np.arange(10), counts))
    train, val = data_utils.stratified_split(y, num_val, 3)
    assert len(val) == num_val
    assert sorted([*train, *val]) == list(range(len(y)))
    shares = np.bincount(y[val], minlength=10)
    assert (abs(shares - np.array(counts) * num_val / len(y)) < 1).all()


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
    ],
)
def test_bad_arguments(kwargs, error, match, tmp_path):
    with pytest.raises(error, match=f"load_mnist: {match}"):
        load(write(tmp_path, idx_files()), **kwargs)


# ------------------------------------------------------------------ damaged and hostile files


def changed(name, content, base=None):
    return {**(GOOD["idx"][0] if base is None else base), name: content}


def bad_npz(**changes):
    return {"mnist.npz": npz(**course_arrays(**changes))}


def pixel(value, dtype=float):
    images = IMAGES["train"].astype(dtype)
    images[3, 3, 3] = value
    return images


def raw_npz(member, compression=zipfile.ZIP_DEFLATED):
    """An npz whose training_data.npy has these bytes."""
    buffer = io.BytesIO(npz(training_labels=LABELS["train"]))
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        archive.writestr("training_data.npy", member)
    return {"mnist.npz": buffer.getvalue()}


def npy_header(text, version=b"\x01\x00", length=None):
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + version + size + text.encode()


def mat_bomb(inflated):
    """A mat file whose training_data promises 40 images and inflates to more than that."""
    content = mat(False, **course_arrays())
    size = struct.unpack_from("<I", content, 132)[0]
    body = zlib.compress(content[128 : 136 + size] + bytes(inflated))
    return content[:128] + struct.pack("<2I", 15, len(body)) + body + content[136 + size :]


TRAIN_X, TRAIN_Y = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 28, 28)
BILLION = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 784), }\n"
BAD = {  # name: (files, file to be named, reason)
    "idx cut": (changed(TRAIN_X, idx(IMAGES["train"])[:-1]), TRAIN_X, "1 bytes are missing"),
    "idx trailing": (changed(TRAIN_Y, idx(LABELS["train"]) + b"0"), TRAIN_Y, "bytes after"),
    "idx magic": (changed(TRAIN_X, b"\0\0\x0d\x03" + idx(IMAGES["train"])[4:]), TRAIN_X, "starts"),
    "idx empty": (changed(TRAIN_X, b""), TRAIN_X, "starts with b''"),
    "idx header only": (changed(TRAIN_X, HUGE[:9]), TRAIN_X, "damaged"),
    "idx no images": (changed(TRAIN_X, idx(np.zeros((0, 28, 28)))), TRAIN_X, r"\(0, 28, 28\)"),
    "idx 27 rows": (changed(TRAIN_X, idx(IMAGES["train"][:, 1:])), TRAIN_X, r"\(40, 27, 28\)"),
    "idx 2**31": (changed(TRAIN_X, HUGE), TRAIN_X, "2147483648 images|at most"),
    "idx.gz 2**31": (changed(TRAIN_X, gzip.compress(HUGE)), TRAIN_X, "at most"),
    "idx counts": (changed(TRAIN_Y, idx(LABELS["train"][1:])), TRAIN_Y, "40 images, but 39 labels"),
    "idx label 10": (changed(TRAIN_Y, idx([10] * 40)), TRAIN_Y, "labels 0 to 9"),
    "idx labels missing": ({TRAIN_X: idx(IMAGES["train"])}, TRAIN_X, "without labels"),
    "gz cut": (changed(TRAIN_X, gzip.compress(idx(IMAGES["train"]))[:-9]), TRAIN_X, "damaged"),
    "gz cut early": (changed(TRAIN_X, gzip.compress(idx(IMAGES["train"]))[:12]), TRAIN_X, "starts"),
    "gz bomb": (
        changed(TRAIN_X, gzip.compress(idx(IMAGES["train"]) + bytes(2 * 10**7), 1)),
        TRAIN_X,
        "bytes after",
    ),
    "csv header": ({"train.csv": b"PassengerId,Survived\n1,0\n"}, "train.csv", "starts with"),
    "csv header cut": ({"train.csv": kaggle["train.csv"][:500]}, "train.csv", "Kaggle's header"),
    "csv header only": (
        {"train.csv": kaggle["train.csv"].split(b"\n")[0]},
        "train.csv",
        r"\(0, 784",
    ),
    "csv header order": (
        {"train.csv": kaggle["train.csv"].replace(b"pixel7,pixel8,", b"pixel8,pixel7,")},
        "train.csv",
        "Kaggle's header",
    ),
    "csv row cut": ({"train.csv": kaggle["train.csv"][:-1000]}, "train.csv", "columns"),
    "csv short rows": (
        {"train.csv": kaggle["train.csv"].split(b"\n")[0] + b"\n1,2,3\n"},
        "train.csv",
        r"expected 1 rows of 785, found \(1, 3\)",
    ),
    "csv bytes": ({"train.csv": kaggle["train.csv"] + b"\xff\xfe"}, "train.csv", "codec"),
    "csv no number": ({"train.csv": csv(pixel("x", object), LABELS["train"])}, "train.csv", "'x'"),
    "csv nan": ({"train.csv": csv(pixel(np.nan, object), LABELS["train"])}, "train.csv", "'nan'"),
    "csv 256": ({"train.csv": csv(pixel(256, int), LABELS["train"])}, "train.csv", "'256'"),
    "csv -1": ({"train.csv": csv(pixel(-1, int), LABELS["train"])}, "train.csv", "'-1'"),
    "csv 1.5": ({"train.csv": csv(pixel(1.5, object), LABELS["train"])}, "train.csv", "1.5|float"),
    "csv label": ({"train.csv": csv(IMAGES["train"], LABELS["train"] + 1)}, "train.csv", "0 to 9"),
    "csv empty": ({"train.csv": b""}, "train.csv", "starts with b''"),
    "npz empty": ({"mnist.npz": b""}, "mnist.npz", "starts with b''"),
    "npz cut": ({"mnist.npz": keras[:-10]}, "mnist.npz", "damaged"),
    "npz text": ({"mnist.npz": b"hello"}, "mnist.npz", "starts with b'hello'"),
    "npz objects": (
        bad_npz(training_data=IMAGES["train"].astype(object)),
        "mnist.npz",
        "object|announces",
    ),
    "npz strings": (bad_npz(training_data=IMAGES["train"].astype(str)), "mnist.npz", "dtype <U3"),
    "npz complex": (bad_npz(training_data=IMAGES["train"] + 0j), "mnist.npz", "complex128"),
    "npz bool": (bad_npz(training_data=IMAGES["train"] > 0), "mnist.npz", "dtype bool"),
    "npz scalar": (bad_npz(training_data=3), "mnist.npz", r"shape \(\)"),
    "npz nan": (bad_npz(training_data=pixel(np.nan)), "mnist.npz", "found nan"),
    "npz inf": (bad_npz(training_data=pixel(np.inf)), "mnist.npz", "to inf"),
    "npz negative": (bad_npz(training_data=pixel(-1)), "mnist.npz", "found -1.0"),
    "npz 256": (bad_npz(training_data=pixel(256, np.int64)), "mnist.npz", "to 256"),
    "npz 1.5": (bad_npz(training_data=pixel(1.5)), "mnist.npz", "whole pixels"),
    "npz colour": (bad_npz(training_data=np.zeros((40, 3, 28, 28))), "mnist.npz", "3, 28, 28"),
    "npz labels 2-D": (
        bad_npz(training_labels=np.zeros((4, 10))),
        "mnist.npz",
        r"labels.*\(4, 10\)",
    ),
    "npz labels nan": (bad_npz(training_labels=np.full(40, np.nan)), "mnist.npz", "labels 0 to 9"),
    "npz labels 0.5": (bad_npz(training_labels=np.full(40, 0.5)), "mnist.npz", "labels 0 to 9"),
    "npz labels -1": (bad_npz(training_labels=np.full(40, -1)), "mnist.npz", "labels 0 to 9"),
    "npz counts": (bad_npz(training_labels=np.zeros(39)), "mnist.npz", "40 images, but 39 labels"),
    "npz no labels": ({"m.npz": npz(training_data=IMAGES["train"])}, "m.npz", "without labels"),
    "npz promise": (raw_npz(npy_header(BILLION)), "mnist.npz", "announces"),
    "npz bomb": (raw_npz(npy_header(BILLION) + bytes(2 * 10**7)), "mnist.npz", "announces"),
    "npz header bomb": (
        raw_npz(npy_header(" " * 2 * 10**7, b"\x02\x00", 2**32 - 1)),
        "mnist.npz",
        "EOF|header",
    ),
    "npz bzip2": (raw_npz(bytes(10**7), zipfile.ZIP_BZIP2), "mnist.npz", "stored or deflated"),
    "npz not npy": (raw_npz(b"hello, this is text"), "mnist.npz", "magic"),
    "mat empty": ({"mnist.mat": b""}, "mnist.mat", "starts with b''"),
    "mat text": ({"mnist.mat": b"hello"}, "mnist.mat", "starts with b'hello'"),
    "mat 7.3": ({"mnist.mat": b"MATLAB 7.3 MAT-file".ljust(600)}, "mnist.mat", "-v7"),
    "mat cut": ({"mnist.mat": mat(**course_arrays())[:-9]}, "mnist.mat", "bytes are missing"),
    "mat cell": (
        {"mnist.mat": mat(**course_arrays(training_data=IMAGES["train"].astype(object)))},
        "mnist.mat",
        "real numbers",
    ),
    "mat complex": (
        {"mnist.mat": mat(**course_arrays(training_data=IMAGES["train"] + 1j))},
        "mnist.mat",
        "real numbers",
    ),
    "mat complex, plain": (
        {"mnist.mat": mat(False, **course_arrays(training_data=IMAGES["train"] + 1j))},
        "mnist.mat",
        "real numbers",
    ),
    "mat bomb": ({"mnist.mat": mat_bomb(2 * 10**7)}, "mnist.mat", "larger than it announces"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_named(name, tmp_path):
    files, bad_name, reason = BAD[name]
    write(tmp_path, files)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ValueError, match=rf"(?s)\A(?=.*{bad_name})(?=.*({reason}))"):
        load(tmp_path)
    duration, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert duration < 1
    assert peak < 12e6


@pytest.mark.parametrize("name", ["mnist.npz", "mnist.mat", "train.csv", TRAIN_X])
def test_folder_in_place_of_a_file(name, tmp_path):
    write(
        tmp_path, {} if name != TRAIN_X else {k: v for k, v in GOOD["idx"][0].items() if k != name}
    )
    (tmp_path / name).mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=str(tmp_path)):
        load(tmp_path)


FUZZED = {
    "idx": (TRAIN_X, GOOD["idx"][0]),
    "idx.gz": (f"{TRAIN_X}.gz", GOOD["idx.gz"][0]),
    "csv": ("train.csv", {"train.csv": kaggle["train.csv"]}),
    "npz": ("mnist.npz", {"mnist.npz": keras}),
    "mat": ("mnist.mat", GOOD["mat"][0]),
    "mat, plain": ("mnist.mat", {"mnist.mat": mat(False, **course_arrays())}),
}


def check_fuzzed(name, data, tmp_path):
    """Cut or with bytes changed: a ValueError that names it, or arrays of the promised kind."""
    bad_name, files = FUZZED[name]
    content = bytearray(files[bad_name])
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    # most changes go where headers are
    near = st.one_of(st.integers(0, 300), st.integers(-300, -1), st.integers(0, len(content)))
    for i, value in data.draw(st.lists(st.tuples(near, st.integers(0, 255)), max_size=4)):
        if -len(content) <= i < len(content):
            content[i] = value
    write(tmp_path, {**files, bad_name: bytes(content)})
    try:
        result = load(tmp_path)
    except FileNotFoundError:  # what is left has no name among the arrays that are looked for
        outcome = "npz" in name or "mat" in name
    except ValueError as error:
        outcome = bad_name in str(error)
    else:
        X, y = result["X_train"], result["y_train"]
        outcome = X.dtype == np.uint8 and len(X) == len(y) > 0 and y.min() >= 0 and y.max() <= 9
    assert outcome


@pytest.mark.parametrize("name", FUZZED)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_fuzzed_file_is_read_or_refused(name, data, tmp_path):
    check_fuzzed(name, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
@settings(max_examples=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_thousands_of_fuzzed_files(name, data, tmp_path):
    check_fuzzed(name, data, tmp_path)


@pytest.mark.parametrize("name", ["idx", "idx.gz", "npz"])
def test_any_cut_is_noticed(name, tmp_path):
    bad_name, files = FUZZED[name]
    write(tmp_path, files)
    content = files[bad_name]
    for length in [
        *range(40),
        *range(40, len(content), 997),
        *range(len(content) - 40, len(content)),
    ]:
        (tmp_path / bad_name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=bad_name):
            load(tmp_path)


# ------------------------------------------------------------------ atomic_write, submissions


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
    ],
)
def test_save_submission_refuses(predictions, kwargs, error, match, tmp_path):
    with pytest.raises(error, match=f"save_submission: .*{match}"):
        save_submission(tmp_path / "submission.csv", predictions, **kwargs)
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
