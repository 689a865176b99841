"""Why one row got its prediction: a waterfall from the baseline's prediction to the row's.

Of a feature of rows and columns of values, such as an image, a map tells what each value adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlproject.explanation.attribution import Attribution, Share

MAX_BARS, MAX_MAPS = 20, 4
MAP_IN = 1.9  # side of a map of values
WIDTH_IN, PLOT_LEFT_IN, PLOT_WIDTH_IN = 9.0, 3.35, 4.9
ROW_IN = 0.24
UP, DOWN, ENDS = canvas.colour(0), canvas.colour(1), canvas.MUTED


def attribution_waterfall(attribution: Attribution, path: Path, title: str = "") -> None:
    """Saves a bar for each feature, from what the prediction was before it to what it is after.

    Args:
        attribution: The explanation.
        path: PNG file to write. Of more than `MAX_BARS` features those that add most are kept, and
            the rest is one bar.
        title: What was explained, such as the model's name and version.
    """
    steps = [(_label(s.feature, s.value), s.attribution) for s in attribution.shares]
    if len(steps) > MAX_BARS:
        rest = steps[MAX_BARS - 1 :]
        steps = steps[: MAX_BARS - 1]
        steps.append((f"{len(rest)} other features", sum(value for _, value in rest)))
    maps = [s for s in attribution.transformed if _is_image(s.parts)][:MAX_MAPS]
    below = MAP_IN + 0.45 if maps else 0.0
    height = ROW_IN * (len(steps) + 2)
    what = "" if attribution.output is None else f" of class {attribution.output}"
    figure = canvas.new_figure(
        WIDTH_IN,
        canvas.HEADER_IN + height + 0.55 + below,
        canvas.readable(title, 80) if title else "Why this prediction",
        f"What each feature adds to the prediction{what}, from the baseline's to the row's. "
        f"Not explained: {attribution.gap:+.2g}.",
    )
    series = [("adds", UP), ("takes away", DOWN)]
    canvas.key(figure, series)
    axes = canvas.place(figure, PLOT_LEFT_IN, canvas.HEADER_IN, PLOT_WIDTH_IN, height)
    _draw(axes, steps, attribution.baseline, attribution.prediction)
    axes.set_xlabel("prediction", size=canvas.TEXT_PT, color=canvas.INK, labelpad=3)
    for place, share in enumerate(maps):
        left = canvas.MARGIN_IN + place * (MAP_IN + 0.3)
        axes = canvas.place(figure, left, canvas.HEADER_IN + height + 0.75, MAP_IN, MAP_IN)
        _draw_map(axes, share)
    canvas.save(figure, path)


def _is_image(parts: Any) -> bool:
    """Whether values lie in rows and columns, `[height, width]` or `[height, width, channels]`."""
    import numpy as np

    shape = np.shape(parts) if parts is not None else ()
    return len(shape) in (2, 3) and min(shape[:2]) > 1


def _draw_map(axes: Axes, share: Share) -> None:
    """What each value of an image adds, its channels summed, over all of them."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    added = np.asarray(share.parts)
    added = added.sum(axis=2) if added.ndim == 3 else added
    most = float(np.abs(added).max()) or 1.0
    shades = LinearSegmentedColormap.from_list("adds", [DOWN, "white", UP])
    axes.imshow(added, cmap=shades, vmin=-most, vmax=most, interpolation="nearest")
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    title = f"{canvas.readable(share.feature, 24)}, up to {most:.2g} a value"
    axes.set_title(title, size=canvas.SMALL_PT, color=canvas.INK, loc="left", pad=3)


def _label(feature: str, value: Any) -> str:
    name = canvas.readable(feature, 34)
    if value is None:
        return f"{name}  (missing)"
    if isinstance(value, dict | list):
        return name
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{name} = {canvas.readable(text, 22)}"


def _draw(
    axes: Axes, steps: Sequence[tuple[str, float]], baseline: float, prediction: float
) -> None:
    after, at = [], baseline
    for _, value in steps:
        at += value
        after.append(at)
    before = [baseline, *after[:-1]]
    least, most = min(baseline, prediction, *after), max(baseline, prediction, *after)
    span = (most - least) or 1.0
    limits = (least - 0.14 * span, most + 0.14 * span)
    last = len(steps) + 1
    for row, value in ((0, baseline), (last, prediction)):
        axes.plot([value, value], [row - 0.4, row + 0.4], color=ENDS, linewidth=3)
    rows = range(1, last)
    colours = [UP if value >= 0 else DOWN for _, value in steps]
    axes.barh(rows, [value for _, value in steps], left=before, height=0.7, color=colours)
    edges = [baseline, *after]
    axes.vlines(edges, [r + 0.0 for r in range(last)], range(1, last + 1), color=ENDS,
                linewidth=0.5, linestyle=":")  # fmt: skip
    labels = ["baseline", *(label for label, _ in steps), "prediction"]
    numbers = [f"{baseline:.4g}", *(f"{v:+.4g}" for _, v in steps), f"{prediction:.4g}"]
    ends = [baseline, *map(max, before, after), prediction]
    axes.set(xlim=limits, ylim=(last + 0.5, -0.5), yticks=[])
    axes.set_xticks(*canvas.ticks(*limits, count=6))
    for row, (label, number, end) in enumerate(zip(labels, numbers, ends, strict=True)):
        style: dict[str, Any] = {"va": "center", "size": canvas.SMALL_PT}
        ink = canvas.MUTED if row in (0, last) else canvas.INK
        left = limits[0] - 0.012 * (limits[1] - limits[0])
        axes.text(left, row, label, ha="right", color=ink, **style)
        axes.text(end + 0.012 * span, row, number, ha="left", color=ink, **style)
