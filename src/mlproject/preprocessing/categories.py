"""Categories as numbers, by how often they occur; the label is never looked at."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from mlproject.preprocessing.arguments import check_whole, refuse
from mlproject.preprocessing.columns import Feature, categories
from mlproject.preprocessing.hashing import hash_texts
from mlproject.preprocessing.vocabularies import analyze_counts, counts_of, ids_of


def count_encode(x: Feature, top_k: int | None = None) -> tf.Tensor:
    """How many rows of the analysed data have the row's value.

    Formula: `count(x)`; 0 for a missing value, an unseen one and one with a line break.

    Args:
        x: A string or int64 feature, as `densify` takes it.
        top_k: Keep the counts of this many values, the most frequent; all when None.

    Returns:
        `[batch]` int64.

    Raises:
        UserModuleError: `x` is a float, or `top_k` is below 1.
    """
    return _counts(categories(x, "count_encode"), "count_encode", top_k)


def frequency_encode(x: Feature, top_k: int | None = None) -> tf.Tensor:
    """The share of the rows of the analysed data that have the row's value.

    Formula: `count(x) / rows`, rows without a value among them; 0 as in `count_encode`.

    Args:
        x: A string or int64 feature, as `densify` takes it.
        top_k: As in `count_encode`.

    Returns:
        `[batch]` float32 in `[0, 1]`.

    Raises:
        UserModuleError: As `count_encode` does.
    """
    texts = categories(x, "frequency_encode")
    counts = _counts(texts, "frequency_encode", top_k)
    return tf.cast(counts / tft.size(texts), tf.float32)


def ordinal_encode(
    x: Feature, top_k: int | None = None, vocab_filename: str | None = None
) -> tf.Tensor:
    """A number for each value, in the order of how often they occur.

    Formula: 0 where missing, 1 for a value that the vocabulary has not got (or with a line break),
    2 for the most frequent value, 3 for the next; of equally frequent ones the last in the order
    of bytes comes first.

    Args:
        x: A string or int64 feature, as `densify` takes it.
        top_k: Keep this many values, the most frequent; all when None.
        vocab_filename: Name of the vocabulary, for `tft.TFTransformOutput.vocabulary_by_name`;
            used once in a `preprocessing_fn`.

    Returns:
        `[batch]` int64 in `[0, values + 2)`: an embedding needs `top_k + 2` rows.

    Raises:
        UserModuleError: `x` is a float, or `top_k` is below 1.
    """
    _check_top_k("ordinal_encode", top_k)
    texts = categories(x, "ordinal_encode")
    return ids_of(texts, top_k, vocab_filename)


def group_rare(x: Feature, min_share: float, other: str = "other") -> tf.Tensor:
    """Gives one name to all values that occur too seldom to learn from.

    Formula: `x` where `count(x) / rows >= min_share`, else `other`; unseen values and values with
    a line break are rare; a missing value stays "".

    Args:
        x: A string or int64 feature, as `densify` takes it.
        min_share: A share of the rows, above 0 and at most 1.
        other: The name.

    Returns:
        `[batch]` string, integers in decimal.

    Raises:
        UserModuleError: `x` is a float, or the share is not in its range.
    """
    if not 0 < min_share <= 1:
        raise refuse(
            "group_rare",
            received=f"min_share={min_share!r}",
            expected="a share of the rows, above 0 and at most 1",
            next_step="give 0.01 for one row in a hundred",
        )
    texts = categories(x, "group_rare")
    # No more values than this can have such a share.
    counts = counts_of(texts, analyze_counts(texts, top_k=int(1 / min_share + 1e-6)))
    frequent = counts / tft.size(texts) >= tf.constant(min_share, tf.float64)
    return tf.where(tf.logical_or(frequent, tf.equal(texts, "")), texts, other)


def hash_encode(x: Feature, num_buckets: int) -> tf.Tensor:
    """A bucket for each value by hash, without looking at the data.

    Formula: `1 + fingerprint64(x) mod (num_buckets - 1)`, integers in decimal; 0 where missing.
    Different values may share a bucket.

    Args:
        x: A string or int64 feature, as `densify` takes it.
        num_buckets: At least 2.

    Returns:
        `[batch]` int64 in `[0, num_buckets)`.

    Raises:
        UserModuleError: `x` is a float, or there are too few buckets.
    """
    check_whole("hash_encode", "num_buckets", num_buckets, least=2)
    return hash_texts(categories(x, "hash_encode"), num_buckets)


def _counts(texts: tf.Tensor, helper: str, top_k: int | None) -> tf.Tensor:
    _check_top_k(helper, top_k)
    return counts_of(texts, analyze_counts(texts, top_k))


def _check_top_k(helper: str, top_k: int | None) -> None:
    if top_k is not None:
        check_whole(helper, "top_k", top_k, least=1)
