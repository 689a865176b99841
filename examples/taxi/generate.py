"""Generate SYNTHETIC taxi trips with the 18 columns of the Chicago Taxi sample.

Every row is drawn from a random generator; none is copied from a real trip. The constants below
(shares, weights, coordinates rounded to a thousandth of a degree) were measured on the sample of
the City of Chicago's data that the TFX examples use, so that the marginals, the missing values and
the relations between columns resemble it. The question is the same: does the rider tip more than
20 % (``tips > 0.2 * fare``)? About 22.5 % of the rows are positive.

Row ``i`` depends on the seed, the options and ``i`` alone: rows are drawn in blocks of 65,536,
each with its own generator seeded by (seed, block). A longer run therefore begins with the rows of
a shorter one (except with ``--sorted``, where a row's time depends on the number of rows), memory
stays that of one block, and the same numpy and pyarrow give the same bytes.

Knobs:
  --rows, --seed       how many rows, and which ones.
  --start, --end       first and last day, both included. The law is the same on every day, but for
                       the seasons of month, weekday and hour: nothing drifts unless asked.
  --sorted             rows in time order, for cutting spans; else times are in random order.
  --drift DATE[:S]     covariate drift: from DATE on, card payments gain 1.0*S in log-odds and fares
                       rise by 30 %*S. P(label | features) stays.
  --concept-change DATE[:S]
                       from DATE on only the tips move: 40 %*S of the card tips are halved and
                       15 %*S of the cash rides record a tip as if paid by card.
  --anomaly KIND[=COLUMN][:RATE], repeatable; RATE is the share of rows, 0.05 by default:
    missing_column       drops the column (company by default); takes no rate.
    negative_fare        turns the sign of the fare.
    unknown_payment_type writes a payment type that the sample has not got.
    out_of_range_hour    writes an hour of 24 to 99.
    string_in_number     makes the column (fare by default) text, with "unknown" in some cells.
    null_burst           empties the column (trip_miles by default) in RATE*1000 consecutive rows
                         out of every 1,000.

With the same seed, rows before the date of a change are the same with and without it, and an
anomaly leaves every cell that it does not hit alone. ``trip_start_timestamp`` is the local wall
clock read as if it were UTC, in steps of 15 minutes, and ``trip_start_day`` runs from 1 (Sunday)
to 7 (Saturday), as in the sample.
"""

import argparse
import difflib
import gzip
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

BLOCK_ROWS = 65_536
SUFFIXES = (".csv", ".csv.gz", ".parquet")

SCHEMA = pa.schema(
    {
        "pickup_community_area": pa.int64(),
        "fare": pa.float64(),
        "trip_start_month": pa.int64(),
        "trip_start_hour": pa.int64(),
        "trip_start_day": pa.int64(),
        "trip_start_timestamp": pa.int64(),
        "pickup_latitude": pa.float64(),
        "pickup_longitude": pa.float64(),
        "dropoff_latitude": pa.float64(),
        "dropoff_longitude": pa.float64(),
        "trip_miles": pa.float64(),
        "pickup_census_tract": pa.int64(),
        "dropoff_census_tract": pa.int64(),
        "payment_type": pa.string(),
        "company": pa.string(),
        "trip_seconds": pa.int64(),
        "dropoff_community_area": pa.int64(),
        "tips": pa.float64(),
    }
)

# kind -> (default column, may the column be named, takes a rate). The order is that of application.
ANOMALIES: dict[str, tuple[str, bool, bool]] = {
    "negative_fare": ("fare", False, True),
    "unknown_payment_type": ("payment_type", False, True),
    "out_of_range_hour": ("trip_start_hour", False, True),
    "null_burst": ("trip_miles", True, True),
    "string_in_number": ("fare", True, True),
    "missing_column": ("company", True, False),
}
DEFAULT_RATE = 0.05


class SpecError(ValueError):
    """The specification cannot be met; the message says what was received and expected."""


