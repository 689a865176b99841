"""The Blessing by change thresholds: worse than the champion, absolute and relative."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.blessing import Blessing, bless
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.sections import EvaluationSection

NAN = float("nan")
INFRA = {"verdict": "INFRA_BLESSED", "reasons": ["ok"]}


def pair(
    new: float | None, old: float | None, name: str = OVERALL, metric: str = "auc", rows: int = 500
) -> list[MetricRow]:
    """The candidate's value and the champion's, on a slice."""
    return [
        MetricRow(name, CANDIDATE, metric, rows, new),
        MetricRow(name, CHAMPION, metric, rows, old),
    ]


def judge(
    rows: list[MetricRow],
    change: Any,
    *,
    value: Any = None,
    error: float | None = None,
    compared: bool | None = None,
    confidence: float = 0.95,
    custom: Any = None,
) -> Blessing:
    """Blesses, with differences made of the rows and one standard error for all."""
    section = EvaluationSection.model_validate(
        {
            "slices": ["pay"],
            "value_thresholds": value or {},
            "change_thresholds": change,
            "confidence": confidence,
            "custom_metrics": custom or {},
        }
    )
    old = {(r.slice, r.metric): r.value for r in rows if r.model == CHAMPION}
    differences = []
    for row in rows:
        before = old.get((row.slice, row.metric))
        if row.model == CANDIDATE and row.value is not None and before is not None:
            gap = row.value - before
            ends = (None, None) if error is None else (gap - 1.96 * error, gap + 1.96 * error)
            differences.append(Difference(row.slice, row.metric, row.examples, gap, *ends, error))
    return bless(rows, differences, section, (), INFRA, compared=compared)


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
def test_max_loss_measures_the_worsening(
    metric: str, new: float, old: float, max_loss: float, verdict: str
) -> None:
    blessing = judge(pair(new, old, metric=metric), {metric: {"max_loss": max_loss}})
    assert blessing.verdict == verdict


@pytest.mark.parametrize(
    ("metric", "new", "old", "share", "verdict"),
    [
        ("accuracy", 0.792, 0.8, 0.01, "BLESSED"),  # at least 0.99 times the champion's
        ("accuracy", 0.7919, 0.8, 0.01, "NOT_BLESSED"),
        ("mae", 105.0, 100.0, 0.05, "BLESSED"),  # lower is better: at most 1.05 times
        ("mae", 105.1, 100.0, 0.05, "NOT_BLESSED"),
        ("mae", 90.0, 100.0, 0.05, "BLESSED"),
        ("r2", -0.504, -0.5, 0.01, "BLESSED"),  # a share of the value's size
        ("r2", -0.506, -0.5, 0.01, "NOT_BLESSED"),
        ("r2", 0.0, 0.0, 0.01, "BLESSED"),  # at 0 no loss is allowed
        ("r2", -0.0001, 0.0, 0.01, "NOT_BLESSED"),
        ("r2", 0.1, 0.0, 0.01, "BLESSED"),
        ("rmse", 0.0001, 0.0, 0.5, "NOT_BLESSED"),
        ("mae", 95.0, 100.0, -0.04, "BLESSED"),  # 4 % better wanted
        ("mae", 97.0, 100.0, -0.04, "NOT_BLESSED"),
    ],
)
def test_max_relative_loss_is_a_share_of_the_champion_s_value(
    metric: str, new: float, old: float, share: float, verdict: str
) -> None:
    change = {metric: {"max_relative_loss": share}}
    assert judge(pair(new, old, metric=metric), change).verdict == verdict


def test_a_fall_beyond_doubt_is_told_as_a_person_would() -> None:
    rows = pair(0.901, 0.922, "pay=Flash Cab")
    change = {"auc": {"max_loss": 0.01, "slices": ["pay=Flash Cab"]}}
    blessing = judge(rows, change, error=0.0045)
    assert blessing.verdict == "NOT_BLESSED"
    assert blessing.reasons[0] == (
        "auc on pay=Flash Cab fell 0.021 [0.01218, 0.02982], allowed 0.01 "
        "(0.901, the champion 0.922)"
    )


def test_every_move_has_its_words() -> None:
    def said(new: float, old: float, change: Any, metric: str = "auc") -> str:
        return judge(pair(new, old, metric=metric), {metric: change}).reasons[0]

    assert said(0.9, 0.9, {"max_loss": 0}) == (
        "auc overall is equal to the champion's, a loss of 0 allowed (0.9, the champion 0.9)"
    )
    assert said(0.91, 0.9, {"max_loss": 0.01}).startswith(
        "auc overall rose 0.01, a loss of 0.01 allowed"
    )
    assert said(0.2, 0.3, {"max_loss": 0.0}, "log_loss").startswith("log_loss overall fell 0.1")
    assert said(0.4, 0.3, {"max_loss": 0.0}, "log_loss").startswith(
        "log_loss overall rose 0.1, allowed 0 ("
    )
    assert "an improvement of 0.02 wanted" in said(0.91, 0.9, {"max_loss": -0.02})
    assert "allowed 0.009 (0.88, the champion 0.9; allowed 0.01 of the champion's value)" in said(
        0.88, 0.9, {"max_relative_loss": 0.01}
    )


@pytest.mark.parametrize(
    ("fall", "how", "verdict", "said"),
    [
        (0.011, "point", "NOT_BLESSED", "fell 0.011 [-0.0086, 0.0306], allowed 0.01 ("),
        (0.011, "significant", "BLESSED", "allowed 0.01: within noise"),
        (0.031, "significant", "NOT_BLESSED", "fell 0.031 [0.0114, 0.0506], allowed 0.01 ("),
        (0.009, "significant", "BLESSED", "fell 0.009 [-0.0106, 0.0286], allowed 0.01 ("),
        (0.009, "proven", "NOT_BLESSED", "allowed 0.01, not proven to be no more"),
        (-0.02, "proven", "BLESSED", "rose 0.02 [0.0004, 0.0396], a loss of 0.01 allowed"),
    ],
)
def test_the_judge_says_what_an_interval_counts_for(
    fall: float, how: str, verdict: str, said: str
) -> None:
    change = {"auc": {"max_loss": 0.01, "judge": how}}
    blessing = judge(pair(0.9 - fall, 0.9), change, error=0.01)
    assert blessing.verdict == verdict
    assert said in blessing.reasons[0]


def test_a_judge_that_needs_an_interval_does_not_bless_without() -> None:
    for how in ("significant", "proven"):
        blessing = judge(pair(0.95, 0.9), {"auc": {"max_loss": 0.01, "judge": how}})
        assert blessing.verdict == "NOT_VALIDATED"
        assert "no confidence interval" in blessing.reasons[0]


def test_several_thresholds_of_a_metric_must_all_hold() -> None:
    strict = {"auc": [{"max_loss": 0.05}, {"max_relative_loss": 0.001}]}
    loose = {"auc": [{"max_loss": 0.05}, {"max_relative_loss": 0.1}]}
    assert judge(pair(0.88, 0.9), strict).verdict == "NOT_BLESSED"
    assert judge(pair(0.88, 0.9), loose).blessed


@pytest.mark.parametrize(
    ("direction", "verdict"), [("higher", "NOT_BLESSED"), ("lower", "BLESSED")]
)
def test_project_yaml_says_which_way_a_custom_metric_is_better(
    direction: str, verdict: str
) -> None:
    rows = pair(1.0, 2.0, metric="cost")
    change = {"cost": {"max_loss": 0.5}}
    assert judge(rows, change, custom={"cost": direction}).verdict == verdict


def test_a_metric_without_a_direction_is_not_validated() -> None:
    blessing = judge(pair(1.0, 2.0, metric="cost"), {"cost": {"max_loss": 5}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert "nothing says whether more of it is better" in blessing.reasons[0]


def test_without_a_champion_a_change_threshold_does_not_apply_and_blesses_nothing() -> None:
    first = [MetricRow(OVERALL, CANDIDATE, "auc", 500, 0.9)]
    change = {"auc": {"max_loss": 0.01}}
    assert judge(first, change).verdict == "NOT_VALIDATED"
    beside = judge(first, change, value={"auc": {"min": 0.8}})
    assert beside.blessed
    assert beside.reasons[-1] == "no champion yet: the change threshold on auc did not apply"
    assert judge(first, change, value={"auc": {"min": 0.95}}).verdict == "NOT_BLESSED"


def test_a_champion_that_was_not_measured_is_no_first_model() -> None:
    first = [MetricRow(OVERALL, CANDIDATE, "auc", 500, 0.9)]
    value = {"auc": {"min": 0.8}}
    lost = judge(first, {"auc": {"max_loss": 0.01}}, value=value, compared=True)
    assert lost.verdict == "NOT_VALIDATED"
    assert lost.reasons[0] == (
        "auc overall of the champion could not be judged: it was not measured"
    )


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (None, 0.9, "auc overall could not be judged: it is not defined on its 500 rows"),
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
    rows = [*pair(new, old), *pair(0.8, 0.8, metric="accuracy")]
    blessing = judge(rows, {"auc": {"max_loss": 1e9}}, value={"accuracy": {"min": 0.1}})
    assert blessing.verdict == "NOT_VALIDATED"
    assert said in blessing.reasons[0]


@pytest.mark.parametrize(
    ("slices", "extra", "verdict"),
    [
        (["pay=Cash"], pair(0.9, 0.9, "pay=Cash"), "BLESSED"),
        (["pay=Cash"], pair(0.1, 0.9, "pay=Cash"), "NOT_BLESSED"),
        (["pay=Cash"], pair(None, None, "pay=Cash", rows=7), "NOT_VALIDATED"),
        (["pay=Cash"], pair(0.9, 0.9, "pay=Cash")[:1], "NOT_VALIDATED"),
        (["pay=Cash"], pair(0.9, 0.9, "pay=Cash")[1:], "NOT_VALIDATED"),
        (["pay=*"], pair(0.9, 0.9, "pay=Cash"), "BLESSED"),
        (["pay=*"], pair(0.1, 0.9, "pay=Cash"), "NOT_BLESSED"),
        (["pay=*"], pair(None, None, "pay=Cash", rows=7), "NOT_VALIDATED"),
        (["overall", "pay=*"], pair(None, None, "pay=Cash", rows=7), "BLESSED"),
        (["overall", "pay=*"], pair(0.9, 0.9, "pay=Cash")[1:], "NOT_VALIDATED"),
    ],
)
def test_change_thresholds_on_slices(
    slices: list[str], extra: list[MetricRow], verdict: str
) -> None:
    rows = [*pair(0.9, 0.9), *extra]
    change = {"auc": {"max_loss": 0.01, "slices": slices}}
    assert judge(rows, change, error=0.001).verdict == verdict


def test_a_better_model_is_not_refused_for_two_small_slices_that_fell_within_noise() -> None:
    falls = {"pay=Prcard": (0.012, 0.011), "pay=Unknown": (0.020, 0.012)}
    rows = pair(0.9418, 0.94) + [
        row for name, (fall, _) in falls.items() for row in pair(0.9 - fall, 0.9, name, rows=210)
    ]
    rows += pair(0.95, 0.949, "pay=Cash", rows=4000)
    errors = {OVERALL: 0.001, "pay=Cash": 0.001} | {n: error for n, (_, error) in falls.items()}
    gaps = {row.slice: row.value for row in rows if row.model == CANDIDATE}
    old = {row.slice: row.value for row in rows if row.model == CHAMPION}
    differences = [
        Difference(n, "auc", 210, g := gaps[n] - old[n], g - 1.96 * e, g + 1.96 * e, e)  # type: ignore[operator]
        for n, e in errors.items()
    ]
    bound = {"max_loss": 0.003, "slices": [OVERALL, "pay=*"]}
    by_point = EvaluationSection.model_validate(
        {"slices": ["pay"], "change_thresholds": {"auc": {**bound, "judge": "point"}}}
    )
    aware = EvaluationSection.model_validate(
        {"slices": ["pay"], "change_thresholds": {"auc": bound}}
    )
    refused = bless(rows, differences, by_point, (), INFRA)
    assert refused.verdict == "NOT_BLESSED"
    assert [r[:20] for r in refused.reasons[:2]] == ["auc on pay=Prcard fe", "auc on pay=Unknown f"]
    blessed = bless(rows, differences, aware, (), INFRA)
    assert blessed.blessed
    assert sum("within noise" in reason for reason in blessed.reasons) == 2
    clear = [
        d
        if d.slice != "pay=Unknown"
        else Difference(d.slice, "auc", 210, -0.02, -0.03, -0.01, 0.005)
        for d in differences
    ]
    assert bless(rows, clear, aware, (), INFRA).verdict == "NOT_BLESSED"


@settings(max_examples=150, deadline=None)
@given(
    new=st.floats(0, 1),
    old=st.floats(0, 1),
    worse=st.floats(0, 1),
    error=st.floats(1e-6, 0.2),
    allowed=st.floats(-0.5, 0.5),
    how=st.sampled_from(["point", "significant", "proven"]),
    kind=st.sampled_from(["max_loss", "max_relative_loss"]),
    metric=st.sampled_from(["auc", "log_loss"]),
    wanted=st.sampled_from([OVERALL, "pay=*", "pay=Cash"]),
)
def test_more_loss_never_turns_a_fail_into_a_pass(
    new: float,
    old: float,
    worse: float,
    error: float,
    allowed: float,
    how: str,
    kind: str,
    metric: str,
    wanted: str,
) -> None:
    name = OVERALL if wanted == OVERALL else "pay=Cash"
    change = {metric: {kind: allowed, "judge": how, "slices": [wanted]}}
    further = new - worse if metric == "auc" else new + worse
    before = judge(pair(new, old, name, metric), change, error=error)
    after = judge(pair(further, old, name, metric), change, error=error)
    assert before.blessed or not after.blessed
    assert "NOT_VALIDATED" not in (before.verdict, after.verdict)


@settings(max_examples=150, deadline=None)
@given(
    values=st.tuples(*[st.none() | st.floats(0, 1) | st.sampled_from([NAN, math.inf])] * 2),
    error=st.none() | st.just(0.0) | st.floats(1e-6, 1) | st.just(NAN),
    how=st.sampled_from(["point", "significant", "proven"]),
    wanted=st.sampled_from([OVERALL, "pay=*", "pay=Cash"]),
)
def test_what_is_missing_never_blesses(
    values: tuple[float | None, float | None], error: float | None, how: str, wanted: str
) -> None:
    name = OVERALL if wanted == OVERALL else "pay=Cash"
    change = {"auc": {"max_loss": 10, "judge": how, "slices": [wanted]}}
    blessing = judge(pair(*values, name), change, error=error)
    known = all(v is not None and math.isfinite(v) for v in values)
    measured = error is not None and math.isfinite(error)
    sure = how == "point" or (measured and (how == "significant" or error != 0))
    assert blessing.blessed == (known and sure)
