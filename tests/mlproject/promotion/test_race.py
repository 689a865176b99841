"""Two who change the stages at once: one comes first, and the other is told so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.mlproject.promotion.conftest import Model
from tests.mlproject.promotion.processes import at_once

from mlproject.promotion.stages import Stage

LOST = {"LedgerConflictError", "RefusedTransitionError"}
QUICK_ROUNDS, ROUNDS = 2, 12


def promote_two(model: Model) -> None:
    champion, *rivals = model.champion(), model.version(), model.version()
    for rival in rivals:
        model.move(rival, Stage.STAGING)
    calls = [("move", model.name, rival.version, "production") for rival in rivals]
    results = at_once(model.settings, calls)
    assert "done" in results
    assert set(results) <= {"done", *LOST}
    standing = model.check()
    won = {r.version for r, result in zip(rivals, results, strict=True) if result == "done"}
    assert standing.champion in won
    # Each that was told it won did win, one after the other.
    assert set(standing.champions) == {champion.version, *won}
    for rival in rivals:
        expected = {True: (Stage.PRODUCTION, Stage.ARCHIVED), False: (Stage.STAGING,)}
        assert standing.stage(rival.version) in expected[rival.version in won]


def promote_against_rollback(model: Model) -> None:
    first, second, third = model.champion(), model.champion(), model.version()
    model.move(third, Stage.STAGING)
    calls = [("move", model.name, third.version, "production"), ("rollback", model.name)]
    promoted, rolled_back = at_once(model.settings, calls)
    assert "done" in (promoted, rolled_back)
    standing = model.check()
    events = model.events()
    assert events.count("rollback") == (rolled_back == "done")
    if (promoted, rolled_back) == ("done", "done"):  # one after the other, in either order
        assert standing.champion in (third.version, second.version)
    elif promoted == "done":
        assert rolled_back in LOST
        assert (standing.champion, standing.previous) == (third.version, second.version)
    else:
        assert promoted in LOST
        assert standing.champion == first.version


def approve_against_reject(model: Model) -> None:
    version = model.version()
    model.move(version, Stage.STAGING)
    calls = [("move", model.name, version.version, stage) for stage in ("production", "rejected")]
    results = at_once(model.settings, calls)
    assert sorted(results)[1] == "done"
    assert sorted(results)[0] in LOST
    standing = model.check()
    assert standing.champion == (version.version if results[0] == "done" else None)


def settle_at_once(model: Model) -> None:
    model.champion()
    version = model.version()
    model.move(version, Stage.STAGING)
    model.by_hand("champion", version.version)
    results = at_once(model.settings, [("settle", model.name)] * 2)
    assert set(results) <= {"done", "LedgerConflictError"}
    assert model.check().champion == version.version
    assert model.events().count("out_of_band") == 1


def nobody_s_hand(model: Model) -> None:
    """While one promotes, another that settles takes no alias on its way for a hand's."""
    model.champion()
    version = model.version()
    model.move(version, Stage.STAGING)
    calls = [("move", model.name, version.version, "production"), ("settle", model.name)]
    assert at_once(model.settings, calls) == ["done", "done"]
    assert model.check().champion == version.version
    assert {"out_of_band", "put_back"}.isdisjoint(model.events())


RACES = (
    promote_two,
    promote_against_rollback,
    approve_against_reject,
    settle_at_once,
    nobody_s_hand,
)


def test_two_promotions_at_once(model: Model, named_model: Callable[[str], Model]) -> None:
    for number in range(QUICK_ROUNDS):
        promote_two(named_model(f"{model.name}-{number}"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("race", RACES)
def test_many_rounds(race: Callable[[Model], None], any_model: Model) -> None:
    for number in range(ROUNDS):
        name = f"{any_model.name}-{number}"
        race(Model(any_model.settings, name, any_model.promoter.registry))
