"""What a served model answers, checked by task and made one array."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlproject.errors import ServingError
from mlproject.saved_model import OUTPUT

SUM_TOLERANCE = 1e-3
_WANTED = {
    "binary": (
        "one finite probability between 0 and 1 for each row",
        "end the model with one sigmoid output",
    ),
    "multiclass": (
        "one finite probability for each class, of sum 1 (within 0.001), for each row",
        "end the model with a softmax of one unit for each class",
    ),
    "regression": (
        "one finite number for each row",
        "end the model with one linear output; a NaN may come from a value missing in the data",
    ),
}


def predictions_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The predictions among a model's outputs: those of that name, or the first.

    Args:
        outputs: Output name -> array, of `serving_default`.
    """
    return np.asarray(outputs.get(OUTPUT, next(iter(outputs.values()))))


def checked_predictions(
    outputs: Mapping[str, np.ndarray], rows: int, task: str, model: str
) -> np.ndarray:
    """The predictions of a batch.

    Args:
        outputs: Output name -> array, of `serving_default`.
        rows: Rows of the batch.
        task: `binary`, `multiclass` or `regression`.
        model: `candidate` or `champion`, for the message.

    Returns:
        `[rows] float32`; `[rows, classes] float32` of a multi-class task.

    Raises:
        ServingError: They are not what the task wants.
    """
    values = predictions_of(outputs)
    fault = _fault(values, rows, task)
    if fault:
        expected, next_step = _WANTED[task]
        raise ServingError(
            f"The predictions of the {model} cannot be evaluated as {task}",
            received=fault,
            expected=expected,
            next_step=next_step,
        )
    flat = values.astype(np.float32).reshape(rows, -1)
    return flat if task == "multiclass" else flat[:, 0]


def _fault(values: np.ndarray, rows: int, task: str) -> str | None:
    if values.dtype.kind not in "fiu":
        return f"values of type {values.dtype}"
    width = values.size // rows
    fits = width > 1 if task == "multiclass" else width == 1
    if not values.ndim or len(values) != rows or not fits:
        return f"shape {values.shape} for {rows} rows"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {values.size} values are not finite"
    most = 1 + SUM_TOLERANCE if task == "multiclass" else 1.0
    if task != "regression" and (values.min() < 0 or values.max() > most):
        return f"values from {values.min():g} to {values.max():g}"
    if task == "multiclass":
        sums = values.reshape(rows, -1).sum(axis=1, dtype=np.float64)
        if np.abs(sums - 1).max() > SUM_TOLERANCE:
            return f"sums from {sums.min():g} to {sums.max():g}"
    return None
