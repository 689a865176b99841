"""Statistics whose histograms TFDV can measure: it ends the process where they are damaged."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from mlproject.anomalies.drift import default_dataset, finite_only

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatisticsList,
        FeatureNameStatistics,
        Histogram,
    )


def measurable(statistics: DatasetFeatureStatisticsList) -> DatasetFeatureStatisticsList:
    """A copy of the statistics over all rows, without the features that TFDV cannot measure.

    The buckets of a histogram must rise, touch, and hold counts of 0 or more; the statistics must
    be of the feature's type.
    """
    copy = type(statistics)()
    copy.datasets.add().CopyFrom(default_dataset(finite_only(statistics)))
    features = copy.datasets[0].features
    for place in reversed(range(len(features))):
        if not _is_measurable(features[place]):
            del features[place]
    return copy


def _is_measurable(feature: FeatureNameStatistics) -> bool:
    kind = feature.WhichOneof("stats")
    types = {"num_stats": ("INT", "FLOAT"), "string_stats": ("STRING",), "bytes_stats": ("BYTES",)}
    if type(feature).Type.Name(feature.type) not in types.get(kind, ()):
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
