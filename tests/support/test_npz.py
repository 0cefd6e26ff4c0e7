"""Arrays and JSON in .npz files, written and read without trust."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from support import npz
from support.npz import INFO, INFO_BYTES, load_npz, save_npz


def archive(text, **arrays):
    """An .npz file with this text as its JSON."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{INFO: np.frombuffer(text, np.uint8)}, **arrays)
    return buffer.getvalue()


def directory(size):
    """A zip file that announces a directory of so many bytes."""
    return b"PK\3\4" + bytes(size) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0)


def many_members(count):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for i in range(count):
            file.writestr(f"{i}.npy", b"")
    return buffer.getvalue()


def test_round_trip(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    arrays = {"a": np.arange(6).reshape(2, 3), "b/c": np.float32(1.5)}
    history = [0.1 + 1 / (i + 3) for i in range(1000)]
    save_npz("~/run.npz", {"n": np.int64(3), "history": history}, arrays)
    info, found = load_npz("~/run.npz", "a checkpoint", 1000 + INFO_BYTES)
    assert info == {"n": 3, "history": history}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


HOSTILE = {  # name: (content, reason)
    "json of 12 MB": (archive(b"[" + b"[]," * 4 * 10**6 + b"0]"), "info has 12,000,003 bytes"),
    "json, deep": (archive(b"[" * 10**6), "RecursionError"),
    "json, long number": (archive(b"1" * 10**6), "integer"),
    "json, a list": (archive(b"[1]"), "no JSON object"),
    "no json": (archive(b"{}").replace(b"info", b"inof"), "info"),
    "arrays of 40 MB": (archive(b"{}", a=np.zeros((40, 10**6), np.uint8)), "it holds 40,000,002"),
    "directory of 20 MB": (directory(20 * 10**6), "a part of it has more than"),
    "30,000 members": (many_members(30_000), "a part of it has more than"),
    "empty": (b"", "not a zip file"),
    "text": (b"hello" * 99, "not a zip file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_at_small_cost(name, tmp_path):
    content, reason = HOSTILE[name]
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"run\.npz is damaged or not a checkpoint: .*{reason}"):
        load_npz(path, "a checkpoint", 30 * 10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6


def test_longest_json_takes_little_memory(tmp_path):
    text = b'{"a": [' + b"[]," * ((INFO_BYTES - 20) // 3) + b"0]}"
    (tmp_path / "run.npz").write_bytes(archive(text))
    tracemalloc.start()
    info, _ = load_npz(tmp_path / "run.npz", "a checkpoint", 2**30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(info["a"]) > 600_000
    assert peak < 80e6


def test_nothing_is_written_that_would_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "INFO_BYTES", len(json.dumps({"a": 1})))
    save_npz(tmp_path / "run.npz", {"a": 1}, {})
    assert load_npz(tmp_path / "run.npz", "a checkpoint", 1000) == ({"a": 1}, {})
    with pytest.raises(ValueError, match="save_npz: info has 9 bytes of JSON, at most 8"):
        save_npz(tmp_path / "run.npz", {"a": 12}, {})
    assert load_npz(tmp_path / "run.npz", "a checkpoint", 1000) == ({"a": 1}, {})
