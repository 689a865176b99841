"""How well scores separate two classes, and how far they can be read as probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import DataError
from mlproject.figures import canvas

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

CURVE_POINTS = 1000
SCORE_BINS = 40
CALIBRATION_BINS = 10
FIGURE_IN = (9.0, 4.9)  # width, height
PANEL_IN = (3.75, 3.5)
PANELS_LEFT_IN = (0.65, 5.05)
PANEL_TOP_IN = 0.9
LEGEND: Mapping[str, Any] = {"fontsize": canvas.TEXT_PT, "framealpha": 0.85, "edgecolor": "none"}


def roc_and_pr(labels: ArrayLike, scores_by_model: Mapping[str, ArrayLike], path: Path) -> None:
    """Saves the ROC and the precision-recall curve of each model.

    Args:
        labels: `[n]` or `[n, 1]`, 0 or 1.
        scores_by_model: Model (`candidate`, `champion`) -> scores `[n]` or `[n, 1]`, higher for
            class 1. Scores without a finite value and label are left out.
        path: PNG file to write.

    Raises:
        DataError: A model has another number of scores than there are labels.
    """
    judged = {model: _finite(labels, scores) for model, scores in scores_by_model.items()}
    figure = canvas.new_figure(
        *FIGURE_IN,
        "ROC and precision-recall",
        "Rates are shares of examples (0 to 1). Dotted: a model that guesses."
        + _left_out(labels, *(scores for _, scores in judged.values())),
    )
    roc = canvas.place(figure, PANELS_LEFT_IN[0], PANEL_TOP_IN, *PANEL_IN)
    pr = canvas.place(figure, PANELS_LEFT_IN[1], PANEL_TOP_IN, *PANEL_IN)
    reasons = {model: _one_class(truth) for model, (truth, _) in judged.items()}
    for index, (model, (truth, scores)) in enumerate(judged.items()):
        name, shade = canvas.legend_label(canvas.readable(model, 30)), canvas.colour(index)
        if reasons[model]:
            for axes in (roc, pr):
                axes.plot([], [], color=shade, label=f"{name}: {reasons[model]}")
        else:
            _draw_curves(roc, pr, truth, scores, name, shade)
    canvas.label_axes(roc, "false positive rate", "true positive rate", "ROC")
    canvas.label_axes(pr, "recall", "precision", "Precision-recall")
    if all(reasons.values()):
        for axes in (roc, pr):
            canvas.say(axes, next(iter(reasons.values()), "no models"))
    else:
        _unit_square(roc)
        _unit_square(pr)
        roc.legend(loc="lower right", **LEGEND)
        pr.legend(loc="lower left", **LEGEND)
    canvas.save(figure, path)


def score_distribution(labels: ArrayLike, scores: ArrayLike, path: Path) -> None:
    """Saves the distribution of scores by class, and the calibration in ten bins.

    Args:
        labels: `[n]` or `[n, 1]`, 0 or 1.
        scores: `[n]` or `[n, 1]`; probabilities of class 1, else the calibration says that it
            cannot be judged. Scores without a finite value and label are left out.
        path: PNG file to write.

    Raises:
        DataError: There are more or fewer scores than labels.
    """
    truth, finite = _finite(labels, scores)
    figure = canvas.new_figure(
        *FIGURE_IN,
        "Scores by class, and calibration",
        "Left: share of each class per bin. Right: bars are 95% Wilson intervals, "
        "dots grow with the number of examples." + _left_out(labels, finite),
    )
    left = canvas.place(figure, PANELS_LEFT_IN[0], PANEL_TOP_IN, *PANEL_IN)
    right = canvas.place(figure, PANELS_LEFT_IN[1], PANEL_TOP_IN, *PANEL_IN)
    canvas.label_axes(left, "score", "share of the class", "Scores by class")
    canvas.label_axes(right, "mean score", "share of class 1", "Calibration")
    if truth.size == 0:
        canvas.say(left, "no examples")
        canvas.say(right, "no examples")
    else:
        _draw_classes(left, truth, finite)
        if finite.min() < 0 or finite.max() > 1:
            canvas.say(right, "not judged: scores outside 0 to 1\nare not probabilities")
        else:
            _draw_calibration(right, truth, finite)
    canvas.save(figure, path)


def _finite(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    import numpy as np

    truth = np.asarray(labels, dtype=np.float64).reshape(-1)
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if truth.shape != values.shape:
        raise DataError(
            "Drawing the scores failed",
            received=f"{values.size} scores for {truth.size} labels",
            expected="one score for each label",
            next_step="check that the model gives one score for each example",
        )
    known = np.isfinite(truth) & (np.abs(values) < canvas.DRAWABLE)
    return truth[known] > 0.5, values[known]


def _left_out(labels: ArrayLike, *kept: NDArray[np.float64]) -> str:
    import numpy as np

    lost = len(kept) * np.size(labels) - sum(scores.size for scores in kept)
    return f" {lost:,} scores without a finite value and label are left out." if lost else ""


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
    name: str,
    shade: str,
) -> None:
    import numpy as np
    from sklearn.metrics import auc, precision_recall_curve, roc_curve

    false_rate, true_rate, _ = roc_curve(truth, scores)
    area = auc(false_rate, true_rate)
    roc.plot(
        *_thin(false_rate, true_rate),
        color=shade,
        linewidth=1.6,
        label=f"{name}: AUC {area:.4f}",
    )
    precision, recall, _ = precision_recall_curve(truth, scores, drop_intermediate=True)
    # As in sklearn's average_precision_score, without sorting the scores once more.
    average = -float(np.sum(np.diff(recall) * precision[:-1]))
    pr.plot(
        *_thin(recall, precision),
        color=shade,
        linewidth=1.6,
        label=f"{name}: average precision {average:.4f}",
    )
    share = float(truth.mean())
    for axes, guess in ((roc, (0.0, 1.0)), (pr, (share, share))):
        axes.plot((0.0, 1.0), guess, color=canvas.MUTED, linewidth=1.0, linestyle=":", zorder=1)


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


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    values, labels = canvas.ticks(0.0, 1.0, count=5)
    axes.set_xticks(values, labels)
    axes.set_yticks(values, labels)


def _draw_classes(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> None:
    import numpy as np

    probabilities = scores.min() >= 0 and scores.max() <= 1
    low, high = (0.0, 1.0) if probabilities else (float(scores.min()), float(scores.max()))
    if high - low <= 1e-9 * abs(high):
        pad = max(0.5, 0.01 * abs(high))
        low, high = low - pad, high + pad
    peak = 0.0
    for index, member in enumerate((~truth, truth)):
        counts, edges = np.histogram(scores[member], bins=SCORE_BINS, range=(low, high))
        shares = counts / max(1, counts.sum())
        peak = max(peak, float(shares.max()))
        label = f"class {index}: {counts.sum():,} examples"
        shade = canvas.colour(index)
        axes.stairs(shares, edges, fill=True, color=shade, alpha=0.22)
        axes.stairs(shares, edges, color=shade, linewidth=1.4, label=label)
    axes.set(xlim=(low, high), ylim=(0, 1.25 * peak))  # room for the legend
    axes.set_xticks(*canvas.ticks(low, high, count=6))
    canvas.share_ticks(axes, "y", 1.25 * peak, count=6)
    axes.legend(loc="upper right", **LEGEND)


def _draw_calibration(axes: Axes, truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> None:
    import numpy as np

    bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    examples = np.bincount(bins, minlength=CALIBRATION_BINS)
    used = examples > 0
    count = examples[used]
    mean = np.bincount(bins, weights=scores, minlength=CALIBRATION_BINS)[used] / count
    share = np.bincount(bins, weights=truth, minlength=CALIBRATION_BINS)[used] / count
    # Wilson (1927): holds for few examples and for shares near 0 and 1.
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    shade = canvas.colour(0)
    axes.plot([0, 1], [0, 1], color=canvas.MUTED, linewidth=1.0, linestyle=":", label="calibrated")
    axes.vlines(mean, centre - half, centre + half, color=shade, linewidth=1.2)
    axes.plot(mean, share, color=shade, linewidth=1.2)
    axes.scatter(mean, share, s=12 + 60 * count / count.max(), color=shade, label="scores, 10 bins")
    _unit_square(axes)
    axes.legend(loc="upper left", **LEGEND)
