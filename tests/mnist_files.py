"""Small data sets as files of every format, for the tests that read them."""

import gzip
import io
import struct

import numpy as np
import scipy.io

from data_utils import load_mnist

rng = np.random.default_rng(0)
IMAGES = {"train": rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)}
IMAGES["test"] = IMAGES["train"][:20] // 2
LABELS = {"train": np.arange(40) % 10, "test": np.arange(20) % 10}


def idx(array, dtype="u1"):
    array = np.asarray(array, dtype)
    code = {"u1": 8, ">i4": 12}[dtype]
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + shape + array.tobytes()


def csv(images, labels=None, names=None):
    table = images.reshape(len(images), 784)
    names = names or [f"pixel{i}" for i in range(784)]
    if labels is not None:
        table, names = np.column_stack([labels, table]), ["label", *names]
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in table), ""]).encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def mat(do_compression=True, **arrays):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=do_compression)
    return buffer.getvalue()


def gz(content):
    return gzip.compress(content, 1)


def idx_files(prefix="", suffix="", pack=bytes, images=IMAGES, labels=LABELS):
    files = {}
    for part, stem in ("train", "train"), ("test", "t10k"):
        files[f"{prefix}{stem}-images-idx3-ubyte{suffix}"] = pack(idx(images[part]))
        files[f"{prefix}{stem}-labels-idx1-ubyte{suffix}"] = pack(idx(labels[part]))
    return files


def csv_files(prefix="", suffix="", pack=bytes, images=IMAGES, labels=LABELS, names=None):
    """Files like Kaggle's, with labels of the test images too."""
    files = {part: csv(images[part], labels[part], names) for part in images}
    return {f"{prefix}{part}.csv{suffix}": pack(content) for part, content in files.items()}


def keras(images=IMAGES, labels=LABELS):
    arrays = {f"x_{part}": images[part] for part in images}
    return arrays | {f"y_{part}": labels[part] for part in labels}


def course(images=IMAGES, labels=LABELS, **changes):
    arrays = {"training_data": images["train"], "training_labels": labels["train"]}
    return {**arrays, "test_data": images["test"], **changes}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def load(folder, **kwargs):
    return load_mnist(folder, **{"num_val": 0, "download": False, "verbose": False, **kwargs})
