"""Schemas that cannot be used are refused with every fault named."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.errors import DataError
from mlproject.schema import parse_schema
from mlproject.schema.check import check_schema

FAULTS = [
    ('feature { name: "a" type: INT } feature { name: "a" type: FLOAT }', "two features named 'a'"),
    ('string_domain { name: "d" } string_domain { name: "d" }', "two domains named 'd'"),
    ('feature { name: "a" type: INT int_domain { min: 5 max: 1 } }', "a: min 5 is above max 1"),
    (
        'feature { name: "a" type: FLOAT float_domain { min: nan } }',
        "a: a bound is not a number",
    ),
    (
        'feature { name: "a" type: BYTES string_domain { value: "x" value: "x" } }',
        "a: the domain holds 'x' twice",
    ),
    ('feature { name: "a" type: INT presence { min_count: -1 } }', "a: min_count -1 is below 0"),
    (
        'feature { name: "a" type: BYTES string_domain { value: "x" } '
        "distribution_constraints { min_domain_mass: 1.5 } }",
        "min_domain_mass 1.5 is not between 0 and 1",
    ),
    ('feature { name: "a" type: INT presence { min_fraction: 1.5 } }', "a: min_fraction"),
    ('feature { name: "a" type: INT value_count { min: 3 max: 1 } }', "a: ValueCount.max"),
    ('feature { name: "a" type: INT float_domain { min: 1 } }', "a: The domain"),
    ('feature { name: "a" type: BYTES domain: "nowhere" }', "a: there is no domain 'nowhere'"),
    ('feature { name: "a" }', "a: unspecified type"),
    (
        'feature { name: "a" type: INT int_domain { } distribution_constraints { } }',
        "a: distribution constraints not supported",
    ),
    (
        'feature { name: "a" type: INT presence { min_fraction: 0.5 } shape { dim { size: 1 } } }',
        "shape",
    ),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_schema_that_cannot_be_used_is_refused(text: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        check_schema(parse_schema(text, "here"))
    assert fault in str(caught.value.received)


def test_every_fault_is_named_at_once() -> None:
    text = 'feature { name: "a" type: INT int_domain { min: 5 max: 1 } presence { min_count: -1 } }'
    with pytest.raises(DataError) as caught:
        check_schema(parse_schema(text, "here"))
    assert caught.value.received == "a: min 5 is above max 1; a: min_count -1 is below 0"


def test_a_schema_that_can_be_used_passes(taxi_schema: Any) -> None:
    check_schema(taxi_schema)
    check_schema(parse_schema("", "here"))
