"""Metrics in words: better, worse, not clear, could not judge; and their figures."""

from __future__ import annotations

import math

import pytest

from mlproject.metrics import Difference, MetricRow
from mlproject.report.judgement import main_metric, mark_of, metric_text, value_and_interval


@pytest.mark.parametrize(
    ("value", "low", "high", "higher_is_better", "mark"),
    [
        (0.02, 0.01, 0.03, True, "better"),
        (0.02, 0.01, 0.03, False, "worse"),
        (-0.02, -0.03, -0.01, True, "worse"),
        (-0.02, -0.03, -0.01, False, "better"),
        (0.02, -0.01, 0.05, True, "not clear"),
        (0.0, 0.0, 0.0, True, "not clear"),
        (0.02, 0.0, 0.05, True, "not clear"),
        (0.02, 0.01, 0.03, None, "could not judge"),
        (None, None, None, True, "could not judge"),
        (0.02, None, None, True, "could not judge"),
        (0.02, 0.01, math.nan, True, "could not judge"),
        (math.inf, 0.01, 0.03, True, "could not judge"),
    ],
)
def test_only_an_interval_on_one_side_of_0_is_clear(
    value: float | None,
    low: float | None,
    high: float | None,
    higher_is_better: bool | None,
    mark: str,
) -> None:
    assert mark_of(Difference("a=b", "m", 9, value, low, high), higher_is_better) == mark


def test_without_a_difference_nothing_is_judged() -> None:
    assert mark_of(None, True) == "could not judge"


@pytest.mark.parametrize(
    ("numbers", "signed", "texts"),
    [
        ((0.91234, 0.9, 0.92), False, ("0.9123", "[0.9000, 0.9200]")),
        ((0.0123, -0.00011, 0.02), True, ("+0.0123", "[-0.0001, +0.0200]")),
        ((0.000088, None, None), True, ("+0.000088", "")),
        ((0.00001, -0.00002, 0.00003), False, ("0.000010", "[-0.000020, 0.000030]")),
        ((0.0, 0.0, 0.0), True, ("0.0000", "[0.0000, 0.0000]")),
        ((12.3456, 11.0, 13.0), False, ("12.35", "[11.00, 13.00]")),
        ((12_345.6, None, 1.0), False, ("12,346", "")),
        ((0.5, 0.4, math.inf), False, ("0.5000", "")),
        ((math.nan, 0.4, 0.6), False, ("", "")),
        ((None, None, None), False, ("", "")),
    ],
)
def test_a_value_and_its_interval_have_the_same_decimals(
    numbers: tuple[float | None, float | None, float | None],
    signed: bool,
    texts: tuple[str, str],
) -> None:
    assert value_and_interval(*numbers, signed=signed) == texts
    if numbers[1] is None:
        assert metric_text(numbers[0]) == texts[0].lstrip("+")


def test_the_main_metric_is_the_tasks_first_that_was_measured() -> None:
    rows = [MetricRow("overall", "candidate", m, 9, 0.5) for m in ("mine", "log_loss", "accuracy")]
    assert main_metric("binary", rows) == "accuracy"
    assert main_metric("", rows) == "mine"
    assert main_metric("binary", []) == ""
