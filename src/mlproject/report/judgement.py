"""Metrics and their differences in words and figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from mlproject.metrics import Difference, MetricRow
from mlproject.metrics.names import METRICS

Mark = Literal["better", "worse", "not clear", "could not judge"]


def mark_of(difference: Difference | None, higher_is_better: bool | None) -> Mark:
    """Whether the candidate is better than the champion, with certainty.

    Args:
        difference: Candidate minus champion; None where there is none.
        higher_is_better: Whether more of the metric is better; None where nothing says so.

    Returns:
        `better` or `worse` where the whole confidence interval lies on that side of 0, `could not
        judge` where a value or its interval is missing, or the direction is not known.
    """
    if difference is None or higher_is_better is None:
        return "could not judge"
    value, low, high = difference.value, difference.low, difference.high
    if value is None or low is None or high is None or not math.isfinite(value + low + high):
        return "could not judge"
    if low <= 0 <= high:
        return "not clear"
    return "better" if (low > 0) == higher_is_better else "worse"


def main_metric(task: str, rows: Iterable[MetricRow]) -> str:
    """The task's first metric that was measured, or the first of all; empty where there is none."""
    measured = dict.fromkeys(row.metric for row in rows)
    return next((m for m in (*METRICS.get(task, ()), *measured) if m in measured), "")


def metric_text(value: float | None) -> str:
    """A metric's value by itself; empty where there is none."""
    return value_and_interval(value, None, None)[0]


def value_and_interval(
    value: float | None, low: float | None, high: float | None, signed: bool = False
) -> tuple[str, str]:
    """A value and its confidence interval, with as many decimals as tell models apart.

    Args:
        value: The value.
        low: Lower end of its interval.
        high: Upper end.
        signed: Put a plus before what is above 0.

    Returns:
        `0.912` and `[0.901, 0.923]`, all with the same decimals; empty where there is none.
    """
    if value is None or not math.isfinite(value):
        return "", ""
    if low is None or high is None or not math.isfinite(low + high):
        return _text(value, _decimals(abs(value)), signed), ""
    digits = _decimals(max(abs(value), abs(low), abs(high)))
    low_text, high_text = _text(low, digits, signed), _text(high, digits, signed)
    return _text(value, digits, signed), f"[{low_text}, {high_text}]"


def _text(value: float, decimals: int, signed: bool) -> str:
    return f"{value:{'+' if signed and value else ''},.{decimals}f}"


def _decimals(scale: float) -> int:
    """Four up to 10, fewer above; below a thousandth, as many as show two digits."""
    if scale >= 1e-3 or scale == 0:
        return 4 if scale < 10 else 2 if scale < 1000 else 0
    return min(12, 1 - math.floor(math.log10(scale)))
