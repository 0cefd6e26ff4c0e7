"""Studies in a database: how processes share one, and what becomes of those that are killed."""

import json
import math
import time
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import TrialState

from support.checks import as_path, check_kind, describe
from support.identity import as_json, checksums, describe_function
from support.process import defer_sigint as deferred_interrupt

# A trial counts as running while its process reports at these intervals, in seconds.
HEARTBEAT, GRACE_PERIOD = 2, 20
LOCK_TIMEOUT = 60  # seconds to wait for another process that writes to SQLite
ATTEMPTS = 5  # to make tables that another process is making too
PAUSE = 0.5  # seconds between them, and between looks at what another process does

# A process that is killed while it makes the tables of SQLite may leave them without this index,
# and then each opening of a study would begin another of the same name.
UNIQUE_NAMES = "CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name)"

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
UNDER_WAY = (TrialState.WAITING, TrialState.RUNNING)


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


def absolute_url(function, storage):
    """The URL of a database, checked; processes in any folder reach the same one by it."""
    check_kind(function, str, "the URL of a database", storage=storage)
    try:
        url = sqlalchemy.make_url(storage)
        url.get_dialect()
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        kind = storage.partition(":")[0]  # what follows may hold a password
        raise ValueError(
            f"{function}: storage must be the URL of a database, such as sqlite:///search.db, "
            f"got one of an unknown kind, {kind!r}"
        ) from error
    if url.get_backend_name() == "sqlite":
        name = url.database or ":memory:"
        if ":memory:" in name or url.query.get("mode") == "memory":
            raise ValueError(
                f"{function}: storage must be a database that processes can share, got {storage!r}"
            )
        if not name.startswith("file:"):
            url = url.set(database=str(as_path(function, storage=name).absolute()))
    return url.render_as_string(hide_password=False)


def open_storage(function, storage):
    """Open a database, or begin it: a storage that tells by heartbeats which trials still run."""
    url = sqlalchemy.make_url(absolute_url(function, storage))
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        if is_sqlite and not url.database.startswith("file:"):
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        storage = _open_tables(url.render_as_string(hide_password=False), is_sqlite)
    except (OSError, ImportError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise _unusable(function, url, error) from error
    if is_sqlite:
        # Reading locks nothing in SQLite by itself, so two processes could take the same trial.
        sqlalchemy.event.listen(
            storage.engine,
            "begin",
            lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
        )
    return storage


def _unusable(function, url, error):
    reason = getattr(error, "orig", None) or error
    return ValueError(f"{function}: storage {url!r} cannot be used: {reason}")  # hides a password


def _open_tables(url, is_sqlite):
    options = {"timeout": LOCK_TIMEOUT, "isolation_level": None} if is_sqlite else {}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                storage = RDBStorage(
                    url,
                    {"connect_args": options},
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE_PERIOD,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )
            if is_sqlite:
                with storage.engine.begin() as connection:
                    connection.exec_driver_sql(UNIQUE_NAMES)
            return storage
        except sqlalchemy.exc.DatabaseError:  # another process is making the same tables
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)


