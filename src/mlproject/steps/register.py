"""The step `register`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.artifacts import read_value
from mlproject.chain import STEPS
from mlproject.digests import file_digest
from mlproject.execution import StepContext
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.registered import promote_registered
from mlproject.record import Record
from mlproject.registry import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    GIT_COMMIT_TAG,
    INFRA_TAG,
    KERAS_MODEL,
    MODULE_DIGEST_TAG,
    OVERRIDE_TAG,
    REASONS_TAG,
    RECIPE_TAG,
    REGISTER_TAG,
    ROWS_TAG,
    RUN_TAG,
    SAMPLE_TAG,
    SCHEMA_DIGEST_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
    TRAIN_RUN_TAG,
    TRAIN_TAG,
    Column,
    Registration,
)
from mlproject.registry.deployment_settings import keep_deployment
from mlproject.registry.names import STAGE_TAG
from mlproject.schema import SCHEMA_FILE
from mlproject.steps.evidence import evidence_of
from mlproject.tracking import TAG, git_commit


def run_register(ctx: StepContext) -> Mapping[str, Any]:
    """A blessed SavedModel to a version of the registered model, promoted as the policy allows."""
    from mlproject.training import MODEL_FOLDER

    config = ctx.project.config
    train = ctx.inputs["train"]
    types = dict(read_value(ctx.published("ingest"), "columns"))
    baseline = ctx.plan.baseline
    keras_model = train.path / KERAS_MODEL
    version = ctx.registry.register(
        Registration(
            name=config.name,
            saved_model=train.path / MODEL_FOLDER,
            keras_model=keras_model if keras_model.exists() else None,
            evidence=evidence_of(ctx),
            columns=tuple(Column(n, types[n]) for n in read_value(train, "inputs") if n in types),
            output="float list" if config.training.task == "multiclass" else "float",
            sample=config.serving.sample,
            run_id=ctx.pipeline_run_id,
            tags={
                REGISTER_TAG: ctx.step.fingerprint,
                SAMPLE_TAG: json.dumps(dict(config.serving.sample)),
                **_verdict_tags(ctx),
                **_data_tags(ctx),
                **_training_tags(ctx),
                **_run_tags(ctx),
            },
            description=config.description,
        )
    )
    promoted = promote_registered(
        Promoter(ctx.settings, ctx.registry),
        version,
        config.registry,
        _evidence_runs(ctx),
        _why(ctx.inputs["bless"].value),
        compared_with=baseline.version if baseline else None,
    )
    keep_deployment(ctx.settings, ctx.registry.client, config.name, config.deployment)
    Record(
        params={"model_version": version.version},
        tags={
            f"{TAG}model": f"{config.name}/{version.version}",
            f"{TAG}previous": str(promoted.previous or "none"),
            STAGE_TAG: promoted.stage.value,
        },
    ).write(ctx.out_dir)
    return {
        "name": config.name,
        "version": version.version,
        "previous": promoted.previous,
        "stage": promoted.stage.value,
        "waiting": promoted.waiting,
    }


def _evidence_runs(ctx: StepContext) -> dict[str, str]:
    """The MLflow runs that the promotion stands on."""
    runs = {"pipeline_run": ctx.pipeline_run_id}
    for step in ("evaluate", "bless"):
        run_id = ctx.published(step).mlflow_run_id
        if run_id:
            runs[f"{step}_run"] = run_id
    override = _override(ctx.inputs["bless"].value)
    return runs | ({"blessing_override": override} if override else {})


def _why(blessing: Mapping[str, Any]) -> str:
    """The reason of a blessing, for the ledger."""
    return "; ".join([blessing["verdict"], *blessing["reasons"][:1]])


def _verdict_tags(ctx: StepContext) -> dict[str, str]:
    """What was found of the candidate, and compared with which version."""
    blessing, baseline = ctx.inputs["bless"].value, ctx.plan.baseline
    return {
        BLESSING_TAG: blessing["verdict"],
        OVERRIDE_TAG: _override(blessing),
        REASONS_TAG: "; ".join(blessing["reasons"]),
        INFRA_TAG: str(read_value(ctx.published("infra_validate"), "verdict")),
        BASELINE_TAG: str(baseline.version) if baseline else "",
    }


def _data_tags(ctx: StepContext) -> dict[str, str]:
    """Which data it was trained and evaluated on."""
    from mlproject.examples.locations import as_uri

    ingest = ctx.published("ingest")
    rows = dict(read_value(ingest, "splits"))
    uris = dict(ctx.plan.source_uris)
    # A source's URIs hold no secret.
    by_split = {split: as_uri(uris.get(split) or uris.get(None, "")) for split in rows}
    return {
        SOURCE_DIGEST_TAG: ctx.plan.digests.source,
        SOURCE_URI_TAG: json.dumps(by_split, sort_keys=True),
        SPANS_TAG: json.dumps(read_value(ingest, "spans")),
        ROWS_TAG: json.dumps(rows, sort_keys=True),
        SCHEMA_DIGEST_TAG: file_digest(ctx.published("schema").path / SCHEMA_FILE),
    }


def _training_tags(ctx: StepContext) -> dict[str, str]:
    """Which code made it, from which model on."""
    train, base = ctx.inputs["train"], ctx.plan.base_model
    return {
        TRAIN_TAG: train.fingerprint,
        TRAIN_RUN_TAG: train.made_by,
        RECIPE_TAG: ctx.plan.recipe,
        BASE_TAG: str(base.version) if base else "",
        MODULE_DIGEST_TAG: ctx.plan.digests.module,
        GIT_COMMIT_TAG: git_commit(ctx.project.folder) or "",
    }


def _run_tags(ctx: StepContext) -> dict[str, str]:
    """Each step before this one, and the MLflow run that made its artifact."""
    before = STEPS[: STEPS.index("register")]
    made = {s.name: ctx.published(s.name) for s in ctx.plan.steps if s.name in before}
    if ctx.plan.tuned is not None:
        made.setdefault("tune", ctx.plan.tuned)
    return {f"{RUN_TAG}{name}": artifact.made_by for name, artifact in made.items()}


def _override(blessing: Mapping[str, Any]) -> str:
    """Who overruled the verdict, why and when; empty where nobody did."""
    override = blessing.get("override")
    if not override or override.get("effect") != "applied":
        return ""
    return f"{override['who']}, {override['when']}: {override['reason']}"
