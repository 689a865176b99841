"""What a version must show to enter a stage. Pure; fails closed."""

from __future__ import annotations

from dataclasses import dataclass

from mlproject.blessing.verdict import INFRA_BLESSED
from mlproject.promotion.entries import Entry
from mlproject.promotion.stages import Stage

BLESSED, PASSED = "BLESSED", "PASSED"


@dataclass(frozen=True)
class Case:
    """What is known of a version that is to change its stage.

    Attributes:
        version: The version.
        before: Its stage.
        after: The stage that is wanted.
        blessing: Its verdict.
        infra: The verdict of its trial in a server.
        rollout: Its last rollout's entry, if it had one.
        rollout_required: Whether production asks for a passed rollout.
        approval_required: Whether production asks for a person.
        approved: Whether a person said yes.
        override: Why evidence that is missing for production is done without; empty for none.
        first: Whether the model had no champion yet: there is no traffic that a rollout could use.
        was_champion: Whether it was in production already, and may be gone back to.
    """

    version: int
    before: Stage
    after: Stage
    blessing: str
    infra: str
    rollout: Entry | None = None
    rollout_required: bool = False
    approval_required: bool = False
    approved: bool = False
    override: str = ""
    first: bool = False
    was_champion: bool = False


def refusals(case: Case) -> tuple[str, ...]:
    """Why the stage may not be entered, in plain words; empty where it may."""
    if case.after in (Stage.NONE, Stage.REJECTED, Stage.ARCHIVED, Stage.ROLLED_BACK):
        return ()
    reasons = []
    if case.blessing != BLESSED:
        reasons.append(f"its blessing is {case.blessing or 'missing'}, and BLESSED is wanted")
    if case.infra != INFRA_BLESSED:
        reasons.append(
            f"its trial in a server is {case.infra or 'missing'}, and {INFRA_BLESSED} is wanted"
        )
    if case.after is Stage.PRODUCTION and not case.was_champion:
        if not case.override:
            reasons += _rollout(case)
        if case.approval_required and not case.approved:
            reasons.append("no person has approved it, and registry.approval is required")
    return tuple(reasons)


def _rollout(case: Case) -> list[str]:
    verdict = case.rollout.evidence.get("verdict", "") if case.rollout else ""
    if case.rollout is not None and verdict != PASSED:
        return [f"its rollout is {verdict or 'without a verdict'}, and {PASSED} is wanted"]
    if case.rollout is None and case.rollout_required and not case.first:
        return ["it had no rollout, and registry.rollout is required"]
    return []
