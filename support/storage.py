"""The database that a search is kept in, and shared through, by several processes."""

import time

import sqlalchemy
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

# A trial counts as running while its process reports at these intervals, in seconds.
HEARTBEAT, GRACE_PERIOD = 2, 20
LOCK_TIMEOUT = 60  # seconds to wait for another process that writes to SQLite
ATTEMPTS = 5  # to make tables that another process is making too
PAUSE = 0.5  # seconds between them


def open_storage(url):
    """A storage that tells by heartbeats which trials still run."""
    is_sqlite = url.startswith("sqlite")
    options = (
        {"connect_args": {"timeout": LOCK_TIMEOUT, "isolation_level": None}} if is_sqlite else {}
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            storage = RDBStorage(
                url,
                options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE_PERIOD,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
            break
        except sqlalchemy.exc.DatabaseError:  # another process is making the same tables
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE)
    if is_sqlite:
        # Reading locks nothing in SQLite by itself, so two processes could take the same trial.
        sqlalchemy.event.listen(
            storage.engine,
            "begin",
            lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"),
        )
    return storage
