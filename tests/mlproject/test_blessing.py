"""The Blessing by value thresholds: pass, fail, cannot judge; doubt never blesses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.blessing import Blessing, bless, blessing_page
from mlproject.cases.values import CaseResult
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.sections import EvaluationSection

NAN = float("nan")
INFRA = {"verdict": "INFRA_BLESSED", "reasons": ["answers within its budgets"]}
BAD = [None, NAN, math.inf, -math.inf]


def row(value: float | None, name: str = OVERALL, metric: str = "auc", **more: Any) -> MetricRow:
    return MetricRow(
        name, more.pop("model", CANDIDATE), metric, more.pop("rows", 500), value, **more
    )


def sure(value: float, width: float, name: str = OVERALL, **more: Any) -> MetricRow:
    """A value with its 95 % interval, `value +- width`."""
    return row(
        value, name, low=value - width, high=value + width, standard_error=width / 1.96, **more
    )


def judge(
    *rows: MetricRow,
    value: Any = None,
    change: Any = None,
    differences: tuple[Difference, ...] = (),
    cases: tuple[CaseResult, ...] = (),
    infra: Any = INFRA,
    **section: Any,
) -> Blessing:
    parsed = EvaluationSection.model_validate(
        {
            "slices": ["pay", "pay_zone", "pay,hour"],
            "value_thresholds": value or {},
            "change_thresholds": change or {},
            **section,
        }
    )
    return bless(rows, differences, parsed, cases, infra)


def test_a_candidate_above_every_bound_is_blessed() -> None:
    rows = row(0.9), row(0.3, metric="log_loss")
    blessing = judge(*rows, value={"auc": {"min": 0.8}, "log_loss": {"max": 0.4}})
    assert blessing.verdict == blessing.without_override == "BLESSED"
    assert blessing.blessed
    assert blessing.reasons == (
        "auc overall is 0.9 (at least 0.8 wanted)",
        "log_loss overall is 0.3 (at most 0.4 wanted)",
        "infra: answers within its budgets",
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
        ({"auc": {"min": 0.8}, "log_loss": {"max": 0.29}}, "NOT_BLESSED"),
        ({"auc": [{"min": 0.8}, {"max": 0.95}]}, "BLESSED"),
        ({"auc": [{"min": 0.8}, {"max": 0.85}]}, "NOT_BLESSED"),
    ],
)
def test_value_thresholds_overall_include_their_bounds(bounds: Any, verdict: str) -> None:
    assert judge(row(0.9), row(0.3, metric="log_loss"), value=bounds).verdict == verdict


def test_a_failed_bound_is_told_first_and_with_digits_that_tell_it_apart() -> None:
    rows = row(0.9), row(0.3000004, metric="log_loss")
    blessing = judge(*rows, value={"auc": {"min": 0.8}, "log_loss": {"max": 0.3}})
    assert blessing.verdict == "NOT_BLESSED"
    assert blessing.reasons[0] == "log_loss overall is 0.3000004, above the most allowed 0.3"
    below = judge(row(0.9), value={"auc": {"min": 0.95}})
    assert below.reasons[0] == "auc overall is 0.9, below the least allowed 0.95"


def test_large_numbers_are_told_whole() -> None:
    blessing = judge(row(1234567.8, metric="mae"), value={"mae": {"max": 1_000_000}})
    assert "mae overall is 1234568, above" in blessing.reasons[0]


def test_without_any_threshold_nothing_is_validated() -> None:
    blessing = judge(row(0.9), cases=(CaseResult("a", "golden", "pass", ""),))
    assert blessing.verdict == "NOT_VALIDATED"
    assert "set evaluation.value_thresholds" in blessing.reasons[0]


def test_without_any_row_nothing_is_validated() -> None:
    blessing = judge(value={"auc": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert blessing.reasons[0] == "auc overall could not be judged: there are no such rows"


def test_a_metric_that_was_not_measured_is_not_validated() -> None:
    blessing = judge(row(0.9), value={"f1": {"min": 0.1}, "auc": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert blessing.reasons[0] == "f1 overall could not be judged: it was not measured"


def test_the_champion_s_metrics_do_not_stand_in_for_the_candidate_s() -> None:
    blessing = judge(row(0.9, model=CHAMPION), value={"auc": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("bounds", [{"min": 0.1}, {"max": 0.9}, {"min": -1e9, "max": 1e9}])
@pytest.mark.parametrize("how", ["point", "significant", "proven"])
def test_a_metric_that_is_no_number_is_not_validated(
    bad: float | None, bounds: dict[str, float], how: str
) -> None:
    spread = row(bad, low=0.2, high=0.3, standard_error=0.01)
    blessing = judge(spread, value={"auc": {**bounds, "judge": how}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert "could not be judged" in blessing.reasons[0]


def test_a_failure_outweighs_what_cannot_be_judged() -> None:
    rows = row(None), row(0.8, metric="accuracy")
    blessing = judge(*rows, value={"auc": {"min": 0.1}, "accuracy": {"min": 0.9}})
    assert blessing.verdict == "NOT_BLESSED"
    assert blessing.reasons[0].startswith("accuracy overall is 0.8, below")
    assert blessing.reasons[1].startswith("auc overall could not be judged")


@pytest.mark.parametrize(
    ("value", "how", "verdict", "said"),
    [
        (0.79, "point", "NOT_BLESSED", "is 0.79 [0.77, 0.81], below the least allowed 0.8"),
        (0.79, "significant", "BLESSED", "(at least 0.8 wanted; below it, but within noise)"),
        (0.77, "significant", "NOT_BLESSED", "is 0.77 [0.75, 0.79], below the least allowed 0.8"),
        (0.81, "significant", "BLESSED", "is 0.81 [0.79, 0.83] (at least 0.8 wanted)"),
        (0.81, "proven", "NOT_BLESSED", "is 0.81 [0.79, 0.83], not proven to be at least 0.8"),
        (0.83, "proven", "BLESSED", "is 0.83 [0.81, 0.85] (at least 0.8 wanted)"),
    ],
)
def test_the_judge_says_what_an_interval_counts_for(
    value: float, how: str, verdict: str, said: str
) -> None:
    blessing = judge(sure(value, 0.02), value={"auc": {"min": 0.8, "judge": how}})
    assert blessing.verdict == verdict
    assert said in blessing.reasons[0]


@pytest.mark.parametrize(("value", "verdict"), [(0.4, "NOT_BLESSED"), (0.37, "BLESSED")])
def test_an_upper_bound_is_judged_from_the_other_side(value: float, verdict: str) -> None:
    rows = (sure(value, 0.03, metric="log_loss"),)
    bound = {"log_loss": {"max": 0.36, "judge": "significant"}}
    assert judge(*rows, value=bound).verdict == verdict


def test_overall_is_judged_by_its_value_and_a_slice_by_significance_if_nothing_is_said() -> None:
    bound = {"auc": {"min": 0.8, "slices": [OVERALL, "pay=Cash"]}}
    rows = sure(0.85, 0.02), sure(0.79, 0.02, "pay=Cash")
    assert judge(*rows, value=bound).blessed
    rows = sure(0.79, 0.02), sure(0.85, 0.02, "pay=Cash")
    assert judge(*rows, value=bound).verdict == "NOT_BLESSED"


@pytest.mark.parametrize(
    "ends",
    [(None, None), (None, 0.95), (0.85, None), (NAN, 0.95), (0.85, NAN), (0.95, 0.85)],
)
@pytest.mark.parametrize("how", ["significant", "proven"])
def test_a_judge_that_needs_an_interval_does_not_bless_without(
    ends: tuple[float | None, float | None], how: str
) -> None:
    rows = row(0.9, low=ends[0], high=ends[1])
    blessing = judge(rows, value={"auc": {"min": 0.1, "judge": how}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert "it has no confidence interval, which `judge:" in blessing.reasons[0]
    assert judge(rows, value={"auc": {"min": 0.1, "judge": "point"}}).blessed


def on(*slices: str, **bounds: float) -> dict[str, Any]:
    return {"auc": {"slices": list(slices), **bounds}}


@pytest.mark.parametrize(
    ("rows", "verdict", "reason"),
    [
        ([sure(0.9, 0.01, "pay=Cash")], "BLESSED", "auc on pay=Cash is 0.9 [0.89, 0.91] (at least"),
        (
            [sure(0.7, 0.01, "pay=Cash")],
            "NOT_BLESSED",
            "auc on pay=Cash is 0.7 [0.69, 0.71], below",
        ),
        ([row(None, "pay=Cash", rows=7)], "NOT_VALIDATED", "7 rows are too few"),
        ([sure(0.9, 0.01, "pay=Cash", rows=99)], "NOT_VALIDATED", "99 rows are too few"),
        ([row(None, "pay=Cash")], "NOT_VALIDATED", "not defined on its 500 rows"),
        ([sure(0.9, 0.01, "pay=Card")], "NOT_VALIDATED", "pay=Cash could not be judged: there are"),
        ([row(NAN, "pay=Cash")], "NOT_VALIDATED", "could not be judged: it is nan"),
        ([sure(0.1, 0.01, "pay=Cash ")], "NOT_VALIDATED", "there are no such rows"),
    ],
)
def test_a_slice_that_is_named_must_be_judged(
    rows: list[MetricRow], verdict: str, reason: str
) -> None:
    blessing = judge(row(0.9), *rows, value=on(OVERALL, "pay=Cash", min=0.8))
    assert blessing.verdict == verdict
    assert any(reason in said for said in blessing.reasons)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([sure(0.9, 0.01, "pay=Cash"), sure(0.9, 0.01, "pay=Card")], "BLESSED"),
        ([sure(0.9, 0.01, "pay=Cash"), sure(0.7, 0.01, "pay=Card")], "NOT_BLESSED"),
        ([sure(0.9, 0.01, "pay=Cash"), row(None, "pay=Card", rows=7)], "BLESSED"),
        ([sure(0.9, 0.01, "pay=Cash"), row(None, "pay=Card")], "BLESSED"),
        ([row(None, "pay=Cash", rows=7), row(None, "pay=Card", rows=7)], "NOT_VALIDATED"),
        ([sure(0.9, 0.01, "pay=Cash"), row(NAN, "pay=Card")], "NOT_VALIDATED"),
        ([sure(0.9, 0.01, "pay=Cash"), row(0.9, "pay=Card")], "BLESSED"),
        ([row(0.9, "pay=Cash"), row(0.9, "pay=Card")], "NOT_VALIDATED"),
        (
            [sure(0.9, 0.01, "pay=Cash"), row(0.9, "pay=Card", low=NAN, standard_error=NAN)],
            "NOT_VALIDATED",
        ),
        ([sure(0.9, 0.01, "pay=Cash"), row(1, "pay=Card", "f1")], "NOT_VALIDATED"),
        ([sure(0.7, 0.01, "pay=a=b")], "NOT_BLESSED"),
        ([sure(0.7, 0.01, "pay=a,b")], "NOT_BLESSED"),
        ([sure(0.9, 0.01, "pay=Cash"), sure(0.1, 0.01, "pay_zone=1")], "BLESSED"),
        ([sure(0.9, 0.01, "pay=Cash"), sure(0.1, 0.01, "pay=Cash,hour=1")], "BLESSED"),
        ([sure(0.9, 0.01, "pay=")], "BLESSED"),
        ([], "NOT_VALIDATED"),
    ],
)
def test_of_all_values_of_a_column_the_small_ones_are_passed_over(
    rows: list[MetricRow], verdict: str
) -> None:
    assert judge(row(0.9), *rows, value=on("pay=*", min=0.8)).verdict == verdict


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        ("pay=Cash,hour=8", "NOT_BLESSED"),
        ("hour=8,pay=Cash", "NOT_BLESSED"),
        ("pay=Cash,hour=*", "NOT_BLESSED"),
        ("pay=*,hour=*", "NOT_BLESSED"),
        ("pay=*,hour=9", "BLESSED"),
        ("pay=Card,hour=*", "BLESSED"),
        ("pay=*,hour=7", "NOT_VALIDATED"),
        ("pay=*", "BLESSED"),
    ],
)
def test_crosses_are_held_by_all_of_their_columns(wanted: str, verdict: str) -> None:
    rows = (
        sure(0.9, 0.01, "pay=Cash"),
        sure(0.7, 0.01, "pay=Cash,hour=8"),
        sure(0.9, 0.01, "pay=Cash,hour=9"),
        sure(0.9, 0.01, "pay=Card,hour=8"),
    )
    assert judge(*rows, value=on(wanted, min=0.8)).verdict == verdict


def test_a_slice_that_is_named_beside_all_values_must_be_judged() -> None:
    rows = row(0.9), sure(0.9, 0.01, "pay=Cash"), row(None, "pay=Card", rows=7)
    for slices in (["pay=*", "pay=Card"], ["pay=Card", "pay=*"]):
        assert judge(*rows, value=on(*slices, min=0.8)).verdict == "NOT_VALIDATED"
    assert judge(*rows, value=on("pay=*", min=0.8)).blessed


def test_what_was_passed_over_is_told_last() -> None:
    rows = [row(0.9), row(None, "pay=Card", rows=7), sure(0.85, 0.01, "pay=Cash")]
    blessing = judge(*rows, value=on("pay=*", OVERALL, min=0.8))
    assert blessing.blessed
    assert blessing.reasons[-1].startswith("auc on pay=Card could not be judged: 7 rows")


@pytest.mark.parametrize(
    ("results", "verdict", "said"),
    [
        (["pass", "pass"], "BLESSED", "2 of 2 behavioural cases hold"),
        (["pass", "fail"], "NOT_BLESSED", "golden case 'c1' failed: it is 0.4"),
        (["pass", "unjudged"], "NOT_VALIDATED", "golden case 'c1' could not be judged: it is 0.4"),
        ([], "NOT_VALIDATED", "the behavioural cases of cases.yaml were not asked"),
    ],
)
def test_every_behavioural_case_must_hold(results: list[Any], verdict: str, said: str) -> None:
    cases = tuple(CaseResult(f"c{i}", "golden", r, "it is 0.4") for i, r in enumerate(results))
    section = EvaluationSection.model_validate(
        {"value_thresholds": {"auc": {"min": 0.8}}, "cases": "cases.yaml"}
    )
    blessing = bless([row(0.9)], [], section, cases, INFRA)
    assert blessing.verdict == verdict
    assert said in blessing.reasons if verdict == "BLESSED" else said in blessing.reasons[0]


@pytest.mark.parametrize(
    ("infra", "verdict", "said"),
    [
        (INFRA, "BLESSED", "infra: answers within its budgets"),
        ({"verdict": "INFRA_NOT_BLESSED", "reasons": ["p95 is 900 ms"]}, "NOT_BLESSED", "p95"),
        ({"verdict": "NOT_VALIDATED", "reasons": ["no port"]}, "NOT_VALIDATED", "no port"),
        ({"verdict": "BLESSED"}, "NOT_VALIDATED", "infra: verdict BLESSED"),
        ({}, "NOT_VALIDATED", "infra: the model was not tried in a server"),
        (None, "NOT_VALIDATED", "infra: the model was not tried in a server"),
    ],
)
def test_only_a_model_that_passed_its_trial_is_blessed(infra: Any, verdict: str, said: str) -> None:
    blessing = judge(row(0.9), value={"auc": {"min": 0.8}}, infra=infra)
    assert blessing.verdict == verdict
    assert any(said in reason for reason in blessing.reasons)


def test_the_page_holds_the_verdict_and_every_check_under_its_outcome() -> None:
    rows = row(0.9), sure(0.7, 0.01, "pay=*odd_"), row(None, "pay=Card", rows=7)
    page = blessing_page(judge(*rows, value=on(OVERALL, "pay=*", min=0.8)))
    assert page.startswith("# NOT_BLESSED\n")
    failed, rest = page.split("## Failed")[1].split("## ", 1)
    assert r"auc on pay=\*odd\_ is 0.7" in failed
    assert "auc overall" not in failed
    assert "## Passed over" in rest


NUMBERS = st.none() | st.floats(0, 1) | st.sampled_from([NAN, math.inf, -math.inf])
JUDGES = st.sampled_from(["point", "significant", "proven"])


@settings(max_examples=150, deadline=None)
@given(
    value=NUMBERS,
    low=NUMBERS,
    high=NUMBERS,
    error=NUMBERS,
    least=st.floats(0, 1),
    how=JUDGES,
    name=st.sampled_from([OVERALL, "pay=Cash"]),
    starred=st.booleans(),
)
def test_only_finite_values_with_what_the_judge_needs_bless(
    value: float | None,
    low: float | None,
    high: float | None,
    error: float | None,
    least: float,
    how: str,
    name: str,
    starred: bool,
) -> None:
    spread = row(value, name, low=low, high=high, standard_error=error)
    wanted = "pay=*" if starred and name != OVERALL else name
    blessing = judge(spread, value={"auc": {"min": least, "judge": how, "slices": [wanted]}})
    assert blessing.reasons
    if blessing.blessed:
        assert value is not None
        assert math.isfinite(value)
        needed = () if how == "point" else (error,) if wanted == "pay=*" else (low, high)
        assert all(end is not None and math.isfinite(end) for end in needed)
        assert how == "significant" or value >= least or wanted == "pay=Cash"


@settings(max_examples=150, deadline=None)
@given(
    value=st.floats(0, 1),
    worse=st.floats(0, 1),
    width=st.floats(1e-6, 0.2),
    least=st.floats(0, 1),
    how=JUDGES,
    wanted=st.sampled_from(["pay=*", "pay=Cash"]),
)
def test_a_lower_value_never_turns_a_fail_into_a_pass(
    value: float, worse: float, width: float, least: float, how: str, wanted: str
) -> None:
    bound = {"auc": {"min": least, "judge": how, "slices": [wanted]}}
    first = judge(sure(value, width, "pay=Cash"), value=bound)
    second = judge(sure(value - worse, width, "pay=Cash"), value=bound)
    assert first.blessed or not second.blessed
    assert first.verdict != "NOT_VALIDATED"


def test_what_passed_on_many_slices_is_told_as_one_and_what_failed_one_by_one() -> None:
    rows = [sure(0.9, 0.01, f"pay={n}") for n in range(8)]
    rows += [sure(0.5, 0.01, f"pay=bad{n}") for n in range(5)]
    blessing = judge(row(0.9), *rows, value=on("pay=*", min=0.8))
    assert blessing.verdict == "NOT_BLESSED"
    assert sum("below the least allowed 0.8" in reason for reason in blessing.reasons) == 5
    (passed,) = [reason for reason in blessing.reasons if "slices pass" in reason]
    assert passed.startswith("auc on pay=*: 8 slices pass, such as: auc on pay=0 is 0.9")
    assert len([check for check in blessing.checks if check.outcome == "pass"]) >= 8


def test_what_must_be_proven_is_not_where_no_interval_was_measured() -> None:
    rows = row(0.9), sure(0.95, 0.01, "pay=Cash"), row(0.95, "pay=Card")
    bound = {"auc": {"min": 0.8, "slices": ["pay=*"], "judge": "proven"}}
    assert judge(*rows, value=bound).verdict == "NOT_VALIDATED"


@pytest.mark.parametrize(
    ("value", "how", "verdict"),
    [
        (1.0, "proven", "NOT_VALIDATED"),
        (1.0, "significant", "BLESSED"),
        (1.0, "point", "BLESSED"),
        (0.7, "proven", "NOT_BLESSED"),
        (0.7, "significant", "NOT_BLESSED"),
    ],
)
@pytest.mark.parametrize("wanted", [OVERALL, "pay=*"])
def test_an_interval_without_width_proves_nothing(
    value: float, how: str, verdict: str, wanted: str
) -> None:
    name = OVERALL if wanted == OVERALL else "pay=Cash"
    bound = {"f1": {"min": 0.8, "judge": how, "slices": [wanted]}}
    blessing = judge(sure(value, 0.0, name, metric="f1"), value=bound)
    assert blessing.verdict == verdict
    if verdict == "NOT_VALIDATED":
        assert "its confidence interval has no width" in blessing.reasons[0]
