"""The .npz files of arrays and JSON, read without trust.

Nothing is ever pickled or unpickled: an .npz file holds plain arrays, and one text in JSON for all
that is no array. What cannot be written or opened is an OSError; a file that is damaged, or is
something else, is a ValueError.
"""

import io
import json
import math
import zipfile

import numpy as np

from support.checks import as_path
from support.files import atomic_write, open_file

INFO = "info"  # the member of an .npz file that holds the JSON
# Its length: histories of 50,000 epochs. Parsed, lists of nothing take 25 times as much memory.
INFO_BYTES = 2**21
HEADER_BYTES = 2**14  # more than the header of a .npy member can need


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
    text = json.dumps(info, default=lambda value: value.tolist()).encode()
    if len(text) > INFO_BYTES:  # which `load_npz` would refuse
        raise ValueError(f"save_npz: info has {len(text):,} bytes of JSON, at most {INFO_BYTES:,}")
    with atomic_write(path) as file:
        np.savez(file, **{INFO: np.frombuffer(text, np.uint8)}, **arrays)


def load_npz(path, what, max_bytes):
    """Read info and arrays that `save_npz` wrote, max_bytes of them at most.

    what says in errors what the file should be: 'a checkpoint'.
    """
    with open_file(as_path("load_npz", path=path)) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                sizes = {}
                for member in archive.namelist():
                    shape, dtype = read_header(archive, member)
                    sizes[member.removesuffix(".npy")] = math.prod(shape) * dtype.itemsize
                size = sum(sizes.values())
                if size > max_bytes:
                    raise ValueError(f"it holds {size:,} bytes, at most {max_bytes:,} are expected")
                if sizes[INFO] > INFO_BYTES:
                    raise ValueError(f"{INFO} has {sizes[INFO]:,} bytes, at most {INFO_BYTES:,}")
                arrays = {name: read_member(archive, f"{name}.npy") for name in sizes}
            info = json.loads(arrays.pop(INFO).tobytes())
            if not isinstance(info, dict):
                raise ValueError(f"{INFO} is no JSON object")
        except Exception as error:  # whatever bytes of no meaning lead zipfile, NumPy and JSON to
            raise ValueError(f"{path} is damaged or not {what}: {error!r}") from error
    return info, arrays
