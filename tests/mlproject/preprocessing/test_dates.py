"""Parts of a date, against Python's own calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject import preprocessing as pp
from mlproject.errors import UserModuleError

EPOCH = datetime(1970, 1, 1)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59))


def seconds_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)


def parts_of(moment: datetime) -> dict[str, int]:
    return {
        "year": moment.year,
        "month": moment.month,
        "day_of_month": moment.day,
        "day_of_week": moment.weekday(),
        "day_of_year": moment.timetuple().tm_yday,
        "hour": moment.hour,
        "minute": moment.minute,
        "is_weekend": int(moment.weekday() >= 5),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(TIMES, min_size=1, max_size=50))
def test_parts_are_those_of_pythons_calendar(moments: list[datetime]) -> None:
    got = pp.date_parts(tf.constant([seconds_of(m) for m in moments], tf.int64))
    assert tuple(got) == pp.DATE_PARTS
    for name in pp.DATE_PARTS:
        assert got[name].dtype == tf.int64
        assert got[name].numpy().tolist() == [parts_of(m)[name] for m in moments], name


def test_every_day_of_four_centuries_is_right() -> None:
    days = [datetime(1799, 12, 31, 23, 59, 59) + timedelta(days=d) for d in range(146_097)]
    got = pp.date_parts(tf.constant([seconds_of(day) for day in days], tf.int64))
    expected = [(d.year, d.month, d.day, d.weekday(), d.timetuple().tm_yday) for d in days]
    names = ("year", "month", "day_of_month", "day_of_week", "day_of_year")
    np.testing.assert_array_equal(np.stack([got[name] for name in names], axis=1), expected)
    assert set(got["hour"].numpy()) == {23}


def test_times_before_year_1_and_far_ahead_stay_in_their_ranges() -> None:
    got = pp.date_parts(tf.constant([-(2**62), 2**62, -(2**63) + 1, 2**63 - 1], tf.int64))
    assert got["year"].numpy().tolist()[:2] == [-146_138_510_344, 146_138_514_283]
    ranges = {"month": (1, 12), "day_of_month": (1, 31), "day_of_week": (0, 6), "hour": (0, 23)}
    for name, (low, high) in ranges.items():
        assert (got[name].numpy() >= low).all(), name
        assert (got[name].numpy() <= high).all(), name


def test_a_clock_ahead_of_utc_is_read() -> None:
    moment = datetime(2024, 2, 29, 22, 30)
    got = pp.date_parts(
        tf.constant([seconds_of(moment)], tf.int64), ["hour", "day_of_month"], 2 * 3_600
    )
    assert {name: part.numpy().tolist() for name, part in got.items()} == {
        "hour": [0],
        "day_of_month": [1],
    }


def test_a_missing_time_has_missing_parts(sparse: Callable[..., tf.SparseTensor]) -> None:
    given_times = sparse([0, None, -1], tf.int64)
    got = pp.date_parts(given_times, "year", utc_offset_s=-3_600)
    assert got["year"].numpy().tolist() == [1969, pp.MISSING_INT, 1969]
    hours = pp.cyclic(pp.date_parts(given_times)["hour"], 24)
    np.testing.assert_allclose(
        hours,
        [[0, 1], [0, 0], [np.sin(23 / 24 * 2 * np.pi), np.cos(23 / 24 * 2 * np.pi)]],
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.string])
def test_seconds_that_are_no_whole_numbers_are_refused(dtype: tf.DType) -> None:
    with pytest.raises(UserModuleError, match=f"a feature of {dtype.name}"):
        pp.date_parts(tf.zeros([1], dtype) if dtype.is_floating else tf.constant(["2024"]))
