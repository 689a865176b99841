"""The Trainer: calls the project's `run_fn` and exports what it trained.

The artifact:

    saved_model/          what is registered and served (see saved_model.py)
    model_run/            the project's own files (`fn_args.model_run_dir`)
    history.json          Keras's history: metric -> value by epoch
    inputs.json           the raw features that the served model takes
    figures/              learning curves
"""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mlproject.errors import UserModuleError
from mlproject.saved_model import export_saved_model, load_test
from mlproject.training_data import DataAccessor
from mlproject.transform import GRAPH_FOLDER, TransformGraph
from mlproject.user_module import call_user_function, translate_full_disk

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

MODEL_FOLDER = "saved_model"
HISTORY_FILE = "history.json"
INPUTS_FILE = "inputs.json"


@dataclass(frozen=True)
class FnArgs:
    """What a project's `run_fn` gets; the names are TFX's where TFX has one.

    Attributes:
        data_accessor: Transformed rows as `tf.data.Dataset` (`tf_dataset(split, batch_size)`).
        train_files: Parquet files of the transformed train split.
        eval_files: Parquet files of the transformed eval split.
        train_steps: Steps of training that project.yaml asks for, or None.
        eval_steps: Steps of validation, or None for the whole split.
        hyperparameters: The free names and values of project.yaml.
        schema_path: The raw schema.
        transform_graph_path: The transform graph, for `tft.TFTransformOutput`.
        serving_model_dir: Where a `run_fn` that exports by itself writes its SavedModel.
        model_run_dir: A folder for the project's own files, kept with the artifact.
        label: Name of the label.
        seed: The project's seed; Python, NumPy and TensorFlow are already seeded with it.
        callbacks: Keras callbacks for progress and learning curves; pass them to `fit`.
    """

    data_accessor: DataAccessor
    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    train_steps: int | None
    eval_steps: int | None
    hyperparameters: Mapping[str, Any]
    schema_path: str
    transform_graph_path: str
    serving_model_dir: str
    model_run_dir: str
    label: str
    seed: int
    callbacks: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class TrainRequest:
    """What to train from.

    Attributes:
        transformed_dir: The transform artifact's folder.
        schema_file: The raw schema.
        label: Name of the label.
        hyperparameters: Free names and values.
        seed: Seed of everything random.
        train_steps: For `run_fn`.
        eval_steps: For `run_fn`.
    """

    transformed_dir: Path
    schema_file: Path
    label: str
    hyperparameters: Mapping[str, Any]
    seed: int
    train_steps: int | None
    eval_steps: int | None


@translate_full_disk("Training the model")
def train_model(
    request: TrainRequest,
    module: ModuleType,
    schema: Schema,
    out_dir: Path,
    on_note: Callable[[str], None] | None = None,
) -> dict[str, list[float]]:
    """Runs the project's `run_fn` and exports the model with the transform graph inside.

    Args:
        request: What to train from.
        module: The loaded module file.
        schema: The raw schema.
        out_dir: Folder to write the artifact in.
        on_note: Told a line of progress (epoch, loss).

    Returns:
        Keras's history: metric -> value by epoch; empty if `run_fn` did not use the callbacks.

    Raises:
        UserModuleError: `run_fn` raised, returned no model, or trained to a loss that is NaN.
        DataError: The label is not among the transformed columns.
        StorageError: The disk is full.
    """
    import keras

    keras.utils.set_random_seed(request.seed)
    random.seed(request.seed)
    accessor = DataAccessor(request.transformed_dir, request.label, request.seed)
    accessor.check_label()
    history, callback = _history_callback(on_note)
    model_dir = out_dir / MODEL_FOLDER
    (out_dir / "model_run").mkdir()
    module_path = Path(str(module.__file__))
    fn_args = FnArgs(
        data_accessor=accessor,
        train_files=accessor.files("train"),
        eval_files=accessor.files("eval"),
        train_steps=request.train_steps,
        eval_steps=request.eval_steps,
        hyperparameters=dict(request.hyperparameters),
        schema_path=str(request.schema_file),
        transform_graph_path=str(request.transformed_dir / GRAPH_FOLDER),
        serving_model_dir=str(model_dir),
        model_run_dir=str(out_dir / "model_run"),
        label=request.label,
        seed=request.seed,
        callbacks=[callback],
    )
    with _features_must_match_inputs():
        model = call_user_function(module.run_fn, module_path, fn_args)
    _check_history(history, module_path)
    if model is not None:
        if not isinstance(model, keras.Model):
            raise UserModuleError(
                f"run_fn of {module_path.name} returned what cannot be exported",
                received=type(model).__name__,
                expected="a keras.Model, or None after writing to fn_args.serving_model_dir",
            )
        graph = TransformGraph(request.transformed_dir / GRAPH_FOLDER)
        export_saved_model(model, graph, schema, request.label, model_dir, module_path)
    elif not (model_dir / "saved_model.pb").exists():
        raise UserModuleError(
            f"run_fn of {module_path.name} left no model",
            received="None, and nothing in fn_args.serving_model_dir",
            expected="a returned keras.Model, or a SavedModel in that folder",
        )
    inputs = load_test(model_dir)
    (out_dir / INPUTS_FILE).write_text(json.dumps(inputs), encoding="utf-8")
    (out_dir / HISTORY_FILE).write_text(json.dumps(history), encoding="utf-8")
    return history


@contextmanager
def _features_must_match_inputs() -> Iterator[None]:
    """Makes an error of Keras's warning about a dict with other keys than the model's inputs.

    Keras 3 then pairs values and inputs by the sorted order of the keys: a model with inputs for
    some of the features would learn from the wrong columns, and be served the right ones.
    """
    with warnings.catch_warnings():
        message = r"(?s)The structure of `inputs` doesn't match.*Received: inputs=\{"
        warnings.filterwarnings("error", message, UserWarning)
        try:
            yield
        except UserModuleError as err:
            if not isinstance(err.__cause__, UserWarning):
                raise
            raise UserModuleError(
                err.failed,
                received=str(err.received).partition(";")[0] + ", called with features that are not"
                " the model's inputs",
                expected="a dict that has the model's inputs, and no other key",
                next_step="pick the features: "
                "`dataset.map(lambda x, y: ({n: x[n] for n in NAMES}, y))`",
            ) from err


def _check_history(history: Mapping[str, list[float]], module_path: Path) -> None:
    losses = history.get("loss", [])
    if losses and not math.isfinite(losses[-1]):
        raise UserModuleError(
            f"Training with run_fn of {module_path.name} failed: the loss is not a number",
            received=f"loss {losses[-1]} at epoch {len(losses)}",
            expected="a finite loss",
            next_step="lower the learning rate, or look for values that are NaN or infinite "
            "in the outputs of preprocessing_fn",
        )


def _history_callback(on_note: Callable[[str], None] | None) -> tuple[dict[str, list[float]], Any]:
    """A Keras callback that fills a history and tells each epoch."""
    import keras

    history: dict[str, list[float]] = {}

    class History(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            history.clear()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            for name, value in (logs or {}).items():
                history.setdefault(name, []).append(float(value))
            total = (self.params or {}).get("epochs", "?")
            shown = ", ".join(f"{n} {v[-1]:.4f}" for n, v in history.items())
            if on_note:
                on_note(f"epoch {epoch + 1}/{total}: {shown}")

    return history, History()
