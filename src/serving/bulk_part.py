"""One file's predictions: read in batches, asked of the model, written as one Parquet file.

Imports pyarrow: it is imported where there are files to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from mlproject.errors import ConfigError, DataError, ServingError
from mlproject.examples.batches import rebatch
from mlproject.examples.columns import arrow_schema
from mlproject.examples.csv_faults import read_header
from mlproject.examples.formats import (
    FileReader,
    ReadOptions,
    TypesWidened,
    format_of,
    open_files,
)
from serving.bulk_columns import (
    Predict,
    check_there,
    output_names,
    predict_columns,
    typed_inputs,
)
from serving.bulk_signature import ModelColumns

if TYPE_CHECKING:
    from mlproject.examples.locations import Location
    from serving.bulk_inference import BulkRequest

_TEXT_FORMATS = ("csv", "jsonl")  # whose values have the type that the reader makes of them


@dataclass(frozen=True)
class PartWriter:
    """Writes the predictions for one file.

    Attributes:
        request: What is asked.
        model: What the signature takes and gives.
        predict: The signature.
        file: The input file.
    """

    request: BulkRequest
    model: ModelColumns
    predict: Predict
    file: Location

    def write(self, target: Path, made_of: Mapping[str, str], tell: Callable[[int], None]) -> int:
        """Writes all rows.

        Args:
            target: The Parquet file.
            made_of: Its metadata.
            tell: Told the rows so far.

        Returns:
            The rows.

        Raises:
            DataError: The file cannot be read, or does not fit the model.
            ServingError: The model refuses rows.
        """
        path = self.file.local()
        kind = self.request.file_format or format_of(self.file.name) or self.request.default_format
        reader = open_typed(path, kind, self.request.options, self.model)
        while True:
            try:
                return self._write(reader, path, target, made_of, tell)
            except TypesWidened:  # of a column that passes through: from the first row again
                continue

    def _write(
        self,
        reader: FileReader,
        path: Path,
        target: Path,
        made_of: Mapping[str, str],
        tell: Callable[[int], None],
    ) -> int:
        there = [name for name, _ in reader.columns]
        kept = there if self.request.kept is None else list(self.request.kept)
        check_there(kept, there, self.file.path, "--keep")
        rows, writer = 0, None
        try:
            for batch in rebatch(self._predicted(reader, path, kept, tell)):
                writer = writer or self._open(target, batch.schema, made_of)
                writer.write_batch(batch)
                rows += batch.num_rows
            if writer is None:
                none = pa.RecordBatch.from_pylist([], schema=arrow_schema(reader.columns))
                writer = self._open(target, self._asked(none, kept).schema, made_of)
        finally:
            if writer is not None:
                writer.close()
        return rows

    def _open(
        self, target: Path, schema: pa.Schema, made_of: Mapping[str, str]
    ) -> pq.ParquetWriter:
        return pq.ParquetWriter(target, schema.with_metadata(dict(made_of)), compression="zstd")

    def _predicted(
        self, reader: FileReader, path: Path, kept: Sequence[str], tell: Callable[[int], None]
    ) -> Iterator[pa.RecordBatch]:
        rows, schema = 0, None
        for batch in rebatch(reader.batches([path]), self.request.batch_rows):
            predicted = self._asked(batch, kept)
            schema = schema or predicted.schema
            if predicted.schema != schema:
                raise ServingError(
                    "The model's outputs have other shapes in other rows",
                    received=f"{predicted.schema}",
                    expected=f"{schema}",
                    next_step="choose another signature with --signature",
                )
            yield predicted
            rows += batch.num_rows
            tell(rows)

    def _asked(self, batch: pa.RecordBatch, kept: Sequence[str]) -> pa.RecordBatch:
        """`[rows]`: the kept columns, then the predictions."""
        typed = typed_inputs(
            batch, self.model.inputs, self.file.path, allow_missing=self.request.allow_missing
        )
        columns = {name: typed.column(name) for name in kept}
        names = output_names(tuple(self.model.outputs), kept)
        for output, column in predict_columns(self.predict, typed, self.model).items():
            columns[names[output]] = column
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def open_typed(path: Path, kind: str, options: ReadOptions, model: ModelColumns) -> FileReader:
    """A reader of one file that knows which columns the model takes as text, or as fractions.

    A column of zip codes is read as numbers, and "007" as 7, unless somebody says what it is.

    Args:
        path: The file.
        kind: Its format.
        options: How it is read; declared types of columns that are not there do not count.
        model: What the signature takes.

    Raises:
        DataError: The file cannot be used.
    """
    wanted = {}
    if kind in _TEXT_FORMATS:
        for name, spec in model.inputs.items():
            if spec.column_type != "int" and (kind == "jsonl" or not spec.is_list):
                wanted[name] = spec.column_type + (" list" if spec.is_list else "")
    declared = {**wanted, **options.column_types}
    try:
        there = _names(path, kind, options)
    except DataError as err:  # perhaps of values that only a declared type holds together
        try:
            return open_files(kind, [path], _declare(options, declared))
        except ConfigError:
            raise err from None
    found = {name: column_type for name, column_type in declared.items() if name in there}
    return open_files(kind, [path], _declare(options, found))


def _names(path: Path, kind: str, options: ReadOptions) -> set[str]:
    if kind == "csv":  # its types need not be found for that
        return set(read_header(path, options.delimiter))
    return {name for name, _ in open_files(kind, [path], _declare(options, {})).columns}


def _declare(options: ReadOptions, column_types: Mapping[str, str]) -> ReadOptions:
    return replace(options, column_types=column_types)
