"""Aliases that were moved by hand: what is found, and what it would mean."""

from __future__ import annotations

import pytest

from mlproject.promotion.entries import Move
from mlproject.promotion.findings import alias_finding, out_of_band
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing

STANDING = Standing(
    {1: Stage.ARCHIVED, 2: Stage.PRODUCTION, 3: Stage.STAGING, 4: Stage.ARCHIVED}, (1, 2)
)
ORDERLY = {"champion": 2, "previous": 1, "challenger": 3}


def test_what_is_in_order_is_no_finding() -> None:
    assert alias_finding("taxi", STANDING, ORDERLY) is None
    assert alias_finding("taxi", STANDING, {**ORDERLY, "mine": 7}) is None
    assert alias_finding("taxi", Standing(), {}) is None


@pytest.mark.parametrize(
    ("aliases", "alias", "version", "refused"),
    [
        ({**ORDERLY, "champion": 3}, "champion", 3, False),
        ({"previous": 1, "challenger": 3}, "champion", None, True),
        ({**ORDERLY, "challenger": 2}, "challenger", 2, True),
        ({**ORDERLY, "previous": 3}, "previous", 3, True),
        ({"champion": 2, "challenger": 3}, "previous", None, True),
        # What is served matters most.
        ({"champion": 1, "previous": 2}, "champion", 1, False),
    ],
)
def test_an_alias_that_was_moved_is_found(
    aliases: dict[str, int], alias: str, version: int | None, refused: bool
) -> None:
    found = alias_finding("taxi", STANDING, aliases)
    assert found is not None
    assert (found.kind, found.alias, found.version) == ("moved", alias, version)
    assert bool(found.reasons) == refused
    assert found.alias_is_traffic == (alias == "champion")
    assert f"'{alias}' of 'taxi' was moved by hand" in found.text


def test_what_becomes_of_a_finding_is_said() -> None:
    found = alias_finding("taxi", STANDING, {**ORDERLY, "champion": 3})
    assert found is not None
    assert found.taken_over().kind == "taken_over"
    assert found.taken_over().text.endswith("2 -> 3: taken over")
    back = found.put_back(("not blessed", "no rollout"))
    assert (back.kind, back.reasons) == ("put_back", ("not blessed", "no rollout"))
    assert back.text.endswith("put back: not blessed; no rollout")


def test_a_promotion_by_hand_archives_the_champion() -> None:
    event, moves = out_of_band(3, STANDING)
    assert event == "out_of_band"
    assert moves == (
        Move(3, Stage.STAGING, Stage.PRODUCTION),
        Move(2, Stage.PRODUCTION, Stage.ARCHIVED),
    )


def test_an_earlier_champion_by_hand_is_a_rollback() -> None:
    _, moves = out_of_band(1, STANDING)
    assert Move(2, Stage.PRODUCTION, Stage.ROLLED_BACK) in moves


def test_a_first_champion_by_hand_replaces_nobody() -> None:
    _, moves = out_of_band(3, Standing({3: Stage.STAGING}))
    assert moves == (Move(3, Stage.STAGING, Stage.PRODUCTION),)
