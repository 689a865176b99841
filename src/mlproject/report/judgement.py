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
    """A metric's value with as many decimals as tell models apart; empty where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    size = abs(value)
    if 0 < size < 1e-3:
        return f"{value:.2g}"
    return f"{value:,.{4 if size < 10 else 2 if size < 1000 else 0}f}"


def difference_text(value: float | None) -> str:
    """As `metric_text`, with its sign."""
    text = metric_text(value)
    return f"+{text}" if value is not None and value > 0 and text else text


def interval_text(low: float | None, high: float | None, signed: bool = False) -> str:
    """A confidence interval: `[0.901, 0.923]`; empty where there is none."""
    text = difference_text if signed else metric_text
    ends = [text(low), text(high)]
    return f"[{ends[0]}, {ends[1]}]" if all(ends) else ""
