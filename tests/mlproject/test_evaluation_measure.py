"""Metrics and differences of every slice, from predictions on disk to files and tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.errors import DataError, UserModuleError
from mlproject.evaluation import intervals as intervals_module
from mlproject.evaluation import (
    logged_metrics,
    overall_values,
    read_differences,
    read_metrics,
    wide_table,
    write_differences,
    write_metrics,
)
from mlproject.evaluation import measure as measure_module
from mlproject.evaluation.intervals import share_spread
from mlproject.evaluation.measure import CUSTOM_RESAMPLES, Measured, MeasureRequest, measure
from mlproject.evaluation.predictions import Predictions, PredictionsWriter
from mlproject.evaluation.slicing import SliceColumn, Slicing
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.metrics.by_task import point_metrics
from mlproject.metrics.custom import CustomMetrics
from mlproject.metrics.names import BOUNDS
from mlproject.sections import EvaluationSection

ROWS = 600


def scored(task: str = "binary", rows: int = ROWS, seed: int = 1) -> dict[str, np.ndarray]:
    """Labels, and the predictions of a candidate and a slightly worse champion."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        labels = rng.normal(10, 5, rows)
        candidate = labels + rng.normal(0, 1, rows)
        champion = candidate + rng.normal(0, 0.5, rows)
    elif task == "binary":
        labels = rng.integers(0, 2, rows).astype(np.int8)
        logits = 2 * labels - 1 + rng.normal(0, 1, rows)
        champion = 1 / (1 + np.exp(-(logits + rng.normal(0, 0.4, rows))))
        candidate = 1 / (1 + np.exp(-logits))
    else:
        labels = rng.integers(0, 4, rows).astype(np.int32)
        raw = np.exp(2 * np.eye(4)[labels] + rng.normal(0, 1, (rows, 4)))
        worse = raw * np.exp(rng.normal(0, 0.4, (rows, 4)))
        candidate, champion = (each / each.sum(axis=1, keepdims=True) for each in (raw, worse))
    found = {"label": labels, CANDIDATE: candidate, CHAMPION: champion}
    return {n: v if n == "label" else v.astype(np.float32) for n, v in found.items()}


def written(
    folder: Path, data: Mapping[str, np.ndarray], batch: int = 10_000, **by: Any
) -> Predictions:
    columns = {n: SliceColumn(n, tuple(sorted(set(values)))) for n, values in by.items()}
    file = folder / f"predictions-{batch}.parquet"
    with PredictionsWriter(file) as writer:
        for first in range(0, len(data["label"]), batch):
            part = slice(first, first + batch)
            sliced = {n: columns[n].named(pa.array(values[part])) for n, values in by.items()}
            models = {n: v[part] for n, v in data.items() if n != "label"}
            writer.write(data["label"][part], models, sliced)
    return Predictions(file, Slicing(columns, tuple((name,) for name in by)))


def request(task: str = "binary", **section: Any) -> MeasureRequest:
    given = {"resamples": 100, "min_slice_examples": 1, **section}
    return MeasureRequest(task, EvaluationSection(**given))


def by_key(rows: Any) -> dict[tuple[str, str, str], MetricRow]:
    return {(row.slice, row.model, row.metric): row for row in rows}


BOTH = (CANDIDATE, CHAMPION)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_slice_has_the_metrics_of_its_rows(task: str, tmp_path: Path) -> None:
    data = scored(task)
    area = np.random.default_rng(2).choice(["1", "2", "(missing)"], ROWS, p=[0.6, 0.3, 0.1])
    found = measure(written(tmp_path, data, area=list(area)), BOTH, request(task))
    rows = by_key(found.rows)
    for name in (OVERALL, "area=1", "area=2", "area=(missing)"):
        mask = np.full(ROWS, True) if name == OVERALL else area == name.removeprefix("area=")
        each = {m: point_metrics(task, data["label"][mask], data[m][mask], 3) for m in BOTH}
        for metric, value in each[CANDIDATE].items():
            row = rows[name, CANDIDATE, metric]
            assert row.examples == mask.sum()
            assert value is not None
            assert row.value == pytest.approx(value)
            assert row.low is not None
            assert row.high is not None
            assert row.low <= row.value <= row.high
            assert rows[name, CHAMPION, metric].value == pytest.approx(each[CHAMPION][metric])
            (apart,) = [d for d in found.differences if (d.slice, d.metric) == (name, metric)]
            assert apart.value == pytest.approx(value - (each[CHAMPION][metric] or 0.0))
            assert apart.low is not None
            assert apart.standard_error is not None
            assert apart.standard_error <= 2 * (row.standard_error or 0.0)
    assert len(rows) == 4 * 2 * len(each[CANDIDATE]) == 2 * len(found.differences)


