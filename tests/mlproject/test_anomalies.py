"""Anomalies: which kind is found, in which split, and what the policy makes of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mlproject.anomalies import (
    BLOCK,
    WARN,
    Anomalies,
    anomaly_kinds,
    check_policy,
    validate_statistics,
)
from mlproject.errors import ConfigError
from mlproject.examples.reader import to_example_batch
from mlproject.schema import parse_schema, set_environments
from mlproject.statistics import statistics_of_batches

SCHEMA = """
feature {
  name: "hour" type: INT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  int_domain { min: 0 max: 23 }
}
feature {
  name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  float_domain { min: 0.0 }
}
feature {
  name: "payment" type: BYTES presence { min_fraction: 1.0 min_count: 1 }
  shape { dim { size: 1 } } domain: "payment"
}
feature {
  name: "company" type: BYTES presence { min_fraction: 0.5 min_count: 1 }
  value_count { min: 1 max: 1 }
}
string_domain { name: "payment" value: "Cash" value: "Card" }
"""
GOOD = {
    "hour": pa.array([0, 12, 23, 7]),
    "fare": pa.array([5.0, 0.0, 7.25, 9.5]),
    "payment": pa.array(["Cash", "Card", "Card", "Cash"]),
    "company": pa.array(["A", None, "B", None]),
}
# Feature, its columns, and the kind that TensorFlow Metadata gives.
BROKEN = [
    ("hour", {"hour": None}, "SCHEMA_MISSING_COLUMN"),
    ("tolls", {"tolls": pa.array([1.0, 2.0, 3.0, 4.0])}, "SCHEMA_NEW_COLUMN"),
    ("fare", {"fare": pa.array(["5", "x", "7", "9"])}, "UNEXPECTED_DATA_TYPE"),
    ("hour", {"hour": pa.array([0, 12, 24, 7])}, "INT_TYPE_BIG_INT"),
    ("hour", {"hour": pa.array([0, -1, 23, 7])}, "INT_TYPE_SMALL_INT"),
    ("fare", {"fare": pa.array([5.0, -0.5, 7.0, 9.0])}, "FLOAT_TYPE_SMALL_FLOAT"),
    (
        "payment",
        {"payment": pa.array(["Cash", "Card", "Card", "Barter"])},
        "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
    ),
    (
        "company",
        {"company": pa.array(["A", None, None, None])},
        "FEATURE_TYPE_LOW_FRACTION_PRESENT",
    ),
    (
        "company",
        {"company": pa.array([None, None, None, None], pa.string())},
        "FEATURE_TYPE_NOT_PRESENT",
    ),
]


def statistics(**changes: pa.Array | None) -> Any:
    columns = {n: c for n, c in (GOOD | changes).items() if c is not None}
    return statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(columns))])


def validate(
    policy: dict[str, str] | None = None, default: str = BLOCK, **splits: Any
) -> Anomalies:
    schema = set_environments(parse_schema(SCHEMA, "here"), [])
    return validate_statistics(splits.items(), schema, policy or {}, default)


def test_data_that_obeys_the_schema_has_no_anomaly() -> None:
    anomalies = validate(train=statistics(), eval=statistics())
    assert anomalies.found == ()
    assert not anomalies.blocked
    assert anomalies.reasons() == []


@pytest.mark.parametrize(("feature", "changes", "kind"), BROKEN, ids=[b[2] for b in BROKEN])
def test_what_breaks_the_schema_is_found_and_blocks(
    feature: str, changes: dict[str, Any], kind: str
) -> None:
    anomalies = validate(train=statistics(**changes))
    assert (feature, kind, BLOCK) in [(a.feature, a.kind, a.policy) for a in anomalies.found]
    assert {a.feature for a in anomalies.found} == {feature}
    assert anomalies.blocked


@pytest.mark.parametrize(("feature", "changes", "kind"), BROKEN, ids=[b[2] for b in BROKEN])
def test_a_kind_that_only_warns_does_not_block(
    feature: str, changes: dict[str, Any], kind: str
) -> None:
    every = {a.kind for a in validate(train=statistics(**changes)).found}
    assert kind in every
    anomalies = validate(dict.fromkeys(every, WARN), train=statistics(**changes))
    assert {a.policy for a in anomalies.found} == {WARN}
    assert not anomalies.blocked


def test_the_default_policy_holds_for_kinds_that_the_policy_leaves_out() -> None:
    bad = statistics(hour=pa.array([0, 12, 24, 7]), tolls=pa.array([1.0, 2.0, 3.0, 4.0]))
    anomalies = validate({"SCHEMA_NEW_COLUMN": BLOCK}, default=WARN, train=bad)
    assert {a.feature: a.policy for a in anomalies.found} == {"hour": WARN, "tolls": BLOCK}
    assert anomalies.blocked
    assert not validate(default=WARN, train=bad).blocked


def test_an_anomaly_in_the_eval_split_alone_is_told_with_its_split() -> None:
    anomalies = validate(train=statistics(), eval=statistics(hour=pa.array([0, 12, 99, 7])))
    (found,) = anomalies.found
    assert (found.split, found.feature) == ("eval", "hour")
    assert anomalies.blocked


def test_the_reasons_start_with_what_blocks_and_say_what_was_met() -> None:
    bad = statistics(
        payment=pa.array(["Cash", "Card", "Card", "Barter"]), tolls=pa.array([1.0] * 4)
    )
    reasons = validate({"ENUM_TYPE_UNEXPECTED_STRING_VALUES": WARN}, train=bad).reasons()
    assert len(reasons) == 2
    assert reasons[0].startswith("block: tolls (train): ")
    assert reasons[1].startswith("warn: payment (train): ")
    assert "Barter" in reasons[1]
    assert reasons[1].endswith("[ENUM_TYPE_UNEXPECTED_STRING_VALUES]")
    assert all("\n" not in reason for reason in reasons)


def test_an_unknown_kind_in_the_policy_names_the_closest() -> None:
    with pytest.raises(ConfigError) as caught:
        check_policy({"SCHEMA_NEW_COLUM": WARN})
    assert "did you mean 'SCHEMA_NEW_COLUMN'?" in str(caught.value)
    assert "SCHEMA_NEW_COLUM'" in str(caught.value.received)


def test_an_unknown_kind_fails_before_anything_is_validated() -> None:
    with pytest.raises(ConfigError, match="BANANAS"):
        validate({"BANANAS": BLOCK}, train=statistics())


def test_every_kind_of_the_tests_is_one_that_a_policy_may_name() -> None:
    kinds = anomaly_kinds()
    check_policy(dict.fromkeys(kinds, WARN))
    assert {kind for *_, kind in BROKEN} <= set(kinds)
