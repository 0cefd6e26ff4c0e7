"""Files that are written atomically, and read in pieces of a bounded size.

A path may begin with ~, which means the home folder. What cannot be opened, read or written is an
OSError that names the file.
"""

import errno
import glob
import io
import os
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from support.checks import as_path, check_choice

LEFTOVER_AGE = 3600  # seconds after which a temporary file is that of a killed process
PIECE = 2**20  # the most bytes that are asked for at a time


@contextmanager
def atomic_write(path, mode="wb", *, newline=None):
    """Open a file for writing that appears under its name whole, or not at all.

    What is written goes to a temporary file in the same folder, which is flushed to disk and
    renamed at the end of the ``with`` block, or removed where the block raises. One that a killed
    process has left is removed by a later call. A file that is replaced passes on its permissions.
    What is no file but a pipe or a device (/dev/stdout) is written to as it is. mode is 'wb', or
    'w' for text in UTF-8.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "note.txt"), "w") as file:
    ...         _ = file.write("hello")
    ...     Path(folder, "note.txt").read_text()
    'hello'
    """
    check_choice("atomic_write", ("wb", "w"), mode=mode)
    path = as_path("atomic_write", path=path)
    text = {"newline": newline, "encoding": None if mode == "wb" else "utf-8"}
    try:
        old = path.stat()
    except FileNotFoundError:
        old = descriptor = None
    else:
        descriptor = _descriptor(path)
    if descriptor is not None or (old and not stat.S_ISREG(old.st_mode)):
        # A copy of a descriptor shares its position: what is printed next comes behind this.
        with open(path if descriptor is None else os.dup(descriptor), mode, **text) as file:
            yield file
        return
    if old and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    path = Path(os.path.realpath(path))  # a link stays a link
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # Until it has the permissions of the old file, nobody else may open the new one.
    temporary.touch(0o600 if old else 0o666, exist_ok=False)
    try:
        with temporary.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if old:
            _pass_on(old, temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _descriptor(path):
    """The N where a path means a file that this process has open: /dev/stdout, /dev/fd/N."""
    while True:
        folder = os.path.realpath(path.parent)
        if folder in ("/dev/fd", f"/proc/{os.getpid()}/fd") and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(path))


def _remove_leftovers(path):
    """Remove what killed processes have left; one that cannot be removed does no harm."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):  # another process may have renamed or removed it just now
            if time.time() - leftover.stat().st_mtime > LEFTOVER_AGE:
                leftover.unlink()


def _pass_on(old, path):
    """Give a file the owner and the permissions of another, as far as the system allows."""
    with suppress(OSError, AttributeError):  # Windows has no chown
        os.chown(path, old.st_uid, old.st_gid)
    with suppress(OSError):  # some file systems know no permissions
        os.chmod(path, stat.S_IMODE(old.st_mode))


class _Pieces(io.BufferedReader):
    def read(self, size=-1):
        """As that of a file, but an error where it would return more than PIECE bytes."""
        data = super().read(PIECE + 1 if size is None or size < 0 else min(size, PIECE + 1))
        if len(data) > PIECE:
            raise ValueError(f"a part of it has more than {PIECE:,} bytes")
        return data


def open_file(path):
    """Open a file for reading bytes. A pipe or device, which may have no end, is a ValueError."""
    # Without O_NONBLOCK, opening a pipe waits until somebody writes to it.
    flag = getattr(os, "O_NONBLOCK", 0)
    raw = open(path, "rb", 0, opener=lambda name, flags: os.open(name, flags | flag))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        raw.close()
        raise ValueError(f"{path}: expected a file, found a pipe or a device")
    return _Pieces(raw)
