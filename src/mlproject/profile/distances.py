"""How far the features of two sides lie apart, by TFDV's own measures of drift."""

from __future__ import annotations

from mlproject.profile.content import Side
from mlproject.profile.features import Feature, features_of

MIN_VALUES = 30
"""Values of a feature below which a distance says little: two single values lie as far apart as
distributions can."""


def measure_distances(shown: Side, against: Side) -> dict[str, dict[str, float]]:
    """How far the features lie apart, as drift is measured (`mlproject.anomalies.drift.compare`).

    Returns:
        Feature -> measure -> distance: `js` of numbers and texts, `linf` of texts; none where a
        side has fewer than `MIN_VALUES`, or is damaged.
    """
    import tensorflow_data_validation as tfdv

    from mlproject.anomalies.drift import DRIFT, compare
    from mlproject.anomalies.histograms import finite_only, leave_out, unmeasurable
    from mlproject.schema import set_environments

    newest, control = finite_only(shown.statistics), finite_only(against.statistics)
    damaged = unmeasurable(newest) | unmeasurable(control)
    for statistics in (newest, control):
        leave_out(statistics, damaged)
    schema = set_environments(tfdv.infer_schema(control), ())
    known = [features_of(statistics.datasets[0]) for statistics in (newest, control)]
    few = {name for own in known for name, f in own.items() if _comparable(f) < MIN_VALUES}
    for feature in schema.feature:
        comparator = feature.drift_comparator
        comparator.jensen_shannon_divergence.threshold = 0.0
        if feature.name in known[1] and known[1][feature.name].kind == "text":
            comparator.infinity_norm.threshold = 0.0
    _, distances, _ = compare(newest, schema, DRIFT, control, against.name)
    found: dict[str, dict[str, float]] = {}
    for distance in distances:
        if distance.feature not in few:
            found.setdefault(distance.feature, {})[distance.measure] = distance.value
    return found


def _comparable(feature: Feature) -> float:
    if feature.numbers is None:
        return feature.values
    return sum(values for _, _, values in feature.numbers.buckets)
