"""Edits of one feature's rules: every key set and taken away, and values that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.errors import ConfigError
from mlproject.schema import parse_schema
from mlproject.schema.check import check_schema
from mlproject.schema.diff import diff_schemas
from mlproject.schema.edit import KEYS, edit_feature

SCHEMA = """
feature {
  name: "fare" type: FLOAT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }
  float_domain { min: 0 max: 100 disallow_nan: true }
  drift_comparator { jensen_shannon_divergence { threshold: 0.1 } }
}
feature { name: "hour" type: INT presence { min_fraction: 1 } int_domain { min: 0 max: 23 } }
feature {
  name: "payment" type: BYTES domain: "pay" distribution_constraints { min_domain_mass: 0.9 }
}
feature { name: "refund" type: BYTES domain: "pay" }
feature { name: "company" type: BYTES not_in_environment: "SERVING" }
feature { name: "word" type: BYTES string_domain { value: "a" } }
feature { name: "number" type: BYTES int_domain { min: 1 } }
string_domain { name: "pay" value: "Cash" value: "a, b" }
string_domain { name: "cities" value: "Bern" }
"""
# Feature, edits, and the changes they make.
EDITS = [
    ("fare", ["max=250"], ["max 100 -> 250"]),
    ("fare", ["max=250.5", "min=-1e3"], ["min 0 -> -1000", "max 100 -> 250.5"]),
    ("fare", ["max=", "min="], ["min 0 -> none", "max 100 -> none"]),
    ("hour", ["max=24"], ["max 23 -> 24"]),
    ("number", ["max=5"], ["max none -> 5"]),
    ("fare", ["disallow_nan=", "disallow_inf=true"], ["NaN allowed", "infinities refused"]),
    ("fare", ["disallow_nan=false"], ["NaN allowed"]),
    (
        "fare",
        ["min_fraction=0.98"],
        ["presence 1.0 -> 0.98", "values a row [1] -> 1..1"],
    ),
    ("fare", ["min_fraction="], ["presence 1.0 -> 0", "values a row [1] -> 1..1"]),
    ("hour", ["min_fraction=0"], ["presence 1.0 -> 0"]),
    ("fare", ["min_count=50"], ["present in at least 1 -> 50 rows"]),
    ("fare", ["min_count="], ["present in at least 1 -> 0 rows"]),
    ("word", ["domain.add=b", "domain.add=c=d, e"], ["domain +2 values: b, c=d, e"]),
    ("word", ["domain.add=b", "domain.remove=a"], ["domain +1 value: b", "domain -1 value: a"]),
    ("company", ["domain.add=A"], ["domain none -> strings ('company', 1 value: A)"]),
    ("company", ["domain=cities"], ["domain none -> strings ('cities', 1 value: Bern)"]),
    (
        "payment",
        ["domain="],
        [
            "domain strings ('pay', 2 values: Cash, a, b) -> none",
            "share in the domain 0.9 -> 1.0",
        ],
    ),
    ("payment", ["min_domain_mass=0.5"], ["share in the domain 0.9 -> 0.5"]),
    ("payment", ["min_domain_mass="], ["share in the domain 0.9 -> 1.0"]),
    ("hour", ["not_in=SERVING"], ["not in none -> SERVING"]),
    ("company", ["not_in="], ["not in SERVING -> none"]),
    ("hour", ["type=float"], ["type INT -> FLOAT", "domain ints (0..23) -> none"]),
    ("hour", ["type=BYTES"], ["type INT -> BYTES"]),
    ("fare", ["drift.js=0.2"], ["drift.js 0.1 -> 0.2"]),
    ("fare", ["drift.js="], ["drift.js 0.1 -> none"]),
    (
        "payment",
        ["drift.linf=0.01", "skew.nad=3"],
        ["drift.linf none -> 0.01", "skew.nad none -> 3"],
    ),
    ("payment", ["skew.js=0.1"], ["skew.js none -> 0.1"]),
    ("fare", ["max=100"], []),
]


@pytest.fixture
def schema() -> Any:
    return parse_schema(SCHEMA, "here")


@pytest.mark.parametrize(("feature", "edits", "expected"), EDITS, ids=[str(e[:2]) for e in EDITS])
def test_an_edit_changes_what_it_names_and_nothing_else(
    feature: str, edits: list[str], expected: list[str], schema: Any
) -> None:
    after = edit_feature(schema, feature, edits)
    changes = diff_schemas(schema, after)
    assert [change.text for change in changes] == expected
    assert {change.feature for change in changes} <= {feature}
    assert schema == parse_schema(SCHEMA, "here")
    check_schema(after)


def test_every_key_is_tried() -> None:
    assert {edit.partition("=")[0] for _, edits, _ in EDITS for edit in edits} >= {
        key for key in KEYS if key not in ("drift.nad", "skew.linf")
    }


def test_a_shared_domain_changes_for_all_its_features(schema: Any) -> None:
    after = edit_feature(schema, "payment", ["domain.add=Card"])
    changes = [(change.feature, change.text) for change in diff_schemas(schema, after)]
    assert changes == [("payment", "domain +1 value: Card"), ("refund", "domain +1 value: Card")]


def test_a_new_domain_takes_a_name_that_is_free(schema: Any) -> None:
    schema.string_domain.add(name="company", value=["other"])
    after = edit_feature(schema, "company", ["domain.add=A"])
    assert after.feature[4].domain == "company_"


# Feature, edit, and a word of what was expected.
WRONG = [
    ("fair", "max=1", "did you mean 'fare'?"),
    ("fare", "mx=1", "did you mean 'max'?"),
    ("fare", "max", "KEY=VALUE"),
    ("fare", "=1", "one of"),
    ("fare", "max=much", "a number"),
    ("fare", "max=nan", "a number from"),
    ("hour", "max=1.5", "a whole number"),
    ("hour", "max=9223372036854775808", "64 bits"),
    ("payment", "max=1", "texts have domain.add"),
    ("fare", "min_fraction=1.5", "from 0 to 1"),
    ("fare", "min_count=-1", "0 or more"),
    ("hour", "disallow_nan=true", "type FLOAT"),
    ("fare", "disallow_nan=yes", "true or false"),
    ("fare", "domain.add=x", "a feature of texts"),
    ("number", "domain.add=x", "a feature of texts"),
    ("word", "domain.add=a", "does not have yet"),
    ("payment", "domain.remove=Cahs", "did you mean 'Cash'?"),
    ("payment", "domain=citys", "did you mean 'cities'?"),
    ("payment", "min_domain_mass=2", "from 0 to 1"),
    ("hour", "not_in=SERVICE", "SERVING"),
    ("hour", "type=INTEGER", "INT"),
    ("fare", "drift.linf=0.1", "drift.js"),
    ("fare", "drift.js=1.5", "from 0 to 1"),
    ("company", "skew.linf=0.1", "in SERVING"),
    ("hour", "skew.js=0.1", "in SERVING"),
]


@pytest.mark.parametrize(("feature", "edit", "word"), WRONG, ids=[f"{w[0]} {w[1]}" for w in WRONG])
def test_what_does_not_fit_is_refused(feature: str, edit: str, word: str, schema: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        edit_feature(schema, feature, [edit], training_only=("hour",))
    assert word in str(caught.value.expected)
