"""CIFAR-10 by the functions that notebooks of cs231n call; and MNIST, `load_mnist`.

Read is the binary version of CIFAR-10, from the folder that the environment variable CIFAR10_DIR
names or from datasets/cifar-10-batches-bin. Its Python version is a pickle, which nothing here
reads. Images are float32, pixels from 0 to 255.
"""

import os
from pathlib import Path

import numpy as np

from data_utils import load_mnist
from support.checks import check_integer

FOLDER = Path(__file__).resolve().parents[3] / "datasets" / "cifar-10-batches-bin"
BINARY = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
TRAINING = [f"data_batch_{i}.bin" for i in range(1, 6)]
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the pixels of an image, (3, 32, 32)


def get_CIFAR10_data(num_training=49000, num_validation=1000, num_test=1000, subtract_mean=True):
    """Return a dict of X_train, y_train, X_val, y_val, X_test and y_test: images (N, 3, 32, 32).

    The mean training image is subtracted unless subtract_mean is false.
    """
    sizes = {"num_training": num_training, "num_validation": num_validation, "num_test": num_test}
    check_integer("get_CIFAR10_data", **sizes)
    folder = _folder()
    records, test = _read(folder, TRAINING), _read(folder, ["test_batch.bin"])
    parts = {
        "train": records[:num_training],
        "val": records[num_training : num_training + num_validation],
        "test": test[:num_test],
    }
    if [len(part) for part in parts.values()] != list(sizes.values()):
        raise ValueError(f"get_CIFAR10_data: {folder} holds fewer images than {sizes}")
    data = {}
    for name, part in parts.items():
        data[f"X_{name}"], data[f"y_{name}"] = _unpack(part)
    if subtract_mean:
        mean = data["X_train"].mean(axis=0)
        for name in parts:
            data[f"X_{name}"] -= mean
    return data


def load_CIFAR10(ROOT):
    """Return X_train, y_train, X_test, y_test of a folder: all images, (N, 32, 32, 3).

    Where the folder's name is that of the Python version, the binary one is read, from its folder.
    """
    folder = _folder() if Path(ROOT).name == "cifar-10-batches-py" else Path(ROOT)
    (X_train, y_train), (X_test, y_test) = (
        _unpack(_read(folder, names)) for names in (TRAINING, ["test_batch.bin"])
    )
    return X_train.transpose(0, 2, 3, 1), y_train, X_test.transpose(0, 2, 3, 1), y_test


def _folder():
    return Path(os.environ.get("CIFAR10_DIR", FOLDER)).expanduser()


def _read(folder, names):
    """Return the records of files, (N, RECORD) uint8."""
    records = []
    for path in (folder / name for name in names):
        if not path.is_file():
            raise FileNotFoundError(
                f"CIFAR-10: {path} is not there; only the binary version is read, which is at "
                f"{BINARY}, from the folder that CIFAR10_DIR names or {FOLDER}"
            )
        content = np.fromfile(path, np.uint8)
        if len(content) % RECORD or content[::RECORD].max(initial=0) > 9:
            raise ValueError(f"CIFAR-10: {path} is no file of the binary version")
        records.append(content.reshape(-1, RECORD))
    return np.concatenate(records)


def _unpack(records):
    """Return images (N, 3, 32, 32) and labels (N,)."""
    X = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
    return X, records[:, 0].astype(np.int64)
