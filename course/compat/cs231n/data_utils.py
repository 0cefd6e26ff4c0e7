"""CIFAR-10 by the function that notebooks of cs231n call; and MNIST, `load_mnist`."""

import os
from pathlib import Path

import numpy as np

from data_utils import load_mnist
from support.checks import check_integer

FOLDER = Path(__file__).resolve().parents[3] / "datasets" / "cifar-10-batches-bin"
TRAINING = [f"data_batch_{i}.bin" for i in range(1, 6)]
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the pixels of an image, (3, 32, 32)


def get_CIFAR10_data(num_training=49000, num_validation=1000, num_test=1000, subtract_mean=True):
    """X_train, y_train, X_val, y_val, X_test, y_test: images (N, 3, 32, 32) float32, labels (N,).

    Pixels are from 0 to 255, less the mean training image unless subtract_mean is false. Read is
    the binary version of CIFAR-10, from the folder that the environment variable CIFAR10_DIR names
    or from datasets/cifar-10-batches-bin. Its Python version is a pickle, which nothing here reads.
    """
    sizes = {"num_training": num_training, "num_validation": num_validation, "num_test": num_test}
    check_integer("get_CIFAR10_data", **sizes)
    folder = Path(os.environ.get("CIFAR10_DIR", FOLDER)).expanduser()
    records = np.concatenate([_read(folder / name) for name in TRAINING])
    parts = {
        "train": records[:num_training],
        "val": records[num_training : num_training + num_validation],
        "test": _read(folder / "test_batch.bin")[:num_test],
    }
    if [len(part) for part in parts.values()] != list(sizes.values()):
        raise ValueError(f"get_CIFAR10_data: {folder} holds fewer images than {sizes}")
    data = {}
    for name, part in parts.items():
        data[f"X_{name}"] = part[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)
        data[f"y_{name}"] = part[:, 0].astype(np.int64)
    if subtract_mean:
        mean = data["X_train"].mean(axis=0)
        for name in parts:
            data[f"X_{name}"] -= mean
    return data


def _read(path):
    """The records of a file, (N, RECORD) uint8."""
    if not path.is_file():
        raise FileNotFoundError(
            f"get_CIFAR10_data: {path} is not there; it takes the binary version of CIFAR-10 "
            "(data_batch_1.bin to data_batch_5.bin, test_batch.bin), from the folder that "
            "CIFAR10_DIR names or from datasets/cifar-10-batches-bin"
        )
    content = np.fromfile(path, np.uint8)
    if len(content) % RECORD or content[::RECORD].max(initial=0) > 9:
        raise ValueError(f"get_CIFAR10_data: {path} is no file of CIFAR-10's binary version")
    return content.reshape(-1, RECORD)
