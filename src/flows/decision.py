"""A person's decision on a version that waits: carried out at once, however it was given."""

from __future__ import annotations

from dataclasses import dataclass

from mlproject.promotion.asks import Ask
from mlproject.promotion.entries import Entry
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import VersionInfo
from mlproject.registry.ledger import LedgerConflictError

TRIES = 3  # another entry may be written between the reading and the writing of ours


@dataclass(frozen=True)
class Decision:
    """What a person decided.

    Attributes:
        approve: Whether the version goes to production; it is rejected otherwise.
        who: Their name.
        reason: Why.
    """

    approve: bool
    who: str
    reason: str


def decide(promoter: Promoter, version: VersionInfo, decision: Decision) -> Entry:
    """Approves or rejects a version.

    Returns:
        The ledger's entry.

    Raises:
        RefusedTransitionError: It does not wait for an approval, or may not be rejected.
        LedgerConflictError: Others write to the ledger without an end.
    """
    for _ in range(TRIES - 1):
        try:
            return _once(promoter, version, decision)
        except LedgerConflictError:
            continue
    return _once(promoter, version, decision)


def _once(promoter: Promoter, version: VersionInfo, decision: Decision) -> Entry:
    if decision.approve:
        return promoter.approve(version, decision.reason, decision.who)
    request = promoter.standing(version.name).requests.get(version.version)
    evidence = {"approval": f"refused by {decision.who}: {decision.reason}"}
    if request is not None:
        evidence["request"] = str(request.number)
    ask = Ask(Stage.REJECTED, decision.reason, decision.who, evidence)
    return promoter.move(version, ask)


def open_request(promoter: Promoter, name: str, version: int, number: int) -> Entry | None:
    """The request of that number, while nobody has decided on it."""
    request = promoter.standing(name).requests.get(version)
    return request if request is not None and request.number == number else None


def what_became_of(promoter: Promoter, name: str, version: int, number: int) -> Entry | None:
    """The entry that ended a request, or None where none did."""
    for entry in promoter.history(name):
        if entry.number > number and any(move.version == version for move in entry.moves):
            return entry
    return None


def stage_after(entry: Entry, version: int) -> Stage:
    """The stage that an entry took a version to."""
    return next((m.after for m in entry.moves if m.version == version), Stage.NONE)


def in_words(name: str, version: int, entry: Entry) -> str:
    """What an entry did to a version."""
    after = stage_after(entry, version)
    return f"{name}/{version} is {after}: {entry.who}: {entry.why} (entry {entry.number})"
