"""Finding, checking, reading and splitting MNIST; writing the submission CSV.

``load_mnist`` is all that a notebook needs. Below it, each file format is a function that turns a
file into *sources*: arrays that are announced (shape, dtype) before they are read, so that a
damaged or hostile file is refused before it costs memory or time.
"""

import functools
import gzip
import hashlib
import io
import math
import os
import re
import struct
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from checks import check_whole
from npz import atomic_write, read_header, read_member

DATASETS = Path(__file__).resolve().parent / "datasets"
SAMPLE = DATASETS / "mnist_sample.npz"
FORMATS = "IDX files (gzipped or not), Kaggle's train.csv and test.csv, .npz, .mat"
# Names of arrays in npz and mat files: those of Keras, and those of course files.
KEYS = {
    "x_train": "X_train",
    "y_train": "y_train",
    "x_test": "X_test",
    "y_test": "y_test",
    "training_data": "X_train",
    "training_labels": "y_train",
    "test_data": "X_test",
    "test_labels": "y_test",
}
KINDS = ("IDX files", "CSV files", ".npz file", ".mat file")  # in the order of preference
IMAGE_SHAPES = ((784,), (28, 28), (1, 28, 28), (28, 28, 1))
# No array of a data file may be larger: 60,000 images of float64 are 359 MiB.
MAX_BYTES = 400 * 2**20

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
    "https://systemds.apache.org/assets/datasets/mnist/",
)
# Of the decompressed files: the mirrors compress them differently.
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
CACHE_DIR = None  # None: the user's cache folder, as pooch.os_cache knows it
PROBE_SECONDS = 4.0  # all mirrors together have this long to answer
GRACE_SECONDS = 10.0  # a download may take this long, and longer only
MIN_RATE = 20_000  # at this many bytes a second or more
MAX_DOWNLOAD = 16 * 2**20  # bytes; the largest of the four files has 9.9 MB


def load_mnist(data_dir=None, *, num_val=None, seed=0, download=True, verbose=True):
    """Find MNIST, check it, read it and split off a validation set.

    Looked at in this order: ``data_dir``, or else the folder that the environment variable
    MNIST_DIR names; the folder ``datasets`` beside this module; the download cache, filled from
    the internet where it is empty; the embedded sample of 5,000 digits. In a folder its files
    count, or where none of them is recognised, those of its subfolders.

    Parameters
    ----------
    data_dir : str or path, optional
        Folder with MNIST as IDX files (gzipped or not), Kaggle's train.csv and test.csv, ``.npz``
        or ``.mat``. Files are recognised by their content.
    num_val : int, optional
        Number of validation images, taken from the training images, each class in proportion.
        Default: a tenth of the training images.  0 is allowed.
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
        check_whole("load_mnist", 0, num_val=num_val)
    check_whole("load_mnist", 0, seed=seed)

    asked = data_dir if data_dir is not None else os.environ.get("MNIST_DIR") or None
    if asked is not None:
        found = _read_folder(Path(asked))
        if found is None:
            raise FileNotFoundError(f"load_mnist: no MNIST in {asked}; looked for {FORMATS}")
    else:
        found = _read_folder(DATASETS)
        if found is None:
            folder, reason = _cache(download, verbose)
            found = _read_folder(folder) if folder else None
        if found is None:
            if not SAMPLE.exists():
                raise FileNotFoundError(
                    f"load_mnist: no MNIST in {DATASETS}, no download, as {reason}, and no "
                    f"embedded sample {SAMPLE.name}; see datasets/README.md"
                )
            with _naming(SAMPLE):
                sources = _npz_sources(SAMPLE)
            where = f"the embedded sample, as {reason}; for full MNIST see datasets/README.md"
            found = _read(sources), where
    data, where = found

    X, y = data.pop("X_train"), data.pop("y_train")
    num_val = round(len(y) / 10) if num_val is None else num_val
    if num_val >= len(y):
        raise ValueError(
            f"load_mnist: num_val expected less than the {len(y)} training images, got {num_val}"
        )
    train, val = _stratified_split(y, num_val, seed)
    test = {key: data[key] for key in ("X_test", "y_test") if key in data}
    data = {"X_train": X[train], "y_train": y[train], "X_val": X[val], "y_val": y[val], **test}
    if verbose:
        sizes = (
            f"{len(train):,} training, {num_val:,} validation, {len(test.get('X_test', ())):,} test"
        )
        print(f"MNIST: {sizes} images ({where})")
    return data


def _stratified_split(y, num_val, seed):
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


# ------------------------------------------------------------------ files in general


class _Source(NamedTuple):
    """An array that a file announces and that has not been read yet."""

    path: Path
    shape: tuple
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@contextmanager
def _naming(path):
    """Turn whatever bad content raises into a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        if getattr(error, "filename", None):  # an OSError that names it: permissions and the like
            raise
        kind = "" if type(error) is ValueError else f"damaged ({type(error).__name__}): "
        raise ValueError(f"{path}: {kind}{error}") from error


