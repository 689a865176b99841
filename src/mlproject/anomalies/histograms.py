"""Statistics as TFDV can compare them: over all rows, of finite values, in whole histograms.

TFDV ends the process (a failed check in C++) where a histogram that it is to compare is damaged.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatistics,
        DatasetFeatureStatisticsList,
        FeatureNameStatistics,
        Histogram,
    )

_TYPES = {
    "num_stats": ("INT", "FLOAT"),
    "string_stats": ("STRING", "INT", "FLOAT"),  # numbers that are categories
    "bytes_stats": ("BYTES",),
}


def default_dataset(statistics: DatasetFeatureStatisticsList) -> DatasetFeatureStatistics:
    """The statistics over all rows, where there are slices beside them."""
    whole = (dataset for dataset in statistics.datasets if dataset.name == "All Examples")
    return next(whole, statistics.datasets[0])


def feature_name(path_or_name: Any) -> str:
    """A feature's name in statistics: its path's only step."""
    return str(path_or_name.path.step[0] if path_or_name.path.step else path_or_name.name)


def finite_only(statistics: DatasetFeatureStatisticsList) -> DatasetFeatureStatisticsList:
    """A copy of the statistics over all rows, its histograms without NaN and infinities."""
    copy = type(statistics)()
    copy.datasets.add().CopyFrom(default_dataset(statistics))
    for feature in copy.datasets[0].features:
        histograms = feature.num_stats.histograms
        (standard, *_) = [h for h in histograms if h.type == type(h).STANDARD] or [None]
        ends = _finite_ends(standard)
        infinite = {sign: _count_at(standard, sign) for sign in (-math.inf, math.inf)}
        for histogram in histograms:
            histogram.num_nan = 0
            _leave_out_infinities(histogram, ends, infinite)
    return copy


def unmeasurable(statistics: DatasetFeatureStatisticsList) -> set[str]:
    """The features of `finite_only` statistics that TFDV cannot compare.

    The buckets of a histogram must rise, touch, and hold counts of 0 or more; the statistics must
    be of the feature's type.
    """
    features = statistics.datasets[0].features
    return {feature_name(feature) for feature in features if not _is_measurable(feature)}


def leave_out(statistics: DatasetFeatureStatisticsList, names: set[str]) -> None:
    """Takes features out of `finite_only` statistics, in place."""
    features = statistics.datasets[0].features
    for place in reversed(range(len(features))):
        if feature_name(features[place]) in names:
            del features[place]


def _finite_ends(standard: Histogram | None) -> tuple[float, float] | None:
    """The smallest and the largest finite value."""
    buckets = standard.buckets if standard else ()
    finite = [b for b in buckets if math.isfinite(b.low_value) and math.isfinite(b.high_value)]
    return (finite[0].low_value, finite[-1].high_value) if finite else None


def _count_at(standard: Histogram | None, value: float) -> float:
    """How many values are an infinity, which has a bucket of its own in a standard histogram."""
    buckets = standard.buckets if standard else ()
    return sum(b.sample_count for b in buckets if b.low_value == b.high_value == value)


def _leave_out_infinities(
    histogram: Histogram, ends: tuple[float, float] | None, infinite: dict[float, float]
) -> None:
    """Ends the buckets of quantiles that reach to infinity where the finite values end.

    Such a bucket holds finite values beside the infinities; they are known by their number.
    """
    left = {sign: count - _count_at(histogram, sign) for sign, count in infinite.items()}
    for place in reversed(range(len(histogram.buckets))):
        bucket = histogram.buckets[place]
        low, high = bucket.low_value, bucket.high_value
        if math.isfinite(low) and math.isfinite(high):
            continue
        if ends is None or low == high or math.isnan(low) or math.isnan(high):
            del histogram.buckets[place]
            continue
        if low == -math.inf:
            bucket.low_value = min(ends[0], high)
            bucket.sample_count -= max(left[low], 0.0)
        if high == math.inf:
            bucket.high_value = max(ends[1], low)
            bucket.sample_count -= max(left[high], 0.0)
        bucket.sample_count = max(bucket.sample_count, 0.0)


def _is_measurable(feature: FeatureNameStatistics) -> bool:
    kind = feature.WhichOneof("stats")
    if type(feature).Type.Name(feature.type) not in _TYPES.get(kind, ()):
        return False
    if kind == "num_stats":
        return all(_is_whole(histogram) for histogram in feature.num_stats.histograms)
    buckets = feature.string_stats.rank_histogram.buckets
    return all(math.isfinite(b.sample_count) and b.sample_count >= 0 for b in buckets)


def _is_whole(histogram: Histogram) -> bool:
    buckets = histogram.buckets
    return all(
        bucket.low_value <= bucket.high_value
        and math.isfinite(bucket.high_value - bucket.low_value)
        and math.isfinite(bucket.sample_count)
        and bucket.sample_count >= 0
        for bucket in buckets
    ) and all(one.high_value <= other.low_value for one, other in pairwise(buckets))
