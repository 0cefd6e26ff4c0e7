"""Calls between the judge and a student's process: arrays and JSON over two pipes, no pickles.

Each side may call functions of the other by name. Numbers, texts, None, arrays and dicts of them
are sent; of a tuple that a function returns, each item by itself. Everything else, such as a cache
or a network, stays where it is: the other side gets a `Remote`, which it may hand back.

A message is the lengths of its two parts (4 bytes each), a text in JSON, and the arrays as an .npz
file. What comes from the other side is read without trust: any of it may be nonsense, and is then
some exception. Each side bounds the size of a message and the number of objects that it keeps.
"""

import io
import json
import math
import os
import select
import struct
import time
import traceback
import zipfile

import numpy as np

LENGTHS = struct.Struct("<II")
MAX_BYTES = 2**20  # of one part of a message
MAX_KEPT = 200  # objects that one side keeps for the other
LONGEST = 500  # characters of an error's text
PAUSE = 0.5  # seconds
HEADER_BYTES = 2**14  # more than the header of a .npy member can need


class Remote:
    """An object that lives on the other side."""

    def __init__(self, number, kind):
        self.number, self.kind = number, kind


class RemoteError(Exception):
    """An exception on the other side: its type's name, its text, and where it was raised."""

    def __init__(self, kind, text, place):
        super().__init__(f"{kind}: {text}" + (f" ({place})" if place else ""))
        self.kind, self.text, self.place = kind, text, place


class Closed(Exception):
    """The other side has closed its pipe: its process has ended."""


class Late(Exception):
    """The other side has not answered in time."""


class Channel:
    """One end: reads messages from one file descriptor and writes them to another.

    functions(name) is the function of that name that the other side may call. All calls together
    may take as many seconds, or Late is raised; of a pause, where the machine stood still, only
    PAUSE of them count.
    """

    def __init__(self, reader, writer, functions, seconds=math.inf):
        self.reader, self.writer, self.functions = reader, writer, functions
        self.left, self.now = seconds, time.monotonic()
        self.kept = []

    def call(self, name, *args, **kwargs):
        """The result of a function of the other side, or a RemoteError."""
        arrays = {}
        message = {
            "call": name,
            "args": [self._encode(value, arrays) for value in args],
            "kwargs": {key: self._encode(value, arrays) for key, value in kwargs.items()},
        }
        self._send(message, arrays)
        while True:
            message, arrays = self._receive()
            if "call" in message:
                self._answer(message, arrays)
            elif "error" in message:
                raise RemoteError(*(str(text)[:LONGEST] for text in message["error"]))
            elif "items" in message:
                return tuple(self._decode(item, arrays) for item in message["items"])
            else:
                return self._decode(message["result"], arrays)

    def serve(self):
        """Answer calls until the other side closes its pipe."""
        while True:
            try:
                message, arrays = self._receive()
            except Closed:
                return
            self._answer(message, arrays)

    def _answer(self, message, arrays):
        try:
            function = self.functions(message["call"])
            args = [self._decode(value, arrays) for value in message["args"]]
            kwargs = {key: self._decode(value, arrays) for key, value in message["kwargs"].items()}
            result = function(*args, **kwargs)
            arrays = {}
            if type(result) is tuple:
                answer = {"items": [self._encode(item, arrays) for item in result]}
            else:
                answer = {"result": self._encode(result, arrays)}
        except Exception as error:
            kind, text = type(error).__name__, str(error)
            if isinstance(error, RemoteError):  # one that this side had caused over there
                kind, text = error.kind, error.text
            answer, arrays = {"error": [kind, text[:LONGEST], _place(error)]}, {}
        self._send(answer, arrays)

    def _encode(self, value, arrays):
        if value is None or isinstance(value, bool | int | float | str):
            return {"json": value}
        if isinstance(value, Remote):
            return {"yours": value.number}
        if isinstance(value, np.dtype):
            return {"dtype": value.name}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
            name = f"a{len(arrays)}"
            arrays[name] = np.asarray(value)
            return {"array": name}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self._encode(item, arrays) for key, item in value.items()}}
        if isinstance(value, list) and all(_is_plain(item) for item in value):
            return {"json": value}
        if len(self.kept) == MAX_KEPT:
            raise ValueError(f"more than {MAX_KEPT} objects were returned")
        self.kept.append(value)
        return {"mine": len(self.kept) - 1, "kind": type(value).__name__}

    def _decode(self, value, arrays):
        [(key, content), *rest] = value.items()
        if key == "json":
            return content
        if key == "array":
            return arrays[content]
        if key == "dtype":
            return np.dtype(content)
        if key == "dict":
            return {name: self._decode(item, arrays) for name, item in content.items()}
        if key == "mine":
            return Remote(int(content), str(dict(rest).get("kind"))[:LONGEST])
        if key == "yours" and content >= 0:
            return self.kept[content]
        raise ValueError(f"no value is of kind {key!r:.20}")

    def _send(self, message, arrays):
        np.savez(file := io.BytesIO(), **arrays)
        text, packed = json.dumps(message).encode(), file.getvalue()
        if max(len(text), len(packed)) > MAX_BYTES:
            raise ValueError(f"a message has more than {MAX_BYTES:,} bytes")
        data = memoryview(LENGTHS.pack(len(text), len(packed)) + text + packed)
        while data:
            self._wait([], [self.writer])
            try:
                # A pipe that is ready takes this many bytes without waiting.
                data = data[os.write(self.writer, data[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                raise Closed from None

    def _receive(self):
        lengths = LENGTHS.unpack(self._read(LENGTHS.size))
        if max(lengths) > MAX_BYTES:
            raise ValueError(f"a message has more than {MAX_BYTES:,} bytes")
        text, packed = (self._read(length) for length in lengths)
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("a message is no dict")
        return message, _unpack(packed)

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
    channel = Channel(reader, writer, None)
    channel._send({}, {"a": np.zeros(1)})
    channel._receive()
    os.close(reader)
    os.close(writer)
    _place(ValueError())


def _is_plain(value):
    """Whether JSON gives back a value as it is, lists in lists too."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _unpack(packed):
    """The arrays of an .npz file, whose members must be as large as they say."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"arrays have more than {MAX_BYTES:,} bytes")
        arrays = {}
        for member in members:
            _, dtype = _read_header(archive, member.filename)
            if dtype.kind not in "biufc":
                raise ValueError(f"an array of {dtype}")
            with archive.open(member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _read_header(archive, member):
    """Return the shape and dtype that a ``.npy`` member announces, without its numbers."""
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


def _place(error):
    """Where an exception was raised: the last line of a student's file on the way there."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f for f in frames if os.path.basename(os.path.dirname(f.filename)) == "student"]
    return f"{os.path.basename(lines[-1].filename)}, line {lines[-1].lineno}" if lines else ""
