"""The rows of a PostgreSQL database, by COPY."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from mlproject.errors import DataError
from mlproject.examples.arrow_values import first_misfit
from mlproject.examples.columns import (
    LIST,
    Columns,
    arrow_schema,
    arrow_type,
    check_declared,
    check_key,
    check_names,
)
from mlproject.examples.sql.connection import Database
from mlproject.examples.sql.postgres_csv import copy_chunks, parse, parse_text, stored_cells
from mlproject.examples.sql.postgres_types import PostgresType, read_types
from mlproject.examples.sql.rows import (
    Chunk,
    Keys,
    misfit,
    not_declarable,
    place_of,
    unsupported,
)
from mlproject.examples.sql.statement import Key, Selection

_MAX_ROW_BYTES = 256 << 20
# Text that reads the same on every server, and (without a key) an order that two reads share.
_SESSION = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = "
    "'iso_8601'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; "
)
_ONE_ORDER = "SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0; "


class PostgresRows:
    """See `rows.RowReader`.

    Args:
        database: The database.
        selection: What to read.
        key: Columns that order the rows.
        declared: Column name and type, which win over what the database says.

    Raises:
        ConfigError: A declared type names no column or cannot be, or the key names no column.
        DataError: The database refuses, or a column has a type that Examples cannot hold.
    """

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
        self._types = self._found_types()
        names = list(self._types)
        check_declared(declared, names)
        check_key(key, names)
        self.columns: Columns = tuple(
            (name, self._column_type(name, declared.get(name))) for name in names
        )
        self.key_types = tuple(self._types[name].name for name in key)

    def chunks(self, connection: sa.Connection, after: Key | None) -> Generator[Chunk, None, None]:
        """See `rows.RowReader.chunks`."""
        read = dict(self.columns)
        expressions = [
            f"{self._types[name].expression(f'q.{self._selection.name(name)}', kind)} AS "
            f"{self._selection.name(name)}"
            for name, kind in read.items()
        ]
        # As text, for what is stored is not always the exact value (of a timestamp, say).
        keys = {f"benison key {number}": "string" for number in range(len(self._key))}
        for name, column in zip(keys, self._key, strict=True):
            expressions.append(f'q.{self._selection.name(column)}::text AS "{name}"')
        clause = self._selection.rows(expressions, after, self.key_types if after else ())
        schema = arrow_schema(self.columns)
        check = Keys(self._key, self._selection.label)
        rows = 0
        with closing(self._copied(connection, clause)) as texts:
            for text in texts:
                try:
                    columns = parse(text, {**read, **keys})
                except pa.ArrowException as err:
                    raise self._explained(text, {**read, **keys}, rows, err) from err
                batch = pa.RecordBatch.from_arrays(columns[: len(read)], schema=schema)
                last = None
                if self._key:
                    check.check(columns[len(read) :])
                    last = tuple(column[-1].as_py() for column in columns[len(read) :])
                rows += batch.num_rows
                yield Chunk(batch, last)

    def _copied(
        self, connection: sa.Connection, clause: sa.TextClause
    ) -> Generator[bytes, None, None]:
        with self._database.driver(connection, self._failed) as driver:
            with driver.cursor() as cursor:
                cursor.execute(_SESSION + ("" if self._key else _ONE_ORDER))
                compiled = clause.compile(dialect=self._database.dialect)
                select = cursor.mogrify(str(compiled), compiled.params)
            with closing(copy_chunks(driver, select)) as texts:
                for text in texts:
                    if len(text) > _MAX_ROW_BYTES:
                        raise self._too_long(len(text))
                    yield text

    def _found_types(self) -> dict[str, PostgresType]:
        with self._database.snapshot() as connection, self._database.errors(self._failed):
            result: Any = connection.execute(self._selection.none())
            description = result.cursor.description
            driver: Any = connection.connection.driver_connection
            with driver.cursor() as cursor:
                known = read_types(cursor, [column.type_code for column in description])
        check_names([column.name for column in description], self._selection.label)
        return {
            column.name: known.get(column.type_code, PostgresType(str(column.type_code), ""))
            for column in description
        }

    def _column_type(self, name: str, declared: str | None) -> str:
        found = self._types[name]
        label = self._selection.label
        if declared and found.can_be(declared):
            return declared
        if declared and found.column_type:
            raise not_declarable(label, name, found.name, declared)
        if found.column_type is None:
            as_text = "string list" if found.is_array else "string"
            raise unsupported(label, name, found.name, as_text)
        return found.column_type

    def _explained(
        self, text: bytes, column_types: Mapping[str, str], rows: int, err: pa.ArrowException
    ) -> DataError:
        """Looks for the cell that Arrow refused, as Arrow names neither column nor row well."""
        cells = parse_text(text, list(column_types))
        key = list(column_types)[len(self.columns) :]
        for name, column_type in self.columns:
            column = cells[name].combine_chunks()
            try:
                _fit(column_type, column)
            except pa.ArrowException:
                row = first_misfit(column, partial(_fit, column_type))
                values = tuple(_shown(cells[part][row].as_py()) for part in key)
                return misfit(
                    self._selection.label,
                    name,
                    _shown(column[row].as_py()),
                    f"a value that reads as {column_type}",
                    place_of(self._key, values, rows + row + 1),
                    "string list" if column_type.endswith(LIST) else "string",
                )
        return misfit(self._selection.label, "?", str(err), "rows of CSV", f"rows after {rows:,}")

    def _too_long(self, size: int) -> DataError:
        return DataError(
            f"A row of {self._selection.label} is too long",
            received=f"{size:,} bytes as text",
            expected=f"rows of less than {_MAX_ROW_BYTES:,} bytes",
            next_step="leave the long column out: read a query instead of the table",
        )

    @property
    def _failed(self) -> str:
        return f"Reading {self._selection.label} failed"


def _fit(column_type: str, cells: pa.Array) -> None:
    """Raises pa.ArrowException where a cell, as bytes, does not fit."""
    if column_type in ("int", "float"):
        cells.cast(pa.string()).cast(arrow_type(column_type))
    else:
        stored_cells(cells.cast(pa.string()), column_type)


def _shown(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode(errors="replace")
