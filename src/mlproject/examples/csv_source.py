"""CSV files as a stream of record batches in their stored types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from mlproject.errors import ConfigError
from mlproject.examples.batches import rebatch
from mlproject.examples.columns import (
    LIST,
    SCALAR_TYPES,
    Columns,
    arrow_schema,
    check_declared,
    check_same_names,
)
from mlproject.examples.csv_faults import (
    MAX_ROW_BYTES,
    bad_cell,
    explain,
    read_header,
    unclosed_quote,
)
from mlproject.examples.csv_types import (
    BOOL_WORDS,
    EMPTY,
    READ_TYPES,
    STORED_TYPES,
    Misfit,
    kind_of,
    kinds_of_empty,
    widened_kinds,
)
from mlproject.examples.formats import ReadOptions, TypesWidened
from mlproject.examples.raw_bytes import open_native

_SAMPLE_BYTES = MAX_ROW_BYTES
"""What the first look at the types reads. Not an option: it would change the types found."""


class CsvSource:
    """CSV files with the same header.

    Types are guessed from the first block and read at full speed. When a later cell does not
    fit, all files are read once as text to settle the types, and the reader starts again.

    Args:
        files: Files with one header, in the order to read them.
        options: Delimiter, null spellings, declared types.
        block_bytes: Bytes parsed at a time; a row must fit. Changes no result.

    Raises:
        ConfigError: A declared type names no column or no type, or is a list.
        DataError: A file has no usable header, or another one than the first.
    """

    def __init__(
        self, files: Sequence[Path], options: ReadOptions, block_bytes: int = MAX_ROW_BYTES
    ) -> None:
        self._files = tuple(files)
        self._options = options
        self._block_bytes = block_bytes
        self._names = self._common_header()
        check_declared(options.column_types, self._names)
        _check_scalar(options.column_types)
        self._kinds = self._sampled_kinds()

    @property
    def columns(self) -> Columns:
        return tuple((name, STORED_TYPES[kind]) for name, kind in self._kinds.items())

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `formats.FileReader.batches`."""
        schema = arrow_schema(self.columns)
        types = {name: READ_TYPES[kind] for name, kind in self._kinds.items()}
        try:
            for batch in rebatch(b for path in files for b in self._read(path, types)):
                yield _stored(batch, schema)
        except pa.ArrowInvalid as refusal:
            raise self._settled_types(refusal) from refusal

    def _read(
        self, path: Path, types: Mapping[str, pa.DataType], block_bytes: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Stream the columns in `types` of one file; Arrow's refusals (ArrowInvalid) pass."""
        delimiter = self._options.delimiter
        last = None
        try:
            with open_native(path) as file:
                for last in pa_csv.open_csv(file, **self._arrow_options(types, block_bytes)):
                    if _holds_nul(last):
                        raise explain(path, delimiter, ValueError("a NUL byte"))
                    yield last
        except OSError as refusal:
            raise explain(path, delimiter, refusal) from refusal
        # Arrow takes the end of the file for a closing quote: the last cell swallows the rest.
        fault = _ends_in_newline_cell(last) and unclosed_quote(path, delimiter)
        if fault:
            raise fault

    def _arrow_options(
        self, types: Mapping[str, pa.DataType], block_bytes: int | None
    ) -> dict[str, object]:
        return {
            "read_options": pa_csv.ReadOptions(block_size=block_bytes or self._block_bytes),
            "parse_options": pa_csv.ParseOptions(
                delimiter=self._options.delimiter, newlines_in_values=True
            ),
            "convert_options": pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=sorted({"", *self._options.null_values}),
                strings_can_be_null=True,
                true_values=[word for word, value in BOOL_WORDS.items() if value],
                false_values=[word for word, value in BOOL_WORDS.items() if not value],
            ),
        }

    def _read_text(self, path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Stream some columns as text; a file that cannot be parsed raises DataError."""
        if not names:
            return
        try:
            yield from self._read(path, dict.fromkeys(names, pa.string()))
        except pa.ArrowInvalid as refusal:
            raise explain(path, self._options.delimiter, refusal) from refusal

    def _common_header(self) -> list[str]:
        first = self._files[0]
        names = read_header(first, self._options.delimiter)
        for path in self._files[1:]:
            other = read_header(path, self._options.delimiter)
            check_same_names(other, f"'{path}'", names, f"'{first}'")
        return names

    def _sampled_kinds(self) -> dict[str, str]:
        declared = self._options.column_types
        text = dict.fromkeys(self._names, pa.string())
        try:
            batches = self._read(self._files[0], text, block_bytes=_SAMPLE_BYTES)
            sample = next(batches, None)
            batches.close()  # type: ignore[attr-defined]
        except pa.ArrowInvalid as refusal:
            raise explain(self._files[0], self._options.delimiter, refusal) from refusal
        if sample is None:
            return {name: declared.get(name, EMPTY) for name in self._names}
        found = {name: kind_of(sample.column(i).drop_null()) for i, name in enumerate(text)}
        return {name: declared.get(name, kind) for name, kind in found.items()}

    def _settled_types(self, refusal: pa.ArrowInvalid) -> TypesWidened:
        """Settle the types over all files, after Arrow met a cell that does not fit."""
        declared = self._options.column_types
        before = self._kinds
        try:
            kinds = kinds_of_empty(self._files, before, self._read_text)
            self._kinds = widened_kinds(self._files, kinds, declared, self._read_text)
        except Misfit as cell:
            raise bad_cell(
                cell.path,
                self._options.delimiter,
                cell.row,
                cell.column,
                cell.value,
                cell.kind,
                cell.column in declared,
            ) from refusal
        if self._kinds == before:  # the text parses and the types fit, yet Arrow refuses
            raise explain(self._files[0], self._options.delimiter, refusal) from refusal
        return TypesWidened()


def _check_scalar(column_types: Mapping[str, str]) -> None:
    for name, column_type in column_types.items():
        if column_type.endswith(LIST):
            raise ConfigError(
                f"data.column_types gives column '{name}' a type that a CSV cell cannot hold",
                received=f"'{column_type}'",
                expected=f"{', '.join(SCALAR_TYPES)}: a cell of a CSV file is one value",
                next_step="declare it a string, or write the data as JSON Lines or Parquet, which "
                "have lists",
            )


def _text_columns(batch: pa.RecordBatch) -> Iterator[pa.StringArray]:
    return (column for column in batch.columns if pa.types.is_string(column.type))


def _holds_nul(batch: pa.RecordBatch) -> bool:
    """Whether a text cell holds a NUL byte; in a cell of numbers Arrow refuses it."""
    texts = (column.buffers()[2] for column in _text_columns(batch))
    return any(t is not None and t.size and not np.frombuffer(t, np.uint8).all() for t in texts)


def _ends_in_newline_cell(batch: pa.RecordBatch | None) -> bool:
    if batch is None or not batch.num_rows:
        return False
    last = batch.slice(batch.num_rows - 1)
    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in _text_columns(last))


def _stored(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    return pa.RecordBatch.from_arrays(
        [column.cast(type_) for column, type_ in zip(batch.columns, schema.types, strict=True)],
        schema=schema,
    )
