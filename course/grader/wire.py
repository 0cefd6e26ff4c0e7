"""Questions and answers between the judge and a student's process, over two pipes.

A message is the length of what follows (4 bytes), and plain data as `isolation` packs it. What
comes from the other side is read without trust: any of it may be nonsense, and is then some
exception.
"""

import math
import os
import select
import struct
import time

from course.starter_tests.isolation import MAX_BYTES, pack, unpack

LENGTH = struct.Struct("<I")
PAUSE = 0.5  # seconds


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
        """Write a message; what cannot be packed is an error before anything is written."""
        packed = pack(message)
        data = memoryview(LENGTH.pack(len(packed)) + packed)
        while data:
            self._wait([], [self.writer])
            try:
                # A pipe that is ready takes this many bytes without waiting.
                data = data[os.write(self.writer, data[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                raise Closed from None

    def receive(self):
        """Read a message."""
        [length] = LENGTH.unpack(self._read(LENGTH.size))
        if length > 2 * MAX_BYTES:
            raise ValueError(f"a message of {length:,} bytes")
        return unpack(self._read(length))

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
