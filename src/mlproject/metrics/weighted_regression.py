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
            **self._quantiles(counts),
        }

    def _quantiles(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Quantiles of the weighted errors, interpolated as `numpy.quantile` does.

        Args:
            counts: `[resamples, rows]` cumulative weights, by rising error.
        """
        total = counts[:, -1].astype(np.int64)
        # Each weighting's counts above all of the one before: one sorted array to search.
        starts = np.arange(len(counts)) * (total.max(initial=0) + 1)
        ranks = (counts + starts[:, None]).ravel()
        places = np.arange(len(counts)) * counts.shape[1]

        def error_at(rank: np.ndarray) -> np.ndarray:
            found = np.searchsorted(ranks, rank + starts, side="right") - places
            at: np.ndarray = self._errors[np.clip(found, 0, counts.shape[1] - 1)]
            return at

        quantiles = {}
        for name, share in ERROR_QUANTILES.items():
            place = share * np.maximum(total - 1, 0)
            lower = np.floor(place).astype(np.int64)
            below = error_at(lower)
            above = error_at(np.minimum(lower + 1, np.maximum(total - 1, 0)))
            values = below + (place - lower) * (above - below)
            quantiles[name] = np.where(total > 0, values, np.nan)
        return quantiles
