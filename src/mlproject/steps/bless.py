"""The step `bless`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlproject.blessing import Blessing, Override, bless, blessing_page
from mlproject.execution import StepContext
from mlproject.record import Record, figures_folder
from mlproject.registry import BLESSING_TAG
from mlproject.steps.about import about_candidate
from mlproject.tracking import TAG

BLESSING_FILE = "blessing.json"
PAGE_FILE = "blessing.md"
REPORT_FILE = "evaluation_report.html"
CARD_FILE, CARD_PAGE_FILE = "model_card.md", "model_card.html"


def run_bless(ctx: StepContext) -> Mapping[str, Any]:
    """Metrics, cases and the trial in a server to a verdict, with the texts that tell of it."""
    from mlproject.cases import read_results
    from mlproject.evaluation import read_differences, read_metrics
    from mlproject.evaluation.mlflow_results import mlflow_evaluation

    evaluate, infra = ctx.inputs["evaluate"], ctx.inputs.get("infra_validate")
    rows, differences = read_metrics(evaluate.path), read_differences(evaluate.path)
    blessing = bless(
        rows,
        differences,
        ctx.project.config.evaluation,
        read_results(evaluate.path),
        infra.value if infra else None,
        ctx.plan.override,
        compared=ctx.plan.baseline is not None,
    )
    full = blessing.as_value()
    (ctx.out_dir / BLESSING_FILE).write_text(json.dumps(full, indent=1), encoding="utf-8")
    figures = figures_folder(ctx.out_dir)
    (figures / PAGE_FILE).write_text(blessing_page(blessing), encoding="utf-8")
    # The checks stand in the file; the value goes into tags and other steps' hands.
    value = {name: part for name, part in full.items() if name != "checks"}
    _write_reports(ctx, value, infra.value if infra else None, figures)
    Record(
        metrics={"blessed": float(blessing.blessed)},
        tags=blessing_tags(blessing, ctx.plan.override),
        evaluation=asdict(mlflow_evaluation(rows, ctx.project.config.evaluation)),
    ).write(ctx.out_dir)
    return value


def blessing_tags(blessing: Blessing, override: Override | None) -> dict[str, str]:
    """The tags of the step's MLflow run."""
    tags = {
        BLESSING_TAG: blessing.verdict,
        f"{TAG}reasons": "; ".join(blessing.reasons),
    }
    if override is not None:
        tags |= {
            f"{TAG}override": f"{blessing.override_effect}, {override}",
            f"{TAG}without_override": blessing.without_override,
        }
    return tags


def _write_reports(
    ctx: StepContext, value: Mapping[str, Any], infra: Mapping[str, Any] | None, figures: Path
) -> None:
    from mlproject.report import (
        model_card,
        report_from_artifacts,
        write_evaluation_report,
    )

    about = about_candidate(ctx)
    report = report_from_artifacts(ctx.inputs["evaluate"].path, value, infra, about)
    write_evaluation_report(report, figures / REPORT_FILE)
    section = ctx.project.config.model_card
    card = model_card(section, about, report.rows, value, report.differences)
    (figures / CARD_FILE).write_text(card.markdown(), encoding="utf-8")
    (figures / CARD_PAGE_FILE).write_text(card.html(), encoding="utf-8")
