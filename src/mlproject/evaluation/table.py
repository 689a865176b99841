"""Metrics as the console and MLflow show them: a row a slice and model, and flat names. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow


def wide_table(rows: Sequence[MetricRow]) -> list[dict[str, Any]]:
    """A row for each slice and model, in the order of the rows.

    Returns:
        Rows of `slice`, `model`, `examples` and metric -> value (None where not judged).
    """
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        about = {"slice": row.slice, "model": row.model, "examples": row.examples}
        table.setdefault((row.slice, row.model), about)[row.metric] = row.value
    return list(table.values())


def overall_values(rows: Sequence[MetricRow]) -> dict[str, float]:
    """Metric -> value on all rows; `champion_` in front for the champion's."""
    return {
        _prefix(row) + row.metric: row.value
        for row in rows
        if row.slice == OVERALL and row.value is not None
    }


def logged_metrics(
    rows: Sequence[MetricRow], differences: Sequence[Difference]
) -> dict[str, float]:
    """What MLflow gets: the values on all rows, with `_low` and `_high` for intervals.

    Returns:
        `auc`, `auc_low`, `auc_high`; `champion_auc` and its interval; `difference_auc` and its.
    """
    logged: dict[str, float | None] = {}
    for row in rows:
        if row.slice == OVERALL:
            logged |= _with_ends(_prefix(row) + row.metric, row)
    for difference in differences:
        if difference.slice == OVERALL:
            logged |= _with_ends(f"difference_{difference.metric}", difference)
    return {name: value for name, value in logged.items() if value is not None}


def _with_ends(name: str, of: MetricRow | Difference) -> dict[str, float | None]:
    return {name: of.value, f"{name}_low": of.low, f"{name}_high": of.high}


def _prefix(row: MetricRow) -> str:
    return "" if row.model == CANDIDATE else f"{CHAMPION}_"
