"""The Blessing: pass, fail, cannot judge; nothing but BLESSED promotes, and doubt never blesses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.blessing import Blessing, bless
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, MetricRow
from mlproject.sections import EvaluationSection

NAN = float("nan")


def row(name: str = OVERALL, model: str = CANDIDATE, rows: int = 500, **metrics: Any) -> MetricRow:
    values = {"auc": 0.9, "accuracy": 0.8, "log_loss": 0.3, **metrics}
    return MetricRow(name, model, rows, **values)


def small(name: str, model: str = CANDIDATE) -> MetricRow:
    """A slice with too few rows: the evaluation leaves its metrics out."""
    return row(name, model, 7, auc=None, accuracy=None, log_loss=None)


def judge(*rows: MetricRow, value: Any = None, change: Any = None) -> Blessing:
    section = EvaluationSection.model_validate(
        {
            "slices": ["pay", "pay_zone"],
            "value_thresholds": value or {},
            "change_thresholds": change or {},
        }
    )
    return bless(rows, section)


def test_a_candidate_above_every_bound_is_blessed() -> None:
    blessing = judge(row(), value={"auc": {"min": 0.8}, "log_loss": {"max": 0.4}})
    assert blessing.verdict == "BLESSED"
    assert blessing.blessed
    assert blessing.reasons == (
        "auc overall is 0.9000 (at least 0.8 wanted)",
        "log_loss overall is 0.3000 (at most 0.4 wanted)",
    )


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"auc": {"min": 0.9}}, "BLESSED"),
        ({"auc": {"min": 0.90001}}, "NOT_BLESSED"),
        ({"auc": {"max": 0.9}}, "BLESSED"),
        ({"auc": {"max": 0.89999}}, "NOT_BLESSED"),
        ({"auc": {"min": 0.9, "max": 0.9}}, "BLESSED"),
        ({"log_loss": {"max": 0.3}}, "BLESSED"),
        ({"log_loss": {"max": 0.29}}, "NOT_BLESSED"),
        ({"auc": {"min": 0.8}, "accuracy": {"min": 0.81}}, "NOT_BLESSED"),
        ({"auc": {"min": 0.91}, "accuracy": {"min": 0.8}}, "NOT_BLESSED"),
    ],
)
def test_value_thresholds_overall_include_their_bounds(bounds: Any, verdict: str) -> None:
    assert judge(row(), value=bounds).verdict == verdict


def test_a_failed_bound_is_told_first_and_in_words() -> None:
    blessing = judge(row(), value={"auc": {"min": 0.8}, "log_loss": {"max": 0.2}})
    assert not blessing.blessed
    assert blessing.reasons == (
        "log_loss overall is 0.3000, above the most allowed 0.2",
        "auc overall is 0.9000 (at least 0.8 wanted)",
    )
    below = judge(row(), value={"auc": {"min": 0.95}})
    assert below.reasons == ("auc overall is 0.9000, below the least allowed 0.95",)


def test_without_any_threshold_nothing_is_validated() -> None:
    blessing = judge(row())
    assert blessing.verdict == "NOT_VALIDATED"
    assert "set evaluation.value_thresholds" in blessing.reasons[0]


def test_without_any_row_nothing_is_validated() -> None:
    blessing = judge(value={"auc": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert blessing.reasons[0] == "auc overall could not be judged: there are no such rows"


def test_the_champion_s_metrics_do_not_stand_in_for_the_candidate_s() -> None:
    blessing = judge(row(model=CHAMPION), value={"auc": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"


@pytest.mark.parametrize("bad", [None, NAN, math.inf, -math.inf])
@pytest.mark.parametrize("bounds", [{"min": 0.1}, {"max": 0.9}, {"min": -1e9, "max": 1e9}])
def test_a_metric_that_is_no_number_is_not_validated(bad: float | None, bounds: Any) -> None:
    blessing = judge(row(auc=bad), value={"auc": bounds})
    assert blessing.verdict == "NOT_VALIDATED"
    assert "could not be judged" in blessing.reasons[0]


def test_a_failure_outweighs_what_cannot_be_judged() -> None:
    blessing = judge(row(auc=None), value={"auc": {"min": 0.1}, "accuracy": {"min": 0.9}})
    assert blessing.verdict == "NOT_BLESSED"
    assert blessing.reasons[0].startswith("accuracy overall is 0.8000, below")
    assert blessing.reasons[1].startswith("auc overall could not be judged")


def on(*slices: str, **bounds: float) -> dict[str, Any]:
    return {"auc": {"slices": list(slices), **bounds}}


@pytest.mark.parametrize(
    ("rows", "verdict", "reason"),
    [
        ([row("pay=Cash")], "BLESSED", "auc on pay=Cash is 0.9000 (at least 0.8 wanted)"),
        ([row("pay=Cash", auc=0.7)], "NOT_BLESSED", "auc on pay=Cash is 0.7000, below"),
        ([small("pay=Cash")], "NOT_VALIDATED", "7 rows are too few, or of one class"),
        ([row("pay=Card")], "NOT_VALIDATED", "auc on pay=Cash could not be judged: there are no"),
        ([row("pay=Cash", auc=NAN)], "NOT_VALIDATED", "could not be judged: it is nan"),
        ([row("pay=Cash ", auc=0.1)], "NOT_VALIDATED", "there are no such rows"),
    ],
)
def test_a_slice_that_is_named_must_be_judged(
    rows: list[MetricRow], verdict: str, reason: str
) -> None:
    blessing = judge(row(), *rows, value=on(OVERALL, "pay=Cash", min=0.8))
    assert blessing.verdict == verdict
    assert any(reason in said for said in blessing.reasons)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([row("pay=Cash"), row("pay=Card")], "BLESSED"),
        ([row("pay=Cash"), row("pay=Card", auc=0.7)], "NOT_BLESSED"),
        ([row("pay=Cash"), small("pay=Card")], "BLESSED"),
        ([small("pay=Cash"), small("pay=Card")], "NOT_VALIDATED"),
        ([row("pay=Cash"), row("pay=Card", auc=NAN)], "NOT_VALIDATED"),
        ([row("pay=a=b", auc=0.7)], "NOT_BLESSED"),
        ([row("pay=Cash"), row("pay_zone=1", auc=0.1)], "BLESSED"),
        ([row("pay=")], "BLESSED"),
        ([], "NOT_VALIDATED"),
    ],
)
def test_of_all_values_of_a_column_the_small_ones_are_passed_over(
    rows: list[MetricRow], verdict: str
) -> None:
    assert judge(row(), *rows, value=on("pay=*", min=0.8)).verdict == verdict


def test_a_column_without_any_slice_withholds_what_the_rest_would_bless() -> None:
    blessing = judge(row(), value=on(OVERALL, "pay=*", min=0.8))
    assert blessing.verdict == "NOT_VALIDATED"
    assert blessing.reasons[0] == "auc on pay=* could not be judged: there are no such rows"


def test_what_was_passed_over_is_told_last() -> None:
    rows = [row(), small("pay=Card"), row("pay=Cash", auc=0.85)]
    blessing = judge(*rows, value=on("pay=*", OVERALL, min=0.8))
    assert blessing.blessed
    assert blessing.reasons[-1].startswith("auc on pay=Card could not be judged: 7 rows")


def against(max_loss: float, metric: str = "auc", **more: Any) -> dict[str, Any]:
    return {metric: {"max_loss": max_loss, **more}}


@pytest.mark.parametrize(
    ("metric", "new", "old", "max_loss", "verdict"),
    [
        ("auc", 0.9, 0.9, 0.0, "BLESSED"),
        ("auc", 0.897, 0.9, 0.003, "BLESSED"),  # 0.9 - 0.897 > 0.003 in floating point
        ("auc", 0.8969, 0.9, 0.003, "NOT_BLESSED"),
        ("auc", 0.95, 0.9, 0.0, "BLESSED"),
        ("auc", 0.9 - 1e-9, 0.9, 0.0, "NOT_BLESSED"),
        ("auc", 0.905, 0.9, -0.01, "NOT_BLESSED"),  # an improvement of 0.01 is asked for
        ("auc", 0.91, 0.9, -0.01, "BLESSED"),
        ("accuracy", 0.7, 0.8, 0.05, "NOT_BLESSED"),
        ("log_loss", 0.3, 0.3, 0.0, "BLESSED"),
        ("log_loss", 0.2, 0.3, 0.0, "BLESSED"),
        ("log_loss", 0.4, 0.3, 0.05, "NOT_BLESSED"),
        ("log_loss", 0.35, 0.3, 0.05, "BLESSED"),
    ],
)
def test_change_thresholds_measure_the_worsening(
    metric: str, new: float, old: float, max_loss: float, verdict: str
) -> None:
    candidate: dict[str, Any] = {metric: new}
    champion: dict[str, Any] = {metric: old}
    rows = row(**candidate), row(model=CHAMPION, **champion)
    assert judge(*rows, change=against(max_loss, metric)).verdict == verdict


def test_a_change_is_told_in_words() -> None:
    champion = row(model=CHAMPION)
    worse = judge(row(auc=0.8), champion, change=against(0.01))
    assert worse.reasons == (
        "auc overall is 0.8000, worse than the champion's 0.9000 by 0.1000; allowed 0.01",
    )
    allowed = judge(row(auc=0.895), champion, change=against(0.01))
    assert (
        "worse than the champion's 0.9000 by 0.0050 (worse by 0.01 allowed)" in allowed.reasons[0]
    )
    better = judge(row(log_loss=0.2), champion, change=against(0, "log_loss"))
    assert "is 0.2000, better than the champion's 0.3000 by 0.1000" in better.reasons[0]
    assert judge(row(), champion, change=against(0)).reasons == (
        "auc overall is 0.9000, equal to the champion's",
    )


def test_without_a_champion_a_change_threshold_does_not_apply_and_blesses_nothing() -> None:
    alone = judge(row(), change=against(0.01))
    assert alone.verdict == "NOT_VALIDATED"
    beside = judge(row(), value={"auc": {"min": 0.8}}, change=against(0.01))
    assert beside.blessed
    assert beside.reasons[-1] == "no champion yet: the change threshold on auc did not apply"
    failed = judge(row(), value={"auc": {"min": 0.95}}, change=against(0.01))
    assert failed.verdict == "NOT_BLESSED"


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (None, 0.9, "auc overall could not be judged: 500 rows"),
        (NAN, 0.9, "auc overall could not be judged: it is nan"),
        (0.9, NAN, "auc overall of the champion could not be judged: it is nan"),
        (0.9, None, "auc overall of the champion could not be judged"),
        (math.inf, math.inf, "it is inf"),
        (math.inf, -math.inf, "it is inf"),
    ],
)
def test_a_change_between_what_are_no_numbers_is_not_validated(
    new: float | None, old: float | None, said: str
) -> None:
    rows = row(auc=new), row(model=CHAMPION, auc=old)
    blessing = judge(*rows, value={"accuracy": {"min": 0.1}}, change=against(1e9))
    assert blessing.verdict == "NOT_VALIDATED"
    assert said in blessing.reasons[0]


@pytest.mark.parametrize(
    ("slices", "extra", "verdict"),
    [
        (["pay=Cash"], [row("pay=Cash"), row("pay=Cash", CHAMPION)], "BLESSED"),
        (["pay=Cash"], [row("pay=Cash", auc=0.1), row("pay=Cash", CHAMPION)], "NOT_BLESSED"),
        (["pay=Cash"], [small("pay=Cash"), small("pay=Cash", CHAMPION)], "NOT_VALIDATED"),
        (["pay=Cash"], [row("pay=Cash")], "NOT_VALIDATED"),
        (["pay=Cash"], [row("pay=Cash", CHAMPION)], "NOT_VALIDATED"),
        (["pay=*"], [row("pay=Cash"), row("pay=Cash", CHAMPION)], "BLESSED"),
        (["pay=*"], [row("pay=Cash", auc=0.1), row("pay=Cash", CHAMPION)], "NOT_BLESSED"),
        (["pay=*"], [small("pay=Cash"), small("pay=Cash", CHAMPION)], "NOT_VALIDATED"),
        (
            ["overall", "pay=*"],
            [small("pay=Cash"), small("pay=Cash", CHAMPION)],
            "BLESSED",
        ),
    ],
)
def test_change_thresholds_on_slices(
    slices: list[str], extra: list[MetricRow], verdict: str
) -> None:
    rows = row(), row(model=CHAMPION), *extra
    assert judge(*rows, change=against(0.01, slices=slices)).verdict == verdict


METRICS = st.none() | st.floats(0, 1) | st.sampled_from([NAN, math.inf, -math.inf])


@given(
    new=METRICS, old=METRICS, least=st.floats(0, 1), loss=st.floats(0, 1), champion=st.booleans()
)
def test_only_finite_metrics_within_every_bound_bless(
    new: float | None, old: float | None, least: float, loss: float, champion: bool
) -> None:
    rows = [row(auc=new), *([row(model=CHAMPION, auc=old)] if champion else [])]
    blessing = judge(*rows, value={"auc": {"min": least}}, change=against(loss))
    judged = new is not None and math.isfinite(new)
    fits = judged and new is not None and new >= least
    if champion:
        fits = fits and old is not None and math.isfinite(old) and old - (new or 0) <= loss + 1e-11
    assert blessing.reasons
    if blessing.blessed:
        assert fits
