"""Severities: which rule wins, what is not judged, and typing errors."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.anomalies.severity import (
    BLOCK,
    DRIFT_NOT_JUDGED,
    IGNORE,
    NOTE,
    SKEW_NOT_JUDGED,
    WARN,
    Policy,
    anomaly_kinds,
)
from mlproject.errors import ConfigError

ENUM, RANGE = "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "INT_TYPE_BIG_INT"


def test_feature_and_kind_win_over_feature_over_kind_over_default() -> None:
    policy = Policy(
        default=BLOCK,
        kinds={ENUM: WARN, RANGE: WARN},
        features={"company": {ENUM: IGNORE}, "hour": IGNORE},
    )
    assert policy.severity("company", ENUM) == IGNORE
    assert policy.severity("company", RANGE) == WARN
    assert policy.severity("hour", RANGE) == IGNORE
    assert policy.severity("fare", RANGE) == WARN
    assert policy.severity("fare", "SCHEMA_NEW_COLUMN") == BLOCK


@pytest.mark.parametrize("kind", [DRIFT_NOT_JUDGED, SKEW_NOT_JUDGED])
@pytest.mark.parametrize(
    ("policy", "severity"),
    [
        (Policy(default=BLOCK), NOTE),
        (Policy(default=BLOCK, features={"fare": BLOCK}), NOTE),
        (Policy(default=BLOCK, features={"fare": WARN}), NOTE),
        (Policy(features={"fare": IGNORE}), IGNORE),
        (Policy(kinds={DRIFT_NOT_JUDGED: BLOCK, SKEW_NOT_JUDGED: BLOCK}), BLOCK),
        (Policy(features={"fare": {DRIFT_NOT_JUDGED: WARN, SKEW_NOT_JUDGED: WARN}}), WARN),
    ],
)
def test_what_was_not_judged_is_a_note_unless_its_kind_is_named(
    policy: Policy, severity: str, kind: str
) -> None:
    assert policy.severity("fare", kind) == severity


@pytest.mark.parametrize(
    ("policy", "where", "hint"),
    [
        ({"kinds": {"SCHEMA_NEW_COLUM": WARN}}, "validation.policy", "SCHEMA_NEW_COLUMN"),
        ({"kinds": {ENUM: "warning"}}, "validation.policy", "warn"),
        ({"features": {"fair": WARN}}, "validation.features", "fare"),
        ({"features": {"fare": "blok"}}, "validation.features", "block"),
        ({"features": {"fare": {"DRIFT_NOT_JUGED": WARN}}}, "validation.features.fare", "DRIFT"),
        ({"features": {"fare": {RANGE: "note"}}}, "validation.features.fare", "ignore"),
        ({"default": "stop"}, "validation", "one of block, ignore, warn"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_closest(
    policy: dict[str, Any], where: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Policy(**policy).check(["fare", "hour"])
    assert f"Reading `{where}` failed" in str(caught.value)
    assert hint in str(caught.value.expected)


def test_features_are_not_checked_before_they_are_known() -> None:
    policy = Policy(features={"anything": {ENUM: WARN}, "(dataset)": WARN})
    policy.check()
    with pytest.raises(ConfigError, match="anything"):
        policy.check(["fare"])


def test_every_kind_may_stand_in_a_policy() -> None:
    kinds = anomaly_kinds()
    assert {DRIFT_NOT_JUDGED, SKEW_NOT_JUDGED, ENUM, RANGE} <= set(kinds)
    Policy(kinds=dict.fromkeys(kinds, IGNORE)).check()
