"""Rows of a SQL database: one snapshot, in order, all of them or none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress

import sqlalchemy as sa

from mlproject.errors import DataError, closest
from mlproject.examples.columns import Columns
from mlproject.examples.formats import ReadOptions, TypesWidened
from mlproject.examples.request import DatabaseQuery
from mlproject.examples.sources import Part, changed
from mlproject.examples.spans import Span
from mlproject.examples.sql.connection import Database
from mlproject.examples.sql.reader import WAITS_S, SqlReader, read_version
from mlproject.examples.sql.rows import ColumnTypeError, RowReader
from mlproject.examples.sql.statement import Selection


class SqlSource:
    """A table or a query of PostgreSQL, SQLite, or another database that SQLAlchemy knows.

    The digest is the version query's result with what is asked of which database; or, without a
    version query, that of the rows in their order, which costs one more pass over them for every
    time it is asked (in a run: two for the plans, one for ingest; that nothing changed in the
    meantime is then told from the rows as they are read, at no cost).

    Args:
        query: What to read.
        waits_s: See `WAITS_S`.

    Raises:
        ConfigError: What to read is not clear, or the environment lacks the URL or the driver.
        DataError: There is no such table, or the database refuses or does not answer.
    """

    def __init__(self, query: DatabaseQuery, waits_s: Sequence[float] = WAITS_S) -> None:
        self._query = query
        self._waits_s = waits_s
        self._database = Database(query)
        self._selection = Selection(query, self._database.dialect)
        self._digest: str | None = None
        self._own_columns: Columns = ()
        self._read: tuple[Columns, str] = ((), "")
        if query.table:
            self._check_table()

    @property
    def uris(self) -> tuple[tuple[str | None, str], ...]:
        return ((None, self._uri),)

    @property
    def spans(self) -> tuple[Span, ...]:
        return ()

    def describe(self) -> str:
        """See `sources.Source.describe`."""
        return f"{self._selection.label} of {self._database.uri}"

    def digest(self) -> str:
        """See `sources.Source.digest`."""
        if self._digest is None:
            self._digest, self._own_columns = self._computed_digest()
        return self._digest

    def open(self, options: ReadOptions) -> SqlReader:
        """See `sources.Source.open`."""
        return self._opened(options.column_types, self._note_read)

    def check_unchanged(self) -> None:
        """See `sources.Source.check_unchanged`.

        Costs a pass over the rows where there is no version query and the rows were read with
        declared types other than the database's own, or not at all.
        """
        columns, digest = self._read
        if self._digest is None:
            return
        if not digest or columns != self._own_columns:
            digest, _ = self._computed_digest()
        if digest != self._digest:
            raise changed(
                f"{self.describe()} gives other rows than at the start",
                "rows that nobody changes meanwhile",
            )

    @property
    def _uri(self) -> str:
        asked = hashlib.sha256(repr(self._selection.identity()).encode()).hexdigest()[:8]
        return f"{self._database.uri}#{self._query.table or f'query-{asked}'}"

    def _opened(
        self, declared: Mapping[str, str], on_whole: Callable[[Columns, str], None]
    ) -> SqlReader:
        rows = _row_reader(self._database, self._selection, self._query.key, declared)
        part = Part(None, None, self._uri)
        return SqlReader(rows, part, self._database, self._selection, on_whole, self._waits_s)

    def _note_read(self, columns: Columns, digest: str) -> None:
        self._read = columns, digest

    def _computed_digest(self) -> tuple[str, Columns]:
        """The digest, and the columns of the rows where it is theirs."""
        if self._selection.version() is not None:
            with self._database.snapshot() as connection:
                return self._version_digest(connection), ()
        found: list[tuple[Columns, str]] = []
        texts: dict[str, str] = {}
        while not found:
            try:
                reader = self._opened(texts, lambda *whole: found.append(whole))
                while not found:
                    _exhaust(reader)
            except ColumnTypeError as err:
                # What has no type of its own may have a declared one: here it counts as text.
                if err.column in texts:
                    raise
                texts[err.column] = err.as_text
        columns, digest = found[0]
        return digest, columns

    def _version_digest(self, connection: sa.Connection) -> str:
        asked = (self._database.uri, self._selection.identity(), self._query.version_query)
        version = read_version(self._database, self._selection, connection)
        return hashlib.sha256(repr((asked, version)).encode()).hexdigest()

    def _check_table(self) -> None:
        schema, table = self._selection.schema or None, self._selection.table
        failed = f"Looking for {self._selection.label} failed"
        with self._database.snapshot() as connection, self._database.errors(failed):
            inspector = sa.inspect(connection)
            if inspector.has_table(table, schema):
                return
            there = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        hint = closest(table, there)
        if not hint.startswith("did"):
            hint = "a table or view that exists" if len(there) > 20 else hint
        raise DataError(
            f"There is no {self._selection.label}",
            received=f"{len(there)} tables and views in {self._database.uri}",
            expected=f"in schema '{schema}' {hint}" if schema else hint,
            next_step="correct data.sql.table in project.yaml",
        )


def _exhaust(reader: SqlReader) -> None:
    with suppress(TypesWidened), closing(reader.batches(reader.parts[0])) as batches:
        for _ in batches:
            pass


def _row_reader(
    database: Database, selection: Selection, key: tuple[str, ...], declared: Mapping[str, str]
) -> RowReader:
    if database.dialect.name == "postgresql" and database.dialect.driver == "psycopg2":
        from mlproject.examples.sql.postgres_rows import PostgresRows

        return PostgresRows(database, selection, key, declared)
    from mlproject.examples.sql.driver_rows import DriverRows

    return DriverRows(database, selection, key, declared)
