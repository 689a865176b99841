"""Dates written as ISO 8601 text, read in the graph."""

from __future__ import annotations

import tensorflow as tf

from mlproject.preprocessing.arguments import refuse
from mlproject.preprocessing.columns import MISSING_INT, Feature, densify
from mlproject.preprocessing.dates import DAY_S, day_number

_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?"
_ZONE = r"[Zz]|[+-]\d{2}(:?\d{2})?"
_PATTERN = f"{_DATE}({_TIME}({_ZONE})?)?"
_DATE_LENGTH, _SECOND_COLON = 10, 16
_MIDNIGHT = "T00:00:00"


def parse_iso8601(text: Feature) -> tf.Tensor:
    """Reads dates and times in ISO 8601's extended form.

    Formula: seconds from 1970-01-01T00:00:00 UTC to `YYYY-MM-DD`, `YYYY-MM-DDThh:mm` or
    `YYYY-MM-DDThh:mm:ss[.f]`, the latter two with or without a zone `Z`, `+hh`, `+hhmm` or
    `+hh:mm`. Space may stand for the `T`, and spaces around do not count. Fractions of a second
    are cut off; without a zone it is UTC; without a time it is midnight.

    Args:
        text: A string feature, as `densify` takes it.

    Returns:
        `[batch]` int64 seconds; -9223372036854775808 (missing) for missing text, for text of
        another form, and for what no calendar or clock shows, such as 2023-02-29 or 24:00.

    Raises:
        UserModuleError: `text` is no text.
    """
    column = densify(text)
    if column.dtype != tf.string:
        raise refuse(
            "parse_iso8601",
            received=f"a feature of {column.dtype.name}",
            expected="a string feature",
            next_step="give int64 seconds to date_parts as they are",
        )
    stripped = tf.strings.strip(column)
    formed = tf.strings.regex_full_match(stripped, _PATTERN)
    whole = tf.where(formed, stripped, "1970-01-01")
    day, real_day = _read_date(whole)
    second, real_time = _read_time(whole)
    offset, real_zone = _read_zone(whole)
    good = formed & real_day & real_time & real_zone
    seconds = day * DAY_S + second - offset
    return tf.where(good, seconds, tf.constant(MISSING_INT, tf.int64))


def _read_date(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The day since 1970, and whether there is such a day."""
    year, month, day = _number(text, 0, 4), _number(text, 5, 2), _number(text, 8, 2)
    one = tf.ones_like(year)
    first = day_number(year, month, one)
    next_first = day_number(year + month // 12, month % 12 + 1, one)
    real = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= next_first - first)
    return first + day - 1, real


def _read_time(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The second of the day, and whether a clock shows it."""
    padded = tf.strings.join([text, _MIDNIGHT])  # after a date alone, its time
    hour, minute = _number(padded, 11, 2), _number(padded, 14, 2)
    has_second = tf.equal(tf.strings.substr(padded, _SECOND_COLON, 1), ":")
    digits = tf.where(has_second, tf.strings.substr(padded, _SECOND_COLON + 1, 2), "00")
    second = tf.strings.to_number(digits, tf.int64)
    return hour * 3_600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 60)


def _read_zone(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Seconds ahead of UTC, and whether a zone may be."""
    after_date = tf.strings.substr(text, _DATE_LENGTH, 1_000)
    zone = tf.strings.regex_replace(after_date, "^[^+-]*|:", "")  # "+0530", "-08" or ""
    padded = tf.strings.join([zone, "0000"])
    sign = tf.where(tf.equal(tf.strings.substr(padded, 0, 1), "-"), -1, 1)
    hour, minute = _number(padded, 1, 2), _number(padded, 3, 2)
    return tf.cast(sign, tf.int64) * (hour * 3_600 + minute * 60), (hour < 24) & (minute < 60)


def _number(text: tf.Tensor, start: int, length: int) -> tf.Tensor:
    return tf.strings.to_number(tf.strings.substr(text, start, length), tf.int64)
