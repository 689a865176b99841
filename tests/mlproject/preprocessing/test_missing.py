"""Filling: with a constant, and with the statistics of the values that are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from mlproject import preprocessing as pp


def finite(column: pa.Array) -> np.ndarray:
    """The values as float32 holds them, NaN for each that is missing."""
    with np.errstate(over="ignore"):
        values = np.array(column.to_pylist(), "float64").astype("float32")
    return np.where(np.isfinite(values), values, np.nan).astype("float64")


@pytest.mark.parametrize("name", ["amount", "area"])
def test_numbers_are_filled_with_the_mean_and_the_median_of_the_finite_ones(
    name: str, outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    values = finite(columns[name])
    there = np.sort(values[~np.isnan(values)])
    gap = np.isnan(values)
    for statistic, fill in (("mean", there.mean()), ("median", there[len(there) // 2])):
        filled = outputs[f"{name}_{statistic}"]
        assert filled.dtype == np.float32
        np.testing.assert_allclose(filled, np.where(gap, fill, values), rtol=1e-6)
    assert outputs[f"{name}_gap"].dtype == np.float32
    np.testing.assert_array_equal(outputs[f"{name}_gap"], gap)
    assert gap.any()


@pytest.mark.parametrize("name", ["city", "area"])
def test_categories_are_filled_with_the_most_frequent_one(
    name: str, outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    values = columns[name].to_pylist()
    ((mode, _),) = Counter(v for v in values if v not in (None, "")).most_common(1)
    expected = [mode if v in (None, "") else v for v in values]
    got = outputs[f"{name}_mode"]
    assert [v.decode() if name == "city" else v for v in got] == expected
    assert got.dtype == (object if name == "city" else np.int64)


@pytest.mark.parametrize(
    ("output", "fill"),
    [
        ("no_number_mean", 0.0),
        ("no_number_median", 0.0),
        ("no_whole_mode", 0),
    ],
)
def test_a_column_without_any_value_is_filled_with_nothing(
    output: str, fill: Any, outputs: Mapping[str, np.ndarray]
) -> None:
    assert set(outputs[output].tolist()) == {fill}


@pytest.mark.parametrize(
    ("values", "dtype", "constant", "filled"),
    [
        ([1.5, None, float("inf")], tf.float32, -1, [1.5, -1.0, -1.0]),
        ([4, None], tf.int64, 7, [4, 7]),
        (["a", None, ""], tf.string, "none", [b"a", b"none", b"none"]),
    ],
)
def test_a_constant_keeps_the_kind_of_the_feature(
    values: list[Any],
    dtype: tf.DType,
    constant: Any,
    filled: list[Any],
    sparse: Callable[..., tf.SparseTensor],
) -> None:
    given = sparse(values, dtype)
    column, gap = pp.impute(given, "constant", constant)
    assert column.dtype == dtype
    assert column.numpy().tolist() == filled
    assert gap.numpy().tolist() == [float(v in (None, "", float("inf"))) for v in values]
