"""The database of Optuna's studies: MLflow's where it can be, in a schema of its own.

Optuna and MLflow both keep the revision of their tables in a table `alembic_version`, and each
refuses to start where it finds the other's. PostgreSQL has schemas to keep them apart in one
database; for SQLite the study is a file beside MLflow's.
"""

from __future__ import annotations

import fcntl
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mlproject.errors import ConfigError, TrackingError, TrackingUnavailable
from mlproject.settings import Settings
from mlproject.tracking import shown_uri

SCHEMA = "benison_tuning"
FILE, LOCK_FILE = "optuna.db", ".optuna.lock"
VARIABLE = "BENISON_TUNING_STORAGE"
HEARTBEAT_S, GRACE_S = 10, 60  # a trial without a sign of life for that long is lost
CONNECT_TIMEOUT_S = 10
BUSY_TIMEOUT_S = 60  # SQLite: waiting for another worker to write
OPENING_LOCK = 4_201_973  # PostgreSQL's advisory lock: one process at a time makes the tables


def storage_url(settings: Settings) -> str:
    """Where the studies are.

    Returns:
        `BENISON_TUNING_STORAGE`; or MLflow's database where that is PostgreSQL; or a SQLite file
        in the platform's home.
    """
    if settings.tuning_storage:
        return settings.tuning_storage
    if settings.tracking_uri.startswith("postgresql"):
        return settings.tracking_uri
    return f"sqlite:///{settings.home / FILE}"


def open_storage(settings: Settings) -> optuna.storages.RDBStorage:
    """Opens the database of the studies, and makes its tables the first time.

    Raises:
        ConfigError: The URL is none, or it names a database of another program's.
        TrackingError: The database refused.
        TrackingUnavailable: The database did not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = storage_url(settings)
    with translate_storage_errors("Opening the tuning study's database", url):
        address = sqlalchemy.make_url(url)
        if address.get_backend_name() == "postgresql":
            return _open_postgres(address)
        if address.get_backend_name() == "sqlite":
            with _first_come(settings.home):
                _refuse_foreign(address)
                return _storage(address, {"connect_args": {"timeout": BUSY_TIMEOUT_S}})
        _refuse_foreign(address)
        return _storage(address, {"pool_pre_ping": True})


@contextmanager
def translate_storage_errors(doing: str, url: str) -> Iterator[None]:
    """Turns what Optuna and the database raise into one TrackingError, without the password."""
    shown = shown_uri(url)
    try:
        yield
    except (ArgumentError, ImportError) as err:
        raise ConfigError(
            f"{doing} failed",
            received=f"{shown}: {type(err).__name__}",
            expected="an SQLAlchemy URL of a database with its driver installed, such as "
            "postgresql://user:password@host/database",
            next_step=f"set {VARIABLE}",
        ) from err
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as err:
        cause = err.__cause__ if isinstance(err, optuna.exceptions.StorageInternalError) else err
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines() or [""]
        raise TrackingUnavailable(
            f"{doing} failed",
            received=f"{shown}: {re.sub(r'(?<=://)[^/]*@', '', said[0])[:300]}",
            expected="a database that answers and can be written",
            next_step=f"check {VARIABLE} (or MLFLOW_TRACKING_URI) and the database, then run "
            "again: finished trials are kept",
        ) from err
    except RuntimeError as err:  # Optuna's word for tables of another version
        raise TrackingError(
            f"{doing} failed",
            received=f"{shown}: {err}",
            expected="tables of the installed Optuna",
            next_step=f"`optuna storage upgrade --storage URL`, or name another by {VARIABLE}",
        ) from err


def _open_postgres(address: sqlalchemy.URL) -> optuna.storages.RDBStorage:
    given = str(address.query.get("options", ""))
    connect = {
        "options": f"{given} -csearch_path={SCHEMA}".strip(),
        "connect_timeout": CONNECT_TIMEOUT_S,
    }
    plain = address.difference_update_query(["options"])
    engine = sqlalchemy.create_engine(plain, connect_args=connect)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({OPENING_LOCK})"))
            there = connection.execute(sqlalchemy.text(f"SELECT to_regnamespace('{SCHEMA}')"))
            if there.scalar() is None:
                with engine.begin() as other:  # seen by others before the tables are made
                    other.execute(sqlalchemy.text(f"CREATE SCHEMA {SCHEMA}"))
            return _storage(plain, {"connect_args": connect, "pool_pre_ping": True})
    finally:
        engine.dispose()


@contextmanager
def _first_come(home: Path) -> Iterator[None]:
    """Lets one process of this machine at a time open the file: the first makes its tables."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _refuse_foreign(address: sqlalchemy.URL) -> None:
    """Refuses a database whose migrations are another program's, before a table is made in it."""
    engine = sqlalchemy.create_engine(address)
    try:
        tables = set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if "alembic_version" in tables and "version_info" not in tables:
        raise ConfigError(
            "Opening the tuning study's database failed: another program's tables are in it",
            received=f"{shown_uri(str(address))}, with the table 'alembic_version'"
            + (" of MLflow" if "experiments" in tables else ""),
            expected="an empty database, or one of Optuna's",
            next_step=f"set {VARIABLE} to a database of its own, or leave it out",
        )


def _storage(address: sqlalchemy.URL, engine: dict[str, Any]) -> optuna.storages.RDBStorage:
    from mlproject.tuning.study import retry_lost

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            address.render_as_string(hide_password=False),
            engine_kwargs=engine,
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=retry_lost,
        )
