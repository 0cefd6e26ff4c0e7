"""Studies in a database: URLs, tables that were half made, Ctrl-C."""

import os
import signal
import sqlite3
import time
from contextlib import closing

import optuna
import pytest

import support.storage
from support.storage import open_stored


@pytest.mark.parametrize(
    "url",
    [
        "search.db",
        "nothing://me:secret@host/x",
        "postgresql://me:secret@host:port/x",
        "mysql+nothing://me:secret@host/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///{folder}",
        "sqlite:///{folder}/text",
        "sqlite:///{folder}/text/x.db",
    ],
)
def test_bad_url(url, tmp_path, monkeypatch):
    monkeypatch.setattr(support.storage, "PAUSE", 0)
    (tmp_path / "text").write_text("no database, and longer than the first page's header " * 9)
    with pytest.raises(ValueError, match="^search: storage") as raised:
        open_stored("search", url.format(folder=tmp_path), "a")
    assert "secret" not in str(raised.value)


def test_missing_driver(monkeypatch):
    def no_driver(*arguments, **options):
        raise ImportError("No module named 'psycopg2'")

    monkeypatch.setattr(support.storage, "RDBStorage", no_driver)
    with pytest.raises(ValueError, match=r"^search: storage .*me:\*\*\*@host/x.*'psycopg2'"):
        open_stored("search", "postgresql://me:secret@host/x", "a")


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


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_waits_until_the_database_is_left(tmp_path, foreground, monkeypatch):
    def pressed(**options):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        is_left.append(True)

    is_left = []
    monkeypatch.setattr(optuna, "load_study", pressed)
    with pytest.raises(KeyboardInterrupt):
        open_stored("test", f"sqlite:///{tmp_path}/search.db", "a")
    assert is_left
