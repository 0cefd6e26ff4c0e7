"""Downloads, against servers on loopback: good, wrong, broken, slow and silent ones."""

import gzip
import hashlib
import http.server
import multiprocessing
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from mnist_files import IMAGES, LABELS, idx_files

import data_utils
from data_utils import load_mnist
from support import download

FILES = {name: gzip.compress(content) for name, content in idx_files(suffix=".gz").items()}
OTHER = gzip.compress(b"\0\0\x08\x01\0\0\0\x01\0")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers HEAD like a good mirror, and GET as the server's kind says."""

    def do_HEAD(self):
        self.answer(b"", 200)

    def do_GET(self):
        name = self.path.removeprefix("/")
        self.server.requests.append(name)
        getattr(self, self.server.kind.replace(" ", "_"), self.good)(FILES[name])

    def answer(self, content, status, **headers):
        self.send_response(status)
        headers.setdefault("content_length", str(len(content)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def good(self, content):
        self.answer(content, 200)

    def not_compressed(self, content):
        self.answer(gzip.decompress(content), 200)

    def another_file(self, content):
        self.answer(OTHER, 200)

    def web_page(self, content):
        self.answer(b"<html>please log in</html>", 200)

    def truncated(self, content):
        self.answer(content[:-20], 200)

    def bomb(self, content):
        self.answer(gzip.compress(bytes(10**7)), 200)

    def too_large(self, content):
        self.answer(bytes(2 * 10**6), 200)

    def cut(self, content):
        self.answer(content[:100], 200, content_length=str(len(content)))

    def forbidden(self, content):
        self.answer(b"no", 403)

    def unavailable(self, content):
        self.answer(b"busy", 503)

    def redirect_loop(self, content):
        self.answer(b"", 302, location=self.path)

    def trickle(self, content):
        self.answer(content[:1], 200, content_length=str(len(content)))
        for i in range(1, 50):
            time.sleep(0.1)
            self.wfile.write(content[i : i + 1])

    def silent(self, content):
        time.sleep(5)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args):  # clients that go away are expected here
        pass


@contextmanager
def serve(kind):
    with Server(("127.0.0.1", 0), Handler) as server:
        server.kind, server.requests = kind, []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def black_hole():
    """Accepts connections (the kernel does) and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and datasets folder, short times, and digests of small files."""
    for key in "MNIST_DIR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY":
        monkeypatch.delenv(key, raising=False)
    digests = {name: hashlib.sha256(gzip.decompress(FILES[name])).hexdigest() for name in FILES}
    monkeypatch.setattr(data_utils, "DATASETS", tmp_path / "none")
    constants = {"SHA256": digests, "CACHE_DIR": tmp_path / "cache"}
    constants |= {"PROBE_SECONDS": 1.0, "GRACE_SECONDS": 0.5, "MAX_DOWNLOAD": 10**6, "MIRRORS": ()}
    for key, value in constants.items():
        monkeypatch.setattr(download, key, value)
    return tmp_path / "cache"


def stored(cache):
    return {p.name: p.read_bytes() for p in cache.iterdir()} if cache.exists() else {}


def check_loaded(cache, data):
    assert stored(cache) == FILES
    np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])
    np.testing.assert_array_equal(data["y_test"], LABELS["test"])


def test_download_and_cache(cache, monkeypatch, capfd):
    with serve("good") as server:
        monkeypatch.setattr(download, "MIRRORS", [server.url])
        check_loaded(cache, load_mnist(num_val=0))
        assert server.requests == list(FILES)
        out, err = capfd.readouterr()
        assert out.startswith("MNIST: 40 training, 0 validation, 20 test images (IDX files in ")
        assert "100%" in err
        # from the cache, without a request, silently
        check_loaded(cache, load_mnist(num_val=0, verbose=False))
        check_loaded(cache, load_mnist(num_val=0, verbose=False, download=False))
        assert server.requests == list(FILES)
        assert capfd.readouterr() == ("", "")


def test_bad_cached_file_is_fetched_again(cache, monkeypatch):
    cache.mkdir()
    names = list(FILES)
    for name, content in zip(names, [FILES[names[0]], OTHER, b"", b"\x1f\x8b"], strict=True):
        (cache / name).write_bytes(content)
    with serve("good") as server:
        monkeypatch.setattr(download, "MIRRORS", [server.url])
        check_loaded(cache, load_mnist(num_val=0, verbose=False))
        assert server.requests == names[1:]


@pytest.mark.sample
def test_bad_cached_file_is_discarded_without_a_network(cache, capsys):
    cache.mkdir()
    (cache / next(iter(FILES))).write_bytes(OTHER)
    assert len(load_mnist()["X_test"]) == 1000
    assert "sample, as no mirror answered" in capsys.readouterr().out
    assert stored(cache) == {}


BROKEN = [
    "another file",
    "web page",
    "truncated",
    "bomb",
    "too large",
    "cut",
    "forbidden",
    "unavailable",
    "redirect loop",
    "trickle",
    "silent",
]


