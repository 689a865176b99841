"""Texts hashed into buckets, the same in every process and on every machine."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft


def hash_texts(texts: tf.Tensor, num_buckets: int) -> tf.Tensor:
    """Hashes texts by FarmHash's `fingerprint64`, whose values never change.

    Args:
        texts: `[batch]` string, "" where missing.
        num_buckets: At least 2; the first is for missing.

    Returns:
        `[batch]` int64 in `[0, num_buckets)`.
    """
    buckets = tft.hash_strings(texts, num_buckets - 1) + 1
    return tf.where(tf.equal(texts, ""), tf.zeros_like(buckets), buckets)
