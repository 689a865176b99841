"""The step `evaluate`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from mlproject.execution import StepContext
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL
from mlproject.record import Record, figures_folder
from mlproject.registry import SAVED_MODEL


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


def _overall_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    return {n: row[n] for n in ("auc", "accuracy", "log_loss") if row[n] is not None}
