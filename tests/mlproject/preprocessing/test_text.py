"""Text: words as Python finds them, counted by scikit-learn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from mlproject import preprocessing as pp

Sparse = Callable[..., tf.SparseTensor]


def words_of(column: pa.Array) -> list[list[str]]:
    return [re.findall(r"\w+", (text or "").lower()) for text in column.to_pylist()]


def by_rows(rows: list[list[str]]) -> list[str]:
    """The words by the number of rows that hold them, as tf.Transform orders them."""
    counts = Counter(word for row in rows for word in set(row))
    return sorted(counts, key=lambda word: (counts[word], word.encode()), reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        "The trip was GOOD!",
        "  two  spaces\tand\nlines ",
        "naïve Straße, Ürümqi; ÉCOLE",
        "x_1-y2.3",
        "日本 語、です",
        "Привет, МИР",
        "...",
        "a",
    ],
)
def test_words_are_those_of_pythons_word_characters(text: str) -> None:
    words = pp.split_words(tf.constant([text, "other words here"]))
    assert isinstance(words, tf.SparseTensor)
    row = tf.sparse.to_dense(words).numpy()[0]
    assert [w.decode() for w in row if w] == re.findall(r"\w+", text.lower())


def test_marks_stay_in_their_word_and_bytes_that_are_no_text_end_one() -> None:
    words = pp.split_words(tf.constant(["हिन्दी भाषा".encode(), b"ab\xff\xfecd"]))
    assert [w.decode() for w in words.values.numpy()] == ["हिन्दी", "भाषा", "ab", "cd"]


def test_a_text_is_as_long_as_its_characters(sparse: Sparse) -> None:
    got = pp.text_length(sparse(["abc", "é日", "", None, "😀 "], tf.string))
    assert got.dtype == tf.int64
    assert got.numpy().tolist() == [3, 2, 0, 0, 2]


def test_no_row_and_no_text_have_no_words(sparse: Sparse) -> None:
    assert pp.split_words(sparse([], tf.string)).dense_shape.numpy()[0] == 0
    words = pp.split_words(sparse([None, "", "!"], tf.string))
    assert words.dense_shape.numpy()[0] == 3
    assert len(words.values) == 0


def test_ids_are_ranks_after_padding_and_unknown(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    rows = words_of(columns["review"])
    counts = Counter(word for row in rows for word in row)
    ranked = sorted(counts, key=lambda word: (counts[word], word.encode()), reverse=True)
    ids = {word: i + 2 for i, word in enumerate(ranked[:5])}
    expected = [([ids.get(word, 1) for word in row] + [0] * 4)[:4] for row in rows]
    assert outputs["review_ids"].dtype == np.int64
    assert outputs["review_ids"].tolist() == expected
    assert set(outputs["review_ids"].ravel()) == set(range(7))


def test_a_bag_counts_the_words_that_most_rows_hold(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    rows = words_of(columns["review"])
    vocabulary = by_rows(rows)
    counter = CountVectorizer(analyzer=lambda row: row, vocabulary=vocabulary)
    got = outputs["review_bag"]
    assert got.dtype == np.float32
    assert got.shape == (len(rows), 20)
    np.testing.assert_array_equal(got[:, : len(vocabulary)], counter.transform(rows).toarray())
    assert not got[:, len(vocabulary) :].any()
    assert len(vocabulary) == 10  # "The" is "the"


def test_weights_are_term_frequency_times_scikit_learns_smooth_idf(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    rows = words_of(columns["review"])
    counter = CountVectorizer(analyzer=lambda row: row, vocabulary=by_rows(rows)[:6])
    counts = counter.transform(rows)
    weights = TfidfTransformer(norm=None, smooth_idf=True).fit_transform(counts).toarray()
    lengths = np.maximum([len(row) for row in rows], 1)
    got = outputs["review_weights"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, weights / lengths[:, np.newaxis], rtol=1e-5)


def test_a_list_feature_is_a_bag_too(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    rows = [tags or [] for tags in columns["tags"].to_pylist()]
    vocabulary = by_rows(rows)
    expected = [[row.count(tag) for tag in vocabulary] + [0] for row in rows]
    np.testing.assert_array_equal(outputs["tags_bag"], expected)
    assert "dark red" in vocabulary


def test_a_column_without_text_has_no_weights(outputs: Mapping[str, np.ndarray]) -> None:
    assert outputs["no_text_weights"].shape[1] == 2
    assert not outputs["no_text_weights"].any()
