"""A feature's statistics as plain values, ready to be shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.figures.table import common_statistics, feature_name, missing_share, top_values

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import (
        DatasetFeatureStatistics,
        FeatureNameStatistics,
        Histogram,
    )

_KINDS = {"INT": "int", "FLOAT": "float", "STRING": "text", "BYTES": "bytes"}
Buckets = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Numbers:
    """What is special to a numeric feature; a value that is not finite is None.

    Attributes:
        mean, std, minimum, median, maximum: As TFDV computes them.
        zeros: Values that are zero.
        odd: Values that are NaN or infinite.
        buckets: Low end, high end and number of values of the standard histogram.
        deciles: The bounds of ten parts of equal size, smallest first.
    """

    mean: float | None
    std: float | None
    minimum: float | None
    median: float | None
    maximum: float | None
    zeros: int
    odd: float
    buckets: Buckets
    deciles: tuple[float, ...]


@dataclass(frozen=True)
class Feature:
    """One feature of one dataset.

    Attributes:
        name: Its name.
        kind: `int`, `float`, `text` or `bytes`.
        rows: Rows of the dataset.
        missing: Rows without a value.
        missing_share: The same as a share (0 to 1).
        values: Values in all; more than rows where a row holds several.
        lengths: Fewest, average and most values of a row that has some.
        numbers: Of a numeric feature with values.
        distinct: Distinct values of a text feature.
        top: The most frequent values of a text feature, with their counts.
        sizes: Smallest, average and largest number of bytes of a bytes feature; of a text feature
            the average alone.
    """

    name: str
    kind: str
    rows: int
    missing: int
    missing_share: float
    values: float
    lengths: tuple[float, float, float]
    numbers: Numbers | None = None
    distinct: int | None = None
    top: tuple[tuple[str, float], ...] = ()
    sizes: tuple[float | None, float, float | None] | None = None

    @property
    def is_list(self) -> bool:
        """Whether rows hold other than one value."""
        return self.values > 0 and self.lengths != (1.0, 1.0, 1.0)


def features_of(dataset: DatasetFeatureStatistics) -> dict[str, Feature]:
    """The features of a dataset, by name, in their order."""
    return {feature_name(f): _feature(f, int(dataset.num_examples)) for f in dataset.features}


def _feature(feature: FeatureNameStatistics, rows: int) -> Feature:
    common = common_statistics(feature)
    present = int(common.num_non_missing) if common else 0
    lengths = (
        (float(common.min_num_values), float(common.avg_num_values), float(common.max_num_values))
        if common and present
        else (1.0, 1.0, 1.0)
    )
    stats = feature.WhichOneof("stats")
    distinct, sizes = None, None
    if stats == "string_stats" and present:
        distinct = int(feature.string_stats.unique)
        sizes = (None, float(feature.string_stats.avg_length), None)
    if stats == "bytes_stats" and present:
        found = feature.bytes_stats
        sizes = (found.min_num_bytes, found.avg_num_bytes, found.max_num_bytes)
    return Feature(
        name=feature_name(feature),
        kind=_KINDS.get(type(feature).Type.Name(feature.type), "other"),
        rows=rows,
        missing=rows - present,
        missing_share=missing_share(feature) or 0.0,
        values=float(common.tot_num_values) if common else 0.0,
        lengths=lengths,
        numbers=_numbers(feature) if stats == "num_stats" and present else None,
        distinct=distinct,
        top=tuple(top_values(feature)[:20]),
        sizes=sizes,
    )


def _numbers(feature: FeatureNameStatistics) -> Numbers:
    stats = feature.num_stats
    by_type: Mapping[int, Histogram] = {h.type: h for h in stats.histograms}
    standard = by_type.get(0)
    every = _buckets(standard)
    finite = tuple(b for b in every if math.isfinite(b[0]) and math.isfinite(b[1]))
    odd = sum(b[2] for b in every) - sum(b[2] for b in finite)
    ends = _buckets(by_type.get(1))
    deciles: Sequence[float] = [b[0] for b in ends] + [b[1] for b in ends[-1:]]
    nan = standard.num_nan if standard else 0.0
    only_nan = standard is not None and not every and nan > 0
    mean = None if only_nan else _finite(stats.mean)
    return Numbers(
        mean=mean,
        std=None if mean is None else _finite(stats.std_dev),  # TFDV says 0 beside a NaN mean
        minimum=None if only_nan else _finite(stats.min),
        median=None if only_nan else _finite(stats.median),
        maximum=None if only_nan else _finite(stats.max),
        zeros=int(stats.num_zeros),
        odd=round(odd + nan, 6),
        buckets=finite,
        deciles=tuple(v for v in deciles if math.isfinite(v)),
    )


def _buckets(histogram: Histogram | None) -> Buckets:
    if histogram is None:
        return ()
    return tuple((b.low_value, b.high_value, b.sample_count) for b in histogram.buckets)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
