"""What a schema must become for data to obey it: TFDV's updates, made fit for tf.Transform.

TFDV marks a feature that breaks its type or is gone as deprecated, and drops a shape without
saying how many values a row has instead. Here a type follows the data, a feature that has gone is
deprecated, and one that a row may lack keeps bounds for its number of values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from mlproject.anomalies.histograms import default_dataset, feature_name
from mlproject.schema import TRAINING, infer_schema, is_in_environment
from mlproject.schema.rules import type_name

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatisticsList,
        FeatureNameStatistics,
    )

_HOLDS = {"FLOAT": ("INT",), "BYTES": ("INT", "FLOAT")}
"""Type of a schema -> types that its data may seem to have where nobody told the reader."""


def conform_schema(
    schema: Schema,
    statistics: Sequence[DatasetFeatureStatisticsList],
    *,
    types_declared: bool = True,
) -> Schema:
    """A copy of the schema that every split obeys; what they obey already stays as it is.

    Args:
        schema: The schema, with its environments.
        statistics: Of the splits, the train split first.
        types_declared: Whether the data was read in the schema's types; if not, whole numbers in
            a column of floats, or numbers in one of texts, are no difference.
    """
    import tensorflow_data_validation as tfdv

    inferred = infer_schema(statistics)
    by_name = {feature.name: feature for feature in inferred.feature}
    rows = [_by_name(one) for one in statistics]
    current = deepcopy(schema)
    for one, present in zip(statistics, rows, strict=True):
        updated = tfdv.update_schema(current, one)
        before = {feature.name: feature for feature in current.feature}
        for feature in updated.feature:
            if feature.name not in before:
                feature.CopyFrom(by_name[feature.name])
                _take_domain(updated, feature, inferred)
                continue
            old = before[feature.name]
            if _is_deprecated(feature) and not _is_deprecated(old):
                own = present.get(feature.name)
                _mend_deprecated(updated, feature, old, own, inferred, types_declared)
            if not _is_deprecated(feature):
                _mend_presence(feature, old, rows)
                _mend_environment(feature, current, present.get(feature.name))
        current = updated
    return current


def tighten_schema(schema: Schema, statistics: Sequence[DatasetFeatureStatisticsList]) -> Schema:
    """A copy of the schema that allows no more than the splits have, where it has a bound at all.

    Ranges shrink to the smallest and largest value, domains lose the values that no split has
    (where the statistics list all values), a presence rises to 1 where no row lacks the feature:
    the share of rows that have it, where some do not, changes from day to day.

    Args:
        schema: A schema that the splits obey.
        statistics: Of the splits.
    """
    result = deepcopy(schema)
    rows = [_by_name(one) for one in statistics]
    shared = {domain.name: domain for domain in result.string_domain}
    uses = [feature.domain for feature in result.feature]
    for feature in result.feature:
        own = [present[feature.name] for present in rows if feature.name in present]
        if not own or _is_deprecated(feature):
            continue
        if feature.presence.HasField("min_fraction") and min(map(_fraction, own)) == 1:
            feature.presence.min_fraction = 1
        kind = feature.WhichOneof("domain_info")
        if kind in ("int_domain", "float_domain"):
            _tighten_range(getattr(feature, kind), own)
        elif kind == "string_domain":
            _tighten_values(feature.string_domain, own)
        elif kind == "domain" and uses.count(feature.domain) == 1 and feature.domain in shared:
            _tighten_values(shared[feature.domain], own)
    return result


def _mend_deprecated(
    schema: Schema,
    feature: Feature,
    old: Feature,
    own: FeatureNameStatistics | None,
    inferred: Schema,
    types_declared: bool,
) -> None:
    """Replaces TFDV's "deprecated" by what has really changed."""
    if own is None:  # gone: deprecated it is, unless it is not asked for
        if not is_in_environment(old, schema, TRAINING):
            feature.CopyFrom(old)
        return
    expected, found = type_name(old), _type_of(own)
    if not _present(own):
        feature.CopyFrom(old)
        feature.presence.Clear()
        feature.presence.min_count = 0
    elif not types_declared and found in _HOLDS.get(expected, ()):
        feature.CopyFrom(old)
    elif found != expected:
        feature.CopyFrom(next(f for f in inferred.feature if f.name == old.name))
        feature.in_environment.extend(old.in_environment)
        feature.not_in_environment.extend(old.not_in_environment)
        _take_domain(schema, feature, inferred)


