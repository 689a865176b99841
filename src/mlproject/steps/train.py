"""The step `train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.execution import StepContext
from mlproject.record import Record, figures_folder
from mlproject.schema import SCHEMA_FILE, read_schema
from mlproject.steps.planned import load_planned_module
from mlproject.tracking import TAG


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
