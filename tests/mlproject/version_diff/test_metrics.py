"""Metrics of two versions: better, worse, within noise, and what cannot be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.registry.names import BASELINE_TAG, ROWS_TAG, SOURCE_DIGEST_TAG
from mlproject.version_diff.metrics import (
    OTHER_DATA,
    SAME_DATA,
    UNKNOWN_DATA,
    compare_metrics,
)
from mlproject.version_diff.values import BETTER, CHANGED, NOISE, SAME, UNJUDGED, WORSE


def row(
    metric: str,
    value: float | None,
    half: float | None = None,
    where: str = OVERALL,
    model: str = CANDIDATE,
) -> MetricRow:
    """A figure whose interval reaches `half` to both sides; its standard error is half of that."""
    if value is None or half is None:
        return MetricRow(where, model, metric, 100, value)
    return MetricRow(where, model, metric, 100, value, value - half, value + half, half / 2)


def verdicts(before: Any, after: Any) -> dict[tuple[str, str], str]:
    return {(s.slice, s.metric): s.verdict for s in compare_metrics(before, after).items}


def test_a_clear_change_is_better_or_worse_by_the_metrics_direction(lay: Any) -> None:
    before = lay(6, metrics=[row("auc", 0.80, 0.01), row("log_loss", 0.30, 0.01)])
    after = lay(7, metrics=[row("auc", 0.90, 0.01), row("log_loss", 0.40, 0.01)])
    assert verdicts(before, after) == {(OVERALL, "auc"): BETTER, (OVERALL, "log_loss"): WORSE}
    assert verdicts(after, before) == {(OVERALL, "auc"): WORSE, (OVERALL, "log_loss"): BETTER}


def test_each_value_in_the_interval_of_the_other_is_within_noise(lay: Any) -> None:
    before, after = (
        lay(6, metrics=[row("auc", 0.90, 0.02)]),
        lay(7, metrics=[row("auc", 0.91, 0.02)]),
    )
    assert verdicts(before, after) == {(OVERALL, "auc"): NOISE}


def test_one_value_in_the_interval_of_the_other_is_not_enough(lay: Any) -> None:
    before = lay(6, metrics=[row("auc", 0.90, 0.04)])
    after = lay(7, metrics=[row("auc", 0.93, 0.0001)])
    (shift,) = compare_metrics(before, after).items
    assert shift.interval is not None
    assert shift.interval[0] < 0 < shift.interval[1]
    assert shift.verdict == NOISE
    narrow = lay(6, metrics=[MetricRow(OVERALL, CANDIDATE, "auc", 100, 0.90, 0.86, 0.94)])
    assert verdicts(narrow, after) == {(OVERALL, "auc"): BETTER}


def test_without_intervals_the_values_decide(lay: Any) -> None:
    before, after = lay(6, metrics=[row("mae", 2.0)]), lay(7, metrics=[row("mae", 1.9)])
    (shift,) = compare_metrics(before, after).items
    assert (shift.verdict, shift.interval) == (BETTER, None)
    assert shift.change == pytest.approx(-0.1)


def test_intervals_of_slices_are_widened_for_their_number(lay: Any) -> None:
    def rows(value: float, slices: int) -> list[MetricRow]:
        return [row("auc", value, 0.02, f"company={n}") for n in range(slices)]

    alone = compare_metrics(lay(6, metrics=rows(0.9, 1)), lay(7, metrics=rows(0.935, 1)))
    assert [shift.verdict for shift in alone.items] == [BETTER]
    many = compare_metrics(lay(6, metrics=rows(0.9, 40)), lay(7, metrics=rows(0.935, 40)))
    assert {shift.verdict for shift in many.items} == {NOISE}


def test_a_metric_of_the_projects_own_has_the_direction_that_project_yaml_gives(lay: Any) -> None:
    config = {"evaluation": {"custom_metrics": {"cost": "lower"}}}
    rows = [[row("cost", 5.0), row("odd", 5.0)], [row("cost", 4.0), row("odd", 4.0)]]
    before, after = lay(6, metrics=rows[0], config=config), lay(7, metrics=rows[1], config=config)
    assert verdicts(before, after) == {(OVERALL, "cost"): BETTER, (OVERALL, "odd"): CHANGED}
    other = {"evaluation": {"custom_metrics": {"cost": "higher"}}}
    assert verdicts(before, lay(7, metrics=rows[1], config=other))[OVERALL, "cost"] == CHANGED


def test_slices_and_metrics_of_one_side_are_not_judged(lay: Any) -> None:
    before = lay(6, metrics=[row("auc", 0.9), row("auc", 0.8, where="way=Cash"), row("f1", None)])
    after = lay(7, metrics=[row("auc", 0.9), row("f1", None), row("recall", 0.5)])
    assert verdicts(before, after) == {
        (OVERALL, "auc"): SAME,
        (OVERALL, "f1"): SAME,
        (OVERALL, "recall"): UNJUDGED,
        ("way=Cash", "auc"): UNJUDGED,
    }


def test_a_value_that_is_no_number_was_not_judged(lay: Any) -> None:
    before, after = lay(6, metrics=[row("auc", float("nan"))]), lay(7, metrics=[row("auc", 0.9)])
    (shift,) = compare_metrics(before, after).items
    assert (shift.before.value, shift.verdict) == (None, UNJUDGED)  # type: ignore[union-attr]


def paired(lay: Any, low: float, high: float) -> tuple[Any, Any]:
    """Version 7 was compared with 6 on other rows than 6 was measured on before."""
    before = lay(6, metrics=[row("auc", 0.50, 0.01)])
    after = lay(
        7,
        tags={BASELINE_TAG: "6"},
        metrics=[row("auc", 0.91, 0.02), row("auc", 0.90, 0.02, model=CHAMPION)],
        differences=[Difference(OVERALL, "auc", 100, 0.01, low, high, 0.001)],
    )
    return before, after


def test_a_baseline_is_compared_on_the_rows_of_the_version_that_it_was_the_baseline_of(
    lay: Any,
) -> None:
    before, after = paired(lay, 0.008, 0.012)
    found = compare_metrics(before, after)
    (shift,) = found.items
    assert shift.before.value == 0.90  # type: ignore[union-attr]
    assert (shift.verdict, shift.interval) == (BETTER, (0.008, 0.012))
    assert "eval rows of taxi/7" in found.notes[0]
    (mirrored,) = compare_metrics(after, before).items
    assert (mirrored.verdict, mirrored.interval) == (WORSE, (-0.012, -0.008))


def test_a_paired_difference_whose_interval_holds_zero_is_within_noise(lay: Any) -> None:
    assert verdicts(*paired(lay, -0.001, 0.021)) == {(OVERALL, "auc"): NOISE}


def test_a_baseline_of_another_model_is_none(lay: Any) -> None:
    before, after = paired(lay, 0.008, 0.012)
    other = lay(6, name="digits", metrics=[row("auc", 0.50, 0.01)])
    assert compare_metrics(other, after).items[0].before.value == 0.50  # type: ignore[union-attr]
    assert compare_metrics(before, after).items[0].before.value == 0.90  # type: ignore[union-attr]


def test_damaged_differences_leave_each_versions_own_figures(lay: Any) -> None:
    before, after = paired(lay, 0.008, 0.012)
    (after.folder / "differences.parquet").write_bytes(b"PAR1 no more")
    assert compare_metrics(before, after).items[0].before.value == 0.50  # type: ignore[union-attr]


def test_it_is_said_whether_both_were_measured_on_the_same_data(
    lay: Any, make_statistics: Any
) -> None:
    def note(before: Any, after: Any) -> str:
        return compare_metrics(before, after).notes[0]

    one, other = make_statistics(fare=[1.0, 2.0]), make_statistics(fare=[1.0, 3.0])
    rows = [row("auc", 0.9)]
    statistics = [
        lay(n, metrics=rows, statistics={"eval": made}) for n, made in enumerate((one, one, other))
    ]
    assert note(statistics[0], statistics[1]) == SAME_DATA
    assert note(statistics[0], statistics[2]) == OTHER_DATA
    tagged = [
        lay(n, metrics=rows, tags={SOURCE_DIGEST_TAG: digest, ROWS_TAG: '{"eval": 3}'})
        for n, digest in enumerate(("ab", "ab", "cd", ""))
    ]
    assert note(tagged[0], tagged[1]) == SAME_DATA
    assert note(tagged[0], tagged[2]) == OTHER_DATA
    assert note(tagged[0], tagged[3]) == UNKNOWN_DATA


def test_metrics_that_are_not_recorded_are_a_reason(lay: Any) -> None:
    found = compare_metrics(lay(6), lay(7, metrics=[row("auc", 0.9)]))
    assert (found.items, found.unjudged) == ((), ("taxi/6: metrics.parquet not recorded",))


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1]},
        {"slice": ["overall"], "model": ["candidate"], "metric": ["auc"], "value": [0.9]},
        {
            **{"slice": ["overall"], "model": ["candidate"], "metric": ["auc"]},
            **{"examples": ["many"], "value": ["high"]},
        },
        {
            **{"slice": [["overall"]], "model": ["candidate"], "metric": [None]},
            **{"examples": [3], "value": [["x"]]},
        },
    ],
)
def test_a_table_with_other_columns_is_a_reason(lay: Any, columns: Any) -> None:
    damaged = lay(7)
    pq.write_table(pa.table(columns), Path(damaged.folder) / "metrics.parquet")
    found = compare_metrics(lay(6, metrics=[row("auc", 0.9)]), damaged)
    assert found.items == ()
    assert found.unjudged[0].startswith("taxi/7: metrics.parquet cannot be read: ")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_a_reason(lay: Any, content: bytes) -> None:
    damaged = lay(7)
    (damaged.folder / "metrics.parquet").write_bytes(content)
    found = compare_metrics(lay(6, metrics=[row("auc", 0.9)]), damaged)
    assert found.unjudged[0].startswith("taxi/7: metrics.parquet cannot be read: ")
