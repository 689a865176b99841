"""Parts of a date, from seconds since 1970, by whole-number arithmetic in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from mlproject.preprocessing.arguments import check_choice, refuse
from mlproject.preprocessing.columns import MISSING_INT, Feature, densify

DAY_S = 86_400
_HOUR_S, _MINUTE_S = 3_600, 60
# Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (days_from_civil, civil_from_days):
# years begin in March, so that the leap day is the last one, and 400 years are one era.
_ERA_DAYS, _ERA_YEARS = 146_097, 400
_FROM_MARCH_YEAR_0 = 719_468  # days from 0000-03-01 to 1970-01-01
_JANUARY_1 = 306  # its day in a year that begins in March


class _Moment(NamedTuple):
    """A time taken apart; each `[batch]` int64."""

    day: tf.Tensor  # since 1970-01-01
    second_of_day: tf.Tensor
    march_year: tf.Tensor
    march_day: tf.Tensor  # 0 on 1 March
    march_month: tf.Tensor  # 0 for March


_PARTS: Mapping[str, Callable[[_Moment], tf.Tensor]] = {
    "year": lambda m: m.march_year + tf.cast(m.march_day >= _JANUARY_1, tf.int64),
    "month": lambda m: tf.where(m.march_month < 10, m.march_month + 3, m.march_month - 9),
    "day_of_month": lambda m: m.march_day - (153 * m.march_month + 2) // 5 + 1,
    "day_of_week": lambda m: _day_of_week(m.day),
    "day_of_year": lambda m: _day_of_year(m),
    "hour": lambda m: m.second_of_day // _HOUR_S,
    "minute": lambda m: m.second_of_day // _MINUTE_S % 60,
    "is_weekend": lambda m: tf.cast(_day_of_week(m.day) >= 5, tf.int64),
}
DATE_PARTS = tuple(_PARTS)


def date_parts(
    seconds: Feature, parts: Sequence[str] = DATE_PARTS, utc_offset_s: int = 0
) -> dict[str, tf.Tensor]:
    """Takes a time apart by the Gregorian calendar, before 1970 and before 1582 too.

    Formula: those of the civil calendar in whole numbers: `year`, `month` 1-12, `day_of_month`
    1-31, `day_of_week` 0 (Monday) to 6, `day_of_year` 1-366, `hour` 0-23, `minute` 0-59,
    `is_weekend` 0 or 1 (Saturday and Sunday).

    Args:
        seconds: An int64 feature, as `densify` takes it: seconds since 1970-01-01T00:00:00 UTC,
            without leap seconds.
        parts: The parts wanted; all when not given.
        utc_offset_s: Seconds that the clock to be read is ahead of UTC, the same all year.

    Returns:
        Part -> `[batch]` int64; a missing time stays -9223372036854775808 in each of them.

    Raises:
        UserModuleError: A part is unknown, or `seconds` is not of whole numbers.
    """
    if isinstance(parts, str):
        parts = (parts,)
    for part in parts:
        check_choice("date_parts", "parts", part, DATE_PARTS)
    column = densify(seconds)
    if column.dtype != tf.int64:
        raise refuse(
            "date_parts",
            received=f"a feature of {column.dtype.name}",
            expected="int64 seconds since 1970",
            next_step="parse text with parse_iso8601; write times as integers, since float32 "
            "holds them to two minutes only",
        )
    missing = tf.equal(column, MISSING_INT)
    moment = _take_apart(tf.where(missing, tf.zeros_like(column), column) + utc_offset_s)
    gap = tf.constant(MISSING_INT, tf.int64)
    return {part: tf.where(missing, gap, _PARTS[part](moment)) for part in parts}


def day_number(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days from 1970-01-01 to a date; of a day that the month has not got, in a month after it.

    Args:
        year: `[batch]` int64.
        month: `[batch]` int64, 1-12.
        day: `[batch]` int64, 1-31.

    Returns:
        `[batch]` int64.
    """
    march_year = year - tf.cast(month <= 2, tf.int64)
    era, year_of_era = march_year // _ERA_YEARS, march_year % _ERA_YEARS
    march_month = (month + 9) % 12
    march_day = (153 * march_month + 2) // 5 + day - 1
    day_of_era = 365 * year_of_era + year_of_era // 4 - year_of_era // 100 + march_day
    return era * _ERA_DAYS + day_of_era - _FROM_MARCH_YEAR_0


def _take_apart(seconds: tf.Tensor) -> _Moment:
    day, second_of_day = seconds // DAY_S, seconds % DAY_S  # both floor: right before 1970 too
    shifted = day + _FROM_MARCH_YEAR_0
    era, day_of_era = shifted // _ERA_DAYS, shifted % _ERA_DAYS
    leap_days = day_of_era // 1_460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    march_day = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * march_day + 2) // 153
    march_year = era * _ERA_YEARS + year_of_era
    return _Moment(day, second_of_day, march_year, march_day, march_month)


def _day_of_week(day: tf.Tensor) -> tf.Tensor:
    return (day + 3) % 7  # 1970-01-01 was a Thursday


def _day_of_year(moment: _Moment) -> tf.Tensor:
    year = _PARTS["year"](moment)
    first = tf.ones_like(year)
    return moment.day - day_number(year, first, first) + 1
