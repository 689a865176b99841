"""The pictures: histograms that hold all values, in buckets that both sides share."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlproject.examples.reader import to_example_batch
from mlproject.profile.charts import heat_map, histogram, rebinned, value_bars
from mlproject.profile.features import Feature, features_of
from mlproject.profile.relations import Matrix
from mlproject.statistics import statistics_of_batches


def feature(values: pa.Array) -> Feature:
    batch = to_example_batch(pa.RecordBatch.from_pydict({"f": values}))
    return features_of(statistics_of_batches([batch]).datasets[0])["f"]


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


ends = st.floats(-1e6, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(ends, st.floats(0, 1e5), st.floats(0, 1e6)), min_size=1, max_size=12),
    st.integers(1, 40),
    st.booleans(),
)
def test_no_value_is_lost_in_other_buckets(
    buckets: list[tuple[float, float, float]], parts: int, whole: bool
) -> None:
    made = tuple((low, low + width, values) for low, width, values in buckets)
    low, high = min(b[0] for b in made) - 1, max(b[1] for b in made) + 1
    edges = [low + (high - low) * step / parts for step in range(parts)] + [high]
    found = rebinned(made, edges, whole)
    assert min(found) >= 0
    assert sum(found) == pytest.approx(sum(b[2] for b in made), rel=1e-6, abs=1e-6)


def test_both_scales_are_drawn_for_both_sides() -> None:
    rng = np.random.default_rng(1)
    sides = [feature(pa.array(rng.normal(shift, 1, 900))) for shift in (0, 2)]
    svg = parse(histogram(sides))
    drawn = [(g.get("class"), [path.get("class") for path in g]) for g in svg if g.tag == "g"]
    assert drawn == [("lin", ["side0", "side1"]), ("log", ["side0", "side1"])]
    low, high = (text.text for text in svg if text.tag == "text")
    values = [side.numbers for side in sides]
    assert float(str(low)) == pytest.approx(values[0].minimum, abs=0.01)
    assert float(str(high)) == pytest.approx(values[1].maximum, abs=0.01)


def heights(path: str) -> list[float]:
    return [96 - float(y) for y in re.findall(r"V([\d.]+)H", path)]


def test_whole_numbers_get_a_bar_each() -> None:
    svg = parse(histogram([feature(pa.array([1] * 10 + [2] * 20 + [7] * 5))]))
    path = str(svg[0][0].get("d"))
    found = heights(path)
    assert len(found) == 7
    assert found[1] == pytest.approx(88, abs=1)
    assert found[0] == pytest.approx(44, abs=3)
    assert found[3] < 2
    assert [text.text for text in svg if text.tag == "text"] == ["1", "7"]


def test_a_log_scale_shows_what_a_linear_one_hides() -> None:
    svg = parse(histogram([feature(pa.array([0.0] * 100_000 + [100.0] * 500))]))
    linear, log = (heights(str(group[0].get("d"))) for group in list(svg)[:2])
    assert linear[-1] < 1
    assert log[-1] > 15


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([5.0, 5.0], ["5"]),
        ([float("inf"), float("nan")], None),
        ([1.0, float("inf"), float("-inf"), 3.0], ["1", "3"]),
        ([-3e38, 3e38], ["-3e+38", "3e+38"]),
    ],
)
def test_odd_values_are_drawn_or_said(values: list[float], texts: list[str] | None) -> None:
    made = parse(histogram([feature(pa.array(values)), None]))
    assert (
        made.get("class") == "none"
        if texts is None
        else [text.text for text in made if text.tag == "text"] == texts
    )


def test_values_are_in_the_order_of_the_shown_side() -> None:
    shown = feature(pa.array(["a"] * 3 + ["b"] + ["<i>"]))
    other = feature(pa.array(["c"] * 5 + ["b"] * 5))
    rows = parse(value_bars([shown, other]))
    labels = [row[0].text for row in rows]
    assert labels == ["a", "b", "<i>", "c"] or labels == ["a", "<i>", "b", "c"]
    said = {row[0].text: row[2].text for row in rows}
    assert said["a"] == "60% · 0%"
    assert said["c"] == "0% · 50%"


def test_a_heat_map_names_every_pair() -> None:
    values = np.array([[1, -0.5, np.nan], [-0.5, 1, 0.2], [np.nan, 0.2, 1]])
    made = parse(heat_map(Matrix(("a", "b<", "c"), values), "some"))
    cells = [(rect.get("class"), rect[0].text) for rect in made.iter("rect")]
    assert cells == [
        ("minus", "b< · a: -0.50"),
        ("void", "c · a: not defined"),
        ("plus", "c · b<: 0.20"),
    ]


def test_one_feature_makes_no_heat_map() -> None:
    assert "fewer than two" in heat_map(Matrix(("a",), np.ones((1, 1))), "some")
