"""The step `evaluate`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.evaluation import (
    PREDICTIONS_FILE,
    logged_metrics,
    overall_values,
    wide_table,
    write_differences,
    write_metrics,
)
from mlproject.execution import StepContext
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, metric_names
from mlproject.project_checks import METRICS_FUNCTION
from mlproject.record import Record, figures_folder
from mlproject.registry import SAVED_MODEL
from mlproject.steps.planned import load_planned_module, read_planned_cases

if TYPE_CHECKING:
    import numpy as np

    from mlproject.cases import CaseResult, Cases
    from mlproject.evaluation.measure import Measured
    from mlproject.evaluation.predictions import Predictions
    from mlproject.explanation.importance import Importance
    from mlproject.metrics.custom import CustomMetrics
    from mlproject.saved_model import Predict

CASE_ROWS = 1_000
METHOD = "paired bootstrap, Poisson(1) weights"


def run_evaluate(ctx: StepContext) -> Mapping[str, Any]:
    """Candidate, and champion if there is one, to metrics by slice."""
    from mlproject.evaluation.measure import MeasureRequest, measure

    config = ctx.project.config
    section, task = config.evaluation, config.training.task
    custom, cases = _custom_metrics(ctx), read_planned_cases(ctx)  # first: they fail in no time
    baseline = ctx.plan.baseline
    predictions, results, importance = _ask_models(ctx, cases)
    models = (CANDIDATE, CHAMPION) if baseline else (CANDIDATE,)
    measured = measure(predictions, models, MeasureRequest(task, section, custom, ctx.note))
    write_metrics(measured.rows, ctx.out_dir)
    write_differences(measured.differences, ctx.out_dir)
    labels = predictions.labels
    _draw(ctx, labels, {model: predictions.of(model) for model in models}, measured)
    table = wide_table(measured.rows)
    Record(
        params={
            "baseline": baseline.version if baseline else "none",
            "task": task,
            "intervals": METHOD,
            **{n: getattr(section, n) for n in ("confidence", "resamples", "seed")},
        },
        metrics=logged_metrics(measured.rows, measured.differences),
        predictions=PREDICTIONS_FILE,
        tables={
            "metrics_by_slice.json": table,
            "differences_by_slice.json": [asdict(d) for d in measured.differences],
            "importance.json": [asdict(i) for i in importance],
            "cases.json": [asdict(r) for r in results],
        },
    ).write(ctx.out_dir)
    return {
        "overall": overall_values(measured.rows),
        "examples": len(labels),
        "baseline": baseline.version if baseline else None,
        "table": table,
        "task": task,
    }


def _custom_metrics(ctx: StepContext) -> CustomMetrics:
    from mlproject.metrics.custom import CustomMetrics, load_custom_metrics

    declared = tuple(ctx.project.config.evaluation.custom_metrics)
    path = ctx.project.module_path
    if not declared:
        return CustomMetrics()
    return load_custom_metrics(load_planned_module(ctx, METRICS_FUNCTION), path, declared)


def _ask_models(
    ctx: StepContext, cases: Cases | None
) -> tuple[Predictions, Sequence[CaseResult], Sequence[Importance]]:
    """All that models are loaded for: every eval row, the cases, the worth of each feature."""
    from mlproject.evaluation.labels import read_labels
    from mlproject.evaluation.predictions import Predictions
    from mlproject.evaluation.scoring import ScoreRequest, open_models, score_examples
    from mlproject.evaluation.slicing import plan_slices
    from mlproject.training import MODEL_FOLDER

    config = ctx.project.config
    split, file = ctx.inputs["ingest"].path / "Split-eval", ctx.out_dir / PREDICTIONS_FILE
    label, task = config.training.label, config.training.task
    labels = read_labels(ctx.inputs["transform"].path, label, task)
    slicing = plan_slices(split, config.evaluation.slices, config.evaluation.buckets)
    folders = {CANDIDATE: ctx.inputs["train"].path / MODEL_FOLDER}
    fetched = ctx.out_dir / CHAMPION
    if ctx.plan.baseline is not None:
        fetched.mkdir()
        folders[CHAMPION] = ctx.registry.download(ctx.plan.baseline, SAVED_MODEL, fetched)
    with open_models(folders) as models:
        score_examples(ScoreRequest(split, models, label, labels, task, slicing), file, ctx.rows)
        results = _check_cases(ctx, cases, models[CANDIDATE], split)
        importance = _importance(ctx, models[CANDIDATE], split, labels)
    shutil.rmtree(fetched, ignore_errors=True)
    return Predictions(file, slicing), results, importance


def _check_cases(
    ctx: StepContext, cases: Cases | None, predict: Predict, split: Path
) -> Sequence[CaseResult]:
    from mlproject.cases import check_cases, write_results
    from mlproject.evaluation.sample import sample_rows

    if cases is None:
        return ()
    config = ctx.project.config
    rows, _ = sample_rows(split, CASE_ROWS, config.evaluation.seed)
    results = check_cases(cases, predict, rows, config.training.task)
    write_results(results, ctx.out_dir)
    return results


def _importance(
    ctx: StepContext, predict: Predict, split: Path, labels: np.ndarray
) -> Sequence[Importance]:
    from mlproject.evaluation.sample import sample_rows
    from mlproject.explanation.importance import permutation_importance, write_importance
    from mlproject.figures.importance import importance_bars

    section, task = ctx.project.config.evaluation, ctx.project.config.training.task
    if not section.importance_rows:
        return ()
    rows, numbers = sample_rows(split, section.importance_rows, section.seed)
    main = metric_names(task)[0]
    found = permutation_importance(predict, rows, labels[numbers], task, main, section.seed)
    write_importance(found, ctx.out_dir)
    if any(each.drop is not None for each in found):
        importance_bars(found, main, figures_folder(ctx.out_dir) / "importance.png")
    return found


def _draw(
    ctx: StepContext, labels: np.ndarray, predictions: Mapping[str, np.ndarray], measured: Measured
) -> None:
    from mlproject.blessing.change_thresholds import higher_is_better, loss_allowed
    from mlproject.figures.evaluation import evaluation_figures

    config = ctx.project.config
    section, task = config.evaluation, config.training.task
    required = {
        metric: bound.min if bound.min is not None else bound.max
        for metric, bounds in section.value_thresholds.items()
        for bound in bounds
        if OVERALL in bound.slices
    }
    champion = overall_values(measured.rows)
    allowed = {
        metric: loss_allowed(bound, champion[f"{CHAMPION}_{metric}"])
        for metric, bounds in section.change_thresholds.items()
        for bound in bounds
        if OVERALL in bound.slices and f"{CHAMPION}_{metric}" in champion
    }
    better = {m: higher_is_better(m, section) for m in {row.metric for row in measured.rows}}
    evaluation_figures(
        task,
        labels,
        predictions,
        measured.rows,
        measured.differences,
        metric_names(task)[0],
        figures_folder(ctx.out_dir),
        allowed,
        {metric: bound for metric, bound in required.items() if bound is not None},
        {metric: higher for metric, higher in better.items() if higher is not None},
    )
