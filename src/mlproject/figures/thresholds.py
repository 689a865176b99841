"""What a binary model's precision, recall and F1 are at each threshold of its score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.figures import canvas
from mlproject.figures.rows import columns, finite, left_out_note
from mlproject.figures.scores import LEGEND, score_range

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

STEPS = 1_000
FIGURE_IN = (10.2, 4.2)
PANEL_IN = (2.7, 2.85)
LEFT_IN, TOP_IN, PITCH_IN = 0.6, 0.9, 3.25
NAMES = ("precision", "recall", "F1")


def threshold_curves(
    labels: ArrayLike, scores_by_model: Mapping[str, ArrayLike], path: Path
) -> None:
    """Saves precision, recall and F1 of each model against the threshold of its score.

    Args:
        labels: `[n]` or `[n, 1]`, 0 or 1.
        scores_by_model: Model -> scores `[n]` or `[n, 1]`; rows without a finite score and label
            are left out. All rows count, each in one of `STEPS` steps of the threshold.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of scores than there are labels.
    """
    truth, flat = columns(labels, scores_by_model)
    range_ = score_range(truth, flat)
    counts = {model: _by_class(truth, scores, range_) for model, scores in flat.items()}
    lost = truth.size * len(flat) - int(sum(found.sum() for found in counts.values()))
    figure = canvas.new_figure(
        *FIGURE_IN,
        "Precision, recall and F1 by threshold",
        f"A row is of class 1 from the threshold up, in {STEPS:,} steps. Dashed upright: 0.5. "
        f"Dot: the best F1.{left_out_note(lost)}",
    )
    panels = [
        canvas.place(figure, LEFT_IN + PITCH_IN * place, TOP_IN, *PANEL_IN) for place in range(3)
    ]
    for axes, name in zip(panels, NAMES, strict=True):
        canvas.label_axes(axes, "threshold", "", name)
    judged = {model: found for model, found in counts.items() if found[1].sum()}
    if not judged:
        why = "no rows of class 1" if flat else "no models"
        for axes in panels:
            canvas.say(axes, f"not judged: {why}")
    else:
        for model, found in reversed(judged.items()):
            _draw(panels, model, found, range_)
        for axes in panels:
            _finish(axes, range_)
    canvas.save(figure, path)


def _by_class(
    truth: NDArray[np.generic], scores: NDArray[np.generic], range_: tuple[float, float]
) -> NDArray[np.int64]:
    """`[2, STEPS]` rows of each class by score."""
    import numpy as np

    low, high = range_
    counts = np.zeros(2 * STEPS, np.int64)
    for labels, values in finite(truth, scores):
        step = ((values - low) * (STEPS / (high - low))).astype(np.int64)
        at = np.minimum(step, STEPS - 1) + STEPS * (labels > 0.5)
        counts += np.bincount(at, minlength=counts.size)
    return counts.reshape(2, STEPS)


def _draw(
    panels: list[Axes], model: str, counts: NDArray[np.int64], range_: tuple[float, float]
) -> None:
    import numpy as np

    thresholds = np.linspace(*range_, STEPS + 1)[:-1]
    wrong, right = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    predicted = wrong + right
    precision = np.divide(right, predicted, out=np.full(STEPS, np.nan), where=predicted > 0)
    recall = right / counts[1].sum()
    f1 = 2 * right / (predicted + counts[1].sum())
    shade = canvas.model_colour(model)
    best = int(np.argmax(f1))
    name = canvas.legend_label(canvas.readable(model, 30))
    for axes, values in zip(panels, (precision, recall, f1), strict=True):
        axes.plot(
            thresholds,
            values,
            color=shade,
            linewidth=1.6,
            linestyle=canvas.model_line(model),
            label=name if values is not f1 else f"{name}: {f1[best]:.3f} at {thresholds[best]:.3f}",
        )
        axes.plot([thresholds[best]], [values[best]], marker="o", markersize=5, color=shade)


def _finish(axes: Axes, range_: tuple[float, float]) -> None:
    pad = 0.01 * (range_[1] - range_[0])
    axes.set(xlim=(range_[0] - pad, range_[1] + pad), ylim=(-0.01, 1.02))
    axes.set_xticks(*canvas.ticks(*range_, count=5))
    axes.set_yticks(*canvas.ticks(0.0, 1.0, count=5))
    if range_[0] < 0.5 < range_[1]:
        axes.axvline(0.5, color=canvas.MUTED, linewidth=0.8, linestyle="--", zorder=1)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="lower left", **LEGEND)
