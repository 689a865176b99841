"""Whatever is asked of the stages, in whatever order: what must hold after every call.

The machine runs on a stand-in for MLflow's client, often, and on MLflow itself, some times.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.mlproject.promotion.conftest import Model, memory_model

from mlproject.errors import RegistryError
from mlproject.promotion import settling as settling_module
from mlproject.promotion.asks import Ask, RefusedTransitionError
from mlproject.promotion.entries import Entry
from mlproject.promotion.stages import Stage, is_legal
from mlproject.promotion.standing import champion_at
from mlproject.registry import BLESSING_TAG, INFRA_TAG, Registry, VersionInfo
from mlproject.settings import Settings

STAGES = st.sampled_from(Stage)
ALIASES = st.sampled_from(["champion", "challenger", "previous"])
BLESSINGS = st.sampled_from(["BLESSED", "BLESSED", "BLESSED", "NOT_BLESSED", "UNKNOWN", ""])
INFRA = st.sampled_from(["INFRA_BLESSED"] * 4 + ["INFRA_NOT_BLESSED", ""])
# Stages that nobody is guarded from, and how an entry may jump over the table of stages.
JUMPS = ("adopted",)


class Promotion(RuleBasedStateMachine):
    """Somebody who tries everything."""

    versions: Bundle[VersionInfo] = Bundle("versions")
    make_model: ClassVar[Callable[[], Model]]

    @initialize(target=versions)
    def begin(self) -> Any:
        self.model = type(self).make_model()
        self.promoter = self.model.promoter
        self.known: tuple[Entry, ...] = ()
        self.seen: list[tuple[datetime, int | None]] = []
        self.refused = self.by_hand = False
        self.gone: set[int] = set()
        return multiple(*(self.model.version(b) for b in ("BLESSED", "BLESSED", "NOT_BLESSED")))

    @rule(target=versions, blessing=BLESSINGS, infra=INFRA)
    def register(self, blessing: str, infra: str) -> VersionInfo:
        return self.model.version(blessing, infra)

    @rule(rollout=st.booleans(), approval=st.booleans())
    def change_the_policy(self, rollout: bool, approval: bool) -> None:
        self.model.policy(
            rollout="required" if rollout else "skip",
            approval="required" if approval else "none",
            approval_timeout_s=3_600,
        )

    @rule(version=versions, after=STAGES, override=st.booleans(), stale=st.booleans())
    def move(self, version: VersionInfo, after: Stage, override: bool, stale: bool) -> None:
        if stale:  # what a caller once read of the version counts for nothing
            tags = {BLESSING_TAG: "BLESSED", INFRA_TAG: "INFRA_BLESSED"}
            version = VersionInfo(version.name, version.version, tags, None)
        ask = Ask(after, "why", "ann", override="an incident" if override else "")
        self.attempt(lambda: self.promoter.move(version, ask))

    @rule(version=versions)
    def take_it_as_far_as_it_goes(self, version: VersionInfo) -> None:
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            self.attempt(partial(self.promoter.move, version, Ask(stage, "on", "ann")))

    @rule(version=versions)
    def take_it_with_another_champion_in_mind(self, version: VersionInfo) -> None:
        self.promoter.settle(self.model.name)
        champion = self.model.standing().champion
        ask = Ask(Stage.PRODUCTION, "why", "ann", compared_with=999)
        self.attempt(lambda: self.promoter.move(version, ask))
        if version.version != champion:
            assert self.model.standing().champion != version.version

    @rule(to=st.none() | versions)
    def roll_back(self, to: VersionInfo | None) -> None:
        number = to.version if to else None
        self.attempt(lambda: self.promoter.rollback(self.model.name, "bad", number, "bob"))

    @rule(version=versions, override=st.booleans())
    def request(self, version: VersionInfo, override: bool) -> None:
        ask = Ask(Stage.PRODUCTION, "please", "ann", override="now" if override else "")
        self.attempt(lambda: self.promoter.request(version, ask))

    @rule(version=versions)
    def approve(self, version: VersionInfo) -> None:
        asked = version.version in self.model.standing().requests
        done = self.attempt(lambda: self.promoter.approve(version, "fine", "bob"))
        assert asked or not done

    @rule(version=versions)
    def reject(self, version: VersionInfo) -> None:
        self.attempt(lambda: self.promoter.move(version, Ask(Stage.REJECTED, "no", "bob")))

    @rule(version=versions, verdict=st.sampled_from(["PASSED", "FAILED", "UNKNOWN", ""]))
    def roll_out(self, version: VersionInfo, verdict: str) -> None:
        self.attempt(lambda: self.promoter.record_rollout(version, verdict, "run", "measured"))

    @rule(alias=ALIASES, version=versions)
    def move_an_alias_by_hand(self, alias: str, version: VersionInfo) -> None:
        if version.version not in self.gone:
            self.model.by_hand(alias, version.version)
            self.by_hand = True

    @rule(alias=ALIASES)
    def delete_an_alias_by_hand(self, alias: str) -> None:
        self.model.by_hand(alias, None)
        self.by_hand = True

    @rule(version=versions, chance=st.integers(0, 3))
    def delete_a_version_by_hand(self, version: VersionInfo, chance: int) -> None:
        if chance == 0 and version.version not in self.gone:
            self.model.client.delete_model_version(version.name, str(version.version))
            self.gone.add(version.version)
            self.by_hand = True

    @precondition(lambda self: self.by_hand)
    @rule()
    def settle(self) -> None:
        self.attempt(lambda: self.promoter.settle(self.model.name))

    @rule(seconds=st.sampled_from([-60.0, 0.0, 0.001, 900.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.model.clock.forward(seconds)  # a clock that is set back, too

    def attempt(self, call: Callable[[], object]) -> bool:
        """Does something that may be refused; a refusal changes nothing."""
        self.promoter.settle(self.model.name)  # what was done by hand is another matter
        before = self.model.state()
        self.by_hand = False
        try:
            call()
        except RegistryError as err:
            refused = isinstance(err, RefusedTransitionError)
        else:
            return True
        assert refused or self.gone  # of a version that is no more
        assert self.model.state() == before
        return False

    @invariant()
    def entries_stay_as_they_are(self) -> None:
        now = self.promoter.history(self.model.name)
        assert now[: len(self.known)] == self.known
        assert [entry.number for entry in now] == list(range(1, len(now) + 1))
        times = [entry.when for entry in now]
        assert times == sorted(times)
        self.known = now

    @invariant()
    def every_step_is_legal(self) -> None:
        stages: dict[int, Stage] = {}
        for entry in self.known:
            for move in entry.moves:
                assert stages.get(move.version, Stage.NONE) is move.before
                assert is_legal(move.before, move.after) or entry.event in JUMPS
                stages[move.version] = move.after
            assert [*stages.values()].count(Stage.PRODUCTION) <= 1

    @invariant()
    def what_was_observed_is_remembered(self) -> None:
        """By the time of the entries: the clock may be set back, an entry's time never is."""
        champion = self.model.standing().champion
        if self.known:
            self.seen = [seen for seen in self.seen if seen[0] < self.known[-1].when]
            self.seen.append((self.known[-1].when, champion))
        for when, was in self.seen:
            assert champion_at(self.known, when) == was

    @invariant()
    def no_unblessed_version_is_served(self) -> None:
        blessings = {
            v.version: v.tags.get(BLESSING_TAG)
            for v in self.promoter.registry.versions(self.model.name)
        }
        for version, stage in self.model.standing().stages.items():
            guarded = stage in (Stage.STAGING, Stage.SHADOW, Stage.CANARY, Stage.PRODUCTION)
            assert not guarded or blessings.get(version, "BLESSED") == "BLESSED"
        if not self.by_hand and self.known:
            champion = self.model.aliases().get("champion")
            assert champion is None or blessings[champion] == "BLESSED"

    @invariant()
    def mlflow_shows_the_ledger(self) -> None:
        if not self.by_hand and self.known:
            there = {v.version for v in self.promoter.registry.versions(self.model.name)}
            self.model.check(self.model.standing().among(there))


def quick(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize="CI" in os.environ,
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Promotion]:
    monkeypatch.setattr(settling_module, "LOOK_AGAIN_S", 0.0)
    return type("Machine", (Promotion,), {})


def test_whatever_is_asked_in_whatever_order(
    machine: type[Promotion], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.make_model = staticmethod(lambda: memory_model(monkeypatch))
    run_state_machine_as_test(machine, settings=quick(60, 50))


@pytest.mark.slow
def test_the_same_in_mlflow(
    machine: type[Promotion],
    sqlite_settings: Settings,
    registry: Registry,
) -> None:
    numbers: Iterator[int] = itertools.count(1)

    def make_model() -> Model:
        return Model(sqlite_settings, f"machine-{next(numbers)}", registry)

    machine.make_model = staticmethod(make_model)
    run_state_machine_as_test(machine, settings=quick(4, 25))
