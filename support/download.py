"""MNIST from the internet: four files, verified and kept in a cache folder."""

import hashlib
import io
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

from support.files import PIECE, atomic_write
from support.sources import decompressed

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
    "https://systemds.apache.org/assets/datasets/mnist/",
)
# Of the decompressed files: the mirrors compress them differently.
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
CACHE_DIR = None  # None: the user's cache folder, as pooch.os_cache knows it
PROBE_SECONDS = 4.0  # all mirrors together have this long to answer
GRACE_SECONDS = 10.0  # a download may take this long, and longer only
MIN_RATE = 20_000  # at this many bytes a second or more
MAX_DOWNLOAD = 16 * 2**20  # bytes; the largest of the four files has 9.9 MB
MAX_CONTENT = 2**26  # bytes of a file when it is decompressed; the largest of the four has 47 MB


def cached_mnist(download, verbose):
    """Return (folder with the four genuine files, or None; the reason where it is None)."""
    folder = _cache_folder()
    if folder is None:
        return None, "there is no home folder for a download"
    missing = []
    for name in SHA256:
        with suppress(OSError), (folder / name).open("rb") as file:
            if _is_genuine(file, name):
                continue
            (folder / name).unlink()
        missing.append(name)
    if not missing:
        return folder, ""
    if not download:
        return None, "download=False"
    mirrors = _answering(missing[0])
    for mirror in mirrors:
        while missing:
            content = _get(mirror + missing[0], verbose)
            if not _is_genuine(io.BytesIO(content), missing[0]):
                break  # to the next mirror
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with atomic_write(folder / missing.pop(0)) as file:
                    file.write(content)
            except OSError as error:
                return None, f"the download cannot be stored ({error})"
    if missing:
        return None, "no mirror sent a genuine file" if mirrors else "no mirror answered"
    return folder, ""


def _cache_folder():
    """The user's cache folder; None for a user without a home, as containers have them."""
    import pooch

    if CACHE_DIR is not None:
        return Path(CACHE_DIR)
    with suppress(RuntimeError, KeyError, OSError):
        folder = pooch.os_cache("mnist-numpy-homework")
        return folder if folder.is_absolute() else None  # not ~, which would be made here
    return None


def _is_genuine(file, name):
    """Compare the SHA-256 of the decompressed file."""
    digest, size = hashlib.sha256(), 0
    with suppress(OSError, EOFError, zlib.error):
        stream = decompressed(file)
        while size < MAX_CONTENT and (piece := stream.read(PIECE)):
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest() == SHA256[name]
    return False


def _answering(name):
    """Return the mirrors that have the file, in their order, after PROBE_SECONDS at most."""
    import requests

    found = set()

    def probe(mirror):
        with suppress(Exception):  # whatever it is, this mirror is of no use
            if requests.head(mirror + name, timeout=PROBE_SECONDS, allow_redirects=True).ok:
                found.add(mirror)

    # In threads, as no timeout covers a name server that hangs, or many dead addresses of a host.
    deadline = time.monotonic() + PROBE_SECONDS
    threads = [threading.Thread(target=probe, args=[mirror], daemon=True) for mirror in MIRRORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return [mirror for mirror in MIRRORS if mirror in found]


class _Buffer(io.BytesIO):
    def write(self, piece):
        if self.tell() + len(piece) > MAX_DOWNLOAD:
            raise OSError("too large")
        return super().write(piece)


def _get(url, verbose):
    """Return what the server sends at MIN_RATE or faster (cut short where it fails)."""
    import pooch

    buffer = _Buffer()
    fetch = pooch.HTTPDownloader(progressbar=verbose, timeout=GRACE_SECONDS)

    def work():
        with suppress(Exception):  # a file that is not whole is found by its SHA-256
            fetch(url, buffer, None)

    # In a thread, as timeouts bound the wait for each byte, not for all of them.
    start = time.monotonic()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        if time.monotonic() - start > GRACE_SECONDS + buffer.tell() / MIN_RATE:
            break
        thread.join(0.1)
    content = buffer.getvalue()
    buffer.close()  # ends a thread that goes on: its next write fails
    return content