def _mend_presence(
    feature: Feature, old: Feature, rows: Sequence[Mapping[str, FeatureNameStatistics]]
) -> None:
    """Lowers the presence to a round share; gives bounds to what has no fixed shape any more."""
    own = [present[feature.name] for present in rows if feature.name in present]
    lowest = min(map(_fraction, own), default=0.0)
    if feature.presence.min_fraction and old.presence.min_fraction > lowest:
        feature.presence.min_fraction = _round_down(lowest)
    if feature.presence.min_fraction < 1 and lowest < 1:
        feature.ClearField("shape")
    counts = [_common(f) for f in own if _present(f)]
    if old.HasField("shape") and not feature.HasField("shape") and counts:
        feature.value_count.min = min(int(c.min_num_values) for c in counts) or 1
        feature.value_count.max = max(int(c.max_num_values) for c in counts)


def _mend_environment(feature: Feature, schema: Schema, own: FeatureNameStatistics | None) -> None:
    """Lets in a feature that has values in training and was said to have none."""
    if own is None or not _present(own) or is_in_environment(feature, schema, TRAINING):
        return
    if TRAINING in feature.not_in_environment:
        feature.not_in_environment.remove(TRAINING)
    if not is_in_environment(feature, schema, TRAINING):
        feature.in_environment.append(TRAINING)


def _take_domain(schema: Schema, feature: Feature, inferred: Schema) -> None:
    """Gives a feature the shared domain that was inferred for it, under a name of its own."""
    if feature.WhichOneof("domain_info") != "domain":
        return
    domain = next(d for d in inferred.string_domain if d.name == feature.domain)
    taken = {d.name: d for d in schema.string_domain}
    name = feature.domain
    while name in taken and sorted(taken[name].value) != sorted(domain.value):
        name += "_"
    if name not in taken:
        schema.string_domain.add(name=name, value=domain.value)
    feature.domain = name


def _tighten_range(domain: Any, own: Sequence[FeatureNameStatistics]) -> None:
    numbers = [f.num_stats for f in own if f.WhichOneof("stats") == "num_stats" and _present(f)]
    if not numbers:
        return
    whole = int if domain.DESCRIPTOR.name == "IntDomain" else float
    low, high = (whole(min(n.min for n in numbers)), whole(max(n.max for n in numbers)))
    if domain.HasField("min") and low > domain.min:
        domain.min = low
    if domain.HasField("max") and high < domain.max:
        domain.max = high


def _tighten_values(domain: Any, own: Sequence[FeatureNameStatistics]) -> None:
    seen: set[str] = set()
    for statistics in own:
        labels = {bucket.label for bucket in statistics.string_stats.rank_histogram.buckets}
        if len(labels) < statistics.string_stats.unique:
            return
        seen |= labels
    kept = [value for value in domain.value if value in seen]
    del domain.value[:]
    domain.value.extend(kept)


def _by_name(statistics: DatasetFeatureStatisticsList) -> dict[str, FeatureNameStatistics]:
    return {feature_name(feature): feature for feature in default_dataset(statistics).features}


def _common(statistics: FeatureNameStatistics) -> Any:
    return getattr(statistics, statistics.WhichOneof("stats")).common_stats


def _present(statistics: FeatureNameStatistics) -> int:
    return int(_common(statistics).num_non_missing)


def _fraction(statistics: FeatureNameStatistics) -> float:
    """Share of the rows that have the feature, by their weights where there are any."""
    common = _common(statistics)
    if common.HasField("weighted_common_stats"):
        common = common.weighted_common_stats
    rows = common.num_non_missing + common.num_missing
    return float(common.num_non_missing / rows) if rows else 0.0


def _type_of(statistics: FeatureNameStatistics) -> str:
    kinds = type(statistics).DESCRIPTOR.fields_by_name["type"].enum_type
    name = str(kinds.values_by_number[statistics.type].name)
    return "BYTES" if name == "STRING" else name


def _round_down(fraction: float) -> float:
    return 1.0 if fraction >= 1 else math.floor(fraction * 100) / 100


def _is_deprecated(feature: Feature) -> bool:
    from tensorflow_metadata.proto.v0.schema_pb2 import DEPRECATED

    return bool(feature.lifecycle_stage == DEPRECATED)
