"""What a plan takes from outside the project: registered versions, artifacts of earlier runs."""

from __future__ import annotations

from typing import Protocol

from mlproject.artifacts import Artifact, ArtifactStore
from mlproject.chain import PlannedStep
from mlproject.examples.spans import Span
from mlproject.registry import BASE_TAG, BASELINE_TAG, RECIPE_TAG, TRAIN_RUN_TAG, VersionInfo


class Champions(Protocol):
    """Where the plan asks for registered versions (the model registry)."""

    def champion(self, name: str) -> VersionInfo | None:
        """The champion of a registered model, or None."""

    def version(self, name: str, number: int) -> VersionInfo | None:
        """A version of a registered model, or None."""


def baseline_of(registry: Champions, name: str, train: PlannedStep) -> VersionInfo | None:
    """The version to compare the candidate with.

    Where the candidate is itself the champion (nothing changed since it was promoted), that is
    the champion of that time, so that its evaluation still stands.
    """
    champion = registry.champion(name)
    if champion is None or train.cached is None:
        return champion
    if champion.tags.get(TRAIN_RUN_TAG) != train.cached.made_by:
        return champion
    before = champion.tags.get(BASELINE_TAG, "")
    if before and not before.isdecimal():  # edited by hand: compare rather than not
        return champion
    return registry.version(name, int(before)) if before else None


def previous_statistics(
    store: ArtifactStore, project: str, spans: tuple[Span, ...]
) -> Artifact | None:
    """The published statistics of the newest span before a window of one."""
    if len(spans) != 1:
        return None
    earlier = [
        artifact
        for artifact in store.published("statistics")
        if artifact.value.get("project") == project
        and artifact.value.get("spans")
        and artifact.value["spans"][-1] < spans[0].number
    ]
    return max(earlier, key=lambda a: (a.value["spans"][-1], a.fingerprint), default=None)


def base_model_of(registry: Champions, name: str, recipe: str) -> VersionInfo | None:
    """The version that a warm start begins with: the champion.

    Where the champion was made by the same recipe (data, code and parameters), that is the version
    that it began with itself, so that a run in which nothing changed trains nothing.

    Args:
        registry: The registered versions.
        name: The registered model.
        recipe: Fingerprint of the training without its base model.
    """
    champion = registry.champion(name)
    if champion is None or champion.tags.get(RECIPE_TAG) != recipe:
        return champion
    base = champion.tags.get(BASE_TAG, "")
    return registry.version(name, int(base)) if base.isdecimal() else None


def tuned_by_hand(store: ArtifactStore, project: str, space: str) -> Artifact | None:
    """The newest published result of `benison tune` for a project's space and code."""
    found = [
        artifact
        for artifact in store.published("tune")
        if artifact.value.get("project") == project and artifact.value.get("space") == space
    ]
    return max(found, key=lambda a: (a.published_at, a.fingerprint), default=None)
