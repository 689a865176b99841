"""What a ledger adds up to: each version's stage, the champions so far, what waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlproject.promotion.entries import Entry
from mlproject.promotion.stages import WAITING, Stage


@dataclass(frozen=True)
class Standing:
    """Where the versions of a model stand.

    Attributes:
        stages: Version -> its stage; versions without an entry are left out.
        champions: The versions that are or were in production and can be gone back to, oldest
            first.
        requests: Version -> the open request for a person's approval.
        rollouts: Version -> the entry of its last rollout.
        entries: How many entries it is made of.
    """

    stages: Mapping[int, Stage] = field(default_factory=dict)
    champions: tuple[int, ...] = ()
    requests: Mapping[int, Entry] = field(default_factory=dict)
    rollouts: Mapping[int, Entry] = field(default_factory=dict)
    entries: int = 0

    def stage(self, version: int) -> Stage:
        """The stage of a version."""
        return self.stages.get(version, Stage.NONE)

    @property
    def champion(self) -> int | None:
        """The version in production."""
        found = [version for version, s in self.stages.items() if s is Stage.PRODUCTION]
        return found[0] if found else None

    @property
    def previous(self) -> int | None:
        """The version that a rollback goes back to."""
        before = [version for version in self.champions if version != self.champion]
        return before[-1] if before else None

    @property
    def challenger(self) -> int | None:
        """The version nearest to production, the newest of these."""
        for stage in WAITING:
            found = [version for version, s in self.stages.items() if s is stage]
            if found:
                return max(found)
        return None

    def among(self, versions: Iterable[int]) -> Standing:
        """The standing of those versions that there are: MLflow lets people delete them."""
        known = set(versions)
        return replace(
            self,
            stages={v: stage for v, stage in self.stages.items() if v in known},
            champions=tuple(v for v in self.champions if v in known),
            requests={v: entry for v, entry in self.requests.items() if v in known},
            rollouts={v: entry for v, entry in self.rollouts.items() if v in known},
        )


def add_up(entries: Iterable[Entry], until: datetime | None = None) -> Standing:
    """The standing after some entries.

    Args:
        entries: In their order.
        until: Only those up to this time.
    """
    stages: dict[int, Stage] = {}
    champions: list[int] = []
    requests: dict[int, Entry] = {}
    rollouts: dict[int, Entry] = {}
    count = 0
    for entry in entries:
        if until is not None and entry.when > until:
            break
        count += 1
        if entry.event == "requested":
            requests[entry.version] = entry
        if entry.event == "rollout":
            rollouts[entry.version] = entry
        for move in entry.moves:
            stages[move.version] = move.after
            requests.pop(move.version, None)
            if move.after is Stage.STAGING:
                rollouts.pop(move.version, None)  # judged anew: an earlier rollout says nothing
            champions = _champions(champions, move.version, move.after)
    return Standing(stages, tuple(champions), requests, rollouts, count)


def _champions(champions: list[int], version: int, after: Stage) -> list[int]:
    if after is Stage.PRODUCTION:
        if version in champions:  # gone back to: what came after it is passed over
            return champions[: champions.index(version) + 1]
        return [*champions, version]
    if after is Stage.ARCHIVED:
        return champions
    # Rolled back, rejected, or judged anew.
    return [known for known in champions if known != version]


def champion_at(entries: Iterable[Entry], when: datetime) -> int | None:
    """The version that was in production at a time, or None."""
    return add_up(entries, when).champion
