"""What the reports of a run say about its candidate, gathered from the steps before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mlproject.artifacts import Artifact, ArtifactStore
from mlproject.execution import StepContext
from mlproject.schema import SCHEMA_FILE, SERVING, read_schema
from mlproject.tracking.code import git_commit

if TYPE_CHECKING:
    from mlproject.report import About, FeatureAbout

SOFTWARE = ("benison", "tensorflow", "keras", "tensorflow-transform")


def about_candidate(ctx: StepContext) -> About:
    """The model, its run and its data; what cannot be found stays empty."""
    from mlproject.report import About, DataAbout

    plan, config = ctx.plan, ctx.project.config
    found = _published(ctx)
    ingest, train = found.get("ingest"), found.get("train")
    spans = ingest.value.get("spans", []) if ingest else []
    baseline = plan.baseline
    return About(
        model=config.name,
        description=config.description,
        created=train.published_at if train else datetime.now(UTC).isoformat(timespec="seconds"),
        mlflow_run_id=ctx.pipeline_run_id,
        git_commit=git_commit(ctx.project.folder) or "",
        versions=_versions(),
        data=DataAbout(
            uri=", ".join(dict.fromkeys(uri for _, uri in plan.source_uris)),
            digest=plan.source_digest,
            spans=tuple(str(span[0]) for span in spans),
            rows=dict(ingest.value.get("splits", {})) if ingest else {},
        ),
        features=tuple(_features(found.get("schema"))),
        label=config.training.label,
        task=config.training.task,
        hyperparameters=_hyperparameters(ctx, found.get("tune")),
        champion_version=str(baseline.version) if baseline else None,
        module_digest=plan.module_digest,
        evaluation=config.evaluation,
        warnings=_warnings(found.get("validate")),
    )


def _published(ctx: StepContext) -> dict[str, Artifact]:
    """The artifacts of the plan's steps that there are, by step."""
    store = ArtifactStore(ctx.inputs["evaluate"].path.parents[1])
    found = {step.name: store.find(step.name, step.fingerprint) for step in ctx.plan.steps}
    return {name: artifact for name, artifact in found.items() if artifact is not None}


def _versions() -> dict[str, str]:
    found = {}
    for package in SOFTWARE:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _hyperparameters(ctx: StepContext, tune: Artifact | None) -> Mapping[str, Any]:
    tuned = tune or ctx.plan.tuned
    best = tuned.value["hyperparameters"] if tuned else {}
    return {**ctx.project.config.training.hyperparameters, **best}


def _warnings(validate: Artifact | None) -> tuple[str, ...]:
    return tuple(validate.value.get("reasons", ())) if validate else ()


def _features(schema: Artifact | None) -> Iterator[FeatureAbout]:
    from mlproject.report import FeatureAbout

    if schema is None:
        return
    read = read_schema(schema.path / SCHEMA_FILE)
    kinds = {1: "BYTES", 2: "INT", 3: "FLOAT", 4: "STRUCT"}
    for feature in read.feature:
        share = feature.presence.min_fraction
        presence = "may be missing"
        if SERVING in feature.not_in_environment:
            presence = "training only"
        elif share == 1:
            presence = "required"
        elif share:
            presence = f"in {share:.0%} of rows or more"
        yield FeatureAbout(feature.name, kinds.get(feature.type, "unknown"), presence)
