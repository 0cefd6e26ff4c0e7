"""Questions and answers between the judge and a student's process, over two pipes, no pickles.

A message is a value: None, numbers, texts, arrays of numbers, and lists and dicts of them. Anything
else is sent as the name of its type. It is written as the lengths of two parts (4 bytes each), a
text in JSON, and the arrays as an .npz file. What comes from the other side is read without trust:
any of it may be nonsense, and is then some exception.
"""

import io
import json
import math
import os
import select
import struct
import time
import zipfile

import numpy as np

LENGTHS = struct.Struct("<II")
MAX_BYTES = 2**22  # of one part of a message
LONGEST = 50  # characters of a type's name
PAUSE = 0.5  # seconds
HEADER_BYTES = 2**14  # more than the header of a .npy member can need


class Closed(Exception):
    """The other side has closed its pipe: its process has ended."""


class Late(Exception):
    """The other side has not answered in time."""


class Channel:
    """One end: reads messages from one file descriptor and writes them to another.

    All messages together may take as many seconds, or Late is raised; of a pause, where the machine
    stood still, only PAUSE of them count.
    """

    def __init__(self, reader, writer, seconds=math.inf):
        self.reader, self.writer = reader, writer
        self.left, self.now = seconds, time.monotonic()

    def send(self, message):
        """Write a message; one that is too large is a ValueError before anything is written."""
        text, packed = pack(message)
        data = memoryview(LENGTHS.pack(len(text), len(packed)) + text + packed)
        while data:
            self._wait([], [self.writer])
            try:
                # A pipe that is ready takes this many bytes without waiting.
                data = data[os.write(self.writer, data[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                raise Closed from None

    def receive(self):
        """Read a message."""
        lengths = LENGTHS.unpack(self._read(LENGTHS.size))
        if max(lengths) > MAX_BYTES:
            raise ValueError(f"a message has more than {MAX_BYTES:,} bytes")
        text, packed = (self._read(length) for length in lengths)
        return unpack(text, packed)

    def _read(self, size):
        data = bytearray()
        while len(data) < size:
            self._wait([self.reader], [])
            piece = os.read(self.reader, size - len(data))
            if not piece:
                raise Closed
            data += piece
        return bytes(data)

    def _wait(self, readers, writers):
        ready = False
        while not ready:
            before, self.now = self.now, time.monotonic()
            self.left -= min(self.now - before, PAUSE)
            if self.left <= 0:  # also where the other side never stops sending
                raise Late
            ready = any(select.select(readers, writers, [], min(self.left, PAUSE / 2)))


def rehearse():
    """Send and receive once, so that all that this needs of Python's library is loaded."""
    reader, writer = os.pipe()
    channel = Channel(reader, writer)
    channel.send([np.zeros(1)])
    channel.receive()
    os.close(reader)
    os.close(writer)


def pack(message):
    """Return the two parts of a message as bytes."""
    arrays = {}
    text = json.dumps(_encode(message, arrays)).encode()
    np.savez(file := io.BytesIO(), **arrays)
    packed = file.getvalue()
    if max(len(text), len(packed)) > MAX_BYTES:
        raise ValueError(f"a message has more than {MAX_BYTES:,} bytes")
    return text, packed


def unpack(text, packed):
    """Return the message that has these parts."""
    return _decode(json.loads(text), _arrays(packed))


def _encode(value, arrays):
    if value is None or isinstance(value, bool | int | float | str):
        return {"json": value}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        if value.nbytes > MAX_BYTES:
            raise ValueError(f"an array of shape {value.shape} is too large")
        arrays[f"a{len(arrays)}"] = np.asarray(value)
        return {"array": f"a{len(arrays) - 1}"}
    if isinstance(value, dict):
        return {"dict": {str(key): _encode(item, arrays) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_encode(item, arrays) for item in value]}
    return {"other": type(value).__name__}


def _decode(value, arrays):
    [(key, content)] = value.items()
    if key == "json" and not isinstance(content, list | dict):
        return content
    if key == "array":
        return arrays[content]
    if key == "dict":
        return {name: _decode(item, arrays) for name, item in content.items()}
    if key == "list":
        return [_decode(item, arrays) for item in content]
    if key == "other":
        return type(content[:LONGEST], (), {})()  # a thing of that name
    raise ValueError(f"no value is of kind {key!r:.20}")


def _arrays(packed):
    """Return the arrays of an .npz file, whose members must be as large as they say."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"arrays have more than {MAX_BYTES:,} bytes")
        arrays = {}
        for member in members:
            _check_header(archive, member)
            with archive.open(member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _check_header(archive, member):
    """Check that a ``.npy`` member is as large as it announces, and holds numbers."""
    # zipfile bounds what it inflates by what is asked for, but not for bzip2 and lzma.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename}: expected stored or deflated")
    with archive.open(member) as file:
        head = io.BytesIO(file.read(HEADER_BYTES))  # a header's own length is not to be trusted
    if np.lib.format.read_magic(head) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(head)
    size = head.tell() + math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or member.file_size != size:
        raise ValueError(f"{member.filename}: {member.file_size} bytes of {dtype} {shape}")
