"""A sample of a split's rows that depends on the rows alone: not on the machine, not on chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlproject.examples.reader import count_rows, read_batches
from mlproject.examples.splits import Hashes, hash_rows

_ODD = np.uint64(0x9E3779B97F4A7C15)
_SPARE = 2**20  # numbers kept beyond those wanted, before they are cut back: 8 MiB


def sample_numbers(hashes: Hashes) -> Hashes:
    """A number for each row, evenly spread, by which rows are sampled: the smallest first.

    It is made of the row's stable hash, so it does not depend on the order of the rows. Bytes are
    reversed: splits are cut by the first bits of the hash, and a sample by the same bits would be
    of one split only. Copies of a row within a batch are counted through, so that a row which
    stands a thousand times is sampled as a thousand rows, not as all or none.

    Args:
        hashes: `[rows] uint64`, the hashes of a batch's rows over all columns.

    Returns:
        `[rows] uint64`.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    places = np.arange(len(order))
    new = np.append(True, ordered[1:] != ordered[:-1]) if len(order) else np.zeros(0, bool)
    copies = np.empty(len(order), np.uint64)
    copies[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    numbers: Hashes = (hashes + copies * _ODD).byteswap()
    return numbers


@dataclass
class RowSample:
    """Rows whose number is below a limit, and some of those that stand at it.

    Attributes:
        limit: The limit.
        at_limit: How many rows at the limit are still to be taken. They have equal content (or
            hashes that collide), so it does not matter which.
    """

    limit: int
    at_limit: int = 0

    def take(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that are in the sample; give each batch once."""
        numbers = sample_numbers(hash_rows(batch))
        chosen = numbers < np.uint64(self.limit)
        if self.at_limit:
            ties = np.flatnonzero(numbers == np.uint64(self.limit))[: self.at_limit]
            chosen[ties] = True
            self.at_limit -= len(ties)
        return batch.filter(pa.array(chosen))


def sample_rate(rate: float) -> RowSample | None:
    """The sample of a share of the rows (above 0, up to 1); None where that is all of them."""
    limit = int(rate * 2.0**64)
    return RowSample(limit) if limit < 2**64 else None


def sample_rows(files: Iterable[Path], rows: int) -> RowSample | None:
    """The sample of exactly so many rows: those with the smallest numbers.

    Reads all rows once to find the limit, in memory for about two numbers a sampled row.

    Args:
        files: The split's files.
        rows: Rows in the sample.

    Returns:
        The sample; None where the split has no more rows than that.
    """
    files = list(files)
    if sum(map(count_rows, files)) <= rows:
        return None
    numbers = (sample_numbers(hash_rows(batch)) for file in files for batch in read_batches(file))
    return smallest(numbers, rows)


def smallest(numbers: Iterable[Hashes], rows: int) -> RowSample:
    """The sample of the rows with the smallest numbers, of those given."""
    kept, bound = np.zeros(0, np.uint64), np.uint64(2**64 - 1)
    for some in numbers:
        kept = np.concatenate([kept, some[some <= bound]])
        if len(kept) > 2 * rows + _SPARE:
            kept = np.partition(kept, rows - 1)[:rows]
            bound = kept.max()
    kept = np.partition(kept, rows - 1)[:rows]
    limit = kept.max()
    return RowSample(int(limit), int((kept == limit).sum()))
