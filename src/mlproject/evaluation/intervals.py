"""Confidence intervals of metrics and of differences, by paired bootstrap.

The method. Rows are drawn again with Poisson(1) weights (`row_weights.py`), the same for candidate
and champion, so a difference is paired: what both find hard cancels out. The interval holds the
middle share (95 % by default) of the resampled values, moved so that their median lies on the
measured value, and cut at the metric's own bounds. (The plain percentile interval of Efron &
Tibshirani, 1993, is the same where resampling does not shift a metric; it does shift calibration
error, whose plain interval can miss its own value.)

Of a slice of more than 20,000 rows the spread is measured on a random subsample of m = 20,000 and
scaled by sqrt(m / n): the m out of n bootstrap for statistics that converge as 1 / sqrt(n) (Bickel,
Götze & van Zwet, "Resampling fewer than n observations", 1997; Kleiner et al., "A scalable
bootstrap for massive data", 2014).

Where a metric is 0 or 1, or candidate and champion agree on every row, each resample says the same,
and the bootstrap sees no spread where there is some. Then the interval is Agresti and Coull's
("Approximate is better than exact for interval estimation of binomial proportions", The American
Statistician 52, 1998), of a share of n rows: with z the normal quantile of the confidence,

    p = (value n + z^2 / 2) / (n + z^2),   interval p +- z sqrt(p (1 - p) / (n + z^2))

which is stretched to the value itself. `accuracy`, `top_k_accuracy` and a binary `precision` and
`recall` are shares of rows. For the others n is the number of rows that bears the metric:

    f1             binary: rows that are positive or predicted so. With J the share of them that is
                   both, F1 = 2 J / (1 + J), so J <= F1 <= 2 J: these bounds are taken
    auc, pr_auc    rows of the smaller class. Var(AUC) <= AUC (1 - AUC) / min(n0, n1) (Birnbaum &
                   Klose, "Bounds for the variance of the Mann-Whitney statistic", Annals of
                   Mathematical Statistics 28, 1957); the binomial interval of average precision has
                   the number of positives (Boyd, Eng & Page, "Area under the precision-recall
                   curve: point estimates and confidence intervals", ECML PKDD 2013)
    means over     precision, recall, f1: rows of the smallest class times the classes; errors that
    classes        were not seen weigh most if all are of that class, which is one in the mean.
                   auc: rows of the smallest class, since its terms share rows

Any other metric without spread (an error of 0 in every row) keeps an interval without width, which
the judge `proven` takes for no proof.

A resample in which a metric cannot be judged (a class was not drawn) is left out; where more than
one in ten is, there is no interval. Nor is there one of fewer than two rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mlproject.evaluation.row_weights import RowWeights
from mlproject.metrics.names import ANY

if TYPE_CHECKING:
    from mlproject.metrics.by_task import Weighted

MAX_ROWS = 20_000
MAX_CELLS = 200_000
"""Rows times classes of a multi-class subsample: one-vs-rest AUC sorts them once a class."""
MIN_JUDGED = 0.9
FROM_0_TO_1 = frozenset(
    {"accuracy", "top_k_accuracy", "precision", "recall", "f1", "auc", "pr_auc"}
)
"""Metrics whose interval at 0 and at 1 is that of a share of rows."""
ROUNDING = 1e-15
"""Resamples that differ by no more than this are the same: sums are of float32."""


@dataclass(frozen=True)
class Spread:
    """How sure a value is.

    Attributes:
        low: Lower end of the confidence interval; None where there is none.
        high: Upper end.
        standard_error: Standard deviation of the resampled values.
    """

    low: float | None = None
    high: float | None = None
    standard_error: float | None = None


def most_rows(classes: int) -> int:
    """Rows that the spread of a slice is measured on at most.

    Args:
        classes: Values of a prediction: 1, or the classes of a multi-class task.
    """
    return min(MAX_ROWS, max(2_000, MAX_CELLS // classes))


@dataclass(frozen=True)
class Resamples:
    """Values on resampled rows of a slice.

    Attributes:
        values: Model -> metric -> `[resamples]`, NaN where it could not be judged; the same rows
            for each model.
        scale: sqrt(rows resampled / rows of the slice).
        few: Too few for the ends of an interval, enough for a standard error.
    """

    values: Mapping[str, Mapping[str, np.ndarray]]
    scale: float
    few: bool = False


def resample(
    models: Mapping[str, Weighted], rows: np.ndarray, weights: RowWeights, resamples: int
) -> dict[str, dict[str, np.ndarray]]:
    """The metrics of each model on each resample, the same resamples for each.

    Args:
        models: Model -> its predictions of the rows.
        rows: `[rows]` numbers of the rows in the split.
        weights: The bootstrap's weights.
        resamples: Number of resamples.

    Returns:
        Model -> metric -> `[resamples]`; NaN where it could not be judged.
    """
    parts: dict[str, list[Mapping[str, np.ndarray]]] = {model: [] for model in models}
    for chunk in weights.chunks(rows, resamples):
        for model, weighted in models.items():
            parts[model].append(weighted.metrics(chunk))
    return {model: _joined(found) for model, found in parts.items()}


def spread_of(
    value: float | None,
    resampled: np.ndarray,
    confidence: float,
    *,
    scale: float = 1.0,
    few: bool = False,
    bounds: tuple[float, float] = ANY,
) -> Spread:
    """The interval of a value from its resamples.

    Args:
        value: The value on all rows; None where it could not be judged.
        resampled: `[resamples]`; NaN where it could not be judged.
        confidence: Share of the interval, two-sided.
        scale: See `Resamples`.
        few: See `Resamples`; the interval is then that of a normal distribution.
        bounds: Lowest and highest value that there can be.
    """
    judged = resampled[np.isfinite(resampled)]
    if value is None or len(judged) < max(MIN_JUDGED * len(resampled), 2):
        return Spread()
    error = scale * float(judged.std(ddof=1))
    if error <= ROUNDING:
        return Spread(value, value, 0.0)
    if few:
        reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
        down, up = -reach, reach
    else:
        ends = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
        low, middle, high = map(float, np.quantile(judged, ends))
        down, up = scale * (low - middle), scale * (high - middle)
    return Spread(max(value + down, bounds[0]), min(value + up, bounds[1]), error)


def share_spread(value: float, rows: int, confidence: float) -> Spread:
    """The interval of a share of rows that is 0 or 1 (see above).

    Args:
        value: 0 or 1.
        rows: The rows that it is a share of.
        confidence: Share of the interval, two-sided.

    Returns:
        The interval; as standard error what makes `value +- z * standard_error` reach as far.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    added = rows + z * z
    middle = (value * rows + z * z / 2) / added
    reach = z * math.sqrt(middle * (1 - middle) / added)
    low, high = max(min(middle - reach, value), 0.0), min(max(middle + reach, value), 1.0)
    return Spread(low, high, max(value - low, high - value) / z)


def f1_spread(value: float, rows: int, confidence: float) -> Spread:
    """The interval of an F1 score that is 0 or 1 (see above); arguments as of `share_spread`.

    Args:
        value: 0 or 1.
        rows: Rows that are positive or predicted so.
        confidence: Share of the interval, two-sided.
    """
    share = share_spread(value, rows, confidence)
    if value or share.high is None or share.standard_error is None:
        return share
    high = 2 * share.high / (1 + share.high)
    return Spread(0.0, high, share.standard_error * high / share.high)


def agreement_spread(value: float, rows: int, confidence: float) -> Spread:
    """The interval of a difference of shares that is the same on every resample (see above).

    Args:
        value: 0 where the models agree; 1 or -1 where one is all right and the other all wrong.
        rows: The rows that they are shares of.
        confidence: Share of the interval, two-sided.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    error = math.sqrt(z * z / 2) / (rows + z * z)
    return Spread(max(value - z * error, -1.0), min(value + z * error, 1.0), error)


def _joined(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}
