"""Columns: one form for every kind of missing value, dense or sparse, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mlproject import preprocessing as pp
from mlproject import raw_inputs
from mlproject.errors import UserModuleError

NAN, INF = float("nan"), float("inf")
Sparse = Callable[..., tf.SparseTensor]


def test_the_stand_in_for_a_missing_integer_is_that_of_serving() -> None:
    assert pp.MISSING_INT == raw_inputs.MISSING_INT


@pytest.mark.parametrize(
    ("values", "dtype", "dense", "gaps"),
    [
        ([1.5, None, NAN, INF, -INF, 0.0], tf.float32, [1.5, NAN, NAN, NAN, NAN, 0.0], "011110"),
        ([1.5, 1e300, -1e300], tf.float64, [1.5, NAN, NAN], "011"),
        ([3, None, 0, -(2**63)], tf.int64, [3, pp.MISSING_INT, 0, pp.MISSING_INT], "0101"),
        ([3, None, -1], tf.int32, [3, pp.MISSING_INT, -1], "010"),
        ([True, None, False], tf.bool, [1, pp.MISSING_INT, 0], "010"),
        (["é", None, "", " "], tf.string, ["é".encode(), b"", b"", b" "], "0110"),
        ([None, None], tf.float32, [NAN, NAN], "11"),
        ([], tf.string, [], ""),
    ],
    ids=["float32", "float64", "int64", "int32", "bool", "string", "nothing", "no row"],
)
def test_missing_values_of_every_kind_get_one_form(
    values: list[Any], dtype: tf.DType, dense: list[Any], gaps: str, sparse: Sparse
) -> None:
    given = sparse(values, dtype)
    column = pp.densify(given)
    assert column.dtype in (tf.float32, tf.int64, tf.string)
    assert column.shape.as_list() == [len(values)]
    np.testing.assert_array_equal(column.numpy(), np.array(dense, column.dtype.as_numpy_dtype))
    for same in (given, column, column[:, tf.newaxis]):
        indicator = pp.missing_indicator(same)
        assert indicator.dtype == tf.float32
        assert indicator.numpy().tolist() == [float(gap) for gap in gaps]


def test_a_sparse_feature_without_a_column_has_no_value() -> None:
    empty = tf.SparseTensor(np.zeros((0, 2), "int64"), tf.constant([], tf.int64), [3, 0])
    assert pp.densify(empty).numpy().tolist() == [pp.MISSING_INT] * 3


def test_a_row_with_two_values_is_refused() -> None:
    two = tf.SparseTensor([[0, 0], [0, 1]], [1.0, 2.0], [1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="out of bounds"):
        pp.densify(two)


@pytest.mark.parametrize(
    "given", [tf.zeros([3, 2]), tf.zeros([]), [1.0], None], ids=["wide", "scalar", "list", "None"]
)
def test_what_is_no_column_is_refused(given: Any) -> None:
    with pytest.raises(UserModuleError, match=r"preprocessing\.densify cannot be applied"):
        pp.densify(given)


@pytest.mark.parametrize(
    "apply",
    [
        pp.z_score,
        pp.robust_scale,
        pp.clip_outliers,
        pp.signed_log1p,
        lambda x: pp.bucketize(x, 3),
        lambda x: pp.cyclic(x, 24),
        lambda x: pp.polynomial([x]),
        lambda x: pp.fill_missing(x, "mean"),
        lambda x: pp.date_parts(x),
    ],
)
def test_text_is_refused_where_a_number_is_needed(apply: Callable[[Any], Any]) -> None:
    with pytest.raises(UserModuleError) as caught:
        apply(tf.constant(["a"]))
    assert "string" in str(caught.value.received)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "apply",
    [
        pp.count_encode,
        pp.frequency_encode,
        pp.ordinal_encode,
        lambda x: pp.group_rare(x, 0.1),
        lambda x: pp.hash_encode(x, 3),
        lambda x: pp.cross([x, x], 3),
        lambda x: pp.fill_missing(x, "most_frequent"),
    ],
)
def test_a_float_is_refused_where_a_category_is_needed(apply: Callable[[Any], Any]) -> None:
    with pytest.raises(UserModuleError) as caught:
        apply(tf.constant([1.0]))
    assert "bucketize" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("apply", "received"),
    [
        (lambda x: pp.bucketize(x, 1), "num_buckets=1"),
        (lambda x: pp.bucketize(x, True), "num_buckets=True"),
        (lambda x: pp.hash_encode(x, 2.5), "num_buckets=2.5"),
        (lambda x: pp.count_encode(x, top_k=0), "top_k=0"),
        (lambda x: pp.group_rare(x, 0), "min_share=0"),
        (lambda x: pp.group_rare(x, 1.5), "min_share=1.5"),
        (lambda x: pp.cyclic(x, 0), "period=0"),
        (lambda x: pp.cyclic(x, float("nan")), "period=nan"),
        (lambda x: pp.clip_outliers(x, 0.9, 0.1), "lower=0.9, upper=0.1"),
        (lambda x: pp.clip_outliers(x, 0, 1), "lower=0, upper=1"),
        (lambda x: pp.clip_outliers(x, 0.0001, 0.9), "0.0001"),
        (lambda x: pp.polynomial([x], degree=0), "degree=0"),
        (lambda x: pp.polynomial([]), "0 features"),
        (lambda x: pp.polynomial(x), "Tensor"),
        (lambda x: pp.cross([x], 3), "1 features"),
        (lambda x: pp.date_parts(x, ["mont"]), "parts='mont'"),
        (lambda x: pp.fill_missing(x, "avarage"), "strategy='avarage'"),
        (lambda x: pp.fill_missing(x, "constant"), "constant=None"),
        (lambda x: pp.fill_missing(x, "mean", 3), "constant=3"),
        (lambda x: pp.fill_missing(x, "constant", 0.5), "constant=0.5 for a feature of int64"),
        (lambda x: pp.fill_missing(x, "constant", "none"), "constant='none'"),
        (lambda x: pp.split_words(x), "int64"),
        (lambda x: pp.parse_iso8601(x), "int64"),
        (lambda x: pp.bag_of_words(x, 3), "Tensor"),
        (lambda x: pp.tf_idf(tf.sparse.from_dense(x[:, tf.newaxis]), 3), "SparseTensor"),
    ],
)
def test_an_argument_that_cannot_be_is_named(apply: Callable[[Any], Any], received: str) -> None:
    with pytest.raises(UserModuleError) as caught:
        apply(tf.constant([1, 2], tf.int64))
    assert received in str(caught.value.received)
    assert caught.value.expected


def test_a_mistyped_word_gets_the_nearest_one() -> None:
    with pytest.raises(UserModuleError, match=r"did you mean 'month'\?"):
        pp.date_parts(tf.constant([0], tf.int64), ["mont"])


def test_a_transformed_feature_is_named_after_its_raw_feature() -> None:
    assert pp.transformed_name("fare") == "fare_xf"
