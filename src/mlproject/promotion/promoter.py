"""Changes the stages of versions: one entry in the ledger each, and then what MLflow shows of it.

The entry is the one commit point: what dies before it has done nothing, what dies after it is shown
in full by the next call. Aliases that were moved by hand are settled before anything is decided.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mlproject.promotion.asks import (
    ANY_CHAMPION,
    COMPARED_WITH,
    PLATFORM,
    Ask,
    RefusedTransitionError,
)
from mlproject.promotion.books import Books
from mlproject.promotion.entries import Entry, Move
from mlproject.promotion.findings import Finding
from mlproject.promotion.guards import PASSED, Case, refusals
from mlproject.promotion.settling import settle
from mlproject.promotion.stages import WAITING, Stage, is_legal, legal_words
from mlproject.promotion.standing import Standing, add_up
from mlproject.registry import VersionInfo
from mlproject.sections.registry import RegistrySection
from mlproject.user import user_name


class Promoter(Books):
    """The stages of the models behind the tracking URI.

    Args:
        settings: The platform's settings.
        registry: The model registry, where there is one already.
        clock: Gives the time now, in UTC.
    """

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
        return self.append(version, "transition", tuple(moves), ask, entries, evidence)

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
        there = self.versions(name)
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
        version = self.version(name, target)
        case = self.case(version, Stage.ARCHIVED, Ask(Stage.PRODUCTION, why), standing)
        self._refuse(version, case)
        moves = (
            Move(champion, Stage.PRODUCTION, Stage.ROLLED_BACK),
            Move(target, standing.stage(target), Stage.PRODUCTION),
        )
        ask = Ask(Stage.PRODUCTION, why, who or user_name())
        return self.append(version, "rollback", moves, ask, entries, {"from": str(champion)})

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
        deadline = self.now() + timedelta(seconds=policy.approval_timeout_s)
        return self.append(version, "requested", (), ask, entries, evidence, deadline)

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
        return self.append(version, "rollout", moves, Ask(before, why, who), entries, evidence)

    def settle(self, name: str) -> tuple[Finding, ...]:
        """Finishes what a killed process left, and decides on what was done by hand.

        Returns:
            What was found, in order; empty where all is as the ledger says.
        """
        return settle(self, name)

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
        self._refuse(version, self.case(version, before, ask, standing, policy))
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

    def _refuse(self, version: VersionInfo, case: Case) -> None:
        reasons = refusals(case)
        if reasons:
            raise RefusedTransitionError(
                f"Version {version.version} of '{version.name}' may not go to {case.after}",
                received="; ".join(reasons),
                expected=f"what {case.after} asks for (docs/promotion.md)",
                next_step=f"from {case.before} it may go to {legal_words(case.before)}",
            )

    def _settled(self, version: VersionInfo) -> VersionInfo:
        """The version with its tags as they are now, of a model that is settled."""
        now = self.version(version.name, version.version)
        self.settle(version.name)
        return now
