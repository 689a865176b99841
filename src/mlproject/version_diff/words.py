"""What the terminal and the page say alike of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlproject.metrics import OVERALL
from mlproject.report.judgement import value_and_interval
from mlproject.version_diff.result import DIFFERENT, Section, VersionDiff
from mlproject.version_diff.values import (
    BETTER,
    CHANGED,
    NOISE,
    SAME,
    UNJUDGED,
    WORSE,
    FeatureShift,
    Figure,
    MetricShift,
)
from mlproject.webpage.text import number, percent, plain

NONE = "–"
ARROW = "->"
SHARES_SHOWN, MOST_SHARES_SHOWN = 3, 10
MAX_TEXT = 120
TITLES: Mapping[str, str] = {
    "version": "Version",
    "parameters": "Parameters",
    "data": "Data",
    "statistics": "Data statistics",
    "schema": "Schema",
    "metrics": "Metrics",
    "code": "Code",
}
VERDICTS: Mapping[str, str] = {
    SAME: "nothing that is recorded differs",
    DIFFERENT: "they differ",
    UNJUDGED: "no difference found, but not everything could be compared",
}
_SHARES = ("missing",)
_EXTREMES = ("min", "max")


def headline(diff: VersionDiff) -> str:
    """The two versions and the verdict."""
    return f"{diff.before} {ARROW} {diff.after}: {VERDICTS[diff.verdict]}"


def summary(name: str, section: Section) -> str:
    """How much of a section differs."""
    if name == "metrics" and section.items:
        verdicts = [shift.verdict for shift in section.items]
        order = (BETTER, WORSE, CHANGED, NOISE, UNJUDGED, SAME)
        told = {UNJUDGED: "not judged on both sides", SAME: "the same"}
        counts = ((verdicts.count(v), told.get(v, v)) for v in order)
        return ", ".join(f"{count:,} {word}" for count, word in counts if count)
    if not section.items:
        return ""
    return f"{len(section.changes):,} of {len(section.items):,} differ"


def text(value: str | None, most: int = MAX_TEXT) -> str:
    """One side of a fact on one line, of `most` characters."""
    return NONE if value is None else plain(value, most)


def figure(found: Figure | None, interval: bool = True) -> str:
    """A metric's value, with its interval unless that is not wanted."""
    if found is None:
        return NONE
    if found.value is None:
        return "not judged"
    told = value_and_interval(found.value, found.low, found.high)
    return " ".join(told if interval else told[:1]).rstrip()


def change(shift: MetricShift) -> str:
    """How far a metric moved, with the interval of the difference where there is one."""
    low, high = shift.interval or (None, None)
    return " ".join(value_and_interval(shift.change, low, high, signed=True)).rstrip()


def verdict(shift: MetricShift) -> str:
    """The verdict; where a side lacks the slice, that."""
    if shift.before is None:
        return "only in the second"
    if shift.after is None:
        return "only in the first"
    if shift.verdict == UNJUDGED:
        return "not judged"
    unsure = shift.interval is None and shift.verdict in (BETTER, WORSE, CHANGED)
    return f"{shift.verdict}, no interval" if unsure else shift.verdict


def slices_in_order(items: tuple[MetricShift, ...]) -> tuple[MetricShift, ...]:
    """All rows first, then slices by their largest number of rows."""
    sizes: dict[str, int] = {}
    for shift in items:
        rows = max(side.examples for side in (shift.before, shift.after) if side is not None)
        sizes[shift.slice] = max(sizes.get(shift.slice, 0), rows)
    return tuple(
        sorted(items, key=lambda shift: (shift.slice != OVERALL, -sizes[shift.slice], shift.slice))
    )


def kinds(shift: FeatureShift) -> str:
    """The feature's kind on both sides."""
    if shift.before == shift.after:
        return shift.after or NONE
    return f"{shift.before or 'absent'} {ARROW} {shift.after or 'absent'}"


def distances(shift: FeatureShift) -> str:
    """The feature's distances: `js 0.0312, linf 0.0204`."""
    return ", ".join(f"{measure} {value:.4f}" for measure, value in shift.distances.items())


def numbers(shift: FeatureShift, every: bool = False) -> Iterator[str]:
    """A feature's numbers that differ: `mean 11.2 -> 13.1`.

    Args:
        shift: The feature.
        every: Also those that are the same in the digits shown, and the extremes.
    """
    if None in (shift.before, shift.after):
        return
    for pair in shift.numbers:
        shown = percent if pair.name in _SHARES else number
        told = _sides(shown(pair.before), shown(pair.after))
        if every or (ARROW in told and pair.name not in _EXTREMES):
            yield f"{pair.name} {told}"
    shares = [(p.name, _sides(percent(p.before), percent(p.after))) for p in shift.shares]
    differing = [(name, told) for name, told in shares if ARROW in told]
    for name, told in shares[:MOST_SHARES_SHOWN] if every else differing[:SHARES_SHOWN]:
        yield f"'{plain(name, 40)}' {told}"


def _sides(before: str, after: str) -> str:
    return before if before == after else f"{before} {ARROW} {after}"
