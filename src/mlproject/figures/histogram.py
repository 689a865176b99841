"""TFDV's standard histogram of a numeric feature, drawn as steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics

# A bucket with more than this share, beside buckets this much smaller, wants a log scale.
TAIL_SHARE, TAIL_RATIO = 0.6, 100.0


@dataclass(frozen=True)
class _Histogram:
    """A split's standard histogram, without what has no place on an axis.

    Attributes:
        buckets: Low end, high end and number of values of each bucket.
        integers: True where all values are whole numbers.
        lost: Share of values (0 to 1) that are NaN or in buckets without an end.
    """

    buckets: tuple[tuple[float, float, float], ...]
    integers: bool
    lost: float

    @property
    def values(self) -> float:
        """Number of values."""
        return sum(count for _, _, count in self.buckets)


def draw_steps(axes: Axes, by_split: Mapping[int, FeatureNameStatistics]) -> list[float]:
    """Draws the standard histogram of each split, with a log scale where the tail is heavy.

    TFDV cuts each split's own range into buckets; here all splits are brought to the same
    buckets over their common range, so that shares can be compared.

    Args:
        axes: Where to draw.
        by_split: Index of the split -> a numeric feature.

    Returns:
        For each split, the share of values that cannot be drawn (0 to 1).
    """
    histograms = {index: _read(feature) for index, feature in by_split.items()}
    drawn = {index: found for index, found in histograms.items() if found.values}
    if not drawn:
        canvas.say(axes, "no histogram")
        return [found.lost for found in histograms.values()]
    edges = _common_edges(list(drawn.values()))
    shares = {index: _shares(found, edges) for index, found in drawn.items()}
    peak = max(max(heights) for heights in shares.values())
    log = any(_heavy_tailed(shares[index], found.values) for index, found in drawn.items())
    floor = 0.5 / max(found.values for found in drawn.values()) if log else 0.0
    for place, (index, heights) in enumerate(shares.items()):
        heights = [max(height, floor) for height in heights]
        shade = canvas.colour(index)
        if place == 0:
            axes.stairs(heights, edges, baseline=floor, fill=True, color=shade, alpha=0.25)
        axes.stairs(heights, edges, baseline=floor, color=shade, linewidth=1.2)
    low, high = edges[0], edges[-1]
    pad = (0.04 if len(edges) > 2 else 0.5) * (high - low)
    axes.set_xlim(low - pad, high + pad)
    if len(edges) == 2:
        axes.set_xticks([(low + high) / 2], [f"{(low + high) / 2:.12g}"])
    else:
        axes.set_xticks(*canvas.ticks(low - pad, high + pad, count=5))
    if log:
        _log_scale(axes, floor, peak)
    else:
        axes.set_ylim(0, 1.08 * peak)
        canvas.share_ticks(axes, "y", 1.08 * peak)
    return [found.lost for found in histograms.values()]


def _read(feature: FeatureNameStatistics) -> _Histogram:
    standard = [h for h in feature.num_stats.histograms if h.type == type(h).STANDARD]
    integers = feature.type == type(feature).INT
    if not standard:
        return _Histogram((), integers, 0.0)
    found = [(b.low_value, b.high_value, b.sample_count) for b in standard[0].buckets]
    kept = tuple(b for b in found if all(abs(end) < canvas.DRAWABLE for end in b[:2]))
    everything = standard[0].num_nan + sum(count for _, _, count in found)
    lost = everything - sum(count for _, _, count in kept)
    # What a sum's rounding leaves is no value.
    return _Histogram(kept, integers, lost / everything if lost > 1e-9 * everything else 0.0)


def _common_edges(histograms: Sequence[_Histogram]) -> list[float]:
    """Edges of equal buckets over the range of all splits, as many as TFDV made."""
    low = min(histogram.buckets[0][0] for histogram in histograms)
    high = max(histogram.buckets[-1][1] for histogram in histograms)
    if low == high:
        beside = max(0.5, 0.01 * abs(low))  # the only value
        return [low - beside, low + beside]
    count = max(len(histogram.buckets) for histogram in histograms)
    if all(histogram.integers for histogram in histograms) and high - low < count:
        # Fewer values than buckets: one bucket around each, with no gaps between them.
        return [low - 0.5 + step for step in range(round(high - low) + 2)]
    return [low + (high - low) * step / count for step in range(count)] + [high]


def _shares(histogram: _Histogram, edges: Sequence[float]) -> list[float]:
    """The share of a split's values in each common bucket, taken as even within its own."""
    shares = [0.0] * (len(edges) - 1)
    width = (edges[-1] - edges[0]) / len(shares)
    for low, high, count in histogram.buckets:
        if histogram.integers and high - low < 1:
            low = high = math.ceil(low) if math.ceil(low) <= high else (low + high) / 2
        first = min(int((low - edges[0]) / width), len(shares) - 1)
        last = min(int((high - edges[0]) / width), len(shares) - 1)
        for index in range(first, last + 1):
            overlap = min(high, edges[index + 1]) - max(low, edges[index])
            part = 1.0 if first == last else max(0.0, overlap) / (high - low)
            shares[index] += part * count / histogram.values
    return shares


def _heavy_tailed(shares: Sequence[float], values: float) -> bool:
    seen = [share for share in shares if share >= 0.5 / values]
    return bool(seen) and max(seen) > max(TAIL_SHARE, TAIL_RATIO * min(seen))


def _log_scale(axes: Axes, floor: float, peak: float) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_yscale("log")
    axes.set_ylim(floor, 2 * peak)
    exponents = range(math.ceil(math.log10(floor)), math.floor(math.log10(2 * peak)) + 1)
    exponents = exponents[:: -max(1, math.ceil(len(exponents) / 4))]
    values = [10.0**exponent for exponent in exponents]
    axes.set_yticks(values, [f"{100 * value:.3g}%" for value in values])
    axes.yaxis.set_minor_locator(NullLocator())
