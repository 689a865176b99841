"""A row's split is a function of its content: held by properties, not by examples."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError
from mlproject.examples.splits import assign_splits, hash_rows

SHARES = {"train": 2, "eval": 1}
NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.one_of(st.none(), st.floats())
TEXTS = st.one_of(st.none(), st.text(max_size=6))
BYTES = st.one_of(st.none(), st.binary(max_size=4))
LISTS = st.one_of(st.none(), st.lists(st.integers(-3, 3), max_size=4))
ROWS = st.lists(st.tuples(NUMBERS, FLOATS, TEXTS, BYTES, LISTS), min_size=1, max_size=40)
PINNED = [15119495235449734883, 7347508855689644379, 8748966889817335265]
TYPES = {
    "n": pa.int64(),
    "f": pa.float64(),
    "s": pa.string(),
    "b": pa.binary(),
    "l": pa.list_(pa.int64()),
}


def batch_of(rows: list[tuple[object, ...]], names: str = "nfsbl") -> pa.RecordBatch:
    columns = dict(zip("nfsbl", zip(*rows, strict=True), strict=True))
    arrays = [pa.array(columns[name], TYPES[name]) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


@given(rows=ROWS, data=st.data())
def test_a_row_keeps_its_split_in_any_order_batch_and_column_order(
    rows: list[tuple[object, ...]], data: st.DataObject
) -> None:
    splits = assign_splits(batch_of(rows), SHARES)
    order = data.draw(st.permutations(range(len(rows))))
    cut = data.draw(st.integers(0, len(rows)))
    names = "".join(data.draw(st.permutations("nfsbl")))
    shuffled = batch_of([rows[i] for i in order], names)
    parts = [shuffled.slice(0, cut), shuffled.slice(cut)]
    again = np.concatenate([assign_splits(part, SHARES) for part in parts])
    np.testing.assert_array_equal(again, splits[order])


@given(rows=ROWS, key=st.sampled_from([("s",), ("n",), ("b", "l"), ("s", "b")]))
def test_no_key_stands_in_two_splits(rows: list[tuple[object, ...]], key: tuple[str, ...]) -> None:
    splits = assign_splits(batch_of(rows + rows), SHARES, key)
    split_of: dict[object, int] = {}
    for row, split in zip(rows + rows, splits, strict=True):
        cells = dict(zip("nfsbl", row, strict=True))
        value = tuple(sorted((name, repr(cells[name])) for name in key))
        assert split_of.setdefault(value, split) == split


def test_the_order_of_the_key_does_not_count() -> None:
    batch = batch_of([(i, i / 7, f"w{i}", b"", [i]) for i in range(500)])
    one = assign_splits(batch, SHARES, ("s", "n"))
    np.testing.assert_array_equal(one, assign_splits(batch, SHARES, ("n", "s")))


@given(values=st.lists(st.integers(-(2**24), 2**24), min_size=1))
def test_integers_hash_like_the_floats_they_equal(values: list[int]) -> None:
    ints = pa.RecordBatch.from_pydict({"x": pa.array(values, pa.int64())})
    floats = pa.RecordBatch.from_pydict({"x": pa.array([float(v) for v in values])})
    np.testing.assert_array_equal(hash_rows(ints), hash_rows(floats))


def hashes_of(values: list[object], type_: pa.DataType, name: str = "x") -> list[int]:
    return hash_rows(pa.RecordBatch.from_pydict({name: pa.array(values, type_)})).tolist()


def test_minus_zero_is_zero_and_nan_is_null() -> None:
    minus, zero, nan, null = hashes_of([-0.0, 0.0, float("nan"), None], pa.float64())
    assert minus == zero
    assert nan == null
    assert null != zero


def test_null_zero_and_the_empty_string_differ() -> None:
    assert len(set(hashes_of([None, 0, 1], pa.int64()))) == 3
    assert len(set(hashes_of([None, "", "null", "0"], pa.string()))) == 4


def test_neighbouring_big_integers_differ() -> None:
    assert len(set(hashes_of([2**60 + i for i in range(100)], pa.int64()))) == 100


def test_a_value_in_another_column_hashes_differently() -> None:
    assert hashes_of(["a"], pa.string(), "x") != hashes_of(["a"], pa.string(), "y")
    swapped = [
        pa.RecordBatch.from_pydict({"a": pa.array(one), "b": pa.array(two)})
        for one, two in (([1], [2]), ([2], [1]))
    ]
    assert hash_rows(swapped[0]) != hash_rows(swapped[1])


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_texts_hash_alike_in_every_arrow_layout(type_: pa.DataType) -> None:
    assert hashes_of(["a", None, "b"], type_) == hashes_of(["a", None, "b"], pa.string())


def test_hashes_are_those_of_the_first_version() -> None:
    """Rows must not move between splits from one release to the next."""
    rows = [(1, 0.5, "a", b"\xff", [1, 2]), (None,) * 5, (2**60, float("nan"), "é", b"", [])]
    batch = batch_of(rows)
    assert hash_rows(batch).tolist() == PINNED


@pytest.mark.parametrize("shares", [{"train": 2, "eval": 1}, {"a": 0.7, "b": 0.2, "c": 0.1}])
@pytest.mark.parametrize("column", ["counter", "float", "text"])
def test_shares_are_met(shares: dict[str, float], column: str) -> None:
    n = 100_000
    arrays = {
        "counter": pa.array(range(n)),
        "float": pa.array(np.arange(n) / 100),
        "text": pa.array([f"ride {i}" for i in range(n)]),
    }
    splits = assign_splits(pa.RecordBatch.from_pydict({column: arrays[column]}), shares)
    counts = np.bincount(splits, minlength=len(shares))
    expected = np.array(list(shares.values())) / sum(shares.values()) * n
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 20  # p < 1e-4 for two degrees of freedom


@settings(max_examples=30)
@given(scale=st.floats(1e-3, 1e6))
def test_shares_are_relative(scale: float) -> None:
    batch = pa.RecordBatch.from_pydict({"x": pa.array(range(1000))})
    one = assign_splits(batch, {"train": 1, "eval": 1})
    np.testing.assert_array_equal(one, assign_splits(batch, {"train": scale, "eval": scale}))


@pytest.mark.parametrize("shares", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("inf")}])
def test_bad_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares"):
        assign_splits(pa.RecordBatch.from_pydict({"x": pa.array([1])}), shares)


def test_an_unknown_key_and_an_unhashable_column_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'client'"):
        assign_splits(pa.RecordBatch.from_pydict({"client": pa.array([1])}), SHARES, ("cleint",))
    with pytest.raises(DataError, match="'x'"):
        assign_splits(pa.RecordBatch.from_pydict({"x": pa.array([{"a": 1}])}), SHARES)


@given(values=st.lists(FLOATS, min_size=1))
def test_a_float_hashes_like_the_float32_that_later_steps_see(values: list[float | None]) -> None:
    with np.errstate(over="ignore"):
        rounded = [None if v is None else float(np.float32(v)) for v in values]
    assert hashes_of(list(values), pa.float64()) == hashes_of(list(rounded), pa.float64())


def test_lists_hash_by_values_and_places() -> None:
    lists = [[1, 2], [2, 1], [1], [1, 1], [], None, [12], [0, 1, 2], [1, 2, 0]]
    hashes = hashes_of(lists, pa.list_(pa.int64()))
    assert hashes[4] == hashes[5]
    assert len(set(hashes)) == len(lists) - 1
    sliced = pa.RecordBatch.from_pydict({"x": pa.array(lists, pa.list_(pa.int64()))}).slice(3)
    assert hash_rows(sliced).tolist() == hashes[3:]


def test_bytes_hash_like_the_text_they_encode() -> None:
    assert hashes_of([b"a", "é".encode()], pa.binary()) == hashes_of(["a", "é"], pa.string())
