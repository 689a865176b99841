"""The MLflow flavour of a registered model: what `mlflow.pyfunc.load_model` runs.

MLflow copies this file into each registered model, so it imports nothing of the platform.
"""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc.model
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

MISSING_INT = -(2**63)


class SavedModelPredictor(PythonModel):
    """Asks the registered SavedModel's `serving_default` for the rows of a data frame."""

    def load_context(self, context: Any) -> None:
        """Loads the SavedModel."""
        import tensorflow as tf

        loaded = tf.saved_model.load(context.artifacts["saved_model"])
        self._loaded = loaded
        self._signature = loaded.signatures["serving_default"]
        self._inputs = self._signature.structured_input_signature[1]

    # No type hints: MLflow would take them for the model's signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Predictions for a data frame; columns left out, None and NaN are missing values.

        Numbers may be given as any type that holds their values. pandas makes floats of integers
        beside missing values: above 2**53 these lose their last digits. Lists may be lists, tuples
        or arrays; those of a fixed length may be flat or nested.

        Args:
            context: MLflow's context.
            model_input: Rows with raw columns.
            params: Not used.

        Returns:
            A data frame with a column for each scalar output of the model.

        Raises:
            ValueError: A column holds no numbers where the model takes numbers, or fractions
                where it takes integers, or lists of another length.
        """
        import tensorflow as tf

        frame = pd.DataFrame(model_input)
        feed = {}
        for name, spec in self._inputs.items():
            column = frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)
            fill = _fill if spec.shape.rank == 1 else _fill_lists
            feed[name] = tf.constant(fill(column, spec, name), spec.dtype)
        outputs = self._signature(**feed)
        return pd.DataFrame(
            {
                name: value.numpy().reshape(-1)
                if value.shape.rank == 1 or value.shape[-1] == 1
                else list(value.numpy())
                for name, value in outputs.items()
            }
        )


def _fill(column: Any, spec: Any, name: str) -> Any:
    """A column of single values as `[rows]`, with the stand-in for each missing one."""
    dtype = spec.dtype
    if dtype.is_floating or dtype.is_integer:
        try:
            numbers = pd.to_numeric(column)
        except (TypeError, ValueError) as err:
            raise ValueError(f"Column '{name}' must hold numbers. Received: {err}") from err
        if dtype.is_floating:
            return numbers.to_numpy(np.float64, na_value=np.nan)
        filled = numbers.fillna(0)
        whole = filled.astype(np.int64)
        if (whole != filled).any():
            odd = filled[whole != filled].iloc[0]
            raise ValueError(f"Column '{name}' must hold 64-bit integers. Received: {odd}")
        return np.where(numbers.isna(), MISSING_INT, whole.to_numpy(np.int64))
    filled = column.astype(object).where(column.notna(), "")
    return filled.map(lambda value: value if isinstance(value, bytes) else str(value)).to_numpy()


def _fill_lists(column: Any, spec: Any, name: str) -> Any:
    """A column of lists as `[rows, *shape]`, or `[rows, longest]` filled up with the stand-in."""
    shape = tuple(spec.shape[1:])
    lists = [_flat(value, name) for value in column]
    lengths = np.array([len(values) for values in lists], np.int64)
    values = pd.Series(np.concatenate(lists) if lists else np.empty(0, object))
    if values.dtype == object and values.isna().any():
        raise ValueError(f"Column '{name}' must hold lists without missing values.")
    filled = _fill(values.infer_objects(), spec, name)
    if None not in shape:
        wanted = int(np.prod(shape))
        if (lengths != wanted).any():
            odd = int(lengths[lengths != wanted][0])
            raise ValueError(f"Column '{name}' must hold lists of {wanted} values. Received: {odd}")
        return filled.reshape(len(lists), *shape)
    stand_in = {"i": MISSING_INT, "f": np.nan, "O": ""}[filled.dtype.kind]
    padded = np.full((len(lists), max([1, *lengths])), stand_in, filled.dtype)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = filled
    return padded


def _flat(value: Any, name: str) -> Any:
    """The values of one list; none of a missing one."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return np.empty(0, object)
    if not isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"Column '{name}' must hold lists. Received: {value!r}")
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.reshape(-1)
    flat = np.array(value, object).reshape(-1)
    if any(isinstance(item, list | tuple | np.ndarray) for item in flat):
        raise ValueError(f"Column '{name}' must hold lists of one length. Received: {value!r}")
    return flat


mlflow.models.set_model(SavedModelPredictor())
