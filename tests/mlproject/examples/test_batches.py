"""Batches of an even size: they depend on the rows alone, and stay small where rows are long."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pyarrow as pa
import pytest

from mlproject.examples import batches
from mlproject.examples.batches import rebatch

ROWS = pa.RecordBatch.from_pydict(
    {
        "number": pa.array(range(5_000)),
        "text": pa.array(["x" * (i % 50) for i in range(5_000)]),
        "numbers": pa.array([[1.5] * (i % 30) if i % 7 else None for i in range(5_000)]),
        "texts": pa.array([["ab"] * (i % 5) for i in range(5_000)]),
    }
)


def cut(seed: int) -> Iterator[pa.RecordBatch]:
    rng = random.Random(seed)
    start = 0
    while start < ROWS.num_rows:
        rows = rng.randint(1, 400)
        yield ROWS.slice(start, rows)
        start += rows


@pytest.mark.parametrize("limit", [64 << 20, 20_000, 500, 10])
@pytest.mark.parametrize("rows", [100, 1_000, 7_000])
def test_batches_depend_on_the_rows_alone(
    monkeypatch: pytest.MonkeyPatch, rows: int, limit: int
) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", limit)
    found = [list(rebatch(cut(seed), rows)) for seed in range(3)]
    sizes = [[batch.num_rows for batch in once] for once in found]
    assert sizes[0] == sizes[1] == sizes[2]
    assert max(sizes[0]) <= rows
    assert all(pa.Table.from_batches(once).equals(pa.Table.from_batches([ROWS])) for once in found)


def test_batches_are_full_where_rows_are_short() -> None:
    assert [batch.num_rows for batch in rebatch(cut(0), 1_500)] == [1_500, 1_500, 1_500, 500]


def test_a_batch_of_long_rows_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 1_000)
    rows = pa.RecordBatch.from_pydict({"x": [[1] * 50] * 5 + [[1] * 500] + [[1]] * 5})
    assert [batch.num_rows for batch in rebatch([rows])] == [2, 2, 1, 1, 5]