def _read_folder(folder):
    """Return (data, where it was found), or None where no file is recognised."""
    for pattern in ("*", "*/*"):
        found = {kind: {} for kind in KINDS}
        for path in sorted(folder.glob(pattern)):
            # A hidden file may be another process's, half written.
            if path.name.startswith(".") or path.name == SAMPLE.name or not path.is_file():
                continue
            with _naming(path):
                kind, sources = _recognise(path)
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


def _recognise(path):
    """Return (kind of file, {key: source}); the dictionary is empty for files of other kinds."""
    with path.open("rb") as file:
        head = start = file.read(16)
        with suppress(OSError, EOFError, zlib.error):
            start = _decompressed(file).read(4)
    if start in (b"\0\0\x08\x01", b"\0\0\x08\x03"):
        return KINDS[0], _idx_sources(path)
    if re.match(rb'(\xef\xbb\xbf)?"?(label|pixel\d+|1x1)"?,', head):
        return KINDS[1], _csv_sources(path)
    if head.startswith(b"PK"):
        return KINDS[2], _npz_sources(path)
    if head.startswith(b"MATLAB"):
        return KINDS[3], _mat_sources(path)
    # A file that is named like data but holds something else is not passed over in silence.
    if re.search(r"idx[13].ubyte|\.npz$|\.mat$|^(train|test)\.csv$", path.name):
        raise ValueError(f"expected {FORMATS}, found a file that starts with {head!r}")
    return KINDS[0], {}


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
            with _naming(y.path):
                data[y_key] = _as_labels(_values(y))
        with _naming(X.path):
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
    for start in range(0, len(images), 1000):  # in pieces, to keep temporary arrays small
        piece = images[start : start + 1000]
        if not (piece.min() >= 0 and piece.max() <= 255):  # NaN fails both
            raise ValueError(f"expected pixels 0 to 255, found {piece.min()} to {piece.max()}")
        pixels = np.rint(piece * scale)
        if scale == 1 and not np.array_equal(pixels, piece):
            raise ValueError("expected whole pixels 0 to 255, or fractions 0 to 1")
        result[start : start + 1000] = pixels
    return result


# ------------------------------------------------------------------ the formats


def _decompressed(file):
    """Return a stream of the contents of an open binary file, gzipped or not."""
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_gzip else file


def _idx_sources(path):
    name = path.name.lower()
    role = "train" if "train" in name else "test" if "t10k" in name or "test" in name else None
    if role is None:
        return {}
    with path.open("rb") as file:
        header = _decompressed(file).read(16)
    ndim = header[3]
    shape = struct.unpack_from(f">{ndim}I", header, 4)
    read = functools.partial(_read_idx, path, 4 + 4 * ndim, shape)
    return {f"{'X' if ndim == 3 else 'y'}_{role}": _Source(path, shape, np.dtype(np.uint8), read)}


def _read_idx(path, offset, shape):
    array = np.empty(shape, dtype=np.uint8)
    rest = memoryview(array).cast("B")
    with path.open("rb") as file:
        stream = _decompressed(file)
        stream.read(offset)
        while len(rest):
            count = stream.readinto(rest[: 2**20])
            if count == 0:
                raise ValueError(f"truncated: {len(rest)} bytes are missing")
            rest = rest[count:]
        if stream.read(1):
            raise ValueError(f"bytes after the last of {shape[0]} items")
    return array


