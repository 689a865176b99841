"""Numbers: scaled by what NumPy says of the finite values, whatever else stands among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from mlproject import preprocessing as pp


class Column:
    """A column by NumPy: float64, NaN where there is no finite float32."""

    def __init__(self, column: pa.Array) -> None:
        with np.errstate(over="ignore"):
            values = np.array(column.to_pylist(), "float64").astype("float32")
        self.values = np.where(np.isfinite(values), values, np.nan).astype("float64")
        self.gap = np.isnan(self.values)
        self.there = self.values[~self.gap]
        self.sorted = np.sort(self.there)

    def quantile(self, share: float) -> float:
        return self.sorted[math.floor(round(share * len(self.sorted), 9))]


@pytest.mark.parametrize("name", ["amount", "area"])
def test_outliers_are_moved_onto_the_quantiles(
    name: str, outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    column = Column(columns[name])
    low, high = column.quantile(0.05), column.quantile(0.975)
    got = outputs[f"{name}_clip"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.clip(column.values, low, high), rtol=1e-6)
    assert np.isnan(got).any()
    assert (column.there > high).any()


def test_one_end_can_stay_open(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    column = Column(columns["amount"])
    high, low = column.quantile(0.9), column.quantile(0.1)
    np.testing.assert_allclose(outputs["amount_high"], np.minimum(column.values, high), rtol=1e-6)
    np.testing.assert_allclose(outputs["amount_low"], np.maximum(column.values, low), rtol=1e-6)


@pytest.mark.parametrize("name", ["amount", "rate"])
def test_z_scores_leave_missing_values_out_and_put_them_on_the_mean(
    name: str, outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    column = Column(columns[name])
    scores = (column.values - column.there.mean()) / column.there.std()
    got = outputs[f"{name}_z"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.where(column.gap, 0, scores), rtol=1e-4, atol=1e-6)


def test_robust_scores_come_from_the_quartiles(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    column = Column(columns["amount"])
    low, middle, high = (column.quantile(share) for share in (0.25, 0.5, 0.75))
    scores = (column.values - middle) / (high - low)
    got = outputs["amount_robust"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.where(column.gap, 0, scores), rtol=1e-4, atol=1e-6)


def test_buckets_are_cut_at_the_quantiles_and_missing_has_its_own(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    column = Column(columns["amount"])
    boundaries = [column.quantile(i / 7) for i in range(1, 7)]
    buckets = np.searchsorted(boundaries, column.values, side="right")
    got = outputs["amount_bucket"]
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, np.where(column.gap, 7, buckets))


def test_a_constant_is_on_its_own_median_and_in_the_last_bucket(
    outputs: Mapping[str, np.ndarray],
) -> None:
    for name, value in (("robust", 0.0), ("bucket", 6)):
        assert set(outputs[f"constant_{name}"].tolist()) == {value}, name


def test_a_column_without_any_value_stays_without(outputs: Mapping[str, np.ndarray]) -> None:
    for name, value in (("z", 0.0), ("robust", 0.0), ("bucket", 7)):
        assert set(outputs[f"no_number_{name}"].tolist()) == {value}, name
    assert np.isnan(outputs["no_number_clip"]).all()


def test_the_logarithm_keeps_the_sign_and_the_gap(
    sparse: Callable[..., tf.SparseTensor],
) -> None:
    values = [0.0, 3.0, -3.0, None, 3e38, float("-inf")]
    got = pp.signed_log1p(sparse(values, tf.float32))
    assert got.dtype == tf.float32
    expected = [0, math.log1p(3), -math.log1p(3), math.nan, math.log1p(3e38), math.nan]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_cycle_closes_and_missing_is_its_centre(
    sparse: Callable[..., tf.SparseTensor],
) -> None:
    got = pp.cyclic(sparse([0, 6, 24, -6, None, 24 * 10**9 + 3], tf.int64), 24)
    assert got.dtype == tf.float32
    half = math.sqrt(0.5)
    expected = [[0, 1], [1, 0], [0, 1], [-1, 0], [0, 0], [half, half]]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_share_of_many_rows_is_within_the_error_of_the_sketch() -> None:
    """The shares that are documented, asked of tf.Transform's sketch over a million rows."""
    from tfx_bsl.sketches import QuantilesSketch

    from mlproject.preprocessing.quantiles import RANK_ERROR

    rows = np.random.default_rng(3).permutation(1_000_000).astype("float64")
    sketch = QuantilesSketch(RANK_ERROR, 1 << 32, 1)
    for part in np.split(rows, 10):
        sketch.AddValues(pa.array(part))
    got = np.array(sketch.GetQuantiles(1_000).to_pylist()[0])
    assert np.abs(got - np.arange(1_001) * 1_000).max() <= RANK_ERROR * len(rows)
