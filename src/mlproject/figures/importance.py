"""Permutation importance: what a metric loses where one raw feature is shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlproject.explanation.importance import Importance

MAX_FEATURES = 40
WIDTH_IN, PLOT_LEFT_IN, PLOT_WIDTH_IN = 9.0, 2.75, 4.75
ROW_IN = 0.22
TRUSTED, UNCLEAR = canvas.colour(0), canvas.FRAME


def importance_bars(importances: Sequence[Importance], metric: str, path: Path) -> None:
    """Saves a bar for each raw feature, the most important on top, with its interval.

    Args:
        importances: Of each feature; those that could not be judged are left out, and counted.
        metric: Name of the metric.
        path: PNG file to write. Of more than `MAX_FEATURES` the most important are kept, and the
            figure says so.
    """
    judged = [i for i in importances if i.drop is not None and abs(i.drop) < canvas.DRAWABLE]
    ranked = sorted(judged, key=lambda i: -(i.drop or 0.0))
    shown = ranked[:MAX_FEATURES]
    name = canvas.readable(metric, 40)
    notes = ["Grey: the interval holds 0."] if any(_unclear(i) for i in shown) else []
    if len(shown) < len(ranked):
        notes.append(f"The first {len(shown)} of {len(ranked)} features.")
    if len(judged) < len(importances):
        notes.append(f"{len(importances) - len(judged)} could not be judged.")
    height = max(1.0, ROW_IN * len(shown))
    figure = canvas.new_figure(
        WIDTH_IN,
        canvas.HEADER_IN + height + 0.55,
        "Permutation importance",
        " ".join([f"How much worse {name} gets where a feature is shuffled, with a 95 % interval "
                  "over the shuffles.", *notes]),
    )  # fmt: skip
    axes = canvas.place(figure, PLOT_LEFT_IN, canvas.HEADER_IN, PLOT_WIDTH_IN, height)
    if shown:
        _draw(axes, shown)
        axes.set_xlabel(f"loss of {name}", size=canvas.TEXT_PT, color=canvas.INK, labelpad=3)
    else:
        canvas.say(axes, "could not be judged")
    canvas.save(figure, path)


def _unclear(importance: Importance) -> bool:
    return importance.low is not None and importance.low <= 0 <= (importance.high or 0.0)


def _draw(axes: Axes, shown: Sequence[Importance]) -> None:
    drops = [i.drop or 0.0 for i in shown]
    lows = [drop if i.low is None else i.low for i, drop in zip(shown, drops, strict=True)]
    highs = [drop if i.high is None else i.high for i, drop in zip(shown, drops, strict=True)]
    least, most = min(0.0, *lows), max(0.0, *highs)
    span = (most - least) or 1.0
    places = range(len(shown))
    colours = [UNCLEAR if _unclear(i) else TRUSTED for i in shown]
    axes.barh(places, drops, height=0.7, color=colours)
    axes.hlines(places, lows, highs, color=canvas.INK, linewidth=1.0)
    limits = (least - 0.02 * span, most + 0.16 * span)
    axes.set(xlim=limits, ylim=(len(shown) - 0.5, -0.5), yticks=[])
    axes.set_xticks(*canvas.ticks(*limits, count=6))
    axes.axvline(0.0, color=canvas.FRAME, linewidth=0.8)
    for row, (importance, high) in enumerate(zip(shown, highs, strict=True)):
        style: dict[str, Any] = {"va": "center", "size": canvas.SMALL_PT, "color": canvas.INK}
        label = canvas.readable(importance.feature, 44)
        axes.text(limits[0] - 0.012 * (limits[1] - limits[0]), row, label, ha="right", **style)
        end = max(0.0, high, drops[row]) + 0.01 * span
        axes.text(end, row, f"{drops[row]:+.4g}", ha="left", **style)
