"""URLs of databases that are refused, and name no password."""

import pytest

import support.storage
from support.storage import open_stored

FILES = ["search.db", "sqlite://", "sqlite:///:memory:", "sqlite:///{0}", "sqlite:///{0}/text"]
SERVERS = ["nothing", "postgresql+nothing", "mysql+asyncmy"]  # without drivers


def test_bad_url(tmp_path, monkeypatch):
    monkeypatch.setattr(support.storage, "PAUSE", 0)
    (tmp_path / "text").write_text("no database, and longer than the first page's header " * 9)
    for url in (*FILES, *(f"{name}://me:secret@host/x" for name in SERVERS)):
        with pytest.raises(ValueError, match=r"^search: storage") as raised:
            open_stored("search", url.format(tmp_path), "a")
        assert "secret" not in str(raised.value)