@pytest.mark.parametrize("kind", BROKEN)
def test_next_mirror_is_tried(kind, cache, monkeypatch):
    with serve(kind) as first, serve("good") as second:
        monkeypatch.setattr(download, "MIRRORS", [first.url, second.url])
        start = time.perf_counter()
        check_loaded(cache, load_mnist(num_val=0, verbose=False))
        assert time.perf_counter() - start < 2.5
        assert set(first.requests) == {next(iter(FILES))}
        assert second.requests == list(FILES)


@pytest.mark.sample
@pytest.mark.parametrize("kind", ["another file", "cut", "unavailable"])
def test_sample_where_no_mirror_is_sound(kind, cache, monkeypatch, capsys):
    with serve(kind) as first, serve(kind) as second:
        monkeypatch.setattr(download, "MIRRORS", [first.url, second.url])
        assert len(load_mnist()["X_test"]) == 1000
    assert "sample, as no mirror sent a genuine file" in capsys.readouterr().out
    assert stored(cache) == {}


def test_mirror_that_does_not_compress(cache, monkeypatch):
    with serve("not compressed") as server:
        monkeypatch.setattr(download, "MIRRORS", [server.url])
        data = load_mnist(num_val=0, verbose=False)
    np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])


@pytest.mark.sample
def test_sample_without_a_network(cache, monkeypatch, capsys):
    """Names that do not resolve, refused connections, silence, and a name server that hangs."""
    resolve = socket.getaddrinfo

    def hanging(host, *args, **kwargs):
        if host == "hangs.invalid":
            time.sleep(5)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    with black_hole() as silent:
        refused = "http://127.0.0.1:1/"
        mirrors = ["http://hangs.invalid/", "http://no.invalid/", refused, silent, "nonsense"]
        monkeypatch.setattr(download, "MIRRORS", mirrors)
        start = time.perf_counter()
        assert len(load_mnist()["X_test"]) == 1000
        assert time.perf_counter() - start < 1 + download.PROBE_SECONDS
    assert "sample, as no mirror answered" in capsys.readouterr().out


def test_silent_mirror_does_not_stop_a_good_one(cache, monkeypatch):
    with black_hole() as silent, serve("good") as server:
        monkeypatch.setattr(download, "MIRRORS", [silent, server.url])
        check_loaded(cache, load_mnist(num_val=0, verbose=False))


@pytest.mark.sample
def test_cache_that_cannot_be_written(cache, monkeypatch, capsys):
    cache.write_bytes(b"a file, not a folder")
    with serve("good") as server:
        monkeypatch.setattr(download, "MIRRORS", [server.url])
        assert len(load_mnist()["X_test"]) == 1000
    assert "the download cannot be stored" in capsys.readouterr().out


@pytest.mark.sample
def test_no_download(cache, capsys):
    load_mnist(download=False)
    assert "sample, as download=False" in capsys.readouterr().out


@pytest.mark.sample
@pytest.mark.parametrize("may_download", [False, True])
def test_user_without_a_home(may_download, cache, tmp_path, monkeypatch, capsys):
    """As in a container that runs under a number that /etc/passwd does not know."""
    pwd = pytest.importorskip("pwd")

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in "HOME", "XDG_CACHE_HOME":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "CACHE_DIR", None)
    monkeypatch.chdir(tmp_path)
    assert len(load_mnist(download=may_download)["X_test"]) == 1000
    assert "sample, as there is no home folder for a download" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sample
@pytest.mark.parametrize("error", [RuntimeError, KeyError, OSError, "~/.cache/mnist"])
def test_home_that_is_not_known(error, cache, monkeypatch, capsys):
    def no_home(name):
        if isinstance(error, str):
            return Path(error)
        raise error("no home")

    monkeypatch.setattr("pooch.os_cache", no_home)
    monkeypatch.setattr(download, "CACHE_DIR", None)
    load_mnist(download=False)
    assert "sample, as there is no home folder for a download" in capsys.readouterr().out


def test_nothing_anywhere(cache, monkeypatch):
    monkeypatch.setattr(data_utils, "SAMPLE", cache / "mnist_sample.npz")
    with pytest.raises(FileNotFoundError, match=r"as download=False, and no embedded sample"):
        load_mnist(download=False)


def download_in_child(url, cache, digests, barrier):
    download.SHA256, download.CACHE_DIR = digests, cache
    download.MIRRORS, data_utils.DATASETS = [url], cache / "none"
    download.PROBE_SECONDS = 30.0  # the machine may have other work
    barrier.wait()
    if len(load_mnist(num_val=0, verbose=False)["X_train"]) != 40:
        raise SystemExit(1)


def test_two_processes_at_once(cache):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with serve("good") as server:
        args = (server.url, cache, download.SHA256, barrier)
        children = [context.Process(target=download_in_child, args=args) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
        assert [child.exitcode for child in children] == [0, 0]
    assert stored(cache) == FILES
