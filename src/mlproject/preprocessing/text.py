"""Text as words, and words as numbers."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from mlproject.preprocessing.arguments import check_whole, refuse
from mlproject.preprocessing.columns import Feature, densify
from mlproject.preprocessing.vocabularies import (
    MISSING_ID,
    analyze_counts,
    counts_of,
    ids_of,
    ranks_of,
)

_NO_WORD = r"[^\p{L}\p{M}\p{N}_]+"  # no letter, mark or digit of any script


def text_length(x: Feature) -> tf.Tensor:
    """How long a text is.

    Formula: the number of Unicode code points; 0 where missing.

    Args:
        x: A string feature, as `densify` takes it.

    Returns:
        `[batch]` int64.

    Raises:
        UserModuleError: `x` is no text.
    """
    return tf.cast(tf.strings.length(_texts(x, "text_length"), unit="UTF8_CHAR"), tf.int64)


def split_words(x: Feature) -> tf.SparseTensor:
    """Cuts a text into words.

    Formula: the runs of letters, marks, digits and `_` of any script, in lower case; none where
    missing. Bytes that are no UTF-8 end a word.

    Args:
        x: A string feature, as `densify` takes it.

    Returns:
        `[batch, most words in a row]` string, sparse: for `token_ids`, `bag_of_words` and
        `tf_idf`, not to be returned from `preprocessing_fn`.

    Raises:
        UserModuleError: `x` is no text.
    """
    lower = tf.strings.lower(_texts(x, "split_words"), encoding="utf-8")
    return tf.strings.split(tf.strings.regex_replace(lower, _NO_WORD, " ")).to_sparse()


def token_ids(
    words: tf.SparseTensor, top_k: int, length: int, vocab_filename: str | None = None
) -> tf.Tensor:
    """The first words of each row as numbers, for an embedding.

    Formula: 0 after the last word (and for an empty one of a list), 1 for a word that the
    vocabulary has not got, 2 for the word that occurs most often, 3 for the next, to `top_k + 1`.

    Args:
        words: From `split_words`, or a list feature: `[batch, any]` string, sparse.
        top_k: Words of the vocabulary.
        length: Words kept of each row.
        vocab_filename: Name of the vocabulary, for `tft.TFTransformOutput.vocabulary_by_name`;
            used once in a `preprocessing_fn`.

    Returns:
        `[batch, length]` int64 in `[0, top_k + 2)`.

    Raises:
        UserModuleError: `words` is no sparse text, or `top_k` or `length` is below 1.
    """
    check_whole("token_ids", "top_k", top_k, least=1)
    check_whole("token_ids", "length", length, least=1)
    _check_words(words, "token_ids")
    ids = ids_of(words.values, top_k, vocab_filename)
    kept = words.indices[:, 1] < length
    first = tf.SparseTensor(
        tf.boolean_mask(words.indices, kept),
        tf.boolean_mask(ids, kept),
        [words.dense_shape[0], length],
    )
    return tf.ensure_shape(tf.sparse.to_dense(first, MISSING_ID), [None, length])


def bag_of_words(words: tf.SparseTensor, top_k: int) -> tf.Tensor:
    """How often each word of a vocabulary stands in each row.

    Formula: column j counts the word that the j-th most rows hold, from 0; of equals the last in
    the order of bytes comes first. Columns beyond the vocabulary are 0.

    Args:
        words: From `split_words`, or a list feature: `[batch, any]` string, sparse.
        top_k: Words of the vocabulary, and columns.

    Returns:
        `[batch, top_k]` float32, dense: 4 * top_k bytes for each row.

    Raises:
        UserModuleError: `words` is no sparse text, or `top_k` is below 1.
    """
    check_whole("bag_of_words", "top_k", top_k, least=1)
    _check_words(words, "bag_of_words")
    ranks = ranks_of(words.values, analyze_counts(_once_a_row(words), top_k))
    return _sum_by_word(words, ranks, tf.ones_like(ranks, tf.float32), top_k)


def tf_idf(words: tf.SparseTensor, top_k: int) -> tf.Tensor:
    """How much each word of a vocabulary says about each row.

    Formula: `count in the row / words in the row * (1 + ln((1 + rows) / (1 + rows that hold the
    word)))`, tf.Transform's smooth variant; words outside the vocabulary count in the row's
    length. The columns are those of `bag_of_words`. One pass over the data, where `tft.tfidf`
    takes two.

    Args:
        words: From `split_words`, or a list feature: `[batch, any]` string, sparse.
        top_k: Words of the vocabulary, and columns.

    Returns:
        `[batch, top_k]` float32, dense: 4 * top_k bytes for each row.

    Raises:
        UserModuleError: `words` is no sparse text, or `top_k` is below 1.
    """
    check_whole("tf_idf", "top_k", top_k, least=1)
    _check_words(words, "tf_idf")
    vocabulary = analyze_counts(_once_a_row(words), top_k)
    ranks = ranks_of(words.values, vocabulary)
    holding = tf.cast(counts_of(words.values, vocabulary), tf.float64)
    row = words.indices[:, 0]
    batch_rows = words.dense_shape[0]
    rows = tf.cast(tft.sum(tf.reshape(batch_rows, [1])), tf.float64)
    lengths = tf.math.unsorted_segment_sum(tf.ones_like(row, tf.float64), row, batch_rows)
    weights = (1 + tf.math.log((1 + rows) / (1 + holding))) / tf.gather(lengths, row)
    return _sum_by_word(words, ranks, tf.cast(weights, tf.float32), top_k)


def _texts(x: Feature, helper: str) -> tf.Tensor:
    column = densify(x)
    if column.dtype != tf.string:
        raise refuse(
            helper,
            received=f"a feature of {column.dtype.name}",
            expected="a string feature",
            next_step="give a feature that holds text",
        )
    return column


def _check_words(words: tf.SparseTensor, helper: str) -> None:
    if not isinstance(words, tf.SparseTensor) or words.dtype != tf.string:
        raise refuse(
            helper,
            received=type(words).__name__,
            expected="a SparseTensor [batch, any] of string",
            next_step="make words of a text with split_words",
        )


def _once_a_row(words: tf.SparseTensor) -> tf.Tensor:
    """Every word once for each row that holds it, `[n]` string."""
    distinct, number = tf.unique(words.values, out_idx=tf.int64)
    size = tf.maximum(tf.size(distinct, out_type=tf.int64), 1)
    pairs, _ = tf.unique(words.indices[:, 0] * size + number)
    return tf.gather(distinct, pairs % size)


def _sum_by_word(
    words: tf.SparseTensor, ranks: tf.Tensor, weights: tf.Tensor, top_k: int
) -> tf.Tensor:
    """The weights of each row's words of the vocabulary, summed by word."""
    known = ranks >= 0
    cells = tf.stack([words.indices[:, 0], ranks], axis=1)
    shape = tf.stack([words.dense_shape[0], tf.constant(top_k, tf.int64)])
    summed = tf.scatter_nd(tf.boolean_mask(cells, known), tf.boolean_mask(weights, known), shape)
    return tf.ensure_shape(summed, [None, top_k])
