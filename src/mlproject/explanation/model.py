"""The exported model in its two halves: transform, and predict from transformed features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from mlproject.raw_inputs import fitted
from mlproject.saved_model import OUTPUT, PREDICT_TRANSFORMED, TRANSFORM_FEATURES
from mlproject.saved_model.definition import signature_definition, signature_names
from mlproject.saved_model.input_names import argument_name

if TYPE_CHECKING:
    import numpy as np

Rows = dict[str, "np.ndarray"]
CHUNK_VALUES = 1 << 21
CHUNK_ROWS = 4_096


class TransformedModel:
    """An exported model, loaded for gradients.

    Args:
        saved_model_dir: The SavedModel.

    Raises:
        ServingError: It does not load, or lacks a signature that an explanation needs.
    """

    def __init__(self, saved_model_dir: Path) -> None:
        import tensorflow as tf

        require_signatures(saved_model_dir)
        try:
            # Kept: a signature does not keep its variables alive.
            self._loaded = tf.saved_model.load(str(saved_model_dir))
        except (OSError, ValueError, tf.errors.OpError) as err:
            raise ServingError(
                f"Loading the SavedModel {saved_model_dir} failed",
                received=" ".join(str(err).split())[:300],
                expected="a SavedModel that TensorFlow can load",
            ) from err
        self._transform = self._loaded.signatures[TRANSFORM_FEATURES]
        self._predict = self._loaded.signatures[PREDICT_TRANSFORMED]
        raw = signature_definition(saved_model_dir, TRANSFORM_FEATURES).inputs
        specs = self._transform.structured_input_signature[1]
        self.raw_specs: dict[str, Any] = {name: specs[argument_name(name)] for name in raw}
        self.specs: dict[str, Any] = self._predict.structured_input_signature[1]

    def transform(self, raw: Mapping[str, np.ndarray]) -> Rows:
        """The transformed features that the model takes.

        Args:
            raw: Raw feature -> `[rows, ...]`, as `raw_inputs` says.

        Raises:
            ServingError: An array does not fit, or a feature is missing.
        """
        import tensorflow as tf

        missing = sorted(set(self.raw_specs) - set(raw))
        if missing:
            raise ServingError("Transforming a row failed", received=f"no {', '.join(missing)}")
        given = {n: fitted(n, raw[n], tuple(s.shape)) for n, s in self.raw_specs.items()}
        tensors = {n: tf.constant(a, self.raw_specs[n].dtype) for n, a in given.items()}
        outputs = self._transform(**tensors)
        return {name: outputs[name].numpy() for name in self.specs}

    @property
    def chunk_rows(self) -> int:
        """Transformed rows for one call, some 8 MB of them."""
        values = sum(_size(spec) for spec in self.specs.values())
        return max(1, min(CHUNK_ROWS, CHUNK_VALUES // values))

    def predict(self, rows: Rows) -> np.ndarray:
        """Predictions `[rows, outputs] float32` for transformed rows."""
        answer: np.ndarray = self._predict(**_tensors(rows))[OUTPUT].numpy()
        return answer.reshape(len(answer), -1)

    def gradients(self, rows: Rows, names: tuple[str, ...], output: int) -> Rows | None:
        """The gradients of one output, row by row.

        Args:
            rows: Transformed rows.
            names: The features to take them of.
            output: The output.

        Returns:
            Feature -> gradient in the feature's shape; 0 for a feature that the model does not
            use. None where some op of the model has no gradient.
        """
        import tensorflow as tf

        tensors = _tensors(rows)
        watched = [tensors[name] for name in names]
        try:
            with tf.GradientTape() as tape:
                tape.watch(watched)
                answer = self._predict(**tensors)[OUTPUT]
                total = tf.reduce_sum(tf.reshape(answer, [tf.shape(answer)[0], -1])[:, output])
            zero = tf.UnconnectedGradients.ZERO
            found = tape.gradient(total, watched, unconnected_gradients=zero)
        except LookupError:  # TensorFlow's "no gradient defined for operation"
            return None
        return {name: tensor.numpy() for name, tensor in zip(names, found, strict=True)}


def require_signatures(saved_model_dir: Path) -> None:
    """Checks that a SavedModel has the signatures that an explanation needs.

    Raises:
        ServingError: It is no SavedModel, or lacks one of them.
    """
    for name in (TRANSFORM_FEATURES, PREDICT_TRANSFORMED):
        if name not in signature_names(saved_model_dir):
            raise ServingError(
                f"The model cannot be explained: it has no signature '{name}'",
                received=", ".join(signature_names(saved_model_dir)) or "none at all",
                expected=f"a model with {TRANSFORM_FEATURES} and {PREDICT_TRANSFORMED}",
                next_step="return the keras.Model from run_fn, so that the platform exports it, "
                "give preprocessing_fn's outputs names of letters, digits and _, and train again",
            )


def _tensors(rows: Rows) -> dict[str, Any]:
    import tensorflow as tf

    return {name: tf.constant(values) for name, values in rows.items()}


def _size(spec: Any) -> int:
    """Values of a row; a dimension of any size counts as one."""
    return math.prod(size or 1 for size in spec.shape[1:]) if spec.shape.rank else 1
