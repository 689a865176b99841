"""A figure with a row for each slice: its name at the left, its value and examples at the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas
from mlproject.figures.chosen import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 9.4
PLOT_LEFT_IN, PLOT_WIDTH_IN = 2.75, 3.7
VALUE_IN, EXAMPLES_IN = 0.1, 2.65  # columns of text, from the right end of the plot
GROUP_GAP = 1.0  # rows of space above a group's title
NAME_LIMIT = 44  # characters


def slice_plot(
    title: str,
    subtitle: str,
    groups: Sequence[Group],
    row_in: float,
    series: Sequence[tuple[str, str]],
) -> tuple[Figure, Axes]:
    """A figure with empty axes that have room for every slice.

    Args:
        title: What is shown.
        subtitle: How to read it.
        groups: The slices.
        row_in: Height of a slice, in inches.
        series: Label and colour of each series, for the key.
    """
    shown = sum(len(group.slices) for group in groups) + GROUP_GAP * (len(groups) - 1)
    height = max(1.0, row_in * shown)
    top = canvas.HEADER_IN + 0.3
    figure = canvas.new_figure(WIDTH_IN, top + height + 0.5, title, subtitle)
    canvas.key(figure, series)
    return figure, canvas.place(figure, PLOT_LEFT_IN, top, PLOT_WIDTH_IN, height)


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


def label_slices(axes: Axes, groups: Sequence[Group], examples: Mapping[str, int]) -> None:
    """Writes the names of the slices at the left and their rows at the right."""
    at, titles, _ = places(groups)
    # Text beside the axes; forty ticks with labels take three times as long.
    axes.set_yticks([])
    _beside(axes, EXAMPLES_IN, -0.75, "rows", color=canvas.MUTED, ha="right")
    for name, top in at.items():
        _beside(axes, -0.06, top, _name(name), ha="right")
        _beside(axes, EXAMPLES_IN, top, f"{examples[name]:,}", color=canvas.MUTED, ha="right")
    for top, title in titles:
        _beside(axes, -0.06, top, title, ha="right", color=canvas.MUTED, style="italic")
    first = groups[0].slices[0] if groups[0].slices else ""
    if first == "overall" and len(at) > 1:
        axes.axhline(0.5, color=canvas.FRAME, linewidth=0.8, linestyle="--")


def write_value(axes: Axes, y: float, text: str) -> None:
    """Writes a value at the right of a row; empty where it could not be judged."""
    if text:
        _beside(axes, VALUE_IN, y, text)
    else:
        _beside(axes, VALUE_IN, y, "could not judge", color=canvas.MUTED, style="italic")


def decimals(span: float) -> int:
    """Decimals that tell values apart which lie that far from each other."""
    return 6 if span < 0.01 else 4 if span < 10 else 2 if span < 1000 else 0


def _beside(axes: Axes, right_in: float, y: float, text: str, **style: Any) -> None:
    """Writes text at a distance from the right end of the plot (left of it, if below 0)."""
    style = {"va": "center", "size": canvas.SMALL_PT, "color": canvas.INK, **style}
    width_in = axes.get_window_extent().width / canvas.DPI
    where = 1 + right_in / width_in if right_in >= 0 else right_in / width_in
    axes.text(where, y, text, transform=axes.get_yaxis_transform(), **style)


def _name(name: str) -> str:
    """A slice's name; a long one keeps its end, in which names of one column differ."""
    if len(name) > NAME_LIMIT:
        name = f"{name[: NAME_LIMIT // 2]}…{name[-NAME_LIMIT // 2 + 1 :]}"
    return canvas.readable(name, NAME_LIMIT)