def _csv_sources(path):
    with path.open(encoding="utf-8-sig") as file:
        columns = file.readline(2**14).strip().replace('"', "").split(",")
    labelled = int(columns[0] == "label")
    pixels = [tuple(map(int, re.findall(r"\d+", column))) for column in columns[labelled:]]
    if len(pixels) != 784 or pixels != sorted(set(pixels)):
        raise ValueError("expected Kaggle's header: label (training only), pixel0 to pixel783")
    with path.open("rb") as file:
        num_rows = sum(1 for line in file if line.strip()) - 1

    @functools.cache
    def table():
        with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # old NumPy cuts 1.5 to 1 and only warns
            table = np.loadtxt(file, np.uint8, delimiter=",", comments=None, skiprows=1, ndmin=2)
        if table.shape != (num_rows, len(columns)):
            raise ValueError(f"expected {num_rows} rows of {len(columns)}, found {table.shape}")
        return table

    role = "train" if labelled and "test" not in path.name.lower() else "test"
    uint8 = np.dtype(np.uint8)
    sources = {f"X_{role}": _Source(path, (num_rows, 784), uint8, lambda: table()[:, labelled:])}
    if labelled:
        sources[f"y_{role}"] = _Source(path, (num_rows,), uint8, lambda: table()[:, 0])
    return sources


def _npz_sources(path):
    sources = {}
    with zipfile.ZipFile(path) as archive:
        for member in set(archive.namelist()) & {f"{name}.npy" for name in KEYS}:
            read = functools.partial(_read_npy, path, member)
            source = _Source(path, *read_header(archive, member), read)
            sources[KEYS[member.removesuffix(".npy")]] = source
    return sources


def _read_npy(path, member):
    with zipfile.ZipFile(path) as archive:
        return read_member(archive, member)


# Codes of number types in MAT files.
MAT_TYPES = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "bBhHiIfdqQ", strict=True))


def _mat_sources(path):
    """Walk a MAT 5.0 file: 128 bytes, then one element (type, size, data) for each variable.

    Not by SciPy, which (up to 1.17 at least) crashes the interpreter on some damaged files and
    does not bound what it inflates. Format: "MAT-File Format", The MathWorks, chapter 1.
    """
    content = path.read_bytes()
    order = "<" if content[126:128] == b"IM" else ">"
    if not content.startswith(b"MATLAB 5.0"):
        raise ValueError("expected MATLAB 5.0 format; in MATLAB, save it with -v7")
    sources, end = {}, 128
    while end < len(content):
        start = end
        kind, size = struct.unpack_from(f"{order}2I", content, start)
        end = start + 8 + size
        if end > len(content):
            raise ValueError(f"truncated: {end - len(content)} bytes are missing")
        is_compressed = kind == 15
        body = memoryview(content)[start + 8 * is_compressed : end]
        head = zlib.decompressobj().decompress(body, 2**10) if is_compressed else body[: 2**10]
        # A variable: its own tag, then flags, dimensions, name and values, each an element.
        _, at, _, end_of_flags = _mat_element(head, 8, order)
        flags = struct.unpack_from(f"{order}I", head, at)[0]
        _, at, size, end_of_dims = _mat_element(head, end_of_flags, order)
        shape = struct.unpack_from(f"{order}{size // 4}i", head, at)
        _, at, size, end_of_name = _mat_element(head, end_of_dims, order)
        key = KEYS.get(bytes(head[at : at + size]).decode("latin-1"))
        if key is None:
            continue
        kind, at, size, _ = _mat_element(head, end_of_name, order)
        # classes 6 to 15 are arrays of numbers; then bits for complex and logical ones
        if not 6 <= flags & 0xFF <= 15 or flags & 0xA00 or kind not in MAT_TYPES:
            raise ValueError(f"{key}: expected an array of real numbers")
        dtype = np.dtype(order + MAT_TYPES[kind])
        if size != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{key}: {size} bytes, but announces {dtype} {shape}")
        read = functools.partial(_read_mat, body, is_compressed, at, size, dtype, shape)
        sources[key] = _Source(path, shape, dtype, read)
    return sources


def _mat_element(buffer, start, order):
    """Return (type, where the data starts, its size, where the next element starts)."""
    kind, size = struct.unpack_from(f"{order}2I", buffer, start)
    if kind >> 16:  # up to 4 bytes of data are packed into the tag
        return kind & 0xFFFF, start + 4, kind >> 16, start + 8
    return kind, start + 8, size, start + 8 + size + -size % 8


