"""MNIST from the internet: four files, verified and kept in a cache folder."""

import gzip
import io
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# Of the decompressed files: mirrors compress them differently, and some servers send them so.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
PROBE_SECONDS = 4.0  # a mirror has this long to answer
READ_SECONDS = 10.0  # and this long to send the next bytes
PROBE = "import sys, pooch; assert pooch.HTTPDownloader()(sys.argv[1], '', None, check_only=True)"


def cached_mnist(download, verbose):
    """Return (folder with the four genuine files, or None; the reason where it is None)."""
    import pooch

    try:
        folder = Path(pooch.os_cache("mnist-numpy-homework"), "unpacked").expanduser()
    except RuntimeError:  # in a container, say
        return None, "there is no home folder for a download"
    sums = {name: pooch.file_hash(folder / name) for name in SHA256 if (folder / name).exists()}
    if sums == SHA256:
        return folder, ""
    if not download:
        return None, "download=False"
    pooch.get_logger().setLevel("WARNING")  # its progress bar says enough
    fetch = pooch.HTTPDownloader(progressbar=verbose, timeout=(PROBE_SECONDS, READ_SECONDS))

    def fetch_unpacked(url, path, _):
        packed = io.BytesIO()
        fetch(url, packed, None)
        content = packed.getvalue()
        is_gzip = content.startswith(b"\x1f\x8b")
        Path(path).write_bytes(gzip.decompress(content) if is_gzip else content)

    reason = "no mirror answered"
    for mirror in filter(_answers, MIRRORS):
        try:
            for name, known in SHA256.items():
                pooch.retrieve(f"{mirror}{name}.gz", known, name, folder, downloader=fetch_unpacked)
            return folder, ""
        except Exception as error:  # another file, an end before its time, a full disk
            reason = f"the download failed ({type(error).__name__})"
    return None, reason


def _answers(mirror):
    """Return whether a mirror has the files.

    A process of its own asks, as no timeout covers a name server that hangs, or a host of many
    addresses of which none answers.
    """
    command = [sys.executable, "-c", PROBE, f"{mirror}{next(iter(SHA256))}.gz"]
    with suppress(OSError, subprocess.TimeoutExpired):
        return not subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS).returncode
    return False
