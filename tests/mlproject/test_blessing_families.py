"""Families of slices: one false alarm in the whole family, not one in each twenty slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from mlproject.blessing import bless
from mlproject.blessing.estimate import family_interval
from mlproject.metrics import CANDIDATE, CHAMPION, Difference, MetricRow
from mlproject.sections import EvaluationSection

INFRA = {"verdict": "INFRA_BLESSED", "reasons": ["ok"]}


@pytest.mark.parametrize("family", [1, 2, 12, 500])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_the_interval_of_a_family_is_bonferroni_s(family: int, confidence: float) -> None:
    estimate = family_interval(0.5, 0.02, confidence, family)
    half = ndtri(1 - (1 - confidence) / (2 * family)) * 0.02
    assert estimate.low == pytest.approx(0.5 - half, abs=1e-12)
    assert estimate.high == pytest.approx(0.5 + half, abs=1e-12)


def section(slices: list[str], **bound: object) -> EvaluationSection:
    return EvaluationSection.model_validate(
        {
            "slices": ["pay"],
            "change_thresholds": {"auc": {"max_loss": 0, "slices": slices, **bound}},
        }
    )


def slices(gaps: np.ndarray, error: float) -> tuple[list[MetricRow], list[Difference]]:
    rows, differences = [], []
    for number, gap in enumerate(gaps):
        name = f"pay={number}"
        rows.append(MetricRow(name, CANDIDATE, "auc", 500, 0.8 + gap))
        rows.append(MetricRow(name, CHAMPION, "auc", 500, 0.8))
        ends = gap - 1.96 * error, gap + 1.96 * error
        differences.append(Difference(name, "auc", 500, gap, *ends, error))
    return rows, differences


def test_false_alarms_of_a_family_stay_below_one_in_twenty() -> None:
    rng, error, runs, family = np.random.default_rng(7), 0.01, 300, 20
    wanted, alone = section(["pay=*"]), section([f"pay={n}" for n in range(family)])
    alarms = {"family": 0, "alone": 0}
    for _ in range(runs):
        rows, differences = slices(rng.normal(0, error, family), error)
        alarms["family"] += not bless(rows, differences, wanted, (), INFRA).blessed
        alarms["alone"] += not bless(rows, differences, alone, (), INFRA).blessed
    assert alarms["family"] / runs <= 0.05
    assert alarms["alone"] / runs > 0.25


def test_a_slice_that_fell_far_is_found_in_a_family_too() -> None:
    rows, differences = slices(np.array([0.0] * 19 + [-0.05]), 0.01)
    blessing = bless(rows, differences, section(["pay=*"]), (), INFRA)
    assert blessing.verdict == "NOT_BLESSED"
    assert blessing.reasons[0].startswith("auc on pay=19 fell 0.05 [0.01")
    assert "interval widened for 20 slices" in blessing.reasons[0]


def test_small_slices_do_not_widen_the_intervals_of_the_others() -> None:
    rows, differences = slices(np.array([-0.0235]), 0.01)
    for number in range(1, 40):
        rows += [MetricRow(f"pay={number}", m, "auc", 5, None) for m in (CANDIDATE, CHAMPION)]
    assert bless(rows, differences, section(["pay=*"]), (), INFRA).verdict == "NOT_BLESSED"


def test_a_slice_that_is_named_keeps_its_own_interval() -> None:
    rows, differences = slices(np.array([-0.0235] + [0.0] * 19), 0.01)
    assert bless(rows, differences, section(["pay=*"]), (), INFRA).blessed
    named = bless(rows, differences, section(["pay=*", "pay=0"]), (), INFRA)
    assert named.verdict == "NOT_BLESSED"
    assert "widened" not in named.reasons[0]


def test_point_takes_no_interval_into_account() -> None:
    rows, differences = slices(np.array([-0.001] + [0.0] * 19), 0.01)
    by_point = section(["pay=*"], judge="point")
    assert bless(rows, differences, by_point, (), INFRA).verdict == "NOT_BLESSED"


@pytest.mark.parametrize(("others", "verdict"), [(0, "NOT_BLESSED"), (19, "BLESSED")])
@pytest.mark.parametrize("unjudged", [0, 30])
def test_the_values_of_a_family_are_widened_for_those_that_are_judged(
    others: int, verdict: str, unjudged: int
) -> None:
    low = 0.8 - 2.35 * 0.01
    rows = [MetricRow("pay=low", CANDIDATE, "auc", 500, low, low - 0.0196, low + 0.0196, 0.01)]
    for number in range(others):
        rows.append(MetricRow(f"pay={number}", CANDIDATE, "auc", 500, 0.9, 0.88, 0.92, 0.01))
    for number in range(unjudged):
        rows.append(MetricRow(f"pay=few{number}", CANDIDATE, "auc", 5, None))
    wanted = EvaluationSection.model_validate(
        {"slices": ["pay"], "value_thresholds": {"auc": {"min": 0.8, "slices": ["pay=*"]}}}
    )
    blessing = bless(rows, [], wanted, (), INFRA)
    assert blessing.verdict == verdict
    assert any(reason.startswith("auc on pay=low is 0.7765 [") for reason in blessing.reasons)


def test_a_widened_interval_ends_where_the_metric_does() -> None:
    rows = [MetricRow("pay=Cash", CANDIDATE, "auc", 500, 0.99, 0.98, 1.0, 0.01)]
    wanted = EvaluationSection.model_validate(
        {"slices": ["pay"], "value_thresholds": {"auc": {"min": 0.8, "slices": ["pay=*"]}}}
    )
    assert "auc on pay=Cash is 0.99 [0.9704, 1]" in bless(rows, [], wanted, (), INFRA).reasons[0]
