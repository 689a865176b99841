"""How far the numbers that a model predicts are from the truth, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas
from mlproject.figures.density import central_range, count_cells, draw_cells, no_cells
from mlproject.figures.rows import columns, finite, sample, sample_note
from mlproject.figures.scores import CURVE_POINTS, LEGEND

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

PANEL_IN = (3.35, 3.5)
LEFT_IN, TOP_IN, PITCH_IN = 0.75, 0.95, 4.8
BANDS = 20  # groups of equally many rows that the residuals are summed up in
MIN_BAND_ROWS = 20
QUANTILES = (0.5, 0.9, 0.99)


def predicted_and_true(labels: ArrayLike, predictions: Mapping[str, ArrayLike], path: Path) -> None:
    """Saves the prediction of each row against its true value, all rows counted in cells.

    Args:
        labels: `[n]` or `[n, 1]`.
        predictions: Model -> `[n]` or `[n, 1]`; rows where either is not finite are left out.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of predictions than there are labels.
    """
    truth, flat = columns(labels, predictions)
    range_ = central_range(truth, *flat.values())
    figure = _new_figure(
        "Predicted against true",
        "On the dotted line they are equal. The darker a cell, the more rows.",
        len(flat),
    )
    for model, axes in _panels(figure, flat, "true value", "predicted value"):
        if _draw_rows(figure, axes, finite(truth, flat[model]), range_, range_):
            axes.plot(range_, range_, color=canvas.MUTED, linewidth=1.0, linestyle=":", zorder=3)
    canvas.save(figure, path)


def residuals(labels: ArrayLike, predictions: Mapping[str, ArrayLike], path: Path) -> None:
    """Saves predicted minus true by the predicted value: all rows, and their median and spread.

    Args:
        labels: `[n]` or `[n, 1]`.
        predictions: Model -> `[n]` or `[n, 1]`; rows where either is not finite are left out.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of predictions than there are labels.
    """
    import numpy as np

    truth, flat = columns(labels, predictions)
    taken = sample(truth.size)
    gaps = {
        model: values[taken].astype(np.float64) - truth[taken].astype(np.float64)
        for model, values in flat.items()
    }
    x_range, y_range = central_range(*flat.values()), central_range(*gaps.values())
    figure = _new_figure(
        "Residuals by predicted value",
        "Predicted minus true; above 0 the model says too much. Line: median; dashed: 5% and 95% "
        f"of {BANDS} groups of rows.{sample_note(truth.size)}",
        len(flat),
    )
    for model, axes in _panels(figure, flat, "predicted value", "predicted - true"):
        rows = ((predicted, predicted - true) for true, predicted in finite(truth, flat[model]))
        if _draw_rows(figure, axes, rows, x_range, y_range):
            axes.axhline(0.0, color=canvas.MUTED, linewidth=1.0, linestyle=":", zorder=3)
            middles, bands = _bands(flat[model][taken].astype(np.float64), gaps[model])
            for line, style in zip(bands, ("--", "-", "--"), strict=True):
                axes.plot(middles, line, color=canvas.colour(1), linewidth=1.4, linestyle=style)
    canvas.save(figure, path)


def error_quantiles(labels: ArrayLike, predictions: Mapping[str, ArrayLike], path: Path) -> None:
    """Saves the size of the error that a share of the rows stays below.

    Args:
        labels: `[n]` or `[n, 1]`.
        predictions: Model -> `[n]` or `[n, 1]`; rows where either is not finite are left out.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of predictions than there are labels.
    """
    import numpy as np

    truth, flat = columns(labels, predictions)
    taken = sample(truth.size)
    figure = canvas.new_figure(
        6.4,
        4.9,
        "Error quantiles",
        "The share of rows with an absolute error up to the height of the line. Dots: 50%, 90%, "
        f"99%.{sample_note(truth.size)}",
    )
    axes = canvas.place(figure, LEFT_IN, TOP_IN - 0.15, 5.4, 3.55)
    canvas.label_axes(axes, "share of rows", "absolute error")
    highest = 0.0
    for model, values in reversed(flat.items()):
        errors = _errors(truth[taken], values[taken])
        name = canvas.legend_label(canvas.readable(model, 30))
        style: dict[str, Any] = {"color": canvas.model_colour(model)}
        if not errors.size:
            axes.plot([], [], label=f"{name}: no examples", **style)
            continue
        marks = np.quantile(errors, QUANTILES)
        shares = np.linspace(0.0, 1.0, CURVE_POINTS)
        label = f"{name}: " + ", ".join(f"{mark:,.4g}" for mark in marks)
        axes.plot(
            shares,
            np.quantile(errors, shares),
            linewidth=1.6,
            linestyle=canvas.model_line(model),
            label=label,
            **style,
        )
        axes.plot(QUANTILES, marks, linestyle="", marker="o", markersize=5, **style)
        # The last hundredth may be far above all others.
        highest = max(highest, 1.6 * float(marks[-1]))
    _finish(axes, highest, bool(flat))
    canvas.save(figure, path)


def _new_figure(title: str, subtitle: str, models: int) -> Figure:
    return canvas.new_figure(max(6.4, 0.25 + PITCH_IN * max(1, models)), 5.3, title, subtitle)


def _panels(
    figure: Figure, models: Iterable[str], x_name: str, y_name: str
) -> Iterator[tuple[str, Axes]]:
    """Axes for each model, side by side."""
    place = -1
    for place, model in enumerate(models):
        axes = canvas.place(figure, LEFT_IN + PITCH_IN * place, TOP_IN, *PANEL_IN)
        canvas.label_axes(axes, x_name, y_name, canvas.readable(model, 30))
        yield model, axes
    if place < 0:
        canvas.say(canvas.place(figure, LEFT_IN, TOP_IN, *PANEL_IN), "no models")


def _draw_rows(
    figure: Figure,
    axes: Axes,
    rows: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> bool:
    """Draws chunks of rows, x and y, as cells; says so and gives False where there are none."""
    cells, count = no_cells(), 0
    for x, y in rows:
        cells += count_cells(x, y, x_range, y_range)
        count += x.size
    if not cells.any():
        canvas.say(axes, "no examples")
        return False
    draw_cells(figure, axes, cells, x_range, y_range)
    outside = count - int(cells.sum())
    if outside:
        text = f"{outside:,} rows lie outside of the picture."
        left = axes.get_position().x0 * figure.get_size_inches()[0]
        canvas.write(figure, left, TOP_IN + PANEL_IN[1] + 0.5, text, color=canvas.MUTED)
    return True


def _bands(
    predicted: NDArray[np.float64], gaps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle of each group of rows by predicted value, and its residuals' 5%, 50% and 95%."""
    import numpy as np

    known = (np.abs(predicted) < canvas.DRAWABLE) & (np.abs(gaps) < canvas.DRAWABLE)
    order = np.argsort(predicted[known], kind="stable")
    groups = max(1, min(BANDS, order.size // MIN_BAND_ROWS))
    parts = np.array_split(order, groups)
    middles = np.array([np.median(predicted[known][part]) for part in parts])
    bands = np.array([np.quantile(gaps[known][part], (0.05, 0.5, 0.95)) for part in parts])
    return middles, bands.T


def _errors(truth: NDArray[np.generic], values: NDArray[np.generic]) -> NDArray[np.float64]:
    import numpy as np

    parts: Sequence[NDArray[np.float64]] = [
        np.abs(predicted - true) for true, predicted in finite(truth, values)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _finish(axes: Any, highest: float, models: bool) -> None:
    if not highest:
        if not any(line.get_xdata().size for line in axes.lines if hasattr(line, "get_xdata")):
            canvas.say(axes, "no examples" if models else "no models")
            return
        highest = 1.0
    axes.set(xlim=(-0.01, 1.02), ylim=(0, highest))
    canvas.share_ticks(axes, "x", 1.0, count=5)
    axes.set_yticks(*canvas.ticks(0.0, highest, count=6))
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="upper left", **LEGEND)
