"""Counters and histograms under TensorFlow Serving's metric names, and their text.

They are written as its prometheus_exporter.cc writes them: names with colons, counters without the
ending `_total`, labels in the order of the metric. The Prometheus client library can say none of
these, and its histogram takes ten times as long for an observation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

Labels = tuple[str, ...]


def exponential(scale: float, factor: float, number: int) -> tuple[float, ...]:
    """Upper bounds of buckets, each `factor` times the one before."""
    return tuple(scale * factor**power for power in range(number))


# Microseconds, from 10 us to about 20 minutes; and sizes from 1 to 16,384.
LATENCY_BOUNDS = exponential(10, 1.8, 33)
COUNT_BOUNDS = exponential(1, 2, 15)


class Histogram:
    """The observations of one label set; not safe to change from two threads at once."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value in its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class HistogramFamily:
    """A histogram metric: one histogram for each label set.

    Args:
        name: The name as TensorFlow has it, `/tensorflow/serving/request_latency`.
        label_names: The names of the labels.
        bounds: The upper bounds of the buckets, but for the last, which has none.
        most: The most label sets; the one that was made first goes for a further one.
    """

    def __init__(
        self, name: str, label_names: Labels, bounds: Sequence[float], most: int = 1000
    ) -> None:
        self.name = name.replace("/", ":")
        self.label_names = label_names
        self._bounds = bounds
        self._most = most
        self._cells: dict[Labels, Histogram] = {}

    def cell(self, *labels: str) -> Histogram:
        """The histogram of a label set; made when it is first asked for."""
        cell = self._cells.get(labels)
        if cell is None:
            if len(self._cells) >= self._most:
                del self._cells[next(iter(self._cells))]
            cell = self._cells[labels] = Histogram(self._bounds)
        return cell

    def lines(self) -> Iterator[str]:
        """The metric's lines of text."""
        yield f"# TYPE {self.name} histogram"
        for values, cell in self._cells.items():
            labels = _labels(self.label_names, values)
            first = labels + "," if labels else ""
            cumulative = 0
            for bound, count in zip((*self._bounds, None), cell.counts, strict=True):
                cumulative += count
                limit = "+Inf" if bound is None else f"{bound:g}"
                yield f'{self.name}_bucket{{{first}le="{limit}"}} {cumulative}'
            yield f"{self.name}_sum{{{labels}}} {cell.total:.10g}"
            yield f"{self.name}_count{{{labels}}} {cumulative}"


class CounterFamily:
    """A counter metric: one number for each label set.

    Args:
        name: The name as TensorFlow has it, `/tensorflow/serving/request_count`.
        label_names: The names of the labels.
        most: The most label sets; the one that was made first goes for a further one.
    """

    def __init__(self, name: str, label_names: Labels, most: int = 1000) -> None:
        self.name = name.replace("/", ":")
        self.label_names = label_names
        self._most = most
        self._counts: dict[Labels, int] = {}

    def add(self, count: int, *labels: str) -> None:
        """Add to the number of a label set."""
        if labels not in self._counts and len(self._counts) >= self._most:
            del self._counts[next(iter(self._counts))]
        self._counts[labels] = self._counts.get(labels, 0) + count

    def lines(self) -> Iterator[str]:
        """The metric's lines of text."""
        yield f"# TYPE {self.name} counter"
        for values, count in self._counts.items():
            yield f"{self.name}{{{_labels(self.label_names, values)}}} {count}"


def _labels(names: Labels, values: Labels) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
