"""Finding, reading and splitting MNIST; writing the submission CSV.

``load_mnist`` is all that a notebook needs. How files are read is in `support.formats`, how they
are downloaded in `support.download`.
"""

import math
import os
import re
from pathlib import Path

import numpy as np

from support.checks import check_integer
from support.download import cached_mnist
from support.formats import FORMATS, KINDS, naming, npz_sources, recognise
from support.npz import atomic_write

DATASETS = Path(__file__).resolve().parent / "datasets"
SAMPLE = DATASETS / "mnist_sample.npz"
IMAGE_SHAPES = ((784,), (28, 28), (1, 28, 28), (28, 28, 1))
# No array of a data file may be larger: 60,000 images of float64 are 359 MiB.
MAX_BYTES = 400 * 2**20
BATCH = 1000  # images that are converted at a time
HEADERS = ("Id,Category", "ImageId,Label")
LONGEST_LINE = 100  # characters of a line of a submission


def load_mnist(data_dir=None, *, num_val=None, seed=0, download=True, verbose=True):
    """Find MNIST, check it, read it and split off a validation set.

    Looked at in this order: ``data_dir``, or else the folder that the environment variable
    MNIST_DIR names; the folder ``datasets`` beside this module; the download cache, filled from
    the internet where it is empty; the embedded sample of 5,000 digits. In a folder its own files
    count or, where none of them is recognised, those of its subfolders.

    Parameters
    ----------
    data_dir : str or path, optional
        Folder with MNIST as IDX files (gzipped or not), Kaggle's train.csv and test.csv, ``.npz``
        or ``.mat``. Files are recognised by their content.
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
        A data file is damaged, or an argument is out of range.

    Examples
    --------
    >>> data = load_mnist(num_val=100, download=False, verbose=False)
    >>> data["X_val"].shape, data["X_val"].dtype
    ((100, 1, 28, 28), dtype('uint8'))
    """
    if num_val is not None:
        check_integer("load_mnist", 0, num_val=num_val)
    check_integer("load_mnist", 0, seed=seed)

    data, where = _find(data_dir, download, verbose)
    X, y = data.pop("X_train"), data.pop("y_train")
    num_val = round(len(y) / 10) if num_val is None else num_val
    if num_val >= len(y):
        raise ValueError(
            f"load_mnist: num_val expected less than the {len(y)} training images, got {num_val}"
        )
    train, val = stratified_split(y, num_val, seed)
    test = {key: data[key] for key in ("X_test", "y_test") if key in data}
    data = {"X_train": X[train], "y_train": y[train], "X_val": X[val], "y_val": y[val], **test}
    if verbose:
        sizes = (
            f"{len(train):,} training, {num_val:,} validation, {len(test.get('X_test', ())):,} test"
        )
        print(f"MNIST: {sizes} images ({where})")
    return data


