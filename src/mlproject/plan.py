"""The plan of a pipeline: every step's fingerprint, known before anything heavy is imported.

Fingerprints chain from the source's digest, so a plan says at once what is cached and why the
rest must run. From outside come the champion that the candidate is compared with, statistics of an
earlier span, and what `benison tune` found (`plan_inputs.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproject.artifacts import Artifact, ArtifactStore, fingerprint
from mlproject.blessing.override import Override
from mlproject.chain import STEPS, Chain, PlannedStep
from mlproject.config import Project
from mlproject.errors import ConfigError, closest
from mlproject.examples.request import check_request
from mlproject.examples.sources import find_source
from mlproject.examples.spans import Span
from mlproject.plan_inputs import (
    Champions,
    base_model_of,
    baseline_of,
    previous_statistics,
    tuned_by_hand,
)
from mlproject.project_checks import check_project
from mlproject.project_data import ingest_request, serving_request
from mlproject.reach import reach_digest
from mlproject.registry import TRAIN_RUN_TAG, VersionInfo
from mlproject.tuning.digest import space_digest
from mlproject.user_module import functions_of, read_module

USER_FUNCTIONS = (
    "preprocessing_fn",
    "run_fn",
    "build_model",
    "tuner_fn",
    "custom_metrics",
    "stats_options_updater_fn",
)
ONLY_IF_BLESSED = ("register", "export", "serve")
SECTION_OF = {"tune": "tuning"}
# What has no part in what a step makes.
_NOT_OF_TRAINING = {"checkpoint_steps"}
_OF_BLESSING = {
    "value_thresholds",
    "change_thresholds",
    "min_slice_examples",
    "confidence",
    "custom_metrics",
}
# Both the evaluation and the blessing look at these.
_SHARED = {"min_slice_examples", "confidence", "custom_metrics"}


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline for one project, data and champion.

    Attributes:
        project: The project.
        steps: The steps of the pipeline, in order.
        by_hand: Steps that run only when they are asked for (`tune`).
        source_digest: Hash of the raw data.
        source_uris: Split (None: a rule splits) and where its rows are.
        spans: The spans of the raw data, in rising order; empty where it has none.
        module_digest: Hash of the module file.
        code_digests: Function of the module file -> hash of the code it reaches.
        schema_digest: Hash of the reviewed schema file, if there is one.
        baseline: The champion that the candidate is compared with, or None.
        cases_digest: Hash of the file of behavioural cases, if project.yaml names one.
        serving_digest: Hash of the rows seen at serving, if project.yaml names some.
        previous: Statistics of an earlier span that drift is measured from, where the window
            itself has none; or None.
        tuned: What `benison tune` found last for this space and code, or None.
        base_model: The version that training begins with the weights of, or None.
        recipe: Fingerprint of the training without its base model.
        override: A person's word against the verdict, or None.
    """

    project: Project
    steps: tuple[PlannedStep, ...]
    by_hand: tuple[PlannedStep, ...]
    source_digest: str
    source_uris: tuple[tuple[str | None, str], ...]
    spans: tuple[Span, ...]
    module_digest: str
    code_digests: Mapping[str, str]
    schema_digest: str | None
    baseline: VersionInfo | None
    cases_digest: str | None = None
    serving_digest: str | None = None
    previous: Artifact | None = None
    tuned: Artifact | None = None
    base_model: VersionInfo | None = None
    recipe: str = ""
    override: Override | None = None

    @property
    def train_function(self) -> str:
        """The function of the module file that trains: `run_fn`, else `build_model`."""
        return train_function(self.code_digests)

    def step(self, name: str) -> PlannedStep:
        """The planned step of a name.

        Raises:
            ConfigError: There is no such step; the closest is named. Or it is `tune`, and
                project.yaml does not say what to tune.
        """
        check_step_name(name)
        for step in (*self.steps, *self.by_hand):
            if step.name == name:
                return step
        raise ConfigError(
            f"Looking for the step '{name}' failed",
            received=f"a project without the section '{SECTION_OF[name]}'",
            next_step=f"add `{SECTION_OF[name]}` to project.yaml (docs/project-yaml.md)",
        )


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
    override: Override | None = None,
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
        override: A person's word against the verdict.

    Raises:
        ConfigError: The step's name or a file of the project is wrong.
        DataError: The source is missing or cannot be read.
        UserModuleError: The module file breaks the contract.
    """
    if from_step:
        check_step_name(from_step)
    source = read_module(project.module_path)
    check_project(project, source)
    request = ingest_request(project)
    check_request(request)
    config = project.config
    data = find_source(request)
    digest = data.digest()
    reviewed = file_digest(project.schema_path) if project.schema_path else None
    cases = cases_digest(project)
    code = {name: reach_digest(source, (name,)) for name in functions_of(source, USER_FUNCTIONS)}
    serving = serving_request(project)
    serving_digest = find_source(serving).digest() if serving else None
    previous = previous_statistics(store, config.name, data.spans)
    chain = Chain(store, force, from_step)
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
    fit = {
        **config.training.model_dump(mode="json", exclude=_NOT_OF_TRAINING),
        "code": code[train_function(code)],
    }
    tuned = None
    inputs: tuple[str, ...] = ("transform", "schema", "ingest")
    if config.tuning is not None:
        tuning = config.tuning.model_dump(mode="json", exclude={"when", "parallel"})
        chain.add(
            "tune",
            ("transform", "schema"),
            {"fit": fit, "tuning": tuning, "code": code.get("tuner_fn")},
        )
        if config.tuning.when == "every_run":
            inputs = (*inputs, "tune")
        else:
            tuned = tuned_by_hand(store, config.name, space_digest(config, code))
    if tuned is not None:
        fit["tuned"] = tuned.value["hyperparameters"]
    recipe = fingerprint(
        {"inputs": {s.name: s.fingerprint for s in chain.steps if s.name in inputs}, "fit": fit}
    )
    base = base_model_of(registry, config.name, recipe) if config.training.warm_start else None
    chain.add("train", inputs, {**fit, "base": _identity(base)})
    baseline = baseline_of(registry, config.name, chain.steps[-1])
    evaluation = config.evaluation.model_dump(mode="json")
    chain.add(
        "evaluate",
        ("train", "ingest", "transform"),
        {
            **{n: v for n, v in evaluation.items() if n not in _OF_BLESSING or n in _SHARED},
            "label": config.training.label,
            "task": config.training.task,
            "code": code.get("custom_metrics"),
            "cases": cases,
            "baseline": _identity(baseline),
        },
    )
    infra = config.infra_validation.model_dump(mode="json")
    chain.add("infra_validate", ("train",), {**infra, "cases": cases})
    chain.add(
        "bless",
        ("evaluate", "infra_validate"),
        {
            **{n: v for n, v in evaluation.items() if n in _OF_BLESSING},
            "model_card": config.model_card.model_dump(mode="json"),
            "description": config.description,
            "override": [override.who, override.reason] if override else None,
        },
    )
    sample = dict(config.serving.sample)
    about = {"name": config.name, "description": config.description, "sample": sample}
    chain.add("register", ("train", "bless"), {**about, "store": store_id})
    chain.add("export", ("register",), {"serving_root": str(serving_root)})
    chain.add("serve", ("export",), {"sample": sample})
    aside = {"tune"} if config.tuning and config.tuning.when == "by_hand" else set()
    return Plan(
        project=project,
        steps=tuple(step for step in chain.steps if step.name not in aside),
        by_hand=tuple(step for step in chain.steps if step.name in aside),
        source_digest=digest,
        source_uris=data.uris,
        spans=data.spans,
        module_digest=source.digest,
        code_digests=code,
        schema_digest=reviewed,
        baseline=baseline,
        cases_digest=cases,
        serving_digest=serving_digest,
        previous=previous,
        tuned=tuned,
        base_model=base,
        recipe=recipe,
        override=override,
    )


def train_function(code: Mapping[str, str]) -> str:
    """The function that trains, of those that the module file has."""
    return "run_fn" if "run_fn" in code else "build_model"


def cases_digest(project: Project) -> str | None:
    """Hash of the file of behavioural cases, if project.yaml names one.

    Raises:
        ConfigError: There is no such file.
    """
    name = project.config.evaluation.cases
    if name is None:
        return None
    path = project.folder / name
    try:
        return file_digest(path)
    except OSError as err:
        near = [p.name for p in path.parent.glob("*.y*ml")]
        raise ConfigError(
            "Opening the file of behavioural cases failed",
            received=f"{path}: {err.strerror}",
            expected=f"a YAML file; {closest(path.name, near)}",
            next_step="set `evaluation.cases` in project.yaml",
        ) from err


def _identity(version: VersionInfo | None) -> list[Any] | None:
    """What tells a version from all others, also where another registry has its number."""
    return [version.version, version.tags.get(TRAIN_RUN_TAG)] if version else None


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]
