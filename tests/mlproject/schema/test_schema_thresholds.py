"""Thresholds for all features: the measure that fits each, and none that is there is lost."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.anomalies.drift import DRIFT, SKEW, thresholds_of
from mlproject.errors import ConfigError
from mlproject.schema import parse_schema
from mlproject.schema.thresholds import set_thresholds

SCHEMA = """
feature {
  name: "fare" type: FLOAT drift_comparator { jensen_shannon_divergence { threshold: 0.1 } }
}
feature { name: "hour" type: INT }
feature { name: "payment" type: BYTES }
feature { name: "company" type: BYTES not_in_environment: "SERVING" }
feature { name: "nested" type: STRUCT }
"""


@pytest.fixture
def schema() -> Any:
    return parse_schema(SCHEMA, "here")


def test_thresholds_for_all_keep_those_that_are_there(schema: Any) -> None:
    after = set_thresholds(set_thresholds(schema, DRIFT, 0.3), SKEW, 0.2, training_only=("hour",))
    assert thresholds_of(after, DRIFT) == {
        "fare": {"js": 0.1},
        "hour": {"js": 0.3},
        **{name: {"linf": 0.3} for name in ("payment", "company")},
    }
    assert set(thresholds_of(after, SKEW)) == {"fare", "payment"}
    assert thresholds_of(schema, SKEW) == {}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_from_0_to_1(threshold: float, schema: Any) -> None:
    with pytest.raises(ConfigError, match="--drift"):
        set_thresholds(schema, DRIFT, threshold)
