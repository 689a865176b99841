"""The steps from raw data to a registered model: configuration and inputs to one call each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from mlproject.artifacts import read_value
from mlproject.blessing import bless
from mlproject.errors import DataError
from mlproject.execution import StepContext, StepFunction
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL
from mlproject.plan import file_digest, ingest_request
from mlproject.reach import reach_digest
from mlproject.record import Dataset, Record, figures_folder
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
from mlproject.schema import SCHEMA_FILE, read_schema, set_environments
from mlproject.tracking import TAG
from mlproject.user_module import load_module, read_module

BLESSING_FILE = "blessing.json"
ANOMALIES_FILE = "anomalies.json"


def run_ingest(ctx: StepContext) -> Mapping[str, Any]:
    """Raw data to Examples."""
    from mlproject.examples.ingest import ingest
    from mlproject.examples.locations import as_uri

    request = ingest_request(ctx.project)
    examples = ingest(request, ctx.out_dir, ctx.rows)
    _must_be_planned("data", examples.source_digest, ctx.plan.source_digest)
    digests = dict(examples.split_digests)
    uris = dict(ctx.plan.source_uris)
    skipped = examples.skipped
    if skipped.count:
        ctx.note(f"{skipped.count} files were passed over, first {skipped.named[0][0]}")
    Record(
        params={
            "splits": ", ".join(dict(examples.splits)),
            "columns": len(examples.columns),
            "spans": ", ".join(map(str, examples.spans)) or "none",
        },
        metrics={
            **{f"rows_{name}": rows for name, rows in examples.splits},
            "skipped_files": skipped.count,
        },
        tags={f"{TAG}source_digest": examples.source_digest},
        tables={
            "skipped_files.json": [{"file": file, "reason": why} for file, why in skipped.named]
        }
        if skipped.count
        else {},
        datasets=tuple(
            Dataset(
                name=f"{ctx.project.config.name}-{name}",
                uri=as_uri(uris.get(name) or uris.get(None, "")),
                digest=digests[name],
                rows=rows,
                context=name,
                columns=dict(examples.columns),
            )
            for name, rows in examples.splits
        ),
    ).write(ctx.out_dir)
    return {
        "columns": [list(c) for c in examples.columns],
        "splits": dict(examples.splits),
        "split_digests": digests,
        "source_digest": examples.source_digest,
        "spans": [[span.number, span.version, span.dated] for span in examples.spans],
        "span_rows": {name: list(rows) for name, rows in examples.span_rows},
        "skipped_files": skipped.count,
    }


def run_statistics(ctx: StepContext) -> Mapping[str, Any]:
    """Examples to Statistics."""
    from mlproject.figures import feature_histograms, statistics_table
    from mlproject.statistics import compute_statistics, read_statistics

    splits = _splits(ctx)
    compute_statistics(ctx.inputs["ingest"].path, splits, ctx.out_dir, ctx.rows)
    by_split = {s: read_statistics(ctx.out_dir, s).datasets[0] for s in splits}
    feature_histograms(by_split, figures_folder(ctx.out_dir) / "feature_histograms.png")
    rows = statistics_table(by_split)
    Record(
        metrics={f"examples_{split}": stats.num_examples for split, stats in by_split.items()},
        tables={"statistics.json": rows},
    ).write(ctx.out_dir)
    return {"splits": splits, "features": len(by_split[splits[0]].features)}


def run_schema(ctx: StepContext) -> Mapping[str, Any]:
    """Statistics to a Schema, or the reviewed one."""
    from mlproject.schema import infer_schema, write_schema
    from mlproject.statistics import read_statistics

    reviewed = ctx.project.schema_path
    if reviewed is not None:
        schema = read_schema(reviewed)
        _must_be_planned("reviewed schema", file_digest(reviewed), ctx.plan.schema_digest)
    else:
        statistics = ctx.inputs["statistics"]
        schema = infer_schema(
            read_statistics(statistics.path, s) for s in statistics.value["splits"]
        )
    schema = set_environments(schema, ctx.project.config.schema_.training_only)
    write_schema(schema, ctx.out_dir)
    shutil.copy(ctx.out_dir / SCHEMA_FILE, figures_folder(ctx.out_dir) / SCHEMA_FILE)
    origin = "reviewed" if reviewed else "inferred"
    Record(params={"schema": origin, "features": len(schema.feature)}).write(ctx.out_dir)
    return {"origin": origin, "features": len(schema.feature)}


def run_validate(ctx: StepContext) -> Mapping[str, Any]:
    """Statistics and Schema to Anomalies."""
    from mlproject.anomalies import validate_statistics
    from mlproject.statistics import read_statistics

    statistics = ctx.inputs["statistics"]
    section = ctx.project.config.validation
    anomalies = validate_statistics(
        ((s, read_statistics(statistics.path, s)) for s in statistics.value["splits"]),
        read_schema(ctx.inputs["schema"].path / SCHEMA_FILE),
        section.policy,
        section.default,
    )
    rows = [vars(anomaly) for anomaly in anomalies.found]
    (ctx.out_dir / ANOMALIES_FILE).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    text = "\n".join(anomalies.reasons()) or "no anomalies"
    (figures_folder(ctx.out_dir) / "anomalies.txt").write_text(text + "\n", encoding="utf-8")
    Record(
        metrics={"anomalies": len(rows), "blocked": float(anomalies.blocked)},
        tables={"anomalies_table.json": rows},
    ).write(ctx.out_dir)
    return {
        "blocked": anomalies.blocked,
        "anomalies": len(rows),
        "reasons": anomalies.reasons(),
    }


def run_transform(ctx: StepContext) -> Mapping[str, Any]:
    """Examples to a TransformGraph and transformed rows."""
    from mlproject.transform import (
        GRAPH_FOLDER,
        TransformGraph,
        analyze_examples,
        transform_examples,
    )

    module = _load_planned_module(ctx, "preprocessing_fn")
    module_path = ctx.project.module_path
    examples = ctx.inputs["ingest"].path
    temp = ctx.out_dir / "temp"
    analyze_examples(
        examples / "Split-train",
        read_schema(ctx.inputs["schema"].path / SCHEMA_FILE),
        module.preprocessing_fn,
        module_path,
        ctx.out_dir,
        temp,
        ctx.rows,
    )
    shutil.rmtree(temp, ignore_errors=True)
    ctx.note("analysed; applying the graph")
    graph = TransformGraph(ctx.out_dir / GRAPH_FOLDER)
    rows: dict[str, int] = {}
    for split in _splits(ctx):
        done = sum(rows.values())
        on_rows = partial(_tell_more_rows, ctx, done)
        out = ctx.out_dir / f"Split-{split}"
        rows[split] = transform_examples(
            examples / f"Split-{split}", graph, out, module_path, on_rows
        )
    features = sorted(graph.output.transformed_feature_spec())
    Record(
        params={"transformed_features": len(features)},
        metrics={f"rows_{split}": n for split, n in rows.items()},
        tags={f"{TAG}code": str(ctx.step.fingerprint)},
    ).write(ctx.out_dir)
    return {"rows": rows, "features": features}


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
        _load_planned_module(ctx, "run_fn"),
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


FUNCTIONS: Mapping[str, StepFunction] = {
    "ingest": run_ingest,
    "statistics": run_statistics,
    "schema": run_schema,
    "validate": run_validate,
    "transform": run_transform,
    "train": run_train,
    "evaluate": run_evaluate,
    "bless": run_bless,
    "register": run_register,
}


def _tell_more_rows(ctx: StepContext, done: int, more: int) -> None:
    ctx.rows(done + more)


def _load_planned_module(ctx: StepContext, function: str) -> ModuleType:
    """The module file, if a function of it still reaches the code that was planned with."""
    source = read_module(ctx.project.module_path)
    now = reach_digest(source, (function,))
    _must_be_planned("module file", now, ctx.plan.code_digests[function])
    return load_module(source)


def _must_be_planned(what: str, now: str, planned: str | None) -> None:
    """Refuses what changed since the plan: it must not be published under the old fingerprint."""
    if now != planned:
        raise DataError(
            f"The {what} changed while the run was going on",
            received=f"digest {now[:12]}, and {(planned or '')[:12]} when the run was planned",
            next_step="run again: what is finished and unchanged is kept",
        )


def _splits(ctx: StepContext) -> list[str]:
    return list(ctx.inputs["ingest"].value["splits"])


def _overall_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    return {n: row[n] for n in ("auc", "accuracy", "log_loss") if row[n] is not None}
