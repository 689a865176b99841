"""Small exported models, written without a training: a transform and a predict function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Function = Callable[[Mapping[str, Any]], Any]
Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Writes a SavedModel with the three signatures that an explanation and a server need.

    Its transform gives each raw feature `x` as `x_xf`, unless another is given.
    """
    import tensorflow as tf

    from mlproject.saved_model.origins import write_origins

    def write(
        raw: Mapping[str, tf.TensorSpec],
        predict: Function,
        transform: Function | None = None,
        origins: Mapping[str, Sequence[str]] | None = None,
        variables: Sequence[Any] = (),
    ) -> Path:
        change = transform or (lambda features: {f"{n}_xf": v for n, v in features.items()})
        specs = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in raw.items()}

        @tf.function(input_signature=[specs])
        def transform_features(features: Any) -> Any:
            return change(features)

        traced = transform_features.get_concrete_function()
        taken = {
            n: tf.TensorSpec(t.shape, t.dtype, name=n) for n, t in traced.structured_outputs.items()
        }

        @tf.function(input_signature=[taken])
        def predict_transformed(transformed: Any) -> Any:
            return {"predictions": predict(transformed)}

        @tf.function(input_signature=[specs])
        def serving_default(features: Any) -> Any:
            return predict_transformed(change(features))

        module = tf.Module()
        module.weights = list(variables)
        signatures = {
            "serving_default": serving_default.get_concrete_function(),
            "transform_features": traced,
            "predict_transformed": predict_transformed.get_concrete_function(),
        }
        folder = tmp_path / "model"
        tf.saved_model.save(module, str(folder), signatures=signatures)
        write_origins(origins if origins is not None else {f"{n}_xf": [n] for n in raw}, folder)
        return folder

    return write
