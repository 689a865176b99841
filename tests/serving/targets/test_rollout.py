"""The roll-out against a server that obeys at once, and that refuses what a real one refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlproject.errors import ServingError
from mlproject.sections import DeploymentSection
from serving.model_config import ModelConfig
from serving.targets import rollout
from serving.targets.base import DeployedVersion, Deployment
from serving.targets.rollout import VersionState, roll_out, specific

BASE = "/models/taxi"


class Server:
    """Loads what a configuration names; broken versions end with an error.

    Attributes:
        applied: Every configuration that was put in force.
        broken: Versions that do not load.
        deaf: Versions that refuse every row.
        stuck: Versions that never finish to load.
        keeps_labels: Whether it ignores labels.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.broken: set[int] = set()
        self.deaf: set[int] = set()
        self.stuck: set[int] = set()
        self.keeps_labels = False
        self.applied: list[ModelConfig] = []
        self.config = config
        self.seen: dict[int, VersionState] = {}
        self._load()

    def apply(self, config: ModelConfig) -> None:
        for label, number in config.labels.items():
            assert self.seen.get(number) == VersionState("AVAILABLE"), f"{label} -> {number}"
        served = [n for n, state in self.seen.items() if state.state == "AVAILABLE"]
        assert set(served) & set(config.policy.versions), "nothing answers in between"
        self.applied.append(config)
        kept = {"labels": self.config.labels} if self.keeps_labels else {}
        self.config = replace(config, **kept)
        self._load()

    def states(self, model: str) -> Mapping[int, VersionState]:
        assert model == "taxi"
        return dict(self.seen)

    def default_version(self, model: str) -> int | None:
        return self.config.default_version

    def label_version(self, model: str, label: str) -> int | None:
        return self.config.labels.get(label)

    def ask(self, model: str, version: int, row: Mapping[str, object]) -> None:
        assert row == {"miles": 1.0}
        if version in self.deaf:
            raise ServingError("Refused", received="status 400")

    def _load(self) -> None:
        for number in self.seen:
            if number not in self.config.policy.versions:
                self.seen[number] = VersionState("END", self.seen[number].error)
        for number in self.config.policy.versions:
            if number in self.broken:
                self.seen[number] = VersionState("END", "bad graph")
            else:
                state = "LOADING" if number in self.stuck else "AVAILABLE"
                self.seen[number] = VersionState(state)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait is worth its time here."""
    monkeypatch.setattr(rollout, "OLD_NEWS_S", 0.1)
    monkeypatch.setattr(rollout, "LABELS_WITHIN_S", 0.2)
    monkeypatch.setattr(rollout, "POLL_S", 0.01)


def config(default: int, *versions: int, **labels: int) -> ModelConfig:
    return ModelConfig("taxi", BASE, specific((default, *versions)), labels, default)


def deployment(default: int, *others: int, **labels: int) -> Deployment:
    row = {"miles": 1.0}
    numbers = sorted({default, *others, *labels.values()})
    versions = tuple(DeployedVersion(n, Path(BASE) / str(n), "", row) for n in numbers)
    return Deployment("taxi", versions, default, labels, DeploymentSection(start_timeout_s=0.3))


def run(server: Server, wanted: Deployment) -> tuple[ModelConfig, tuple[str, ...]]:
    return roll_out(server, wanted, server.config, lambda line: None)


def test_versions_are_loaded_before_labels_move_and_let_go_after() -> None:
    server = Server(config(1, stable=1))
    served, refused = run(server, deployment(2, stable=2))
    together, moved, last = server.applied
    assert (together.policy.versions, dict(together.labels)) == ((1, 2), {"stable": 1})
    assert together.default_version == 1
    assert (moved.policy.versions, dict(moved.labels)) == ((1, 2), {"stable": 2})
    assert (last.policy.versions, last.default_version) == ((2,), 2)
    assert (served, refused) == (last, ())


def test_a_rollback_to_what_is_loaded_moves_labels_alone() -> None:
    server = Server(config(2, 1, stable=2))
    run(server, deployment(1, 2, stable=1))
    assert {c.policy.versions for c in server.applied} == {(1, 2)}
    assert server.config.default_version == 1
    assert server.config.labels == {"stable": 1}


def test_what_is_as_wanted_is_written_again_and_changes_nothing() -> None:
    server = Server(config(1, stable=1))
    run(server, deployment(1, stable=1))
    assert server.applied == [config(1, stable=1)]


@pytest.mark.parametrize("how", ["broken", "deaf", "stuck"])
def test_a_bad_default_version_leaves_what_was(how: str) -> None:
    before = config(1, stable=1)
    server = Server(before)
    getattr(server, how).add(2)
    with pytest.raises(ServingError, match="Version 2 of 'taxi' does not come to answer") as caught:
        run(server, deployment(2, 1, stable=2))
    assert server.config == before
    assert server.seen[1].state == "AVAILABLE"
    why = {"broken": "bad graph", "deaf": "status 400", "stuck": "within 0.3 s"}[how]
    assert why in str(caught.value.received)


@pytest.mark.parametrize("how", ["broken", "deaf", "stuck"])
def test_a_bad_challenger_is_left_out_and_the_champion_goes_on(how: str) -> None:
    server = Server(config(1, stable=1))
    getattr(server, how).add(3)
    served, refused = run(server, deployment(2, 1, stable=2, canary=3))
    assert served.policy.versions == (1, 2)
    assert served.labels == {"stable": 2}
    assert [reason[:10] for reason in refused] == ["version 3:"]
    assert server.config == served


def test_a_failure_of_an_earlier_attempt_is_no_news() -> None:
    server = Server(config(1, stable=1))
    server.broken.add(2)
    with pytest.raises(ServingError):
        run(server, deployment(2, stable=2))
    assert server.seen[2] == VersionState("END", "bad graph")
    server.broken.clear()
    late = []

    def slow(config: ModelConfig) -> None:
        """A server that reads its file a little later."""
        late.append(config)
        if len(late) > 1:
            Server.apply(server, config)

    states = server.states

    def read(model: str) -> Mapping[int, VersionState]:
        if len(late) == 1:
            now = states(model)
            late.append(late[0])
            Server.apply(server, late[0])
            return now
        return states(model)

    server.apply, server.states = slow, read  # type: ignore[method-assign]
    served, _ = run(server, deployment(2, stable=2))
    assert served.default_version == 2


def test_a_server_that_does_not_move_labels_is_told() -> None:
    server = Server(config(1, stable=1))
    server.keeps_labels = True
    with pytest.raises(ServingError, match="does not take over the labels"):
        run(server, deployment(2, stable=2))


def test_a_trial_by_its_number_has_no_label() -> None:
    server = Server(config(1, stable=1))
    served, _ = run(server, deployment(2))
    assert (served.labels, served.default_version) == ({}, 2)


def test_a_server_that_dies_of_a_version_is_told_by_its_death() -> None:
    class Dying(Server):
        def apply(self, config: ModelConfig) -> None:
            if self.applied:
                raise ServingError("No answer")
            super().apply(config)

        def ask(self, model: str, version: int, row: Mapping[str, object]) -> None:
            raise ServingError("It died", received="out of memory")

    server = Dying(config(1))
    with pytest.raises(ServingError, match="out of memory"):
        roll_out(server, deployment(2, 1), config(1), print)
