"""The sample: the same rows on any machine, in any order, and as many as were asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.examples.splits import assign_splits, hash_rows
from mlproject.statistics import StatisticsOptions, compute_statistics, read_statistics
from mlproject.statistics.sample import (
    RowSample,
    sample_numbers,
    sample_rate,
    sample_rows,
    smallest,
)

ROWS = 20_000


def rows(count: int = ROWS, seed: int = 5) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    return pa.RecordBatch.from_pydict(
        {
            "x": pa.array(rng.normal(size=count)),
            "word": pa.array([f"w{n}" for n in rng.integers(0, 9, count)]),
        }
    )


def taken(sample: RowSample | None, *batches: pa.RecordBatch) -> list[float]:
    assert sample is not None
    return sorted(value for batch in batches for value in sample.take(batch)["x"].to_pylist())


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.999])
def test_a_rate_takes_about_that_share(rate: float) -> None:
    expected = rate * ROWS
    assert abs(len(taken(sample_rate(rate), rows())) - expected) < 4 * expected**0.5 + 1


def test_the_numbers_are_the_same_on_any_machine() -> None:
    batch = pa.RecordBatch.from_pydict(
        {"a": pa.array([1, 1, None]), "b": pa.array(["x", "x", "y"])}
    )
    assert sample_numbers(hash_rows(batch)).tolist() == [
        13380131950140080133,
        14855988269256898723,
        7862632501969801576,
    ]


def test_the_order_of_the_rows_and_the_batches_does_not_matter() -> None:
    batch = rows()
    mixed = batch.take(pa.array(np.random.default_rng(1).permutation(ROWS)))
    cut = [mixed.slice(at, 777) for at in range(0, ROWS, 777)]
    assert taken(sample_rate(0.2), *cut) == taken(sample_rate(0.2), batch)


def test_the_sample_does_not_follow_the_split() -> None:
    batch = rows()
    train = assign_splits(batch, {"train": 2, "eval": 1}) == 0
    chosen = sample_numbers(hash_rows(batch)) < np.uint64(2**64 // 10)
    assert abs(train[chosen].mean() - 2 / 3) < 0.05
    assert abs(chosen[train].mean() - 0.1) < 0.01


@pytest.mark.parametrize("copies", [2, 100, 10_000])
def test_rows_that_stand_often_are_sampled_as_often(copies: int) -> None:
    few = pa.RecordBatch.from_pydict(
        {"x": pa.array(np.repeat(np.arange(20_000 // copies, dtype=float), copies))}
    )
    found = taken(sample_rate(0.1), few)
    assert abs(len(found) - 2_000) < 300
    if copies > 100:
        counts = np.unique(found, return_counts=True)[1]
        assert len(counts) == 20_000 // copies
        assert counts == pytest.approx(np.full(len(counts), 0.1 * copies), rel=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 30), max_size=40), min_size=1, max_size=8),
    st.integers(1, 50),
)
def test_the_smallest_numbers_are_found_in_one_pass(parts: list[list[int]], wanted: int) -> None:
    everything = sorted(value for part in parts for value in part)
    if wanted >= len(everything):
        return
    sample = smallest((np.array(part, np.uint64) for part in parts), wanted)
    assert sample.limit == everything[wanted - 1]
    assert sample.at_limit == everything[:wanted].count(sample.limit)


def test_memory_for_the_smallest_numbers_does_not_grow_with_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlproject.statistics.sample._SPARE", 100)
    rng = np.random.default_rng(2)
    parts = [rng.integers(0, 2**63, 500).astype(np.uint64) for _ in range(50)]
    largest = 0
    partition = np.partition

    def watch(values: np.ndarray, place: int) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(values))
        return partition(values, place)

    monkeypatch.setattr(np, "partition", watch)
    sample = smallest(iter(parts), 300)
    assert sample.limit == np.sort(np.concatenate(parts))[299]
    assert largest <= 2 * 300 + 100 + 500


@pytest.mark.parametrize("wanted", [1, 250, 999])
def test_a_row_limit_takes_exactly_so_many(
    wanted: int, tmp_path: Path, write_split: Callable[..., Path]
) -> None:
    # Ten copies of each row: the last ones taken are some of several equal rows.
    batch = rows(100)
    table = pa.concat_tables([pa.Table.from_batches([batch])] * 10)
    folder = write_split(
        tmp_path / "in" / "Split-train", dict(zip(table.column_names, table, strict=True))
    )
    options = StatisticsOptions(sample_rows=wanted)
    compute_statistics(tmp_path / "in", ["train"], tmp_path / "out", options=options)
    assert read_statistics(tmp_path / "out", "train").datasets[0].num_examples == wanted
    assert sample_rows([folder / "examples-00000.parquet"], 1_000) is None


def test_statistics_of_a_sample_are_of_its_rows_and_tell_of_all(
    tmp_path: Path, write_split: Callable[..., Path]
) -> None:
    batch = rows()
    write_split(
        tmp_path / "in" / "Split-train", dict(zip(batch.schema.names, batch.columns, strict=True))
    )
    told: list[int] = []
    options = StatisticsOptions(sample_rate=0.25)
    compute_statistics(tmp_path / "in", ["train"], tmp_path / "out", told.append, options)
    (dataset,) = read_statistics(tmp_path / "out", "train").datasets
    values = taken(sample_rate(0.25), batch)
    assert dataset.num_examples == len(values)
    numbers = dataset.features[0].num_stats
    assert numbers.mean == pytest.approx(np.mean(np.float32(values)), rel=1e-5)
    assert told[-1] == ROWS


def test_a_rate_of_one_is_no_sample() -> None:
    assert sample_rate(1.0) is None
