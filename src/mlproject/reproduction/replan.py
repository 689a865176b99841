"""The plan of a reproduction: the recorded project, with the version itself to compare with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlproject.artifacts import ArtifactStore
from mlproject.config import Project
from mlproject.errors import DataError
from mlproject.plan import Plan, make_plan
from mlproject.plan_inputs import Champions
from mlproject.registry import VersionInfo
from mlproject.reproduction.reasons import changed_steps
from mlproject.reproduction.recorded import Recorded


class AsThen:
    """The registry of a reproduction: the version that is reproduced stands as its champion.

    So the step `evaluate` asks both models the same rows in one pass.

    Args:
        registry: The registry.
        version: The version.
    """

    def __init__(self, registry: Champions, version: VersionInfo) -> None:
        self._registry = registry
        self._version = version

    def champion(self, name: str) -> VersionInfo | None:
        """The version that is reproduced."""
        return self._version if name == self._version.name else None

    def version(self, name: str, number: int) -> VersionInfo | None:
        """A version of a registered model, or None."""
        return self._registry.version(name, number)


def plan_again(
    recorded: Recorded, project: Project, store: ArtifactStore, registry: Champions
) -> Plan:
    """Plans the recorded project on an empty store.

    Args:
        recorded: What the version was made of.
        project: The project made again.
        store: The scratch store.
        registry: The registry.

    Raises:
        DataError: The data changed since it was looked at.
        PlatformError: The project cannot be planned.
    """
    then = AsThen(registry, recorded.version)
    plan = make_plan(project, store, then, Path(store.root) / "serving")
    if plan.digests.source != recorded.source_digest:
        raise DataError(
            "The data changed while the reproduction began",
            received=f"digest {plan.digests.source[:12]}",
            expected=recorded.source_digest[:12],
            next_step="run again when nothing writes to it",
        )
    base = recorded.base if project.config.training.warm_start else None
    return replace(plan, base_model=base)


def steps_planned_otherwise(recorded: Recorded, plan: Plan) -> tuple[str, ...]:
    """The steps that are not planned as they were, though what they are made of is the same."""
    now = {step.name: step.fingerprint for step in plan.steps}
    inputs = {step.name: tuple(step.inputs) for step in plan.steps}
    return changed_steps(recorded.fingerprints, now, inputs)
