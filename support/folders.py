"""Which files of a folder are one data set.

What belongs together has an *origin*: the files of one folder, of one kind, whose names differ only
in the words that say which part of the data is in which file. Nothing is taken from two origins.
"""

import re
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from support.formats import KINDS, part_of, recognise
from support.sources import naming, same_content

DEPTH = 3  # torchvision's MNIST/raw is found from the folder that it is in
MAX_FILES = 10_000  # in subfolders
TRAINING = {"X_train", "y_train"}
PART = re.compile(r"train(ing)?|test(ing)?|t10k|images?|imgs?|labels?")
FORMAT = re.compile(r"\b(idx\d?|ubyte|int|gz|csv|npz|mat)\b")


class Origin(NamedTuple):
    """What the files of one data set have in common."""

    folder: Path
    family: str
    kind: str
    names: int  # which of the names of arrays in .npz and .mat files


def find_data(folder, ignored):
    """Return (kind, {key: source}, folder) of the data set in a folder, or None.

    Its own files count or, where no training set is among them, those of its subfolders, and so
    on; a file of the name ``ignored`` does not. A warning tells what else lies there.
    """
    unused = []
    for files in _levels(folder):
        sets, damaged = _sets(folder, (path for path in files if path.name != ignored))
        complete = [origin for origin, found in sets.items() if found.keys() >= TRAINING]
        chosen = {}
        if complete:
            origin = _first(folder, sets, complete)
            chosen = sets.pop(origin)
            for path, reason in damaged.items():
                if _is_missed(folder, path, origin, chosen):
                    raise ValueError(reason)
            unused += _damaged_copies(chosen)
            if "y_test" in chosen and "X_test" not in chosen:
                unused.append(f"{chosen['y_test'][0]}: test labels without images")
        unused += [*damaged.values(), *(_describe(found) for found in sets.values())]
        if chosen:
            if unused:
                message = f"load_mnist: beside the data lies what is not used: {'; '.join(unused)}"
                warnings.warn(message, stacklevel=5)
            return origin.kind, {key: found[0] for key, found in chosen.items()}, origin.folder
    if unused:
        raise ValueError("; ".join(unused))
    return None


def _levels(folder):
    """The files of a folder, then those of its subfolders, and so on."""
    folders = [folder]
    for _ in range(DEPTH):
        files, subfolders = [], []
        for parent in folders:
            with suppress(OSError):  # no folder, or one of another user
                for path in sorted(parent.iterdir()):
                    # A hidden file may be another process's, half written.
                    if not path.name.startswith("."):
                        (subfolders if path.is_dir() else files).append(path)
            if parent != folder and len(files) > MAX_FILES:
                raise ValueError(f"{folder}: over {MAX_FILES:,} files; name MNIST's own folder")
        yield files
        folders = subfolders


def _sets(root, files):
    """Return ({origin: {key: sources of the same name}}, {path: what is wrong with the file})."""
    sets, damaged = {}, {}
    for path in files:
        try:
            with naming(path):
                recognised = recognise(path)
        except (OSError, ValueError) as error:
            damaged[path] = str(error)
            continue
        if recognised:
            kind, found = recognised
            for i, sources in enumerate(found):
                for key, source in sources.items():
                    origin = Origin(*_home(root, path), kind, i)
                    sets.setdefault(origin, {}).setdefault(key, []).append(source)
    return sets, damaged


def _home(root, path):
    """The folder that counts as that of a file, and what else must agree in the files' names."""
    folder, family = path.parent, _family(path.name)
    # Archive tools unpack a file into a folder of its own; train and test are such folders too.
    is_part = PART.search(folder.name.lower()) and _family(folder.name) in ("", family)
    if is_part and folder != root:
        folder = folder.parent
    return folder, family


def _family(name):
    """A name without the words that differ between the files of one data set.

    >>> _family("emnist-digits-train-images-idx3-ubyte.gz"), _family("train.csv")
    ('emnist digits', '')
    """
    words = re.sub("[^a-z0-9]+", " ", name.lower())
    return " ".join(FORMAT.sub(" ", PART.sub(" ", words)).split())


def _first(folder, sets, complete):
    """The origin that comes first; where several do, it is not known which is meant."""
    if len({origin.folder for origin in complete}) == 1:
        kind = min((origin.kind for origin in complete), key=KINDS.index)
        complete = [origin for origin in complete if origin.kind == kind]
    if len(complete) > 1:
        listed = "".join(
            f"\n- {o.kind} in {o.folder}: {_files(sets[o], o.folder)}" for o in complete
        )
        raise ValueError(f"{folder}: several data sets; keep one, or name its folder:{listed}")
    return complete[0]


def _is_missed(root, path, origin, chosen):
    """Whether a damaged file is the one that should hold the test set of an origin."""
    is_test = part_of(path.name) == "test" and _home(root, path) == origin[:2]
    is_label = "label" in path.name.lower()
    return is_test and ("X_test" not in chosen or (is_label and "y_test" not in chosen))


def _damaged_copies(found):
    """What is wrong with files that lie beside a good one of the same name; others are equal.

    torchvision keeps what it has downloaded, train-images-idx3-ubyte.gz, beside what is in it.
    """
    damaged = []
    copies = ((source.path, copy.path) for source, *rest in found.values() for copy in rest)
    for path, copy in dict.fromkeys(copies):
        try:
            is_same = same_content(path, copy)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            damaged.append(f"{copy}: damaged ({error})")
            continue
        if not is_same:
            raise ValueError(f"{path} and {copy} differ; keep one")
    return damaged


def _describe(found):
    if found.keys() >= TRAINING:
        return f"another data set, {_files(found)}"
    if "X_train" in found:
        return f"{found['X_train'][0]}: training images without labels"
    return f"no training images, only {_files(found)}"


def _files(found, folder=None):
    """The files of a data set, seen from a folder, with the names of arrays in them."""
    names = {}
    for source in (source for sources in found.values() for source in sources):
        path = source.path.relative_to(folder) if folder else source.path
        names.setdefault(path, []).append(source.name)
    return ", ".join(f"{p} ({', '.join(ns)})" if any(ns) else str(p) for p, ns in names.items())