@dataclass(frozen=True)
class Anomaly:
    """A fault put into the data: its kind, the column, and the share of rows (0 to 1] it hits."""

    kind: str
    column: str = ""
    rate: float = DEFAULT_RATE

    def __post_init__(self) -> None:
        if self.kind not in ANOMALIES:
            raise SpecError(f"unknown anomaly {self.kind!r}{_hint(self.kind, list(ANOMALIES))}")
        default, may_name_column, _ = ANOMALIES[self.kind]
        object.__setattr__(self, "column", self.column or default)
        if not may_name_column and self.column != default:
            raise SpecError(f"anomaly {self.kind!r} takes no column. Received: {self.column!r}")
        if self.column not in SCHEMA.names:
            raise SpecError(f"unknown column {self.column!r}{_hint(self.column, SCHEMA.names)}")
        if self.kind == "string_in_number" and SCHEMA.field(self.column).type == pa.string():
            raise SpecError(f"string_in_number needs a number column. Received: {self.column!r}")
        if not 0 < self.rate <= 1:
            raise SpecError(
                f"rate of anomaly {self.kind!r} must be above 0 and at most 1. "
                f"Received: {self.rate}"
            )

    @classmethod
    def parse(cls, text: str) -> "Anomaly":
        """Read ``KIND[=COLUMN][:RATE]``; raises SpecError."""
        head, colon, rate = text.partition(":")
        kind, _, column = head.partition("=")
        if colon and kind in ANOMALIES and not ANOMALIES[kind][2]:
            raise SpecError(f"anomaly {kind!r} takes no rate. Received: {text!r}")
        return cls(kind, column, _number(rate, text) if colon else DEFAULT_RATE)


@dataclass(frozen=True)
class Change:
    """A change of the law from a day on; strength 1 is the one that the module describes."""

    from_date: date
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 10:
            raise SpecError(
                f"strength of a change must be above 0 and at most 10. Received: {self.strength}"
            )

    @classmethod
    def parse(cls, text: str) -> "Change":
        """Read ``YYYY-MM-DD[:STRENGTH]``; raises SpecError."""
        day, colon, strength = text.partition(":")
        return cls(parse_date(day), _number(strength, text) if colon else 1.0)


@dataclass(frozen=True)
class TaxiSpec:
    """What to generate: two equal specifications give the same bytes."""

    rows: int = 15_000
    seed: int = 1
    start: date = date(2013, 1, 1)
    end: date = date(2016, 12, 31)
    sorted_by_time: bool = False
    anomalies: tuple[Anomaly, ...] = ()
    drift: Change | None = None
    concept_change: Change | None = None

    def __post_init__(self) -> None:
        if self.rows <= 0:
            raise SpecError(f"rows must be a positive number. Received: {self.rows}")
        if not 0 <= self.seed < 2**32:  # one word of the SeedSequence, lest (seed, block) collide
            raise SpecError(f"seed must be from 0 to {2**32 - 1}. Received: {self.seed}")
        if self.end < self.start:
            raise SpecError(f"end {self.end} is before start {self.start}; swap or move them")
        if self.start.year < 1970 or self.end.year > 2099:
            raise SpecError(
                f"start and end must lie in 1970 to 2099. Received: {self.start}, {self.end}"
            )

    @property
    def schema(self) -> pa.Schema:
        """The columns as written: those of the sample, but for the anomalies asked for."""
        kinds = {(a.kind, a.column) for a in self.anomalies}
        return pa.schema(
            pa.field(f.name, pa.string() if ("string_in_number", f.name) in kinds else f.type)
            for f in SCHEMA
            if ("missing_column", f.name) not in kinds
        )


