"""Statistics of two versions, feature by feature."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mlproject.version_diff.statistics import compare_statistics
from mlproject.version_diff.values import FeatureShift

ROWS = 200


def columns(factor: float = 1.0, missing: int = 0, cash: int = 120) -> dict[str, list[Any]]:
    fares = [factor * (1 + n % 40) for n in range(ROWS)]
    return {
        "fare": [None] * missing + fares[missing:],
        "way": ["Cash"] * cash + ["Card"] * (ROWS - cash),
        "hour": [n % 24 for n in range(ROWS)],
    }


def shifts(before: Any, after: Any) -> dict[str, FeatureShift]:
    return {shift.feature: shift for shift in compare_statistics(before, after).items}


def test_the_same_statistics_are_no_difference(lay: Any, make_statistics: Any) -> None:
    made = make_statistics(**columns())
    found = compare_statistics(
        lay(6, statistics={"train": made}), lay(7, statistics={"train": made})
    )
    assert found.changes == ()
    assert [shift.feature for shift in found.items] == ["fare", "way", "hour"]
    assert found.notes == ("train: the same statistics",)


def test_shifts_of_mean_missing_share_and_values_are_told(lay: Any, make_statistics: Any) -> None:
    before = lay(6, statistics={"train": make_statistics(**columns())})
    after = lay(7, statistics={"train": make_statistics(**columns(2.0, missing=20, cash=150))})
    found = compare_statistics(before, after)
    assert [shift.feature for shift in found.changes] == ["fare", "way"]  # the furthest first
    fare, way = found.changes
    numbers = {pair.name: (pair.before, pair.after) for pair in fare.numbers}
    assert numbers["missing"] == (0.0, 0.1)
    assert numbers["mean"][0] == 20.5
    assert numbers["mean"][1] == pytest.approx(sum(columns(2.0)["fare"][20:]) / 180)
    assert numbers["max"] == (40.0, 80.0)
    assert numbers["p90"][0] == pytest.approx(36, abs=1.5)
    assert fare.distances["js"] > 0.05
    assert {pair.name: (pair.before, pair.after) for pair in way.shares} == {
        "Cash": (0.6, 0.75),
        "Card": (0.4, 0.25),
    }
    assert way.distances["linf"] == pytest.approx(0.15)


def test_features_and_kinds_of_one_side_stand_first(lay: Any, make_statistics: Any) -> None:
    old, new = columns(), {**columns(1.01), "tips": [0.5] * ROWS}
    old["hour"] = [str(hour) for hour in old["hour"]]
    del old["way"]
    found = compare_statistics(
        lay(6, statistics={"train": make_statistics(**old)}),
        lay(7, statistics={"train": make_statistics(**new)}),
    )
    by_name = {shift.feature: (shift.before, shift.after) for shift in found.changes}
    assert by_name["tips"] == (None, "float")
    assert by_name["way"] == (None, "text")
    assert by_name["hour"] == ("text", "int")
    assert {shift.feature for shift in found.changes[:2]} == {"tips", "way"}
    assert found.changes[0].distance == math.inf


def test_a_value_beyond_the_listed_ones_has_an_unknown_share(
    lay: Any, make_statistics: Any
) -> None:
    few = [f"c{n % 4}" for n in range(ROWS)]
    many = ["c0"] * 20 + [f"d{n}" for n in range(ROWS - 20)]
    found = shifts(
        lay(6, statistics={"train": make_statistics(company=few)}),
        lay(7, statistics={"train": make_statistics(company=many)}),
    )["company"]
    shares = {pair.name: (pair.before, pair.after) for pair in found.shares}
    assert shares["c0"] == (0.25, 0.1)
    assert shares["c1"] == (0.25, None)  # not among the 20 listed of 181
    listed = [name for name in shares if name.startswith("d")]
    assert listed
    assert all(shares[name] == (0.0, 1 / ROWS) for name in listed)


def test_a_split_of_one_side_is_a_reason(lay: Any, make_statistics: Any) -> None:
    made = make_statistics(**columns())
    found = compare_statistics(
        lay(6, statistics={"train": made}), lay(7, statistics={"train": made, "eval": made})
    )
    assert found.unjudged == ("taxi/6: statistics of split 'eval' not recorded",)
    assert {shift.split for shift in found.items} == {"train"}


def test_statistics_that_are_not_recorded_are_a_reason(lay: Any, make_statistics: Any) -> None:
    found = compare_statistics(lay(6, statistics={"train": make_statistics(**columns())}), lay(7))
    assert (found.items, found.unjudged) == ((), ("taxi/7: statistics not recorded",))


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"<html>"])
def test_damaged_statistics_are_a_reason(lay: Any, make_statistics: Any, content: bytes) -> None:
    made = make_statistics(**columns())
    damaged = lay(7, statistics={"train": made})
    (damaged.folder / "statistics" / "Split-train" / "stats.pb").write_bytes(content)
    found = compare_statistics(lay(6, statistics={"train": made}), damaged)
    assert found.items == ()
    assert found.unjudged[0].startswith("taxi/7: statistics cannot be read: ")


def test_statistics_without_features_or_kinds_do_not_crash(lay: Any, make_statistics: Any) -> None:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    empty = DatasetFeatureStatisticsList()
    empty.datasets.add(name="All Examples")
    odd = DatasetFeatureStatisticsList()
    odd.datasets.add(num_examples=3).features.add(name="fare")
    whole = lay(6, statistics={"train": make_statistics(**columns())})
    for made in (empty, odd):
        strange = lay(7, statistics={"train": made})
        assert compare_statistics(whole, strange).changes
        assert compare_statistics(strange, whole).changes


@pytest.mark.parametrize("damage", ["falling", "endless", "negative", "another type"])
def test_a_damaged_histogram_has_no_distance_and_ends_no_process(
    lay: Any, make_statistics: Any, damage: str
) -> None:
    made = make_statistics(**columns(2.0))
    (fare,) = (f for f in made.datasets[0].features if f.path.step[0] == "fare")
    for histogram in fare.num_stats.histograms:
        bucket = histogram.buckets[3]
        if damage == "falling":
            bucket.low_value = 1e308
        elif damage == "endless":
            bucket.low_value, bucket.high_value = -1e308, 1e308
        elif damage == "negative":
            bucket.sample_count = -5.0
    if damage == "another type":
        fare.type = type(fare).STRING
    found = shifts(
        lay(6, statistics={"train": make_statistics(**columns())}),
        lay(7, statistics={"train": made}),
    )
    assert found["fare"].distances == {}
    assert found["way"].distances == {"linf": 0.0, "js": 0.0}


def test_numbers_that_are_not_finite_are_unknown(lay: Any, make_statistics: Any) -> None:
    made = make_statistics(**columns())
    (way,) = (f for f in made.datasets[0].features if f.path.step[0] == "way")
    way.string_stats.rank_histogram.buckets[0].sample_count = math.nan
    found = shifts(
        lay(6, statistics={"train": make_statistics(**columns())}),
        lay(7, statistics={"train": made}),
    )["way"]
    assert (found.shares[0].name, found.shares[0].after) == ("Cash", None)
