"""Override: a person's word against thresholds and cases; with a trace, and never against infra."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlproject.blessing import Blessing, Override, bless, blessing_page
from mlproject.cases.values import CaseResult
from mlproject.errors import ConfigError
from mlproject.metrics import CANDIDATE, OVERALL, MetricRow
from mlproject.sections import EvaluationSection

WORD = Override("ann", "the drop is a\nlabelling fault, see BEN-12", "2026-11-21T10:00:00+00:00")
GOOD = {"verdict": "INFRA_BLESSED", "reasons": ["answers"]}
DEAD = {"verdict": "INFRA_NOT_BLESSED", "reasons": ["the server died"]}
UNTRIED = {"verdict": "NOT_VALIDATED", "reasons": ["no port"]}


def judge(
    value: float | None,
    infra: Any = GOOD,
    cases: tuple[CaseResult, ...] = (),
    override: Override | None = WORD,
    thresholds: Any = None,
) -> Blessing:
    wanted = {"auc": {"min": 0.8}} if thresholds is None else thresholds
    section = EvaluationSection.model_validate({"value_thresholds": wanted})
    rows = [MetricRow(OVERALL, CANDIDATE, "auc", 500, value)]
    return bless(rows, [], section, cases, infra, override)


@pytest.mark.parametrize(
    ("value", "cases", "thresholds", "without"),
    [
        (0.7, (), None, "NOT_BLESSED"),
        (None, (), None, "NOT_VALIDATED"),
        (0.9, (), {}, "NOT_VALIDATED"),
        (0.9, (CaseResult("c", "golden", "fail", "it is 0.4"),), None, "NOT_BLESSED"),
        (0.9, (CaseResult("c", "golden", "unjudged", "no row"),), None, "NOT_VALIDATED"),
    ],
)
def test_an_override_blesses_what_thresholds_and_cases_do_not(
    value: float | None, cases: Any, thresholds: Any, without: str
) -> None:
    blessing = judge(value, cases=cases, thresholds=thresholds)
    assert blessing.verdict == "BLESSED"
    assert blessing.without_override == without
    assert blessing.override_effect == "applied"
    assert blessing.reasons[0] == (
        f"{without} overruled by ann at 2026-11-21T10:00:00+00:00: "
        "'the drop is a labelling fault, see BEN-12'"
    )
    alone = judge(value, cases=cases, thresholds=thresholds, override=None)
    assert blessing.reasons[1:] == alone.reasons
    assert alone.verdict == without


@pytest.mark.parametrize(
    ("infra", "verdict"),
    [
        (DEAD, "NOT_BLESSED"),
        (UNTRIED, "NOT_VALIDATED"),
        (None, "NOT_VALIDATED"),
        ({}, "NOT_VALIDATED"),
    ],
)
@pytest.mark.parametrize("value", [0.9, 0.7])
def test_an_override_never_overrules_the_trial_in_a_server(
    infra: Any, verdict: str, value: float
) -> None:
    blessing = judge(value, infra)
    assert blessing.verdict == (verdict if value == 0.9 else "NOT_BLESSED")
    assert not blessing.blessed
    assert blessing.override_effect == "refused"
    assert blessing.reasons[0].startswith("infra: ")
    assert blessing.reasons[1].startswith("the override did not apply: it never overrules")


def test_an_override_that_nothing_needed_is_recorded_as_such() -> None:
    blessing = judge(0.9)
    assert blessing.verdict == blessing.without_override == "BLESSED"
    assert blessing.override_effect == "not needed"
    assert blessing.reasons[0].startswith("auc overall is 0.9")
    assert blessing.reasons[-1].startswith("an override was not needed (by ann at 2026")


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
@pytest.mark.parametrize("part", ["who", "reason", "when"])
def test_an_override_without_a_trace_is_refused(part: str, empty: str) -> None:
    words = {"who": "ann", "reason": "why", "when": "2026-11-21T10:00:00+00:00", part: empty}
    with pytest.raises(ConfigError, match=f"The override has no '{part}'"):
        Override(**words)


def test_the_value_and_the_page_hold_who_when_why_and_what_was_overruled() -> None:
    blessing = judge(0.7)
    value = json.loads(json.dumps(blessing.as_value()))
    assert value["verdict"] == "BLESSED"
    assert value["without_override"] == "NOT_BLESSED"
    assert value["override"] == {
        "who": "ann",
        "reason": WORD.reason,
        "when": WORD.when,
        "effect": "applied",
    }
    assert value["checks"][0]["outcome"] == "fail"
    page = blessing_page(blessing)
    assert page.startswith("# BLESSED\n")
    assert "Override: **applied**. The verdict of the checks is NOT_BLESSED." in page
    assert "- who: ann" in page
    assert "- reason: the drop is a labelling fault, see BEN-12" in page
    assert judge(0.9, override=None).as_value()["override"] is None


def test_the_tags_of_the_run_tell_who_overruled_what() -> None:
    from mlproject.steps.bless import blessing_tags

    tags = blessing_tags(judge(0.7), WORD)
    assert tags["blessing"] == "BLESSED"
    assert tags["benison.override"].startswith("applied, by ann at 2026-11-21")
    assert tags["benison.without_override"] == "NOT_BLESSED"
    plain = blessing_tags(judge(0.7, override=None), None)
    assert plain["blessing"] == "NOT_BLESSED"
    assert "benison.override" not in plain
