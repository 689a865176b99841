"""Parquet files as a stream of record batches in their stored types.

Integers of every width and booleans become int; floats and decimals become float; text, plain
or dictionary-encoded, becomes string. Timestamps and dates become int, as seconds since
1970-01-01 UTC (a fraction of a second is cut off; a timestamp without a zone counts as UTC).
Everything else, lists and structs above all, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types as t

from mlproject.errors import DataError
from mlproject.examples.batches import BATCH_ROWS, rebatch
from mlproject.examples.columns import (
    Columns,
    arrow_schema,
    check_declared,
    check_names,
    check_same_names,
)
from mlproject.examples.sources import ReadOptions, unreadable

_EMPTY = "empty"


class ParquetSource:
    """Parquet files with the same columns, in any order.

    The schemas are read first, so the types are known before the first row: an int column is
    float when it is float in one of the files.

    Args:
        files: Files to read, in order.
        options: Declared types; the other options are for text.

    Raises:
        ConfigError: A declared type names no column or no type.
        DataError: A file is not readable, or its columns are not usable.
    """

    def __init__(self, files: Sequence[Path], options: ReadOptions) -> None:
        schemas = {path: _read_schema(path) for path in files}
        first = files[0]
        names = schemas[first].names
        for path, schema in schemas.items():
            check_names(schema.names, f"'{path}'")
            check_same_names(schema.names, f"'{path}'", names, f"'{first}'")
        check_declared(options.column_types, names)
        self._columns: Columns = tuple(
            (name, _column_type(name, schemas, options.column_types.get(name))) for name in names
        )

    @property
    def columns(self) -> Columns:
        return self._columns

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `sources.Source.batches`."""
        yield from rebatch(batch for path in files for batch in self._read(path))

    def _read(self, path: Path) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(self._columns)
        with _open(path) as file:
            batches = file.iter_batches(batch_size=BATCH_ROWS, columns=schema.names)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as err:
                    raise _broken(path, err) from err
                if batch is None:
                    return
                arrays = [_stored(path, batch, field) for field in schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _open(path: Path) -> pq.ParquetFile:
    try:
        with path.open("rb"):
            pass
    except OSError as err:
        raise unreadable(path, err) from err
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as err:
        raise _broken(path, err) from err


def _read_schema(path: Path) -> pa.Schema:
    with _open(path) as file:
        return file.schema_arrow


def _broken(path: Path, err: Exception) -> DataError:
    return DataError(
        f"'{path}' is not a whole Parquet file",
        received=f"{path.stat().st_size:,} bytes; {str(err).splitlines()[0]}",
        expected="a Parquet file, written to its end",
        next_step="write or copy the file again, or take it out of the source",
    )


def _column_type(name: str, schemas: dict[Path, pa.Schema], declared: str | None) -> str:
    """The one type of a column over all files."""
    found: dict[str, Path] = {}
    for path, schema in schemas.items():
        found.setdefault(_type_of(path, schema.field(name)), path)
    if declared:
        return declared
    found.pop(_EMPTY, None)
    if set(found) == {"int", "float"} or not found:
        return "float"
    if len(found) > 1:
        raise DataError(
            f"Column '{name}' is text in one file and numbers in another",
            received=", ".join(f"{kind} in '{path}'" for kind, path in found.items()),
            expected="one type in all files of a source",
            next_step=f"convert a file, or declare data.column_types: {{{name}: string}} "
            "in project.yaml",
        )
    return next(iter(found))


def _type_of(path: Path, field: pa.Field) -> str:
    kind = field.type.value_type if t.is_dictionary(field.type) else field.type
    if t.is_integer(kind) or t.is_boolean(kind) or t.is_timestamp(kind) or t.is_date(kind):
        return "int"
    if t.is_floating(kind) or t.is_decimal(kind):
        return "float"
    if t.is_string(kind) or t.is_large_string(kind):
        return "string"
    if t.is_null(kind):
        return _EMPTY
    raise DataError(
        f"Column '{field.name}' of '{path}' has a type that Examples cannot hold",
        received=str(field.type),
        expected="numbers, strings, booleans, dates or timestamps",
        next_step=_advice(kind, field.name),
    )


def _advice(kind: pa.DataType, name: str) -> str:
    if t.is_nested(kind):
        return f"write '{name}' as one flat column for each value in it, or drop it"
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        return f"write '{name}' as a string column if it is text, or drop it"
    return f"write '{name}' as a number, or drop it"


def _stored(path: Path, batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    column = batch.column(batch.schema.get_field_index(field.name))
    if column.type.equals(field.type):
        return column
    try:
        if t.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not t.is_string(field.type) and (t.is_timestamp(column.type) or t.is_date(column.type)):
            column = pc.floor_temporal(column.cast(pa.timestamp("us"), safe=False), unit="second")
            column = column.cast(pa.timestamp("s")).cast(pa.int64())
        if t.is_boolean(column.type):
            column = column.cast(pa.int64())
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise DataError(
            f"Column '{field.name}' of '{path}' does not convert to {field.type}",
            received=f"type {column.type}: {err}",
            expected=f"values that fit {field.type}",
            next_step=f"convert '{field.name}', or declare "
            f"data.column_types: {{{field.name}: string}} in project.yaml",
        ) from err
