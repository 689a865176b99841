"""Values told apart and counted over the whole data set, by tf.Transform's vocabularies.

The file of a vocabulary has a line for each value, the most frequent first, and ships as an asset
of the transform graph. Empty values and values with a line break are not in it. Bytes that are no
UTF-8 stand there, and are looked up, as U+FFFD: tf.Transform would fail on them. Where counts
stand before the values, a space within a value is a no-break space, since a space ends the count.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.tf_utils import construct_and_lookup_table

MISSING_ID, UNKNOWN_ID, FIRST_ID = 0, 1, 2

_NO_BREAK_SPACE = "\u00a0"
_LINE_NUMBER = tf.lookup.TextFileIndex.LINE_NUMBER
_COUNT, _VALUE = 0, 1  # the columns of a line


def analyze_counts(values: tf.Tensor, top_k: int | None = None) -> tf.Tensor:
    """Counts each distinct value over the whole data set.

    Args:
        values: `[n]` string.
        top_k: Keep this many, the most frequent; of equals the last in the order of bytes.

    Returns:
        `[]` string, tf.Transform's placeholder for the file.
    """
    return tft.vocabulary(_as_keys(values), top_k=top_k, store_frequency=True)


def counts_of(values: tf.Tensor, vocabulary: tf.Tensor) -> tf.Tensor:
    """How often the values occurred.

    Args:
        values: `[n]` string.
        vocabulary: From `analyze_counts`.

    Returns:
        `[n]` int64; 0 for a value that the vocabulary has not got.
    """
    return _look_up(_as_keys(values), vocabulary, _COUNT, default=0)


def ranks_of(values: tf.Tensor, vocabulary: tf.Tensor) -> tf.Tensor:
    """The places of the values in the order of their counts.

    Args:
        values: `[n]` string.
        vocabulary: From `analyze_counts`.

    Returns:
        `[n]` int64, from 0, the most frequent; -1 for a value that the vocabulary has not got.
    """
    return _look_up(_as_keys(values), vocabulary, _LINE_NUMBER, default=-1)


def ids_of(values: tf.Tensor, top_k: int | None, vocab_filename: str | None) -> tf.Tensor:
    """Numbers the values in the order of how often they occur.

    Args:
        values: `[n]` string.
        top_k: Keep this many, the most frequent; all when None.
        vocab_filename: Name of the vocabulary; its file has values alone.

    Returns:
        `[n]` int64: 0 for "", 1 for a value that the vocabulary has not got, 2 for the most
        frequent one, 3 for the next.
    """
    ranks = tft.compute_and_apply_vocabulary(
        _as_utf8(values),
        default_value=UNKNOWN_ID - FIRST_ID,
        top_k=top_k,
        vocab_filename=vocab_filename,
    )
    return tf.where(tf.equal(values, ""), tf.constant(MISSING_ID, tf.int64), ranks + FIRST_ID)


def most_frequent(values: tf.Tensor) -> tf.Tensor:
    """The value that occurs most often over the whole data set.

    Args:
        values: `[n]` string; "" does not count.

    Returns:
        `[]` string; of equals the last in the order of bytes, "" when there is none.
    """
    vocabulary = tft.vocabulary(_as_utf8(values), top_k=1)

    def first_line(file: tf.Tensor) -> tf.lookup.StaticHashTable:
        whole_line = tf.lookup.TextFileIndex.WHOLE_LINE
        lines = tf.lookup.TextFileInitializer(file, tf.int64, _LINE_NUMBER, tf.string, whole_line)
        return tf.lookup.StaticHashTable(lines, default_value="")

    found, _ = construct_and_lookup_table(first_line, vocabulary, tf.zeros([1], tf.int64))
    # Of a data set without a value tf.Transform writes a stand-in.
    any_value = tft.sum(tf.cast(tf.not_equal(values, ""), tf.int64)) > 0
    return tf.where(any_value, found[0], "")


def _as_utf8(values: tf.Tensor) -> tf.Tensor:
    return tf.strings.unicode_transcode(values, "UTF-8", "UTF-8", errors="replace")


def _as_keys(values: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(_as_utf8(values), " ", _NO_BREAK_SPACE)


def _look_up(keys: tf.Tensor, vocabulary: tf.Tensor, column: int, default: int) -> tf.Tensor:
    def table(file: tf.Tensor) -> tf.lookup.StaticHashTable:
        lines = tf.lookup.TextFileInitializer(
            file, tf.string, _VALUE, tf.int64, column, delimiter=" "
        )
        return tf.lookup.StaticHashTable(lines, default_value=default)

    found, _ = construct_and_lookup_table(table, vocabulary, keys)
    return found
