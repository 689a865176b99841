"""Products as scikit-learn orders them, crosses as FarmHash hashes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import comb

import farmhash
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from sklearn.preprocessing import PolynomialFeatures

from mlproject import preprocessing as pp

Sparse = Callable[..., tf.SparseTensor]


def bucket(text: str, buckets: int) -> int:
    """The bucket of a text, by Google's own FarmHash."""
    return 1 + farmhash.fingerprint64(text) % (buckets - 1)


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_products_are_those_of_scikit_learn_in_its_order(degree: int) -> None:
    rows = np.random.default_rng(5).normal(size=(20, 3)).astype("float32")
    got = pp.polynomial([tf.constant(rows[:, i]) for i in range(3)], degree)
    assert got.dtype == tf.float32
    assert got.shape.as_list() == [20, comb(3 + degree, degree) - 1]
    expected = PolynomialFeatures(degree, include_bias=False).fit_transform(rows.astype("float64"))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_without_interactions_there_are_powers_only() -> None:
    got = pp.polynomial([tf.constant([2, 3], tf.int64), tf.constant([5.0, 7.0])], 3, False)
    assert got.numpy().tolist() == [[2, 5, 4, 25, 8, 125], [3, 7, 9, 49, 27, 343]]


def test_a_product_with_a_missing_value_is_missing(sparse: Sparse) -> None:
    got = pp.polynomial([sparse([2.0, None], tf.float32), tf.constant([3.0, 4.0])]).numpy()
    assert got[0].tolist() == [2, 3, 4, 6, 9]
    assert np.isnan(got[1]).tolist() == [True, False, True, True, False]


def test_a_cross_is_the_hash_of_its_parts(sparse: Sparse) -> None:
    city = sparse(["Oslo", "Bonn", None, "Oslo", "", "é"], tf.string)
    hour = sparse([7, -3, 7, None, 8, 0], tf.int64)
    got = pp.cross([city, hour, city], 1_000)
    assert got.dtype == tf.int64
    parts = [("Oslo", "7"), ("Bonn", "-3"), None, None, None, ("é", "0")]
    expected = [bucket("\x1f".join((*p, p[0])), 1_000) if p else 0 for p in parts]
    assert got.numpy().tolist() == expected
    assert len(set(expected)) == 4


def test_numbers_are_crossed_by_their_buckets(
    outputs: Mapping[str, np.ndarray], columns: Mapping[str, pa.Array]
) -> None:
    values = columns["rate"].to_numpy().astype("float32")
    there = np.sort(values[np.isfinite(values)])
    boundaries = [there[len(there) // 3], there[len(there) * 2 // 3]]
    rates = np.where(np.isfinite(values), np.searchsorted(boundaries, values, side="right"), 3)
    cities = columns["city"].to_pylist()
    expected = [bucket(f"{r}\x1f{c}", 50) if c else 0 for r, c in zip(rates, cities, strict=True)]
    assert outputs["pair"].tolist() == expected


def test_categories_are_hashed_the_same_everywhere(sparse: Sparse) -> None:
    names = ["Oslo", "New York", None, "", "x\ny", "é"]
    got = pp.hash_encode(sparse(names, tf.string), 30)
    assert got.dtype == tf.int64
    assert got.numpy().tolist() == [bucket(n, 30) if n else 0 for n in names]
    numbers = pp.hash_encode(sparse([12, None, -5], tf.int64), 30)
    assert numbers.numpy().tolist() == [bucket("12", 30), 0, bucket("-5", 30)]


def test_two_buckets_tell_missing_from_present(sparse: Sparse) -> None:
    assert pp.hash_encode(sparse(["a", None, "b"], tf.string), 2).numpy().tolist() == [1, 0, 1]
