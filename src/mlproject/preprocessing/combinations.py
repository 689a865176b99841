"""Several features made into one: products of numbers, pairs of categories."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import tensorflow as tf

from mlproject.preprocessing.arguments import check_whole, refuse
from mlproject.preprocessing.columns import Feature, categories, numbers, present
from mlproject.preprocessing.hashing import hash_texts

_SEPARATOR = "\x1f"  # ASCII's unit separator


def polynomial(
    features: Sequence[Feature], degree: int = 2, interactions: bool = True
) -> tf.Tensor:
    """Powers and products of some numbers.

    Formula: every product `x1**p1 * x2**p2 * ...` with `1 <= p1 + p2 + ... <= degree`; only the
    powers of single features without interactions. In the order of scikit-learn's
    `PolynomialFeatures` without its bias: `x1, x2, x1**2, x1*x2, x2**2, ...`.

    Args:
        features: Numeric features, as `densify` takes them; scaled ones, or the powers grow large.
        degree: The highest sum of exponents, at least 1.
        interactions: Whether different features are multiplied too.

    Returns:
        `[batch, terms]` float32, terms = `C(features + degree, degree) - 1` with interactions and
        `features * degree` without; a product with a missing value is NaN.

    Raises:
        UserModuleError: There is no feature, one is text, or the degree is below 1.
    """
    check_whole("polynomial", "degree", degree, least=1)
    _check_count("polynomial", features, least=1)
    columns = [numbers(feature, "polynomial") for feature in features]
    indices = range(len(columns))
    terms = []
    for size in range(1, degree + 1):
        chosen = combinations_with_replacement(indices, size)
        for factors in chosen if interactions else ((i,) * size for i in indices):
            terms.append(tf.math.reduce_prod([columns[i] for i in factors], axis=0))
    return tf.cast(tf.stack(terms, axis=1), tf.float32)


def cross(features: Sequence[Feature], num_buckets: int) -> tf.Tensor:
    """One bucket for each combination of some categories, by hash.

    Formula: `1 + fingerprint64(a + "\\x1f" + b + ...) mod (num_buckets - 1)`, integers in decimal;
    0 where any part is missing. Different combinations may share a bucket.

    Args:
        features: Two or more string or int64 features, as `densify` takes them; numbers after
            `bucketize`, where a missing number is a bucket of its own.
        num_buckets: At least 2.

    Returns:
        `[batch]` int64 in `[0, num_buckets)`.

    Raises:
        UserModuleError: A feature is a float, there are fewer than two, or too few buckets.
    """
    check_whole("cross", "num_buckets", num_buckets, least=2)
    _check_count("cross", features, least=2)
    parts = [categories(feature, "cross") for feature in features]
    complete = tf.reduce_all([present(part) for part in parts], axis=0)
    joined = tf.strings.join(parts, separator=_SEPARATOR)
    return hash_texts(tf.where(complete, joined, ""), num_buckets)


def _check_count(helper: str, features: Sequence[Feature], least: int) -> None:
    if not isinstance(features, (list, tuple)) or len(features) < least:
        raise refuse(
            helper,
            received=f"{len(features)} features"
            if isinstance(features, (list, tuple))
            else f"a {type(features).__name__}",
            expected=f"a list of at least {least}",
            next_step="give the features as a list",
        )
