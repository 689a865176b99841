"""What only the rows can tell: how many are copies, and a sample of them, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlproject.examples.reader import count_rows, read_batches, split_files
from mlproject.examples.splits import Hashes, hash_rows
from mlproject.statistics.compute import ahead
from mlproject.statistics.sample import sample_numbers

SAMPLE_ROWS = 50_000
MAX_HASHES = 8_000_000  # 64 MiB


@dataclass(frozen=True)
class Rows:
    """What was found in a split's rows.

    Attributes:
        rows: The split's rows.
        copies: Rows that are copies of another one, the first of each left out.
        compared: Rows among which copies were looked for: all of them, or those of a share of
            the hashes, in which all copies of a row fall together.
        sample: Up to 50,000 rows, the same on any machine; columns with one value a row.
    """

    rows: int
    copies: int
    compared: int
    sample: pa.Table


def read_rows(split_dir: Path) -> Rows:
    """Read the rows of a split once.

    Args:
        split_dir: A `Split-<name>` folder.

    Raises:
        DataError: They are missing or damaged.
    """
    files = split_files(split_dir)
    total = count_rows(split_dir)
    limit = np.uint64(min(2**64 - 1, 2**64 * MAX_HASHES // max(total, 1)))
    smallest = SmallestRows(SAMPLE_ROWS)
    hashes: list[Hashes] = []
    for batch in ahead(batch for file in files for batch in read_batches(file)):
        own = hash_rows(batch)
        # Not by the hash's first bits: they say which split a row is in.
        hashes.append(own[own.byteswap() <= limit])
        smallest.add(sample_numbers(own), _scalars(batch))
    compared = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    copies = len(compared) - len(np.unique(compared))
    return Rows(total, copies, len(compared), smallest.table())


class SmallestRows:
    """The rows with the smallest numbers, of all those that it was shown.

    Args:
        count: How many to keep.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._bound = np.uint64(2**64 - 1)
        self._numbers = np.zeros(0, np.uint64)
        self._parts: list[pa.RecordBatch] = []

    def add(self, numbers: Hashes, batch: pa.RecordBatch) -> None:
        """Show it rows and their numbers, `[rows] uint64`."""
        chosen = np.flatnonzero(numbers <= self._bound)
        self._numbers = np.concatenate([self._numbers, numbers[chosen]])
        self._parts.append(batch.take(pa.array(chosen)))
        if len(self._numbers) > 3 * self._count:
            self._cut()

    def table(self) -> pa.Table:
        """The rows, in the order of their numbers."""
        if not self._parts:
            return pa.table({})
        self._cut()
        return pa.Table.from_batches(self._parts)

    def _cut(self) -> None:
        order = np.argsort(self._numbers, kind="stable")[: self._count]
        kept = pa.Table.from_batches(self._parts).take(pa.array(order)).combine_chunks()
        self._parts = _batches(kept)
        self._numbers = self._numbers[order]
        if len(order) == self._count:
            self._bound = self._numbers[-1]


def _batches(table: pa.Table) -> list[pa.RecordBatch]:
    if table.num_rows:
        return list(table.to_batches())
    return [
        pa.RecordBatch.from_arrays([c.combine_chunks() for c in table.columns], table.schema.names)
    ]


def _scalars(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns with one value a row that is a number or text."""
    kept = [
        place
        for place, field in enumerate(batch.schema)
        if not (pa.types.is_nested(field.type) or pa.types.is_binary(field.type))
    ]
    columns, names = [batch.column(p) for p in kept], [batch.schema.names[p] for p in kept]
    return pa.RecordBatch.from_arrays(columns, names)


def distinct_numbers(sample: pa.Table, names: Iterable[str]) -> dict[str, int]:
    """Distinct values of columns in the sample, missing ones and NaN not counted."""
    found = {}
    for name in names:
        if name in sample.column_names:
            values = sample[name].drop_null().to_numpy()
            found[name] = len(np.unique(values[values == values]))
    return found
