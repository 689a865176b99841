"""What becomes of a version that a pipeline has registered: as far as the policy lets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlproject.promotion.asks import PLATFORM, Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import VersionInfo
from mlproject.sections.registry import RegistrySection

PASSED_OVER = (Stage.REJECTED, Stage.ROLLED_BACK)


@dataclass(frozen=True)
class Promoted:
    """Where a registered version stands.

    Attributes:
        stage: Its stage.
        previous: The champion before it, where it is champion now; else None.
        waiting: Why it is not in production, in words; empty where it is.
    """

    stage: Stage
    previous: int | None
    waiting: str


def promote_registered(
    promoter: Promoter,
    version: VersionInfo,
    policy: RegistrySection,
    evidence: Mapping[str, str],
    why: str,
    *,
    compared_with: int | None,
) -> Promoted:
    """Takes a blessed version to staging, and on to production where nothing stands between.

    A version that a person rejected or rolled back stays where it is: the same weights, judged
    again, are no news.

    Args:
        promoter: The stages.
        version: The version.
        policy: The project's section `registry`.
        evidence: Name -> what its blessing stands on.
        why: The reason, for the ledger.
        compared_with: The champion that its evaluation compared it with, None for none.

    Raises:
        RegistryError: A guard says no, or another change came first.
    """
    name = version.name
    promoter.ledger.open(name)
    promoter.projection.set_policy(name, policy)
    promoter.settle(name)
    standing = promoter.standing(name)
    stage = standing.stage(version.version)
    ask = Ask(Stage.STAGING, why, PLATFORM, evidence)
    if stage in PASSED_OVER:
        last = [e for e in promoter.history(name) if version.version in e.versions][-1]
        told = f"is {stage}: {last.why} ({last.who})"
        again = f"benison promote {name}/{version.version} --to staging"
        return Promoted(stage, None, f"{told}; `{again}` takes it up again")
    if stage in (Stage.NONE, Stage.ARCHIVED):
        promoter.move(version, ask)
    elif stage is not Stage.STAGING:
        return Promoted(stage, _previous(promoter, version), "")
    production = Ask(Stage.PRODUCTION, why, PLATFORM, evidence, compared_with=compared_with)
    if policy.rollout == "required" and standing.champions:
        return Promoted(Stage.STAGING, None, "waits for a rollout: registry.rollout is required")
    if policy.approval == "required":
        request = promoter.request(version, production)
        until = request.deadline.isoformat(timespec="seconds") if request.deadline else ""
        approve = f"benison approve {name}/{version.version}"
        return Promoted(
            Stage.STAGING,
            None,
            f"waits for a person's approval until {until}: {approve}",
        )
    promoter.move(version, production)
    return Promoted(Stage.PRODUCTION, _previous(promoter, version), "")


def _previous(promoter: Promoter, version: VersionInfo) -> int | None:
    standing = promoter.standing(version.name)
    return standing.previous if standing.champion == version.version else None
