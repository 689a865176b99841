"""Taking over parts of another schema: features with their domains, and what a person has said."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.anomalies.drift import DRIFT, SKEW, thresholds_of
from mlproject.errors import ConfigError
from mlproject.schema import parse_schema
from mlproject.schema.accept import keep_review, take_features
from mlproject.schema.diff import diff_schemas

BEFORE = """
feature { name: "fare" type: FLOAT float_domain { max: 100 } }
feature { name: "payment" type: BYTES domain: "payment" not_in_environment: "SERVING" }
feature { name: "hour" type: INT drift_comparator { jensen_shannon_divergence { threshold: 0.1 } } }
string_domain { name: "payment" value: "Cash" }
default_environment: "TRAINING"
"""
AFTER = """
feature { name: "fare" type: FLOAT float_domain { max: 250 } }
feature { name: "payment" type: BYTES domain: "payment" not_in_environment: "SERVING" }
feature { name: "hour" type: FLOAT }
feature { name: "zone" type: BYTES domain: "zone" }
string_domain { name: "payment" value: "Cash" value: "Card" }
string_domain { name: "zone" value: "a" }
"""


@pytest.fixture
def before() -> Any:
    return parse_schema(BEFORE, "here")


@pytest.fixture
def after() -> Any:
    return parse_schema(AFTER, "here")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fare"], ["max 100 -> 250"]),
        (["payment"], ["domain +1 value: Card"]),
        (["zone"], ["new feature: presence -, values a row -, domain 'zone', 1 value: a"]),
        ([], []),
    ],
)
def test_only_the_named_features_are_taken(
    names: list[str], expected: list[str], before: Any, after: Any
) -> None:
    taken = take_features(before, after, names)
    assert [change.text for change in diff_schemas(before, taken)] == expected
    assert before == parse_schema(BEFORE, "here")


def test_all_features_taken_leave_the_schema_level_as_it_was(before: Any, after: Any) -> None:
    taken = take_features(before, after, [feature.name for feature in after.feature])
    assert [change.feature for change in diff_schemas(taken, after)] == ["(schema)"]


def test_an_unknown_feature_names_the_closest(before: Any, after: Any) -> None:
    with pytest.raises(ConfigError, match="did you mean 'zone'"):
        take_features(before, after, ["zon"])


def test_an_inferred_schema_keeps_what_no_data_can_say(before: Any, after: Any) -> None:
    del after.feature[1].not_in_environment[:]
    before.feature[0].in_environment.append("TRAINING")
    before.feature[2].skew_comparator.jensen_shannon_divergence.threshold = 0.2
    kept = keep_review(after, before)
    assert list(kept.default_environment) == ["TRAINING"]
    assert list(kept.feature[0].in_environment) == ["TRAINING"]
    assert list(kept.feature[1].not_in_environment) == ["SERVING"]
    assert thresholds_of(kept, DRIFT) == {"hour": {"js": 0.1}}
    assert thresholds_of(kept, SKEW) == {"hour": {"js": 0.2}}
    assert [d.name for d in kept.string_domain] == ["payment", "zone"]
    assert kept.feature[0].float_domain.max == 250
