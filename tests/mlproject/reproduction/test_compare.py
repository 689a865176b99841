"""Metrics and predictions of two models, compared to the last bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import DataError
from mlproject.metrics import CANDIDATE, CHAMPION, MetricRow
from mlproject.reproduction.compare import compare_arrays, metric_gaps, read_predictions

ONE_BIT = np.nextafter(np.float32(0.5), np.float32(1))


def row(
    value: float | None, metric: str = "auc", slice_: str = "overall", **more: float
) -> MetricRow:
    return MetricRow(slice_, CANDIDATE, metric, int(more.pop("examples", 10)), value, **more)


def named(*rows: MetricRow) -> dict[tuple[str, str], MetricRow]:
    return {(r.slice, r.metric): r for r in rows}


def test_equal_metrics_have_no_gap_be_they_judged_or_not() -> None:
    rows = named(row(0.9, low=0.8), row(None, "f1"), row(math.nan, "own"))
    assert metric_gaps(rows, named(row(0.9, low=0.8), row(None, "f1"), row(math.nan, "own"))) == ()


def test_the_widest_gap_comes_first_and_none_against_a_number_is_infinite() -> None:
    then = named(row(0.9), row(0.5, "f1"), row(0.7, "recall"))
    now = named(row(0.91), row(None, "f1"), row(0.7, "recall"))
    gaps = metric_gaps(then, now)
    assert [(gap.metric, gap.then, gap.now) for gap in gaps] == [
        ("f1", 0.5, None),
        ("auc", 0.9, 0.91),
    ]
    assert gaps[0].gap == math.inf
    assert gaps[1].gap == pytest.approx(0.01)


@pytest.mark.parametrize("part", ["low", "high", "standard_error"])
def test_an_interval_that_differs_is_a_gap_of_width_0(part: str) -> None:
    (gap,) = metric_gaps(named(row(0.9, **{part: 0.1})), named(row(0.9, **{part: 0.2})))
    assert (gap.part, gap.gap) == (part, 0.0)


def test_a_metric_that_one_side_lacks_and_other_rows_are_told() -> None:
    gaps = metric_gaps(named(row(0.9), row(0.8, "f1")), named(row(0.9, examples=11), row(1, "own")))
    assert {(gap.metric, gap.part, gap.gap) for gap in gaps} == {
        ("f1", "missing", math.inf),
        ("own", "missing", math.inf),
        ("auc", "examples", 0.0),
    }


def test_one_bit_of_one_prediction_is_found() -> None:
    then = np.full(4, 0.5, np.float32)
    now = then.copy()
    assert compare_arrays(then, now).equal
    now[2] = ONE_BIT
    gap = compare_arrays(then, now)
    assert (gap.compared, gap.differing, gap.equal) == (4, 1, False)
    assert gap.largest == pytest.approx(float(ONE_BIT) - 0.5)


def test_a_value_that_is_no_number_equals_itself_and_is_infinitely_far_from_a_number() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    assert compare_arrays(nan, nan.copy()).equal
    assert compare_arrays(nan, np.array([1.0, 1.0], np.float32)).largest == math.inf


def test_arrays_of_other_shapes_are_unlike() -> None:
    gap = compare_arrays(np.zeros((3, 2)), np.zeros((3, 4)))
    assert gap.unlike == "shape [3, 4] now, [3, 2] then"
    assert gap.largest == math.inf


def test_texts_are_equal_or_infinitely_far_apart() -> None:
    words = np.array([b"cash", b"card"], object)
    assert compare_arrays(words, words.copy()).equal
    gap = compare_arrays(words, np.array([b"cash", b"cheque"], object))
    assert (gap.differing, gap.largest) == (1, math.inf)


@pytest.mark.parametrize("classes", [1, 3])
def test_predictions_are_read_with_the_recorded_model_first(tmp_path: Path, classes: int) -> None:
    then, now = np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32) + 1
    columns = {CANDIDATE: pa.array(now), CHAMPION: pa.array(then)}
    if classes > 1:
        columns = {n: pa.FixedSizeListArray.from_arrays(v, classes) for n, v in columns.items()}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet", row_group_size=2)
    read_then, read_now = read_predictions(tmp_path / "p.parquet")
    assert read_then.shape == ((6,) if classes == 1 else (2, 3))
    assert np.array_equal(read_then.ravel(), then)
    assert np.array_equal(read_now.ravel(), now)


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_predictions_that_cannot_be_read_are_a_data_error(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "p.parquet"
    if content is None:
        pq.write_table(pa.table({CANDIDATE: [1.0]}), file)
    else:
        file.write_bytes(content)
    with pytest.raises(DataError, match="recorded and the reproduced model"):
        read_predictions(file)
