"""Small data sets as files of every format, for the tests that read them."""

import gzip
import io
import struct

import numpy as np
import pytest

from data_utils import load_mnist

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


def idx_files(compress=bytes, suffix="", separator="-", images=IMAGES, labels=LABELS):
    files = {}
    for part, stem in STEMS.items():
        files[f"{stem}-images{separator}idx3-ubyte{suffix}"] = compress(idx(images[part]))
        files[f"{stem}-labels{separator}idx1-ubyte{suffix}"] = compress(idx(labels[part]))
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
    "idx in subfolders": ({f"raw/{k}/{k}": v for k, v in idx_files().items()}, True),
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
