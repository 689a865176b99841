"""Differences between schemas: every rule in words, and whether data is let in or kept out."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.schema import parse_schema
from mlproject.schema.diff import CHANGED, NARROWED, SCHEMA_LEVEL, WIDENED, diff_schemas

OPPOSITE = {WIDENED: NARROWED, NARROWED: WIDENED, CHANGED: CHANGED}
# Rules of a feature before and after, what is said of it, and its effect.
CHANGES = [
    ("type: INT", "type: FLOAT", "type INT -> FLOAT", CHANGED),
    (
        "type: INT presence { min_fraction: 1 }",
        "type: INT presence { min_fraction: 0.98 }",
        "presence 1.0 -> 0.98",
        WIDENED,
    ),
    (
        "type: INT presence { min_count: 10 }",
        "type: INT presence { min_count: 3 }",
        "present in at least 10 -> 3 rows",
        WIDENED,
    ),
    ("type: INT", "type: INT lifecycle_stage: DEPRECATED", "stage none -> DEPRECATED", WIDENED),
    (
        "type: INT shape { dim { size: 1 } }",
        "type: INT value_count { min: 1 max: 1 }",
        "values a row [1] -> 1..1",
        WIDENED,
    ),
    (
        "type: INT value_count { min: 1 max: 1 }",
        "type: INT value_count { min: 1 max: 3 }",
        "values a row 1..1 -> 1..3",
        WIDENED,
    ),
    (
        "type: INT value_count { min: 2 max: 3 }",
        "type: INT value_count { min: 1 max: 2 }",
        "values a row 2..3 -> 1..2",
        CHANGED,
    ),
    ("type: INT value_count { max: 2 }", "type: INT", "values a row 0..2 -> -", WIDENED),
    (
        "type: INT shape { dim { size: 1 } }",
        "type: INT shape { dim { size: 2 } }",
        "values a row [1] -> [2]",
        CHANGED,
    ),
    (
        "type: FLOAT float_domain { max: 100 }",
        "type: FLOAT float_domain { max: 250 }",
        "max 100 -> 250",
        WIDENED,
    ),
    (
        "type: FLOAT float_domain { min: 0.1 }",
        "type: FLOAT float_domain { }",
        "min 0.1 -> none",
        WIDENED,
    ),
    (
        "type: INT int_domain { min: 0 max: 5 }",
        "type: INT int_domain { min: 1 max: 5 }",
        "min 0 -> 1",
        NARROWED,
    ),
    (
        "type: FLOAT float_domain { disallow_nan: true }",
        "type: FLOAT float_domain { }",
        "NaN allowed",
        WIDENED,
    ),
    (
        "type: FLOAT float_domain { }",
        "type: FLOAT float_domain { disallow_inf: true }",
        "infinities refused",
        NARROWED,
    ),
    (
        'type: BYTES string_domain { value: "a" }',
        'type: BYTES string_domain { value: "a" value: "b" value: "" value: "c" }',
        "domain +3 values: b, '', c",
        WIDENED,
    ),
    (
        'type: BYTES string_domain { value: "a" value: "b" }',
        'type: BYTES string_domain { value: "b" }',
        "domain -1 value: a",
        NARROWED,
    ),
    (
        'type: BYTES bool_domain { true_value: "y" }',
        'type: BYTES bool_domain { true_value: "j" }',
        "words y -> j",
        CHANGED,
    ),
    (
        "type: INT int_domain { min: 0 max: 5 }",
        "type: INT",
        "domain ints (0..5) -> none",
        WIDENED,
    ),
    (
        "type: INT int_domain { min: 0 }",
        "type: INT bool_domain { }",
        "domain ints (0..) -> bool",
        CHANGED,
    ),
    (
        'type: BYTES domain: "d" distribution_constraints { min_domain_mass: 0.9 }',
        'type: BYTES domain: "d"',
        "share in the domain 0.9 -> 1.0",
        NARROWED,
    ),
    (
        "type: INT",
        'type: INT not_in_environment: "SERVING"',
        "not in none -> SERVING",
        CHANGED,
    ),
    (
        "type: INT drift_comparator { jensen_shannon_divergence { threshold: 0.1 } }",
        "type: INT drift_comparator { jensen_shannon_divergence { threshold: 0.2 } }",
        "drift.js 0.1 -> 0.2",
        WIDENED,
    ),
    (
        "type: BYTES",
        "type: BYTES skew_comparator { infinity_norm { threshold: 0.01 } }",
        "skew.linf none -> 0.01",
        NARROWED,
    ),
    (
        "type: BYTES unique_constraints { min: 1 max: 5 }",
        "type: BYTES",
        "unique_constraints { min: 1 max: 5 } -> nothing",
        CHANGED,
    ),
    (
        "type: INT int_domain { is_categorical: true }",
        "type: INT int_domain { }",
        "is_categorical: true -> nothing",
        CHANGED,
    ),
]


def schema(rules: str, more: str = "") -> Any:
    shared = 'string_domain { name: "d" value: "x" value: "y" }'
    return parse_schema(f'feature {{ name: "fare" {rules} }} {shared} {more}', "here")


@pytest.mark.parametrize(
    ("before", "after", "text", "effect"), CHANGES, ids=[c[2] for c in CHANGES]
)
def test_a_change_is_told_with_its_effect(before: str, after: str, text: str, effect: str) -> None:
    (change,) = diff_schemas(schema(before), schema(after))
    assert (change.feature, change.text, change.effect) == ("fare", text, effect)
    assert change.type == after.split()[1].lower()
    assert change.needs_consent == (effect != NARROWED)
    assert str(change) == f"fare  {change.type}  {text} ({effect})"


@pytest.mark.parametrize(
    ("before", "after", "text", "effect"), CHANGES, ids=[c[2] for c in CHANGES]
)
def test_the_way_back_has_the_opposite_effect(
    before: str, after: str, text: str, effect: str
) -> None:
    (change,) = diff_schemas(schema(after), schema(before))
    assert change.effect == OPPOSITE[effect]


def test_equal_schemas_differ_in_nothing(taxi_schema: Any) -> None:
    assert diff_schemas(taxi_schema, taxi_schema) == ()


def test_the_order_of_features_and_values_is_no_difference() -> None:
    one = parse_schema('feature { name: "a" } feature { name: "b" }', "here")
    other = parse_schema('feature { name: "b" } feature { name: "a" }', "here")
    assert diff_schemas(one, other) == ()
    values = [
        schema(f"type: BYTES string_domain {{ {order} }}")
        for order in ('value: "a" value: "b"', 'value: "b" value: "a"')
    ]
    assert diff_schemas(*values) == ()


def test_a_new_and_a_removed_feature_need_consent() -> None:
    more = 'feature { name: "zone" type: BYTES domain: "d" presence { min_fraction: 1 } }'
    (new,) = diff_schemas(schema("type: INT"), schema("type: INT", more))
    assert (new.feature, new.type, new.effect) == ("zone", "bytes", WIDENED)
    assert new.text == "new feature: presence 1.0, values a row -, domain 'd', 2 values: x, y"
    (removed,) = diff_schemas(schema("type: INT", more), schema("type: INT"))
    assert (removed.feature, removed.text) == ("zone", "feature removed")
    assert removed.needs_consent


def test_a_shared_domain_changes_every_feature_that_refers_to_it() -> None:
    text = """
    feature { name: "from" type: BYTES domain: "d" } feature { name: "to" type: BYTES domain: "d" }
    string_domain { name: "d" value: "x" %s }
    """
    changes = diff_schemas(
        parse_schema(text % "", "here"), parse_schema(text % 'value: "y"', "here")
    )
    assert [(c.feature, c.text) for c in changes] == [
        ("from", "domain +1 value: y"),
        ("to", "domain +1 value: y"),
    ]


def test_an_inline_domain_of_the_same_values_is_no_wider() -> None:
    inline = schema('type: BYTES string_domain { value: "x" value: "y" }')
    (change,) = diff_schemas(schema('type: BYTES domain: "d"'), inline)
    assert (change.text, change.effect) == ("domain named 'd' -> ''", CHANGED)


def test_many_values_are_counted_and_some_are_listed() -> None:
    values = " ".join(f'value: "v{i:02}"' for i in range(30))
    (change,) = diff_schemas(
        schema("type: BYTES string_domain { }"), schema(f"type: BYTES string_domain {{ {values} }}")
    )
    assert change.text == "domain +30 values: v00, v01, v02, v03, v04, v05, v06, v07 and 22 more"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ('default_environment: "TRAINING"', "default_environment differs"),
        ("dataset_constraints { min_examples_count: 5 }", "dataset_constraints differs"),
        ('string_domain { name: "e" value: "z" }', "the unused domain 'e' differs"),
    ],
)
def test_what_belongs_to_no_feature_is_told_too(more: str, text: str) -> None:
    rules = 'type: BYTES domain: "d"'
    (change,) = diff_schemas(schema(rules), schema(rules, more))
    assert (change.feature, change.text, change.effect) == (SCHEMA_LEVEL, text, CHANGED)


def test_32_bit_bounds_are_written_as_they_were_typed() -> None:
    (change,) = diff_schemas(
        schema("type: FLOAT float_domain { max: 0.1 }"),
        schema("type: FLOAT float_domain { max: 1e30 }"),
    )
    assert change.text == "max 0.1 -> 1e+30"
