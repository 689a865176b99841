"""Parquet files as a stream of record batches in their stored types, as `arrow_values` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types as t

from mlproject.errors import DataError
from mlproject.examples.arrow_values import (
    EMPTY,
    SUPPORTED,
    column_type_of,
    list_array,
    stored,
    wider,
)
from mlproject.examples.batches import BATCH_ROWS, rebatch
from mlproject.examples.columns import (
    Columns,
    arrow_schema,
    check_declared,
    check_names,
    check_same_names,
)
from mlproject.examples.formats import ReadOptions
from mlproject.examples.locations import unreadable

_BATCH_BYTES = 64 << 20


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
        """See `formats.FileReader.batches`."""
        yield from rebatch(batch for path in files for batch in self._read(path))

    def _read(self, path: Path) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(self._columns)
        with _open(path) as file:
            batches = file.iter_batches(batch_size=rows_at_a_time(file), columns=schema.names)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as err:
                    raise _broken(path, err) from err
                if batch is None:
                    return
                arrays = [_stored(path, batch, *column) for column in self._columns]
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
    widest: str | None = EMPTY
    for kind in found:
        widest = wider(widest, kind) if widest is not None else None
    if widest is None:
        raise DataError(
            f"Column '{name}' has one type in one file and another in another",
            received=", ".join(f"{kind or 'nulls'} in '{path}'" for kind, path in found.items()),
            expected="one type in all files of a source",
            next_step=f"convert a file, or declare data.column_types: {{{name}: string}} "
            "in project.yaml",
        )
    return widest or "float"


def _type_of(path: Path, field: pa.Field) -> str:
    found = column_type_of(_variable(field.type))
    if found is None:
        raise DataError(
            f"Column '{field.name}' of '{path}' has a type that Examples cannot hold",
            received=str(field.type),
            expected=SUPPORTED,
            next_step=_advice(field.type, field.name),
        )
    return found


def _advice(kind: pa.DataType, name: str) -> str:
    if t.is_list(kind) and t.is_list(_variable(kind.value_type)):
        return f"write '{name}' as one list of values, row after row, or drop it"
    if t.is_nested(kind):
        return f"write '{name}' as one flat column for each value in it, or drop it"
    return f"write '{name}' as a number, or drop it"


def _variable(kind: pa.DataType) -> pa.DataType:
    """The type; of lists of a fixed size that of lists of any size."""
    return pa.list_(kind.value_type) if t.is_fixed_size_list(kind) else kind


def _stored(path: Path, batch: pa.RecordBatch, name: str, column_type: str) -> pa.Array:
    column = batch.column(batch.schema.get_field_index(name))
    if t.is_fixed_size_list(column.type):
        column = list_array(column.flatten(), pc.list_value_length(column))
    try:
        return stored(column, column_type)
    except pa.ArrowException as err:
        raise DataError(
            f"Column '{name}' of '{path}' does not convert to {column_type}",
            received=f"type {column.type}: {err}",
            expected=f"values that fit {column_type}",
            next_step=f"convert '{name}', or declare "
            f"data.column_types: {{{name}: string}} in project.yaml",
        ) from err


def rows_at_a_time(file: pq.ParquetFile) -> int:
    """Rows to read at a time: at most `BATCH_ROWS`, less of long lists or texts."""
    metadata = file.metadata
    most = 1.0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        values = sum(group.column(i).num_values for i in range(group.num_columns))
        # A packed file may take less than the eight bytes that a value takes in memory.
        most = max(most, max(group.total_byte_size, 8 * values) / max(group.num_rows, 1))
    return max(1, min(BATCH_ROWS, int(_BATCH_BYTES / most)))
