"""The step `train`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, RegistryError
from mlproject.execution import StepContext
from mlproject.progress import Event, emit
from mlproject.record import Record, figures_folder
from mlproject.registry import KERAS_DIGEST_TAG, KERAS_MODEL
from mlproject.schema import SCHEMA_FILE, read_schema
from mlproject.steps.planned import (
    hyperparameters_of,
    load_planned_module,
    read_planned_cases,
)
from mlproject.tracking import TAG

if TYPE_CHECKING:
    from mlproject.training import TrainRequest

EVAL_SPLIT = "Split-eval"


def run_train(ctx: StepContext) -> Mapping[str, Any]:
    """Transformed rows to a SavedModel."""
    from mlproject.evaluation.eval_split import check_eval_split
    from mlproject.figures import learning_curves
    from mlproject.reproduction.environment import environment_tag
    from mlproject.training import INPUTS_FILE, MODEL_FOLDER, is_chief, train_model
    from mlproject.warmup import write_warmup_requests

    config = ctx.project.config
    section = config.training
    if not is_chief(section.distribute):
        raise ConfigError(
            "This process cannot run the step 'train'",
            received="a TF_CONFIG whose task is not the chief",
            expected="the chief, or the first worker: it alone writes the artifact",
            next_step="`benison train-worker PROJECT` with this TF_CONFIG trains along",
        )
    eval_split = ctx.inputs["ingest"].path / EVAL_SPLIT
    cases = read_planned_cases(ctx)
    check_eval_split(eval_split, ctx.inputs["transform"].path, config, cases)
    with train_request(ctx) as request:
        history = train_model(
            request,
            load_planned_module(ctx, ctx.plan.digests.train_function),
            read_schema(request.schema_file),
            ctx.out_dir,
            ctx.note,
            on_progress=lambda text: emit(Event("live", ctx.step.name, text=text)),
            on_epoch=lambda metrics, epoch: ctx.tracker.log_live(ctx.run_id, metrics, epoch),
        )
    if history:
        learning_curves(history, figures_folder(ctx.out_dir) / "learning_curves.png")
    asked = write_warmup_requests(ctx.out_dir / MODEL_FOLDER, config.name, eval_split)
    params = section.model_dump(mode="json", exclude={"hyperparameters", "custom_config"})
    Record(
        params={**params, **request.hyperparameters, "warmup_requests": asked},
        curves=history,
        tags={
            f"{TAG}module_digest": ctx.plan.digests.module,
            **environment_tag(section.distribute),
        },
    ).write(ctx.out_dir)
    inputs = json.loads((ctx.out_dir / INPUTS_FILE).read_text(encoding="utf-8"))
    last = {name: values[-1] for name, values in history.items()}
    return {"epochs": len(history.get("loss", [])), "last": last, "inputs": inputs}


def train_along(ctx: StepContext) -> None:
    """Trains as a worker that is not the chief; writes nothing that is kept."""
    from mlproject.training import train_model

    with train_request(ctx) as request:
        module = load_planned_module(ctx, ctx.plan.digests.train_function)
        train_model(request, module, read_schema(request.schema_file), ctx.out_dir)


@contextmanager
def train_request(ctx: StepContext) -> Iterator[TrainRequest]:
    """What this step is to train from, with the champion's model fetched for a warm start."""
    from mlproject.training import TrainRequest

    with _base_model(ctx) as base_model:
        yield TrainRequest.from_section(
            ctx.project.config.training,
            ctx.inputs["transform"].path,
            ctx.inputs["schema"].path / SCHEMA_FILE,
            hyperparameters=hyperparameters_of(ctx),
            state_dir=ctx.state_dir,
            base_model=base_model,
        )


@contextmanager
def _base_model(ctx: StepContext) -> Iterator[Path | None]:
    """A folder with the Keras model that training begins with, or None."""
    version = ctx.plan.base_model
    if version is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        base_model = Path(folder)
        try:
            base_model = ctx.registry.download(version, KERAS_MODEL, base_model).parent
        except RegistryError as err:
            if version.tags.get(KERAS_DIGEST_TAG):  # it has one, gone or changed
                raise
            ctx.note(f"version {version.version} has no {KERAS_MODEL}: {err.received}")
        yield base_model
