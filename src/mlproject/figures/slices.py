"""One metric over the slices with its intervals, the candidate next to the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas
from mlproject.figures.chosen import Group, choose, chosen_note
from mlproject.metrics import CANDIDATE, CHAMPION, MetricRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = (CANDIDATE, CHAMPION)
WIDTH_IN = 9.4
PLOT_LEFT_IN, PLOT_WIDTH_IN = 2.75, 3.7
VALUE_IN, EXAMPLES_IN = 0.1, 2.65  # columns of text, from the right end of the plot
ROW_IN = 0.15  # height of one bar
GROUP_GAP = 1.0  # rows of space above a group's title
NAME_LIMIT = 44  # characters
NOT_JUDGED = "could not judge"
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
        if model == CANDIDATE and row.value is not None and judged(row)
    }
    groups = choose(examples, badness if higher_is_better is not None else {})
    shown = sum(len(group.slices) for group in groups) + GROUP_GAP * (len(groups) - 1)
    height = max(1.0, ROW_IN * (max(1, len(models)) + 0.7) * shown)
    title = canvas.readable(metric, 50)
    line = "" if threshold is None else f" Dashed: {threshold:g}, the bound."
    figure = canvas.new_figure(
        WIDTH_IN,
        canvas.HEADER_IN + 0.3 + height + 0.5,
        f"{title} by slice",
        f"With confidence intervals.{line}{chosen_note(groups, examples)}",
    )
    canvas.key(figure, [(canvas.readable(m, 30), canvas.model_colour(m)) for m in models])
    axes = canvas.place(figure, PLOT_LEFT_IN, canvas.HEADER_IN + 0.3, PLOT_WIDTH_IN, height)
    if examples:
        _draw(axes, groups, models, cells, examples, threshold)
        axes.set_xlabel(title, size=canvas.TEXT_PT, color=canvas.INK, labelpad=3)
    else:
        canvas.say(axes, "no slices")
    canvas.save(figure, path)


def judged(row: MetricRow | None) -> bool:
    """Whether a metric has a value that can be drawn."""
    return row is not None and row.value is not None and abs(row.value) < canvas.DRAWABLE


def places(groups: Sequence[Group]) -> tuple[dict[str, float], list[tuple[float, str]], float]:
    """Where each slice stands, from the top down in rows.

    Returns:
        Slice -> its place, place and text of each group's title, and the place of the lower end.
    """
    at: dict[str, float] = {}
    titles = []
    top = 0.0
    for group in groups:
        if at:
            top += GROUP_GAP
            titles.append((top - 0.5 - GROUP_GAP / 2, group.title))
        for name in group.slices:
            at[name] = top
            top += 1.0
    return at, titles, top - 0.5


def beside(axes: Axes, right_in: float, y: float, text: str, **style: Any) -> None:
    """Writes text at a distance from the right end of the plot (left of it, if below 0)."""
    style = {"va": "center", "size": canvas.SMALL_PT, "color": canvas.INK, **style}
    width_in = axes.get_window_extent().width / canvas.DPI
    where = 1 + right_in / width_in if right_in >= 0 else right_in / width_in
    axes.text(where, y, text, transform=axes.get_yaxis_transform(), **style)


def decimals(span: float) -> int:
    """Decimals that tell values apart which lie that far from each other."""
    return 6 if span < 0.01 else 4 if span < 10 else 2 if span < 1000 else 0


def _draw(
    axes: Axes,
    groups: Sequence[Group],
    models: Sequence[str],
    cells: Cells,
    examples: Mapping[str, int],
    threshold: float | None,
) -> None:
    at, _, bottom = places(groups)
    shown = {key: row for key, row in cells.items() if key[0] in at and judged(row)}
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


def label_slices(axes: Axes, groups: Sequence[Group], examples: Mapping[str, int]) -> None:
    """Writes the names of the slices at the left and their rows at the right."""
    at, titles, _ = places(groups)
    # Text beside the axes; forty ticks with labels take three times as long.
    axes.set_yticks([])
    beside(axes, EXAMPLES_IN, -0.75, "rows", color=canvas.MUTED, ha="right")
    for name, top in at.items():
        beside(axes, -0.06, top, _name(name), ha="right")
        beside(axes, EXAMPLES_IN, top, f"{examples[name]:,}", color=canvas.MUTED, ha="right")
    for top, title in titles:
        beside(axes, -0.06, top, title, ha="right", color=canvas.MUTED, style="italic")
    first = groups[0].slices[0] if groups[0].slices else ""
    if first == "overall" and len(at) > 1:
        axes.axhline(0.5, color=canvas.FRAME, linewidth=0.8, linestyle="--")


def _name(name: str) -> str:
    """A slice's name; a long one keeps its end, in which names of one column differ."""
    if len(name) > NAME_LIMIT:
        name = f"{name[: NAME_LIMIT // 2]}…{name[-NAME_LIMIT // 2 + 1 :]}"
    return canvas.readable(name, NAME_LIMIT)


def _bar(axes: Axes, y: float, height: float, row: MetricRow, digits: int) -> None:
    if row.value is None or not judged(row):
        beside(axes, VALUE_IN, y, NOT_JUDGED, color=canvas.MUTED, style="italic")
        return
    axes.barh([y], [row.value], height=height, color=canvas.model_colour(row.model), alpha=0.8)
    if row.low is not None and row.high is not None:
        axes.hlines(y, row.low, row.high, color=canvas.INK, linewidth=1.0)
        for end in (row.low, row.high):
            axes.vlines(end, y - 0.3 * height, y + 0.3 * height, color=canvas.INK, linewidth=1.0)
    beside(axes, VALUE_IN, y, canvas.with_interval(row.value, row.low, row.high, digits))
