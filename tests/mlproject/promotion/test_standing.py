"""What a ledger adds up to: stages, the champions that can be gone back to, what waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlproject.promotion.entries import Entry, Event, Move
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing, add_up, champion_at

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Change = tuple[int, Stage, Stage]


def ledger(*events: tuple[Event, int, tuple[Change, ...]]) -> list[Entry]:
    """Entries, an hour apart from noon."""
    return [
        Entry(event, version, tuple(Move(*m) for m in moves), "ann", "why", NOON + hours * HOUR)
        for hours, (event, version, moves) in enumerate(events)
    ]


HOUR = timedelta(hours=1)
NONE, STAGING, CANARY, SHADOW = Stage.NONE, Stage.STAGING, Stage.CANARY, Stage.SHADOW
PRODUCTION, ARCHIVED, BACK = Stage.PRODUCTION, Stage.ARCHIVED, Stage.ROLLED_BACK


def promoted(version: int, champion: int | None = None) -> tuple[Event, int, tuple[Change, ...]]:
    moves: tuple[Change, ...] = ((version, STAGING, PRODUCTION),)
    if champion is not None:
        moves += ((champion, PRODUCTION, ARCHIVED),)
    return "transition", version, moves


def back(champion: int, to: int) -> tuple[Event, int, tuple[Change, ...]]:
    return "rollback", to, ((champion, PRODUCTION, BACK), (to, ARCHIVED, PRODUCTION))


def test_nothing_stands_where_nothing_was_written() -> None:
    standing = add_up([])
    assert standing == Standing()
    assert (standing.champion, standing.previous, standing.challenger) == (None, None, None)
    assert standing.stage(7) is Stage.NONE


def test_the_champion_before_is_gone_back_to_and_the_one_left_is_not() -> None:
    entries = ledger(promoted(1), promoted(2, 1), promoted(3, 2))
    standing = add_up(entries)
    assert (standing.champion, standing.previous, standing.champions) == (3, 2, (1, 2, 3))
    standing = add_up([*entries, *ledger(back(3, 2))])
    assert (standing.champion, standing.previous, standing.champions) == (2, 1, (1, 2))
    assert standing.stage(3) is BACK
    standing = add_up([*entries, *ledger(back(3, 2), back(2, 1))])
    assert (standing.champion, standing.previous, standing.champions) == (1, None, (1,))


def test_going_back_two_passes_over_the_one_between() -> None:
    standing = add_up(ledger(promoted(1), promoted(2, 1), promoted(3, 2), back(3, 1)))
    assert (standing.champion, standing.champions) == (1, (1,))
    assert standing.stage(2) is ARCHIVED


def test_a_champion_that_is_judged_anew_is_not_gone_back_to() -> None:
    entries = ledger(promoted(1), promoted(2, 1), ("transition", 1, ((1, ARCHIVED, STAGING),)))
    standing = add_up(entries)
    assert (standing.previous, standing.challenger) == (None, 1)


def test_without_a_champion_the_last_one_is_previous() -> None:
    entries = ledger(promoted(1), ("transition", 1, ((1, PRODUCTION, ARCHIVED),)))
    standing = add_up(entries)
    assert (standing.champion, standing.previous, standing.champions) == (None, 1, (1,))


@pytest.mark.parametrize(
    ("stages", "challenger"),
    [
        ({1: STAGING, 2: STAGING}, 2),
        ({1: SHADOW, 2: STAGING}, 1),
        ({1: CANARY, 2: SHADOW, 3: STAGING}, 1),
        ({1: PRODUCTION, 2: ARCHIVED, 3: BACK, 4: Stage.REJECTED, 5: NONE}, None),
    ],
)
def test_the_challenger_is_nearest_to_production(
    stages: dict[int, Stage], challenger: int | None
) -> None:
    assert Standing(stages).challenger == challenger


def test_a_request_is_open_until_the_version_moves() -> None:
    asked: tuple[Event, int, tuple[Change, ...]] = ("requested", 2, ())
    entries = ledger(promoted(1), asked)
    assert add_up(entries).requests == {2: entries[1]}
    other = ledger(promoted(1), asked, ("transition", 3, ((3, NONE, STAGING),)))
    assert set(add_up(other).requests) == {2}
    answered = ledger(promoted(1), asked, promoted(2, 1))
    assert add_up(answered).requests == {}


def test_a_rollout_counts_until_the_version_is_judged_anew() -> None:
    rolled: tuple[Event, int, tuple[Change, ...]] = ("rollout", 2, ())
    entries = ledger(rolled, ("transition", 2, ((2, STAGING, CANARY),)))
    assert add_up(entries).rollouts == {2: entries[0]}
    anew = ledger(rolled, ("transition", 2, ((2, ARCHIVED, STAGING),)))
    assert add_up(anew).rollouts == {}


def test_who_was_champion_at_a_time() -> None:
    entries = ledger(promoted(1), promoted(2, 1), back(2, 1))
    moment = timedelta(milliseconds=1)
    assert champion_at(entries, NOON - moment) is None
    assert champion_at(entries, NOON) == 1  # the moment itself counts
    assert champion_at(entries, NOON + HOUR - moment) == 1
    assert champion_at(entries, NOON + HOUR) == 2
    assert champion_at(entries, NOON + 2 * HOUR) == 1
    assert champion_at(entries, NOON + 900 * HOUR) == 1


def test_versions_that_are_gone_stand_nowhere() -> None:
    entries = ledger(promoted(1), promoted(2, 1), promoted(3, 2), ("requested", 2, ()))
    there = add_up(entries).among([1, 3])
    assert (there.champion, there.previous, there.champions) == (3, 1, (1, 3))
    assert there.requests == {}
    assert there.entries == 4
