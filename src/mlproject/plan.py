"""The plan of a pipeline: every step's fingerprint, known before anything heavy is imported.

Fingerprints chain from the source's digest, so a plan says at once what is cached and why the
rest must run. The one input from outside is the champion that the candidate is compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlproject.artifacts import Artifact, ArtifactStore, fingerprint
from mlproject.config import Project
from mlproject.errors import ConfigError, closest
from mlproject.examples.request import (
    check_request,
)
from mlproject.examples.sources import find_source
from mlproject.examples.spans import Span
from mlproject.project_data import ingest_request, serving_request
from mlproject.reach import reach_digest
from mlproject.registry import BASELINE_TAG, TRAIN_RUN_TAG, VersionInfo
from mlproject.user_module import check_contract, functions_of, read_module

# Raised when a step would make something else of the same inputs.
STEP_VERSIONS: Mapping[str, int] = {
    "ingest": 2,
    "statistics": 2,
    "schema": 1,
    "validate": 2,
    "transform": 2,
    "train": 3,
    "evaluate": 1,
    "bless": 1,
    "register": 1,
    "export": 1,
    "serve": 1,
}
STEPS = tuple(STEP_VERSIONS)
USER_FUNCTIONS = ("preprocessing_fn", "run_fn", "stats_options_updater_fn")
ONLY_IF_BLESSED = ("register", "export", "serve")


class Champions(Protocol):
    """Where the plan asks for registered versions (the model registry)."""

    def champion(self, name: str) -> VersionInfo | None:
        """The champion of a registered model, or None."""

    def version(self, name: str, number: int) -> VersionInfo | None:
        """A version of a registered model, or None."""


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


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline for one project, data and champion.

    Attributes:
        project: The project.
        steps: The steps in order.
        source_digest: Hash of the raw data.
        source_uris: Split (None: a rule splits) and where its rows are.
        spans: The spans of the raw data, in rising order; empty where it has none.
        module_digest: Hash of the module file.
        code_digests: Function of the module file -> hash of the code it reaches.
        schema_digest: Hash of the reviewed schema file, if there is one.
        baseline: The champion that the candidate is compared with, or None.
        serving_digest: Hash of the rows seen at serving, if project.yaml names some.
        previous: Statistics of an earlier span that drift is measured from, where the window
            itself has none; or None.
    """

    project: Project
    steps: tuple[PlannedStep, ...]
    source_digest: str
    source_uris: tuple[tuple[str | None, str], ...]
    spans: tuple[Span, ...]
    module_digest: str
    code_digests: Mapping[str, str]
    schema_digest: str | None
    baseline: VersionInfo | None
    serving_digest: str | None = None
    previous: Artifact | None = None

    def step(self, name: str) -> PlannedStep:
        """The planned step of a name.

        Raises:
            ConfigError: There is no such step; the closest is named.
        """
        check_step_name(name)
        return next(step for step in self.steps if step.name == name)


def check_step_name(name: str) -> None:
    """Checks that a step of this name exists.

    Raises:
        ConfigError: It does not; the closest is named.
    """
    if name not in STEPS:
        raise ConfigError("Looking for a step failed", received=name, expected=closest(name, STEPS))


def make_plan(
    project: Project,
    store: ArtifactStore,
    registry: Champions,
    serving_root: Path,
    *,
    store_id: str = "",
    force: bool = False,
    from_step: str | None = None,
) -> Plan:
    """Plans a pipeline; reads the source once for its digest and runs nothing.

    Args:
        project: The project.
        store: The artifacts there are.
        registry: Says which version is champion.
        serving_root: Where models are exported to.
        store_id: Tells MLflow's stores apart: a version of one is none of another.
        force: Run every step.
        from_step: Run this step and all after it, cached or not.

    Raises:
        ConfigError: The step's name or a file of the project is wrong.
        DataError: The source is missing or cannot be read.
        UserModuleError: The module file breaks the contract.
    """
    if from_step:
        check_step_name(from_step)
    source = read_module(project.module_path)
    check_contract(source)
    request = ingest_request(project)
    check_request(request)
    config = project.config
    data = find_source(request)
    digest = data.digest()
    reviewed = file_digest(project.schema_path) if project.schema_path else None
    code = {name: reach_digest(source, (name,)) for name in functions_of(source, USER_FUNCTIONS)}
    serving = serving_request(project)
    serving_digest = find_source(serving).digest() if serving else None
    previous = _previous_statistics(store, config.name, data.spans)
    chain = _Chain(store, force, from_step)
    chain.add("ingest", (), {"source": digest, **request.fingerprint_parts()})
    chain.add(
        "statistics",
        ("ingest",),
        {
            **config.statistics.model_dump(mode="json"),
            "code": code.get("stats_options_updater_fn"),
            "serving": serving_digest,
        },
    )
    chain.add(
        "schema",
        () if reviewed else ("statistics",),
        {"reviewed": reviewed, "training_only": list(config.schema_.training_only)},
    )
    chain.add(
        "validate",
        ("ingest", "statistics", "schema"),
        {
            **config.validation.model_dump(mode="json", exclude={"serving_path"}),
            "previous": [previous.fingerprint, previous.made_by] if previous else None,
        },
    )
    chain.add(
        "transform",
        ("ingest", "schema"),
        {"code": code["preprocessing_fn"], "materialize": config.transform.materialize},
    )
    train = config.training.model_dump(mode="json")
    chain.add("train", ("transform", "schema"), {"code": code["run_fn"], **train})
    baseline = _baseline(registry, config.name, chain.steps[-1])
    chain.add(
        "evaluate",
        ("train", "ingest", "transform"),
        {
            "slices": list(config.evaluation.slices),
            "min_slice_examples": config.evaluation.min_slice_examples,
            "label": config.training.label,
            "baseline": [baseline.version, baseline.tags.get(TRAIN_RUN_TAG)] if baseline else None,
        },
    )
    thresholds = config.evaluation.model_dump(
        mode="json", include={"value_thresholds", "change_thresholds"}
    )
    chain.add("bless", ("evaluate",), thresholds)
    sample = dict(config.serving.sample)
    about = {"name": config.name, "description": config.description, "sample": sample}
    chain.add("register", ("train", "bless"), {**about, "store": store_id})
    chain.add("export", ("register",), {"serving_root": str(serving_root)})
    chain.add("serve", ("export",), {"sample": sample})
    return Plan(
        project=project,
        steps=tuple(chain.steps),
        source_digest=digest,
        source_uris=data.uris,
        spans=data.spans,
        module_digest=source.digest,
        code_digests=code,
        schema_digest=reviewed,
        baseline=baseline,
        serving_digest=serving_digest,
        previous=previous,
    )


class _Chain:
    """Builds planned steps, each fingerprint made of its inputs'."""

    def __init__(self, store: ArtifactStore, force: bool, from_step: str | None) -> None:
        self._store = store
        self._force = force
        self._from = STEPS.index(from_step) if from_step else len(STEPS)
        self.steps: list[PlannedStep] = []

    def add(self, name: str, inputs: tuple[str, ...], params: Mapping[str, Any]) -> None:
        known = {step.name: step for step in self.steps}
        chained = {i: known[i].fingerprint for i in inputs}
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


def _made_again(made: PlannedStep, found: Artifact) -> bool:
    """True where an input is to be made, or was made again since an artifact was made from it."""
    return made.cached is None or made.cached.made_by != found.inputs.get(made.name)


def _baseline(registry: Champions, name: str, train: PlannedStep) -> VersionInfo | None:
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


def _previous_statistics(
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


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]
