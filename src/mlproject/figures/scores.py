"""How well scores separate two classes: ROC, precision-recall, and scores by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures import canvas
from mlproject.figures.rows import columns, finite, left_out_note, sample, sample_note
from mlproject.metrics import OVERALL, MetricRow

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

CURVE_POINTS = 1000
SCORE_BINS = 40
CLASS_COLOURS = (3, 2)  # of the palette; the first two are the models'
FIGURE_IN = (9.0, 4.9)  # width, height
PANEL_IN = (3.75, 3.5)
PANELS_LEFT_IN = (0.65, 5.05)
PANEL_TOP_IN = 0.9
LEGEND: Mapping[str, Any] = {"fontsize": canvas.TEXT_PT, "framealpha": 0.85, "edgecolor": "none"}


def roc_and_pr(
    labels: ArrayLike,
    scores_by_model: Mapping[str, ArrayLike],
    path: Path,
    rows: Sequence[MetricRow] = (),
) -> None:
    """Saves the ROC and the precision-recall curve of each model.

    Args:
        labels: `[n]` or `[n, 1]`, 0 or 1.
        scores_by_model: Model (`candidate`, `champion`) -> scores `[n]` or `[n, 1]`, higher for
            class 1. Scores without a finite value and label are left out.
        path: PNG file to write.
        rows: Measured metrics: those of `overall` give the areas and their intervals in the key.

    Raises:
        DataError: A model has another number of scores than there are labels.
    """
    truth, flat = columns(labels, scores_by_model)
    chosen = sample(truth.size)
    judged = {model: _together(truth[chosen], scores[chosen]) for model, scores in flat.items()}
    kept = sum(scores.size for _, scores in judged.values())
    figure = canvas.new_figure(
        *FIGURE_IN,
        "ROC and precision-recall",
        "Rates are shares of examples (0 to 1). Dotted: a model that guesses."
        + sample_note(truth.size)
        + left_out_note(len(judged) * truth[chosen].size - kept),
    )
    roc = canvas.place(figure, PANELS_LEFT_IN[0], PANEL_TOP_IN, *PANEL_IN)
    pr = canvas.place(figure, PANELS_LEFT_IN[1], PANEL_TOP_IN, *PANEL_IN)
    reasons = {model: _one_class(truth) for model, (truth, _) in judged.items()}
    # The candidate last: it lies above.
    for model, (classes, scores) in reversed(judged.items()):
        if reasons[model]:
            name = canvas.legend_label(canvas.readable(model, 30))
            for axes in (roc, pr):
                axes.plot(
                    [], [], color=canvas.model_colour(model), label=f"{name}: {reasons[model]}"
                )
        else:
            _draw_curves(roc, pr, classes, scores, model, rows)
    canvas.label_axes(roc, "false positive rate", "true positive rate", "ROC")
    canvas.label_axes(pr, "recall", "precision", "Precision-recall")
    if all(reasons.values()):
        for axes in (roc, pr):
            canvas.say(axes, next(iter(reasons.values()), "no models"))
    else:
        for axes, right in ((roc, True), (pr, False)):
            unit_square(axes)
            handles, names = axes.get_legend_handles_labels()
            where: Any = "lower right" if right else "lower left"
            axes.legend(handles[::-1], names[::-1], loc=where, **LEGEND)
    canvas.save(figure, path)


def score_distribution(
    labels: ArrayLike, scores_by_model: Mapping[str, ArrayLike], path: Path
) -> None:
    """Saves the distribution of each model's scores by class, of all rows.

    Args:
        labels: `[n]` or `[n, 1]`, 0 or 1.
        scores_by_model: Model -> scores `[n]` or `[n, 1]`. Scores without a finite value and label
            are left out.
        path: PNG file to write.

    Raises:
        DataError: A model has more or fewer scores than there are labels.
    """
    import numpy as np

    truth, flat = columns(labels, scores_by_model)
    range_ = score_range(truth, flat)
    heights = {model: _by_class(truth, scores, range_) for model, scores in flat.items()}
    lost = truth.size * len(flat) - int(sum(counts.sum() for counts in heights.values()))
    figure = canvas.new_figure(
        FIGURE_IN[0] if len(flat) > 1 else 5.4,
        FIGURE_IN[1],
        "Scores by class",
        "Share of each class per bin of scores." + left_out_note(lost),
    )
    shares = {m: c / np.maximum(1, c.sum(axis=1, keepdims=True)) for m, c in heights.items()}
    peak = max((float(s.max()) for s in shares.values()), default=0.0)
    for place, model in enumerate(flat or ["candidate"]):
        axes = canvas.place(
            figure, PANELS_LEFT_IN[place] if place < 2 else 0.65, PANEL_TOP_IN, *PANEL_IN
        )
        canvas.label_axes(axes, "score", "share of the class", canvas.readable(model, 30))
        if model not in heights or not heights[model].sum():
            canvas.say(axes, "no examples" if flat else "no models")
        else:
            _draw_classes(axes, heights[model], shares[model], range_, peak)
    canvas.save(figure, path)


def score_range(
    truth: NDArray[np.generic], flat: Mapping[str, NDArray[np.generic]]
) -> tuple[float, float]:
    """0 to 1 where all scores are in it, else from the lowest to the highest finite one."""
    lows, highs = [0.0], [1.0]
    for scores in flat.values():
        for _, values in finite(truth, scores):
            if values.size:
                lows.append(float(values.min()))
                highs.append(float(values.max()))
    if min(lows) >= 0 and max(highs) <= 1:
        return 0.0, 1.0
    low, high = min(lows[1:]), max(highs[1:])
    if high - low <= 1e-9 * abs(high):
        pad = max(0.5, 0.01 * abs(high))
        return low - pad, high + pad
    return low, high


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1."""
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    values, labels = canvas.ticks(0.0, 1.0, count=5)
    axes.set_xticks(values, labels)
    axes.set_yticks(values, labels)


