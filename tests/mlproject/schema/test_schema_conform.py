"""Schemas that follow the data: the least change after which TFDV and tf.Transform are content."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.anomalies import validate_statistics
from mlproject.examples.reader import to_example_batch
from mlproject.schema import feature_specs, parse_schema, set_environments
from mlproject.schema.conform import conform_schema, tighten_schema
from mlproject.schema.diff import diff_schemas
from mlproject.statistics import statistics_of_batches

ALWAYS = "presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }"
SCHEMA = f"""
feature {{ name: "hour" type: INT int_domain {{ min: 0 max: 23 }} {ALWAYS} }}
feature {{
  name: "fare" type: FLOAT float_domain {{ min: 0 disallow_nan: true disallow_inf: true }} {ALWAYS}
}}
feature {{ name: "payment" type: BYTES domain: "payment" {ALWAYS} }}
feature {{
  name: "company" type: BYTES presence {{ min_fraction: 0.5 min_count: 1 }}
  value_count {{ min: 1 max: 1 }}
}}
feature {{ name: "asked_at" type: INT not_in_environment: "TRAINING" presence {{ min_count: 1 }} }}
string_domain {{ name: "payment" value: "Cash" value: "Card" }}
"""
GOOD = {
    "hour": [0, 12, 23, 7],
    "fare": [5.0, 0.0, 7.25, 9.5],
    "payment": ["Cash", "Card", "Card", "Cash"],
    "company": ["A", None, "B", None],
}
# Columns that break the schema, and the changes that the schema needs.
BROKEN: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"hour": None}, ["hour  int  stage none -> DEPRECATED (widened)"]),
    (
        {"tolls": [1.0, 2.0, 3.0, 4.0]},
        ["tolls  float  new feature: presence 1.0, values a row [1] (widened)"],
    ),
    (
        {"zone": ["b", "a", "b", "a"]},
        [
            "zone  bytes  new feature: presence 1.0, values a row [1], "
            "domain 'zone', 2 values: a, b (widened)"
        ],
    ),
    (
        {"hour": [0, 12, 24, -7]},
        ["hour  int  min 0 -> -7 (widened)", "hour  int  max 23 -> 24 (widened)"],
    ),
    (
        {"fare": [5.0, -0.5, math.nan, math.inf]},
        [
            "fare  float  min 0 -> -0.5 (widened)",
            "fare  float  NaN allowed (widened)",
            "fare  float  infinities allowed (widened)",
        ],
    ),
    (
        {"payment": ["Cash", "Card", "Barter", "App"]},
        ["payment  bytes  domain +2 values: App, Barter (widened)"],
    ),
    ({"company": ["A", None, None, None]}, ["company  bytes  presence 0.5 -> 0.25 (widened)"]),
    (
        {"company": pa.array([None] * 4, pa.string())},
        [
            "company  bytes  presence 0.5 -> 0 (widened)",
            "company  bytes  present in at least 1 -> 0 rows (widened)",
        ],
    ),
    (
        {"payment": ["Cash", None, "Card", "Card"]},
        [
            "payment  bytes  presence 1.0 -> 0.75 (widened)",
            "payment  bytes  values a row [1] -> 1..1 (widened)",
        ],
    ),
    (
        {"hour": [1.5, 2.0, 3.0, 4.0]},
        [
            "hour  float  type INT -> FLOAT (changed)",
            "hour  float  domain ints (0..23) -> none (widened)",
        ],
    ),
    (
        {"fare": ["5", "x", "x", "9"]},
        [
            "fare  bytes  type FLOAT -> BYTES (changed)",
            "fare  bytes  domain floats (0.., no NaN, no inf) -> strings ('fare', 3 values: "
            "5, 9, x) (changed)",
        ],
    ),
    (
        {"fare": [[1.0], [1.0, 2.0], [1.0], [2.0]]},
        ["fare  float  values a row [1] -> 1..2 (widened)"],
    ),
    ({"asked_at": [1, 2, 3, 4]}, ["asked_at  int  not in TRAINING -> none (changed)"]),
    (
        {"company": [["A"], ["B", "C"], None, None]},
        ["company  bytes  values a row 1..1 -> 1..2 (widened)"],
    ),
]


@pytest.fixture(scope="module")
def schema() -> Any:
    return set_environments(parse_schema(SCHEMA, "here"), [])


def statistics(**changes: Any) -> Any:
    columns = {n: v for n, v in (GOOD | changes).items() if v is not None}
    arrays = {n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in columns.items()}
    return statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(arrays))])


def lines(before: Any, after: Any) -> list[str]:
    return [str(change) for change in diff_schemas(before, after)]


@pytest.mark.parametrize(
    ("changes", "expected"), BROKEN, ids=[f"{n} {', '.join(c[0])}" for n, c in enumerate(BROKEN)]
)
def test_the_schema_changes_where_the_data_breaks_it_and_nowhere_else(
    changes: dict[str, Any], expected: list[str], schema: Any
) -> None:
    data = statistics(**changes)
    after = conform_schema(schema, [data])
    assert lines(schema, after) == expected
    assert validate_statistics([("train", data)], after, {}, "block").found == ()
    assert feature_specs(after)
    assert conform_schema(after, [data]) == after


@pytest.mark.parametrize("first", [0, 1])
def test_the_schema_holds_for_every_split(first: int, schema: Any) -> None:
    splits = [statistics(hour=[0, 30, 1, 1]), statistics(hour=[-4, None, 1, 1])]
    after = conform_schema(schema, [splits[first], splits[1 - first]])
    assert lines(schema, after) == [
        "hour  int  presence 1.0 -> 0.75 (widened)",
        "hour  int  values a row [1] -> 1..1 (widened)",
        "hour  int  min 0 -> -4 (widened)",
        "hour  int  max 23 -> 30 (widened)",
    ]
    named = [("train", splits[0]), ("eval", splits[1])]
    assert validate_statistics(named, after, {}, "block").found == ()


def test_a_share_is_cut_off_to_two_digits(schema: Any) -> None:
    columns = {name: (values * 300)[:1001] for name, values in GOOD.items()}
    columns["fare"] = [None, *columns["fare"][1:]]
    (presence, _) = lines(schema, conform_schema(schema, [statistics(**columns)]))
    assert presence == "fare  float  presence 1.0 -> 0.99 (widened)"


def test_a_share_is_weighted_where_the_rows_are(schema: Any) -> None:
    """One row of four lacks its fare, and weighs as much as the others together."""
    data = statistics(fare=[None, 1.0, 2.0, 3.0])
    (dataset,) = data.datasets
    dataset.weighted_num_examples = 6
    for feature in dataset.features:
        stats = getattr(feature, feature.WhichOneof("stats"))
        weighted = stats.common_stats.weighted_common_stats
        weighted.num_missing = 3.0 * (feature.path.step[0] == "fare")
        weighted.num_non_missing = 6 - weighted.num_missing
    after = conform_schema(schema, [data])
    assert "fare  float  presence 1.0 -> 0.5 (widened)" in lines(schema, after)
    found = validate_statistics([("train", data)], after, {}, "block").found
    assert [anomaly for anomaly in found if anomaly.feature == "fare"] == []


def test_a_domain_that_need_not_hold_everything_stays_while_its_mass_is_kept() -> None:
    text = SCHEMA.replace(
        'domain: "payment"', 'domain: "payment" distribution_constraints { min_domain_mass: 0.7 }'
    )
    schema = set_environments(parse_schema(text, "here"), [])
    once = statistics(payment=["Cash", "Card", "Card", "Barter"])
    assert lines(schema, conform_schema(schema, [once])) == []
    twice = statistics(payment=["Cash", "Card", "App", "Barter"])
    assert lines(schema, conform_schema(schema, [twice])) == [
        "payment  bytes  domain +2 values: App, Barter (widened)"
    ]


def test_numbers_read_without_the_schema_may_be_texts_or_fractions(schema: Any) -> None:
    data = statistics(fare=[1, 2, 3, 4], company=[1, 2, 3, 4])
    assert lines(schema, conform_schema(schema, [data], types_declared=False)) == []
    assert lines(schema, conform_schema(schema, [data]))[0] == (
        "fare  int  type FLOAT -> INT (changed)"
    )
    texts = statistics(hour=["1", "x", "x", "4"])
    assert lines(schema, conform_schema(schema, [texts], types_declared=False))[0] == (
        "hour  bytes  type INT -> BYTES (changed)"
    )


def test_a_new_type_keeps_environments_and_takes_a_free_name_for_its_domain() -> None:
    text = SCHEMA.replace(
        'name: "hour" type: INT', 'name: "hour" type: INT not_in_environment: "SERVING"'
    )
    text += 'string_domain { name: "hour" value: "taken" }'
    schema = set_environments(parse_schema(text, "here"), [])
    after = conform_schema(schema, [statistics(hour=["x", "y", "x", "y"])])
    hour = next(feature for feature in after.feature if feature.name == "hour")
    assert list(hour.not_in_environment) == ["SERVING"]
    assert hour.domain == "hour_"
    assert {d.name: list(d.value) for d in after.string_domain}["hour"] == ["taken"]


def test_a_schema_is_tightened_to_what_the_data_has_where_it_has_a_bound(schema: Any) -> None:
    loose = SCHEMA.replace("min_fraction: 0.5", "min_fraction: 0.1").replace(
        'value: "Card"', 'value: "Card" value: "Never"'
    )
    schema = set_environments(parse_schema(loose, "here"), [])
    data = [statistics(hour=[2, 3, 4, 5]), statistics(hour=[1, 9, 2, 2], company=["A"] * 4)]
    after = tighten_schema(schema, data)
    assert lines(schema, after) == [
        "hour  int  min 0 -> 1 (narrowed)",
        "hour  int  max 23 -> 9 (narrowed)",
        "payment  bytes  domain -1 value: Never (narrowed)",
    ]
    full = [statistics(company=["A", "B", "A", "B"])]
    assert "company  bytes  presence 0.1 -> 1.0 (narrowed)" in lines(
        schema, tighten_schema(schema, full)
    )


def test_a_shared_domain_is_not_tightened_by_one_of_its_features() -> None:
    text = SCHEMA + 'feature { name: "refund" type: BYTES domain: "payment" }'
    schema = set_environments(parse_schema(text, "here"), [])
    data = statistics(payment=["Cash"] * 4, refund=["Card"] * 4)
    assert not any("payment" in line for line in lines(schema, tighten_schema(schema, [data])))


values = {
    "hour": st.one_of(st.none(), st.integers(-5, 40)),
    "fare": st.one_of(st.none(), st.floats(-5, 500, width=32), st.sampled_from([math.inf])),
    "payment": st.one_of(st.none(), st.sampled_from(["Cash", "Card", "App", ""])),
    "company": st.one_of(st.none(), st.text("ab", max_size=2)),
}
TYPES = {"hour": pa.int64(), "fare": pa.float64(), "payment": pa.string(), "company": pa.string()}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_data_obeys_the_schema_that_was_conformed_to_it(data: Any, schema: Any) -> None:
    splits = []
    for _ in range(2):
        rows = data.draw(st.integers(1, 5))
        columns = {
            name: pa.array(data.draw(st.lists(kind, min_size=rows, max_size=rows)), TYPES[name])
            for name, kind in values.items()
        }
        splits.append(statistics(**columns))
    after = conform_schema(schema, splits)
    named = [("train", splits[0]), ("eval", splits[1])]
    assert validate_statistics(named, after, {}, "block").found == ()
    assert feature_specs(after)
    tight = tighten_schema(after, splits)
    assert validate_statistics(named, tight, {}, "block").found == ()
    assert all(change.effect == "narrowed" for change in diff_schemas(after, tight))
