"""The step `bless`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.blessing import bless
from mlproject.execution import StepContext
from mlproject.record import Record, figures_folder
from mlproject.registry import BLESSING_TAG
from mlproject.tracking import TAG

BLESSING_FILE = "blessing.json"


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
