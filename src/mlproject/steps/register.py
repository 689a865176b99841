"""The step `register`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.artifacts import read_value
from mlproject.blessing.verdict import INFRA_FILE
from mlproject.execution import StepContext
from mlproject.record import FIGURES, Record
from mlproject.registry import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    KERAS_MODEL,
    OVERRIDE_TAG,
    RECIPE_TAG,
    REGISTER_TAG,
    SAMPLE_TAG,
    TRAIN_RUN_TAG,
    TRAIN_TAG,
    Column,
    Registration,
)
from mlproject.schema import SCHEMA_FILE
from mlproject.steps.bless import BLESSING_FILE, CARD_FILE
from mlproject.tracking import TAG


def run_register(ctx: StepContext) -> Mapping[str, Any]:
    """A blessed SavedModel to a version of the registered model, which becomes champion."""
    from mlproject.evaluation import METRICS_FILE
    from mlproject.training import MODEL_FOLDER

    config = ctx.project.config
    train, blessing = ctx.inputs["train"], ctx.inputs["bless"]
    ingest, schema = ctx.published("ingest"), ctx.published("schema")
    evaluate, infra = ctx.published("evaluate"), ctx.published("infra_validate")
    types = dict(read_value(ingest, "columns"))
    baseline, base = ctx.plan.baseline, ctx.plan.base_model
    keras_model = train.path / KERAS_MODEL
    version = ctx.registry.register(
        Registration(
            name=config.name,
            saved_model=train.path / MODEL_FOLDER,
            keras_model=keras_model if keras_model.exists() else None,
            evidence=(
                blessing.path / BLESSING_FILE,
                blessing.path / FIGURES / CARD_FILE,
                evaluate.path / METRICS_FILE,
                infra.path / INFRA_FILE,
                schema.path / SCHEMA_FILE,
            ),
            columns=tuple(Column(n, types[n]) for n in read_value(train, "inputs") if n in types),
            output="float list" if config.training.task == "multiclass" else "float",
            sample=config.serving.sample,
            run_id=ctx.pipeline_run_id,
            tags={
                REGISTER_TAG: ctx.step.fingerprint,
                SAMPLE_TAG: json.dumps(dict(config.serving.sample)),
                TRAIN_TAG: train.fingerprint,
                TRAIN_RUN_TAG: train.made_by,
                RECIPE_TAG: ctx.plan.recipe,
                BASE_TAG: str(base.version) if base else "",
                BASELINE_TAG: str(baseline.version) if baseline else "",
                BLESSING_TAG: blessing.value["verdict"],
                OVERRIDE_TAG: _override(blessing.value),
                f"{TAG}reasons": "; ".join(blessing.value["reasons"]),
                f"{TAG}source_digest": ctx.plan.digests.source,
                f"{TAG}module_digest": ctx.plan.digests.module,
            },
            description=config.description,
        )
    )
    before = ctx.registry.promote(version, compared_with=baseline.version if baseline else None)
    Record(
        params={"model_version": version.version},
        tags={
            f"{TAG}model": f"{config.name}/{version.version}",
            f"{TAG}previous": str(before.version) if before else "none",
        },
    ).write(ctx.out_dir)
    return {
        "name": config.name,
        "version": version.version,
        "previous": before.version if before else None,
    }


def _override(blessing: Mapping[str, Any]) -> str:
    """Who overruled the verdict, why and when; empty where nobody did."""
    override = blessing.get("override")
    if not override or override.get("effect") != "applied":
        return ""
    return f"{override['who']}, {override['when']}: {override['reason']}"
