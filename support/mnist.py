"""Finding MNIST in a folder, and reading it: IDX, CSV, .npz and .mat files.

A *set* is what belongs together: {"X_train": (file, array), "y_train": ..., "X_test": ...,
"y_test": ...}, from the files of one folder and one format whose names differ only in the words
that say which part of the data is in which file. Nothing is taken from two sets, and nothing is
unpickled. A file's name says what it should hold; where it does not, a ValueError names the file.
"""

import gzip
import re
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

FORMATS = "IDX files (gzipped or not), Kaggle's train.csv and test.csv, .npz, .mat"
DEPTH = 3  # torchvision's MNIST/raw is found from the folder that it is in
# An IDX file begins with two zeros, the code of its dtype and its number of dimensions.
IDX = {b"\0\0\x08\x03": ("X", "u1"), b"\0\0\x08\x01": ("y", "u1"), b"\0\0\x0c\x02": ("y", ">i4")}
QMNIST_COLUMNS = 8  # of its labels, of which the first is the digit
IMAGE_SHAPES = ((784,), (28, 28), (1, 28, 28), (28, 28, 1))
KEYS = ("X_train", "y_train", "X_test", "y_test")
NAMES = {  # of arrays in .npz and .mat files
    "with Keras' names": ("x_train", "y_train", "x_test", "y_test"),
    "with course names": ("training_data", "training_labels", "test_data", "test_labels"),
}
# The words in which the names of the files of one set differ.
WORDS = re.compile(r"train(ing)?|test(ing)?|t10k|images?|labels?|\b(idx\d|ubyte|int|csv|gz)\b")


def find_mnist(folder, ignored=None):
    """Return (data, where it was found) of the one set with labelled training images, or None.

    A folder's own files count or, where no such set is among them, those of its subfolders, and so
    on; a file of the name ``ignored`` does not. A warning tells what is not used.
    """
    unused = []
    for depth in range(DEPTH):
        sets, problems = _read_sets(folder, depth, ignored)
        complete = [key for key, found in sets.items() if {"X_train", "y_train"} <= found.keys()]
        if len(complete) > 1:
            listed = "".join(f"\n- {_paths(sets[key])} {key[-1]}" for key in complete)
            raise ValueError(f"{folder}: several data sets; keep one, or name its folder:{listed}")
        if complete:
            chosen = sets.pop(complete[0])
            place, kind, family, _ = complete[0]
            if damaged := problems.pop((place, kind, family), None):
                raise ValueError("; ".join(damaged))
            if "y_test" in chosen and "X_test" not in chosen:
                unused.append(f"{chosen['y_test'][0]}: test labels without images")
        unused += ["; ".join(texts) for texts in problems.values()]
        unused += [f"no labelled training images, only {_paths(found)}" for found in sets.values()]
        if complete:
            if unused:
                message = f"load_mnist: beside the data lies what is not used: {'; '.join(unused)}"
                warnings.warn(message, stacklevel=4)
            with suppress(ValueError):  # it is not in the working directory
                place = place.resolve().relative_to(Path.cwd())
            return _checked(chosen), f"{kind} in {place}"
    if unused:
        raise ValueError("; ".join(unused))
    return None


def read_npz(path):
    """Return the data of an .npz file that holds all of it."""
    with _naming(path):
        found = {key: (path, array) for _, key, array in _npz(path)}
    return _checked(found)


def _read_sets(folder, depth, ignored):
    """Return ({(folder, kind, family, names of arrays): set}, {the first three: what is wrong}).

    A family is what the name of a file has beside the WORDS.
    """
    sets, problems = {}, {}
    for path, kind, read in _files(folder, depth):
        if path.name == ignored:
            continue
        words = re.sub("[^a-z0-9]+", " ", path.name.lower())
        origin = path.parent, kind, " ".join(WORDS.sub(" ", words).split())
        try:
            with _naming(path):
                for names, key, array in read(path):
                    found = sets.setdefault((*origin, names), {})
                    first, other = found.setdefault(key, (path, array))
                    if other is not array and not np.array_equal(other, array):
                        raise ValueError(f"differs from {first}; keep one of them")
        except ValueError as error:
            problems.setdefault(origin, []).append(str(error))
    return sets, problems


