"""The verdict on a comparison: each of the four, and what tips it."""

from __future__ import annotations

import json
import math

import pytest

from mlproject.reproduction.values import ArrayGap, Comparison, MetricGap, Reproduction, Verdict

EQUAL = ArrayGap(100, 0, 0.0)


def gap(width: float, part: str = "value") -> MetricGap:
    return MetricGap("overall", "auc", 0.9, 0.9 + width, width, part)


def comparison(
    *gaps: MetricGap, predictions: ArrayGap = EQUAL, weights: ArrayGap = EQUAL, metrics: int = 5
) -> Comparison:
    return Comparison(metrics, gaps, predictions, weights)


def test_all_equal_is_identical_and_weights_that_cannot_be_compared_do_not_count() -> None:
    assert comparison().verdict(0.0) == "identical"
    assert comparison(weights=ArrayGap(2, 2, math.inf, "other names")).verdict(0.0) == "identical"


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (comparison(predictions=ArrayGap(100, 1, 1e-7)), "within tolerance"),
        (comparison(weights=ArrayGap(4, 1, 1e-3)), "within tolerance"),
        (comparison(gap(0.0, "low")), "within tolerance"),
        (comparison(gap(1e-4)), "within tolerance"),
        (comparison(gap(2e-4)), "different"),
        (comparison(gap(0.0, "examples")), "different"),
        (comparison(gap(math.inf, "missing")), "different"),
        (comparison(predictions=ArrayGap(100, 1, 2e-4)), "different"),
        (comparison(predictions=ArrayGap(100, 100, math.inf, "shapes")), "different"),
    ],
)
def test_the_verdict_by_the_tolerance_of_1e_4(found: Comparison, verdict: Verdict) -> None:
    assert found.verdict(1e-4) == verdict


@pytest.mark.parametrize(
    "empty", [comparison(metrics=0), comparison(predictions=ArrayGap(0, 0, 0.0))]
)
def test_nothing_to_compare_is_never_called_identical(empty: Comparison) -> None:
    assert empty.verdict(1.0) == "could not judge"


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("identical", 0), ("within tolerance", 0), ("different", 3), ("could not judge", 1)],
)
def test_exit_codes(verdict: Verdict, code: int) -> None:
    found = Reproduction("taxi", 7, verdict, 1e-4, None, (), 1.0, "run", "url")
    assert found.exit_code == code


def test_the_outcome_is_json_although_a_gap_is_infinite() -> None:
    found = Reproduction(
        "taxi", 7, "different", 1e-4, comparison(gap(math.inf, "missing")), (), 1.0, "run", "url"
    )
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["comparison"]["gaps"][0]["gap"] == "inf"
    assert read["exit_code"] == 3
