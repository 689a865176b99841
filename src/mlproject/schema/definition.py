"""The Schema itself: inferred from statistics, or read; and who sees which feature."""

from __future__ import annotations

import math
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, DataError, closest

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

SCHEMA_FILE = "schema.pbtxt"
TRAINING, SERVING = "TRAINING", "SERVING"


def infer_schema(statistics: Iterable[DatasetFeatureStatisticsList]) -> Schema:
    """Infers a schema that every given split obeys.

    A feature that a row may lack keeps no fixed shape, so that tf.Transform sees it as sparse.

    Args:
        statistics: Statistics of the splits, the train split first.
    """
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0.schema_pb2 import DEPRECATED

    first, *others = statistics
    schema = tfdv.infer_schema(first, infer_feature_shape=True)
    for other in others:
        schema = tfdv.update_schema(schema, other)
    for feature in schema.feature:
        # TFDV takes a column without a value in a later split for one that has gone. Every split
        # has every column, so it is one that a row may lack.
        if feature.lifecycle_stage == DEPRECATED:
            feature.ClearField("lifecycle_stage")
            several = any(dim.size > 1 for dim in feature.shape.dim)
            feature.ClearField("shape")
            if several:  # else a list would count as a single value that may be missing
                feature.value_count.min = 1
            feature.presence.Clear()
            feature.presence.min_count = 0
        # The share of rows in a later split, to many digits: a bound for people has two.
        if 0 < feature.presence.min_fraction < 1:
            feature.presence.min_fraction = math.floor(feature.presence.min_fraction * 100) / 100
    for domain in schema.string_domain:  # of several splits, one after the other
        domain.value[:] = sorted(domain.value)
    return schema


def parse_schema(text: str, origin: str) -> Schema:
    """Parses the text of a `schema.pbtxt`.

    Raises:
        ConfigError: The text is not a Schema.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    try:
        return text_format.Parse(text, Schema())
    except text_format.ParseError as err:
        raise ConfigError(
            f"Reading the schema {origin} failed",
            received=str(err),
            expected="a tensorflow.metadata.v0.Schema in protobuf text format",
        ) from err


def read_schema(file: Path) -> Schema:
    """Reads a `schema.pbtxt`.

    Raises:
        ConfigError: The file is missing or not a Schema.
    """
    try:
        return parse_schema(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            "Reading the reviewed schema failed",
            received=str(err),
            expected="a schema.pbtxt",
            next_step="set `schema.path` in project.yaml, or leave it out to infer a schema",
        ) from err


def write_schema(schema: Schema, out_dir: Path) -> None:
    """Writes `schema.pbtxt` in a folder."""
    from google.protobuf import text_format

    text = text_format.MessageToString(schema)
    (out_dir / SCHEMA_FILE).write_text(text, encoding="utf-8")


def set_environments(schema: Schema, training_only: Iterable[str]) -> Schema:
    """A copy of the schema with `TRAINING` and `SERVING`, where some features are not served.

    Args:
        schema: A schema, with or without environments.
        training_only: Features that exist in training only.

    Raises:
        ConfigError: A feature is not in the schema.
    """
    result = deepcopy(schema)
    for name in (TRAINING, SERVING):
        if name not in result.default_environment:
            result.default_environment.append(name)
    features = {feature.name: feature for feature in result.feature}
    for name in training_only:
        if name not in features:
            raise ConfigError(
                "Marking the training-only columns failed",
                received=f"schema.training_only: {name}",
                expected=f"a column of the data ({closest(name, features)})",
                next_step="mend `schema.training_only` in project.yaml",
            )
        if SERVING not in features[name].not_in_environment:
            features[name].not_in_environment.append(SERVING)
    return result


def serving_features(schema: Schema) -> tuple[str, ...]:
    """Names of the features that exist at serving, in the schema's order."""
    return tuple(
        feature.name
        for feature in schema.feature
        if SERVING not in feature.not_in_environment
        and (not feature.in_environment or SERVING in feature.in_environment)
    )


def is_in_environment(feature: Feature, schema: Schema, environment: str) -> bool:
    """Whether TFDV asks for a feature in an environment."""
    if environment in feature.in_environment:
        return True
    return (
        environment not in feature.not_in_environment and environment in schema.default_environment
    )


def feature_specs(schema: Schema) -> dict[str, object]:
    """Feature -> `tf.io.FixedLenFeature` (always there) or `tf.io.VarLenFeature` (may be missing).

    Raises:
        DataError: The schema describes features that tf.Transform cannot read.
    """
    from tensorflow_transform.tf_metadata import schema_utils

    try:
        return dict(schema_utils.schema_as_feature_spec(schema).feature_spec)
    except ValueError as err:
        raise DataError(
            "Reading the schema's features failed",
            received=str(err),
            expected="features with a type, and a shape only where presence.min_fraction is 1",
            next_step="mend the reviewed schema",
        ) from err
