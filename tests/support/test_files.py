"""Files that appear atomically; pipes, devices and permissions."""

import os
import stat

import pytest

from support.files import atomic_write


def test_atomic_write(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    with atomic_write(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), atomic_write(path, "w") as file:  # noqa: PT012
        file.write("second")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    link.symlink_to(path)
    with atomic_write(link, "w", newline="\r\n") as file:
        file.write("é\n")
    assert link.is_symlink()
    assert path.read_bytes() == b"\xc3\xa9\r\n"
    for wrong in tmp_path / "nowhere" / "name", tmp_path:
        with pytest.raises(OSError, match=str(tmp_path)), atomic_write(wrong):
            pytest.fail("the block must not begin")
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_permissions(tmp_path):
    for mode in 0o600, 0o640, 0o755:
        path = tmp_path / oct(mode)
        before = os.umask(0o777 - mode)
        with atomic_write(path):  # a new file has those of any
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode & 0o666
        path.chmod(mode)
        with atomic_write(path) as file:
            # what is written may be read by nobody else before it has them
            [temporary] = tmp_path.glob(".*.tmp")
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
            file.write(b"second")
        assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (mode, b"second")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to any")
def test_protected_file_is_not_replaced(tmp_path):
    path = tmp_path / "file"
    path.touch(0o400)
    with pytest.raises(PermissionError, match="file"), atomic_write(path):
        pytest.fail("the block must not begin")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in pipe, link:
        with atomic_write(path) as file:
            file.write(b"text")
        assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert set(os.listdir(tmp_path)) == {"pipe", "link"}
