"""Distances between statistics: their values, and what TFDV would pass over in silence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.anomalies.drift import DRIFT, SKEW, compare, thresholds_of
from mlproject.anomalies.histograms import default_dataset, finite_only, unmeasurable
from mlproject.anomalies.severity import DATASET_LEVEL
from mlproject.examples.reader import to_example_batch
from mlproject.schema import parse_schema, set_environments
from mlproject.statistics import statistics_of_batches

BASE = 'name: "x" type: {} presence {{ min_count: 1 }}'
LINF, JS, NAD = "infinity_norm", "jensen_shannon_divergence", "normalized_abs_difference"


def statistics(**columns: Any) -> Any:
    arrays = {n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in columns.items()}
    return statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(arrays))])


def schema(kind: str, comparison: str, **thresholds: float) -> Any:
    inner = " ".join(f"{field} {{ threshold: {value} }}" for field, value in thresholds.items())
    text = f"feature {{ {BASE.format(kind)} {comparison}_comparator {{ {inner} }} }}"
    return set_environments(parse_schema(text, "here"), [])


@pytest.mark.parametrize("comparison", [DRIFT, SKEW])
def test_linf_is_the_largest_difference_of_a_share(comparison: str) -> None:
    control = statistics(x=["a"] * 5 + ["b"] * 5)
    newest = statistics(x=["a"] * 9 + ["b"])
    asked = schema("BYTES", comparison, **{LINF: 0.3})
    found, (distance,), unjudged = compare(newest, asked, comparison, control, "span 11")
    assert (distance.comparison, distance.feature, distance.measure) == (comparison, "x", "linf")
    assert distance.value == pytest.approx(0.4)
    assert (distance.threshold, distance.against) == (0.3, "span 11")
    assert distance.metric == f"{comparison}_linf.x"
    assert list(found) == ["x"]
    assert unjudged == []


def test_js_of_texts_is_the_divergence_in_bits() -> None:
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    middle = (p + q) / 2
    divergence = sum(float((r * np.log2(r / middle)).sum()) / 2 for r in (p, q))
    control, newest = statistics(x=["a"] * 5 + ["b"] * 5), statistics(x=["a"] * 9 + ["b"])
    _, (distance,), _ = compare(newest, schema("BYTES", DRIFT, **{JS: 1}), DRIFT, control, "before")
    assert distance.value == pytest.approx(divergence, abs=1e-9)


def test_js_of_numbers_grows_with_the_shift_and_is_nothing_without_one() -> None:
    values = np.random.default_rng(5).normal(10, 1, 2_000)
    control = statistics(x=values)
    asked = schema("FLOAT", DRIFT, **{JS: 0.05})
    measured = []
    for shift in (0, 0.5, 3):
        found, (distance,), _ = compare(
            statistics(x=values + shift), asked, DRIFT, control, "before"
        )
        measured.append(distance.value)
        assert bool(found) == (distance.value > 0.05)
    assert measured[0] == 0
    assert measured[0] < measured[1] < measured[2] <= 1


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("turned", [False, True], ids=["newest", "control"])
def test_values_that_are_not_finite_are_no_drift(odd: float, turned: bool) -> None:
    """A third of them would be 0.28 bits."""
    values = np.random.default_rng(5).normal(10, 1, 2_000)
    pair = [statistics(x=np.append(values, [odd] * 1_000)), statistics(x=values)]
    newest, control = reversed(pair) if turned else pair
    asked = schema("FLOAT", DRIFT, **{JS: 0.1})
    found, (distance,), unjudged = compare(newest, asked, DRIFT, control, "before")
    assert (found, unjudged) == ({}, [])
    assert distance.value < 0.1


@pytest.mark.parametrize("odd", [(math.inf,), (-math.inf,), (math.inf, -math.inf, math.nan)])
def test_one_infinity_takes_no_finite_value_with_it(odd: tuple[float, ...]) -> None:
    """The tenth of the values that shares its bucket would be 0.05 bits."""
    values = np.random.default_rng(5).normal(10, 1, 2_000)
    newest, control = statistics(x=np.append(values, odd)), statistics(x=values)
    for histogram in finite_only(newest).datasets[0].features[0].num_stats.histograms:
        assert sum(bucket.sample_count for bucket in histogram.buckets) == pytest.approx(2_000)
        assert histogram.buckets[0].low_value == pytest.approx(values.min(), abs=1e-6)
        assert histogram.buckets[-1].high_value == pytest.approx(values.max(), abs=1e-6)
    asked = schema("FLOAT", DRIFT, **{JS: 0.001})
    found, (distance,), unjudged = compare(newest, asked, DRIFT, control, "before")
    assert (found, unjudged) == ({}, [])
    assert distance.value < 0.001


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([math.inf] * 9 + [1.0], 1),
        ([math.inf, -math.inf], 0),
        ([-math.inf, 1.0, math.inf], 1),
        ([math.nan] * 3, 0),
    ],
)
def test_few_finite_values_among_infinities_leave_whole_histograms(
    values: list[float], finite: int
) -> None:
    made = finite_only(statistics(x=values))
    assert unmeasurable(made) == set()
    for histogram in made.datasets[0].features[0].num_stats.histograms:
        count = sum(bucket.sample_count for bucket in histogram.buckets)
        assert count == pytest.approx(finite, abs=0.5)


@pytest.mark.parametrize("damage", ["falling", "endless", "negative", "another type"])
@pytest.mark.parametrize("turned", [False, True], ids=["newest", "control"])
@pytest.mark.parametrize("comparison", [DRIFT, SKEW])
def test_damaged_statistics_are_not_judged_and_end_no_process(
    damage: str, turned: bool, comparison: str
) -> None:
    values = np.random.default_rng(5).normal(10, 1, 200)
    pair = [statistics(x=values, y=values), statistics(x=values + 1, y=values + 1)]
    x = next(f for f in pair[0].datasets[0].features if f.path.step[0] == "x")
    for histogram in x.num_stats.histograms:
        bucket = histogram.buckets[3]
        if damage == "falling":
            bucket.low_value = 1e308
        elif damage == "endless":
            bucket.low_value, bucket.high_value = -1e308, 1e308
        elif damage == "negative":
            bucket.sample_count = -5.0
    if damage == "another type":
        x.type = type(x).STRING
    newest, control = reversed(pair) if turned else pair
    asked = schema("FLOAT", comparison, **{JS: 0.01})
    also = asked.feature.add()
    also.CopyFrom(asked.feature[0])
    also.name = "y"
    found, (distance,), (unjudged,) = compare(newest, asked, comparison, control, "before")
    assert (list(found), distance.feature) == (["y"], "y")
    assert unjudged.feature == "x"
    assert unjudged.reason.startswith("js: one of the statistics is damaged")


@pytest.mark.parametrize("measure", [LINF, NAD])
def test_numbers_without_counts_are_not_judged_instead_of_being_equal(measure: str) -> None:
    control, newest = statistics(x=[1, 2, 3]), statistics(x=[7, 8, 9])
    found, distances, (unjudged,) = compare(
        newest, schema("INT", DRIFT, **{measure: 0.1}), DRIFT, control, "before"
    )
    assert (found, distances) == ({}, [])
    assert unjudged.feature == "x"
    assert "no counts" in unjudged.reason


def test_a_measure_that_can_be_judged_is_judged_beside_one_that_cannot() -> None:
    control, newest = statistics(x=[1, 2, 3]), statistics(x=[7, 8, 9])
    asked = schema("INT", DRIFT, **{LINF: 0.1, JS: 0.1})
    found, (distance,), (unjudged,) = compare(newest, asked, DRIFT, control, "before")
    assert distance.measure == "js"
    assert unjudged.reason.startswith("linf: ")
    (reason,) = found["x"].reason
    assert "Jensen-Shannon" in reason.description


def test_a_feature_that_the_control_lacks_is_an_anomaly_of_its_own() -> None:
    newest = statistics(x=["a", "b"], y=[1, 2])
    asked = schema("BYTES", DRIFT, **{LINF: 0.1})
    found, distances, unjudged = compare(newest, asked, DRIFT, statistics(y=[1, 2]), "before")
    (reason,) = found["x"].reason
    assert reason.short_description == "previous data missing"
    assert (distances, unjudged) == ([], [])


def test_a_feature_without_a_value_is_not_judged() -> None:
    newest = statistics(x=pa.array([None, None], pa.float64()))
    asked = schema("FLOAT", DRIFT, **{JS: 0.1})
    found, distances, (unjudged,) = compare(newest, asked, DRIFT, statistics(x=[1.0, 2.0]), "-")
    assert (found, distances) == ({}, [])
    assert unjudged.reason.startswith("js: ")


def test_breaches_of_the_schema_are_left_to_the_validation() -> None:
    asked = parse_schema(
        'feature { name: "x" type: INT int_domain { max: 5 } presence { min_count: 1 } '
        "drift_comparator { jensen_shannon_divergence { threshold: 0.99 } } }",
        "here",
    )
    newest, control = statistics(x=[1, 2, 9], new=[1, 2, 3]), statistics(x=[1, 2, 3])
    found, (distance,), _ = compare(newest, set_environments(asked, []), DRIFT, control, "before")
    assert found == {}
    assert 0 < distance.value < 0.99


def test_the_number_of_rows_is_compared_where_the_schema_bounds_it() -> None:
    asked = set_environments(
        parse_schema(
            'feature { name: "x" type: INT } dataset_constraints { num_examples_drift_comparator '
            "{ min_fraction_threshold: 0.5 } }",
            "here",
        ),
        [],
    )
    found, _, _ = compare(statistics(x=[1]), asked, DRIFT, statistics(x=[1, 2, 3]), "before")
    assert list(found) == [DATASET_LEVEL]
    found, _, _ = compare(statistics(x=[1, 2]), asked, DRIFT, statistics(x=[1, 2, 3]), "before")
    assert found == {}


def test_the_thresholds_of_a_schema_are_listed_by_measure() -> None:
    asked = schema("BYTES", SKEW, **{LINF: 0.25, NAD: 3})
    assert thresholds_of(asked, SKEW) == {"x": {"linf": 0.25, "nad": 3}}
    assert thresholds_of(asked, DRIFT) == {}


def test_the_statistics_over_all_rows_are_found_among_slices() -> None:
    several = statistics(x=[1, 2])
    several.datasets.add(name="All Examples", num_examples=7)
    assert default_dataset(several).num_examples == 7
    assert default_dataset(statistics(x=[1, 2])).num_examples == 2


def test_a_distance_that_is_not_a_number_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """TFDV would let it pass: nothing is greater than NaN."""
    from mlproject.anomalies import drift

    measured = drift._measured

    def broken(*args: Any) -> Any:
        for distance in measured(*args):
            yield drift.Distance(**{**vars(distance), "value": math.nan})

    monkeypatch.setattr(drift, "_measured", broken)
    asked = schema("FLOAT", DRIFT, **{JS: 0.1})
    same = statistics(x=[1.0, 2.0])
    found, distances, (unjudged,) = compare(same, asked, DRIFT, same, "before")
    assert (found, distances, unjudged.feature) == ({}, [], "x")