def stratified_split(y, num_val, seed):
    """Return the indices of training and validation images, both in the order of the file."""
    # Raw bits of PCG64 are the same in every version of NumPy; Generator's methods may change.
    keys = np.random.PCG64(seed).random_raw(len(y))
    counts = np.bincount(y, minlength=10)
    # Exact integers: each class gets the whole part of its share, and the largest remainders
    # (ties to the lower label) get one more until there are num_val.
    shares, remainders = np.divmod(counts * num_val, len(y))
    shares[np.argsort(-remainders, kind="stable")[: num_val - shares.sum()]] += 1
    is_val = np.zeros(len(y), dtype=bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(y == label)
        is_val[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return np.flatnonzero(~is_val), np.flatnonzero(is_val)


def save_submission(path, predictions, *, header="Id,Category", num_images=None, num_classes=10):
    """Write predicted labels as the CSV that Kaggle wants; it appears whole or not at all.

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
    if header not in HEADERS:
        raise ValueError(f"save_submission: header expected one of {HEADERS}, got {header!r}")
    labels = np.asarray(predictions)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"save_submission: predictions expected shape (N,) with N > 0, got {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(f"save_submission: predictions expected integers, got {labels.dtype}")
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
    labels = []
    # Bytes that are not UTF-8, and longer lines, match nothing: they are named too.
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline(LONGEST_LINE).removesuffix("\n")
        if line not in HEADERS:
            raise ValueError(f"{path}, line 1: expected one of {HEADERS}, found {line!r}")
        for i, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
            match = re.fullmatch(rf"{i},(0|[1-9][0-9]*)\n?", line)
            if match is None or int(match[1]) >= num_classes:
                wanted = f"{i},label with a label of 0 to {num_classes - 1}"
                raise ValueError(f"{path}, line {i + 1}: expected {wanted}, found {line!r}")
            labels.append(int(match[1]))
    if not labels or num_images not in (None, len(labels)):
        raise ValueError(f"{path}: expected {num_images or 'some'} images, found {len(labels)}")
    return np.array(labels, dtype=np.int64)


# ------------------------------------------------------------------ reading a folder


def _find(data_dir, download, verbose):
    """The data of the first place that has some, and what to say of the place."""
    asked = data_dir if data_dir is not None else os.environ.get("MNIST_DIR") or None
    if asked is not None:
        if found := _read_folder(Path(asked)):
            return found
        raise FileNotFoundError(f"load_mnist: no MNIST in {asked}; looked for {FORMATS}")
    if found := _read_folder(DATASETS):
        return found
    folder, reason = cached_mnist(download, verbose)
    if folder and (found := _read_folder(folder)):
        return found
    if not SAMPLE.exists():
        raise FileNotFoundError(
            f"load_mnist: no MNIST in {DATASETS}, no download, as {reason}, and no "
            f"embedded sample {SAMPLE.name}; see datasets/README.md"
        )
    with naming(SAMPLE):
        sources = npz_sources(SAMPLE)
    where = f"the embedded sample, as {reason}; for full MNIST see datasets/README.md"
    return _read(sources), where


def _read_folder(folder):
    """Return (data, where it was found), or None where no file is recognised."""
    for pattern in ("*", "*/*"):
        found = {kind: {} for kind in KINDS}
        for path in sorted(folder.glob(pattern)):
            # A hidden file may be another process's, half written.
            if path.name.startswith(".") or path.name == SAMPLE.name or not path.is_file():
                continue
            with naming(path):
                kind, sources = recognise(path)
            for key, source in sources.items():
                found[kind].setdefault(key, source)
        for kind, sources in found.items():
            if "X_train" in sources:
                shown = folder.resolve()
                if shown.is_relative_to(Path.cwd()):
                    shown = shown.relative_to(Path.cwd())
                return _read(sources), f"{kind} in {shown}"
        others = sorted({str(s.path) for sources in found.values() for s in sources.values()})
        if others:
            raise ValueError(f"{folder}: no training images, only {', '.join(others)}")
    return None


def _read(sources):
    """Compare what is announced with what MNIST can be, then read and check the values."""
    data = {}
    for X_key, y_key in (("X_train", "y_train"), ("X_test", "y_test")):
        X, y = sources.get(X_key), sources.get(y_key)
        if X is None:
            continue
        if y is None and X_key == "X_train":
            raise ValueError(f"{X.path}: training images without labels")
        _check_announced(X, "images", tuple(X.shape[1:]) in IMAGE_SHAPES)
        if y is not None:
            num_labels = math.prod(y.shape)
            _check_announced(
                y, "labels", len(y.shape) <= 2 and num_labels == max(y.shape, default=0)
            )
            if num_labels != X.shape[0]:
                raise ValueError(
                    f"{X.path}: {X.shape[0]} images, but {num_labels} labels in {y.path}"
                )
            with naming(y.path):
                data[y_key] = _as_labels(_values(y))
        with naming(X.path):
            data[X_key] = _as_images(_values(X))
    return data


def _values(source):
    array = source.read()
    if array.shape != source.shape or array.dtype.kind not in "uif":
        raise ValueError(
            f"expected {source.dtype} {source.shape}, found {array.dtype} {array.shape}"
        )
    return array


def _check_announced(source, what, shape_is_good):
    path, shape, dtype, _ = source
    if not shape_is_good or min(shape) < 1:
        raise ValueError(f"{path}: expected {what} of MNIST, found an array of shape {shape}")
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise ValueError(f"{path}: expected {what} as numbers, found dtype {dtype}")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:
        raise ValueError(f"{path}: expected at most {MAX_BYTES:,} bytes, found {what} {shape}")


def _as_labels(array):
    if not np.isin(array, np.arange(10)).all():
        raise ValueError("expected labels 0 to 9")
    return array.ravel().astype(np.int64)


def _as_images(array):
    """Return pixels as uint8 (N, 1, 28, 28), without a copy where they have that type already."""
    images = array.reshape(-1, 1, 28, 28)
    if images.dtype == np.uint8:
        return images
    scale = 255 if images.dtype.kind == "f" and images.max() <= 1 else 1
    result = np.empty(images.shape, dtype=np.uint8)
    for start in range(0, len(images), BATCH):  # in pieces, to keep temporary arrays small
        piece = images[start : start + BATCH]
        if not (piece.min() >= 0 and piece.max() <= 255):  # NaN fails both
            raise ValueError(f"expected pixels 0 to 255, found {piece.min()} to {piece.max()}")
        pixels = np.rint(piece * scale)
        if scale == 1 and not np.array_equal(pixels, piece):
            raise ValueError("expected whole pixels 0 to 255, or fractions 0 to 1")
        result[start : start + BATCH] = pixels
    return result
