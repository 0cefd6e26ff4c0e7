"""Finding, reading and splitting MNIST; writing the submission CSV.

``load_mnist`` is all that a notebook needs. How files are found and read is in `support.mnist`, how
they are downloaded in `support.download`.
"""

import os
import re
import warnings
from pathlib import Path

import numpy as np

from support.checks import as_path, check_choice, check_integer
from support.download import cached_mnist
from support.files import atomic_write
from support.mnist import FORMATS, find_mnist, read_npz
from support.process import print_escaped

DATASETS = Path(__file__).resolve().parent / "datasets"
SAMPLE = DATASETS / "mnist_sample.npz"
HEADERS = ("Id,Category", "ImageId,Label")


def load_mnist(data_dir=None, *, num_val=None, seed=0, download=True, verbose=True):
    """Find MNIST, check it, read it and split off a validation set.

    Looked at in this order: ``data_dir``, or else the folder that the environment variable
    MNIST_DIR names; the folder ``datasets`` beside this module; the download cache, filled from
    the internet where it is empty; the embedded sample of 5,000 digits. In a folder its own files
    count or, where no training set is among them, those of its subfolders and of theirs. Files of
    different folders or names are never mixed; a warning tells what lies there and is not used.

    Parameters
    ----------
    data_dir : str or path, optional
        Folder with MNIST as IDX files (gzipped or not), Kaggle's train.csv and test.csv, ``.npz``
        or ``.mat``. Files are recognised by their names.
    num_val : int, optional
        Number of validation images, taken from the training images, each class in proportion.
        Default: a tenth of the training images. 0 is allowed.
    seed : int, default 0
        Fixes which images are drawn for validation.
    download : bool, default True
        Whether the network may be used.
    verbose : bool, default True
        Print one line that says what was found and where, and show the progress of a download.

    Returns
    -------
    dict
        X_train, X_val, X_test: uint8 images of shape (N, 1, 28, 28), 0 is background.
        y_train, y_val, y_test: int64 labels of shape (N,), 0 to 9.
        Keys that the files cannot fill (y_test, and X_test too) are left out.

    Raises
    ------
    FileNotFoundError
        The folder asked for does not exist or holds no data, or there is none anywhere.
    ValueError
        A data file is damaged or its content unknown, there are several data sets in a folder, or
        an argument is out of range.

    Examples
    --------
    >>> data = load_mnist(num_val=100, download=False, verbose=False)
    >>> data["X_val"].shape, data["X_val"].dtype
    ((100, 1, 28, 28), dtype('uint8'))
    """
    data, where = _find(data_dir, download, verbose)
    X, y = data.pop("X_train"), data.pop("y_train")
    num_val = round(len(y) / 10) if num_val is None else num_val
    train, val = stratified_split(y, num_val, seed)
    data = {"X_train": X[train], "y_train": y[train], "X_val": X[val], "y_val": y[val], **data}
    if verbose:
        num_test = len(data.get("X_test", ()))
        sizes = f"{len(train):,} training, {num_val:,} validation, {num_test:,} test images"
        print_escaped(f"MNIST: {sizes} ({where})")
    return data


