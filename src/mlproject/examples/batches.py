"""Record batches of an even size, whatever size they arrive in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

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
