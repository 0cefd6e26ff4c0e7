"""Files that appear atomically, pipes and devices, permissions, and bounded reading."""

import os
import stat
import time
from pathlib import Path

import pytest

from support import files
from support.files import atomic_write, open_file
from support.npz import save_npz

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")


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


@pytest.mark.parametrize("kind", ["folder", "locked"])
def test_leftover_that_cannot_be_removed(kind, tmp_path, monkeypatch):
    leftover = tmp_path / ".file.0.tmp"
    leftover.mkdir() if kind == "folder" else leftover.write_bytes(b"")
    os.utime(leftover, (0, 0))
    unlink = Path.unlink

    def locked(self, **kwargs):
        if self == leftover:
            raise PermissionError(self)
        unlink(self, **kwargs)

    monkeypatch.setattr(Path, "unlink", locked)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert leftover.exists()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_permissions_of_a_replaced_file_are_kept(mode, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    path.chmod(mode)
    with atomic_write(path) as file:
        file.write(b"second")
        # what is written may be read by nobody else before it has them
        [temporary] = tmp_path.glob(".file.*")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file_are_those_of_any(umask, tmp_path):
    before = os.umask(umask)
    try:
        (tmp_path / "plain").write_bytes(b"")
        with atomic_write(tmp_path / "file"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_owner_of_a_replaced_file_is_kept(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    os.chown(tmp_path / "file", 1234, 5678)
    with atomic_write(tmp_path / "file"):
        pass
    assert ((tmp_path / "file").stat().st_uid, (tmp_path / "file").stat().st_gid) == (1234, 5678)


def test_protected_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to any
    with pytest.raises(PermissionError, match="file"), atomic_write(path):
        pass
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"first"]


def test_folder_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), atomic_write(tmp_path / "folder"):
        pytest.fail("the block must not begin")
    assert os.listdir(tmp_path) == ["folder"]


@needs_pipes
@pytest.mark.parametrize("link", [False, True])
def test_pipe_is_written_to(link, tmp_path):
    path = pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if link:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(path, "w", newline="\n") as file:
        file.write("é\n")
    assert os.read(reader, 10) == b"\xc3\xa9\n"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert set(os.listdir(tmp_path)) <= {"pipe", "link"}


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_open_file_of_this_process_is_written_to(kind, tmp_path):
    """As /dev/stdout is, which links to /dev/fd/1."""
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    reader, writer = os.pipe() if kind == "pipe" else (os.open(path, 0), os.open(path, os.O_RDWR))
    link = tmp_path / "out"
    link.symlink_to(f"/dev/fd/{writer}")
    os.write(writer, b"first\n")
    for name in (f"/dev/fd/{writer}", link):
        with atomic_write(name) as file:
            file.write(b"second\n")
    os.write(writer, b"third\n")
    assert os.read(reader, 100) == b"first\nsecond\nsecond\nthird\n"
    os.close(reader)
    os.close(writer)
    assert sorted(os.listdir(tmp_path)) == ["log", "out"]


@pytest.mark.parametrize("link", [False, True])
def test_device_is_written_to(link, tmp_path):
    path = device = tmp_path / "null"  # one of our own: a fault must not replace the system's
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except (AttributeError, OSError):
        pytest.skip("may not make devices")
    if link:
        path = tmp_path / "link"
        path.symlink_to(device)
    with atomic_write(path) as file:
        file.write(b"content")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert set(os.listdir(tmp_path)) <= {"null", "link"}


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with atomic_write("~/file", "w") as file:
        file.write("content")
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((None,), TypeError, "path must be a path, got NoneType"),
        ((1,), TypeError, "path must be a path, got int"),
        ((b"x",), TypeError, "path must be a path, got bytes"),
        (("x", "a"), ValueError, "mode must be one of wb, w, got 'a'"),
        (("x", None), ValueError, "mode must be one of wb, w, got None"),
    ],
)
def test_atomic_write_refuses(arguments, error, match):
    with pytest.raises(error, match=f"atomic_write: {match}"), atomic_write(*arguments):
        pass


def test_files_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PIECE", 10)
    (tmp_path / "file").write_bytes(bytes(range(11)))
    with open_file(tmp_path / "file") as file:
        for size in (11, 100, -1, None):
            with pytest.raises(ValueError, match="more than 10 bytes"):
                file.read(size)
            file.seek(0)
        assert file.read(10) == bytes(range(10))
        assert file.read() == b"\x0a"


@needs_pipes
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match=f"{path}: expected a file, found a pipe or a device"):
            open_file(path)
    with pytest.raises(OSError, match=str(tmp_path)):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "nothing")
