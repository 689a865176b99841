"""The books of promotion: ledgers, what MLflow shows of them, and the versions they tell of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from mlproject.promotion.asks import Ask
from mlproject.promotion.entries import Entry, Event, Move
from mlproject.promotion.guards import Case
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing, add_up
from mlproject.registry import Registry, VersionInfo
from mlproject.registry.ledger import Ledger
from mlproject.registry.names import BLESSING_TAG, INFRA_TAG
from mlproject.registry.projection import Projection
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings


class Books:
    """Reads and writes the ledgers of the models behind the tracking URI.

    Args:
        settings: The platform's settings.
        registry: The model registry, where there is one already.
        clock: Gives the time now, in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.registry = registry or Registry(settings)
        self.ledger = Ledger(settings, self.registry.client)
        self.projection = Projection(settings, self.registry.client)
        self.now = clock

    def history(self, name: str) -> tuple[Entry, ...]:
        """The entries of a model's ledger, in their order."""
        return self.ledger.entries(name)

    def standing(self, name: str) -> Standing:
        """Where the versions of a model stand."""
        return add_up(self.history(name))

    def case(
        self,
        version: VersionInfo,
        before: Stage,
        ask: Ask,
        standing: Standing,
        policy: RegistrySection | None = None,
    ) -> Case:
        """What the guards are asked about a version; without a policy, for a rollback's sake."""
        rules = policy or RegistrySection()
        return Case(
            version=version.version,
            before=before,
            after=ask.after,
            blessing=version.tags.get(BLESSING_TAG, ""),
            infra=version.tags.get(INFRA_TAG, ""),
            rollout=standing.rollouts.get(version.version),
            rollout_required=rules.rollout == "required",
            approval_required=rules.approval == "required",
            approved=ask.approved,
            override=ask.override,
            first=not standing.champions,
            was_champion=version.version in standing.champions,
        )

    def append(
        self,
        version: VersionInfo,
        event: Event,
        moves: tuple[Move, ...],
        ask: Ask,
        entries: tuple[Entry, ...],
        evidence: Mapping[str, str],
        deadline: datetime | None = None,
    ) -> Entry:
        """Writes the entry, and shows what it changes."""
        name = version.name
        foreign = None if entries or event == "adopted" else self.registry.champion(name)
        after = self.write(name, event, version.version, moves, ask, entries, evidence, deadline)
        if foreign is not None:
            told = f"{name}/{foreign.version} is champion no longer: it was not blessed"
            self.projection.set_alert(name, f"{self.now().isoformat()}: {told}")
        self.show(name)
        return after[-1]

    def write(
        self,
        name: str,
        event: Event,
        version: int,
        moves: tuple[Move, ...],
        ask: Ask,
        entries: tuple[Entry, ...],
        evidence: Mapping[str, str],
        deadline: datetime | None = None,
    ) -> tuple[Entry, ...]:
        """Writes the entry that follows those it was decided on.

        Returns:
            All entries now.

        Raises:
            LedgerConflictError: Another change came first.
        """
        when = max([self.now(), *(entry.when for entry in entries[-1:])])
        entry = Entry(event, version, moves, ask.who, ask.why, when, evidence, deadline)
        return (*entries, self.ledger.append(name, entry, after=len(entries)))

    def show(self, name: str) -> None:
        """Makes MLflow show the ledger, and again where that grew meanwhile.

        Of two processes that show different entries the last one to end has seen the newest.
        """
        entries: tuple[Entry, ...] = ()
        while len(entries) < len(now := self.history(name)):
            entries = now
            self.projection.write(name, add_up(entries))

    def version(self, name: str, number: int) -> VersionInfo:
        """A version of a model.

        Raises:
            RegistryError: There is no such model or version; the closest is named.
        """
        found = self.registry.version(name, number)
        return found or self.registry.resolve(f"{name}/{number}")

    def versions(self, name: str) -> tuple[int, ...]:
        """The versions of a model.

        Raises:
            RegistryError: There is no such model, or it has no version; the closest is named.
        """
        found = tuple(v.version for v in self.registry.versions(name))
        return found or (self.registry.resolve(f"{name}/1").version,)