def _read_mat(body, is_compressed, at, size, dtype, shape):
    if is_compressed:
        inflater = zlib.decompressobj()
        body = inflater.decompress(body, at + size + 64)  # 64: padding; the check sum is compared
        if not inflater.eof:
            raise ValueError("truncated, or larger than it announces")
    if len(body) < at + size:
        raise ValueError(f"truncated: {at + size - len(body)} bytes are missing")
    return np.frombuffer(body, dtype, math.prod(shape), at).reshape(shape, order="F")


# ------------------------------------------------------------------ download


def _cache(download, verbose):
    """Return (folder with the four genuine files, or None; the reason where it is None)."""
    import pooch

    folder = Path(CACHE_DIR or pooch.os_cache("mnist-numpy-homework"))
    missing = []
    for name in SHA256:
        with suppress(OSError), (folder / name).open("rb") as file:
            if _is_genuine(file, name):
                continue
            (folder / name).unlink()
        missing.append(name)
    if not missing:
        return folder, ""
    if not download:
        return None, "download=False"
    mirrors = _answering(missing[0])
    for mirror in mirrors:
        while missing:
            content = _get(mirror + missing[0], verbose)
            if not _is_genuine(io.BytesIO(content), missing[0]):
                break  # to the next mirror
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(folder / missing.pop(0)) as file:
                    file.write(content)
            except OSError as error:
                return None, f"the download cannot be stored ({error})"
    if missing:
        return None, "no mirror sent a genuine file" if mirrors else "no mirror answered"
    return folder, ""


def _is_genuine(file, name):
    """Compare the SHA-256 of the decompressed file."""
    digest, size = hashlib.sha256(), 0
    with suppress(OSError, EOFError, zlib.error):
        stream = _decompressed(file)
        while size < MAX_BYTES and (piece := stream.read(2**20)):
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest() == SHA256[name]
    return False


def _answering(name):
    """Return the mirrors that have the file, in their order, after PROBE_SECONDS at most."""
    import requests

    found = set()

    def probe(mirror):
        with suppress(Exception):  # whatever it is, this mirror is of no use
            if requests.head(mirror + name, timeout=PROBE_SECONDS, allow_redirects=True).ok:
                found.add(mirror)

    # In threads, as no timeout covers a name server that hangs, or many dead addresses of a host.
    deadline = time.monotonic() + PROBE_SECONDS
    threads = [threading.Thread(target=probe, args=[mirror], daemon=True) for mirror in MIRRORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return [mirror for mirror in MIRRORS if mirror in found]


class _Buffer(io.BytesIO):
    def write(self, piece):
        if self.tell() + len(piece) > MAX_DOWNLOAD:
            raise OSError("too large")
        return super().write(piece)


def _get(url, verbose):
    """Return what the server sends at MIN_RATE or faster (cut short where it fails)."""
    import pooch

    buffer = _Buffer()
    fetch = pooch.HTTPDownloader(progressbar=verbose, timeout=GRACE_SECONDS)

    def work():
        with suppress(Exception):  # a file that is not whole is found by its SHA-256
            fetch(url, buffer, None)

    # In a thread, as timeouts bound the wait for each byte, not for all of them.
    start = time.monotonic()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        if time.monotonic() - start > GRACE_SECONDS + buffer.tell() / MIN_RATE:
            break
        thread.join(0.1)
    content = buffer.getvalue()
    buffer.close()  # ends a thread that goes on: its next write fails
    return content


# ------------------------------------------------------------------ writing


HEADERS = ("Id,Category", "ImageId,Label")


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
    # Bytes that are not UTF-8, and lines cut at 100 characters, match nothing: they are named too.
    with open(path, encoding="utf-8", errors="replace") as file:
        line = file.readline(100).removesuffix("\n")
        if line not in HEADERS:
            raise ValueError(f"{path}, line 1: expected one of {HEADERS}, found {line!r}")
        for i, line in enumerate(iter(lambda: file.readline(100), ""), start=1):
            match = re.fullmatch(rf"{i},(0|[1-9][0-9]*)\n?", line)
            if match is None or int(match[1]) >= num_classes:
                wanted = f"{i},label with a label of 0 to {num_classes - 1}"
                raise ValueError(f"{path}, line {i + 1}: expected {wanted}, found {line!r}")
            labels.append(int(match[1]))
    if not labels or num_images not in (None, len(labels)):
        raise ValueError(f"{path}: expected {num_images or 'some'} images, found {len(labels)}")
    return np.array(labels, dtype=np.int64)
