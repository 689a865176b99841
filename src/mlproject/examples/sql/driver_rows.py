"""The rows of any database, as its driver gives them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from operator import eq
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from mlproject.errors import DataError
from mlproject.examples.batches import BATCH_ROWS
from mlproject.examples.columns import (
    Columns,
    arrow_schema,
    check_declared,
    check_key,
    check_names,
)
from mlproject.examples.gathered import CHUNK_BYTES, joined
from mlproject.examples.sql.connection import Database
from mlproject.examples.sql.rows import (
    Chunk,
    misfit,
    place_of,
    shown_key,
    unusable_key,
)
from mlproject.examples.sql.sqlite_types import declared_kinds
from mlproject.examples.sql.statement import Key, Selection
from mlproject.examples.sql.values import Misfit, ValueColumn

_MAX_FETCH = 1_000
"""Rows fetched at a time: Python objects that still fit in the processor's cache."""
_FETCH_BYTES = 4 << 20


class DriverRows:
    """See `rows.RowReader`.

    Args:
        database: The database.
        selection: What to read.
        key: Columns that order the rows.
        declared: Column name and type, which win over what the database says.

    Raises:
        ConfigError: A declared type or the key names no column.
        DataError: The database refuses, or the first rows hold what Examples cannot.
    """

    key_types: tuple[str, ...] = ()

    def __init__(
        self,
        database: Database,
        selection: Selection,
        key: tuple[str, ...],
        declared: Mapping[str, str],
    ) -> None:
        self._database = database
        self._selection = selection
        self._key = key
        self._failed = f"Reading {selection.label} failed"
        kinds = self._found_kinds()
        check_declared(declared, kinds)
        check_key(key, kinds)
        self._columns = [
            ValueColumn(name, declared.get(name) or kind, declared=name in declared)
            for name, kind in kinds.items()
        ]
        self._key_places = [list(kinds).index(name) for name in key]
        if not all(column.known for column in self._columns):
            self._settle()

    @property
    def columns(self) -> Columns:
        return tuple((column.name, column.column_type) for column in self._columns)

    def chunks(self, connection: sa.Connection, after: Key | None) -> Generator[Chunk, None, None]:
        """See `rows.RowReader.chunks`."""
        pending: list[Chunk] = []
        with closing(self._fetched(connection, after)) as fetched:
            for chunk in fetched:
                pending.append(chunk)
                rows = sum(part.batch.num_rows for part in pending)
                size = sum(part.batch.nbytes for part in pending)
                if rows > BATCH_ROWS - _MAX_FETCH or size >= CHUNK_BYTES:
                    yield _merged(pending)
                    pending = []
        if pending:
            yield _merged(pending)

    def _fetched(
        self, connection: sa.Connection, after: Key | None
    ) -> Generator[Chunk, None, None]:
        schema = arrow_schema(self.columns)
        last: Key | None = None
        rows, count = 0, 1
        with self._database.errors(self._failed):
            result = self._execute(connection, after)
            # SQLite's own rows are plain tuples already; SQLAlchemy's cost an eighth of the read.
            rest = result.cursor if connection.dialect.name == "sqlite" else result
            while found := rest.fetchmany(count):
                values = list(zip(*found, strict=True))
                batch = pa.RecordBatch.from_arrays(self._converted(values, rows), schema=schema)
                if self._key:
                    last = self._checked_key([values[place] for place in self._key_places], last)
                rows += batch.num_rows
                count = _next_count(count, batch.nbytes)
                yield Chunk(batch, last)

    def _execute(self, connection: sa.Connection, after: Key | None) -> Any:
        stream = {"stream_results": True, "max_row_buffer": _MAX_FETCH}
        return connection.execute(self._selection.rows(after=after), execution_options=stream)

    def _found_kinds(self) -> dict[str, str]:
        with self._database.snapshot() as connection, self._database.errors(self._failed):
            names = list(connection.execute(self._selection.none()).keys())
            check_names(names, self._selection.label)
            kinds: Mapping[str, str] = {}
            if connection.dialect.name == "sqlite":
                kinds = declared_kinds(connection, self._selection.none())
        return {name: kinds.get(name, "") for name in names}

    def _settle(self) -> None:
        """Settles by the first rows what the database does not declare."""
        with self._database.snapshot() as connection, self._database.errors(self._failed):
            found = self._execute(connection, None).fetchmany(_MAX_FETCH)
        for column, values in zip(self._columns, zip(*found, strict=True), strict=False):
            try:
                column.settle(values)
            except Misfit as err:
                raise self._explained(column, values, err, found, 0) from err

    def _converted(self, values: list[tuple[Any, ...]], rows: int) -> list[pa.Array]:
        arrays = []
        for column, cells in zip(self._columns, values, strict=True):
            try:
                arrays.append(column.convert(cells))
            except Misfit as err:
                raise self._explained(
                    column, cells, err, list(zip(*values, strict=True)), rows
                ) from err
        return arrays

    def _checked_key(self, columns: list[tuple[Any, ...]], before: Key | None) -> Key:
        """The last key, when all are there and none stands twice in a row."""
        for name, values in zip(self._key, columns, strict=True):
            if None in values:
                raise unusable_key(self._selection.label, f"null in '{name}'")
        keys = [before, *zip(*columns, strict=True)]
        twice = list(map(eq, keys[1:], keys))
        if any(twice):
            shown = shown_key(self._key, keys[twice.index(True)] or ())
            raise unusable_key(self._selection.label, f"{shown} twice")
        return tuple(values[-1] for values in columns)

    def _explained(
        self, column: ValueColumn, values: tuple[Any, ...], err: Misfit, found: Any, rows: int
    ) -> DataError:
        key = tuple(found[err.row][place] for place in self._key_places)
        return misfit(
            self._selection.label,
            column.name,
            values[err.row],
            f"a value {err.expected}",
            place_of(self._key, key, rows + err.row + 1),
        )


def _merged(chunks: list[Chunk]) -> Chunk:
    return Chunk(joined([chunk.batch for chunk in chunks]), chunks[-1].last)


def _next_count(count: int, size: int) -> int:
    """How many rows to fetch next, when so many took so many bytes: long rows, fewer of them."""
    if size > _FETCH_BYTES:
        return max(1, count // 2)
    return min(2 * count, _MAX_FETCH) if size < _FETCH_BYTES // 2 else count