@defer_sigint()
def open_stored(function, storage, name, identity, pruner=None):
    """Open a study, or begin it; the trials of killed processes wait to be run again.

    identity is what all its trials have in common, a dict of JSON; a ValueError where the study
    has another.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(function, storage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            study = optuna.create_study(
                study_name=name,
                storage=storage,
                direction="maximize",
                load_if_exists=True,
                pruner=pruner,
            )
        except optuna.exceptions.StorageInternalError as error:
            raise _unusable(function, storage.engine.url, error.__cause__) from error
        _report_for_silent_trials(study, storage)
        fail_stale_trials(study)
    # In this order: whoever adds trials has set the identity before.
    is_begun, known = bool(study.get_trials(deepcopy=False)), study.user_attrs
    for part, value in identity.items():
        if part not in known and not is_begun:
            study.set_user_attr(part, value)
        elif known.get(part) != value:
            raise ValueError(
                f"{function}: the stored study {name!r} was begun on other data, with another "
                "function suggest or another list of runs; give this one another name, or let "
                "search begin that one again, with fresh=True"
            )
    return study


def _report_for_silent_trials(study, storage):
    """Give the running trials that have no heartbeat their first.

    Optuna takes a trial for lost when its last heartbeat is old. A process that was killed before
    the first leaves none; this one is old when the grace period is over.
    """
    with storage.engine.connect() as connection:
        known = set(connection.exec_driver_sql("SELECT trial_id FROM trial_heartbeats").scalars())
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial._trial_id not in known:
            storage.record_heartbeat(trial._trial_id)


def delete_stored(function, storage, name):
    """Delete a study, if there is one, unless a process is running its trials."""
    # The first look gives silent trials a heartbeat; by the last, a killed process's trials are
    # lost, however long a look takes.
    for _ in range(math.ceil((GRACE_PERIOD + HEARTBEAT) / PAUSE) + 1):
        if _is_deleted(function, storage, name):
            return
        time.sleep(PAUSE)
    raise ValueError(
        f"{function}: another process is running trials of the study {name!r}, which can begin "
        "again only when that has ended"
    )


@defer_sigint()
def _is_deleted(function, storage, name):
    study = open_stored(function, storage, name, {})
    if study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        return False
    optuna.delete_study(study_name=name, storage=study._storage)
    return True


@defer_sigint()
def finished_trials(study):
    """The trials that are complete or pruned."""
    return study.get_trials(deepcopy=False, states=FINISHED)


@defer_sigint()
def queue_runs(study, runs):
    """Have each run of a list wait for its trial, unless it has one that is not lost."""
    trials = study.get_trials(deepcopy=False, states=(*FINISHED, *UNDER_WAY))
    begun = {trial.user_attrs.get("run") for trial in trials}
    for i, settings in enumerate(runs):
        if i not in begun:
            study.enqueue_trial({}, {"run": i, "settings": settings})


def run_trial(study, objective, num_trials=None):
    """Run a trial, if fewer than num_trials are finished or running; without that a queued one.

    Calls ``objective(trial, interrupt)``; interrupt is an event that Ctrl-C sets.
    """
    with defer_sigint() as interrupt:
        if num_trials is None:
            if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                _run(study, lambda trial: _run_unless_superfluous(trial, objective, interrupt))
        else:
            taken = study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING))
            if len(taken) < num_trials:
                _run(study, lambda trial: objective(trial, interrupt))


class _SuperfluousError(Exception):
    """What ends a trial of a list that has no run of its own."""


def _run_unless_superfluous(trial, objective, interrupt):
    """Run a trial of a list, unless there is an earlier one of the same run, that is not lost.

    Processes may queue one run twice, or Optuna begin a trial that nobody has queued.
    """
    run, states = trial.user_attrs.get("run"), (TrialState.COMPLETE, *UNDER_WAY)
    trials = trial.study.get_trials(deepcopy=False, states=states)
    numbers = [other.number for other in trials if other.user_attrs.get("run") == run]
    if run is None or trial.number > min(numbers, default=trial.number):
        trial.set_user_attr("superfluous", True)
        raise _SuperfluousError
    return objective(trial, interrupt)


def _run(study, objective):
    """Run a trial; an error in it is raised, unless others have taken it for lost meanwhile.

    They do so where this process stood still, as a computer does that sleeps.
    """
    is_lost = False

    def watched(trial):
        nonlocal is_lost
        try:
            return objective(trial)
        except optuna.exceptions.UpdateFinishedTrialError:
            is_lost = True
            raise

    try:
        study.optimize(watched, n_trials=1, catch=_SuperfluousError)
    except ValueError:  # Optuna's, when it cannot mark a lost trial as failed
        if not is_lost:
            raise


def plain(function, known, **settings):
    """Settings as JSON keeps them: tuples become lists, NumPy's numbers plain ones.

    An unknown key is a ValueError, what is no number, string or list a TypeError.
    """
    [(name, settings)] = settings.items()
    check_kind(function, Mapping, "a dict", **{name: settings})
    if unknown := [str(key) for key in settings if key not in known]:
        raise ValueError(
            f"{function}: {name} has {', '.join(unknown)}; known are {', '.join(known)}"
        )
    result = {}
    for key, value in settings.items():
        try:
            result[key] = json.loads(json.dumps(value, default=lambda value: value.tolist()))
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise TypeError(
                f"{function}: {name}[{key!r}] must be a number, a string or a list of them, "
                f"got {describe(value)}"
            ) from error
    return result


def identity_of(data, suggest):
    """What all trials of a study have in common: the data, and what is known of suggest."""
    identity = {"data": checksums(data)}
    if suggest is not None:
        identity["suggest"] = suggest if isinstance(suggest, list) else describe_function(suggest)
    return as_json(identity)
