"""Rules by value and by time: a row's split is a function of the row alone."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError
from mlproject.examples.split_rules import ByHash, ByTime, ByValue, SplitRule, check_columns
from mlproject.examples.splits import hash_rows


def assign(rule: SplitRule, **columns: pa.Array) -> list[str]:
    batch = pa.RecordBatch.from_pydict(columns)
    return [rule.names[i] for i in rule.assign(batch, hash_rows(batch))]


CITIES = ByValue("city", (("eval", ("Oslo", "Bern")), ("test", ("Rome",))), rest="train")


def test_rows_go_where_their_value_is_named_and_others_to_the_rest() -> None:
    cells = pa.array(["Rome", "Bern", "Paris", None, "Oslo", "oslo"])
    wanted = ["test", "eval", "train", "train", "eval", "train"]
    assert assign(CITIES, city=cells) == wanted
    assert CITIES.names == ("eval", "test", "train")


@pytest.mark.parametrize(
    "cells", [pa.array([2016, 2017], pa.int64()), pa.array([2016.0, 2017.0])], ids=["int", "float"]
)
def test_numbers_are_matched_by_value(cells: pa.Array) -> None:
    rule = ByValue("year", (("train", ("2016",)), ("eval", ("2017",))))
    assert assign(rule, year=cells) == ["train", "eval"]


@pytest.mark.parametrize(("cell", "shown"), [("Lima", "'Lima'"), (None, "a missing value")])
def test_a_value_that_belongs_to_no_split_is_an_error_without_a_rest(
    cell: str | None, shown: str
) -> None:
    rule = ByValue("city", (("train", ("Oslo",)), ("eval", ("Rome",))))
    with pytest.raises(DataError, match="belongs to no split") as caught:
        assign(rule, city=pa.array(["Oslo", cell]))
    assert shown in str(caught.value)


DAY = 86_400.0
BY_DAY = ByTime("at", (("train", 2 * DAY), ("eval", 3 * DAY), ("test", None)))


def test_a_split_ends_just_before_its_bound() -> None:
    times = pa.array([-5, 0, 2 * 86_400 - 1, 2 * 86_400, 3 * 86_400, 10**12])
    assert assign(BY_DAY, at=times) == ["train", "train", "train", "eval", "test", "test"]


def test_texts_are_read_as_utc_unless_they_name_a_zone() -> None:
    texts = pa.array(["1970-01-02T23:59:59", "1970-01-03", "1970-01-03T00:30+01:00", "1971-05-05"])
    assert assign(BY_DAY, at=texts) == ["train", "eval", "train", "test"]


@pytest.mark.parametrize("cells", [pa.array(["1970-01-01", "soon"]), pa.array([1.0, None])])
def test_a_row_without_a_time_is_an_error(cells: pa.Array) -> None:
    with pytest.raises(DataError, match="no time in column 'at'"):
        assign(BY_DAY, at=cells)


@given(
    seconds=st.lists(st.integers(-(10**9), 4 * 10**9), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_time_splits_agree_for_numbers_and_texts_in_any_batch(seconds: list[int], cut: int) -> None:
    epoch = datetime.datetime(1970, 1, 1)
    texts = [(epoch + datetime.timedelta(seconds=s)).isoformat() for s in seconds]
    whole = assign(BY_DAY, at=pa.array(seconds))
    assert assign(BY_DAY, at=pa.array(texts)) == whole
    parts = [part for part in (seconds[:cut], seconds[cut:]) if part]
    assert [s for part in parts for s in assign(BY_DAY, at=pa.array(part))] == whole
    bounds = [s >= 2 * DAY and s < 3 * DAY for s in seconds]
    np.testing.assert_array_equal(np.array(whole) == "eval", bounds)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (ByHash((("train", 1.0),), ("citi",)), "did you mean 'city'"),
        (ByValue("vec", (("train", ("1",)),)), "type int list"),
        (ByTime("pic", (("train", None),)), "type bytes"),
    ],
)
def test_a_rule_that_cannot_look_at_its_column_is_refused(rule: SplitRule, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_columns(rule, {"city": "string", "vec": "int list", "pic": "bytes"})
    assert said in str(caught.value)
