"""Studies in a database, which any number of processes share.

A trial keeps its identity, a dict of what all trials of a study have in common, and its settings,
both as user attributes. A trial that is RUNNING is open: a process trains it, or was killed.
"""

import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FixedTrial, TrialState
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from support.checkpoints import difference
from support.checks import as_path, check_kind
from support.process import deferred_interrupt

LOCK_TIMEOUT = 60  # seconds to wait for another process that writes to SQLite
ATTEMPTS, PAUSE = 5, 0.5  # to make tables that another process is making too; seconds between
RENAME = "UPDATE studies SET study_name = :old WHERE study_name = :name"

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def defer_sigint():
    """Have Ctrl-C act at the end of the block, or decorated function, that works on the database.

    In the middle of a transaction it would leave the database locked, or be lost: Python ignores
    an exception in a callback of a weak reference, of which SQLAlchemy has many. A second one acts
    at once. Yields an event, which is set when the first one has come.
    """
    with deferred_interrupt() as interrupt:
        yield interrupt
    if interrupt.is_set():
        raise KeyboardInterrupt


def _database(function, storage):
    """Return the sqlalchemy.URL of a database; a file's is absolute, for workers elsewhere."""
    check_kind(function, str, "the URL of a database", storage=storage)
    try:
        url = sqlalchemy.make_url(storage)
    except (ArgumentError, ValueError):  # its message may hold a password
        raise ValueError(f"{function}: storage must be a URL, as sqlite:///search.db is") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError(f"{function}: storage must be a database that processes can share")
        path = as_path(function, storage=url.database).absolute()
        url = url.set(database=str(path)).update_query_dict({"timeout": str(LOCK_TIMEOUT)})
    return url


@defer_sigint()
def open_stored(function, storage, name, pruner=None, fresh=False):
    """Open a study, or begin it.

    fresh begins a new one and renames the one that has the name. A process that is searching that
    has its number and goes on with it.
    """
    check_kind(function, str, "a string", name=name)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = _database(function, storage)
    try:
        storage = _open_tables(url)
        if fresh:
            names = {"name": name, "old": f"{name} until {datetime.now()}"}
            with storage.engine.begin() as connection:
                connection.execute(sqlalchemy.text(RENAME), names)
        options = {"study_name": name, "storage": storage, "pruner": pruner}
        # Looked for first: a process that is killed while it makes the tables of SQLite may leave
        # them without the index that keeps names unique.
        with suppress(KeyError):
            return optuna.load_study(**options)
        return optuna.create_study(**options, direction="maximize", load_if_exists=True)
    except (OSError, ImportError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = getattr(error.__cause__ or error, "orig", None) or error
        # The URL's repr hides a password.
        raise ValueError(f"{function}: storage {url!r} cannot be used: {reason}") from error


def _open_tables(url):
    """Return Optuna's storage; several attempts, as another process may be making the tables."""
    if url.get_backend_name() == "sqlite":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # Every trial opens the storage in its worker: idle connections would exhaust a server's.
    arguments = url.render_as_string(hide_password=False), {"poolclass": NullPool}
    for _ in range(ATTEMPTS):
        with suppress(DatabaseError):
            return RDBStorage(*arguments)
        time.sleep(PAUSE)
    return RDBStorage(*arguments)


@defer_sigint()
def check_trials(function, study, identity, settings_of):
    """Return all trials by number. One that does not belong to the search is a ValueError."""
    trials = study.get_trials(deepcopy=False)
    for trial in trials:
        is_open = trial.state == TrialState.RUNNING  # and may be about to draw its parameters
        if not is_open or "identity" in trial.user_attrs:
            check_trial(function, study, trial, identity, None if is_open else settings_of)
    return trials


def check_trial(function, study, trial, identity, settings_of, seed=None):
    """Return the settings that a stored trial has by its parameters, None where it is rejected.

    ``settings_of(trial, seed)`` is asked for them again. It is a ValueError if they are not those
    that the trial was trained with, if other distributions are asked for, or if the identity, a
    dict, is another. With None for settings_of only the identity is compared.
    """
    kept = trial.user_attrs.get("settings")
    there = {**trial.user_attrs.get("identity", {}), "settings": kept, **_distributions(trial)}
    here, replayed = {**there, **identity}, FixedTrial(trial.params, trial.number)
    if settings_of is not None:
        try:
            settings = settings_of(replayed, kept["seed"] if kept else seed)
            here = {**identity, "settings": settings, **_distributions(replayed)}
        except (ValueError, IndexError) as error:  # a parameter, or a run, that it does not have
            here["suggest"] = error
    if kept is None and trial.state == TrialState.RUNNING:
        there["settings"] = here["settings"]
    other = difference(there, here)
    if other or trial.state in (TrialState.WAITING, TrialState.FAIL):
        raise ValueError(
            f"{function}: the stored study {study.study_name!r} was begun on other data or with "
            f"another suggest (trial {trial.number}: {other or trial.state.name}); give this one "
            "another name, or begin again, with fresh=True"
        )
    return here["settings"]


def _distributions(trial):
    return {name: distribution_to_json(value) for name, value in trial.distributions.items()}
