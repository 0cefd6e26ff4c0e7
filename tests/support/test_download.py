"""Downloads, against servers on loopback: good, wrong, broken and silent ones."""

import hashlib
import http.server
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from mnist_files import IMAGES, gz, idx_files, write

import data_utils
from data_utils import load_mnist
from support import download

NUM_MIRRORS = len(download.MIRRORS)
FILES = idx_files()
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
ANSWERS = {  # what a mirror makes of a file
    "good": gz,
    "not compressed": bytes,
    "another file": lambda content: gz(b"\0\0\x08\x01\0\0\0\x01\0"),
    "cut": lambda content: gz(content)[:-20],  # of the length that is announced
    "unavailable": gz,
    "silent": lambda content: time.sleep(5) or gz(content),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        for _ in range(50 if self.server.kind == "dripping" else 0):
            time.sleep(0.1)
            self.wfile.write(b"H")
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        name = self.path[1:].removesuffix(".gz")
        self.server.requests.append(name)
        body = ANSWERS[self.server.kind](FILES[name])
        self.send_response(503 if self.server.kind == "unavailable" else 200)
        self.send_header("Content-Length", len(body) + 20 * (self.server.kind == "cut"))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, *args):  # clients that go away are expected here
        pass


@contextmanager
def serve(kind):
    with Server(("127.0.0.1", 0), Handler) as server:
        server.kind, server.requests = kind, []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield server
        server.shutdown()


def use(folder, monkeypatch, *mirrors):
    """Leave nothing but an empty cache, these mirrors, and the digests of small files."""
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("pooch.os_cache", lambda project: folder / "cache")
    monkeypatch.setattr(data_utils, "DATASETS", folder / "none")
    monkeypatch.setattr(download, "SHA256", DIGESTS)
    monkeypatch.setattr(download, "READ_SECONDS", 0.5)
    monkeypatch.setattr(download, "MIRRORS", mirrors)


def stored(folder):
    return {path.name: path.read_bytes() for path in folder.glob("cache/*/*")}


def test_download_and_cache(tmp_path, monkeypatch, capfd):
    with serve("good") as server:
        use(tmp_path, monkeypatch, server.url)
        data = load_mnist(num_val=0)
        np.testing.assert_array_equal(data["X_train"][:, 0], IMAGES["train"])
        out, err = capfd.readouterr()
        assert out.startswith("MNIST: 40 training, 0 validation, 20 test images (IDX files in ")
        assert "100%" in err
        for options in {}, {"download": False}:  # from the cache, without a request, silently
            load_mnist(num_val=0, verbose=False, **options)
        assert server.requests == list(FILES)
        assert capfd.readouterr() == ("", "")
    assert stored(tmp_path) == FILES


@pytest.mark.sample
def test_bad_cached_file_is_fetched_again(tmp_path, monkeypatch, capsys):
    first, second = list(FILES)[:2]
    write(tmp_path / "cache/unpacked", {**FILES, first: FILES[second], second: b""})
    use(tmp_path, monkeypatch)
    assert len(load_mnist(download=False)["X_test"]) == 1000
    assert "sample, as download=False" in capsys.readouterr().out
    with serve("good") as server:
        use(tmp_path, monkeypatch, server.url)
        assert len(load_mnist(num_val=0)["X_test"]) == 20
        assert server.requests == [first, second]
    assert stored(tmp_path) == FILES


@pytest.mark.parametrize("kind", ANSWERS)
def test_next_mirror_is_tried(kind, tmp_path, monkeypatch):
    with serve(kind) as first, serve("good") as second:
        use(tmp_path, monkeypatch, "http://127.0.0.1:1/", first.url, second.url)
        assert len(load_mnist(num_val=0, verbose=False)["X_train"]) == 40
        is_good = kind in ("good", "not compressed")
        assert first.requests == list(FILES)[: 4 if is_good else 1]
        assert second.requests == ([] if is_good else list(FILES))
    assert stored(tmp_path) == FILES


@pytest.mark.sample
def test_sample_without_a_network(tmp_path, monkeypatch, capsys):
    """Mirrors that refuse connections, have no address, are silent, or drip."""
    assert NUM_MIRRORS * download.PROBE_SECONDS < 9
    monkeypatch.setattr(download, "PROBE_SECONDS", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, serve("dripping") as dripping:
        refused, silent = (f"http://127.0.0.1:{port}/" for port in (1, silent.getsockname()[1]))
        use(tmp_path, monkeypatch, refused, "http://no.invalid/", "nonsense", silent, dripping.url)
        start = time.perf_counter()
        assert len(load_mnist()["X_test"]) == 1000
        assert time.perf_counter() - start < 10
    assert "sample, as no mirror answered" in capsys.readouterr().out


@pytest.mark.sample
def test_sample_where_the_download_fails(tmp_path, monkeypatch, capsys):
    with serve("cut") as server:
        use(tmp_path, monkeypatch, server.url, server.url)
        assert len(load_mnist()["X_test"]) == 1000
    assert "sample, as the download failed" in capsys.readouterr().out
    assert stored(tmp_path) == {}
