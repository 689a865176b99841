"""Numbers brought into a range or onto a scale that a model learns from."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_transform as tft

from mlproject.preprocessing.arguments import check_whole, refuse
from mlproject.preprocessing.columns import Feature, numbers
from mlproject.preprocessing.quantiles import bucket_boundaries, quantiles


def clip_outliers(x: Feature, lower: float = 0.01, upper: float = 0.99) -> tf.Tensor:
    """Moves values beyond two quantiles onto them, also called winsorising.

    Formula: `min(max(x, q(lower)), q(upper))` with `q(p) = sorted[floor(p * n)]` over the n values
    that are present, in error by at most 0.1 % of n in the rank.

    Args:
        x: A numeric feature, as `densify` takes it.
        lower: The share of values below the range, in steps of 0.001; 0 leaves low values alone.
        upper: The share of values up to the end of the range; 1 leaves high values alone.

    Returns:
        `[batch]` float32; a missing value stays NaN.

    Raises:
        UserModuleError: `x` is text, or the shares are no range from 0 to 1 in steps of 0.001.
    """
    if not 0 <= lower < upper <= 1 or (lower, upper) == (0, 1):
        raise refuse(
            "clip_outliers",
            received=f"lower={lower!r}, upper={upper!r}",
            expected="0 <= lower < upper <= 1, and not both ends open",
            next_step="give shares such as 0.01 and 0.99",
        )
    values = numbers(x, "clip_outliers")
    shares = [share for share in (lower, upper) if 0 < share < 1]
    limits = dict(zip(shares, quantiles(values, shares), strict=True))
    clipped = tf.cast(values, tf.float32)
    if lower in limits:
        clipped = tf.maximum(clipped, limits[lower])
    if upper in limits:
        clipped = tf.minimum(clipped, limits[upper])
    return _keep_missing(clipped, values)


def signed_log1p(x: Feature) -> tf.Tensor:
    """Draws long tails in on both sides of 0.

    Formula: `sign(x) * ln(1 + |x|)`.

    Args:
        x: A numeric feature, as `densify` takes it.

    Returns:
        `[batch]` float32; a missing value stays NaN.

    Raises:
        UserModuleError: `x` is text.
    """
    values = numbers(x, "signed_log1p")
    return tf.cast(tf.sign(values) * tf.math.log1p(tf.abs(values)), tf.float32)


def z_score(x: Feature) -> tf.Tensor:
    """Centres on the mean and scales by the standard deviation of the values that are present.

    Formula: `(x - mean) / sd` with `sd**2 = mean((x - mean)**2)`; 0 where missing, and everywhere
    when all values are equal.

    Args:
        x: A numeric feature, as `densify` takes it.

    Returns:
        `[batch]` float32, without missing values.

    Raises:
        UserModuleError: `x` is text.
    """
    values = numbers(x, "z_score")
    return _fill_zero(tft.scale_to_z_score(values), values)


def robust_scale(x: Feature) -> tf.Tensor:
    """Centres on the median and scales by the quartiles' distance, which outliers do not move.

    Formula: `(x - q(0.5)) / (q(0.75) - q(0.25))` with `q` as in `clip_outliers`; divided by 1 when
    the quartiles are equal; 0 where missing.

    Args:
        x: A numeric feature, as `densify` takes it.

    Returns:
        `[batch]` float32, without missing values.

    Raises:
        UserModuleError: `x` is text.
    """
    values = numbers(x, "robust_scale")
    low, middle, high = (tf.cast(q, tf.float64) for q in quantiles(values, (0.25, 0.5, 0.75)))
    distance = tf.where(high > low, high - low, tf.ones_like(low))
    return _fill_zero((values - middle) / distance, values)


def bucketize(x: Feature, num_buckets: int) -> tf.Tensor:
    """Cuts a number into buckets that hold about equally many of the values that are present.

    Formula: the number of boundaries `q(i / num_buckets)`, `0 < i < num_buckets`, that are not
    above `x`, with `q` as in `clip_outliers`; `num_buckets` where missing. Many equal values leave
    some buckets empty.

    Args:
        x: A numeric feature, as `densify` takes it.
        num_buckets: At least 2.

    Returns:
        `[batch]` int64 in `[0, num_buckets]`: an embedding needs `num_buckets + 1` rows.

    Raises:
        UserModuleError: `x` is text, or `num_buckets` is below 2.
    """
    check_whole("bucketize", "num_buckets", num_buckets, least=2)
    values = numbers(x, "bucketize")
    boundaries = bucket_boundaries(values, num_buckets)
    buckets = tft.apply_buckets(tf.cast(values, tf.float32), boundaries[tf.newaxis, :])
    missing = tf.math.is_nan(values)
    return tf.where(missing, tf.constant(num_buckets, tf.int64), buckets)


def cyclic(x: Feature, period: float) -> tf.Tensor:
    """Puts a number that comes round, such as an hour, on the unit circle.

    Formula: `(sin(2 pi x / period), cos(2 pi x / period))`; `(0, 0)`, the centre, where missing.

    Args:
        x: A numeric feature, as `densify` takes it.
        period: After how much it comes round, in the unit of `x`: 24 for hours, 12 for months.

    Returns:
        `[batch, 2]` float32, without missing values.

    Raises:
        UserModuleError: `x` is text, or the period is not above 0.
    """
    if not 0 < period < math.inf:
        raise refuse(
            "cyclic",
            received=f"period={period!r}",
            expected="a number above 0",
            next_step="give 24 for hours, 7 for days of the week, 12 for months",
        )
    values = numbers(x, "cyclic")
    angle = tf.math.floormod(values, period) * (2 * math.pi / period)
    pair = tf.stack([tf.sin(angle), tf.cos(angle)], axis=1)
    return _fill_zero(pair, values[:, tf.newaxis])


def _keep_missing(result: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.math.is_nan(values), tf.constant(math.nan, tf.float32), result)


def _fill_zero(result: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    result = tf.cast(result, tf.float32)
    return tf.where(tf.math.is_nan(values), tf.zeros_like(result), result)
