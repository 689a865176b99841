"""One metric over the slices, the candidate next to the champion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVERALL = "overall"
MODELS = ("candidate", "champion")
MAX_SLICES = 40
WIDTH_IN = 9.0
PLOT_LEFT_IN, PLOT_WIDTH_IN = 2.75, 4.75
ROW_IN = 0.15  # height of one bar
NOT_JUDGED = "not judged"


def slice_bars(rows: Sequence[Mapping[str, Any]], metric: str, path: Path) -> None:
    """Saves horizontal bars of a metric, slice by slice, with the number of examples.

    Args:
        rows: Each with `slice` (`overall`, `payment_type=Cash`), `model` (`candidate` or
            `champion`), `examples` (int) and the metric's value: a float, or None where it could
            not be judged.
        metric: Key of the metric in the rows.
        path: PNG file to write. The whole (`overall`) is on top and the slices follow by name;
            of more than `MAX_SLICES`, those with the most examples are kept, and the figure
            says so.
    """
    examples: dict[str, int] = {}
    values: dict[tuple[str, str], float | None] = {}
    for row in rows:
        name, value = str(row["slice"]), row.get(metric)
        examples[name] = max(examples.get(name, 0), int(row["examples"]))
        judged = value is not None and abs(value) < canvas.DRAWABLE
        values[name, str(row["model"])] = float(value) if value is not None and judged else None
    present = {model for _, model in values}
    models = [m for m in MODELS if m in present] + sorted(present - set(MODELS))
    slices = _largest(examples)
    pitch = ROW_IN * (max(1, len(models)) + 0.7)
    height = max(1.0, pitch * len(slices))
    note = (
        f" The {len(slices)} largest of {len(examples)} slices."
        if len(slices) < len(examples)
        else ""
    )
    title = canvas.readable(metric, 50)
    figure = canvas.new_figure(
        WIDTH_IN,
        canvas.HEADER_IN + 0.25 + height + 0.5,
        f"{title} by slice",
        f"Value of the metric for each slice of the evaluated examples.{note}",
    )
    canvas.key(figure, [(canvas.readable(m, 30), canvas.colour(i)) for i, m in enumerate(models)])
    axes = canvas.place(figure, PLOT_LEFT_IN, canvas.HEADER_IN + 0.25, PLOT_WIDTH_IN, height)
    if slices:
        _draw(axes, slices, models, values, examples)
        axes.set_xlabel(title, size=canvas.TEXT_PT, color=canvas.INK, labelpad=3)
    else:
        canvas.say(axes, "no slices")
    canvas.save(figure, path)


def _largest(examples: Mapping[str, int]) -> list[str]:
    """The slices to show: the largest, the whole among them, in the order of their names."""
    by_size = sorted(examples, key=lambda name: (name != OVERALL, -examples[name], name))
    return sorted(by_size[:MAX_SLICES], key=lambda name: (name != OVERALL, _natural(name)))


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts `hour=2` before `hour=11`."""
    parts = re.split(r"(\d+)", name)
    # Longer numbers are larger; int() refuses numbers of thousands of digits.
    return [(len(part.lstrip("0")) if i % 2 else 0, part) for i, part in enumerate(parts)]


def _draw(
    axes: Axes,
    slices: Sequence[str],
    models: Sequence[str],
    values: Mapping[tuple[str, str], float | None],
    examples: Mapping[str, int],
) -> None:
    found = [value for (name, _), value in values.items() if value is not None and name in slices]
    low, high = min([0.0, *found]), max([0.0, *found])
    span = (high - low) or 1.0
    bar = 1.0 / (len(models) + 0.7)
    decimals = 6 if span < 0.01 else 4 if span < 10 else 2 if span < 1000 else 0

    def text(value: float | None) -> str:
        return NOT_JUDGED if value is None else f"{value:,.{decimals}f}"

    for place, model in enumerate(models):
        offset = (place - (len(models) - 1) / 2) * bar
        judged = [(row + offset, values.get((name, model))) for row, name in enumerate(slices)]
        bars = [(y, value) for y, value in judged if value is not None]
        axes.barh(
            [y for y, _ in bars],
            [value for _, value in bars],
            height=0.92 * bar,
            color=canvas.colour(place),
        )
        for (y, value), name in zip(judged, slices, strict=True):
            if (name, model) in values:
                _value(axes, y, text(value), value or 0.0, 0.01 * span)
    # Room beside the bars for their values.
    right = high + 0.14 * span
    limits = (low - 0.14 * span if low < 0 else 0.0, right)
    axes.set(xlim=limits, ylim=(len(slices) - 0.5, -0.5))
    axes.set_xticks(*canvas.ticks(*limits, count=6))
    axes.axvline(0.0, color=canvas.FRAME, linewidth=0.8)
    # Text beside the axes; forty ticks with labels take three times as long.
    axes.set_yticks([])
    width = right - limits[0]
    style: dict[str, Any] = {"ha": "right", "va": "center", "size": canvas.SMALL_PT}
    axes.text(right + 0.14 * width, -0.62, "examples", color=canvas.MUTED, **style)
    for row, name in enumerate(slices):
        label = canvas.readable(name, 44)
        axes.text(limits[0] - 0.012 * width, row, label, color=canvas.INK, **style)
        number = f"{examples[name]:,}"
        axes.text(right + 0.14 * width, row, number, color=canvas.MUTED, **style)
    if slices[0] == OVERALL and len(slices) > 1:
        axes.axhline(0.5, color=canvas.FRAME, linewidth=0.8, linestyle="--")


def _value(axes: Axes, y: float, text: str, end: float, gap: float) -> None:
    """Writes a value at the end of its bar."""
    judged = text != NOT_JUDGED
    axes.text(
        end - gap if end < 0 else end + gap,
        y,
        text,
        ha="right" if end < 0 else "left",
        va="center",
        size=canvas.SMALL_PT,
        color=canvas.INK if judged else canvas.MUTED,
        style="normal" if judged else "italic",
    )
