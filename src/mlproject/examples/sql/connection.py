"""Connections to a database that is only read: the URL, the snapshot, errors without secrets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from mlproject.errors import ConfigError, DataError, DataUnavailable, PlatformError
from mlproject.examples.locations import local_path
from mlproject.examples.request import DatabaseQuery

CONNECT_TIMEOUT_S = 10
_MAX_CELL_BYTES = 64 << 20
_POSTGRES_OPTIONS = {
    # A connection that is silently gone is noticed after a minute, not after two hours.
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# PostgreSQL's codes for a connection that is gone (08), a server that shuts down or starts up
# (57P), or has no place left (53300), and a read that gave way to replication (40001).
_LOST_CODES = ("08", "57P", "53300", "40001")
_REFUSALS = (
    "authentication failed",
    "does not exist",
    "invalid",
    "no password supplied",
    "no pg_hba.conf entry",
    "permission denied",
)


class Database:
    """A database, opened anew for every snapshot.

    Args:
        query: Names the environment variable that holds the URL, or a SQLite file.

    Raises:
        ConfigError: The variable is missing, its URL cannot be read, or the driver is missing.
        DataError: The SQLite file is missing.
    """

    def __init__(self, query: DatabaseQuery) -> None:
        if bool(query.connection_env) == bool(query.file):
            raise ConfigError(
                "The database is not clear",
                received="a connection and a file" if query.file else "neither of the two",
                expected="data.sql.connection_env (the name of an environment variable that holds "
                "the URL), or data.sql.file (a SQLite file)",
                next_step="name one of them in project.yaml",
            )
        self._variable = query.connection_env
        url = _url(query.connection_env) if query.connection_env else None
        if url is None or url.get_backend_name() == "sqlite":
            path = _existing(local_path(query.file) if url is None else url.database or "")
            self._password = ""
            self.uri = f"sqlite:///{path}"
            opened = partial(_open_file, path)
            self._engine = sa.create_engine("sqlite://", creator=opened, poolclass=NullPool)
        else:
            self._password = str(url.password or "")
            self.uri = _shown(url)
            self._engine = self._create_engine(url)
        self.dialect = self._engine.dialect

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection whose reads all see the database as it was at the first of them.

        On PostgreSQL that is a read-only, repeatable-read transaction. SQLite holds a snapshot for
        the length of each statement. Of other databases their own default applies.

        Raises:
            DataUnavailable: It does not answer, or the connection breaks off.
            DataError: It refuses.
        """
        with self.errors("The database cannot be opened", connecting=True):
            connection = self._engine.connect()
        with connection:
            yield connection

    @contextmanager
    def errors(self, failed: str, *, connecting: bool = False) -> Iterator[None]:
        """Turns what SQLAlchemy and the driver raise into the platform's errors.

        Args:
            failed: What failed, as a sentence.
            connecting: Whether what fails is the connection itself.
        """
        try:
            yield
        except sa.exc.DBAPIError as err:
            lost = err.connection_invalidated
            raise self._error(failed, err.orig, lost, connecting) from err
        except self._driver_error as err:
            raise self._error(failed, err, lost=False) from err

    @contextmanager
    def driver(self, connection: sa.Connection, failed: str) -> Iterator[Any]:
        """The driver's own connection; left by an exception, it is thrown away.

        Args:
            connection: A snapshot's.
            failed: As for `errors`.
        """
        own = connection.connection.driver_connection
        done = False
        try:
            yield own
            done = True
        except self._driver_error as err:
            lost = self.dialect.is_disconnect(err, own, None)  # type: ignore[arg-type]
            raise self._error(failed, err, lost) from err
        finally:
            if not done:
                connection.invalidate()

    @property
    def _driver_error(self) -> type[Exception]:
        module = self.dialect.dbapi
        return module.Error if module else sa.exc.DBAPIError

    def _error(
        self, failed: str, err: BaseException | None, lost: bool, connecting: bool = False
    ) -> PlatformError:
        text = _message(err)
        if self._password:
            text = text.replace(self._password, "***")
        code = str(getattr(err, "pgcode", None) or "")
        lost = lost or code.startswith(_LOST_CODES) or "is locked" in text
        refused = any(word in text for word in _REFUSALS)
        if lost or (connecting and not refused):
            return DataUnavailable(
                failed,
                received=f"{text} ({self.uri})",
                expected="a database that answers until all rows are read",
                next_step="check that the database runs and can be reached, then run again",
            )
        if connecting:
            place = f"the URL in {self._variable}" if self._variable else "data.sql.file"
            return DataError(
                failed,
                received=f"{text} ({self.uri})",
                expected="a database that this user may open",
                next_step=f"correct {place}, or the user's rights",
            )
        return DataError(
            failed,
            received=f"{text} ({self.uri})",
            expected="a table or SELECT that the database accepts and this user may read",
            next_step="correct data.sql in project.yaml, or have the user granted the right",
        )

    def _create_engine(self, url: URL) -> sa.Engine:
        options: dict[str, Any] = {}
        if url.get_backend_name() == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
            options["execution_options"] = {"postgresql_readonly": True}
            if url.get_dialect().driver == "psycopg2":
                given = _POSTGRES_OPTIONS.items()
                options["connect_args"] = {k: v for k, v in given if k not in url.query}
                options["client_encoding"] = "utf8"
        try:
            return sa.create_engine(url, poolclass=NullPool, hide_parameters=True, **options)
        except (sa.exc.NoSuchModuleError, ImportError) as err:
            raise ConfigError(
                f"The driver for the database of {self._variable} is not installed",
                received=f"{url.drivername}: {err}",
                expected="a driver that SQLAlchemy can load, such as psycopg2 for postgresql://",
                next_step="install it, for example: pip install psycopg2-binary",
            ) from err


def _url(variable: str) -> URL:
    text = os.environ.get(variable)
    if not text:
        raise ConfigError(
            f"The environment variable {variable} is not set",
            received="nothing" if text is None else "an empty text",
            expected="the URL of the database, such as postgresql://USER:PASSWORD@HOST/DATABASE",
            next_step=f"set it: export {variable}=... (data.sql.connection_env names it)",
        )
    try:
        return make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        # Not chained: the message may quote a part of the password.
        raise ConfigError(
            f"The environment variable {variable} holds no URL of a database",
            received="a text that is not shown, for it may hold a password",
            expected="DIALECT://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the "
            "password percent-encoded",
            next_step=f"correct {variable}",
        ) from None


def _shown(url: URL) -> str:
    """Where the database is: no user, no password, no options."""
    return URL.create(
        url.get_backend_name(), host=url.host, port=url.port, database=url.database
    ).render_as_string(hide_password=True)


def _existing(name: str) -> Path:
    path = Path(name).absolute()
    if not path.is_file():
        raise DataError(
            f"There is no SQLite database at '{name}'",
            received="a folder" if path.is_dir() else "no such file",
            expected="a SQLite file",
            next_step="correct data.sql.file in project.yaml",
        )
    return path


def _open_file(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL_BYTES)
    return connection


def _message(err: BaseException | None) -> str:
    """The driver's own words, in one line, with its hint."""
    diagnosis = getattr(err, "diag", None)
    lines = str(err).splitlines()
    text = getattr(diagnosis, "message_primary", None) or (lines[0] if lines else "no answer")
    hint = getattr(diagnosis, "message_hint", None)
    return f"{text.strip()} ({hint})" if hint else text.strip()
