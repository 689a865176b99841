"""All the pictures of an Evaluation, by task."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.figures.agreement import model_agreement
from mlproject.figures.calibration import calibration_curve, predicted_class
from mlproject.figures.confusion import confusion_matrix
from mlproject.figures.differences import difference_forest
from mlproject.figures.regression import error_quantiles, predicted_and_true, residuals
from mlproject.figures.rows import columns, matrix
from mlproject.figures.scores import roc_and_pr, score_distribution
from mlproject.figures.slices import slice_bars
from mlproject.figures.thresholds import threshold_curves
from mlproject.metrics import CANDIDATE, CHAMPION, HIGHER_IS_BETTER, Difference, MetricRow

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINARY_THRESHOLD = 0.5


def evaluation_figures(
    task: str,
    labels: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    rows: Sequence[MetricRow],
    differences: Sequence[Difference],
    main_metric: str,
    folder: Path,
    allowed: Mapping[str, float] | None = None,
    required: Mapping[str, float] | None = None,
    higher_is_better: Mapping[str, bool] = HIGHER_IS_BETTER,
) -> list[Path]:
    """Saves every picture that fits a task.

    Args:
        task: `binary`, `multiclass` or `regression`.
        labels: `[n]`: 0 or 1, a class, or a number.
        predictions: `candidate`, and `champion` if there is one -> `[n]` scores or numbers, or
            `[n, classes]` probabilities for multiclass.
        rows: Metrics by slice.
        differences: Candidate minus champion, by slice.
        main_metric: Metric that is drawn by slice.
        folder: Existing folder to write to.
        allowed: Metric -> loss against the champion that is allowed (absolute). These metrics are
            drawn by slice too.
        required: Metric -> value that is asked for; these metrics are drawn by slice too.
        higher_is_better: Metric -> whether more of it is better.

    Returns:
        The PNG files, in the order in which to show them.

    Raises:
        DataError: A model's predictions do not fit the labels.
    """
    ordered = {m: predictions[m] for m in (CANDIDATE, CHAMPION) if m in predictions}
    ordered |= {m: p for m, p in predictions.items() if m not in ordered}
    allowed, required = allowed or {}, required or {}
    drawn: list[Path] = []
    names: set[str] = set()

    def draw(name: str, figure: Callable[..., None], *data: Any, **more: Any) -> None:
        path = folder / f"{_file_name(name, names)}.png"
        figure(*data, path, **more)
        drawn.append(path)

    for metric in dict.fromkeys((main_metric, *required, *allowed)):
        better = higher_is_better.get(metric)
        bound = required.get(metric)
        draw(f"{metric}_by_slice", slice_bars, rows, metric, higher_is_better=better,
             threshold=bound)  # fmt: skip
        if CHAMPION in ordered:
            draw(f"{metric}_differences", difference_forest, differences, metric,
                 higher_is_better=better, allowed=allowed.get(metric))  # fmt: skip
    _BY_TASK[task](draw, labels, ordered, rows)
    if CANDIDATE in ordered and CHAMPION in ordered:
        draw("agreement", model_agreement, task, labels, ordered)
    return drawn


Draw = Callable[..., None]


def _binary(
    draw: Draw, labels: ArrayLike, models: Mapping[str, ArrayLike], rows: Sequence[MetricRow]
) -> None:
    truth, scores = columns(labels, models)
    draw("roc_and_pr", roc_and_pr, truth, scores, rows=rows)
    draw("calibration", calibration_curve, dict.fromkeys(scores, truth), scores, rows=rows)
    draw("scores", score_distribution, truth, scores)
    draw("thresholds", threshold_curves, truth, scores)
    classes = {model: values >= BINARY_THRESHOLD for model, values in scores.items()}  # type: ignore[operator]
    note = f"A row is of class 1 from a score of {BINARY_THRESHOLD}."
    draw("confusion", confusion_matrix, truth, classes, 2, note=note)


def _multiclass(
    draw: Draw, labels: ArrayLike, models: Mapping[str, ArrayLike], rows: Sequence[MetricRow]
) -> None:
    given = {model: matrix(labels, values, model) for model, values in models.items()}
    judged = {model: predicted_class(labels, values) for model, values in given.items()}
    outcomes = {model: right for model, (right, _) in judged.items()}
    sure = {model: values for model, (_, values) in judged.items()}
    draw("calibration", calibration_curve, outcomes, sure, rows=rows, confidence=True)
    classes = {model: values.argmax(axis=1) for model, values in given.items()}
    count = max((values.shape[1] for values in given.values()), default=2)
    note = "The most probable class is predicted."
    draw("confusion", confusion_matrix, labels, classes, count, note=note)


def _regression(
    draw: Draw, labels: ArrayLike, models: Mapping[str, ArrayLike], rows: Sequence[MetricRow]
) -> None:
    draw("predicted_and_true", predicted_and_true, labels, models)
    draw("residuals", residuals, labels, models)
    draw("error_quantiles", error_quantiles, labels, models)


_BY_TASK = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}


def _file_name(name: str, taken: set[str]) -> str:
    """A name for a file, whatever a custom metric is called."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:80]
    found, number = plain, 1
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    taken.add(found)
    return found
