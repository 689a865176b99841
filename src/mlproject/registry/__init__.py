"""The MLflow model registry: versions, aliases, and what each version carries.

    models:/<name>/<version>/artifacts/saved_model/   as TensorFlow Serving loads it
    models:/<name>/<version>/artifacts/model.keras    to train on from it, where Keras can save it
    models:/<name>/<version>/artifacts/evidence/      blessing.json, metrics.parquet, schema.pbtxt,
                                                      sample.json, model_card.md, infra.json

Aliases: `champion` is what is served, `previous` what was before it.
"""

from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    CHAMPION_ALIAS,
    EVIDENCE,
    KERAS_MODEL,
    OVERRIDE_TAG,
    PREVIOUS_ALIAS,
    RECIPE_TAG,
    REGISTER_TAG,
    SAMPLE_TAG,
    SAVED_MODEL,
    TRAIN_RUN_TAG,
    TRAIN_TAG,
)
from mlproject.registry.registry import Registry
from mlproject.registry.values import Column, Registration, VersionInfo, parse_reference

__all__ = [
    "BASELINE_TAG",
    "BASE_TAG",
    "BLESSING_TAG",
    "CHAMPION_ALIAS",
    "EVIDENCE",
    "KERAS_MODEL",
    "OVERRIDE_TAG",
    "PREVIOUS_ALIAS",
    "RECIPE_TAG",
    "REGISTER_TAG",
    "SAMPLE_TAG",
    "SAVED_MODEL",
    "TRAIN_RUN_TAG",
    "TRAIN_TAG",
    "Column",
    "Registration",
    "Registry",
    "VersionInfo",
    "parse_reference",
]
