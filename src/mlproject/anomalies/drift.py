"""Drift and skew: how far the values of a feature lie from those of other statistics.

Drift compares with an earlier span (or run), skew compares training with serving. The schema says
which features are compared, by which measure, and how far they may lie apart:

- `linf`: the largest difference of a value's share, max |p_i - q_i|. It needs counts of values,
  which TFDV has of texts (and of numbers that its statistics were told to be categorical).
- `js`: Jensen-Shannon divergence in bits, 0 (equal) to 1 (nothing shared); over counts of values,
  or over the histograms of numbers.
- `nad`: the largest difference of a value's count, by the number of values in the compared
  statistics; needs counts as `linf` does.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlproject.anomalies.histograms import (
    default_dataset,
    feature_name,
    finite_only,
    leave_out,
    unmeasurable,
)
from mlproject.anomalies.severity import DATASET_LEVEL
from mlproject.schema import TRAINING

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import FeatureComparator, Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatisticsList,
    )

DRIFT, SKEW = "drift", "skew"
MEASURES: Mapping[str, str] = {
    "linf": "infinity_norm",
    "js": "jensen_shannon_divergence",
    "nad": "normalized_abs_difference",
}
"""Measure -> its field in a comparator of the schema."""

NEED_COUNTS = ("linf", "nad")
_TYPES = {
    "linf": "L_INFTY",
    "js": "JENSEN_SHANNON_DIVERGENCE",
    "nad": "NORMALIZED_ABSOLUTE_DIFFERENCE",
}
_HIGH = {
    "linf": "COMPARATOR_L_INFTY_HIGH",
    "js": "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH",
    "nad": "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH",
}


@dataclass(frozen=True)
class Distance:
    """How far a feature's values lie from those it is compared with.

    Attributes:
        comparison: `drift` or `skew`.
        feature: The feature.
        measure: `linf`, `js` or `nad`.
        value: The distance.
        threshold: The largest distance that is no anomaly.
        against: What it was compared with.
    """

    comparison: str
    feature: str
    measure: str
    value: float
    threshold: float
    against: str

    @property
    def metric(self) -> str:
        """A name to log it under: `drift_js.fare`."""
        return f"{self.comparison}_{self.measure}.{self.feature}"


@dataclass(frozen=True)
class Unjudged:
    """A comparison that the schema asks for and that could not be made, and why."""

    feature: str
    reason: str


def thresholds_of(schema: Schema, comparison: str) -> dict[str, dict[str, float]]:
    """Feature -> measure -> threshold, of the features whose schema asks for a comparison."""
    found = {}
    for feature in schema.feature:
        own = comparator_thresholds(getattr(feature, f"{comparison}_comparator"))
        if own:
            found[feature.name] = own
    return found


def comparator_thresholds(comparator: FeatureComparator) -> dict[str, float]:
    """Measure -> threshold of one comparator."""
    fields = {measure: getattr(comparator, field) for measure, field in MEASURES.items()}
    return {n: float(f.threshold) for n, f in fields.items() if f.HasField("threshold")}


def compares_rows(schema: Schema, comparison: str) -> bool:
    """Whether the schema bounds the change of the number of rows from span to span."""
    constraints = schema.dataset_constraints
    return comparison == DRIFT and constraints.HasField("num_examples_drift_comparator")


def compare(
    newest: DatasetFeatureStatisticsList,
    schema: Schema,
    comparison: str,
    control: DatasetFeatureStatisticsList,
    against: str,
) -> tuple[dict[str, Any], list[Distance], list[Unjudged]]:
    """Compares statistics, feature by feature, where the schema has a threshold; as TFDV does, but
    for three things.

    Numbers are compared by their quantiles where the comparator names no other histogram. By
    TFDV's default, the standard histograms, two halves of the same data can lie half a bit apart:
    one of them happens to have a larger maximum, and with it wider buckets. And their finite
    values alone are compared: TFDV takes the NaN and the infinities of one side for something
    else than those of the other. Statistics that would end TFDV are not judged.

    Args:
        newest: The statistics that are judged.
        schema: The schema, with its environments.
        comparison: `drift` or `skew`.
        control: The statistics of the earlier span, or of serving.
        against: Their name.

    Returns:
        What TFDV found (feature -> `AnomalyInfo` with reasons of the comparison alone), the
        distances, and what could not be judged.
    """
    import tensorflow_data_validation as tfdv

    newest, control = finite_only(newest), finite_only(control)
    damaged = unmeasurable(newest) | unmeasurable(control)
    for statistics in (newest, control):
        leave_out(statistics, damaged)
    schema = _by_quantiles(schema, comparison)
    asked = thresholds_of(schema, comparison)
    named = "previous_statistics" if comparison == DRIFT else "serving_statistics"
    result = tfdv.validate_statistics(newest, schema, environment=TRAINING, **{named: control})
    uncounted = _uncounted(asked, (newest, control))
    distances = [
        distance
        for distance in _measured(result.drift_skew_info, comparison, against)
        # TFDV gives 0 where it has no counts, and a distance that is not a number passes.
        if (distance.feature, distance.measure) not in uncounted
        and distance.value == distance.value
    ]
    found = dict(_comparator_reasons(result, uncounted))
    judged = {(d.feature, d.measure) for d in distances}
    unjudged = [
        Unjudged(name, f"{measure}: {_why_not(name, measure, uncounted, damaged)}")
        for name, own in asked.items()
        for measure in own
        if (name, measure) not in judged and not _data_missing(found.get(name))
    ]
    return found, distances, unjudged


def _by_quantiles(schema: Schema, comparison: str) -> Schema:
    """A copy of the schema that compares quantiles where it does not say what to compare."""
    from tensorflow_metadata.proto.v0.schema_pb2 import HistogramSelection

    copy = deepcopy(schema)
    for feature in copy.feature:
        comparator = getattr(feature, f"{comparison}_comparator")
        if feature.HasField(f"{comparison}_comparator") and comparator.HasField(MEASURES["js"]):
            source = comparator.jensen_shannon_divergence.source
            if source.type == HistogramSelection.DEFAULT:
                source.type = HistogramSelection.QUANTILES
    return copy


_DAMAGED = "one of the statistics is damaged: its histogram, or its type"
_NOT_COMPARABLE = "one of the statistics has no values of it that could be compared"
_NO_COUNTS = "the statistics of a number have no counts of its values; use js"


def _why_not(
    name: str, measure: str, uncounted: Mapping[tuple[str, str], str], damaged: Container[str]
) -> str:
    if name in damaged:
        return _DAMAGED
    return uncounted.get((name, measure), _NOT_COMPARABLE)


def _uncounted(
    asked: Mapping[str, Mapping[str, float]], both: tuple[DatasetFeatureStatisticsList, ...]
) -> dict[tuple[str, str], str]:
    """(Feature, measure) that cannot be measured for want of counts -> why."""
    found = {}
    for statistics in both:
        for feature in default_dataset(statistics).features:
            name = feature_name(feature)
            if feature.WhichOneof("stats") == "num_stats":
                for measure in set(NEED_COUNTS) & set(asked.get(name, ())):
                    found[name, measure] = _NO_COUNTS
    return found


def _measured(infos: Any, comparison: str, against: str) -> Iterator[Distance]:
    measures = {kind: measure for measure, kind in _TYPES.items()}
    for info in infos:
        for measured in getattr(info, f"{comparison}_measurements"):
            yield Distance(
                comparison=comparison,
                feature=".".join(info.path.step),
                measure=measures[type(measured).Type.Name(measured.type)],
                value=measured.value,
                threshold=measured.threshold,
                against=against,
            )


def _comparator_reasons(
    result: Any, uncounted: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, Any]]:
    """TFDV's anomalies, without those that the schema alone gives and those not to be trusted."""
    measure_of = {kind: measure for measure, kind in _HIGH.items()}
    infos = dict(result.anomaly_info)
    if result.HasField("dataset_anomaly_info"):
        infos[DATASET_LEVEL] = result.dataset_anomaly_info
    for name, info in infos.items():
        own = type(info)()
        for reason in info.reason:
            kind = type(info).Type.Name(reason.type)
            if kind.startswith("COMPARATOR_") and (name, measure_of.get(kind, "")) not in uncounted:
                own.reason.append(reason)
        if own.reason:
            yield name, own


def _data_missing(info: Any) -> bool:
    """Whether TFDV has said that one of the statistics lacks the feature."""
    kinds = [type(info).Type.Name(reason.type) for reason in info.reason] if info else []
    return any(kind.endswith("_DATA_MISSING") for kind in kinds)
