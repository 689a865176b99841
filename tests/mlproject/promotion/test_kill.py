"""A process that is killed at a write: nothing has happened, or the next call completes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from tests.mlproject.promotion.conftest import Model
from tests.mlproject.promotion.processes import Call, die_at

from mlproject.promotion.asks import Ask
from mlproject.promotion.stages import Stage
from mlproject.registry.ledger_run import LEDGER_TAG

STAGING, PRODUCTION = Stage.STAGING, Stage.PRODUCTION


def first_move(model: Model) -> Call:
    version = model.version()
    return ("move", model.name, version.version, "staging")


def promotion(model: Model) -> Call:
    model.champion()
    model.policy(mirror_stages=True)
    version = model.version()
    model.move(version, STAGING)
    return ("move", model.name, version.version, "production")


def rollback(model: Model) -> Call:
    model.champion()
    model.champion()
    return ("rollback", model.name)


def approval(model: Model) -> Call:
    version = model.version()
    model.policy(approval="required", approval_timeout_s=10 * 365 * 86_400.0)
    model.move(version, STAGING)
    model.promoter.request(version, Ask(PRODUCTION, "better", "ann"))
    return ("approve", model.name, version.version)


def adoption(model: Model) -> Call:
    version = model.version(run_id=model.client.create_run("0").info.run_id)
    model.by_hand("champion", version.version)
    return ("settle", model.name)


def put_back(model: Model) -> Call:
    model.champion()
    model.by_hand("champion", model.version("NOT_BLESSED").version)
    return ("settle", model.name)


def take_over(model: Model) -> Call:
    model.champion()
    version = model.version()
    model.move(version, STAGING)
    model.by_hand("champion", version.version)
    return ("settle", model.name)


def expiry(model: Model) -> Call:
    version = model.version()
    model.policy(approval="required", approval_timeout_s=1.0)
    model.move(version, STAGING)
    model.promoter.request(version, Ask(PRODUCTION, "better", "ann"))
    return ("settle", model.name)


# (what is done, entries that it writes)
CALLS = (first_move, promotion, rollback, approval, adoption, put_back, take_over, expiry)


def kill_at_every_write(begin: Callable[[Model], Call], make_model: Callable[[], Model]) -> int:
    """Kills a call before and after each of its writes; how many writes it has."""
    for write in itertools.count(1):
        for after in (False, True):
            model = make_model()
            call = begin(model)
            entries = len(model.promoter.history(model.name))
            died = die_at(model.settings, call, write, after=after)
            written = len(model.promoter.history(model.name)) - entries
            assert written in (0, 1)
            if not died:
                assert written == 1
                model.check()
                return write - 1
            # Another process looks: what was written is shown, what was not is as it was.
            assert not die_at(model.settings, ("settle", model.name), 999, after=False)
            settled = model.promoter.history(model.name)
            assert len(settled) - entries in (written, 1)
            if settled:
                model.check()
            if not written and call[0] != "settle":
                assert len(settled) == entries
                assert not die_at(model.settings, call, 999, after=False)
            history = model.promoter.history(model.name)
            assert len(history) == entries + 1
            model.check()
            if call[0] != "rollback":  # asked again, nothing more comes of it
                assert model.promoter.settle(model.name) == ()
                assert model.promoter.history(model.name) == history
            assert LEDGER_TAG in model.tags()
    raise AssertionError


@pytest.fixture
def make_model(model: Model, named_model: Callable[[str], Model]) -> Callable[[], Model]:
    numbers = itertools.count(1)
    return lambda: named_model(f"{model.name}-{next(numbers)}")


def test_a_promotion_that_is_killed_on_either_side_of_its_commit(
    make_model: Callable[[], Model],
) -> None:
    """The entry is a promotion's first write; all that follows shows it."""
    for write, after, entries in ((1, False, 0), (1, True, 1), (3, True, 1)):
        model = make_model()
        champion, version = model.champion(), model.version()
        model.move(version, STAGING)
        before = model.state()
        call = ("move", model.name, version.version, "production")
        assert die_at(model.settings, call, write, after=after)
        if entries == 0:
            assert model.state() == before
        assert not die_at(model.settings, ("settle", model.name), 999, after=False)
        assert model.check().champion == (version if entries else champion).version


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("begin", CALLS)
def test_killed_at_every_write(
    begin: Callable[[Model], Call], make_model: Callable[[], Model]
) -> None:
    assert kill_at_every_write(begin, make_model) >= 3
