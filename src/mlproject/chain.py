"""The chain of a plan: planned steps whose fingerprints are made of their inputs'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlproject.artifacts import Artifact, ArtifactStore, fingerprint

# Raised when a step would make something else of the same inputs.
STEP_VERSIONS: Mapping[str, int] = {
    "ingest": 2,
    "statistics": 2,
    "schema": 1,
    "validate": 2,
    "transform": 2,
    "tune": 1,
    "train": 4,
    "evaluate": 2,
    "infra_validate": 1,
    "bless": 2,
    "register": 3,
    "export": 1,
    "serve": 2,
}
STEPS = tuple(STEP_VERSIONS)


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        name: The step.
        fingerprint: What its artifact is published under.
        inputs: Input step -> fingerprint.
        cached: The published artifact, where the step need not run.
        reason: Why it is cached, or why it runs.
    """

    name: str
    fingerprint: str
    inputs: Mapping[str, str]
    cached: Artifact | None
    reason: str


class Chain:
    """Builds planned steps, each fingerprint made of its inputs'."""

    def __init__(self, store: ArtifactStore, force: bool, from_step: str | None) -> None:
        self._store = store
        self._force = force
        self._from = STEPS.index(from_step) if from_step else len(STEPS)
        self.steps: list[PlannedStep] = []

    def add(self, name: str, inputs: tuple[str, ...], params: Mapping[str, Any]) -> None:
        known = {step.name: step for step in self.steps}
        chained = self.fingerprints(inputs)
        parts = {"step": name, "version": STEP_VERSIONS[name], "inputs": chained, "params": params}
        key = fingerprint(parts)
        found = self._store.find(name, key)
        reason = "nothing that determines it has changed" if found else "not made before"
        if self._force:
            found, reason = None, "--force"
        elif STEPS.index(name) >= self._from:
            found, reason = None, f"--from {STEPS[self._from]}"
        elif found and (again := [i for i in inputs if _made_again(known[i], found)]):
            found, reason = None, f"'{again[0]}' is made again"
        self.steps.append(PlannedStep(name, key, chained, found, reason))

    def fingerprints(self, names: tuple[str, ...]) -> dict[str, str]:
        """Steps of the chain so far -> their fingerprints.

        Raises:
            KeyError: A step is not there yet: the chain is built in the wrong order.
        """
        known = {step.name: step.fingerprint for step in self.steps}
        return {name: known[name] for name in names}


def _made_again(made: PlannedStep, found: Artifact) -> bool:
    """True where an input is to be made, or was made again since an artifact was made from it."""
    return made.cached is None or made.cached.made_by != found.inputs.get(made.name)
