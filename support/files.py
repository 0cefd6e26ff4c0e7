"""Files that are written atomically.

A path may begin with ~, which means the home folder. What cannot be opened or written is an OSError
that names the file.
"""

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from support.checks import as_path, check_choice


@contextmanager
def atomic_write(path, mode="wb", *, newline=None):
    """Open a file for writing that appears under its name when it is complete, or not at all.

    What is written goes to a temporary file in the same folder, which is flushed to disk and
    renamed at the end of the ``with`` block, or removed where the block raises. A file that is
    replaced passes on its permissions. What is no file but a pipe or a device is written to as it
    is. mode is 'wb', or 'w' for text in UTF-8.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "note.txt"), "w") as file:
    ...         _ = file.write("hello")
    ...     Path(folder, "note.txt").read_text()
    'hello'
    """
    check_choice("atomic_write", ("wb", "w"), mode=mode)
    path = as_path("atomic_write", path=path)
    options = {"newline": newline, "encoding": None if mode == "wb" else "utf-8"}
    exists = path.exists()
    if exists and not path.is_file():
        with path.open(mode, **options) as file:
            yield file
        return
    path = Path(os.path.realpath(path))  # a link stays a link
    if exists:
        path.open("rb+").close()  # which fails where the file is protected
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    # Until it has the permissions of the old file, nobody else may open the new one.
    temporary.touch(0o600 if exists else 0o666, exist_ok=False)
    try:
        with temporary.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if exists:
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
