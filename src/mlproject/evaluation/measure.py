"""Metrics and differences of every slice, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlproject.errors import DataError, UserModuleError
from mlproject.evaluation.intervals import (
    FROM_0_TO_1,
    Resamples,
    Spread,
    agreement_spread,
    f1_spread,
    most_rows,
    resample,
    share_spread,
    spread_of,
)
from mlproject.evaluation.row_weights import RowWeights
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.metrics.binary import CUT
from mlproject.metrics.by_task import point_metrics, weighted_metrics
from mlproject.metrics.custom import CopiedRows, CustomMetrics
from mlproject.metrics.names import ANY, BOUNDS, METRICS

if TYPE_CHECKING:
    from mlproject.evaluation.predictions import Predictions
    from mlproject.sections import EvaluationSection

CUSTOM_RESAMPLES = 100
CUSTOM_ROWS = 5_000
"""A custom metric is called once a resample, a model and a slice: fewer resamples, of fewer rows,
and a normal interval, which 100 resamples are enough for."""

APART = "candidate - champion"
Values = dict[str, float | None]


@dataclass(frozen=True)
class Measured:
    """The values of an Evaluation.

    Attributes:
        rows: Of each slice, model and metric: overall first, then by entry and falling size.
        differences: Of each slice and metric; empty without a champion.
    """

    rows: Sequence[MetricRow]
    differences: Sequence[Difference]


@dataclass(frozen=True)
class MeasureRequest:
    """How an Evaluation is measured.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        section: `evaluation` of project.yaml.
        custom: The project's own metrics.
        note: Told a line for what a custom metric could not judge.
    """

    task: str
    section: EvaluationSection
    custom: CustomMetrics = field(default_factory=CustomMetrics)
    note: Callable[[str], None] = lambda text: None


def measure(predictions: Predictions, models: Sequence[str], request: MeasureRequest) -> Measured:
    """Measures overall and every slice.

    Args:
        predictions: The scored rows.
        models: `candidate`, and `champion` if there is one.
        request: How.

    Raises:
        DataError: Two slices have the same name.
        UserModuleError: A custom metric raised or gave no number on `overall`.
    """
    import sklearn

    measurer = _Measurer(predictions.labels, {m: predictions.of(m) for m in models}, request)
    rows: list[MetricRow] = []
    differences: list[Difference] = []
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        for name, members in _slices(predictions, len(measurer.labels)):
            found = measurer.slice(name, members)
            rows += found.rows
            differences += found.differences
    return Measured(tuple(rows), tuple(differences))


def _slices(predictions: Predictions, rows: int) -> Iterator[tuple[str, np.ndarray]]:
    """Every slice; two of one name would stand for each other in the thresholds.

    Raises:
        DataError: A value of one column reads as a cross: `a=x,b=y`, where `a` is `x,b=y`.
    """
    yield OVERALL, np.arange(rows)
    seen = set()
    for name, members in predictions.slices():
        if name in seen:
            raise DataError(
                "Slicing the eval split failed",
                received=f"two slices that are called '{name}'",
                expected="a name for each slice",
                next_step="drop one of the entries of `evaluation.slices` that give this name, or "
                "change the value",
            )
        seen.add(name)
        yield name, members


class _Measurer:
    """Measures one slice after another on the same rows and resamples."""

    def __init__(
        self, labels: np.ndarray, predictions: Mapping[str, np.ndarray], request: MeasureRequest
    ) -> None:
        self.labels = labels
        self._predictions = predictions
        self._request = request
        self._weights = RowWeights(request.section.seed)
        self._metrics = (*METRICS[request.task], *request.custom.metrics)

    def slice(self, name: str, members: np.ndarray) -> Measured:
        """A slice's values; None for each where it has fewer rows than wanted."""
        models = tuple(self._predictions)
        points: dict[str, Values] = {model: dict.fromkeys(self._metrics) for model in models}
        spreads: dict[tuple[str, str], Spread] = {}
        if name == OVERALL or len(members) >= self._request.section.min_slice_examples:
            points = {model: self._points(name, model, members) for model in models}
            for resamples in self._resamples(members):
                spreads |= self._spreads(points, resamples)
            spreads |= self._without_spread(points, spreads, members)
        rows = [
            MetricRow(name, m, metric, len(members), points[m][metric], *_ends(spreads, m, metric))
            for m in models
            for metric in self._metrics
        ]
        differences = [
            Difference(
                name, metric, len(members), apart(points, metric), *_ends(spreads, APART, metric)
            )
            for metric in self._metrics
            if CHAMPION in models
        ]
        return Measured(rows, differences)

    def _points(self, name: str, model: str, members: np.ndarray) -> Values:
        labels, predictions = self.labels[members], self._predictions[model][members]
        values = point_metrics(self._request.task, labels, predictions, self._request.section.top_k)
        for metric in self._request.custom.metrics:
            try:
                values[metric] = self._request.custom.value(metric, labels, predictions)
            except UserModuleError as err:
                if name == OVERALL:
                    raise
                values[metric] = None
                self._request.note(f"{metric} of the {model} is not judged on {name}: {err}")
        return values

    def _resamples(self, members: np.ndarray) -> Iterator[Resamples]:
        """The platform's metrics on resampled rows, then the project's own on fewer."""
        section, task = self._request.section, self._request.task
        rows = self._weights.subsample(members, most_rows(self._width))
        weighted = {
            model: weighted_metrics(task, self.labels[rows], predictions[rows], section.top_k)
            for model, predictions in self._predictions.items()
        }
        found = resample(weighted, rows, self._weights, section.resamples)
        yield Resamples(found, math.sqrt(len(rows) / len(members)))
        if self._request.custom.metrics:
            rows = self._weights.subsample(members, CUSTOM_ROWS)
            copies = {
                model: CopiedRows(self._request.custom, self.labels[rows], predictions[rows])
                for model, predictions in self._predictions.items()
            }
            times = min(CUSTOM_RESAMPLES, section.resamples)
            found = resample(copies, rows, self._weights, times)
            yield Resamples(found, math.sqrt(len(rows) / len(members)), few=True)

    @property
    def _width(self) -> int:
        """Numbers in one prediction."""
        candidate = self._predictions[CANDIDATE]
        return int(candidate.shape[1]) if candidate.ndim > 1 else 1

    def _spreads(
        self, points: Mapping[str, Values], resamples: Resamples
    ) -> dict[tuple[str, str], Spread]:
        """Model, or `APART` for the difference, and metric -> interval."""
        of = partial(
            spread_of,
            confidence=self._request.section.confidence,
            scale=resamples.scale,
            few=resamples.few,
        )
        spreads = {}
        for metric in resamples.values[CANDIDATE]:
            drawn = {model: values[metric] for model, values in resamples.values.items()}
            for model, each in drawn.items():
                bounds = BOUNDS.get(metric, ANY)
                spreads[model, metric] = of(points[model][metric], each, bounds=bounds)
            if CHAMPION in drawn:
                each = drawn[CANDIDATE] - drawn[CHAMPION]
                spreads[APART, metric] = of(apart(points, metric), each)
        return spreads

    def _without_spread(
        self,
        points: Mapping[str, Values],
        spreads: Mapping[tuple[str, str], Spread],
        members: np.ndarray,
    ) -> dict[tuple[str, str], Spread]:
        """Intervals of metrics whose resamples were all the same (see `intervals.py`)."""
        confidence, found = self._request.section.confidence, {}
        for (model, metric), spread in spreads.items():
            if metric not in FROM_0_TO_1 or spread.standard_error != 0:
                continue
            models = self._predictions if model == APART else (model,)
            rows = min(self._rows_of(metric, each, members) for each in models)
            value = apart(points, metric) if model == APART else points[model][metric]
            value = round(value or 0.0, 9)  # scikit-learn's 1 may be 1 + 2e-16
            if model == APART:
                found[model, metric] = agreement_spread(value, rows, confidence)
            elif value in (0, 1):
                at_end = f1_spread if metric == "f1" else share_spread
                found[model, metric] = at_end(value, rows, confidence)
        return found

    def _rows_of(self, metric: str, model: str, members: np.ndarray) -> int:
        """The rows that bear a metric of `FROM_0_TO_1`."""
        labels = self.labels[members]
        if metric in ("accuracy", "top_k_accuracy"):
            return len(labels)
        if self._request.task == "binary" and metric in ("precision", "recall", "f1"):
            positive, predicted = labels == 1, self._predictions[model][members] >= CUT
            bearing = {"precision": predicted, "recall": positive, "f1": positive | predicted}
            return int(bearing[metric].sum())
        classes = np.unique(labels, return_counts=True)[1]
        return int(classes.min()) * (1 if metric in ("auc", "pr_auc") else len(classes))


def apart(points: Mapping[str, Values], metric: str) -> float | None:
    """Candidate minus champion; None where either could not be judged."""
    candidate, champion = points[CANDIDATE][metric], points[CHAMPION][metric]
    return None if candidate is None or champion is None else candidate - champion


def _ends(
    spreads: Mapping[tuple[str, str], Spread], model: str, metric: str
) -> tuple[float | None, float | None, float | None]:
    spread = spreads.get((model, metric), Spread())
    return spread.low, spread.high, spread.standard_error