def stratified_split(y, num_val, seed):
    """Return the indices of training and validation images, both in the order of the file.

    Each class is represented in proportion and keeps at least one image for training; where num_val
    is too large for that, a warning says so.
    """
    y = _as_integers("stratified_split", "y", y)
    check_integer("stratified_split", 0, num_val=num_val, seed=seed)
    if num_val >= len(y):
        raise ValueError(
            f"stratified_split: num_val expected less than the {len(y)} of y, got {num_val}"
        )
    # Raw bits of PCG64 are the same in every version of NumPy; Generator's methods may change.
    keys = np.random.PCG64(int(seed)).random_raw(len(y))
    labels, counts = np.unique(y, return_counts=True)
    most = counts - 1
    if num_val > most.sum():
        most = counts
        message = f"stratified_split: num_val={num_val} leaves a class without a training image"
        warnings.warn(message, stacklevel=2)
    # Exact integers: each class gets the whole part of its share, and the largest remainders
    # (ties to the lower label) get one more until there are num_val.
    shares, remainders = np.divmod(counts * int(num_val), len(y))
    for _ in range(num_val - shares.sum()):
        best = np.argmax(np.where(shares < most, remainders, np.iinfo(np.int64).min))
        shares[best] += 1
        remainders[best] -= len(y)
    is_val = np.zeros(len(y), dtype=bool)
    for label, share in zip(labels, shares, strict=True):
        members = np.flatnonzero(y == label)
        is_val[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def save_submission(path, predictions, *, header="Id,Category", num_images=None, num_classes=10):
    """Write predicted labels as the CSV that Kaggle wants; it appears atomically.

    Parameters
    ----------
    path : str or path
        The file to write.
    predictions : array_like of int, shape (N,)
        Predicted label of each test image, in the order of the test images.
    header : {"Id,Category", "ImageId,Label"}, default "Id,Category"
        First line; Digit Recognizer wants the latter. Ids count from 1.
    num_images : int, optional
        The N that is expected.
    num_classes : int, default 10
        Labels are 0 to ``num_classes - 1``.

    Raises
    ------
    TypeError
        Predictions are not integers.
    ValueError
        Another shape, another number, a label out of range, an unknown header.

    See Also
    --------
    read_submission : Check a finished file.
    """
    check_choice("save_submission", HEADERS, header=header)
    check_integer("save_submission", num_classes=num_classes, num_images=num_images or 1)
    labels = _as_integers("save_submission", "predictions", predictions)
    if num_images is not None and len(labels) != num_images:
        raise ValueError(
            f"save_submission: predictions expected {num_images} labels, got {len(labels)}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"save_submission: predictions expected labels 0 to {num_classes - 1}, "
            f"got {labels.min()} to {labels.max()}"
        )
    with atomic_write(path, "w", newline="\n") as file:
        file.write(f"{header}\n")
        file.writelines(f"{i},{label}\n" for i, label in enumerate(labels, start=1))


def read_submission(path, num_images=None, *, num_classes=10):
    """Read a submission CSV and check it line by line.

    Parameters
    ----------
    path : str or path
        File with the header ``Id,Category`` or ``ImageId,Label``.
    num_images : int, optional
        Number of test images, where it is to be checked.
    num_classes : int, default 10
        Labels are 0 to ``num_classes - 1``.

    Returns
    -------
    ndarray of int64, shape (N,)
        The labels.

    Raises
    ------
    ValueError
        Names the file, the line and what is wrong with it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "submission.csv")
    ...     save_submission(path, [7, 2, 1], num_images=3)
    ...     read_submission(path, num_images=3)
    array([7, 2, 1])
    """
    path = as_path("read_submission", path=path)
    check_integer("read_submission", num_classes=num_classes, num_images=num_images or 1)
    # Bytes that are not UTF-8 match nothing: they are named too.
    text = path.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
    header, *lines = text.split("\n")
    if header not in HEADERS:
        raise ValueError(f"{path}, line 1: expected one of {HEADERS}, found {header!r:.50}")
    labels = []
    for i, line in enumerate(lines, start=1):
        number, _, label = line.partition(",")
        is_label = re.fullmatch("0|[1-9][0-9]{0,8}", label) and int(label) < num_classes
        if number != str(i) or not is_label:
            wanted = f"{i},label with a label of 0 to {num_classes - 1}"
            raise ValueError(f"{path}, line {i + 1}: expected {wanted}, found {line!r:.50}")
        labels.append(int(label))
    if not labels or num_images not in (None, len(labels)):
        raise ValueError(f"{path}: expected {num_images or 'some'} images, found {len(labels)}")
    return np.array(labels, dtype=np.int64)


def _as_integers(function, name, values):
    """Return the argument of that name as an array of integers of shape (N,)."""
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{function}: {name} expected shape (N,) with N > 0, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{function}: {name} expected integers, got {array.dtype}")
    return array


def _find(data_dir, download, verbose):
    """Return the data of the first place that has some, and how to call the place."""
    asked = data_dir if data_dir is not None else os.environ.get("MNIST_DIR") or None
    if asked is not None:
        folder = as_path("load_mnist", data_dir=asked)
        if found := find_mnist(folder, ignored=SAMPLE.name):
            return found
        what = "no MNIST in" if folder.is_dir() else "no folder"
        raise FileNotFoundError(f"load_mnist: {what} {asked}; looked for {FORMATS}")
    if found := find_mnist(DATASETS, ignored=SAMPLE.name):
        return found
    folder, reason = cached_mnist(download, verbose)
    if folder:
        return find_mnist(folder)
    if not SAMPLE.exists():
        raise FileNotFoundError(
            f"load_mnist: no MNIST in {DATASETS}, no download, as {reason}, and no "
            f"embedded sample {SAMPLE.name}; see datasets/README.md"
        )
    where = f"the embedded sample, as {reason}; for full MNIST see datasets/README.md"
    return read_npz(SAMPLE), where
