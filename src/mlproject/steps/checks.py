"""Statistics to a Schema, and to the Anomalies that break it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlproject.anomalies import SERVING_SPLIT
from mlproject.artifacts import read_value
from mlproject.digests import schema_digest
from mlproject.examples.spans import Span
from mlproject.execution import StepContext
from mlproject.record import Record, figures_folder
from mlproject.schema import SCHEMA_FILE, read_schema, set_environments
from mlproject.steps.planned import must_be_planned

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    from mlproject.artifacts import Artifact

ANOMALIES_FILE = "anomalies.json"


def run_schema(ctx: StepContext) -> Mapping[str, Any]:
    """Statistics to a Schema, or the reviewed one."""
    from mlproject.schema import infer_schema, write_schema
    from mlproject.statistics import read_statistics

    reviewed = ctx.project.schema_path
    if reviewed is not None:
        schema = read_schema(reviewed)
        must_be_planned("reviewed schema", schema_digest(ctx.project), ctx.plan.digests.schema)
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
    from mlproject.anomalies.bad_rows import BAD_ROWS_FILE, bad_rows_of
    from mlproject.statistics import read_statistics

    statistics = ctx.inputs["statistics"]
    section = ctx.project.config.validation
    schema = read_schema(ctx.inputs["schema"].path / SCHEMA_FILE)
    splits = read_value(statistics, "splits")
    previous, newest = _previous(ctx, statistics)
    serving = read_value(statistics, "serving")
    anomalies = validate_statistics(
        ((split, read_statistics(statistics.path, split)) for split in splits),
        schema,
        section.policy,
        section.default,
        features=section.features,
        previous=previous[0] if previous else None,
        previous_name=previous[1] if previous else "",
        newest=newest,
        serving=read_statistics(statistics.path, SERVING_SPLIT) if serving else None,
    )
    figures = figures_folder(ctx.out_dir)
    examples = ctx.inputs["ingest"].path
    bad = bad_rows_of(anomalies, examples, schema, figures / BAD_ROWS_FILE)
    rows = [vars(anomaly) for anomaly in (*anomalies.found, *anomalies.notes)]
    (ctx.out_dir / ANOMALIES_FILE).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    text = "\n".join(anomalies.reasons()) or "no anomalies"
    (figures / "anomalies.txt").write_text(text + "\n", encoding="utf-8")
    Record(
        metrics={
            "anomalies": len(anomalies.found),
            "blocked": float(anomalies.blocked),
            "bad_rows": sum(finding.count for finding in bad.findings) if bad else 0,
            **{distance.metric: distance.value for distance in anomalies.distances},
        },
        tables={
            "anomalies_table.json": rows,
            "distances.json": [vars(distance) for distance in anomalies.distances],
        },
    ).write(ctx.out_dir)
    return {
        "blocked": anomalies.blocked,
        "anomalies": len(anomalies.found),
        "reasons": anomalies.reasons(),
    }


def _previous(
    ctx: StepContext, statistics: Artifact
) -> tuple[tuple[DatasetFeatureStatisticsList, str] | None, DatasetFeatureStatisticsList | None]:
    """What drift is measured from, with a name for it; and the newest span's statistics."""
    from mlproject.statistics import read_statistics

    spans = read_value(statistics, "spans")
    if len(spans) > 1:
        before = read_statistics(statistics.path, "train", spans[-2])
        return (before, _named(ctx, spans[-2])), read_statistics(
            statistics.path, "train", spans[-1]
        )
    earlier = ctx.plan.previous
    if earlier is None:
        return None, None
    number = earlier.value["spans"][-1]
    several = len(earlier.value["spans"]) > 1
    before = read_statistics(earlier.path, "train", number if several else None)
    return (before, _named(ctx, number)), None


def _named(ctx: StepContext, number: int) -> str:
    return f"span {Span(number, dated=ctx.plan.spans[0].dated)}"
