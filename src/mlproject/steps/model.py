"""The steps from transformed rows to a registered model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from mlproject.artifacts import read_value
from mlproject.blessing import bless
from mlproject.execution import StepContext
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL
from mlproject.record import Record, figures_folder
from mlproject.registry import (
    BASELINE_TAG,
    BLESSING_TAG,
    REGISTER_TAG,
    SAMPLE_TAG,
    SAVED_MODEL,
    TRAIN_RUN_TAG,
    TRAIN_TAG,
    Column,
    Registration,
)
from mlproject.schema import SCHEMA_FILE, read_schema
from mlproject.steps.planned import load_planned_module
from mlproject.tracking import TAG

BLESSING_FILE = "blessing.json"


def run_train(ctx: StepContext) -> Mapping[str, Any]:
    """Transformed rows to a SavedModel."""
    from mlproject.figures import learning_curves
    from mlproject.training import INPUTS_FILE, TrainRequest, train_model

    section = ctx.project.config.training
    schema_file = ctx.inputs["schema"].path / SCHEMA_FILE
    history = train_model(
        TrainRequest(
            transformed_dir=ctx.inputs["transform"].path,
            schema_file=schema_file,
            label=section.label,
            hyperparameters=section.hyperparameters,
            seed=section.seed,
            train_steps=section.train_steps,
            eval_steps=section.eval_steps,
        ),
        load_planned_module(ctx, "run_fn"),
        read_schema(schema_file),
        ctx.out_dir,
        ctx.note,
    )
    if history:
        learning_curves(history, figures_folder(ctx.out_dir) / "learning_curves.png")
    Record(
        params={"seed": section.seed, "label": section.label, **section.hyperparameters},
        curves=history,
        tags={f"{TAG}module_digest": ctx.plan.module_digest},
    ).write(ctx.out_dir)
    inputs = json.loads((ctx.out_dir / INPUTS_FILE).read_text(encoding="utf-8"))
    last = {name: values[-1] for name, values in history.items()}
    return {"epochs": len(history.get("loss", [])), "last": last, "inputs": inputs}


def run_evaluate(ctx: StepContext) -> Mapping[str, Any]:
    """Candidate, and champion if there is one, to metrics by slice."""
    from mlproject.evaluation import compute_metrics, score_examples, write_evaluation
    from mlproject.figures import roc_and_pr, score_distribution, slice_bars
    from mlproject.training import MODEL_FOLDER

    config = ctx.project.config
    models = {CANDIDATE: ctx.inputs["train"].path / MODEL_FOLDER}
    fetched = ctx.out_dir / "champion"
    baseline = ctx.plan.baseline
    if baseline is not None:
        fetched.mkdir()
        models[CHAMPION] = ctx.registry.download(baseline, SAVED_MODEL, fetched)
    scored = score_examples(
        ctx.inputs["ingest"].path,
        ctx.inputs["transform"].path,
        config.training.label,
        models,
        config.evaluation.slices,
        ctx.rows,
    )
    shutil.rmtree(fetched, ignore_errors=True)
    rows = compute_metrics(scored, config.evaluation.min_slice_examples)
    write_evaluation(rows, scored, ctx.out_dir)
    figures = figures_folder(ctx.out_dir)
    roc_and_pr(scored.labels, scored.scores, figures / "roc_and_pr.png")
    score_distribution(scored.labels, scored.scores[CANDIDATE], figures / "scores.png")
    table = [vars(row) for row in rows]
    slice_bars(table, "auc", figures / "auc_by_slice.png")
    overall = {row.model: row for row in rows if row.slice == OVERALL}
    metrics = _overall_metrics(vars(overall[CANDIDATE]))
    if CHAMPION in overall:
        champion = _overall_metrics(vars(overall[CHAMPION]))
        metrics |= {f"{CHAMPION}_{name}": value for name, value in champion.items()}
    Record(
        params={"baseline": baseline.version if baseline else "none"},
        metrics=metrics,
        tables={"metrics_by_slice.json": table},
    ).write(ctx.out_dir)
    return {
        "overall": metrics,
        "examples": len(scored.labels),
        "baseline": baseline.version if baseline else None,
        "table": table,
    }


def run_bless(ctx: StepContext) -> Mapping[str, Any]:
    """Metrics to a verdict."""
    from mlproject.evaluation import read_metrics

    rows = read_metrics(ctx.inputs["evaluate"].path)
    blessing = bless(rows, ctx.project.config.evaluation)
    value = {"verdict": blessing.verdict, "reasons": list(blessing.reasons)}
    (ctx.out_dir / BLESSING_FILE).write_text(json.dumps(value, indent=1), encoding="utf-8")
    text = "\n".join([blessing.verdict, "", *(f"- {reason}" for reason in blessing.reasons)])
    (figures_folder(ctx.out_dir) / "blessing.md").write_text(text + "\n", encoding="utf-8")
    Record(
        metrics={"blessed": float(blessing.blessed)},
        tags={BLESSING_TAG: blessing.verdict, f"{TAG}reasons": "; ".join(blessing.reasons)},
    ).write(ctx.out_dir)
    return value


def run_register(ctx: StepContext) -> Mapping[str, Any]:
    """A blessed SavedModel to a version of the registered model, which becomes champion."""
    from mlproject.evaluation import METRICS_FILE
    from mlproject.training import MODEL_FOLDER

    config = ctx.project.config
    train, blessing = ctx.inputs["train"], ctx.inputs["bless"]
    store = train.path.parents[1]
    steps = {s.name: store / s.name / s.fingerprint for s in ctx.plan.steps}
    schema_file = steps["schema"] / SCHEMA_FILE
    ingest = json.loads((steps["ingest"] / "artifact.json").read_text(encoding="utf-8"))["value"]
    types = dict(ingest["columns"])
    baseline = ctx.plan.baseline
    version = ctx.registry.register(
        Registration(
            name=config.name,
            saved_model=train.path / MODEL_FOLDER,
            evidence=(
                blessing.path / BLESSING_FILE,
                steps["evaluate"] / METRICS_FILE,
                schema_file,
            ),
            columns=tuple(Column(n, types[n]) for n in read_value(train, "inputs") if n in types),
            sample=config.serving.sample,
            run_id=ctx.pipeline_run_id,
            tags={
                REGISTER_TAG: ctx.step.fingerprint,
                SAMPLE_TAG: json.dumps(dict(config.serving.sample)),
                TRAIN_TAG: train.fingerprint,
                TRAIN_RUN_TAG: train.made_by,
                BASELINE_TAG: str(baseline.version) if baseline else "",
                BLESSING_TAG: blessing.value["verdict"],
                f"{TAG}reasons": "; ".join(blessing.value["reasons"])[:5000],
                f"{TAG}source_digest": ctx.plan.source_digest,
                f"{TAG}module_digest": ctx.plan.module_digest,
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


def _overall_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    return {n: row[n] for n in ("auc", "accuracy", "log_loss") if row[n] is not None}
