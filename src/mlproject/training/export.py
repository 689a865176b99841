"""A trained model as files: the SavedModel that is served, and the Keras model itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import UserModuleError
from mlproject.saved_model import export_saved_model
from mlproject.training.request import TrainRequest
from mlproject.training.strategy import Devices
from mlproject.transform import GRAPH_FOLDER, TransformGraph

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

MODEL_FOLDER = "saved_model"
KERAS_FILE = "model.keras"
WITHOUT_CONFIG = (ValueError, TypeError, AttributeError, RuntimeError, LookupError)
"""What Keras, and layers of the user's own, raise for a model that has no whole configuration."""


def outside_strategy(model: Any, devices: Devices) -> Any:
    """The model outside its strategy: exporting mirrored variables would wait for other workers."""
    if model is None or devices.strategy is None:
        return model
    import keras

    weights = model.get_weights()
    try:
        plain = keras.models.clone_model(model)
    except WITHOUT_CONFIG:  # a subclassed model
        return model
    plain.set_weights(weights)
    return plain


def export_model(
    model: Any,
    request: TrainRequest,
    schema: Schema,
    out_dir: Path,
    module_path: Path,
    on_note: Callable[[str], None] | None,
) -> None:
    """Writes the SavedModel, and `model.keras` where Keras can save the model.

    Args:
        model: The trained model; None where `run_fn` wrote a SavedModel by itself.
        request: What it was trained from.
        schema: The raw schema.
        out_dir: The artifact's folder.
        module_path: The module file, for messages.
        on_note: Told why there is no `model.keras`.

    Raises:
        UserModuleError: The model cannot be served, or there is none.
    """
    folder = out_dir / MODEL_FOLDER
    if model is not None:
        graph = TransformGraph(request.transformed_dir / GRAPH_FOLDER)
        export_saved_model(model, graph, schema, request.label, folder, module_path)
        problem = _save_keras(model, out_dir / KERAS_FILE)
    elif not (folder / "saved_model.pb").exists():
        raise UserModuleError(
            f"run_fn of {module_path.name} left no model",
            received="None, and nothing in fn_args.serving_model_dir",
            expected="a returned keras.Model, or a SavedModel in that folder",
        )
    else:
        problem = "run_fn wrote a SavedModel by itself"
    if problem and on_note is not None:
        on_note(f"no {KERAS_FILE}, so no warm start from this model: {problem}")


def _save_keras(model: Any, path: Path) -> str:
    """Saves the Keras model; what is wrong where it cannot be, which is no failure."""
    try:
        model.save(path)
    except WITHOUT_CONFIG as err:
        path.unlink(missing_ok=True)
        return f"{type(err).__name__}: {(str(err).splitlines() or [''])[0][:200]}"
    return ""
