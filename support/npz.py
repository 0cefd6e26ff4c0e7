"""Members of .npz files, whose headers are not to be trusted."""

import io
import math
import zipfile

import numpy as np

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