def test_slices_come_by_falling_size_after_the_whole(tmp_path: Path) -> None:
    data = scored(rows=10)
    predictions = written(tmp_path, data, k=list("bbbaaaaacc"), j=["z"] * 10)
    found = measure(predictions, (CANDIDATE,), request())
    sizes = {row.slice: row.examples for row in found.rows}
    assert list(sizes.items()) == [(OVERALL, 10), ("k=a", 5), ("k=b", 3), ("k=c", 2), ("j=z", 10)]
    assert found.differences == ()


def test_a_slice_under_the_least_number_of_rows_has_no_values(tmp_path: Path) -> None:
    predictions = written(tmp_path, scored(rows=10), k=list("aaaaaaabbb"))
    rows = by_key(measure(predictions, BOTH, request(min_slice_examples=4)).rows)
    assert rows["k=b", CHAMPION, "accuracy"] == MetricRow("k=b", CHAMPION, "accuracy", 3, None)
    assert rows["k=a", CHAMPION, "accuracy"].value is not None
    rows = by_key(measure(predictions, BOTH, request(min_slice_examples=100)).rows)
    assert rows[OVERALL, CANDIDATE, "accuracy"].value is not None
    assert rows["k=a", CANDIDATE, "accuracy"].value is None


def test_an_empty_bucket_is_a_slice_of_no_rows(tmp_path: Path) -> None:
    data = scored(rows=20)
    column = SliceColumn("fare", ("(-inf, 5)", "[5, inf)"), (5.0,))
    file = tmp_path / "predictions.parquet"
    with PredictionsWriter(file) as writer:
        models = {CANDIDATE: data[CANDIDATE]}
        writer.write(data["label"], models, {"fare": column.named(pa.array([1.0] * 20))})
    predictions = Predictions(file, Slicing({"fare": column}, (("fare",),)))
    rows = by_key(measure(predictions, (CANDIDATE,), request()).rows)
    assert rows["fare=[5, inf)", CANDIDATE, "auc"] == MetricRow(
        "fare=[5, inf)", CANDIDATE, "auc", 0, None
    )
    assert rows["fare=(-inf, 5)", CANDIDATE, "auc"].value is not None


def test_a_slice_of_one_class_has_no_auc_and_no_interval_of_it(tmp_path: Path) -> None:
    data = scored(rows=40)
    classes = ["one" if label else "none" for label in data["label"]]
    found = measure(written(tmp_path, data, k=classes), BOTH, request())
    row = by_key(found.rows)["k=one", CANDIDATE, "auc"]
    assert (row.value, row.low, row.high, row.standard_error) == (None, None, None, None)
    assert by_key(found.rows)["k=one", CANDIDATE, "accuracy"].low is not None
    (apart,) = [d for d in found.differences if (d.slice, d.metric) == ("k=one", "auc")]
    assert (apart.value, apart.low) == (None, None)


