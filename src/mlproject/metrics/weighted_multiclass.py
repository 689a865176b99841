"""The metrics of a multi-class task under row weights, many weightings at a time.

For the bootstrap: a row of weight w counts as w copies of it. Weights of 1 give the values of
`multiclass.py`, to float32's precision.
"""

from __future__ import annotations

import numpy as np

from mlproject.metrics.calibration import BINS, calibration_bins
from mlproject.metrics.multiclass import normalised
from mlproject.metrics.weighted_ranks import Ranking

_EPS = np.finfo(np.float64).eps  # scikit-learn's clip of the log loss


class WeightedMulticlass:
    """One model's probabilities of some rows, ready for weights.

    Args:
        labels: `[rows]` whole numbers, 0 to C-1.
        predictions: `[rows, C]` probabilities.
        top_k: k of `top_k_accuracy`.
    """

    def __init__(self, labels: np.ndarray, predictions: np.ndarray, top_k: int) -> None:
        chances = normalised(predictions)
        self._classes = chances.shape[1]
        predicted = chances.argmax(axis=1)
        right = predicted == labels
        means = [right, _log_losses(labels, chances), _in_top(labels, chances, top_k)]
        means.append(_squared_distances(labels, chances))
        gaps = np.zeros((len(labels), BINS))
        confidence = chances.max(axis=1)
        gaps[np.arange(len(labels)), calibration_bins(confidence)] = right - confidence
        self._columns = np.column_stack([*means, gaps]).astype(np.float32)
        self._labelled = _ByClass(labels)
        self._predicted = _ByClass(predicted)
        self._right = _ByClass(labels, np.flatnonzero(right))
        there = np.bincount(labels, minlength=self._classes)
        judged = (there > 0).all() and (there < len(labels)).all()
        every = range(self._classes) if judged else ()
        self._rankings = [Ranking(labels == c, predictions[:, c]) for c in every]

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric of `METRICS["multiclass"]` for each weighting.

        Args:
            weights: `[resamples, rows] uint8`.

        Returns:
            Metric -> `[resamples] float64`; NaN where it cannot be judged.
        """
        rows = weights.sum(axis=1, dtype=np.int64).astype(float)
        rows = np.where(rows > 0, rows, np.nan)
        sums = (weights.astype(np.float32) @ self._columns) / rows[:, None]
        precision, recall, f1 = self._macro(weights)
        return {
            "accuracy": sums[:, 0],
            "log_loss": sums[:, 1],
            "auc": self._auc(weights),
            "top_k_accuracy": sums[:, 2],
            "brier": sums[:, 3],
            "calibration_error": np.abs(sums[:, 4:]).sum(axis=1),
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }

    def _auc(self, weights: np.ndarray) -> np.ndarray:
        total = np.zeros(len(weights))
        for ranking in self._rankings:
            total += ranking.auc(ranking.sums(weights))
        return total / len(self._rankings) if self._rankings else np.full(len(weights), np.nan)

    def _macro(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labelled = self._labelled.sums(weights, self._classes)
        predicted = self._predicted.sums(weights, self._classes)
        right = self._right.sums(weights, self._classes)
        occurring = (labelled + predicted > 0).sum(axis=1)
        occurring = np.where(occurring > 0, occurring, np.nan)

        def mean(of: np.ndarray) -> np.ndarray:
            found: np.ndarray = (right / np.maximum(of, 1)).sum(axis=1) / occurring
            return found

        f1 = (2 * right / np.maximum(labelled + predicted, 1)).sum(axis=1) / occurring
        return mean(predicted), mean(labelled), f1


class _ByClass:
    """Rows in the order of a class, so that sums by class are sums of runs."""

    def __init__(self, classes: np.ndarray, rows: np.ndarray | None = None) -> None:
        rows = np.arange(len(classes)) if rows is None else rows
        self._rows = rows[np.argsort(classes[rows], kind="stable")]
        self._there, self._starts = np.unique(classes[self._rows], return_index=True)

    def sums(self, weights: np.ndarray, classes: int) -> np.ndarray:
        """`[resamples, classes]` sums of weights."""
        sums = np.zeros((len(weights), classes))
        if len(self._rows):
            ordered = weights.take(self._rows, axis=1)
            sums[:, self._there] = np.add.reduceat(ordered, self._starts, axis=1, dtype=np.int64)
        return sums


def _log_losses(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    of_label = chances[np.arange(len(labels)), labels]
    return -np.log(np.clip(of_label, _EPS, 1 - _EPS))


def _in_top(labels: np.ndarray, chances: np.ndarray, top_k: int) -> np.ndarray:
    """Whether the label is among the k likeliest; ties go to the higher class, as in sklearn."""
    likeliest = np.argsort(chances, axis=1, kind="stable")[:, ::-1][:, :top_k]
    return (likeliest == labels[:, None]).any(axis=1)


def _squared_distances(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    of_label = chances[np.arange(len(labels)), labels]
    return np.einsum("ij,ij->i", chances, chances) - 2 * of_label + 1
