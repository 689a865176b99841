"""Examples to a TransformGraph and transformed rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mlproject.artifacts import fingerprint, read_value
from mlproject.chain import STEP_VERSIONS
from mlproject.execution import StepContext
from mlproject.record import Record
from mlproject.schema import SCHEMA_FILE, feature_specs, read_schema
from mlproject.steps.planned import load_planned_module, splits_of
from mlproject.tracking import TAG

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    from mlproject.transform import AnalyzerCache


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
        for split in splits_of(ctx):
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
            "code": ctx.plan.digests.code["preprocessing_fn"],
            "features": sorted(map(repr, feature_specs(schema).items())),
            "version": STEP_VERSIONS["transform"],
        }
    )
    return AnalyzerCache(ctx.out_dir.parents[1] / "analyzer-cache", function, spans)


def _tell_more_rows(ctx: StepContext, done: int, more: int) -> None:
    ctx.rows(done + more)