def test_the_same_seed_gives_the_same_numbers_whatever_the_batches(tmp_path: Path) -> None:
    data, k = scored(), list("abc") * (ROWS // 3)
    first = measure(written(tmp_path, data, k=k), BOTH, request(seed=7))
    assert measure(written(tmp_path, data, batch=41, k=k), BOTH, request(seed=7)) == first
    other = measure(written(tmp_path, data, k=k), BOTH, request(seed=8))
    assert [row.value for row in other.rows] == [row.value for row in first.rows]
    assert [row.low for row in other.rows] != [row.low for row in first.rows]


def test_what_else_is_sliced_changes_no_interval(tmp_path: Path) -> None:
    data, k = scored(), list("abc") * (ROWS // 3)
    few = measure(written(tmp_path, data, k=k), BOTH, request())
    more = measure(written(tmp_path, data, batch=99, j=["z"] * ROWS, k=k), BOTH, request())
    assert set(few.rows) <= set(more.rows)
    assert set(few.differences) <= set(more.differences)


def test_more_confidence_is_a_wider_interval(tmp_path: Path) -> None:
    predictions = written(tmp_path, scored())
    narrow, wide = (
        by_key(measure(predictions, BOTH, request(confidence=share)).rows)[
            OVERALL, CANDIDATE, "auc"
        ]
        for share in (0.8, 0.99)
    )
    assert narrow.value == wide.value
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_large_slice_is_spread_by_a_subsample(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = written(tmp_path, scored(task, rows=6_000))
    whole = by_key(measure(predictions, BOTH, request(task, resamples=400)).rows)
    monkeypatch.setattr(intervals_module, "MAX_ROWS", 2_000)
    part = by_key(measure(predictions, BOTH, request(task, resamples=400)).rows)
    for key, row in part.items():
        assert row.value == whole[key].value
        assert row.standard_error != whole[key].standard_error
        if not row.metric.startswith(("absolute_error_p99", "calibration")):
            assert row.standard_error == pytest.approx(whole[key].standard_error, rel=0.3), key


def custom(**metrics: Any) -> CustomMetrics:
    return CustomMetrics(Path("project.py"), metrics)


def test_a_custom_metric_stands_beside_the_others(tmp_path: Path) -> None:
    data, k = scored(), list("abc") * (ROWS // 3)
    gap = custom(gap=lambda labels, predictions: labels.mean() - predictions.mean())
    made = dataclasses.replace(request(), custom=gap)
    found = measure(written(tmp_path, data, k=k), BOTH, made)
    row = by_key(found.rows)["k=b", CANDIDATE, "gap"]
    errors = (data["label"] - data[CANDIDATE])[1::3]
    assert row.value == pytest.approx(errors.mean(), abs=1e-5)
    wanted = errors.std() / math.sqrt(len(errors))
    assert row.standard_error == pytest.approx(wanted, rel=4 / math.sqrt(2 * CUSTOM_RESAMPLES))
    assert row.low == pytest.approx((row.value or 0) - 1.96 * row.standard_error, abs=1e-4)
    assert {d.metric for d in found.differences} == {r.metric for r in found.rows}


def test_a_custom_metric_that_fails_on_a_slice_is_not_judged_there(tmp_path: Path) -> None:
    notes: list[str] = []
    fails = custom(few=lambda labels, predictions: 1.0 if len(labels) > 7 else 1 / 0)
    made = dataclasses.replace(request(), custom=fails, note=notes.append)
    found = measure(written(tmp_path, scored(rows=10), k=list("aaaaaaabbb")), (CANDIDATE,), made)
    assert by_key(found.rows)["k=a", CANDIDATE, "few"].value is None
    assert [note.partition(":")[0] for note in notes] == [
        "few of the candidate is not judged on k=a",
        "few of the candidate is not judged on k=b",
    ]
    assert "ZeroDivisionError" in notes[0]


@pytest.mark.parametrize("result", [math.nan, None])
def test_a_custom_metric_that_fails_on_all_rows_is_an_error(result: Any, tmp_path: Path) -> None:
    made = dataclasses.replace(request(), custom=custom(bad=lambda labels, predictions: result))
    with pytest.raises(UserModuleError, match=r"'bad' of project\.py cannot be judged"):
        measure(written(tmp_path, scored(rows=10)), BOTH, made)


def test_values_read_back_as_written(tmp_path: Path) -> None:
    found = measure(written(tmp_path, scored(rows=10), k=list("aaaaaaabbb")), BOTH,
                    request(min_slice_examples=4))  # fmt: skip
    write_metrics(found.rows, tmp_path)
    write_differences(found.differences, tmp_path)
    assert read_metrics(tmp_path) == list(found.rows)
    assert read_differences(tmp_path) == list(found.differences)
    assert any(row.value is None for row in read_metrics(tmp_path))


def test_without_a_champion_there_are_no_differences_to_read(tmp_path: Path) -> None:
    write_differences((), tmp_path)
    assert read_differences(tmp_path) == []


def test_damaged_metrics_are_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"metrics\.parquet"):
        read_metrics(tmp_path)


FEW = Measured(
    (
        MetricRow(OVERALL, CANDIDATE, "auc", 9, 0.9, 0.8, 0.95, 0.01),
        MetricRow(OVERALL, CANDIDATE, "f1", 9, None),
        MetricRow(OVERALL, CHAMPION, "auc", 9, 0.85, None, None),
        MetricRow("k=a", CANDIDATE, "auc", 5, 0.7),
        MetricRow("k=a", CANDIDATE, "f1", 5, 0.6),
    ),
    (
        Difference(OVERALL, "auc", 9, 0.05, 0.01, 0.09, 0.02),
        Difference("k=a", "auc", 5, 0.1, 0.0, 0.2, 0.05),
    ),
)


def test_the_table_has_a_row_a_slice_and_model() -> None:
    assert wide_table(FEW.rows) == [
        {"slice": OVERALL, "model": CANDIDATE, "examples": 9, "auc": 0.9, "f1": None},
        {"slice": OVERALL, "model": CHAMPION, "examples": 9, "auc": 0.85},
        {"slice": "k=a", "model": CANDIDATE, "examples": 5, "auc": 0.7, "f1": 0.6},
    ]


def test_what_is_logged_are_the_values_on_all_rows_that_there_are() -> None:
    assert overall_values(FEW.rows) == {"auc": 0.9, "champion_auc": 0.85}
    assert logged_metrics(FEW.rows, FEW.differences) == {
        "auc": 0.9,
        "auc_low": 0.8,
        "auc_high": 0.95,
        "champion_auc": 0.85,
        "difference_auc": 0.05,
        "difference_auc_low": 0.01,
        "difference_auc_high": 0.09,
    }


def test_perfect_accuracy_on_a_slice_has_an_interval_with_a_width(tmp_path: Path) -> None:
    labels = np.array([0, 1] * 60)
    predictions = np.where(labels == 1, 0.9, 0.1).astype(np.float32)
    data = {"label": labels, CANDIDATE: predictions, CHAMPION: predictions}
    found = measure(written(tmp_path, data), (CANDIDATE, CHAMPION), request())
    accuracy = next(r for r in found.rows if r.metric == "accuracy" and r.model == CANDIDATE)
    assert (accuracy.value, accuracy.high) == (1.0, 1.0)
    assert accuracy.low is not None
    assert accuracy.low < 0.98
    difference = next(d for d in found.differences if d.metric == "accuracy")
    assert difference.value == 0.0
    assert (difference.low or 0) < 0 < (difference.high or 0)


@pytest.mark.parametrize(("score", "value"), [(0.9, 1.0), (0.1, 0.0)])
def test_recall_of_three_positives_is_as_sure_as_three_rows_are(
    score: float, value: float, tmp_path: Path
) -> None:
    labels = np.array([1] * 3 + [0] * 197)
    predictions = np.where(labels == 1, score, 0.1).astype(np.float32)
    data = {"label": labels, CANDIDATE: predictions, CHAMPION: predictions}
    found = measure(written(tmp_path, data), (CANDIDATE, CHAMPION), request(resamples=1_000))
    rows = {r.metric: r for r in found.rows if r.model == CANDIDATE}
    recall, accuracy = rows["recall"], rows["accuracy"]
    assert recall.value == value
    assert (recall.high or 0) - (recall.low or 0) > 0.5 > (accuracy.high or 0) - (accuracy.low or 0)
    gaps = {d.metric: d for d in found.differences}
    assert (gaps["recall"].high or 0) > 0.3 > (gaps["accuracy"].high or 1)
    if value == 0.0:  # none is predicted: nothing is known of the precision
        assert (rows["precision"].low, rows["precision"].high) == (0.0, 1.0)


def test_a_perfect_ranking_of_three_positives_is_as_sure_as_three_rows_are(tmp_path: Path) -> None:
    labels = np.array([1] * 3 + [0] * 197)
    scores = np.where(labels == 1, 0.9, np.linspace(0.1, 0.4, 200)).astype(np.float32)
    data = {"label": labels, CANDIDATE: scores, CHAMPION: scores / 2 + 0.2}
    found = measure(written(tmp_path, data), BOTH, request(resamples=1_000))
    rows = {r.metric: r for r in found.rows if r.model == CANDIDATE}
    gaps = {d.metric: d for d in found.differences}
    for metric in ("auc", "pr_auc", "f1"):
        row, gap = rows[metric], gaps[metric]
        assert row.value == pytest.approx(1.0)
        assert (row.low, row.high) == (pytest.approx(0.38, abs=0.01), 1.0)
        assert gap.value == pytest.approx(0.0)
        assert (gap.low or 0) < -0.3
        assert (gap.high or 0) > 0.3


def test_a_difference_between_all_right_and_all_wrong_lies_in_its_interval(tmp_path: Path) -> None:
    labels = np.array([1] * 20 + [0] * 20)
    right = np.where(labels == 1, 0.9, 0.1).astype(np.float32)
    data = {"label": labels, CANDIDATE: right, CHAMPION: 1 - right}
    for difference in measure(written(tmp_path, data), BOTH, request()).differences:
        if difference.metric in ("auc", "f1", "accuracy"):
            assert (difference.value, difference.high) == (1.0, 1.0)
            assert 0.8 < (difference.low or 0) < 0.98


def test_no_interval_leaves_what_a_metric_can_be(tmp_path: Path) -> None:
    found = measure(written(tmp_path, scored(rows=25, seed=4)), (CANDIDATE,), request())
    rows = {row.metric: row for row in found.rows}
    for metric, row in rows.items():
        assert BOUNDS[metric][0] <= (row.low or 0) <= (row.high or 0) <= BOUNDS[metric][1], metric
    assert rows["precision"].value != rows["precision"].high == 1.0, "cut: it would be 1.006"


def test_a_custom_metric_of_many_rows_is_spread_by_a_subsample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_module, "CUSTOM_ROWS", 500)
    data = scored(rows=4_000)
    made = dataclasses.replace(request(), custom=custom(mean=lambda labels, p: p.mean()))
    found = measure(written(tmp_path, data), (CANDIDATE,), made)
    error = by_key(found.rows)[OVERALL, CANDIDATE, "mean"].standard_error
    assert error == pytest.approx(data[CANDIDATE].std() / math.sqrt(4_000), rel=0.35)


def test_an_f1_score_of_0_has_an_interval_with_a_width(tmp_path: Path) -> None:
    labels = np.array([1] * 3 + [0] * 197)
    data = {"label": labels, CANDIDATE: np.full(200, 0.1, np.float32)}
    found = measure(written(tmp_path, data), (CANDIDATE,), request(resamples=1_000))
    f1 = next(row for row in found.rows if row.metric == "f1")
    assert (f1.value, f1.low) == (0.0, 0.0)
    assert (f1.high or 0) > 0.7


def test_scores_that_are_all_alike_rank_nothing_and_that_is_certain(tmp_path: Path) -> None:
    data = {"label": np.array([0, 1] * 50), CANDIDATE: np.full(100, 0.3, np.float32)}
    found = measure(written(tmp_path, data), (CANDIDATE,), request())
    auc = next(row for row in found.rows if row.metric == "auc")
    assert (auc.value, auc.low, auc.high) == (0.5, 0.5, 0.5)


def test_perfect_means_over_classes_are_as_sure_as_their_smallest_class(tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2, 3], [60, 30, 8, 102]).astype(np.int32)
    sure = (0.9 * np.eye(4)[labels] + 0.025).astype(np.float32)
    found = measure(written(tmp_path, {"label": labels, CANDIDATE: sure}), (CANDIDATE,),
                    request("multiclass"))  # fmt: skip
    rows = {row.metric: row for row in found.rows}
    wanted = {"accuracy": 200, "auc": 8, "precision": 32, "recall": 32, "f1": 32}
    for metric, size in wanted.items():
        assert rows[metric].value == 1.0
        assert rows[metric].low == pytest.approx(share_spread(1.0, size, 0.95).low), metric


def test_two_slices_of_one_name_are_refused(tmp_path: Path) -> None:
    values = np.array(["x", "x,b=y"] * 20), np.array(["y", "z"] * 20)
    labels = np.array([0, 1] * 20)
    data = {"label": labels, CANDIDATE: labels * np.float32(0.5)}
    given = written(tmp_path, data, a=values[0], b=values[1])
    columns = given._slicing.columns
    crossed = Predictions(given._file, Slicing(columns, (("a", "b"), ("a",))))
    with pytest.raises(DataError, match="Slicing the eval split failed") as caught:
        measure(crossed, (CANDIDATE,), request())
    assert caught.value.received == "two slices that are called 'a=x,b=y'"
