"""The plan of a pipeline: every step's fingerprint, known before anything heavy is imported.

Fingerprints chain from the source's digest, so a plan says at once what is cached and why the
rest must run. From outside come the champion that the candidate is compared with, statistics of an
earlier span, and what `benison tune` found (`plan_inputs.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlproject.artifacts import Artifact, ArtifactStore, fingerprint
from mlproject.blessing.override import Override
from mlproject.chain import STEPS, Chain, PlannedStep
from mlproject.config import Project
from mlproject.digests import Digests, cases_digest, code_digests, schema_digest
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
from mlproject.registry import TRAIN_RUN_TAG, VersionInfo
from mlproject.sections import ProjectConfig
from mlproject.tuning.digest import NOT_OF_TRIALS, space_digest
from mlproject.user_module import read_module

ONLY_IF_BLESSED = ("register", "export", "serve")
SECTION_OF = {"tune": "tuning"}
# Of a section: what has no part in what the step makes.
_NOT_OF_TRAINING = {"checkpoint_steps"}
_NOT_OF_TUNING = {"when", "parallel"}
# Of the evaluation section: what only the blessing looks at. What both look at reaches it with the
# evaluation's fingerprint.
_OF_BLESSING = {"value_thresholds", "change_thresholds"}


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline for one project, data and champion.

    Attributes:
        project: The project.
        steps: The steps of the pipeline, in order.
        by_hand: Steps that run only when they are asked for (`tune`).
        digests: Hashes of the data, code and files that the project consists of.
        source_uris: Split (None: a rule splits) and where its rows are.
        spans: The spans of the raw data, in rising order; empty where it has none.
        baseline: The champion that the candidate is compared with, or None.
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
    digests: Digests
    source_uris: tuple[tuple[str | None, str], ...]
    spans: tuple[Span, ...]
    baseline: VersionInfo | None
    previous: Artifact | None = None
    tuned: Artifact | None = None
    base_model: VersionInfo | None = None
    recipe: str = ""
    override: Override | None = None

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
        from_step: Run this step and all after it.
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
    serving = serving_request(project)
    digests = Digests(
        source=data.digest(),
        module=source.digest,
        code=code_digests(source),
        schema=schema_digest(project),
        cases=cases_digest(project),
        serving=find_source(serving).digest() if serving else None,
    )
    previous = previous_statistics(store, config.name, data.spans)
    chain = Chain(store, force, from_step)
    _add_data_steps(chain, config, digests, request.fingerprint_parts(), previous)
    tuned = _add_tuning(chain, config, digests, store)
    fit = _fit(config, digests, tuned)
    inputs = _train_inputs(config)
    recipe = fingerprint({"inputs": chain.fingerprints(inputs), "fit": fit})
    base = base_model_of(registry, config.name, recipe) if config.training.warm_start else None
    chain.add("train", inputs, {**fit, "base": _identity(base)})
    baseline = baseline_of(registry, config.name, chain.steps[-1])
    _add_judgement(chain, config, digests, baseline, override)
    sample = dict(config.serving.sample)
    about: dict[str, Any] = {"name": config.name, "description": config.description}
    about |= {"sample": sample, "policy": config.registry.model_dump(mode="json")}
    about["deployment"] = config.deployment.model_dump(mode="json")
    chain.add("register", ("train", "bless"), {**about, "store": store_id})
    chain.add("export", ("register",), {"serving_root": str(serving_root)})
    chain.add("serve", ("export",), {"sample": sample})
    aside = {"tune"} if config.tuning and config.tuning.when == "by_hand" else set()
    return Plan(
        project=project,
        steps=tuple(step for step in chain.steps if step.name not in aside),
        by_hand=tuple(step for step in chain.steps if step.name in aside),
        digests=digests,
        source_uris=data.uris,
        spans=data.spans,
        baseline=baseline,
        previous=previous,
        tuned=tuned,
        base_model=base,
        recipe=recipe,
        override=override,
    )


def _add_data_steps(
    chain: Chain,
    config: ProjectConfig,
    digests: Digests,
    request: Mapping[str, Any],
    previous: Artifact | None,
) -> None:
    """Ingest to transform."""
    chain.add("ingest", (), {"source": digests.source, **request})
    chain.add(
        "statistics",
        ("ingest",),
        {
            **config.statistics.model_dump(mode="json"),
            "code": digests.code.get("stats_options_updater_fn"),
            "serving": digests.serving,
        },
    )
    chain.add(
        "schema",
        () if digests.schema else ("statistics",),
        {"reviewed": digests.schema, "training_only": list(config.schema_.training_only)},
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
        {
            "code": digests.code["preprocessing_fn"],
            "materialize": config.transform.materialize,
        },
    )


def _add_tuning(
    chain: Chain, config: ProjectConfig, digests: Digests, store: ArtifactStore
) -> Artifact | None:
    """The step `tune`, where project.yaml says what to tune; what was found by hand before."""
    if config.tuning is None:
        return None
    fit = config.training.model_dump(mode="json", exclude=NOT_OF_TRIALS)
    chain.add(
        "tune",
        ("transform", "schema"),
        {
            "fit": {**fit, "code": digests.code[digests.train_function]},
            "tuning": config.tuning.model_dump(mode="json", exclude=_NOT_OF_TUNING),
            "code": digests.code.get("tuner_fn"),
        },
    )
    if config.tuning.when == "every_run":
        return None
    return tuned_by_hand(store, config.name, space_digest(config, digests.code))


def _train_inputs(config: ProjectConfig) -> tuple[str, ...]:
    every_run = config.tuning is not None and config.tuning.when == "every_run"
    return ("transform", "schema", "ingest", *(("tune",) if every_run else ()))


def _fit(config: ProjectConfig, digests: Digests, tuned: Artifact | None) -> dict[str, Any]:
    """What determines a training, besides its inputs and the model it begins with."""
    fit = {
        **config.training.model_dump(mode="json", exclude=_NOT_OF_TRAINING),
        "code": digests.code[digests.train_function],
    }
    return fit | ({"tuned": tuned.value["hyperparameters"]} if tuned else {})


def _add_judgement(
    chain: Chain,
    config: ProjectConfig,
    digests: Digests,
    baseline: VersionInfo | None,
    override: Override | None,
) -> None:
    """Evaluate to bless."""
    evaluation = config.evaluation.model_dump(mode="json")
    chain.add(
        "evaluate",
        ("train", "ingest", "transform"),
        {
            **{name: value for name, value in evaluation.items() if name not in _OF_BLESSING},
            "label": config.training.label,
            "task": config.training.task,
            "code": digests.code.get("custom_metrics"),
            "cases": digests.cases,
            "baseline": _identity(baseline),
        },
    )
    infra = config.infra_validation.model_dump(mode="json")
    chain.add("infra_validate", ("train",), {**infra, "cases": digests.cases})
    chain.add(
        "bless",
        ("evaluate", "infra_validate"),
        {
            **{name: evaluation[name] for name in sorted(_OF_BLESSING)},
            "model_card": config.model_card.model_dump(mode="json"),
            "description": config.description,
            "override": [override.who, override.reason] if override else None,
        },
    )


def _identity(version: VersionInfo | None) -> list[Any] | None:
    """What tells a version from all others, also where another registry has its number."""
    return [version.version, version.tags.get(TRAIN_RUN_TAG)] if version else None
