"""AUC and average precision under row weights, many weightings at a time.

Rows are sorted once; each weighting costs cumulative sums. A row of weight w counts as w copies of
it, ties included, so that weights of 1 give scikit-learn's values.
"""

from __future__ import annotations

import numpy as np


class Ranking:
    """The rows of a positive class and of the rest, each sorted by a score.

    Args:
        positive: `[rows] bool`.
        scores: `[rows]`, higher for the positive class.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        self.positives = _sorted_rows(np.flatnonzero(positive), scores)
        self.negatives = _sorted_rows(np.flatnonzero(~positive), scores)
        above, below = scores[self.positives], scores[self.negatives]
        # For each positive: negatives of a lower score, those of the same too, and tied positives.
        self._lower = np.searchsorted(below, above, "left")
        self._up_to = np.searchsorted(below, above, "right")
        self._first_tied = np.searchsorted(above, above, "left")
        self._ties = bool((self._lower != self._up_to).any())
        self._tied_positives = bool((np.diff(above) == 0).any())

    def sums(self, weights: np.ndarray) -> RankedWeights:
        """The weights in the order of the scores.

        Args:
            weights: `[resamples, rows] uint8`.
        """
        return RankedWeights(
            weights.take(self.positives, axis=1), weights.take(self.negatives, axis=1)
        )

    def auc(self, ranked: RankedWeights) -> np.ndarray:
        """`[resamples]` area under the ROC curve; NaN where a class has no weight."""
        wins = ranked.negatives_before.take(self._lower, axis=1)
        wins += ranked.negatives_before.take(self._up_to, axis=1) if self._ties else wins
        kind = np.int32 if 2.0 * ranked.positive.max() * ranked.negative.max() < 2**31 else np.int64
        twice = np.einsum("ij,ij->i", ranked.of_positives, wins, dtype=kind, casting="safe")
        pairs = 2.0 * ranked.positive * ranked.negative
        return np.divide(twice, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)

    def average_precision(self, ranked: RankedWeights) -> np.ndarray:
        """`[resamples]` average precision (step-wise); NaN where a class has no weight."""
        before = ranked.positives_before
        before = before.take(self._first_tied, axis=1) if self._tied_positives else before[:, :-1]
        true = ranked.positive[:, None] - before
        found = true + ranked.negative[:, None]
        found -= ranked.negatives_before.take(self._lower, axis=1)
        np.maximum(found, 1, out=found)  # where it is 0, so is the row's own weight
        precision = true.astype(np.float32)
        precision /= found.astype(np.float32)
        total = np.einsum("ij,ij->i", ranked.of_positives.astype(np.float32), precision)
        judged = (ranked.positive > 0) & (ranked.negative > 0)
        return np.divide(total, ranked.positive, out=np.full(len(total), np.nan), where=judged)


class RankedWeights:
    """Weights in the order of a `Ranking`, and their cumulative sums.

    Args:
        of_positives: `[resamples, positives] uint8`.
        of_negatives: `[resamples, negatives] uint8`.

    Attributes:
        positives_before: `[resamples, positives + 1] int32`, sums of those before each.
        negatives_before: `[resamples, negatives + 1] int32`, the same.
        positive: `[resamples]` sum of the positives' weights.
        negative: `[resamples]` sum of the negatives' weights.
    """

    def __init__(self, of_positives: np.ndarray, of_negatives: np.ndarray) -> None:
        self.of_positives = of_positives
        self.of_negatives = of_negatives
        self.positives_before = _sums_before(of_positives)
        self.negatives_before = _sums_before(of_negatives)
        self.positive = self.positives_before[:, -1]
        self.negative = self.negatives_before[:, -1]


def _sorted_rows(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return rows[np.argsort(scores[rows], kind="stable")]


def _sums_before(weights: np.ndarray) -> np.ndarray:
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), np.int32)
    np.cumsum(weights, axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums
