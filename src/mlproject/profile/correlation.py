"""Correlations of many columns at once, each pair over the rows that have both values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

MIN_PAIRS = 30
"""Rows below which a correlation says little: of five points it is rarely small."""


def pearson(columns: Floats) -> Floats:
    """Correlations of columns, each pair over the rows that have both.

    Args:
        columns: `[rows, columns]`, NaN for a missing value.

    Returns:
        `[columns, columns]`; NaN where a pair has fewer than `MIN_PAIRS` rows or does not vary.
    """
    if not columns.size:
        return np.zeros((columns.shape[1], columns.shape[1]))
    there = np.isfinite(columns).astype(np.float64)
    with np.errstate(all="ignore"):
        # Standardised first, so that a large mean does not swallow the variance.
        centred = columns - np.nanmean(np.where(there, columns, np.nan), axis=0)
        scaled = centred / np.nanmax(np.abs(np.where(there, centred, np.nan)), axis=0)
        filled = np.where((there > 0) & np.isfinite(scaled), scaled, 0.0)
        count = there.T @ there
        sums = filled.T @ there  # [a, b]: sum of a where b is there
        squares = (filled**2).T @ there
        covariance = filled.T @ filled - sums * sums.T / count
        variance = squares - sums**2 / count
        variance[variance < 1e-12 * squares] = np.nan  # what rounding leaves of a constant
        result: Floats = np.clip(covariance / np.sqrt(variance * variance.T), -1, 1)
    result[count < MIN_PAIRS] = np.nan
    return result


def ranks(columns: Floats) -> Floats:
    """The ranks of each column's values, equal values sharing their average; NaN stays."""
    result: Floats = pd.DataFrame(columns).rank().to_numpy()
    return result
