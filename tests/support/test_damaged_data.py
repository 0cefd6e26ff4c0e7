"""Damaged and hostile data files: each is read or refused by name, at little cost."""

import gzip
import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mnist_files import (
    GOOD,
    IMAGES,
    LABELS,
    course_arrays,
    csv,
    idx,
    kaggle,
    keras,
    load,
    mat,
    npz,
    write,
)


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