def _thin(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `CURVE_POINTS` points, evenly spaced along the curve."""
    import numpy as np

    if x.size <= CURVE_POINTS:
        return x, y
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0.0, length[-1], CURVE_POINTS)
    kept = np.unique(np.minimum(np.searchsorted(length, wanted), x.size - 1))
    return x[kept], y[kept]


def _together(
    truth: NDArray[np.generic], scores: NDArray[np.generic]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    import numpy as np

    parts = [(labels > 0.5, values) for labels, values in finite(truth, scores)]
    if not parts:
        return np.zeros(0, bool), np.zeros(0)
    return np.concatenate([p for p, _ in parts]), np.concatenate([p for _, p in parts])


def _one_class(truth: NDArray[np.bool_]) -> str:
    """Why there is no curve, or nothing."""
    if truth.size == 0:
        return "not judged: no examples"
    if truth.all() or not truth.any():
        return f"not judged: all {truth.size:,} labels are {int(truth[0])}"
    return ""


def _draw_curves(
    roc: Axes,
    pr: Axes,
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    model: str,
    rows: Sequence[MetricRow],
) -> None:
    import numpy as np
    from sklearn.metrics import auc, precision_recall_curve, roc_curve

    name = canvas.legend_label(canvas.readable(model, 30))
    style: dict[str, Any] = {
        "color": canvas.model_colour(model),
        "linewidth": 1.6,
        "linestyle": canvas.model_line(model),
    }
    false_rate, true_rate, _ = roc_curve(truth, scores)
    area = _measured(rows, model, "auc", float(auc(false_rate, true_rate)))
    roc.plot(*_thin(false_rate, true_rate), label=f"{name}: AUC {area}", **style)
    precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
    # As in sklearn's average_precision_score, without sorting the scores once more.
    average = _measured(rows, model, "pr_auc", -float(np.sum(np.diff(recall) * precision[:-1])))
    pr.plot(*_thin(recall, precision), label=f"{name}: average precision {average}", **style)
    share = float(truth.mean())
    for axes, guess in ((roc, (0.0, 1.0)), (pr, (share, share))):
        axes.plot((0.0, 1.0), guess, color=canvas.MUTED, linewidth=1.0, linestyle=":", zorder=1)


def _measured(rows: Sequence[MetricRow], model: str, metric: str, drawn: float) -> str:
    """The measured value with its interval, or else that of the curve as it is drawn."""
    for row in rows:
        if (row.slice, row.model, row.metric) == (OVERALL, model, metric) and row.value is not None:
            return canvas.with_interval(row.value, row.low, row.high, 4)
    return f"{drawn:.4f}"


def _by_class(
    truth: NDArray[np.generic], scores: NDArray[np.generic], range_: tuple[float, float]
) -> NDArray[np.int64]:
    """`[2, SCORE_BINS]` examples of each class by score."""
    import numpy as np

    counts = np.zeros((2, SCORE_BINS), np.int64)
    for labels, values in finite(truth, scores):
        for index, member in enumerate((labels <= 0.5, labels > 0.5)):
            counts[index] += np.histogram(values[member], bins=SCORE_BINS, range=range_)[0]
    return counts


def _draw_classes(
    axes: Axes,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    range_: tuple[float, float],
    peak: float,
) -> None:
    import numpy as np

    edges = np.linspace(*range_, SCORE_BINS + 1)
    for index in (0, 1):
        label = f"class {index}: {counts[index].sum():,} examples"
        shade = canvas.colour(CLASS_COLOURS[index])
        axes.stairs(shares[index], edges, fill=True, color=shade, alpha=0.22)
        axes.stairs(shares[index], edges, color=shade, linewidth=1.4, label=label)
    axes.set(xlim=range_, ylim=(0, 1.25 * peak))  # room for the legend
    axes.set_xticks(*canvas.ticks(*range_, count=6))
    canvas.share_ticks(axes, "y", 1.25 * peak, count=6)
    axes.legend(loc="upper right", **LEGEND)
