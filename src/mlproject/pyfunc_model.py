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
        beside missing values: above 2**53 these lose their last digits.

        Args:
            context: MLflow's context.
            model_input: Rows with raw columns.
            params: Not used.

        Returns:
            A data frame with a column for each scalar output of the model.

        Raises:
            ValueError: A column holds no numbers where the model takes numbers, or fractions
                where it takes integers.
        """
        import tensorflow as tf

        frame = pd.DataFrame(model_input)
        feed = {}
        for name, spec in self._inputs.items():
            column = frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)
            feed[name] = tf.constant(_fill(column, spec.dtype, name), spec.dtype)
        outputs = self._signature(**feed)
        return pd.DataFrame(
            {
                name: value.numpy().reshape(-1)
                if value.shape.rank == 1 or value.shape[-1] == 1
                else list(value.numpy())
                for name, value in outputs.items()
            }
        )


def _fill(column: Any, dtype: Any, name: str) -> Any:
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
    return column.where(column.notna(), "").astype(str).to_numpy(object)


mlflow.models.set_model(SavedModelPredictor())
