"""Small batches gathered into large ones, of many rows or many bytes."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pyarrow as pa

from mlproject.examples.batches import BATCH_ROWS

CHUNK_BYTES = 32 << 20
"""What a batch may take before it is handed on, whatever its number of rows."""


def gathered(batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """The same rows in the same order, in batches of up to 100,000 rows or about 32 MiB.

    Rows of images would make batches of 100,000 rows that no memory holds.
    """
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if pending and rows + batch.num_rows > BATCH_ROWS:
            yield joined(pending)
            pending, rows, size = [], 0, 0
        pending.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if size >= CHUNK_BYTES:
            yield joined(pending)
            pending, rows, size = [], 0, 0
    if rows:
        yield joined(pending)


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of all, which share their columns and hold a row at least."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
