"""The metrics of a binary task under row weights, many weightings at a time.

For the bootstrap: a row of weight w counts as w copies of it. Weights of 1 give the values of
`binary.py`, to float32's precision.
"""

from __future__ import annotations

import numpy as np

from mlproject.metrics.binary import CUT
from mlproject.metrics.calibration import BINS, calibration_bins
from mlproject.metrics.weighted_ranks import Ranking

_EPS = np.finfo(np.float64).eps  # scikit-learn's clip of the log loss


class WeightedBinary:
    """One model's scores of some rows, ready for weights.

    Args:
        labels: `[rows]` 0 or 1.
        scores: `[rows]` probabilities of class 1.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray) -> None:
        scores = scores.astype(np.float64)
        self._ranking = Ranking(labels == 1, scores)
        self._positives = _OneClass(scores[self._ranking.positives], 1)
        self._negatives = _OneClass(scores[self._ranking.negatives], 0)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric of `METRICS["binary"]` for each weighting.

        Args:
            weights: `[resamples, rows] uint8`.

        Returns:
            Metric -> `[resamples] float64`; NaN where it cannot be judged.
        """
        ranked = self._ranking.sums(weights)
        hit, hit_losses, hit_gaps = self._positives.sums(ranked.of_positives)
        false, false_losses, false_gaps = self._negatives.sums(ranked.of_negatives)
        positive, negative = ranked.positive.astype(float), ranked.negative.astype(float)
        rows = _or_nan(positive + negative)
        some = _or_nan(positive)
        losses = (hit_losses + false_losses) / rows[:, None]
        return {
            "auc": self._ranking.auc(ranked),
            "accuracy": (hit + negative - false) / rows,
            "log_loss": losses[:, 0],
            "pr_auc": self._ranking.average_precision(ranked),
            "brier": losses[:, 1],
            "calibration_error": np.abs(hit_gaps + false_gaps).sum(axis=1) / rows,
            "precision": hit / np.maximum(hit + false, 1) + 0 * some,
            "recall": hit / some,
            "f1": 2 * hit / (some + hit + false),
        }


class _OneClass:
    """The rows of one class, by rising score."""

    def __init__(self, scores: np.ndarray, label: int) -> None:
        chance = np.clip(scores if label else 1 - scores, _EPS, 1 - _EPS)
        self._losses = np.stack([-np.log(chance), (scores - label) ** 2], 1).astype(np.float32)
        self._gaps = (label - scores).astype(np.float32)
        self._first_predicted = int(np.searchsorted(scores, CUT, "left"))
        bins = calibration_bins(scores)
        self._bins, self._starts = np.unique(bins, return_index=True)

    def sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of predicted positives `[resamples]`; losses `[resamples, 2]`; gaps by bin."""
        gaps = np.zeros((len(weights), BINS))
        if not weights.shape[1]:
            return np.zeros(len(weights)), np.zeros((len(weights), 2)), gaps
        floats = weights.astype(np.float32)
        predicted = weights[:, self._first_predicted :].sum(axis=1, dtype=np.int64)
        losses = floats @ self._losses
        floats *= self._gaps
        gaps[:, self._bins] = np.add.reduceat(floats, self._starts, axis=1)
        return predicted.astype(float), losses.astype(float), gaps


def _or_nan(sums: np.ndarray) -> np.ndarray:
    return np.where(sums > 0, sums, np.nan)
