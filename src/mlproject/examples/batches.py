"""Record batches: of an even size, whatever size they arrive in, and of settled content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import DataError

BATCH_ROWS = 100_000
"""Rows in a batch and in a Parquet row group: large enough that per-batch costs vanish."""


BATCH_BYTES = 64 << 20
"""What the values of a batch may take, for rows so long that `BATCH_ROWS` of them take more."""


class Rebatcher:
    """Collects batches and hands them back in batches of `rows` rows.

    A batch ends earlier where its values would take more than `BATCH_BYTES`. Where it ends depends
    on the rows alone, not on the batches they came in.

    Args:
        rows: Rows in every batch handed back, the last one and those of long rows excepted.
    """

    def __init__(self, rows: int = BATCH_ROWS) -> None:
        self._rows = rows
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def push(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take one batch in; yield the batches that are full now."""
        ends = np.cumsum(_row_bytes(batch))
        start = taken_bytes = 0
        while start < batch.num_rows:
            room = BATCH_BYTES - self._pending_bytes + taken_bytes
            fitting = int(np.searchsorted(ends, room, side="right")) - start
            if not self._pending:
                fitting = max(fitting, 1)  # a row is never cut
            part = batch.slice(start, min(fitting, self._rows - self._pending_rows))
            if part.num_rows:
                self._pending.append(part)
                self._pending_rows += part.num_rows
                start += part.num_rows
                self._pending_bytes += int(ends[start - 1]) - taken_bytes
                taken_bytes = int(ends[start - 1])
            if self._pending_rows == self._rows or start < batch.num_rows:
                yield self._take()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Yield what is left, if any."""
        if self._pending:
            yield self._take()

    def _take(self) -> pa.RecordBatch:
        pending, self._pending = self._pending, []
        self._pending_rows = self._pending_bytes = 0
        if len(pending) == 1:  # no copy
            return pending[0]
        (taken,) = pa.Table.from_batches(pending).combine_chunks().to_batches()
        return taken


def _row_bytes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """`[rows] int64`: about how many bytes the values of each row take."""
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        total += _value_bytes(column)
    return total


def _value_bytes(column: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_list(column.type):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy()
        ends = np.concatenate([[0], np.cumsum(_value_bytes(column.flatten()))])
        places = np.concatenate([[0], np.cumsum(lengths)])
        sizes: npt.NDArray[np.int64] = np.diff(ends[places])
        return sizes
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return pc.binary_length(column).fill_null(0).to_numpy().astype(np.int64)
    return np.full(len(column), 8, np.int64)


def rebatch(batches: Iterable[pa.RecordBatch], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, in batches of `rows` (see `Rebatcher`)."""
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
