"""What is said of a comparison, by terminal and page alike."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.version_diff import words
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import (
    BETTER,
    NOISE,
    SAME,
    UNJUDGED,
    Fact,
    FeatureShift,
    Figure,
    MetricShift,
    Pair,
)


def shift(where: str, verdict: str, examples: int = 10, **sides: Any) -> MetricShift:
    figure = Figure(0.5, None, None, examples)
    return MetricShift(
        where, "auc", **{"before": figure, "after": figure, **sides}, verdict=verdict
    )


def test_a_summary_counts_verdicts_of_metrics_and_differences_of_the_rest() -> None:
    metrics = Section((shift("overall", BETTER), shift("a=1", NOISE), shift("a=2", SAME)))
    assert words.summary("metrics", metrics) == "1 better, 1 within noise, 1 the same"
    facts = Section((Fact("a", "1", "2"), Fact("b", "1", "1")))
    assert words.summary("parameters", facts) == "1 of 2 differ"
    assert words.summary("parameters", Section()) == ""


def test_all_rows_stand_before_slices_and_large_slices_before_small_ones() -> None:
    items = (shift("a=1", SAME, 5), shift("a=2", SAME, 50), shift("overall", SAME, 1))
    assert [s.slice for s in words.slices_in_order(items)] == ["overall", "a=2", "a=1"]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (shift("a", UNJUDGED, before=None), "only in the second"),
        (shift("a", UNJUDGED, after=None), "only in the first"),
        (shift("a", UNJUDGED, after=Figure(None, None, None, 3)), "not judged"),
        (shift("a", BETTER), "better, no interval"),
        (shift("a", NOISE), "within noise"),
    ],
)
def test_a_verdict_says_what_it_rests_on(item: MetricShift, said: str) -> None:
    assert words.verdict(item) == said


def test_only_numbers_that_differ_in_the_digits_shown_are_told() -> None:
    feature = FeatureShift(
        "train",
        "fare",
        "float",
        "float",
        numbers=(
            Pair("missing", 0.01, 0.05),
            Pair("mean", 11.000001, 11.000002),
            Pair("max", 90, 99),
        ),
        shares=(Pair("Cash\x1b", 0.6, 0.5), Pair("Card", 0.1, 0.1)),
    )
    assert list(words.numbers(feature)) == ["missing 1% -> 5%", "'Cash ' 60% -> 50%"]
    assert list(words.numbers(feature, every=True)) == [
        "missing 1% -> 5%",
        "mean 11",
        "max 90 -> 99",
        "'Cash ' 60% -> 50%",
        "'Card' 10%",
    ]


def test_a_feature_of_one_side_has_a_kind_and_no_numbers() -> None:
    feature = FeatureShift("train", "tips", None, "float", numbers=(Pair("mean", None, 1.0),))
    assert words.kinds(feature) == "absent -> float"
    assert list(words.numbers(feature)) == []
