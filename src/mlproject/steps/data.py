"""Raw data to Examples and their Statistics."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlproject.anomalies import SERVING_SPLIT
from mlproject.artifacts import read_value
from mlproject.execution import StepContext
from mlproject.project_data import ingest_request, serving_request
from mlproject.record import Dataset, Record, figures_folder
from mlproject.steps.planned import load_planned_module, must_be_planned, splits_of
from mlproject.tracking import TAG

if TYPE_CHECKING:
    from mlproject.statistics import Updater


def run_ingest(ctx: StepContext) -> Mapping[str, Any]:
    """Raw data to Examples."""
    from mlproject.examples.ingest import ingest
    from mlproject.examples.locations import as_uri

    request = ingest_request(ctx.project)
    examples = ingest(request, ctx.out_dir, ctx.rows)
    must_be_planned("data", examples.source_digest, ctx.plan.digests.source)
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
                spans={
                    str(f.span): (f.rows, f.digest)
                    for f in examples.files
                    if f.split == name and f.span is not None
                },
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
    from mlproject.profile import PIPELINE_ROWS, PROFILE_FILE, Side, write_profile
    from mlproject.statistics import StatisticsOptions, compute_statistics, read_statistics

    splits = splits_of(ctx)
    section = ctx.project.config.statistics
    options = StatisticsOptions(
        slices=section.slices,
        weight=section.weight,
        sample_rate=section.sample_rate,
        sample_rows=section.sample_rows,
    )
    examples = ctx.inputs["ingest"].path
    compute_statistics(
        examples, splits, ctx.out_dir, ctx.rows, options, _updater(ctx), ctx.settings.engine
    )
    serving = _serving_statistics(ctx)
    by_split = {s: read_statistics(ctx.out_dir, s).datasets[0] for s in (*splits, *serving)}
    feature_histograms(by_split, figures_folder(ctx.out_dir) / "feature_histograms.png")
    sides = [Side(s, read_statistics(ctx.out_dir, s), examples / f"Split-{s}") for s in splits]
    write_profile(
        figures_folder(ctx.out_dir) / PROFILE_FILE,
        f"{ctx.project.config.name}: {' against '.join(splits[:2])}",
        sides[0],
        sides[1],
        label=ctx.project.config.training.label,
        facts={"source digest": ctx.plan.digests.source},
        max_rows=PIPELINE_ROWS,
    )
    rows = statistics_table(by_split)
    Record(
        metrics={f"examples_{split}": stats.num_examples for split, stats in by_split.items()},
        tables={"statistics.json": rows},
    ).write(ctx.out_dir)
    return {
        "splits": splits,
        "features": len(by_split[splits[0]].features),
        "project": ctx.project.config.name,
        "spans": [number for number, _, _ in read_value(ctx.inputs["ingest"], "spans")],
        "serving": bool(serving),
    }


def _updater(ctx: StepContext) -> Updater | None:
    from mlproject.statistics import user_updater

    if "stats_options_updater_fn" not in ctx.plan.digests.code:
        return None
    module = load_planned_module(ctx, "stats_options_updater_fn")
    if ctx.settings.engine.is_local:
        return user_updater(module, ctx.project.module_path)
    from mlproject.engines.shipped import ShippedFunction

    path = ctx.project.module_path
    return Updater(ShippedFunction(path, "stats_options_updater_fn"), path)


def _serving_statistics(ctx: StepContext) -> tuple[str, ...]:
    """Computes the statistics of the rows seen at serving; the name of their split, if any."""
    from mlproject.examples.ingest import ingest
    from mlproject.statistics import compute_statistics

    request = serving_request(ctx.project)
    if request is None:
        return ()
    folder = ctx.out_dir / "serving-examples"
    folder.mkdir()
    examples = ingest(request, folder)
    must_be_planned("serving data", examples.source_digest, ctx.plan.digests.serving)
    compute_statistics(folder, (SERVING_SPLIT,), ctx.out_dir)
    shutil.rmtree(folder)
    return (SERVING_SPLIT,)
