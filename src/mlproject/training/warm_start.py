"""A warm start: the champion's weights, where names and shapes fit.

Imported only where a model is fitted.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from mlproject.training.export import KERAS_FILE, WITHOUT_CONFIG


def load_base_weights(model: keras.Model, base_model: Path, module: ModuleType) -> str:
    """Sets the weights of a model that an earlier one has, too.

    Args:
        model: The model to begin with.
        base_model: Folder with the earlier model's `model.keras`.
        module: The module file; its Keras classes may be part of the earlier model.

    Returns:
        How many weights were taken, for the person to read.
    """
    file = base_model / KERAS_FILE
    if not file.exists():
        return f"warm start: the champion has no {KERAS_FILE}; begins with new weights"
    try:
        base = keras.models.load_model(file, _keras_classes(module), compile=False)
    except (*WITHOUT_CONFIG, OSError) as err:
        reason = (str(err).splitlines() or [""])[0][:150]
        return f"warm start: {KERAS_FILE} does not load ({reason}); begins with new weights"
    earlier = {variable.path: variable for variable in base.weights}
    taken = 0
    for variable in model.weights:
        found = earlier.get(variable.path)
        if found is not None and tuple(found.shape) == tuple(variable.shape):
            variable.assign(keras.ops.convert_to_numpy(found))
            taken += 1
    return f"warm start: {taken} of {len(model.weights)} weights are the champion's"


def _keras_classes(module: ModuleType) -> dict[str, Any]:
    bases = (keras.Layer, keras.losses.Loss, keras.metrics.Metric)
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, bases)
    }
