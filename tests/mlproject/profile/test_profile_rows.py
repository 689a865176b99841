"""The rows: copies are counted, and the sample is the same in any order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlproject.profile import rows as rows_module
from mlproject.profile.rows import SmallestRows, distinct_numbers, read_rows

Write = Callable[..., Path]


def table(rows: int, copies: int = 1, seed: int = 3) -> pa.Table:
    rng = np.random.default_rng(seed)
    made = pa.table(
        {
            "x": pa.array(rng.normal(size=rows)),
            "word": pa.array([f"w{n}" for n in rng.integers(0, 5, rows)]),
            "image": pa.array([bytes([n % 256]) for n in range(rows)]),
            "list": pa.array([[n] for n in range(rows)]),
        }
    )
    every = pa.concat_tables([made] * copies)
    return every.take(pa.array(rng.permutation(len(every))))


def written(folder: Path, rows: pa.Table, write_split: Write) -> Path:
    return write_split(folder, {name: rows[name] for name in rows.column_names})


def test_copies_are_counted_and_all_rows_sampled_where_they_are_few(
    tmp_path: Path, write_split: Write
) -> None:
    found = read_rows(written(tmp_path / "Split-a", table(400, copies=3), write_split))
    assert (found.rows, found.compared, found.copies) == (1_200, 1_200, 800)
    assert found.sample.num_rows == 1_200
    assert found.sample.column_names == ["x", "word"]  # what relations can be taken of


def test_copies_are_estimated_in_bounded_memory(
    tmp_path: Path, write_split: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "MAX_HASHES", 1_000)
    found = read_rows(written(tmp_path / "Split-a", table(3_000, copies=4), write_split))
    assert 700 < found.compared < 1_300
    assert found.copies / found.compared == pytest.approx(0.75)  # all copies fall together


def test_the_sample_does_not_depend_on_the_order_of_the_rows(
    tmp_path: Path, write_split: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "SAMPLE_ROWS", 100)
    made = table(5_000)
    one = read_rows(written(tmp_path / "Split-a", made, write_split)).sample
    mixed = made.take(pa.array(np.random.default_rng(8).permutation(5_000)))
    two = read_rows(written(tmp_path / "Split-b", mixed, write_split)).sample
    assert one.num_rows == 100
    assert one.to_pydict() == two.to_pydict()


def test_the_smallest_are_kept_batch_by_batch() -> None:
    rng = np.random.default_rng(6)
    numbers = rng.permutation(10_000).astype(np.uint64)
    kept = SmallestRows(50)
    for at in range(0, 10_000, 70):
        part = numbers[at : at + 70]
        kept.add(part, pa.RecordBatch.from_pydict({"n": pa.array(part)}))
        assert len(kept._numbers) <= 220
    assert kept.table()["n"].to_pylist() == list(range(50))


def test_nothing_shown_is_nothing_kept() -> None:
    assert SmallestRows(5).table().num_rows == 0


def test_distinct_numbers_leave_out_what_is_missing() -> None:
    sample = pa.table({"x": pa.array([1.0, None, 1.0, float("nan"), 2.0])})
    assert distinct_numbers(sample, ["x", "not there"]) == {"x": 2}
