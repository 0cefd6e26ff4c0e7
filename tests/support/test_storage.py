"""Studies in a database: URLs, tables that were half made, locks."""

import os
import signal
import sqlite3
import time
from contextlib import closing

import optuna
import pytest

import support.storage
from support.storage import open_storage, open_stored


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("search.db", "must be the URL of a database, such as sqlite:///search.db, got"),
        ("postgres://me:secret@host/x", "must be the URL .* unknown kind, 'postgres'"),
        ("postgresql://me:secret@host:port/x", "must be the URL .* unknown kind, 'postgresql'"),
        ("mysql+nothing://me:secret@host/x", "must be the URL .* unknown kind, 'mysql.nothing'"),
        ("sqlite://", "must be a database that processes can share, got 'sqlite://'"),
        ("sqlite:///:memory:", "must be a database that processes can share"),
        ("sqlite:///file:x?mode=memory&uri=true", "must be a database that processes can share"),
        ("sqlite:///{folder}", ".*cannot be used: unable to open"),
        ("sqlite:///{folder}/text", ".*cannot be used: file is not a database"),
        ("sqlite:///{folder}/text/x.db", ".*cannot be used: "),
        ("sqlite:///{folder}/\0", "must be a path, got "),
    ],
)
def test_bad_url(url, message, tmp_path, monkeypatch):
    monkeypatch.setattr(support.storage, "PAUSE", 0)
    (tmp_path / "text").write_text("no database, and longer than the first page's header " * 9)
    with pytest.raises(ValueError, match=f"^search: storage {message}") as raised:
        open_storage("search", url.format(folder=tmp_path))
    assert "secret" not in str(raised.value)


def test_read_only_database(tmp_path):
    open_storage("test", f"sqlite:///{tmp_path}/search.db")
    url = f"sqlite:///file:{tmp_path}/search.db?mode=ro&uri=true"
    with pytest.raises(ValueError, match=r"^search: storage .*search.db.* cannot be used: .*read"):
        open_stored("search", url, "a", {})


def test_missing_driver(monkeypatch):
    def no_driver(*arguments, **options):
        raise ImportError("No module named 'psycopg2'")

    monkeypatch.setattr(support.storage, "RDBStorage", no_driver)
    with pytest.raises(ValueError, match=r"postgresql://me:\*\*\*@host/x cannot .*'psycopg2'"):
        open_storage("search", "postgresql://me:secret@host/x")


def test_killed_while_the_tables_were_made(tmp_path):
    open_storage("test", f"sqlite:///{tmp_path}/whole.db")
    with closing(sqlite3.connect(tmp_path / "whole.db")) as database:
        made = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    assert len(made) > 10
    for number in range(9):  # the tables that have an index, and what comes before
        path = tmp_path / f"{number}.db"
        with closing(sqlite3.connect(path)) as database:
            for (statement,) in made[:number]:
                database.execute(statement)
        studies = [open_stored("test", f"sqlite:///{path}", "a", {}) for _ in range(2)]
        studies[0].add_trial(optuna.create_trial(value=1.0))
        assert len(studies[1].trials) == 1, made[number - 1]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_waits_until_the_database_is_left(tmp_path, foreground, monkeypatch):
    is_left = []

    def pressed(study):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        is_left.append(True)

    monkeypatch.setattr(support.storage, "fail_stale_trials", pressed)
    with pytest.raises(KeyboardInterrupt):
        open_stored("test", f"sqlite:///{tmp_path}/search.db", "a", {})
    assert is_left


def test_a_process_that_looks_for_a_trial_keeps_the_others_out(tmp_path):
    path = tmp_path / "search.db"
    engine = open_storage("test", f"sqlite:///{path}").engine
    with engine.begin(), closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
