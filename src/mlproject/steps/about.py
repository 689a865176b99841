"""What the reports of a run say about its candidate, gathered from the steps before."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from mlproject.artifacts import Artifact
from mlproject.execution import StepContext
from mlproject.schema import SCHEMA_FILE, SERVING, read_schema
from mlproject.steps.planned import hyperparameters_of
from mlproject.tracking.code import git_commit

if TYPE_CHECKING:
    from mlproject.report import About, FeatureAbout

SOFTWARE = ("benison", "tensorflow", "keras", "tensorflow-transform")


def about_candidate(ctx: StepContext) -> About:
    """The model, its run and its data."""
    from mlproject.report import About, DataAbout

    plan, config = ctx.plan, ctx.project.config
    ingest, train = ctx.published("ingest"), ctx.published("train")
    baseline = plan.baseline
    return About(
        model=config.name,
        description=config.description,
        created=train.published_at,
        mlflow_run_id=ctx.pipeline_run_id,
        git_commit=git_commit(ctx.project.folder) or "",
        versions=_versions(),
        data=DataAbout(
            uri=", ".join(dict.fromkeys(uri for _, uri in plan.source_uris)),
            digest=plan.digests.source,
            spans=tuple(str(span[0]) for span in ingest.value["spans"]),
            rows=dict(ingest.value["splits"]),
        ),
        features=tuple(_features(ctx.published("schema"))),
        label=config.training.label,
        task=config.training.task,
        hyperparameters=hyperparameters_of(ctx),
        champion_version=str(baseline.version) if baseline else None,
        module_digest=plan.digests.module,
        evaluation=config.evaluation,
        warnings=tuple(ctx.published("validate").value["reasons"]),
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in SOFTWARE:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _features(schema: Artifact) -> Iterator[FeatureAbout]:
    from mlproject.report import FeatureAbout

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
