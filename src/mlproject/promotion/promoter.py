"""Changes the stages of versions: one entry in the ledger each, and then what MLflow shows of it.

The entry is the one commit point: what dies before it has done nothing, what dies after it is shown
in full by the next call. Aliases that were moved by hand are settled before anything is decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mlproject.errors import RegistryError
from mlproject.promotion.entries import Entry, Event, Move
from mlproject.promotion.guards import BLESSED, PASSED, Case, refusals
from mlproject.promotion.settle import BY_HAND, Finding, alias_finding, out_of_band
from mlproject.promotion.stages import WAITING, Stage, is_legal, legal_words
from mlproject.promotion.standing import Standing, add_up
from mlproject.registry import Registry, VersionInfo
from mlproject.registry.ledger import Ledger
from mlproject.registry.names import BLESSING_TAG, CHAMPION_ALIAS, INFRA_TAG, PREVIOUS_ALIAS
from mlproject.registry.projection import Projection, Shown
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings
from mlproject.user import user_name

ANY_CHAMPION = -1
PLATFORM = "benison"
LOOK_AGAIN_S = 0.5
COMPARED_WITH = "compared_with"  # evidence of a request: the champion then, or `none`


class RefusedTransitionError(RegistryError):
    """A version may not enter a stage: an illegal step, or a guard that says no."""


@dataclass(frozen=True)
class Ask:
    """What somebody wants.

    Attributes:
        after: The stage.
        why: The reason.
        who: The user; the one of this process by default.
        evidence: Name -> what it stands on.
        override: Why evidence that is missing for production is done without; empty for none.
        approved: Whether a person said yes.
        compared_with: The champion that the version's evaluation compared it with, None for none;
            any champion may be replaced if left out.
    """

    after: Stage
    why: str
    who: str = field(default_factory=user_name)
    evidence: Mapping[str, str] = field(default_factory=dict)
    override: str = ""
    approved: bool = False
    compared_with: int | None = ANY_CHAMPION


class Promoter:
    """The stages of the models behind the tracking URI.

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
        self._clock = clock

    def history(self, name: str) -> tuple[Entry, ...]:
        """The entries of a model's ledger, in their order."""
        return self.ledger.entries(name)

    def standing(self, name: str) -> Standing:
        """Where the versions of a model stand."""
        return add_up(self.history(name))

    def move(self, version: VersionInfo, ask: Ask) -> Entry:
        """Takes a version to another stage; where it is there already, nothing is done.

        Args:
            version: The version.
            ask: What is wanted, and why.

        Returns:
            The entry, or the last one where nothing was to be done.

        Raises:
            RefusedTransitionError: The step is illegal, a guard says no, or the champion is not
                the one that the version was compared with.
            LedgerConflictError: Another change came first.
            RegistryError: There is no such model or version.
        """
        version = self._settled(version)
        entries = self.history(version.name)
        standing, policy = add_up(entries), self.projection.read(version.name).policy
        before = standing.stage(version.version)
        if before is ask.after and entries:
            return entries[-1]
        self._check(version, before, ask, standing, policy)
        moves = [Move(version.version, before, ask.after)]
        champion = standing.champion
        if ask.after is Stage.PRODUCTION and champion is not None:
            moves.append(Move(champion, Stage.PRODUCTION, Stage.ARCHIVED))
        evidence = dict(ask.evidence)
        if ask.override:
            evidence["override"] = ask.override
        return self._append(version, "transition", tuple(moves), ask, entries, evidence)

    def rollback(self, name: str, why: str, to: int | None = None, who: str = "") -> Entry:
        """Takes the champion out of production, and an earlier champion back.

        Args:
            name: The registered model.
            why: The reason.
            to: The earlier champion; the one before by default.
            who: The user; the one of this process by default.

        Raises:
            RefusedTransitionError: There is nothing to go back to, or not to that version.
            RegistryError: There is no such model.
        """
        there = self._versions(name)
        self.settle(name)
        entries = self.history(name)
        standing = add_up(entries).among(there)
        champion = standing.champion
        target = standing.previous if to is None else to
        known = [v for v in standing.champions if v != champion]
        if champion is None or target is None or target not in known:
            raise RefusedTransitionError(
                f"Rolling '{name}' back failed",
                received=f"champion {champion or 'none'}"
                + (f", and version {to} to go back to" if to else ", and none before it"),
                expected="one of the earlier champions: " + (", ".join(map(str, known)) or "none"),
                next_step=f"see `benison history {name}`",
            )
        version = self._version(name, target)
        case = self._case(version, Stage.ARCHIVED, Ask(Stage.PRODUCTION, why), standing)
        self._refuse(version, case)
        moves = (
            Move(champion, Stage.PRODUCTION, Stage.ROLLED_BACK),
            Move(target, standing.stage(target), Stage.PRODUCTION),
        )
        ask = Ask(Stage.PRODUCTION, why, who or user_name())
        return self._append(version, "rollback", moves, ask, entries, {"from": str(champion)})

    def request(self, version: VersionInfo, ask: Ask) -> Entry:
        """Asks a person to approve a version for production, until the policy's time is over.

        Raises:
            RefusedTransitionError: More than the approval is missing.
        """
        version = self._settled(version)
        entries = self.history(version.name)
        standing, policy = add_up(entries), self.projection.read(version.name).policy
        open_request = standing.requests.get(version.version)
        if open_request is not None:
            return open_request
        before = standing.stage(version.version)
        approved = replace(ask, after=Stage.PRODUCTION, approved=True)
        self._check(version, before, approved, standing, policy)
        if not is_legal(before, Stage.REJECTED):  # nobody could say no
            raise RefusedTransitionError(
                f"Asking for an approval of version {version.version} of '{version.name}' failed",
                received=f"stage {before}",
                expected="a version on its way to production: "
                + ", ".join(stage for stage in Stage if stage in WAITING),
                next_step=f"`benison promote {version.name}/{version.version} --to staging`",
            )
        evidence = dict(ask.evidence)
        if ask.override:
            evidence["override"] = ask.override
        if ask.compared_with != ANY_CHAMPION:
            evidence[COMPARED_WITH] = str(ask.compared_with or "none")
        deadline = self._clock() + timedelta(seconds=policy.approval_timeout_s)
        return self._append(version, "requested", (), ask, entries, evidence, deadline)

    def approve(self, version: VersionInfo, why: str, who: str = "") -> Entry:
        """Approves a version: it goes to production.

        Raises:
            RefusedTransitionError: Nobody asked for it, the time is over, or another guard says no.
        """
        version = self._settled(version)
        request = self.standing(version.name).requests.get(version.version)
        if request is None:
            raise RefusedTransitionError(
                f"Approving version {version.version} of '{version.name}' failed",
                received="no open request for it",
                expected="a version that waits for approval",
                next_step=f"see `benison history {version.name}`",
            )
        who = who or user_name()
        evidence = {**request.evidence, "approval": f"{who}: {why}", "request": str(request.number)}
        override, then = (request.evidence.get(n, "") for n in ("override", COMPARED_WITH))
        compared_with = (
            {"": ANY_CHAMPION, "none": None}.get(then) if not then.isdecimal() else int(then)
        )
        ask = Ask(Stage.PRODUCTION, why, who, evidence, override, True, compared_with)
        return self.move(version, ask)

    def record_rollout(
        self, version: VersionInfo, verdict: str, run_id: str, why: str, who: str = PLATFORM
    ) -> Entry:
        """Writes down how a rollout ended; a failed one rejects the version.

        Args:
            version: The version that was rolled out.
            verdict: `PASSED`, or what else came of it.
            run_id: The MLflow run of the rollout.
            why: The reason of the verdict.
            who: Who rolled it out.
        """
        version = self._settled(version)
        entries = self.history(version.name)
        before = add_up(entries).stage(version.version)
        moves: tuple[Move, ...] = ()
        if verdict != PASSED and is_legal(before, Stage.REJECTED):
            moves = (Move(version.version, before, Stage.REJECTED),)
        evidence = {"verdict": verdict, "rollout_run": run_id}
        return self._append(version, "rollout", moves, Ask(before, why, who), entries, evidence)

    def settle(self, name: str) -> tuple[Finding, ...]:
        """Finishes what a killed process left, and decides on what was done by hand.

        An alias that was moved in MLflow to a version that may have it is written down as out of
        band; any other is put back. Requests whose time is over become rejections.

        Returns:
            What was found, in order; empty where all is as the ledger says.
        """
        entries = self.history(name)
        if not entries:
            return self._adopt(name)
        shown = self.projection.read(name)
        if shown.projected != len(entries):
            self._show(name)
            entries, shown = self.history(name), self.projection.read(name)
        there = {version.version for version in self.registry.versions(name)}
        found = self._deleted(name, entries, there) or self._by_hand(name, entries, shown, there)
        return (*found, *self._expire(name, self.history(name) if found else entries))

    def _by_hand(
        self, name: str, entries: tuple[Entry, ...], shown: Shown, there: set[int]
    ) -> list[Finding]:
        """Decides on an alias that is not where the ledger says."""
        seen = alias_finding(name, add_up(entries).among(there), shown.aliases)
        if seen is None:
            return []
        # What another process shows at this moment must not pass for somebody's hand.
        time.sleep(LOOK_AGAIN_S)
        entries, shown = self.history(name), self.projection.read(name)
        standing = add_up(entries)
        if alias_finding(name, standing.among(there), shown.aliases) != seen:
            return []
        return [self._decide(name, seen, entries, standing, shown.policy)]

    def _deleted(self, name: str, entries: tuple[Entry, ...], there: set[int]) -> list[Finding]:
        """Takes a champion that was deleted in MLflow out of production."""
        champion = add_up(entries).champion
        if champion is None or champion in there:
            return []
        text = f"{name}/{champion}, the champion, was deleted in MLflow"
        moves = (Move(champion, Stage.PRODUCTION, Stage.ROLLED_BACK),)
        ask = Ask(Stage.ROLLED_BACK, text, BY_HAND)
        self._write(name, "out_of_band", champion, moves, ask, entries, {"deleted": str(champion)})
        self.projection.set_alert(name, f"{self._clock().isoformat()}: {text}")
        self._show(name)
        return [Finding("taken_over", champion, text, CHAMPION_ALIAS)]

    def _adopt(self, name: str) -> tuple[Finding, ...]:
        """Writes down a blessed champion that was there before the ledger; leaves others alone."""
        champion = self.registry.champion(name)
        if champion is None or champion.tags.get(BLESSING_TAG) != BLESSED:
            return ()
        text = f"{name}/{champion.version} was champion before the ledger"
        moves = [Move(champion.version, Stage.NONE, Stage.PRODUCTION)]
        earlier = self.projection.read(name).aliases.get(PREVIOUS_ALIAS, champion.version)
        if earlier != champion.version:  # what a rollback goes back to
            moves.insert(0, Move(earlier, Stage.NONE, Stage.PRODUCTION))
            moves.insert(1, Move(earlier, Stage.PRODUCTION, Stage.ARCHIVED))
        ask = Ask(Stage.PRODUCTION, text, PLATFORM)
        self._append(champion, "adopted", tuple(moves), ask, (), {})
        return (Finding("taken_over", champion.version, text, CHAMPION_ALIAS, who=PLATFORM),)

    def _decide(
        self,
        name: str,
        finding: Finding,
        entries: tuple[Entry, ...],
        standing: Standing,
        policy: RegistrySection,
    ) -> Finding:
        """Takes an alias that was moved by hand over, or puts it back."""
        version = self.registry.version(name, finding.version) if finding.version else None
        reasons = finding.reasons
        if version is not None and not reasons:
            before = standing.stage(version.version)
            ask = Ask(Stage.PRODUCTION, finding.text, finding.who)
            reasons = refusals(self._case(version, before, ask, standing, policy))
            if not is_legal(before, Stage.PRODUCTION):
                reasons = (f"from {before} it may only go to {legal_words(before)}", *reasons)
        if version is not None and not reasons:
            event, moves = out_of_band(version.version, standing)
            ask = Ask(Stage.PRODUCTION, finding.text, finding.who)
            self._append(version, event, moves, ask, entries, {"alias": finding.alias})
            return finding.taken_over()
        put_back = finding.put_back(reasons)
        if finding.alias_is_traffic:
            about = version or self._version_or_none(name, standing)
            if about is not None:
                evidence = {"alias": finding.alias, "moved_to": str(finding.version or "nothing")}
                ask = Ask(Stage.NONE, put_back.text, finding.who)
                self._write(name, "put_back", about.version, (), ask, entries, evidence)
            self.projection.set_alert(name, f"{self._clock().isoformat()}: {put_back.text}")
        self._show(name)
        return put_back

    def _version_or_none(self, name: str, standing: Standing) -> VersionInfo | None:
        champion = standing.champion
        return self.registry.version(name, champion) if champion else None

    def _expire(self, name: str, entries: tuple[Entry, ...]) -> list[Finding]:
        found = []
        now = self._clock()
        for version, request in add_up(entries).requests.items():
            if request.deadline is None or request.deadline > now:
                continue
            why = f"nobody approved it until {request.deadline.isoformat(timespec='seconds')}"
            moves = (Move(version, add_up(entries).stage(version), Stage.REJECTED),)
            evidence = {"request": str(request.number)}
            ask = Ask(Stage.REJECTED, why, PLATFORM)
            entries = self._write(name, "transition", version, moves, ask, entries, evidence)
            found.append(Finding("expired", version, f"{name}/{version}: {why}", who=PLATFORM))
        if found:
            self._show(name)
        return found

    def _check(
        self,
        version: VersionInfo,
        before: Stage,
        ask: Ask,
        standing: Standing,
        policy: RegistrySection,
    ) -> None:
        if not is_legal(before, ask.after):
            raise RefusedTransitionError(
                f"Version {version.version} of '{version.name}' cannot go to {ask.after}",
                received=f"stage {before}",
                expected=f"from {before} only: {legal_words(before)}",
                next_step=f"see `benison history {version.name}`",
            )
        self._refuse(version, self._case(version, before, ask, standing, policy))
        champion = standing.champion
        if ask.after is Stage.PRODUCTION and ask.compared_with not in (ANY_CHAMPION, champion):
            raise RefusedTransitionError(
                f"Promoting version {version.version} of '{version.name}' failed: the champion "
                "changed during the run",
                received=f"champion {champion}; the candidate was compared with "
                f"{ask.compared_with}",
                expected="a champion that the candidate was compared with",
                next_step="run again: it will be evaluated against the new champion",
            )

    def _case(
        self,
        version: VersionInfo,
        before: Stage,
        ask: Ask,
        standing: Standing,
        policy: RegistrySection | None = None,
    ) -> Case:
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

    def _refuse(self, version: VersionInfo, case: Case) -> None:
        reasons = refusals(case)
        if reasons:
            raise RefusedTransitionError(
                f"Version {version.version} of '{version.name}' may not go to {case.after}",
                received="; ".join(reasons),
                expected=f"what {case.after} asks for (docs/promotion.md)",
                next_step=f"from {case.before} it may go to {legal_words(case.before)}",
            )

    def _append(
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
        after = self._write(name, event, version.version, moves, ask, entries, evidence, deadline)
        if foreign is not None:
            told = f"{name}/{foreign.version} is champion no longer: it was not blessed"
            self.projection.set_alert(name, f"{self._clock().isoformat()}: {told}")
        self._show(name)
        return after[-1]

    def _write(
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
        when = max([self._clock(), *(entry.when for entry in entries[-1:])])
        entry = Entry(event, version, moves, ask.who, ask.why, when, evidence, deadline)
        return (*entries, self.ledger.append(name, entry, after=len(entries)))

    def _show(self, name: str) -> None:
        """Makes MLflow show the ledger, and again where that grew meanwhile.

        Of two processes that show different entries the last one to end has seen the newest.
        """
        entries: tuple[Entry, ...] = ()
        while len(entries) < len(now := self.history(name)):
            entries = now
            self.projection.write(name, add_up(entries))

    def _settled(self, version: VersionInfo) -> VersionInfo:
        """The version with its tags as they are now, of a model that is settled."""
        now = self._version(version.name, version.version)
        self.settle(version.name)
        return now

    def _version(self, name: str, number: int) -> VersionInfo:
        found = self.registry.version(name, number)
        return found or self.registry.resolve(f"{name}/{number}")

    def _versions(self, name: str) -> tuple[int, ...]:
        """The versions of a model.

        Raises:
            RegistryError: There is no such model, or it has no version; the closest is named.
        """
        found = tuple(v.version for v in self.registry.versions(name))
        return found or (self.registry.resolve(f"{name}/1").version,)
