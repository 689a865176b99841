"""The MLflow model registry: versions, aliases, and what each version carries.

    models:/<name>/<version>/artifacts/saved_model/   as TensorFlow Serving loads it
    models:/<name>/<version>/artifacts/model.keras    to train on from it, where Keras can save it
    models:/<name>/<version>/artifacts/evidence/
        blessing.json  infra.json  metrics.parquet  differences.parquet  model_card.md
        schema.pbtxt  sample.json  config.json      the configuration as it ran
        project.yaml                                as it was written
        code/                                       the module file, and what else of its folder
                                                    the version was made of
        statistics/Split-<name>/stats.pb            of each split, and of its spans

Aliases: `champion` is what is served, `previous` what was before it.
"""

from mlproject.registry.integrity import check_model, model_digest, registered_digest
from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    CHAMPION_ALIAS,
    CODE,
    CONFIG_FILE,
    EVIDENCE,
    GIT_COMMIT_TAG,
    INFRA_TAG,
    KERAS_DIGEST_TAG,
    KERAS_MODEL,
    MODEL_DIGEST_TAG,
    MODULE_DIGEST_TAG,
    OVERRIDE_TAG,
    PREVIOUS_ALIAS,
    REASONS_TAG,
    RECIPE_TAG,
    REGISTER_TAG,
    ROWS_TAG,
    RUN_TAG,
    SAMPLE_TAG,
    SAVED_MODEL,
    SCHEMA_DIGEST_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
    STATISTICS,
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
    "CODE",
    "CONFIG_FILE",
    "EVIDENCE",
    "GIT_COMMIT_TAG",
    "INFRA_TAG",
    "KERAS_DIGEST_TAG",
    "KERAS_MODEL",
    "MODEL_DIGEST_TAG",
    "MODULE_DIGEST_TAG",
    "OVERRIDE_TAG",
    "PREVIOUS_ALIAS",
    "REASONS_TAG",
    "RECIPE_TAG",
    "REGISTER_TAG",
    "ROWS_TAG",
    "RUN_TAG",
    "SAMPLE_TAG",
    "SAVED_MODEL",
    "SCHEMA_DIGEST_TAG",
    "SOURCE_DIGEST_TAG",
    "SOURCE_URI_TAG",
    "SPANS_TAG",
    "STATISTICS",
    "TRAIN_RUN_TAG",
    "TRAIN_TAG",
    "Column",
    "Registration",
    "Registry",
    "VersionInfo",
    "check_model",
    "model_digest",
    "parse_reference",
    "registered_digest",
]
