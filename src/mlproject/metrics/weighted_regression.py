"""The metrics of a regression task under row weights, many weightings at a time.

For the bootstrap: a row of weight w counts as w copies of it. Weights of 1 give the values of
`regression.py`; all sums are in float64, since labels have any size.
"""

from __future__ import annotations

import numpy as np

from mlproject.metrics.regression import ERROR_QUANTILES


class WeightedRegression:
    """One model's predictions of some rows, ready for weights.

    Args:
        labels: `[rows]` finite numbers.
        predictions: `[rows]` finite numbers.
    """

    def __init__(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        labels = labels.astype(np.float64)
        errors = np.abs(labels - predictions.astype(np.float64))
        self._order = np.argsort(errors, kind="stable")
        self._errors = errors[self._order]
        centred = labels - labels.mean() if len(labels) else labels
        columns = [errors, errors**2, centred, centred**2]
        self._columns = np.column_stack(columns)[self._order]

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric of `METRICS["regression"]` for each weighting.

        Args:
            weights: `[resamples, rows] uint8`.

        Returns:
            Metric -> `[resamples] float64`; NaN where it cannot be judged.
        """
        ordered = weights.take(self._order, axis=1)
        counts = np.cumsum(ordered, axis=1, dtype=np.int32)
        rows = np.where(counts[:, -1] > 0, counts[:, -1], np.nan)
        absolute, squared, first, second = (ordered.astype(np.float64) @ self._columns).T
        spread = second - first**2 / rows
        spread = np.where(spread > 1e-12 * np.maximum(second, 1e-300), spread, np.nan)
        return {
            "mae": absolute / rows,
            "rmse": np.sqrt(squared / rows),
            "r2": 1 - squared / spread,
            **{name: self._quantiles(counts, q) for name, q in ERROR_QUANTILES.items()},
        }

    def _quantiles(self, counts: np.ndarray, share: float) -> np.ndarray:
        """Quantiles of the weighted errors, interpolated as `numpy.quantile` does."""
        total = counts[:, -1]
        place = share * np.maximum(total - 1, 0)
        lower = np.floor(place)
        below = self._errors[self._at(counts, lower)]
        above = self._errors[self._at(counts, np.minimum(lower + 1, total - 1))]
        values = below + (place - lower) * (above - below)
        return np.where(total > 0, values, np.nan)

    def _at(self, counts: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Row (by rising error) that holds a rank, from 0, of each weighting."""
        found = (counts <= rank[:, None]).sum(axis=1)
        return np.minimum(found, counts.shape[1] - 1)
