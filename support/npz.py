"""Files that are written whole or not at all, and .npz files that are read without trust.

Nothing is ever pickled or unpickled: an .npz file holds plain arrays, and one text in JSON for all
that is no array. What cannot be written or opened is an OSError; a file that is damaged, or is
something else, is a ValueError.
"""

import glob
import io
import json
import math
import os
import secrets
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

INFO = "info"  # the member of an .npz file that holds the JSON
LEFTOVER_AGE = 3600  # seconds after which a temporary file is that of a killed process
HEADER_BYTES = 2**14  # more than the header of a .npy member can need


@contextmanager
def atomic_write(path, mode="wb", *, newline=None):
    """Open a file for writing that appears under its name whole, or not at all.

    What is written goes to a temporary file in the same folder, which is flushed to disk and
    renamed at the end of the ``with`` block, or removed where the block raises. One that a killed
    process has left is removed by a later call. mode is 'wb', or 'w' for text in UTF-8.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "note.txt"), "w") as file:
    ...         _ = file.write("hello")
    ...     Path(folder, "note.txt").read_text()
    'hello'
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(FileNotFoundError):  # another process has just renamed or removed it
            if time.time() - leftover.stat().st_mtime > LEFTOVER_AGE:
                leftover.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    encoding = None if "b" in mode else "utf-8"
    file = temporary.open(mode.replace("w", "x"), newline=newline, encoding=encoding)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_header(archive, member):
    """Shape and dtype that a ``.npy`` member of a ZipFile announces; its numbers are not read."""
    info = archive.getinfo(member)
    # zipfile bounds what it inflates by what is asked for, but not for bzip2 and lzma.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member}: expected stored or deflated")
    with archive.open(info) as file:
        head = io.BytesIO(file.read(HEADER_BYTES))  # a header's own length is not to be trusted
    if np.lib.format.read_magic(head) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(head)
    if info.file_size != head.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member}: {info.file_size} bytes, but announces {dtype} {shape}")
    return shape, dtype


def read_member(archive, member):
    """The array in a ``.npy`` member of a ZipFile."""
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def save_npz(path, info, arrays):
    """Write arrays by name, and a dict in JSON, with plain numbers and lists for those of NumPy."""
    text = np.frombuffer(json.dumps(info, default=lambda value: value.tolist()).encode(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, **{INFO: text}, **arrays)


def load_npz(path, what, max_bytes):
    """Read info and arrays that `save_npz` wrote, max_bytes of them at most.

    what says in errors what the file should be: 'a checkpoint'.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.namelist()
                headers = [read_header(archive, member) for member in members]
                size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers)
                if size > max_bytes:
                    raise ValueError(f"it holds {size:,} bytes, at most {max_bytes:,} are expected")
                arrays = {m.removesuffix(".npy"): read_member(archive, m) for m in members}
            info = json.loads(arrays.pop(INFO).tobytes())
            if not isinstance(info, dict):
                raise ValueError(f"{INFO} is no JSON object")
        except Exception as error:  # whatever bytes of no meaning lead zipfile, NumPy and JSON to
            raise ValueError(f"{path} is damaged or not {what}: {error!r}") from error
    return info, arrays


def difference(there, here):
    """Which entry of two dicts differs first, for a message; None where all agree.

    >>> difference({"b1": 2}, {"W1": 3, "b1": 2})
    'W1 is absent there and 3 here'
    """
    for key in [*there, *here]:
        a, b = there.get(key, "absent"), here.get(key, "absent")
        if a != b:
            return f"{key} is {a} there and {b} here"
    return None