def _hint(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f". Expected one of: {', '.join(valid)}"


def _number(text: str, context: str) -> float:
    try:
        return float(text)
    except ValueError as err:
        raise SpecError(f"expected a number after ':' in {context!r}. Received: {text!r}") from err


def parse_date(text: str) -> date:
    """Read ``YYYY-MM-DD``; raises SpecError."""
    try:
        return date.fromisoformat(text)
    except ValueError as err:
        raise SpecError(f"expected a date as YYYY-MM-DD. Received: {text!r}") from err


# ---- Measured constants -------------------------------------------------------------------------
# Per community area: number, latitude, longitude of its centre, pickups and dropoffs in the sample,
# census tracts seen, and the share (%) of its trips whose tract is withheld (the coordinates are
# then those of the centre). Area 0 stands for "outside the city, or not recorded".
_AREAS = """
0 41.983 -87.877 2 507 1 95
1 42.009 -87.670 71 104 7 90   2 42.002 -87.695 57 70 2 93   3 41.965 -87.656 269 301 12 59
4 41.974 -87.687 57 116 7 81   5 41.948 -87.683 111 157 9 80   6 41.943 -87.654 1180 1107 34 44
7 41.922 -87.646 893 1036 20 29   8 41.896 -87.628 4908 4307 20 10   9 42.008 -87.814 1 4 0 100
10 41.985 -87.805 12 18 0 100   11 41.980 -87.771 12 17 1 88   12 41.994 -87.758 8 12 0 100
13 41.984 -87.724 7 17 0 100   14 41.968 -87.721 49 55 1 98   15 41.951 -87.760 7 18 1 83
16 41.954 -87.724 56 90 5 91   17 41.947 -87.806 3 7 0 100   18 41.929 -87.798 1 1 0 100
19 41.927 -87.766 7 16 0 100   20 41.924 -87.735 1 8 0 100   21 41.939 -87.711 51 71 8 72
22 41.922 -87.695 175 293 16 63   23 41.900 -87.721 7 23 0 100   24 41.901 -87.671 598 753 24 45
25 41.891 -87.756 9 10 0 100   26 41.879 -87.730 1 3 0 100   27 41.879 -87.706 3 5 0 100
28 41.880 -87.650 1284 1450 12 17   29 41.860 -87.714 5 7 1 86   30 41.839 -87.714 4 6 0 100
31 41.851 -87.666 17 52 5 85   32 41.881 -87.627 3303 2736 5 7   33 41.857 -87.619 309 411 3 14
34 41.843 -87.634 20 48 3 50   35 41.836 -87.619 21 35 3 83   36 41.824 -87.602 2 4 0 100
37 41.809 -87.632 0 3 0 100   38 41.813 -87.618 1 8 0 100   39 41.809 -87.595 23 23 1 91
40 41.792 -87.618 1 4 0 100   41 41.793 -87.591 71 84 3 77   42 41.779 -87.595 8 14 0 100
43 41.762 -87.573 7 12 0 100   44 41.740 -87.616 2 3 0 100   45 41.744 -87.586 1 0 0 100
46 41.741 -87.551 0 6 0 100   48 41.730 -87.573 0 1 0 100   49 41.707 -87.623 1 0 0 100
50 41.706 -87.598 0 1 0 100   51 41.691 -87.570 0 2 0 100   55 41.664 -87.541 0 1 0 100
56 41.788 -87.756 255 181 2 22   57 41.811 -87.726 1 0 0 100   58 41.817 -87.699 2 7 0 100
59 41.833 -87.680 10 13 1 23   60 41.836 -87.649 7 22 1 95   61 41.809 -87.659 1 2 0 100
63 41.795 -87.696 1 3 0 100   64 41.780 -87.769 1 4 0 100   65 41.770 -87.727 2 3 0 100
66 41.772 -87.696 1 2 0 100   67 41.776 -87.667 0 2 0 100   68 41.777 -87.642 2 2 0 100
69 41.763 -87.616 3 4 0 100   70 41.746 -87.708 0 3 0 100   71 41.744 -87.656 2 1 0 100
72 41.713 -87.675 0 2 0 100   73 41.717 -87.649 2 2 0 100   74 41.695 -87.713 1 2 0 100
75 41.690 -87.669 0 2 0 100   76 41.979 -87.906 895 516 2 22   77 41.986 -87.664 180 192 12 81
"""
_AIRPORTS = (56, 76)
_CENTRAL = (3, 6, 7, 8, 24, 28, 32, 33)  # where card payment is as common as on average
_OUTSIDE_SHARE = {76: 0.205, 56: 0.133}  # of the trips from an area, those that leave the city
# Trips by hour of the day, per kind of day.
_HOURS_MON_THU = (
    *(52, 37, 23, 12, 16, 17, 38, 53, 94, 113, 114, 90),
    *(108, 98, 109, 96, 104, 121, 125, 136, 130, 108, 97, 78),
)
_HOURS_FRI = (
    *(78, 68, 46, 26, 19, 12, 23, 46, 94, 123, 121, 106),
    *(123, 124, 116, 126, 131, 132, 158, 194, 161, 151, 165, 161),
)
_HOURS_SAT = (
    *(154, 133, 120, 98, 55, 19, 13, 18, 32, 53, 60, 78),
    *(99, 96, 98, 118, 115, 121, 155, 150, 156, 160, 169, 158),
)
_HOURS_SUN = (
    *(169, 185, 145, 112, 60, 42, 19, 23, 33, 43, 66, 75),
    *(87, 88, 72, 86, 93, 83, 85, 88, 93, 68, 72, 50),
)
_MONTHS = (0.85, 0.99, 1.0, 1.05, 1.03, 1.06, 0.99, 1.03, 0.99, 1.06, 0.99, 0.98)  # trips per day
# Median speed by hour, against that of the day.
_SPEED = (
    *(1.19, 1.21, 1.3, 1.3, 1.5, 1.7, 1.5, 1.15, 0.97, 0.9, 1.0, 0.97),
    *(0.93, 0.89, 0.89, 0.95, 0.9, 0.82, 0.83, 0.9, 1.0, 1.09, 1.18, 1.18),
)
# Company (None: absent), its share in 10,000 rows, and how often (%) its meter reports the miles as
# zero, or at about a sixteenth of what was driven.
_COMPANIES = (
    (None, 3426, 0, 7),
    ("Taxi Affiliation Services", 3450, 37, 31),
    ("Dispatch Taxi Affiliation", 1090, 22, 3),
    ("Blue Ribbon Taxi Association Inc.", 727, 70, 90),
    ("Choice Taxi Association", 581, 24, 0),
    ("Northwest Management LLC", 367, 27, 4),
    ("KOAM Taxi Association", 164, 2, 0),
    ("Top Cab Affiliation", 88, 7, 0),
    ("Chicago Elite Cab Corp. (Chicago Carriag", 17, 100, 0),
    ("Chicago Medallion Leasing INC", 15, 9, 0),
    ("Chicago Medallion Management", 11, 6, 0),
    ("Chicago Elite Cab Corp.", 6, 100, 0),
    *((f"{1000 + 37 * i} - Synthetic Cab {i}", 1.2, 2, 0) for i in range(1, 49)),
)
_PAYMENTS = ("Credit Card", "Cash", "No Charge", "Unknown", "Dispute", "Pcard", "Prcard")
_OTHER_PAYMENTS = (9909, 81, 29, 4, 3, 1)  # rows in the sample, all but Credit Card
_TIP_RECORDED = np.array([1.0, 0.0006, 0.0, 0.25, 0.0, 0.0, 0.0])
# What a card rider tips, by band of fare: weights of round dollars, then of shares of the fare.
_TIP_BANDS = np.array([5, 7.5, 10, 15, 25, 45])
_TIP_DOLLARS = np.array([0, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15])
_TIP_SHARES = np.array([0.06, 0.1, 0.155, 0.2, 0.2105, 0.225, 0.25, 0.275, 0.32, 0.4, 0.6])
_TIP_WEIGHTS = (
    (76, 229, 21, 439, 119, 37, 6, 0, 0, 3, 3, 0, 6, 0, 3, 12, 0, 0, 12, 0, 3, 3, 27),
    (38, 162, 28, 524, 149, 30, 6, 2, 0, 0, 0, 0, 7, 4, 10, 10, 3, 3, 5, 4, 8, 6, 3),
    (54, 90, 29, 484, 185, 35, 10, 0, 0, 0, 1, 0, 11, 3, 23, 7, 3, 26, 9, 13, 12, 4, 0),
    (47, 43, 15, 226, 130, 13, 17, 0, 0, 2, 0, 1, 7, 5, 20, 222, 26, 69, 66, 33, 50, 4, 4),
    (60, 23, 8, 62, 52, 42, 48, 0, 0, 4, 6, 0, 15, 4, 29, 261, 102, 94, 85, 56, 44, 2, 2),
    (42, 3, 1, 10, 10, 35, 97, 39, 26, 21, 21, 3, 2, 10, 23, 26, 351, 120, 9, 96, 49, 2, 2),
    (136, 15, 0, 0, 0, 0, 76, 30, 30, 45, 91, 30, 0, 0, 15, 60, 121, 91, 61, 45, 106, 45, 0),
)


# ---- Tables -------------------------------------------------------------------------------------
def _cdf(weights: np.ndarray) -> np.ndarray:
    """Rows of weights as cumulative shares, row r lifted by r so that `_pick` searches them all."""
    total = np.cumsum(np.atleast_2d(weights), axis=1, dtype=float)
    return total / total[:, -1:] + np.arange(len(total))[:, None]


def _pick(u: np.ndarray, cdf: np.ndarray, row: np.ndarray | int = 0) -> np.ndarray:
    """The category (int) that each uniform of ``u`` falls in, in its row of ``cdf``."""
    found = np.searchsorted(cdf.ravel(), u + row, side="right") - row * cdf.shape[1]
    return np.minimum(found, cdf.shape[1] - 1)


@dataclass(frozen=True)
class _City:
    """Areas (first axis; 0 is outside) and the points (second axis) where trips begin and end."""

    area: np.ndarray
    latitude: np.ndarray  # NaN where not recorded
    longitude: np.ndarray
    tract: np.ndarray  # 0 where withheld
    card_log_odds: np.ndarray
    pickup: np.ndarray  # cdf
    dropoff: np.ndarray  # cdf; row 2 * pickup area + (4 to 7 in the morning)
    point: np.ndarray  # cdf


@cache
def _city() -> _City:
    table = np.array(_AREAS.split(), dtype=float).reshape(-1, 7)
    area, tracts = table[:, 0].astype(np.int64), table[:, 5].astype(np.int64)
    lat, lon, pickups, dropoffs = table[:, 1], table[:, 2], table[:, 3], table[:, 4]
    airport = np.isin(area, _AIRPORTS)
    # Point 0 is the centre; the tracts stand around it on a spiral, the busiest nearest.
    k = np.arange(tracts.max() + 1)
    radius = np.where(airport, 0.001, 0.004 + 0.0003 * tracts)[:, None]
    radius = radius * np.sqrt(k / np.maximum(tracts, 1)[:, None])
    latitude = np.round(lat[:, None] + radius * np.sin(2.4 * k), 6)
    longitude = np.round(lon[:, None] + radius * np.cos(2.4 * k) / 0.745, 6)
    tract = np.where(k > 0, 17_031_000_000 + area[:, None] * 10_000 + 100 * k, 0)
    withheld = table[:, 6:7] / 100
    points = np.where((k > 0) & (k <= tracts[:, None]), 1 / np.maximum(k, 1) ** 0.7, 0.0)
    points = points * (1 - withheld) / np.maximum(points.sum(1, keepdims=True), 1e-9)
    points[:, :1] = withheld
    latitude[0, 0] = longitude[0, 0] = np.nan
    tract[0] = 0
    # Where a trip goes: distance deters, less so from an airport; then each area's draw is scaled
    # until it gets its share of the dropoffs. Early in the morning more trips go to an airport.
    reach = np.where(airport, 40.0, 3.2)[:, None]
    go = (
        np.exp(-_miles(lat[:, None], lon[:, None], lat, lon) / reach)
        + 0.12
        + 0.3 * np.eye(len(area))
    )
    go[:, 0] = 0
    for _ in range(20):
        go /= go.sum(1, keepdims=True)
        go *= (dropoffs + 0.5) / np.maximum(pickups @ go, 1e-9)
    both = np.stack([go, go * np.where(airport, 6.0, 1.0)], axis=1).reshape(2 * len(area), -1)
    leave = np.repeat([_OUTSIDE_SHARE.get(a, 0.022) for a in area], 2)[:, None]
    both *= (1 - leave) / both.sum(1, keepdims=True)
    both[:, :1] = leave
    return _City(
        area=area,
        latitude=latitude,
        longitude=longitude,
        tract=tract,
        card_log_odds=np.where(airport, 0.85, np.where(np.isin(area, _CENTRAL), 0.0, -0.75)),
        pickup=_cdf(pickups),
        dropoff=_cdf(both),
        point=_cdf(points),
    )


@cache
def _calendar(start: date, end: date) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Month and day of the week (1 is Sunday) of each day, and the cdf over all hours."""
    days = np.arange(start, end + timedelta(days=1), dtype="datetime64[D]")
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    weekday = (days.astype(np.int64) + 4) % 7 + 1
    week = [_HOURS_SUN, *[_HOURS_MON_THU] * 4, _HOURS_FRI, _HOURS_SAT]
    hours = np.array(week, dtype=float)[weekday - 1] * np.array(_MONTHS)[month - 1][:, None]
    return month, weekday, _cdf(hours.ravel())


def _miles(lat1: np.ndarray, lon1: np.ndarray, lat2: np.ndarray, lon2: np.ndarray) -> np.ndarray:
    """Miles along the street grid between two points of Chicago."""
    return 69.1 * (np.abs(lat1 - lat2) + 0.745 * np.abs(lon1 - lon2))


# ---- Rows ---------------------------------------------------------------------------------------
def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _after(change: Change | None, timestamp: np.ndarray) -> np.ndarray:
    """The strength of the change per row: 0.0 before its day, and everywhere if there is none."""
    if change is None:
        return np.zeros(len(timestamp))
    return np.where(timestamp >= _epoch_s(change.from_date), change.strength, 0.0)


def _epoch_s(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400


def _block(spec: TaxiSpec, block: int) -> dict[str, pa.Array]:
    """Draw one whole block of rows, before anomalies. The order of the draws is the format."""
    rng, n, city = _generator(spec.seed, block, 0), BLOCK_ROWS, _city()

    # When.
    month, weekday, hours = _calendar(spec.start, spec.end)
    at = rng.random(n)
    if spec.sorted_by_time:
        at = np.minimum((block * n + np.arange(n) + at) / spec.rows, 1 - 1e-12)
    slot = _pick(at, hours)
    day, hour = np.divmod(slot, 24)
    before = np.concatenate([[0.0], hours.ravel()])
    quarter = np.clip(4 * (at - before[slot]) / (before[slot + 1] - before[slot]), 0, 3)
    timestamp = _epoch_s(spec.start) + slot * 3600 + quarter.astype(np.int64) * 900

    # Where.
    start = _pick(rng.random(n), city.pickup)
    early = (hour >= 4) & (hour < 8)
    stop = _pick(rng.random(n), city.dropoff, 2 * start + early)
    start_at = _pick(rng.random(n), city.point, start)
    stop_at = _pick(rng.random(n), city.point, stop)
    stub = rng.random(n) < 0.032  # the meter was started and stopped at once
    stop, stop_at = np.where(stub, start, stop), np.where(stub, start_at, stop_at)
    lat1, lon1 = city.latitude[start, start_at], city.longitude[start, start_at]
    lat2, lon2 = city.latitude[stop, stop_at], city.longitude[stop, stop_at]

    # How far, how long, how much.
    away = _miles(lat1, lon1, lat2, lon2)
    outside = np.exp(2.4 + 0.5 * rng.standard_normal(n))
    around = np.exp(-0.35 + 0.6 * rng.standard_normal(n))
    driven = np.where(np.isnan(away), outside, np.maximum(away, around))
    driven = driven * np.exp(0.2 * rng.standard_normal(n) - 0.08)
    speed_mph = 9.0 * driven**0.42 * np.array(_SPEED)[hour]
    minutes = np.round(60 * driven / speed_mph * np.exp(0.3 * rng.standard_normal(n)) + 0.2)
    odd, freak = rng.random(n), rng.random(n)
    minutes = np.where(stub, 0, minutes) * np.where(freak > 0.9995, 10, 1)
    fare = 3.25 + 0.2 * np.floor(np.where(stub, 0, 9 * driven + 0.55 * minutes))
    fare = np.where(odd < 0.12, np.round(4 * fare) / 4, fare)
    fare = np.where(odd > 0.95, fare + np.floor(100 * freak) / 100 - 0.5, fare)
    fare = fare * np.where((freak > 0.5) & (freak < 0.5003), 1 + 20 * odd**4, 1.0)
    fare = fare * (1 + 0.3 * _after(spec.drift, timestamp))
    fare = np.where(freak < 0.0018, 0.0, np.round(fare, 2))

    # By whom, and what the meter made of the miles.
    _, weights, zero, tiny = zip(*_COMPANIES, strict=True)
    company = _pick(rng.random(n), _cdf(np.array(weights)))
    miles = np.where(rng.random(n) < np.array(tiny)[company] / 100, 0.06 * driven, driven)
    lost = rng.random(n) < np.array(zero)[company] / 100
    miles = np.where(stub | lost, 0.0, miles) * np.where(freak > 0.9995, 10, 1)
    exact = (company == 0) & (odd > 0.5) & (odd < 0.6)
    miles = np.where(exact, np.round(miles, 2), np.round(miles, 1))

    # How it was paid.
    log_odds = -0.72 + 0.3 * np.log(np.maximum(fare, 3) / 8) + city.card_log_odds[start]
    log_odds = log_odds - 1.9 * stub - 0.15 * (weekday[day] == 7) + _after(spec.drift, timestamp)
    card = 1 / (1 + np.exp(-log_odds))
    u = rng.random(n)
    payment = np.where(
        u < card, 0, 1 + _pick((u - card) / (1 - card), _cdf(np.array(_OTHER_PAYMENTS)))
    )

    tips = _tips(rng, fare, payment, _after(spec.concept_change, timestamp))
    unknown_time = rng.random(n) < 0.0004
    # One row in 15,000 has its pickup tract, the first of all among them: the column has a type.
    tract1 = city.tract[start, np.maximum(start_at, 1)] * (
        np.arange(block * n, block * n + n) % 15_000 == 0
    )
    tract2 = city.tract[stop, stop_at]
    names = pa.array([name for name, *_ in _COMPANIES], pa.string())
    return {
        "pickup_community_area": pa.array(city.area[start], mask=start == 0),
        "fare": pa.array(fare),
        "trip_start_month": pa.array(month[day]),
        "trip_start_hour": pa.array(hour),
        "trip_start_day": pa.array(weekday[day]),
        "trip_start_timestamp": pa.array(timestamp),
        "pickup_latitude": pa.array(lat1, from_pandas=True),
        "pickup_longitude": pa.array(lon1, from_pandas=True),
        "dropoff_latitude": pa.array(lat2, from_pandas=True),
        "dropoff_longitude": pa.array(lon2, from_pandas=True),
        "trip_miles": pa.array(miles),
        "pickup_census_tract": pa.array(tract1, mask=tract1 == 0),
        "dropoff_census_tract": pa.array(tract2, mask=tract2 == 0),
        "payment_type": pc.take(pa.array(_PAYMENTS), pa.array(payment)),
        "company": pc.take(names, pa.array(company)),
        "trip_seconds": pa.array(60 * minutes.astype(np.int64), mask=unknown_time),
        "dropoff_community_area": pa.array(city.area[stop], mask=stop == 0),
        "tips": pa.array(tips),
    }


def _tips(
    rng: np.random.Generator, fare: np.ndarray, payment: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """Tips in dollars given fare and payment type; ``change`` is the strength per row."""
    n = len(fare)
    band = np.searchsorted(_TIP_BANDS, fare)
    choice = _pick(rng.random(n), _cdf(np.array(_TIP_WEIGHTS)), band)
    share = _TIP_SHARES[np.maximum(choice - len(_TIP_DOLLARS), 0)]
    vague = np.where(share == 0.2, 0.0, 0.04 * (rng.random(n) - 0.5))  # 20 % is meant exactly
    percent = np.floor(100 * fare * share * (1 + vague) + 1e-6) / 100
    dollars = _TIP_DOLLARS[np.minimum(choice, len(_TIP_DOLLARS) - 1)]
    tips = np.where(choice < len(_TIP_DOLLARS), dollars, percent)
    halved = (payment == 0) & (rng.random(n) < 0.4 * change)
    tips = np.where(halved, np.floor(50 * tips) / 100, tips)
    recorded = _TIP_RECORDED[payment] + np.where(payment == 1, 0.15 * change, 0.0)
    return np.where((rng.random(n) < recorded) & (fare > 0), tips, 0.0)


def _spoil(
    columns: dict[str, pa.Array], anomaly: Anomaly, rng: np.random.Generator, first_row: int
) -> None:
    """Put one anomaly into the columns, in place."""
    old, n = columns[anomaly.column], BLOCK_ROWS
    hit = pa.array(rng.random(n) < anomaly.rate)
    match anomaly.kind:
        case "negative_fare":
            new = pc.if_else(hit, pc.negate(old), old)
        case "unknown_payment_type":
            new = pc.if_else(hit, pa.scalar("Mobile Wallet"), old)
        case "out_of_range_hour":
            new = pc.if_else(hit, pa.array(rng.integers(24, 100, n)), old)
        case "null_burst":
            in_burst = (first_row + np.arange(n)) % 1000 < max(1, round(1000 * anomaly.rate))
            new = pc.if_else(pa.array(in_burst), pa.scalar(None, old.type), old)
        case "string_in_number":
            new = pc.if_else(hit, pa.scalar("unknown"), pc.cast(old, pa.string()))
        case "missing_column":
            new = old  # dropped by the schema
    columns[anomaly.column] = new


def generate_batches(spec: TaxiSpec) -> Iterator[pa.RecordBatch]:
    """Generate the trips, in record batches of at most 65,536 rows.

    Args:
        spec: what to generate.

    Yields:
        Record batches of ``spec.schema``, ``spec.rows`` rows in all.
    """
    order = list(ANOMALIES)
    anomalies = sorted(spec.anomalies, key=lambda a: order.index(a.kind))
    for block in range(math.ceil(spec.rows / BLOCK_ROWS)):
        first_row = block * BLOCK_ROWS
        columns = _block(spec, block)
        for anomaly in anomalies:
            rng = _generator(spec.seed, block, 1 + order.index(anomaly.kind))
            _spoil(columns, anomaly, rng, first_row)
        arrays = [columns[name] for name in spec.schema.names]
        batch = pa.RecordBatch.from_arrays(arrays, schema=spec.schema)
        yield batch.slice(0, min(BLOCK_ROWS, spec.rows - first_row))


# ---- Files --------------------------------------------------------------------------------------
def write(
    spec: TaxiSpec, path: str | os.PathLike[str], progress: Callable[[int], None] | None = None
) -> Path:
    """Write the trips to a file, whole or not at all.

    The file is written aside, in the same folder, and renamed when it is complete.

    Args:
        spec: what to generate.
        path: a file name that ends in .csv, .csv.gz or .parquet; its folder is made if need be.
        progress: called with the number of rows written so far, after each batch.

    Returns:
        The path.

    Raises:
        SpecError: the suffix is none of these, or the path is a folder.
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix = next((s for s in reversed(SUFFIXES) if path.name.endswith(s)), None)
    if suffix is None:
        raise SpecError(
            f"the output's name must end in one of {', '.join(SUFFIXES)}. Received: {path}"
        )
    if path.is_dir():
        raise SpecError(f"the output must be a file. Received the folder: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with ExitStack() as stack:
            sink: BinaryIO = stack.enter_context(open(aside, "wb"))
            if suffix == ".csv.gz":  # no name and no time in the header: the same bytes again
                packed = gzip.GzipFile("", "wb", 4, sink, mtime=0)
                sink = cast(BinaryIO, stack.enter_context(packed))
            writer: pq.ParquetWriter | pacsv.CSVWriter
            if suffix == ".parquet":
                writer = stack.enter_context(pq.ParquetWriter(sink, spec.schema))
            else:
                sink.write((",".join(spec.schema.names) + "\n").encode())
                options = pacsv.WriteOptions(include_header=False)
                writer = stack.enter_context(
                    pacsv.CSVWriter(sink, spec.schema, write_options=options)
                )
            done = 0
            for batch in generate_batches(spec):
                writer.write_batch(batch)
                done += batch.num_rows
                if progress is not None:
                    progress(done)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


# ---- Command line -------------------------------------------------------------------------------
class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="generate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=TaxiSpec.rows)
    parser.add_argument("--seed", type=int, default=TaxiSpec.seed)
    parser.add_argument("--out", type=Path, required=True, help=f"ends in {', '.join(SUFFIXES)}")
    parser.add_argument("--start", default=str(TaxiSpec.start), metavar="DATE")
    parser.add_argument("--end", default=str(TaxiSpec.end), metavar="DATE")
    parser.add_argument("--sorted", action="store_true")
    parser.add_argument(
        "--anomaly", action="append", default=[], metavar="KIND[=COLUMN][:RATE]", help="repeatable"
    )
    parser.add_argument("--drift", metavar="DATE[:STRENGTH]")
    parser.add_argument("--concept-change", metavar="DATE[:STRENGTH]")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for bad input or an unwritable file)."""
    args = _parser().parse_args(argv)
    began, tty = time.monotonic(), sys.stderr.isatty()

    def progress(done: int) -> None:
        rate = done / max(time.monotonic() - began, 1e-9)
        line = f"\r{done:,} of {args.rows:,} rows, {rate:,.0f} rows/s"
        print(line, end="\n" if done == args.rows else "", file=sys.stderr, flush=True)

    try:
        spec = TaxiSpec(
            rows=args.rows,
            seed=args.seed,
            start=parse_date(args.start),
            end=parse_date(args.end),
            sorted_by_time=args.sorted,
            anomalies=tuple(Anomaly.parse(text) for text in args.anomaly),
            drift=Change.parse(args.drift) if args.drift else None,
            concept_change=Change.parse(args.concept_change) if args.concept_change else None,
        )
        write(spec, args.out, progress if tty else None)
    except SpecError as err:
        print(f"generate.py: error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"generate.py: error: cannot write {args.out}: {err}", file=sys.stderr)
        return 2
    print(f"wrote {spec.rows:,} synthetic rows to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
