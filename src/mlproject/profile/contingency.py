"""Two categorical columns together: Cramér's V, and mutual information.

Columns are codes, `[rows]`, -1 for a missing value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlproject.profile.correlation import MIN_PAIRS

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def cramers_v(one: Codes, two: Codes) -> float:
    """Bias-corrected Cramér's V of two columns of codes, -1 for a missing value.

    Returns:
        0 to 1; NaN where one of them does not vary, or too few rows have both.
    """
    table = contingency(one, two)
    total = table.sum()
    rows, columns = table.shape
    if total < MIN_PAIRS or min(rows, columns) < 2:
        return float("nan")
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / total
    phi2 = (((table - expected) ** 2) / expected).sum() / total
    free = (rows - 1) * (columns - 1) / (total - 1)
    rows_left = rows - (rows - 1) ** 2 / (total - 1)
    columns_left = columns - (columns - 1) ** 2 / (total - 1)
    least = min(rows_left, columns_left) - 1
    return float(np.sqrt(max(0.0, phi2 - free) / least)) if least > 0 else float("nan")


def contingency(one: Codes, two: Codes) -> Floats:
    """Counts of the pairs of two columns of codes, `[values, values]`, without empty lines."""
    both = (one >= 0) & (two >= 0)
    one, two = (
        np.unique(one[both], return_inverse=True)[1],
        np.unique(two[both], return_inverse=True)[1],
    )
    if not len(one):
        return np.zeros((0, 0))
    shape = one.max() + 1, two.max() + 1
    counts = np.bincount(one * shape[1] + two, minlength=shape[0] * shape[1])
    result: Floats = counts.reshape(shape).astype(np.float64)
    return result


def mutual_information(table: Floats) -> float:
    """The mutual information of a contingency table, in nats."""
    share = table / table.sum()
    alone = share.sum(1, keepdims=True) * share.sum(0, keepdims=True)
    there = share > 0
    return float((share[there] * np.log(share[there] / alone[there])).sum())


def uncertainty_coefficient(feature: Codes, label: Codes) -> float:
    """Share of the label's entropy that the feature takes away, 0 to 1, corrected for chance."""
    table = contingency(feature, label)
    rows, columns = table.shape
    if columns < 2 or rows < 2:
        return 0.0
    by_label = table.sum(0) / table.sum()
    entropy = float(-(by_label * np.log(by_label)).sum())
    chance = (rows - 1) * (columns - 1) / (2 * table.sum())
    return float(np.clip((mutual_information(table) - chance) / entropy, 0, 1))
