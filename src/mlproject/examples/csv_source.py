"""CSV files as a stream of record batches in their stored types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from mlproject.examples.batches import rebatch
from mlproject.examples.columns import Columns, arrow_schema, check_declared, check_same_names
from mlproject.examples.csv_faults import bad_cell, explain, read_header, unclosed_quote
from mlproject.examples.csv_text import CsvBytes
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
from mlproject.examples.sources import ReadOptions, TypesWidened

_SAMPLE_BYTES = 1 << 20
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
        ConfigError: A declared type names no column or no type.
        DataError: A file has no usable header, or another one than the first.
    """

    def __init__(
        self, files: Sequence[Path], options: ReadOptions, block_bytes: int = 1 << 20
    ) -> None:
        self._files = tuple(files)
        self._options = options
        self._block_bytes = block_bytes
        self._names = self._common_header()
        check_declared(options.column_types, self._names)
        self._kinds = self._sampled_kinds()

    @property
    def columns(self) -> Columns:
        return tuple((name, STORED_TYPES[kind]) for name, kind in self._kinds.items())

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `sources.Source.batches`."""
        schema = arrow_schema(self.columns)
        types = {name: READ_TYPES[kind] for name, kind in self._kinds.items()}
        try:
            for batch in rebatch(b for path in files for b in self._read(path, types)):
                yield _stored(batch, schema)
        except pa.ArrowInvalid as refusal:
            raise self._settled_types(refusal) from refusal

    def _read(
        self,
        path: Path,
        types: dict[str, pa.DataType],
        block_bytes: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Stream the columns in `types` of one file; Arrow's refusals pass through."""
        with CsvBytes(path) as file:
            batches = pa_csv.open_csv(
                pa.PythonFile(file, mode="r"),
                read_options=pa_csv.ReadOptions(block_size=block_bytes or self._block_bytes),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self._options.delimiter, newlines_in_values=True
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=sorted({"", *self._options.null_values}),
                    strings_can_be_null=True,
                    true_values=[word for word, value in BOOL_WORDS.items() if value],
                    false_values=[word for word, value in BOOL_WORDS.items() if not value],
                ),
            )
            yield from batches
            if file.quotes % 2:  # Arrow takes the end of the file for the closing quote
                fault = unclosed_quote(path, self._options.delimiter)
                if fault:
                    raise fault

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


def _stored(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    return pa.RecordBatch.from_arrays(
        [column.cast(type_) for column, type_ in zip(batch.columns, schema.types, strict=True)],
        schema=schema,
    )
