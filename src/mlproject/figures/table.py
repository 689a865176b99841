"""TFDV statistics as plain rows, one for each split and feature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        CommonStatistics,
        DatasetFeatureStatistics,
        FeatureNameStatistics,
    )

NUMERIC, STRING = "num_stats", "string_stats"


def statistics_table(statistics: Mapping[str, DatasetFeatureStatistics]) -> list[dict[str, Any]]:
    """Statistics of every split and feature as rows of plain Python values.

    Args:
        statistics: Split name -> its statistics.

    Returns:
        A row for each split and feature, in their order: `split`, `feature`, `type`, `rows`,
        `missing` (rows), `missing_share` (0 to 1), `mean`, `std`, `min`, `median`, `max`, `zeros`
        (values; numeric features), `unique` and `top`, the most frequent value (text features).
        What a feature does not have, or is not finite, is None.
    """
    return [
        {"split": split, **_row(feature)}
        for split, dataset in statistics.items()
        for feature in dataset.features
    ]


def feature_name(feature: FeatureNameStatistics) -> str:
    """The feature's name, or its path with dots."""
    return ".".join(feature.path.step) or feature.name


def common_statistics(feature: FeatureNameStatistics) -> CommonStatistics | None:
    """The part on presence that every kind of feature has."""
    kind = feature.WhichOneof("stats")
    return getattr(feature, kind).common_stats if kind else None


def missing_share(feature: FeatureNameStatistics) -> float | None:
    """Missing rows as a share of all rows (0 to 1); None without rows."""
    common = common_statistics(feature)
    rows = common.num_missing + common.num_non_missing if common else 0
    return common.num_missing / rows if common and rows else None


def top_values(feature: FeatureNameStatistics) -> list[tuple[str, float]]:
    """The most frequent values of a text feature and their counts, the largest first."""
    strings = feature.string_stats
    found = [(bucket.label, bucket.sample_count) for bucket in strings.rank_histogram.buckets]
    if not found:
        found = [(top.value, top.frequency) for top in strings.top_values]
    return sorted(found, key=lambda pair: -pair[1])


def _row(feature: FeatureNameStatistics) -> dict[str, Any]:
    common = common_statistics(feature)
    present = common.num_non_missing if common else 0
    missing = common.num_missing if common else 0
    kind = feature.WhichOneof("stats")
    numbers = feature.num_stats if kind == NUMERIC and present else None
    strings = feature.string_stats if kind == STRING and present else None
    top = top_values(feature) if strings else []
    return {
        "feature": feature_name(feature),
        "type": type(feature).Type.Name(feature.type),
        "rows": int(present + missing),
        "missing": int(missing),
        "missing_share": missing_share(feature),
        "mean": _finite(numbers.mean) if numbers else None,
        "std": _finite(numbers.std_dev) if numbers else None,
        "min": _finite(numbers.min) if numbers else None,
        "median": _finite(numbers.median) if numbers else None,
        "max": _finite(numbers.max) if numbers else None,
        "zeros": int(numbers.num_zeros) if numbers else None,
        "unique": int(strings.unique) if strings else None,
        "top": top[0][0] if top else None,
    }


def _finite(value: float) -> float | None:
    # NaN and infinity have no place in JSON.
    return float(value) if math.isfinite(value) else None
