"""Metrics of a regression task: scikit-learn's, and quantiles of the absolute error by NumPy.

`r2` of fewer than two rows, or of rows whose label never varies, is None (cannot be judged).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

ERROR_QUANTILES: Mapping[str, float] = {
    "absolute_error_p50": 0.5,
    "absolute_error_p90": 0.9,
    "absolute_error_p99": 0.99,
}


def regression_metrics(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float | None]:
    """Every metric of `METRICS["regression"]`.

    Args:
        labels: `[rows]` finite numbers; at least one row.
        predictions: `[rows]` finite numbers.

    Returns:
        Metric -> value; all but `r2` are in the label's unit.
    """
    predictions = predictions.astype(np.float64)
    labels = labels.astype(np.float64)
    varies = len(labels) > 1 and labels.min() < labels.max()
    quantiles = np.quantile(np.abs(labels - predictions), list(ERROR_QUANTILES.values()))
    return {
        "mae": float(mean_absolute_error(labels, predictions)),
        "rmse": float(root_mean_squared_error(labels, predictions)),
        "r2": float(r2_score(labels, predictions)) if varies else None,
        **dict(zip(ERROR_QUANTILES, map(float, quantiles), strict=True)),
    }
