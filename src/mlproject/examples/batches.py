"""Record batches: of an even size, whatever size they arrive in, and of settled content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import DataError

BATCH_ROWS = 100_000
"""Rows in a batch and in a Parquet row group: large enough that per-batch costs vanish."""


class Rebatcher:
    """Collects batches and hands them back in batches of exactly `rows` rows.

    Args:
        rows: Rows in every batch handed back, the last one excepted.
    """

    def __init__(self, rows: int = BATCH_ROWS) -> None:
        self._rows = rows
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0

    def push(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take one batch in; yield the batches that are full now."""
        if batch.num_rows:
            self._pending.append(batch)
            self._pending_rows += batch.num_rows
        while self._pending_rows >= self._rows:
            yield from self._take(self._rows)

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Yield what is left, if any."""
        if self._pending_rows:
            yield from self._take(self._pending_rows)

    def _take(self, rows: int) -> Iterator[pa.RecordBatch]:
        if self._pending[0].num_rows == rows:  # already the right size: no copy
            taken = [self._pending.pop(0)]
        else:
            table = pa.Table.from_batches(self._pending)
            taken = table.slice(0, rows).combine_chunks().to_batches()
            self._pending = table.slice(rows).to_batches()
        self._pending_rows -= rows
        yield from taken


def rebatch(batches: Iterable[pa.RecordBatch], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, in batches of exactly `rows` (the last may be smaller)."""
    rebatcher = Rebatcher(rows)
    for batch in batches:
        yield from rebatcher.push(batch)
    yield from rebatcher.rest()


def settle(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch with every list without values as null, which is what missing means.

    Raises:
        DataError: A list holds a null: no tensor could say so.
    """
    columns = [
        _settled(field.name, column) if pa.types.is_list(field.type) else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def with_span(batch: pa.RecordBatch, name: str, number: int) -> pa.RecordBatch:
    """The batch with one more column, the number of its span."""
    span = pa.array([number], pa.int64()).take(pa.array([0] * batch.num_rows, pa.int32()))
    return pa.RecordBatch.from_arrays([*batch.columns, span], [*batch.schema.names, name])


def _settled(name: str, column: pa.ListArray) -> pa.ListArray:
    if column.flatten().null_count:
        raise DataError(
            f"A list in column '{name}' has a missing value",
            received="a null inside a list",
            expected="lists of values; a whole list may be missing",
            next_step=f"fill the values of '{name}', or drop the column",
        )
    empty = pc.equal(pc.list_value_length(column), 0)
    if not pc.any(empty).as_py():
        return column
    return pc.if_else(empty, pa.scalar(None, column.type), column)