def _files(folder, depth):
    """Yield (path, kind, function that reads it) of each file so many folders below.

    Hidden files are left alone: another program may be writing them.
    """
    for path in sorted(folder.glob("*/" * depth + "*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        for kind, (pattern, read) in KINDS.items():
            if re.search(pattern, path.name.lower()) and not is_hidden and not path.is_dir():
                yield path, kind, read


def _paths(found):
    return ", ".join(dict.fromkeys(str(path) for path, _ in found.values()))


@contextmanager
def _naming(path):
    """Turn whatever bad content raises into a ValueError that names the file."""
    try:
        yield
    except Exception as error:
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise ValueError(f"{path}: {kind}{error}") from error


# ------------------------------------------------------------------ formats
# Each reader yields (names of the arrays, where there is a choice; key in a set; array).


def _open(path):
    """Open a file for reading bytes, decompressed where it is gzipped."""
    with open(path, "rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return (gzip.open if is_gzip else open)(path, "rb")


def _part(path):
    return "train" if "train" in path.name.lower() else "test"


def _idx(path):
    with _open(path) as file:
        content = bytearray(file.read())  # its arrays can be written to
    magic = bytes(content[:4])
    if magic not in IDX:
        raise ValueError(f"expected images or labels, found a file that starts with {magic!r}")
    axis, dtype = IDX[magic]
    shape = np.frombuffer(content, ">u4", count=magic[3], offset=4).tolist()
    array = np.frombuffer(content, dtype, offset=4 + 4 * len(shape)).reshape(shape)
    if shape[1:] == [QMNIST_COLUMNS]:
        array = array[:, 0]
    yield "", f"{axis}_{_part(path)}", array


def _csv(path):
    import pandas as pd

    with _open(path) as file:
        if not re.search(rb"[a-df-z]", file.readline(), re.IGNORECASE):  # 2.55e2 is a number
            file.seek(0)  # there is no header
        table = pd.read_csv(file, header=None, dtype=np.float32).to_numpy()
    if table.shape[1] not in (784, 785):
        raise ValueError(f"expected 784 pixels, after a label or not, found {table.shape[1]}")
    yield "", f"X_{_part(path)}", table[:, -784:]
    if table.shape[1] == 785:
        yield "", f"y_{_part(path)}", table[:, 0]


def _npz(path):
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        yield from _named(arrays)


def _mat(path):
    import scipy.io

    arrays = scipy.io.loadmat(path)
    yield from _named({name: arrays[name] for name in arrays if not name.startswith("__")})


def _named(arrays):
    if not any(set(arrays).intersection(names) for names in NAMES.values()):
        wanted = " or ".join(", ".join(names) for names in NAMES.values())
        raise ValueError(f"expected arrays {wanted}, found {', '.join(arrays)}")
    for which, names in NAMES.items():
        for key, name in zip(KEYS, names, strict=True):
            if name in arrays:
                yield which, key, np.asarray(arrays[name])


def _other(path):
    raise ValueError(f"expected {FORMATS}")


KINDS = {  # what the names of files have, and what reads them
    "IDX files": (r"(train|test|t10k).*idx\d[-.](ubyte|int)(\.gz)?$", _idx),
    "CSV files": (r"(?<![a-z])(train|test)\.csv(\.gz)?$", _csv),
    ".npz file": (r"\.npz$", _npz),
    ".mat file": (r"\.mat$", _mat),
    # In these, others keep MNIST: they are not passed over in silence.
    "others": (
        r"\.(npy|pkl|pickle|pt|h5|parquet|zip|tar|tgz|7z|bz2|xz|(npz|pkl|tar)\.gz)$",
        _other,
    ),
}


# ------------------------------------------------------------------ values


def _checked(found):
    """Return the arrays of a set as uint8 images (N, 1, 28, 28) and int64 labels (N,)."""
    data, white = {}, 1  # pixels of which nothing is known but 0 and 1 are fractions
    for part in "train", "test":
        if f"X_{part}" in found:
            path, images = found[f"X_{part}"]
            with _naming(path):
                data[f"X_{part}"], white = _as_images(images, white)
            if f"y_{part}" in found:
                path, labels = found[f"y_{part}"]
                with _naming(path):
                    data[f"y_{part}"] = _as_labels(labels, len(images))
    return data


def _as_images(array, white):
    """Return images with pixels from 0 to 255, and the number that stands for white in the file.

    That is 255 where a value is above 1, and 1 where there are fractions. An array of 0 and 1 alone
    fits both: it keeps the ``white`` that is given.
    """
    if array.dtype.kind not in "uif" or array.shape[1:] not in IMAGE_SHAPES or not array.size:
        raise ValueError(f"expected images of MNIST, found {array.dtype} of shape {array.shape}")
    low, high = array.min(), array.max()
    if high > 1:
        white = 255
    elif array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        white = 1
    if not (low >= 0 and high <= white):  # NaN fails both
        raise ValueError(f"expected pixels 0 to {white}, found {low} to {high}")
    pixels = array if white == 255 else np.rint(array * 255.0)
    images = pixels.astype(np.uint8, order="C", copy=False)
    if not np.array_equal(images, pixels):
        raise ValueError("expected whole pixels 0 to 255, or fractions 0 to 1")
    return images.reshape(-1, 1, 28, 28), white


def _as_labels(array, num_images):
    if array.shape not in ((num_images,), (num_images, 1), (1, num_images)):
        raise ValueError(f"{num_images} images, but labels of shape {array.shape}")
    if array.dtype.kind not in "uif" or not np.isin(array, np.arange(10)).all():
        raise ValueError("expected labels 0 to 9")
    return array.ravel().astype(np.int64)
