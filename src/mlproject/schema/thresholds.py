"""Thresholds of drift and skew for all features at once."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from mlproject.anomalies.drift import MEASURES, SKEW
from mlproject.errors import ConfigError
from mlproject.schema import serving_features
from mlproject.schema.rules import type_name

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

_MEASURE_OF = {"INT": "js", "FLOAT": "js", "BYTES": "linf"}


def set_thresholds(
    schema: Schema, comparison: str, threshold: float, training_only: tuple[str, ...] = ()
) -> Schema:
    """A copy of a schema with a drift or skew threshold for every feature that has none.

    Texts are compared by `linf`, numbers by `js`. Skew is for features that are served.

    Args:
        schema: The schema.
        comparison: `drift` or `skew`.
        threshold: From 0 to 1.
        training_only: Features that project.yaml keeps from serving.

    Raises:
        ConfigError: The threshold is not from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(
            f"Setting the thresholds of {comparison} failed",
            received=f"{threshold}",
            expected="a number from 0 to 1",
            next_step=f"correct --{comparison}",
        )
    result = deepcopy(schema)
    served = set(serving_features(schema)) - {*training_only}
    for feature in result.feature:
        measure = _MEASURE_OF.get(type_name(feature))
        if measure is None or (comparison == SKEW and feature.name not in served):
            continue
        field = f"{comparison}_comparator"
        if not feature.HasField(field):
            getattr(getattr(feature, field), MEASURES[measure]).threshold = threshold
    return result
