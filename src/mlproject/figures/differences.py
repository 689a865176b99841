"""How far the candidate is from the champion, slice by slice, and whether that is certain."""

from __future__ import annotations

from collections.abc import Sequence
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
from mlproject.metrics import Difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_IN = 0.22
BETTER, WORSE, UNCLEAR = canvas.colour(2), canvas.colour(1), canvas.MUTED


def difference_forest(
    differences: Sequence[Difference],
    metric: str,
    path: Path,
    higher_is_better: bool | None = None,
    allowed: float | None = None,
) -> None:
    """Saves candidate minus champion for each slice, with its interval, around 0.

    Args:
        differences: The differences of an Evaluation; those of other metrics are passed over.
        metric: Name of the metric.
        path: PNG file to write. Of more than `MAX_SLICES` slices the largest and those with the
            largest loss are kept, and the figure says so.
        higher_is_better: Whether more of the metric is better; None where that is not known.
        allowed: Loss that is allowed (absolute, in the metric's unit); what lies beyond is
            shaded. None for none.
    """
    cells = {row.slice: row for row in differences if row.metric == metric}
    examples = {name: row.examples for name, row in cells.items()}
    sign = -1.0 if higher_is_better else 1.0
    badness = {
        name: sign * row.value
        for name, row in cells.items()
        if row.value is not None and abs(row.value) < canvas.DRAWABLE
    }
    groups = choose(examples, badness if higher_is_better is not None else {})
    title = canvas.readable(metric, 50)
    line = "" if allowed is None else f" Shaded: a loss of more than {allowed:g}."
    colours = [("better", BETTER), ("worse", WORSE), ("not clear", UNCLEAR)]
    figure, axes = slice_plot(
        f"{title}: candidate minus champion",
        "On the same rows, with confidence intervals (paired bootstrap)."
        f"{line}{chosen_note(groups, examples)}",
        groups,
        ROW_IN,
        colours if higher_is_better is not None else (),
    )
    if cells:
        _draw(axes, groups, cells, higher_is_better, allowed)
        label_slices(axes, groups, examples)
        side = {True: "better to the right", False: "better to the left", None: ""}
        ends = f" ({side[higher_is_better]})" if side[higher_is_better] else ""
        axes.set_xlabel(f"difference in {title}{ends}", size=canvas.TEXT_PT, labelpad=3)
    else:
        canvas.say(axes, "no champion to compare with")
    canvas.save(figure, path)


def _draw(
    axes: Axes,
    groups: Sequence[Group],
    cells: dict[str, Difference],
    higher_is_better: bool | None,
    allowed: float | None,
) -> None:
    at, _, bottom = places(groups)
    rows = [cells[name] for name in at]
    numbers = [n for row in rows for n in (row.value, row.low, row.high)]
    ends = [n for n in numbers if n is not None and abs(n) < canvas.DRAWABLE]
    bound = None
    if allowed is not None and higher_is_better is not None:
        bound = -allowed if higher_is_better else allowed
        ends.append(bound)
    reach = 1.08 * max((abs(end) for end in ends), default=0.0) or 1.0
    axes.set(xlim=(-reach, reach), ylim=(bottom, -0.5))
    axes.set_xticks(*canvas.ticks(-reach, reach, count=6))
    axes.axvline(0.0, color=canvas.INK, linewidth=0.9)
    if bound is not None:
        axes.axvline(bound, color=WORSE, linewidth=1.0, linestyle="--")
        beyond = (-reach, bound) if higher_is_better else (bound, reach)
        axes.axvspan(*beyond, color=WORSE, alpha=0.08, linewidth=0)
    for name, top in at.items():
        _point(axes, top, cells[name], higher_is_better, decimals(reach))


def _point(
    axes: Axes, y: float, row: Difference, higher_is_better: bool | None, digits: int
) -> None:
    if row.value is None or not abs(row.value) < canvas.DRAWABLE:
        write_value(axes, y, "")
        return
    shade = UNCLEAR
    if row.low is not None and row.high is not None:
        if higher_is_better is not None and (row.low > 0 or row.high < 0):
            shade = BETTER if (row.low > 0) == higher_is_better else WORSE
        axes.hlines(y, row.low, row.high, color=shade, linewidth=1.6)
    axes.plot([row.value], [y], marker="o", markersize=4.5, color=shade)
    write_value(axes, y, canvas.with_interval(row.value, row.low, row.high, digits, signed=True))
