"""The metrics of two versions, on all rows and on each slice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mlproject.errors import PlatformError
from mlproject.evaluation.files import METRICS_FILE
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL
from mlproject.registry.names import BASELINE_TAG, ROWS_TAG, SOURCE_DIGEST_TAG, STATISTICS
from mlproject.statistics.files import STATISTICS_FILE, split_folder
from mlproject.version_diff.evidence import Evidence, read_both
from mlproject.version_diff.figures import (
    Figures,
    Intervals,
    independent_intervals,
    read_directions,
    read_figures,
    read_intervals,
)
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import (
    BETTER,
    CHANGED,
    NOISE,
    SAME,
    TINY,
    UNJUDGED,
    WORSE,
    Figure,
    MetricShift,
)

EVAL = "eval"
OTHER_DATA = "measured on other eval data: a difference may come from the data"
UNKNOWN_DATA = "whether both were measured on the same eval data is not recorded"
SAME_DATA = "measured on the same eval data"
WIDENED = "intervals of a difference on slices are widened for the number of slices (Bonferroni)"


def compare_metrics(before: Evidence, after: Evidence) -> Section[MetricShift]:
    """Compares metrics, with their intervals.

    Where one version was the baseline of the other's evaluation, both were measured on the same
    rows then: those figures are compared, and a change is within noise where the interval of the
    paired difference holds 0. Else each version's own figures are compared, and a change is within
    noise where each value lies in the interval of the other, or the interval of the difference,
    by the standard errors of both, holds 0.
    """
    higher = read_directions((before, after))
    paired = _paired(before, after)
    if paired is not None:
        old, new, intervals, note = paired
        shifts = _shifts(old, new, higher, intervals, row_by_row=True)
        return Section(shifts, notes=(note, WIDENED))
    figures, unjudged = read_both(
        METRICS_FILE, lambda side: read_figures(side, CANDIDATE), before, after
    )
    if figures is None:
        return Section(unjudged=unjudged)
    old, new = figures
    intervals = independent_intervals((before, after), new, old)
    shifts = _shifts(old, new, higher, intervals, row_by_row=False)
    return Section(shifts, notes=(_eval_data(before, after), WIDENED))


def _paired(before: Evidence, after: Evidence) -> tuple[Figures, Figures, Intervals, str] | None:
    """Figures of both on the same rows, where one was the other's baseline and that is recorded.

    Returns:
        The first's, the second's, intervals of second minus first, and a note that says so.
    """
    older, newer = sorted((before, after), key=lambda side: side.number)
    if older.name != newer.name or newer.tags.get(BASELINE_TAG) != str(older.number):
        return None
    if older.number == newer.number:
        return None
    try:
        old, new = read_figures(newer, CHAMPION), read_figures(newer, CANDIDATE)
        intervals = read_intervals(newer)
    except PlatformError:  # said where the version's own figures are read
        return None
    if not old or not new:
        return None
    note = f"both measured on the eval rows of {newer.title}, row against row"
    if newer is after:
        return old, new, intervals, note
    return new, old, {key: (-high, -low) for key, (low, high) in intervals.items()}, note


def _shifts(
    before: Figures,
    after: Figures,
    higher: Mapping[str, bool],
    intervals: Intervals,
    *,
    row_by_row: bool,
) -> tuple[MetricShift, ...]:
    keys = sorted({**after, **before}, key=lambda key: key[0] != OVERALL)
    found = []
    for key in keys:
        old, new, interval = before.get(key), after.get(key), intervals.get(key)
        shift = MetricShift(*key, old, new, UNJUDGED, interval)
        in_doubt = interval is not None and interval[0] <= 0 <= interval[1]
        if not row_by_row and old and new:
            in_doubt = in_doubt or _inside_each_other(old, new)
        found.append(replace(shift, verdict=_verdict(shift, higher.get(key[1]), in_doubt)))
    return tuple(found)


def _verdict(shift: MetricShift, higher: bool | None, in_doubt: bool) -> str:
    if shift.change is None:
        unknown = shift.before and shift.after and shift.before.value == shift.after.value
        return SAME if unknown else UNJUDGED
    if math.isclose(shift.change, 0, abs_tol=TINY):
        return SAME
    if in_doubt:
        return NOISE
    if higher is None:
        return CHANGED
    return BETTER if (shift.change > 0) == higher else WORSE


def _inside_each_other(before: Figure, after: Figure) -> bool:
    """Whether each value lies in the interval of the other; False where one has no interval."""
    return all(
        one.low is not None
        and one.high is not None
        and other.value is not None
        and one.low <= other.value <= one.high
        for one, other in ((before, after), (after, before))
    )


def _eval_data(before: Evidence, after: Evidence) -> str:
    """Whether both were measured on the same rows, by the statistics of the eval split."""
    folders = [side.path(STATISTICS) for side in (before, after)]
    files = [split_folder(folder, EVAL) / STATISTICS_FILE for folder in folders if folder]
    if len(files) == 2 and all(file.is_file() for file in files):
        same = files[0].read_bytes() == files[1].read_bytes()
        return SAME_DATA if same else OTHER_DATA
    digests, rows = (
        [side.tags.get(tag) for side in (before, after)] for tag in (SOURCE_DIGEST_TAG, ROWS_TAG)
    )
    if not all(digests):
        return UNKNOWN_DATA
    return OTHER_DATA if digests[0] != digests[1] or rows[0] != rows[1] else SAME_DATA
