"""Rules of features in words, as `benison schema show` prints them."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.schema import parse_schema
from mlproject.schema.rules import listed, number, read_rules, share


def rules(text: str) -> Any:
    (own,) = read_rules(parse_schema(text, "here")).values()
    return own


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("type: INT", ""),
        ("type: INT int_domain { min: 1 max: 77 }", "1..77"),
        ("type: FLOAT float_domain { min: 0 }", "0.."),
        ("type: FLOAT float_domain { max: 0.1 disallow_nan: true }", "..0.1, no NaN"),
        ("type: FLOAT float_domain { disallow_inf: true }", "no inf"),
        ("type: INT int_domain { is_categorical: true }", "is_categorical: true"),
        ('type: BYTES domain: "d"', "'d', 2 values: a, b"),
        ('type: BYTES string_domain { value: "a" }', "1 value: a"),
        ("type: INT bool_domain { }", "bool"),
        ('type: BYTES bool_domain { true_value: "y" false_value: "n" }', "bool y, n"),
        ('type: BYTES domain: "gone"', "'gone', 0 values: "),
    ],
)
def test_a_domain_in_words(domain: str, text: str) -> None:
    shared = 'string_domain { name: "d" value: "a" value: "b" }'
    assert str(rules(f'feature {{ name: "x" {domain} }} {shared}').domain) == text


@pytest.mark.parametrize(
    ("text", "presence", "values"),
    [
        ("", "-", "-"),
        ("presence { min_fraction: 1 } shape { dim { size: 2 } dim { size: 3 } }", "1.0", "[2, 3]"),
        ("presence { min_fraction: 0.98 } value_count { min: 1 }", "0.98", "1.."),
        ("presence { min_count: 5 } value_count { max: 3 }", ">= 5 rows", "0..3"),
        ("shape { }", "-", "[]"),
    ],
)
def test_presence_and_number_of_values_in_words(text: str, presence: str, values: str) -> None:
    own = rules(f'feature {{ name: "x" type: INT {text} }}')
    assert (own.presence_text, own.values_text) == (presence, values)


def test_what_has_no_word_of_its_own_is_kept_as_text() -> None:
    own = rules('feature { name: "x" type: BYTES url_domain { } annotation { tag: "pii" } }')
    assert own.rest == 'annotation { tag: "pii" } url_domain { }'
    assert own.stage == ""


def test_numbers_and_lists_for_people() -> None:
    assert [number(value) for value in (None, 5, 250.0, 1e30, float("inf"), -0.5)] == [
        *("none", "5", "250", "1e+30", "inf", "-0.5"),
    ]
    assert [share(value) for value in (1, 0.98, 0, 1 / 3)] == ["1.0", "0.98", "0", "0.333333"]
    assert listed(("a", "", "c"), most=2) == "a, '' and 1 more"
