"""Reads rows of a database to their end, over connections that may break off."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import pyarrow as pa
import sqlalchemy as sa

from mlproject.errors import ConfigError, DataUnavailable
from mlproject.examples.columns import Columns
from mlproject.examples.rows_digest import RowsDigest
from mlproject.examples.sources import Part, changed
from mlproject.examples.sql.connection import Database
from mlproject.examples.sql.rows import RowReader
from mlproject.examples.sql.statement import Key, Selection

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""How long to wait before each new try, after a connection that broke off."""
_MAX_VERSION_ROWS = 1000

_logger = logging.getLogger(__name__)


class SqlReader:
    """An opened table or query.

    A connection that breaks off is opened again, and the read goes on after the last key, where
    there is a key and what was read is still there as far as can be told cheaply: by the version
    query, or by the number of rows. (`SqlSource.check_unchanged` tells for sure, at the end.)

    Args:
        rows: Reads the rows.
        part: The one part.
        database: Gives the snapshots.
        selection: What is read.
        on_whole: Told the columns and the digest of the rows after each read to the end, where
            there is no version query.
        waits_s: See `WAITS_S`.
    """

    def __init__(
        self,
        rows: RowReader,
        part: Part,
        database: Database,
        selection: Selection,
        on_whole: Callable[[Columns, str], None],
        waits_s: Sequence[float],
    ) -> None:
        self._rows = rows
        self._database = database
        self._selection = selection
        self._on_whole = on_whole
        self._waits_s = waits_s
        self.parts = (part,)

    @property
    def columns(self) -> Columns:
        return self._rows.columns

    def batches(self, part: Part) -> Generator[pa.RecordBatch, None, None]:
        """See `sources.Reader.batches`."""
        columns = self.columns
        digest = RowsDigest(columns) if self._selection.version() is None else None
        last: Key | None = None
        version: object = None
        rows = tries = 0
        while True:
            try:
                with self._database.snapshot() as connection:
                    now = read_version(self._database, self._selection, connection)
                    if rows:
                        self._check_same(connection, now == version, last or (), rows)
                    version = now
                    with closing(self._rows.chunks(connection, last)) as chunks:
                        for chunk in chunks:
                            last = chunk.last
                            rows += chunk.batch.num_rows
                            tries = 0
                            if digest:
                                digest.update(chunk.batch)
                            yield chunk.batch
                break
            except DataUnavailable as err:
                if rows and last is None:
                    raise _cannot_go_on(self._selection.label, err) from err
                if tries == len(self._waits_s):
                    raise
                self._wait(err, last, self._waits_s[tries])
                tries += 1
        if digest:
            self._on_whole(columns, digest.hexdigest())

    def _wait(self, err: DataUnavailable, last: Key | None, wait_s: float) -> None:
        place = f"after the key {last}" if last else "from the start"
        _logger.warning("%s Going on %s in %g s.", err, place, wait_s)
        time.sleep(wait_s)

    def _check_same(self, connection: sa.Connection, same: bool, last: Key, rows: int) -> None:
        found = rows
        if self._selection.version() is None:
            clause = self._selection.count_up_to(last, self._rows.key_types)
            with self._database.errors(f"Counting the rows of {self._selection.label} failed"):
                found = connection.execute(clause).scalar_one()
        if not same or found != rows:
            now = f"{found:,} rows where {rows:,} were read" if same else "another version"
            raise changed(
                f"{self._selection.label}, when the connection had broken off: {now}",
                "the rows that were there before",
            )


def read_version(
    database: Database, selection: Selection, connection: sa.Connection
) -> tuple[tuple[str, ...], ...] | None:
    """The result of the version query as text, or None without one.

    Raises:
        ConfigError: It gives no row, or so many that it is no version.
        DataError: The database refuses.
    """
    clause = selection.version()
    if clause is None:
        return None
    with database.errors("The version query failed"):
        found = connection.execute(clause).fetchmany(_MAX_VERSION_ROWS + 1)
    if not 0 < len(found) <= _MAX_VERSION_ROWS:
        raise ConfigError(
            "data.sql.version_query tells no version",
            received=f"more than {_MAX_VERSION_ROWS:,} rows" if found else "no row",
            expected="a row (or a few) that is another whenever the data is",
            next_step="for example: SELECT count(*), max(updated_at) FROM ...",
        )
    return tuple(tuple(map(str, row)) for row in found)


def _cannot_go_on(label: str, err: DataUnavailable) -> DataUnavailable:
    return DataUnavailable(
        f"The connection broke off while {label} was read",
        received=err.received,
        expected="a connection that holds, or a key to go on from",
        next_step="run again; or set data.sql.key to columns that are unique together",
    )
