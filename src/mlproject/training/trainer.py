"""Trains with the project's module file, and exports what was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlproject.record import FIGURES
from mlproject.saved_model import load_test
from mlproject.training.at_serving import at_serving, check_inputs_have_names
from mlproject.training.cluster import is_chief
from mlproject.training.export import KERAS_FILE, MODEL_FOLDER, export_model, outside_strategy
from mlproject.training.fn_args import FnArgs
from mlproject.training.model_checks import check_is_model, features_must_match_inputs
from mlproject.training.request import TrainRequest
from mlproject.training.strategy import Devices, training_on
from mlproject.training_data import DataAccessor
from mlproject.transform import GRAPH_FOLDER
from mlproject.user_module import call_user_function, translate_full_disk

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    from mlproject.training.progress import Listeners

HISTORY_FILE = "history.json"
INPUTS_FILE = "inputs.json"
TENSORBOARD_FOLDER = f"{FIGURES}/tensorboard"


@dataclass(frozen=True)
class Fitted:
    """What a training gave.

    Attributes:
        model: The Keras model; None where `run_fn` wrote a SavedModel by itself.
        history: Metric -> value by epoch.
    """

    model: Any
    history: dict[str, list[float]]


@translate_full_disk("Training the model")
def train_model(
    request: TrainRequest,
    module: ModuleType,
    schema: Schema,
    out_dir: Path,
    on_note: Callable[[str], None] | None = None,
    *,
    on_progress: Callable[[str], None] | None = None,
    on_epoch: Callable[[Mapping[str, float], int], None] | None = None,
) -> dict[str, list[float]]:
    """Trains a model and exports it with the transform graph inside.

    Args:
        request: What to train from.
        module: The loaded module file.
        schema: The raw schema.
        out_dir: Folder to write the artifact in.
        on_note: Told a line at each epoch's end, and what else is to be said.
        on_progress: Told a line twice a second at most, within epochs.
        on_epoch: Told the metrics of each epoch, and its number from 0.

    Returns:
        Keras's history: metric -> value by epoch; empty if `run_fn` did not use the callbacks.

    Raises:
        UserModuleError: The module's function raised, gave no model that can be trained and
            served, or trained to a loss that is NaN or infinite.
        DataError: The label is not among the transformed columns.
        ConfigError: The device, the strategy or a hyperparameter is wrong, or no model can have
            an input of a raw feature's name.
        StorageError: The disk is full.
    """
    from mlproject.training.progress import Listeners

    chief = is_chief(request.distribute)
    logs = (request.state_dir or out_dir / FIGURES) / "tensorboard" if chief else None
    fitted = fit_model(
        request,
        module,
        out_dir,
        Listeners(on_note, on_progress, on_epoch) if chief else Listeners(),
        tensorboard_dir=logs,
    )
    if not chief:
        return fitted.history
    if logs is not None and logs.is_dir() and logs != out_dir / TENSORBOARD_FOLDER:
        shutil.copytree(logs, out_dir / TENSORBOARD_FOLDER)
    module_path = Path(str(module.__file__))
    export_model(fitted.model, request, schema, out_dir, module_path, on_note)
    inputs = load_test(out_dir / MODEL_FOLDER)
    (out_dir / INPUTS_FILE).write_text(json.dumps(inputs), encoding="utf-8")
    (out_dir / HISTORY_FILE).write_text(json.dumps(fitted.history), encoding="utf-8")
    return fitted.history


def fit_model(
    request: TrainRequest,
    module: ModuleType,
    out_dir: Path,
    listeners: Listeners,
    callbacks: Sequence[Any] = (),
    tensorboard_dir: Path | None = None,
) -> Fitted:
    """Trains a model and exports nothing.

    Args:
        request: What to train from.
        module: The loaded module file.
        out_dir: Folder for `model_run/`, and for what a `run_fn` writes by itself.
        listeners: Who is told of the progress.
        callbacks: Further Keras callbacks.
        tensorboard_dir: Where TensorBoard's logs go; None for none.

    Raises:
        PlatformError: As `train_model` does.
    """
    from mlproject.training.determinism import deterministic
    from mlproject.training.progress import Progress

    module_path = Path(str(module.__file__))
    (out_dir / "model_run").mkdir(parents=True)
    with (
        deterministic(request.seed),
        training_on(request.distribute, request.device, request.mixed_precision) as devices,
    ):
        accessor = DataAccessor(
            request.transformed_dir, request.label, request.seed, devices.replicas
        )
        accessor.check_label()
        check_inputs_have_names(request, module, listeners)
        progress = Progress(listeners)
        every = _callbacks(
            request, module_path, accessor, progress, callbacks, tensorboard_dir, listeners
        )
        fn_args = _fn_args(request, accessor, out_dir, every)
        if hasattr(module, "run_fn"):
            with devices.scope(), features_must_match_inputs():
                model = call_user_function(module.run_fn, module_path, fn_args)
            if model is not None:
                expected = "a keras.Model, or None after writing to fn_args.serving_model_dir"
                check_is_model(model, "run_fn", module_path.name, expected)
        else:
            model = _build_and_fit(request, module, fn_args, devices, listeners)
        return Fitted(outside_strategy(model, devices), dict(progress.history))


def _build_and_fit(
    request: TrainRequest,
    module: ModuleType,
    fn_args: FnArgs,
    devices: Devices,
    listeners: Listeners,
) -> Any:
    from mlproject.training.fit import build, fit, warm_start

    with devices.scope():
        model = build(module, fn_args)
        if request.base_model is not None:
            said = warm_start(model, request.base_model, module, fn_args)
            if listeners.on_note is not None:
                listeners.on_note(said)
        fit(model, request, module, fn_args, at_serving(request).outputs)
    return model


def _callbacks(
    request: TrainRequest,
    module_path: Path,
    accessor: DataAccessor,
    progress: Any,
    more: Sequence[Any],
    tensorboard_dir: Path | None,
    listeners: Listeners,
) -> list[Any]:
    """The callbacks of a `fit`; the order counts: checkpoints keep what those before them left."""
    import keras

    from mlproject.training.loss_guard import LossGuard
    from mlproject.training.resume import Resume
    from mlproject.training.stopping import EarlyStopping

    section = request.early_stopping
    stopping = None if section is None else EarlyStopping(section)
    every = [LossGuard(module_path.name), progress, *more]
    if stopping is not None:
        every.append(stopping)
    if tensorboard_dir is not None:
        every.append(keras.callbacks.TensorBoard(str(tensorboard_dir), write_graph=False))
    if request.state_dir is not None:
        every.append(
            Resume(
                request.state_dir,
                request.checkpoint_steps,
                accessor,
                progress.history,
                stopping,
                writes=is_chief(request.distribute),
                on_note=listeners.on_note,
            )
        )
    return every


def _fn_args(
    request: TrainRequest, accessor: DataAccessor, out_dir: Path, callbacks: list[Any]
) -> FnArgs:
    base = None if request.base_model is None else request.base_model / KERAS_FILE
    return FnArgs(
        data_accessor=accessor,
        train_files=accessor.files("train"),
        eval_files=accessor.files("eval"),
        train_steps=request.train_steps,
        eval_steps=request.eval_steps,
        hyperparameters=dict(request.hyperparameters),
        schema_path=str(request.schema_file),
        transform_graph_path=str(request.transformed_dir / GRAPH_FOLDER),
        serving_model_dir=str(out_dir / MODEL_FOLDER),
        eval_model_dir=str(out_dir / "model_run" / "eval_model"),
        model_run_dir=str(out_dir / "model_run"),
        label=request.label,
        seed=request.seed,
        task=request.task,
        base_model=str(base) if base is not None and base.exists() else None,
        custom_config=dict(request.custom_config),
        callbacks=callbacks,
    )
