"""Settles a model: finishes what a killed process left, and decides on what was done by hand."""

from __future__ import annotations

import time

from mlproject.promotion.asks import PLATFORM, Ask
from mlproject.promotion.books import Books
from mlproject.promotion.entries import Entry, Move
from mlproject.promotion.findings import BY_HAND, Finding, alias_finding, out_of_band
from mlproject.promotion.guards import BLESSED, refusals
from mlproject.promotion.stages import Stage, is_legal, legal_words
from mlproject.promotion.standing import Standing, add_up
from mlproject.registry import VersionInfo
from mlproject.registry.names import BLESSING_TAG, CHAMPION_ALIAS, PREVIOUS_ALIAS
from mlproject.registry.projection import Shown
from mlproject.sections.registry import RegistrySection

LOOK_AGAIN_S = 0.5


def settle(books: Books, name: str) -> tuple[Finding, ...]:
    """Finishes what a killed process left, and decides on what was done by hand.

    An alias that was moved in MLflow to a version that may have it is written down as out of
    band; any other is put back. Requests whose time is over become rejections.

    Returns:
        What was found, in order; empty where all is as the ledger says.
    """
    entries = books.history(name)
    if not entries:
        return _adopt(books, name)
    shown = books.projection.read(name)
    if shown.projected != len(entries):
        books.show(name)
        entries, shown = books.history(name), books.projection.read(name)
    there = {version.version for version in books.registry.versions(name)}
    found = _deleted(books, name, entries, there) or _by_hand(books, name, entries, shown, there)
    return (*found, *_expire(books, name, books.history(name) if found else entries))


def _by_hand(
    books: Books, name: str, entries: tuple[Entry, ...], shown: Shown, there: set[int]
) -> list[Finding]:
    """Decides on an alias that is not where the ledger says."""
    seen = alias_finding(name, add_up(entries).among(there), shown.aliases)
    if seen is None:
        return []
    # What another process shows at this moment must not pass for somebody's hand.
    time.sleep(LOOK_AGAIN_S)
    entries, shown = books.history(name), books.projection.read(name)
    standing = add_up(entries)
    if alias_finding(name, standing.among(there), shown.aliases) != seen:
        return []
    return [_decide(books, name, seen, entries, standing, shown.policy)]


def _deleted(books: Books, name: str, entries: tuple[Entry, ...], there: set[int]) -> list[Finding]:
    """Takes a champion that was deleted in MLflow out of production."""
    champion = add_up(entries).champion
    if champion is None or champion in there:
        return []
    text = f"{name}/{champion}, the champion, was deleted in MLflow"
    moves = (Move(champion, Stage.PRODUCTION, Stage.ROLLED_BACK),)
    ask = Ask(Stage.ROLLED_BACK, text, BY_HAND)
    books.write(name, "out_of_band", champion, moves, ask, entries, {"deleted": str(champion)})
    books.projection.set_alert(name, f"{books.now().isoformat()}: {text}")
    books.show(name)
    return [Finding("taken_over", champion, text, CHAMPION_ALIAS)]


def _adopt(books: Books, name: str) -> tuple[Finding, ...]:
    """Writes down a blessed champion that was there before the ledger; leaves others alone."""
    champion = books.registry.champion(name)
    if champion is None or champion.tags.get(BLESSING_TAG) != BLESSED:
        return ()
    text = f"{name}/{champion.version} was champion before the ledger"
    moves = [Move(champion.version, Stage.NONE, Stage.PRODUCTION)]
    earlier = books.projection.read(name).aliases.get(PREVIOUS_ALIAS, champion.version)
    if earlier != champion.version:  # what a rollback goes back to
        moves.insert(0, Move(earlier, Stage.NONE, Stage.PRODUCTION))
        moves.insert(1, Move(earlier, Stage.PRODUCTION, Stage.ARCHIVED))
    ask = Ask(Stage.PRODUCTION, text, PLATFORM)
    books.append(champion, "adopted", tuple(moves), ask, (), {})
    return (Finding("taken_over", champion.version, text, CHAMPION_ALIAS, who=PLATFORM),)


def _decide(
    books: Books,
    name: str,
    finding: Finding,
    entries: tuple[Entry, ...],
    standing: Standing,
    policy: RegistrySection,
) -> Finding:
    """Takes an alias that was moved by hand over, or puts it back."""
    version = books.registry.version(name, finding.version) if finding.version else None
    reasons = finding.reasons
    if version is not None and not reasons:
        before = standing.stage(version.version)
        ask = Ask(Stage.PRODUCTION, finding.text, finding.who)
        reasons = refusals(books.case(version, before, ask, standing, policy))
        if not is_legal(before, Stage.PRODUCTION):
            reasons = (f"from {before} it may only go to {legal_words(before)}", *reasons)
    if version is not None and not reasons:
        event, moves = out_of_band(version.version, standing)
        ask = Ask(Stage.PRODUCTION, finding.text, finding.who)
        books.append(version, event, moves, ask, entries, {"alias": finding.alias})
        return finding.taken_over()
    put_back = finding.put_back(reasons)
    if finding.alias_is_traffic:
        about = version or _version_or_none(books, name, standing)
        if about is not None:
            evidence = {"alias": finding.alias, "moved_to": str(finding.version or "nothing")}
            ask = Ask(Stage.NONE, put_back.text, finding.who)
            books.write(name, "put_back", about.version, (), ask, entries, evidence)
        books.projection.set_alert(name, f"{books.now().isoformat()}: {put_back.text}")
    books.show(name)
    return put_back


def _version_or_none(books: Books, name: str, standing: Standing) -> VersionInfo | None:
    champion = standing.champion
    return books.registry.version(name, champion) if champion else None


def _expire(books: Books, name: str, entries: tuple[Entry, ...]) -> list[Finding]:
    found = []
    now = books.now()
    for version, request in add_up(entries).requests.items():
        if request.deadline is None or request.deadline > now:
            continue
        why = f"nobody approved it until {request.deadline.isoformat(timespec='seconds')}"
        moves = (Move(version, add_up(entries).stage(version), Stage.REJECTED),)
        evidence = {"request": str(request.number)}
        ask = Ask(Stage.REJECTED, why, PLATFORM)
        entries = books.write(name, "transition", version, moves, ask, entries, evidence)
        found.append(Finding("expired", version, f"{name}/{version}: {why}", who=PLATFORM))
    if found:
        books.show(name)
    return found
