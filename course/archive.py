"""Zip files that hold the same bytes each time they are made from the same files."""

import io
import sys
import zipfile

from support.files import atomic_write
from support.process import print_escaped


def pack(contents, executable=()):
    """Return the bytes of a zip file of contents, bytes by name; a name that ends in / is a folder.

    Those that executable names may be run.
    """
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            member = zipfile.ZipInfo(name)  # dated to the zip format's first day
            member.create_system = 3  # Unix, whose permissions follow
            mode = 0o40755 if name.endswith("/") else 0o100755 if name in executable else 0o100644
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, contents[name])
    return file.getvalue()


def save(command, path, make):
    """Write what ``make()`` returns to a file, or end with one line that says what is wrong."""
    try:
        with atomic_write(path) as file:
            file.write(content := make())
    except (OSError, ValueError) as error:
        sys.exit(f"{command}: {' '.join(str(error).split())}")
    print_escaped(f"{path}: {len(content):,} bytes")
