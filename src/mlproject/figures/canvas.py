"""The look that all figures share: palette, placement in inches, ticks and safe text."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
# Okabe and Ito's palette, told apart with every common kind of colour blindness:
# https://jfly.uni-koeln.de/color/
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, MUTED, GRID, FRAME = "#222222", "#666666", "#E4E4E4", "#B0B0B0"
MARGIN_IN = 0.15
HEADER_IN = 0.62  # title and subtitle
TITLE_PT, TEXT_PT, SMALL_PT = 11.0, 8.0, 7.0
# Beyond it, axis limits overflow in matplotlib's transforms.
DRAWABLE = 1e300


def colour(index: int) -> str:
    """The palette's colour for the n-th series."""
    return PALETTE[index % len(PALETTE)]


def model_colour(model: str) -> str:
    """The candidate's colour, the champion's, or one for any other model."""
    return PALETTE[{"candidate": 0, "champion": 1}.get(model, 2)]


def model_line(model: str) -> str:
    """The candidate's line is solid; others are dashed, told apart without colour too."""
    return "-" if model == "candidate" else "--"


def new_figure(width_in: float, height_in: float, title: str, subtitle: str = "") -> Figure:
    """A white figure with its title and subtitle at the top left.

    Args:
        width_in: Width in inches.
        height_in: Height in inches, with the header's `HEADER_IN`.
        title: What is shown.
        subtitle: Units, and how to read it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    write(figure, MARGIN_IN, 0.12, title, size=TITLE_PT, weight="bold")
    write(figure, MARGIN_IN, 0.35, subtitle, size=TEXT_PT, color=MUTED)
    return figure


def write(figure: Figure, left_in: float, top_in: float, text: str, **style: Any) -> None:
    """Writes text with its upper left corner at a place given in inches."""
    width_in, height_in = figure.get_size_inches()
    style = {"color": INK, "size": TEXT_PT, "ha": "left", "va": "top", **style}
    figure.text(left_in / width_in, 1 - top_in / height_in, text, **style)


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """Adds axes at a place given in inches from the upper left corner."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes(
        (
            left_in / total_width,
            1 - (top_in + height_in) / total_height,
            width_in / total_width,
            height_in / total_height,
        )
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=FRAME, linewidth=0.8)
    axes.tick_params(length=2, width=0.6, color=FRAME, labelsize=SMALL_PT, labelcolor=INK, pad=2)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def label_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Names both axes and, where there are several panels, this one."""
    axes.set_xlabel(x, size=TEXT_PT, color=INK, labelpad=3)
    axes.set_ylabel(y, size=TEXT_PT, color=INK, labelpad=3)
    if title:
        axes.set_title(title, size=TEXT_PT + 1, weight="bold", color=INK, loc="left", pad=6)


def say(axes: Axes, text: str) -> None:
    """Puts a message where there is nothing to draw."""
    axes.grid(False)
    axes.set(xticks=[], yticks=[], facecolor="#F6F6F6")
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        size=TEXT_PT,
        color=MUTED,
    )


def key(figure: Figure, series: Sequence[tuple[str, str]]) -> None:
    """Puts the names of the series, with their colours, at the figure's top right.

    Args:
        figure: The figure.
        series: Label and colour of each series.
    """
    from matplotlib.patches import Patch

    if not series:
        return
    width_in, height_in = figure.get_size_inches()
    figure.legend(
        [Patch(color=shade) for _, shade in series],
        [legend_label(label) for label, _ in series],
        loc="upper right",
        bbox_to_anchor=(1 - MARGIN_IN / width_in, 1 - 0.08 / height_in),
        ncols=len(series),
        frameon=False,
        fontsize=TEXT_PT,
        handlelength=1.0,
        handleheight=1.0,
        borderpad=0,
        columnspacing=1.2,
    )


def legend_label(text: str) -> str:
    """A label that a legend shows: matplotlib leaves out those with a leading underscore."""
    return f" {text}" if text.startswith("_") else text


def readable(text: str, limit: int = 80) -> str:
    """Text from the data, made safe to draw.

    Args:
        text: Any text.
        limit: Longest result in characters; a longer text ends in an ellipsis.

    Returns:
        The text on one line, without control characters and without markup: `$` does not start
        a formula, and a character that the font lacks is an empty box.
    """
    text = "".join(" " if unicodedata.category(c).startswith(("C", "Z")) else c for c in text)
    if len(text) > limit:
        text = text[: limit - 1].rstrip() + "…"
    if not text.isascii():
        has_glyph = _font().get_char_index
        text = "".join(c if has_glyph(ord(c)) else "□" for c in text)
    return text.replace("$", r"\$")


def _font() -> Any:
    from matplotlib import font_manager

    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))


def with_interval(
    value: float, low: float | None, high: float | None, decimals: int, signed: bool = False
) -> str:
    """A value and, where there is one, its confidence interval: `0.912 [0.901, 0.923]`."""
    form = f"{'+' if signed else ''},.{decimals}f"
    if low is None or high is None:
        return f"{value:{form}}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def percent(share: float) -> str:
    """A share (0 to 1) as a short percentage; rounding never makes it 0% or 100%."""
    if 0 < share < 0.0001:
        return "<0.01%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.3g}%"


def ticks(low: float, high: float, count: int = 4) -> tuple[list[float], list[str]]:
    """Round tick values within a range, and short labels (k, M, G for large numbers).

    Args:
        low: Lower end.
        high: Upper end.
        count: Largest number of intervals.
    """
    from matplotlib.ticker import MaxNLocator

    slack = 1e-9 * (high - low)
    values = [
        float(value)
        for value in MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high)
        if low - slack <= value <= high + slack
    ]
    largest = max((abs(value) for value in values), default=0.0)
    if len(values) < 2 or not 1e-4 <= largest < 1e12:
        return values, [f"{value:.6g}" for value in values]
    unit, suffix = next(
        (unit, suffix)
        for least, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0, 1, ""))
        if largest >= least
    )
    decimals = max(0, -math.floor(math.log10((values[1] - values[0]) / unit) + 1e-9))
    if decimals > 9:
        return values, [f"{value:.6g}" for value in values]
    return values, [
        f"{value / unit + 0.0:.{decimals}f}{suffix if value else ''}" for value in values
    ]


def share_ticks(axes: Axes, axis: str, highest: float, count: int = 3) -> None:
    """Sets percentages as ticks of an axis that starts at 0.

    Args:
        axes: The axes.
        axis: `x` or `y`.
        highest: Upper end of the axis (1 is 100%).
        count: Largest number of intervals.
    """
    values, _ = ticks(0.0, highest, count)
    labels = [f"{100 * value:.3g}%" for value in values]
    if axis == "x":
        axes.set_xticks(values, labels)
    else:
        axes.set_yticks(values, labels)


def save(figure: Figure, path: Path) -> None:
    """Writes the PNG; the same picture gives the same bytes."""
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
