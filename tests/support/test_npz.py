"""Files that appear whole or not at all."""

import os
import time
from pathlib import Path

import pytest

from support.npz import atomic_write, save_npz


def test_atomic_write(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    with pytest.raises(KeyboardInterrupt), atomic_write(path, "w", newline="\r\n") as file:  # noqa: PT012
        file.write("second")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link, "w", newline="\r\n") as file:
        file.write("é\n")
    assert link.is_symlink()
    assert path.read_bytes() == b"\xc3\xa9\r\n"
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "nowhere" / "file"):
        pass
    with pytest.raises(OSError, match="plain"), atomic_write(tmp_path / "plain" / "file"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link", "plain"]


def test_atomic_write_beside_other_processes(tmp_path, monkeypatch):
    temporary = [tmp_path / f".file.{i}.tmp" for i in range(3)]
    vanished, abandoned, fresh = temporary
    for path in abandoned, fresh:
        path.write_bytes(b"")
    os.utime(abandoned, (0, 0))
    # The first was there when the folder was read, and has been renamed by its process since.
    monkeypatch.setattr(type(tmp_path), "glob", lambda *_: iter(temporary))
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
    assert [path.exists() for path in (vanished, abandoned, fresh)] == [False, False, True]
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_atomic_write_on_a_full_disk(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"first")
    open_path = Path.open

    def open_full(self, mode, **kwargs):
        open_path(self, mode).close()
        return open_path(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left"), atomic_write(tmp_path / "file") as file:
        file.write(b"second")
    monkeypatch.undo()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"first"]


def test_leftovers_of_killed_writers_are_removed(tmp_path):
    old, new = tmp_path / ".run[1].npz.0.tmp", tmp_path / ".run[1].npz.1.tmp"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 4000,) * 2)
    save_npz(tmp_path / "run[1].npz", {}, {})
    assert sorted(os.listdir(tmp_path)) == [".run[1].npz.1.tmp", "run[1].npz"]
