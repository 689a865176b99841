"""A seeded sample of the eval split's raw rows, for what cannot look at all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from mlproject.examples.reader import count_rows, read_batches


def sample_rows(split_dir: Path, most: int, seed: int) -> tuple[pa.RecordBatch, np.ndarray]:
    """Some rows of a split, in its order; all of them where they are fewer.

    Args:
        split_dir: The split of the Examples.
        most: Rows to take; at least one.
        seed: The same seed takes the same rows.

    Returns:
        The rows, with all columns, and their numbers in the split.
    """
    total = count_rows(split_dir)
    picked = np.arange(total)
    if total > most:
        picked = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    taken = []
    first = 0
    for batch in read_batches(split_dir):
        within = picked[(picked >= first) & (picked < first + batch.num_rows)] - first
        taken.append(batch.take(pa.array(within)))
        first += batch.num_rows
    (rows,) = pa.Table.from_batches(taken).combine_chunks().to_batches()
    return rows, picked
