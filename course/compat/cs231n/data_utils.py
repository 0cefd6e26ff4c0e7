"""CIFAR-10 by the functions that notebooks of cs231n call; and MNIST, `load_mnist`.

Read is the binary version of CIFAR-10, from the folder that the environment variable CIFAR10_DIR
names or from datasets/cifar-10-batches-bin. Its Python version is a pickle, which nothing here
reads. Images are float32, pixels from 0 to 255.
"""

import os
from pathlib import Path

import numpy as np

from data_utils import load_mnist

FOLDER = Path(__file__).resolve().parents[3] / "datasets" / "cifar-10-batches-bin"
TRAINING = [f"data_batch_{i}.bin" for i in range(1, 6)]
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the pixels of an image, (3, 32, 32)


def get_CIFAR10_data(num_training=49000, num_validation=1000, num_test=1000, subtract_mean=True):
    """Return a dict of X_train, y_train, X_val, y_val, X_test and y_test: images (N, 3, 32, 32).

    The mean training image is subtracted unless subtract_mean is false.
    """
    sizes = {"num_training": num_training, "num_validation": num_validation, "num_test": num_test}
    X, y, X_test, y_test = _read(_folder())
    end = num_training + num_validation
    if end > len(X) or num_test > len(X_test):
        raise ValueError(f"get_CIFAR10_data: {_folder()} holds fewer images than {sizes}")
    data = {
        "X_train": X[:num_training], "y_train": y[:num_training],
        "X_val": X[num_training:end], "y_val": y[num_training:end],
        "X_test": X_test[:num_test], "y_test": y_test[:num_test],
    }  # fmt: skip
    if subtract_mean:
        mean = data["X_train"].mean(axis=0)
        for name in ("X_train", "X_val", "X_test"):
            data[name] -= mean
    return data


def load_CIFAR10(ROOT):
    """Return X_train, y_train, X_test, y_test of a folder: all images, (N, 32, 32, 3).

    Where the folder's name is that of the Python version, the binary one is read, from its folder.
    """
    is_python = Path(ROOT).name == "cifar-10-batches-py"
    X_train, y_train, X_test, y_test = _read(_folder() if is_python else Path(ROOT))
    return X_train.transpose(0, 2, 3, 1), y_train, X_test.transpose(0, 2, 3, 1), y_test


def _folder():
    return Path(os.environ.get("CIFAR10_DIR", FOLDER)).expanduser()


def _read(folder):
    """Return images (N, 3, 32, 32) and labels (N,), for training and of the test."""
    found = []
    for names in (TRAINING, ["test_batch.bin"]):
        records = np.concatenate([_records(folder / name) for name in names])
        images = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
        found += [images, records[:, 0].astype(np.int64)]
    return found


def _records(path):
    """Return the records of a file, (N, RECORD) uint8."""
    if not path.is_file():
        at = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
        raise FileNotFoundError(f"CIFAR-10: {path} is not there; the binary version is at {at}")
    content = np.fromfile(path, np.uint8)
    if len(content) % RECORD or content[::RECORD].max(initial=0) > 9:
        raise ValueError(f"CIFAR-10: {path} is no file of the binary version")
    return content.reshape(-1, RECORD)
