"""Files that are written whole or not at all, and arrays in .npz files that are read without trust.

Nothing is ever pickled or unpickled: an .npz file holds plain arrays, and one text in JSON for all
that is no array.
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


@contextmanager
def atomic_write(path, mode="wb", *, newline=None):
    """Open a file for writing that appears under its name whole, or not at all.

    What is written goes to a temporary file in the same folder, which is flushed to disk and
    renamed at the end of the ``with`` block, or removed where the block raises. One that a killed
    process has left is removed by a later call, an hour after.

    Parameters
    ----------
    path : str or path
        The file to create or to replace.
    mode : {'wb', 'w'}, default 'wb'
        Bytes, or text in UTF-8.
    newline : str, optional
        As of `open`.

    Yields
    ------
    file object
        Open for writing.

    Raises
    ------
    OSError
        The folder does not exist, the disk is full, and so on. A file of this name is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "note.txt"), "w") as file:
    ...         _ = file.write("hello")
    ...     Path(folder, "note.txt").read_text()
    'hello'
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    for left_over in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(FileNotFoundError):  # another process has just renamed or removed it
            if time.time() - left_over.stat().st_mtime > 3600:
                left_over.unlink()
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
    """What a member of an .npz file announces, without reading its numbers.

    Parameters
    ----------
    archive : zipfile.ZipFile
    member : str
        Its name with the suffix ``.npy``.

    Returns
    -------
    shape : tuple of int
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        If it is no array, or its size is not the one that it announces.
    """
    info = archive.getinfo(member)
    # zipfile bounds what it inflates by what is asked for, but not for bzip2 and lzma.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member}: expected stored or deflated")
    with archive.open(info) as file:
        head = io.BytesIO(file.read(2**14))  # a header's own length is not to be trusted
    if np.lib.format.read_magic(head) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(head)
    if info.file_size != head.tell() + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member}: {info.file_size} bytes, but announces {dtype} {shape}")
    return shape, dtype


def read_member(archive, member):
    """An array of an .npz file.

    Parameters
    ----------
    archive : zipfile.ZipFile
    member : str
        Its name with the suffix ``.npy``.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If it is damaged or holds objects.
    """
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def save_npz(path, info, arrays):
    """Write arrays, and what describes them, into one file.

    Parameters
    ----------
    path : str or path
        Replaced, once the new file is whole and on the disk.
    info : dict
        Anything that JSON can hold, and small arrays, which come back as lists.
    arrays : dict of str to ndarray
        By name, any but 'info'.

    Raises
    ------
    OSError
        The folder does not exist, the disk is full, and so on. A file of this name is unchanged.
    """
    text = np.frombuffer(json.dumps(info, default=np.ndarray.tolist).encode(), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, **{INFO: text}, **arrays)


def load_npz(path, what, max_bytes):
    """Read a file that `save_npz` wrote.

    Parameters
    ----------
    path : str or path
    what : str
        What the file should be, for messages: ``'a checkpoint'``.
    max_bytes : int
        The arrays may have so many bytes together; no more memory than that is used.

    Returns
    -------
    info : dict
    arrays : dict of str to ndarray

    Raises
    ------
    ValueError
        If the file is damaged, holds more, or is something else.
    OSError
        If it cannot be opened.
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
    """What first differs between what a file describes and what it is to be loaded into.

    Parameters
    ----------
    there, here : dict

    Returns
    -------
    str or None
        For a message, ``'W1 is absent there and (2, 3) here'``; None where all agree.
    """
    for key in [*there, *here]:
        a, b = there.get(key, "absent"), here.get(key, "absent")
        if a != b:
            return f"{key} is {a} there and {b} here"
    return None
