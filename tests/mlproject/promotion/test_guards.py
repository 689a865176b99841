"""What a version must show to enter a stage: passed, refused, and what cannot be judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mlproject.promotion.entries import Entry
from mlproject.promotion.guards import Case, refusals
from mlproject.promotion.stages import Stage

GUARDED = (Stage.STAGING, Stage.SHADOW, Stage.CANARY, Stage.PRODUCTION)
FREE = (Stage.NONE, Stage.REJECTED, Stage.ARCHIVED, Stage.ROLLED_BACK)
GOOD = Case(2, Stage.STAGING, Stage.PRODUCTION, "BLESSED", "INFRA_BLESSED")


def rollout(verdict: str | None) -> Entry:
    evidence = {} if verdict is None else {"verdict": verdict}
    return Entry("rollout", 2, (), "ann", "why", datetime(2026, 3, 1, tzinfo=UTC), evidence)


@pytest.mark.parametrize("after", GUARDED)
def test_a_blessed_version_may_go_on(after: Stage) -> None:
    assert refusals(replace(GOOD, after=after)) == ()


@pytest.mark.parametrize("after", GUARDED)
@pytest.mark.parametrize("blessing", ["NOT_BLESSED", "UNKNOWN", "blessed", "BLESSED ", ""])
@pytest.mark.parametrize("was_champion", [True, False])
def test_an_unblessed_version_goes_nowhere(after: Stage, blessing: str, was_champion: bool) -> None:
    case = replace(GOOD, after=after, blessing=blessing, was_champion=was_champion)
    (reason,) = refusals(replace(case, override="I know better", approved=True))
    assert (blessing or "missing") in reason


@pytest.mark.parametrize("after", GUARDED)
@pytest.mark.parametrize("infra", ["INFRA_NOT_BLESSED", "", "BLESSED"])
def test_a_version_that_no_server_has_served_goes_nowhere(after: Stage, infra: str) -> None:
    (reason,) = refusals(replace(GOOD, after=after, infra=infra, override="now", approved=True))
    assert (infra or "missing") in reason


@pytest.mark.parametrize("after", FREE)
def test_nothing_is_asked_of_a_version_that_is_taken_away(after: Stage) -> None:
    assert refusals(replace(GOOD, after=after, blessing="", infra="")) == ()


@pytest.mark.parametrize(
    ("case", "refused"),
    [
        ({}, None),
        ({"rollout_required": True}, "it had no rollout"),
        ({"rollout_required": True, "first": True}, None),
        ({"rollout_required": True, "was_champion": True}, None),
        ({"rollout_required": True, "override": "an incident"}, None),
        ({"rollout_required": True, "before": Stage.ARCHIVED}, "it had no rollout"),
        ({"rollout_required": True, "rollout": rollout("PASSED")}, None),
        ({"rollout": rollout("FAILED")}, "its rollout is FAILED"),
        ({"rollout": rollout("FAILED"), "first": True}, "its rollout is FAILED"),
        ({"rollout": rollout("UNKNOWN")}, "its rollout is UNKNOWN"),
        ({"rollout": rollout("passed")}, "its rollout is passed"),
        ({"rollout": rollout("")}, "without a verdict"),
        ({"rollout": rollout(None)}, "without a verdict"),
        ({"rollout": rollout("FAILED"), "override": "an incident"}, None),
    ],
)
def test_production_asks_for_the_rollout(case: dict[str, Any], refused: str | None) -> None:
    reasons = refusals(replace(GOOD, **case))
    assert reasons == () if refused is None else refused in reasons[0]
    # Before production nobody asks: a rollout is what happens there.
    assert refusals(replace(GOOD, **{**case, "after": Stage.CANARY})) == ()


@pytest.mark.parametrize(
    ("case", "refused"),
    [
        ({}, True),
        ({"approved": True}, False),
        ({"override": "an incident"}, True),  # stands for evidence, and not for a person
        ({"before": Stage.CANARY}, True),
        ({"before": Stage.ARCHIVED}, True),  # set aside, and never in production
        ({"before": Stage.ARCHIVED, "was_champion": True}, False),
        ({"first": True}, True),
    ],
)
def test_production_asks_for_a_person(case: dict[str, Any], refused: bool) -> None:
    reasons = refusals(replace(GOOD, approval_required=True, **case))
    assert bool(reasons) == refused
    assert all("no person has approved it" in reason for reason in reasons)


def test_all_that_is_missing_is_said_at_once() -> None:
    case = Case(2, Stage.STAGING, Stage.PRODUCTION, "", "", None, True, True)
    assert len(refusals(case)) == 4
