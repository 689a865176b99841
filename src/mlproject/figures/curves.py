"""Learning curves from a Keras history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.figures import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALIDATION = "val_"
MAX_PANELS = 24
COLUMNS = 3
CELL_IN = (3.3, 2.55)  # width, height
PLOT_IN = (2.55, 1.75)
INSET_IN = (0.6, 0.3)  # left, top


def learning_curves(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """Saves one panel for each metric, with training and validation in it.

    Args:
        history: Keras' `History.history`: metric -> value of each epoch; `val_<metric>` belongs
            to `<metric>`. Values that are not finite leave a gap.
        path: PNG file to write.
    """
    metrics = list(dict.fromkeys(name.removeprefix(VALIDATION) for name in history))
    shown = metrics[:MAX_PANELS]
    columns = min(COLUMNS, max(2, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    note = f" First {len(shown)} of {len(metrics)} metrics." if len(shown) < len(metrics) else ""
    figure = canvas.new_figure(
        canvas.MARGIN_IN + columns * CELL_IN[0],
        canvas.HEADER_IN + rows * CELL_IN[1],
        "Learning curves",
        f"Each metric by epoch (the first is 0, as in MLflow).{note}",
    )
    canvas.key(figure, [("training", canvas.colour(0)), ("validation", canvas.colour(1))])
    for number, metric in enumerate(shown or ["loss"]):
        row, column = divmod(number, columns)
        axes = canvas.place(
            figure,
            canvas.MARGIN_IN + column * CELL_IN[0] + INSET_IN[0],
            canvas.HEADER_IN + row * CELL_IN[1] + INSET_IN[1],
            *PLOT_IN,
        )
        _draw(axes, metric, history.get(metric, ()), history.get(VALIDATION + metric, ()))
    canvas.save(figure, path)


def _draw(axes: Axes, metric: str, training: Sequence[float], validation: Sequence[float]) -> None:
    title = canvas.readable(metric, 36)
    axes.set_title(title, size=canvas.TEXT_PT + 1, weight="bold", color=canvas.INK, loc="left")
    finite: list[float] = []
    for index, curve in enumerate((training, validation)):
        values = [float(v) if abs(v) < canvas.DRAWABLE else math.nan for v in curve]
        finite += [value for value in values if not math.isnan(value)]
        axes.plot(
            range(len(values)),
            values,
            color=canvas.colour(index),
            linewidth=1.5,
            # A line needs two points; with few epochs, the points themselves matter.
            marker="o" if len(values) <= 20 else "",
            markersize=3,
        )
    if not finite:
        canvas.say(axes, "no finite values")
        return
    epochs = max(len(training), len(validation))
    beside = 0.02 * epochs if epochs > 1 else 0.5
    axes.set_xlim(-beside, epochs - 1 + beside)
    whole = [
        x
        for x in canvas.ticks(-beside, epochs - 1 + beside, count=6)[0]
        if abs(x - round(x)) < 1e-9
    ]
    axes.set_xticks(whole, [f"{x:.0f}" for x in whole])
    low, high = min(finite), max(finite)
    pad = 0.06 * (high - low) or abs(high) * 0.1 or 0.5
    axes.set_ylim(low - pad, high + pad)
    axes.set_yticks(*canvas.ticks(low - pad, high + pad, count=6))
    axes.set_xlabel("epoch", size=canvas.SMALL_PT + 0.5, color=canvas.MUTED, labelpad=2)
