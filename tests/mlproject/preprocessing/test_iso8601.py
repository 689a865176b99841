"""ISO 8601 text, against Python's own reader, and what is no date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlproject import preprocessing as pp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
MOMENTS = st.datetimes(timezones=st.none() | ZONES)
PRECISIONS = st.sampled_from(["minutes", "seconds", "microseconds"])
DATE = "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]"
TIME = "[T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9])?([+-][0-2][0-9]:[0-6][0-9])?"


def seconds_of(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(seconds=1)


def parse(texts: list[str | bytes]) -> list[int]:
    got = pp.parse_iso8601(tf.constant(texts, tf.string))
    assert got.dtype == tf.int64
    return list(got.numpy().tolist())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(MOMENTS, st.sampled_from(["seconds", "microseconds", "minutes"])), min_size=1
    )
)
def test_what_python_writes_is_read(written: list[tuple[datetime, str]]) -> None:
    texts = [moment.isoformat(timespec=precision) for moment, precision in written]
    # A fraction is cut off, and so is what the text leaves out.
    expected = [seconds_of(datetime.fromisoformat(text).replace(microsecond=0)) for text in texts]
    assert parse(texts) == expected


@settings(max_examples=100, deadline=None)
@given(
    st.from_regex(
        r"[0-2]\d{3}-[01]\d-[0-3]\d([T ][0-2]\d:[0-6]\d(:[0-6]\d)?([+-][0-2]\d:[0-6]\d)?)?",
        fullmatch=True,
    )
)
@example("2100-02-29")
@example("2000-02-29")
@example("0000-01-01")
def test_what_python_refuses_is_missing(text: str) -> None:
    try:
        expected = seconds_of(datetime.fromisoformat(text))
    except ValueError:
        expected = pp.MISSING_INT
    assert parse([text]) == [expected]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        (" 2024-02-29T12:30 \n", "2024-02-29T12:30:00+00:00"),
        ("2024-02-29 12:30:15Z", "2024-02-29T12:30:15+00:00"),
        ("2024-02-29t12:30:15z", "2024-02-29T12:30:15+00:00"),
        ("2024-02-29T12:30:15.999999999-08", "2024-02-29T12:30:15-08:00"),
        ("2024-02-29T12:30:15,5+0530", "2024-02-29T12:30:15+05:30"),
        ("1969-12-31T23:59:59-00:30", "1969-12-31T23:59:59-00:30"),
    ],
)
def test_other_spellings_of_a_time_are_read(text: str, same: str) -> None:
    assert parse([text]) == [seconds_of(datetime.fromisoformat(same))]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "yesterday",
            "2024",
            "2024-02",
            "20240229",
            "24-02-29",
            "2024-2-9",
            "2024/02/29",
        ),
        *("2023-02-29", "2024-00-10", "2024-13-01", "2024-04-31", "2024-01-00", "0000-01-01"),
        *("2024-01-01T24:00", "2024-01-01T12:60", "2024-01-01T23:59:60", "2024-01-01T12"),
        *("2024-01-01T12:00+24:00", "2024-01-01T12:00+05:60", "2024-01-01+05:00", "2024-01-01Z"),
        *("2024-01-01T12:00:00.", "2024-01-01T12:00:00+5", "-2024-01-01", "12024-01-01"),
        *("２０２４-01-01", "2024-01-01T12:00:00ZZ", "2024-01-01; DROP TABLE", "2024-01-01\x00"),
        b"2024-01-01\xff",
        "9" * 100_000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_is_no_date_is_missing(text: str | bytes) -> None:
    assert parse([text, "1970-01-02"]) == [pp.MISSING_INT, 86_400]


def test_missing_text_is_a_missing_time(sparse: Callable[..., tf.SparseTensor]) -> None:
    times = pp.parse_iso8601(sparse([None, "1970-01-01T00:01"], tf.string))
    assert times.numpy().tolist() == [pp.MISSING_INT, 60]
    assert pp.date_parts(times)["minute"].numpy().tolist() == [pp.MISSING_INT, 1]
