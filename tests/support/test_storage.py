"""Studies in a database: URLs, and tables that were half made."""

import sqlite3
from contextlib import closing

import optuna
import pytest

import support.storage
from support.storage import open_stored

FILES = ["search.db", "sqlite://", "sqlite:///:memory:", "sqlite:///{0}", "sqlite:///{0}/text"]
FILES += ["sqlite:///{0}/text/x.db"]


SERVERS = ["nothing", "postgresql+nothing", "mysql+asyncmy"]  # without drivers


def test_bad_url(tmp_path, monkeypatch):
    monkeypatch.setattr(support.storage, "PAUSE", 0)
    (tmp_path / "text").write_text("no database, and longer than the first page's header " * 9)
    for url in (*FILES, *(f"{name}://me:secret@host/x" for name in SERVERS)):
        with pytest.raises(ValueError, match=r"^search: storage") as raised:
            open_stored("search", url.format(tmp_path), "a")
        assert "secret" not in str(raised.value)


def test_killed_while_the_tables_were_made(tmp_path):
    open_stored("test", f"sqlite:///{tmp_path}/whole.db", "a")
    with closing(sqlite3.connect(tmp_path / "whole.db")) as database:
        made = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    assert len(made) > 10
    for number in range(9):  # the tables that have an index, and what comes before
        path = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(path)) as database:
            for (statement,) in made[:number]:
                database.execute(statement)
        studies = [open_stored("test", f"sqlite:///{path}", "a") for _ in range(2)]
        studies[0].add_trial(optuna.create_trial(value=1.0))
        assert len(studies[1].trials) == 1, made[number - 1]
