"""One metric over the slices with its intervals, the candidate next to the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.figures import canvas
from mlproject.figures.chosen import Group, choose, chosen_note
from mlproject.figures.slice_rows import (
    decimals,
    label_slices,
    places,
    slice_plot,
    write_value,
)
from mlproject.metrics import CANDIDATE, CHAMPION, MetricRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = (CANDIDATE, CHAMPION)
ROW_IN = 0.15  # height of one bar
Cells = Mapping[tuple[str, str], MetricRow]


def slice_bars(
    rows: Sequence[MetricRow],
    metric: str,
    path: Path,
    higher_is_better: bool | None = None,
    threshold: float | None = None,
) -> None:
    """Saves horizontal bars of a metric, slice by slice, with intervals and numbers of rows.

    Args:
        rows: The metrics of an Evaluation; those of other metrics are passed over.
        metric: Name of the metric.
        path: PNG file to write. The whole (`overall`) is on top and the slices follow by name; of
            more than `MAX_SLICES`, the largest and the candidate's worst are kept, and the figure
            says so.
        higher_is_better: Whether more of the metric is better; None where that is not known, so
            that no slice is the worst.
        threshold: Value to draw a line at; None for none.
    """
    cells: dict[tuple[str, str], MetricRow] = {}
    examples: dict[str, int] = {}
    for row in rows:
        if row.metric == metric:
            cells[row.slice, row.model] = row
            examples[row.slice] = max(examples.get(row.slice, 0), row.examples)
    present = {model for _, model in cells}
    models = [m for m in MODELS if m in present] + sorted(present - set(MODELS))
    sign = -1.0 if higher_is_better else 1.0
    badness = {
        name: sign * row.value
        for (name, model), row in cells.items()
        if model == CANDIDATE and row.value is not None and _judged(row)
    }
    groups = choose(examples, badness if higher_is_better is not None else {})
    title = canvas.readable(metric, 50)
    line = "" if threshold is None else f" Dashed: {threshold:g}, the bound."
    figure, axes = slice_plot(
        f"{title} by slice",
        f"With confidence intervals.{line}{chosen_note(groups, examples)}",
        groups,
        ROW_IN * (max(1, len(models)) + 0.7),
        [(canvas.readable(m, 30), canvas.model_colour(m)) for m in models],
    )
    if examples:
        _draw(axes, groups, models, cells, examples, threshold)
        axes.set_xlabel(title, size=canvas.TEXT_PT, color=canvas.INK, labelpad=3)
    else:
        canvas.say(axes, "no slices")
    canvas.save(figure, path)


def _judged(row: MetricRow) -> bool:
    """Whether a metric has a value that can be drawn."""
    return row.value is not None and abs(row.value) < canvas.DRAWABLE


def _draw(
    axes: Axes,
    groups: Sequence[Group],
    models: Sequence[str],
    cells: Cells,
    examples: Mapping[str, int],
    threshold: float | None,
) -> None:
    at, _, bottom = places(groups)
    shown = {key: row for key, row in cells.items() if key[0] in at and _judged(row)}
    ends = [
        end
        for row in shown.values()
        for end in (row.value, row.low, row.high)
        if end is not None and abs(end) < canvas.DRAWABLE
    ]
    ends += [0.0] + ([threshold] if threshold is not None else [])
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0
    bar = 1.0 / (len(models) + 0.7)
    for place, model in enumerate(models):
        offset = (place - (len(models) - 1) / 2) * bar
        for name, top in at.items():
            if (name, model) in cells:
                _bar(axes, top + offset, 0.9 * bar, cells[name, model], decimals(span))
    limits = (low - 0.03 * span if low < 0 else 0.0, high + 0.03 * span)
    axes.set(xlim=limits, ylim=(bottom, -0.5))
    axes.set_xticks(*canvas.ticks(*limits, count=5))
    axes.axvline(0.0, color=canvas.FRAME, linewidth=0.8)
    if threshold is not None:
        axes.axvline(threshold, color=canvas.INK, linewidth=1.0, linestyle="--", zorder=4)
    label_slices(axes, groups, examples)


def _bar(axes: Axes, y: float, height: float, row: MetricRow, digits: int) -> None:
    if row.value is None or not _judged(row):
        write_value(axes, y, "")
        return
    axes.barh([y], [row.value], height=height, color=canvas.model_colour(row.model), alpha=0.8)
    if row.low is not None and row.high is not None:
        axes.hlines(y, row.low, row.high, color=canvas.INK, linewidth=1.0)
        for end in (row.low, row.high):
            axes.vlines(end, y - 0.3 * height, y + 0.3 * height, color=canvas.INK, linewidth=1.0)
    write_value(axes, y, canvas.with_interval(row.value, row.low, row.high, digits))
