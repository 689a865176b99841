"""Rows of BigQuery: a table, a view or a query, through the storage API's Arrow streams."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.arrow_values import stored
from mlproject.examples.columns import LIST, Columns, arrow_schema, check_declared, check_names
from mlproject.examples.formats import ReadOptions
from mlproject.examples.gathered import gathered
from mlproject.examples.google.bigquery_service import BigQueryService
from mlproject.examples.request import BigQueryQuery
from mlproject.examples.sources import Part, changed
from mlproject.examples.spans import Span

if TYPE_CHECKING:
    from google.cloud.bigquery import SchemaField, Table

_COLUMN_TYPES = {
    **dict.fromkeys(("INTEGER", "INT64", "BOOLEAN", "BOOL"), "int"),
    **dict.fromkeys(("DATE", "DATETIME", "TIMESTAMP"), "int"),
    **dict.fromkeys(("FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"), "float"),
    **dict.fromkeys(("STRING", "GEOGRAPHY", "JSON"), "string"),
    "BYTES": "bytes",
}
_TABLES = ("TABLE", "SNAPSHOT", "CLONE")
_VIEWS = ("VIEW", "MATERIALIZED_VIEW")
_QUOTED = re.compile(
    r"'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`"
    r"|--[^\n]*|#[^\n]*|/\*.*?\*/",
    re.DOTALL,
)


class BigQuerySource:
    """A table, a view or a query of BigQuery.

    The digest is that of the etags, sizes and row counts of the tables that are read; it costs no
    query. What a query takes from elsewhere (CURRENT_DATE(), RAND()) does not count.

    Args:
        query: What to read.
        service: Speaks to BigQuery; made from the environment by default.

    Raises:
        ConfigError: What to read is not clear, or packages, credentials or project are missing.
        DataError: There is no such table, or BigQuery refuses or does not answer.
    """

    def __init__(self, query: BigQueryQuery, service: BigQueryService | None = None) -> None:
        if bool(query.table) == bool(query.query):
            raise ConfigError(
                "What to read from BigQuery is not clear",
                received="a table and a query" if query.table else "neither of the two",
                expected="data.bigquery.table or data.bigquery.query",
                next_step="name one of them in project.yaml",
            )
        _check_parameters(query)
        self._query = query
        self._service = service or BigQueryService(query.location)
        self._sql = query.query
        self._fields: Sequence[SchemaField]
        self._digest: str | None = None
        if query.table:
            table = self._found_table(query.table)
            self._fields = table.schema
            if table.table_type in _VIEWS:
                self._sql = f"SELECT * FROM `{query.table}`"
        if self._sql:
            self._fields = self._service.plan(self._sql, self._parameters).fields

    @property
    def uris(self) -> tuple[tuple[str | None, str], ...]:
        return ((None, self._part.uri),)

    @property
    def spans(self) -> tuple[Span, ...]:
        return ()

    def describe(self) -> str:
        """See `sources.Source.describe`."""
        return f"table {self._query.table}" if self._query.table else f"a query ({self._part.uri})"

    def digest(self) -> str:
        """See `sources.Source.digest`."""
        self._digest = self._digest or self._computed_digest()
        return self._digest

    def open(self, options: ReadOptions) -> BigQueryReader:
        """See `sources.Source.open`."""
        columns = _columns(self._fields, options.column_types, self.describe())
        return BigQueryReader(self, columns, self._part)

    def check_unchanged(self) -> None:
        """See `sources.Source.check_unchanged`."""
        if self._digest is not None and self._computed_digest() != self._digest:
            raise changed(
                f"{self.describe()} reads tables with other etags than at the start",
                "tables that nobody changes meanwhile",
            )

    def rows(self) -> Generator[pa.RecordBatch, None, None]:
        """Streams the rows as BigQuery gives them; a query is run for them.

        Raises:
            DataError: BigQuery refuses or does not answer.
        """
        if self._sql:
            table = self._service.run(self._sql, self._parameters)
        else:
            table = self._service.table(self._query.table)
        yield from self._service.batches(table)

    @property
    def _part(self) -> Part:
        asked = repr((self._query.query, self._query.parameters)).encode()
        name = self._query.table or f"query-{hashlib.sha256(asked).hexdigest()[:8]}"
        return Part(None, None, f"bigquery://{name}")

    @property
    def _parameters(self) -> list[Any]:
        from google.cloud.bigquery import ScalarQueryParameter

        kinds = {bool: "BOOL", int: "INT64", float: "FLOAT64"}
        return [
            ScalarQueryParameter(name, kinds.get(type(value), "STRING"), value)
            for name, value in self._query.parameters
        ]

    def _found_table(self, reference: str) -> Table:
        if not re.fullmatch(r"[^.`]+\.[^.`]+\.[^.`]+", reference):
            raise ConfigError(
                "data.bigquery.table is no whole name",
                received=f"'{reference}'",
                expected="PROJECT.DATASET.TABLE",
                next_step="correct data.bigquery.table in project.yaml",
            )
        table = self._service.table(reference)
        if table.table_type not in (*_TABLES, *_VIEWS):
            raise _external(reference, table.table_type)
        return table

    def _computed_digest(self) -> str:
        if self._sql:
            references = self._service.plan(self._sql, self._parameters).tables
        else:
            references = [self._query.table]
        tables = [self._service.table(reference) for reference in references]
        for table in tables:
            if table.table_type not in (*_TABLES, *_VIEWS):
                raise _external(table.full_table_id, table.table_type)
        states = sorted(map(_state, tables))
        asked = (self._sql, sorted(map(repr, self._query.parameters)))
        return hashlib.sha256(repr((asked, states)).encode()).hexdigest()


class BigQueryReader:
    """An opened table or query.

    Args:
        source: Gives the rows.
        columns: In the types to store.
        part: The one part.
    """

    def __init__(self, source: BigQuerySource, columns: Columns, part: Part) -> None:
        self._source = source
        self.columns = columns
        self.parts = (part,)

    def batches(self, part: Part) -> Generator[pa.RecordBatch, None, None]:
        """See `sources.Reader.batches`."""
        yield from gathered(self._stored(batch) for batch in self._source.rows())

    def _stored(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = []
        for name, column_type in self.columns:
            found = batch.schema.get_field_index(name)
            try:
                arrays.append(stored(batch.column(found), column_type))
            except (pa.ArrowException, IndexError) as err:
                raise DataError(
                    f"Column '{name}' of {self._source.describe()} does not convert to "
                    f"{column_type}",
                    received=f"{batch.schema.field(found).type}: {err}" if found >= 0 else "none",
                    expected=f"values that fit {column_type}",
                    next_step=f"convert it in a query: SELECT CAST({name} AS ...) ...",
                ) from err
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self.columns))


def _columns(fields: Sequence[SchemaField], declared: Mapping[str, str], what: str) -> Columns:
    names = [field.name for field in fields]
    check_names(names, what)
    check_declared(declared, names)
    found = []
    for field in fields:
        kind = _COLUMN_TYPES.get(field.field_type)
        if kind is None:
            raise _unsupported(field, what)
        kind += LIST if field.mode == "REPEATED" else ""
        found.append((field.name, declared.get(field.name, kind)))
    return tuple(found)


def _check_parameters(query: BigQueryQuery) -> None:
    bare = _QUOTED.sub(" ", query.query)
    wanted = set(re.findall(r"(?<![@\w])@([A-Za-z_]\w*)", bare))
    given = {name for name, _ in query.parameters}
    if wanted != given:
        missing, unused = sorted(wanted - given), sorted(given - wanted)
        raise ConfigError(
            f"The query has a parameter without a value: {', '.join(missing)}"
            if missing
            else f"The query has no parameter named {', '.join(unused)}",
            received=f"data.bigquery.parameters: {', '.join(sorted(given)) or 'none'}",
            expected="a value for every @name in the query"
            if missing
            else closest(unused[0], wanted),
            next_step="correct data.bigquery in project.yaml",
        )


def _state(table: Table) -> tuple[object, ...]:
    buffer = table.streaming_buffer
    return (
        table.full_table_id,
        table.etag,
        str(table.modified),
        table.num_bytes,
        table.num_rows,
        (buffer.estimated_rows, str(buffer.oldest_entry_time)) if buffer else None,
    )


def _external(name: str, kind: str) -> DataError:
    return DataError(
        f"'{name}' cannot tell whether its rows have changed",
        received=f"a table of type {kind}",
        expected="a table that BigQuery holds itself, or a view of such tables",
        next_step="load it into a table: CREATE TABLE ... AS SELECT * FROM ...",
    )


def _unsupported(field: SchemaField, what: str) -> DataError:
    nested = field.field_type in ("RECORD", "STRUCT")
    select = f"{field.name}.x AS {field.name}_x" if nested else f"CAST({field.name} AS STRING)"
    return DataError(
        f"Column '{field.name}' of {what} has a type that Examples cannot hold",
        received=f"{field.field_type}{' (repeated)' if field.mode == 'REPEATED' else ''}",
        expected="numbers, text, bytes, booleans, dates, timestamps, or arrays of them",
        next_step=f"read a query instead: SELECT {select}, ...",
    )
