"""Slices: named as TFDV names them, missing values among them, and no more than can be held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mlproject.errors import ConfigError, DataError
from mlproject.examples.reader import to_example_batch
from mlproject.statistics import StatisticsOptions, compute_statistics, read_statistics
from mlproject.statistics import combiner as combiner_module
from mlproject.statistics.compute import statistics_of_batches
from mlproject.statistics.slices import MAX_SLICES, ColumnSlicer


def batch(**columns: pa.Array) -> pa.RecordBatch:
    return to_example_batch(pa.RecordBatch.from_pydict(columns))


def cut(slicer: ColumnSlicer, rows: pa.RecordBatch) -> dict[str, list[object]]:
    return {name: part["row"].to_pylist() for name, part in slicer(rows)}


ROWS = batch(
    row=pa.array([0, 1, 2, 3, 4]),
    word=pa.array(["b", "a", None, "a", ""]),
    hour=pa.array([1, None, 1, 1, 2]),
    share=pa.array([0.5, 2.0, 0.5, None, 0.1]),
    tags=pa.array([["x", "y", "x"], [], None, ["y"], ["z"]], pa.list_(pa.string())),
)


def test_each_value_and_its_absence_is_a_slice() -> None:
    assert cut(ColumnSlicer(("word",)), ROWS) == {
        "word_b": [[0]],
        "word_a": [[1], [3]],
        "word_": [[4]],
        "word (missing)": [[2]],
    }
    assert cut(ColumnSlicer(("hour",)), ROWS) == {
        "hour_1": [[0], [2], [3]],
        "hour_2": [[4]],
        "hour (missing)": [[1]],
    }
    assert set(cut(ColumnSlicer(("share",)), ROWS)) == {
        *("share_0.5", "share_2.0", "share_0.10000000149011612", "share (missing)")
    }


def test_a_row_stands_once_in_the_slice_of_each_value_of_its_list() -> None:
    assert cut(ColumnSlicer(("tags",)), ROWS) == {
        "tags_x": [[0]],
        "tags_y": [[0], [3]],
        "tags_z": [[4]],
        "tags (missing)": [[1], [2]],
    }


def test_crossed_columns_are_named_in_the_order_of_their_names() -> None:
    found = cut(ColumnSlicer(("word", "hour")), ROWS)
    assert found == cut(ColumnSlicer(("hour", "word")), ROWS)
    assert found == {
        "hour_1_word_b": [[0]],
        "hour (missing)_word_a": [[1]],
        "hour_1_word (missing)": [[2]],
        "hour_1_word_a": [[3]],
        "hour_2_word_": [[4]],
    }


def test_a_slice_holds_every_column_of_its_rows() -> None:
    parts = dict(ColumnSlicer(("word",))(ROWS))
    assert parts["word_a"].to_pydict() == ROWS.take(pa.array([1, 3])).to_pydict()


def test_more_slices_than_can_be_held_are_refused_by_name() -> None:
    many = batch(id=pa.array(range(MAX_SLICES + 1)))
    with pytest.raises(DataError, match=r"'id'.*1,001 slices.*at most 1,000"):
        list(ColumnSlicer(("id",))(many))


def test_slices_that_become_too_many_over_the_batches_are_refused() -> None:
    parts = [
        batch(word=pa.array(["a"] * 300), id=pa.array(range(at, at + 300)))
        for at in range(0, 1_500, 300)
    ]
    with pytest.raises(DataError, match="'id' are too many"):
        statistics_of_batches(parts, StatisticsOptions(slices=("word", "id")))


def test_two_slices_of_one_name_are_refused() -> None:
    odd = pa.RecordBatch.from_pydict({"a": pa.array(["b_c"]), "a_b": pa.array(["c"])})
    with pytest.raises(ConfigError, match="'a_b_c' by 'a_b', and by 'a'"):
        statistics_of_batches([to_example_batch(odd)], StatisticsOptions(slices=("a", "a_b")))


def test_an_unknown_column_is_named_with_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"'wrod'.*did you mean 'word'\?"):
        list(ColumnSlicer(("wrod",))(ROWS))


def test_values_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match="'image' cannot name slices"):
        list(ColumnSlicer(("image",))(batch(image=pa.array([b"\xff\xd8"]))))


def test_rows_that_wait_are_taken_in_when_they_grow_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = StatisticsOptions(slices=("word",))
    at_once = statistics_of_batches([ROWS] * 9, options)
    monkeypatch.setattr(combiner_module, "HELD_BYTES", 100)
    assert statistics_of_batches([ROWS] * 9, options) == at_once


def test_slices_are_written_with_the_split(
    tmp_path: Path, write_split: Callable[..., Path]
) -> None:
    write_split(tmp_path / "in" / "Split-eval", {"w": pa.array(["a", "b", "a"])})
    options = StatisticsOptions(slices=("w",))
    compute_statistics(tmp_path / "in", ["eval"], tmp_path / "out", options=options)
    datasets = read_statistics(tmp_path / "out", "eval").datasets
    found = [(dataset.name, dataset.num_examples) for dataset in datasets]
    assert found == [("All Examples", 3), ("w_a", 2), ("w_b", 1)]
