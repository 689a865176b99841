"""The step `train`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlproject.errors import RegistryError
from mlproject.execution import StepContext
from mlproject.progress import Event, emit
from mlproject.record import Record, figures_folder
from mlproject.registry import KERAS_MODEL
from mlproject.schema import SCHEMA_FILE, read_schema
from mlproject.steps.planned import hyperparameters_of, load_planned_module
from mlproject.tracking import TAG

WARMUP_SPLIT = "Split-eval"


def run_train(ctx: StepContext) -> Mapping[str, Any]:
    """Transformed rows to a SavedModel."""
    from mlproject.figures import learning_curves
    from mlproject.training import INPUTS_FILE, MODEL_FOLDER, TrainRequest, train_model
    from mlproject.warmup import write_warmup_requests

    config = ctx.project.config
    section = config.training
    schema_file = ctx.inputs["schema"].path / SCHEMA_FILE
    hyperparameters = hyperparameters_of(ctx)
    with _base_model(ctx) as base_model:
        request = TrainRequest.from_section(
            section,
            ctx.inputs["transform"].path,
            schema_file,
            hyperparameters=hyperparameters,
            state_dir=ctx.state_dir,
            base_model=base_model,
        )
        history = train_model(
            request,
            load_planned_module(ctx, ctx.plan.train_function),
            read_schema(schema_file),
            ctx.out_dir,
            ctx.note,
            on_progress=lambda text: emit(Event("live", ctx.step.name, text=text)),
            on_epoch=lambda metrics, epoch: ctx.tracker.log_live(ctx.run_id, metrics, epoch),
        )
    if history:
        learning_curves(history, figures_folder(ctx.out_dir) / "learning_curves.png")
    asked = write_warmup_requests(
        ctx.out_dir / MODEL_FOLDER, config.name, ctx.inputs["ingest"].path / WARMUP_SPLIT
    )
    params = section.model_dump(
        mode="json", exclude={"hyperparameters", "custom_config", "checkpoint_steps"}
    )
    Record(
        params={**params, **hyperparameters, "warmup_requests": asked},
        curves=history,
        tags={f"{TAG}module_digest": ctx.plan.module_digest},
    ).write(ctx.out_dir)
    inputs = json.loads((ctx.out_dir / INPUTS_FILE).read_text(encoding="utf-8"))
    last = {name: values[-1] for name, values in history.items()}
    return {"epochs": len(history.get("loss", [])), "last": last, "inputs": inputs}


@contextmanager
def _base_model(ctx: StepContext) -> Iterator[Path | None]:
    """A folder with the Keras model that training begins with, or None."""
    version = ctx.plan.base_model
    if version is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            ctx.registry.download(version, KERAS_MODEL, Path(folder))
        except RegistryError as err:
            ctx.note(f"version {version.version} has no {KERAS_MODEL}: {err.received}")
        yield Path(folder)
