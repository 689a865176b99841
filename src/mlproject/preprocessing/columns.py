"""A raw feature as one dense column, in which a missing value has one form for each dtype.

Missing is: no value in a `SparseTensor`, NaN or an infinity, empty text, the least int64. These
are also the stand-ins that the signatures of a served model take, so a value which is missing in
training is missing in serving. A column holds them as NaN, "" and the least int64.
"""

from __future__ import annotations

from typing import TypeAlias, Union

import tensorflow as tf

from mlproject.preprocessing.arguments import refuse

Feature: TypeAlias = Union[tf.Tensor, tf.SparseTensor]  # noqa: UP007 - TensorFlow's metaclasses

MISSING_INT = -(2**63)  # mlproject.saved_model.MISSING_INT
_NAN = float("nan")


def densify(x: Feature) -> tf.Tensor:
    """One dense value for each row, where missing values have the form of their dtype.

    Formula: the row's value; NaN, "" or -9223372036854775808 where it is missing.

    Args:
        x: `[batch]` or `[batch, 1]` dense, or `[batch, <=1]` sparse; a number, bool or string.

    Returns:
        `[batch]` float32 (from floats), int64 (from integers and bool) or string.

    Raises:
        UserModuleError: `x` has more than one column, or is no such tensor. A sparse row with two
            values is an error while the rows pass.
    """
    if isinstance(x, tf.SparseTensor):
        values = _canonical(x.values)
        rows = tf.SparseTensor(x.indices, values, [x.dense_shape[0], 1])
        return tf.reshape(tf.sparse.to_dense(rows, _stand_in(values.dtype)), [-1])
    if not isinstance(x, tf.Tensor) or x.shape.rank not in (1, 2) or x.shape[1:] not in ([], [1]):
        raise refuse(
            "densify",
            received=f"{type(x).__name__} of shape {getattr(x, 'shape', 'unknown')}",
            expected="[batch], [batch, 1] or a SparseTensor [batch, <=1]",
            next_step="give one feature with one value a row; for lists of words see split_words",
        )
    return _canonical(tf.reshape(x, [-1]))


def present(x: Feature) -> tf.Tensor:
    """Which rows have a value.

    Args:
        x: As `densify` takes it.

    Returns:
        `[batch]` bool.
    """
    column = densify(x)
    if column.dtype.is_floating:
        return tf.math.is_finite(column)
    return tf.not_equal(column, _stand_in(column.dtype))


def missing_indicator(x: Feature) -> tf.Tensor:
    """Says which rows have no value.

    Formula: 1 where the value is missing, else 0.

    Args:
        x: As `densify` takes it.

    Returns:
        `[batch]` float32.
    """
    return tf.cast(tf.logical_not(present(x)), tf.float32)


def numbers(x: Feature, helper: str) -> tf.Tensor:
    """A numeric feature in the precision that the analyzers compute in.

    Args:
        x: As `densify` takes it.
        helper: The helper that asks, for the message.

    Returns:
        `[batch]` float64, NaN where missing.

    Raises:
        UserModuleError: `x` is text.
    """
    column = densify(x)
    if column.dtype == tf.string:
        raise refuse(
            helper,
            received="a string feature",
            expected="a float or int64 feature",
            next_step="encode text first, for instance with frequency_encode or ordinal_encode",
        )
    return tf.where(present(column), tf.cast(column, tf.float64), tf.constant(_NAN, tf.float64))


def categories(x: Feature, helper: str) -> tf.Tensor:
    """A categorical feature as text.

    Args:
        x: As `densify` takes it.
        helper: The helper that asks, for the message.

    Returns:
        `[batch]` string: integers in decimal; "" where missing.

    Raises:
        UserModuleError: `x` is a float.
    """
    column = densify(x)
    if column.dtype.is_floating:
        raise refuse(
            helper,
            received="a float feature",
            expected="a string or int64 feature",
            next_step="cut it into buckets first, with bucketize",
        )
    if column.dtype == tf.string:
        return column
    return tf.where(present(column), tf.strings.as_string(column), "")


def _canonical(values: tf.Tensor) -> tf.Tensor:
    """The values in one of three dtypes, infinities as NaN."""
    if values.dtype == tf.string:
        return values
    if values.dtype.is_floating:
        # After the cast: what float32 cannot hold is an infinity, and so is missing.
        values = tf.cast(values, tf.float32)
        return tf.where(tf.math.is_finite(values), values, tf.constant(_NAN, tf.float32))
    return tf.cast(values, tf.int64)


def _stand_in(dtype: tf.DType) -> tf.Tensor:
    """What stands for a missing value in a column of float32, int64 or string."""
    if dtype == tf.string:
        return tf.constant("")
    return tf.constant(_NAN if dtype.is_floating else MISSING_INT, dtype)
