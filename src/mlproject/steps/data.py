"""The steps of the data plane: raw data to transformed rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mlproject.artifacts import fingerprint, read_value
from mlproject.execution import StepContext
from mlproject.plan import STEP_VERSIONS, file_digest, ingest_request
from mlproject.record import Dataset, Record, figures_folder
from mlproject.schema import SCHEMA_FILE, feature_specs, read_schema, set_environments
from mlproject.steps.planned import load_planned_module, must_be_planned
from mlproject.tracking import TAG

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    from mlproject.transform import AnalyzerCache

ANOMALIES_FILE = "anomalies.json"


def run_ingest(ctx: StepContext) -> Mapping[str, Any]:
    """Raw data to Examples."""
    from mlproject.examples.ingest import ingest
    from mlproject.examples.locations import as_uri

    request = ingest_request(ctx.project)
    examples = ingest(request, ctx.out_dir, ctx.rows)
    must_be_planned("data", examples.source_digest, ctx.plan.source_digest)
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
        "files": [
            [f.split, f.name, f.span.number if f.span else None, f.rows, f.digest]
            for f in examples.files
        ],
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
        must_be_planned("reviewed schema", file_digest(reviewed), ctx.plan.schema_digest)
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
    from mlproject.transformed import point_to_examples

    module_path = ctx.project.module_path
    examples = ctx.inputs["ingest"].path
    engine = ctx.settings.engine
    temp = ctx.out_dir / "temp"
    schema = read_schema(ctx.inputs["schema"].path / SCHEMA_FILE)
    cache = _analyzer_cache(ctx, schema)
    analyze_examples(
        examples / "Split-train",
        schema,
        _preprocessing_fn(ctx),
        module_path,
        ctx.out_dir,
        temp,
        ctx.rows,
        engine=engine,
        cache=cache,
    )
    shutil.rmtree(temp, ignore_errors=True)
    graph = TransformGraph(ctx.out_dir / GRAPH_FOLDER)
    rows: dict[str, int] = {}
    if ctx.project.config.transform.materialize:
        ctx.note("analysed; applying the graph")
        for split in _splits(ctx):
            on_rows = partial(_tell_more_rows, ctx, sum(rows.values()))
            out = ctx.out_dir / f"Split-{split}"
            rows[split] = transform_examples(
                examples / f"Split-{split}", graph, out, module_path, on_rows, engine
            )
    else:
        point_to_examples(ctx.out_dir, examples, module_path)
    features = sorted(graph.output.transformed_feature_spec())
    Record(
        params={
            "transformed_features": len(features),
            "engine": engine.label,
            "materialized": bool(rows),
            "analyzer_cache": bool(cache),
        },
        metrics={f"rows_{split}": n for split, n in rows.items()},
        tags={f"{TAG}code": str(ctx.step.fingerprint)},
    ).write(ctx.out_dir)
    return {"rows": rows, "features": features}


def _preprocessing_fn(ctx: StepContext) -> Any:
    """The project's function; one that can travel to workers where there are any."""
    module = load_planned_module(ctx, "preprocessing_fn")
    if ctx.settings.engine.is_local:
        return module.preprocessing_fn
    from mlproject.engines.shipped import ShippedFunction

    return ShippedFunction(ctx.project.module_path, "preprocessing_fn")


def _analyzer_cache(ctx: StepContext, schema: Schema) -> AnalyzerCache | None:
    """What analyzers made of the spans before; None where the source has no spans."""
    from mlproject.transform import AnalyzerCache

    spans = {
        name: f"span-{number}-{digest[:20]}"
        for split, name, number, _, digest in read_value(ctx.inputs["ingest"], "files")
        if split == "train" and number is not None
    }
    if not spans:
        return None
    function = fingerprint(
        {
            "code": ctx.plan.code_digests["preprocessing_fn"],
            "features": sorted(map(repr, feature_specs(schema).items())),
            "version": STEP_VERSIONS["transform"],
        }
    )
    return AnalyzerCache(ctx.out_dir.parents[1] / "analyzer-cache", function, spans)


def _tell_more_rows(ctx: StepContext, done: int, more: int) -> None:
    ctx.rows(done + more)


def _splits(ctx: StepContext) -> list[str]:
    return list(ctx.inputs["ingest"].value["splits"])
