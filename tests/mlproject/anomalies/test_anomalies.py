"""Anomalies: which kind is found, in which split, and what the policy makes of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mlproject.anomalies import Anomalies, check_policy, validate_statistics
from mlproject.anomalies.severity import BLOCK, IGNORE, NOTE, WARN, anomaly_kinds
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


COMPARED = """
feature {
  name: "payment" type: BYTES presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  drift_comparator { infinity_norm { threshold: 0.2 } }
  skew_comparator { infinity_norm { threshold: 0.2 } }
}
feature {
  name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  drift_comparator { jensen_shannon_divergence { threshold: 0.2 } }
}
feature {
  name: "tips" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
}
"""


def trips(cash: int, served: bool = False, fare: float = 0) -> Any:
    """Ten trips, some of them paid in cash; without tips as they are asked for at serving."""
    columns = {
        "payment": pa.array(["Cash"] * cash + ["Card"] * (10 - cash)),
        "fare": pa.array([fare + i for i in range(10)], pa.float64()),
        "tips": pa.array([1.0] * 10),
    }
    if served:
        del columns["tips"]
    return statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(columns))])


def compared(policy: dict[str, str] | None = None, default: str = BLOCK, **more: Any) -> Anomalies:
    """Validates trips, half of them paid in cash, and compares them."""
    schema = set_environments(parse_schema(COMPARED, "here"), ["tips"])
    splits = [("train", trips(5)), ("eval", trips(5))]
    return validate_statistics(splits, schema, policy or {}, default, **more)


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


def test_statistics_that_have_not_moved_have_no_drift_and_their_distances_are_told() -> None:
    anomalies = compared(previous=trips(6), previous_name="span 11")
    assert anomalies.found == ()
    measured = {(d.comparison, d.feature, d.measure): d for d in anomalies.distances}
    assert measured["drift", "payment", "linf"].value == pytest.approx(0.1)
    assert measured["drift", "payment", "linf"].against == "span 11"
    assert measured["drift", "fare", "js"].value == 0
    assert len(measured) == 2


def test_drift_from_the_previous_span_blocks_and_names_it() -> None:
    anomalies = compared(previous=trips(9, fare=100), previous_name="span 11")
    assert {(a.feature, a.kind, a.policy) for a in anomalies.found} == {
        ("payment", "COMPARATOR_L_INFTY_HIGH", BLOCK),
        ("fare", "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH", BLOCK),
    }
    assert {a.split for a in anomalies.found} == {"train"}
    assert all("Compared with span 11." in reason for reason in anomalies.reasons()[:2])


def test_drift_is_judged_by_the_newest_span_where_the_window_has_several() -> None:
    assert compared(previous=trips(5), newest=trips(5)).found == ()
    (found,) = compared(previous=trips(5), newest=trips(9)).found
    assert (found.feature, found.kind) == ("payment", "COMPARATOR_L_INFTY_HIGH")


def test_drift_that_cannot_be_judged_is_a_note_and_lets_the_run_go_on() -> None:
    anomalies = compared(serving=trips(5, served=True))
    assert anomalies.found == ()
    assert not anomalies.blocked
    assert [(n.feature, n.kind, n.policy) for n in anomalies.notes] == [
        ("payment", "DRIFT_NOT_JUDGED", NOTE),
        ("fare", "DRIFT_NOT_JUDGED", NOTE),
    ]
    (reason,) = anomalies.reasons()
    assert reason == (
        "note: payment, fare (train): drift was not judged: there are no earlier statistics "
        "[DRIFT_NOT_JUDGED]"
    )


def test_a_policy_may_let_what_was_not_judged_block() -> None:
    anomalies = compared({"DRIFT_NOT_JUDGED": BLOCK}, serving=trips(5, served=True))
    assert anomalies.blocked
    assert {a.kind for a in anomalies.found} == {"DRIFT_NOT_JUDGED"}
    assert anomalies.notes == ()


def test_skew_between_training_and_serving_is_found_or_not_or_cannot_be_judged() -> None:
    before = {"previous": trips(5)}
    good = compared(serving=trips(4, served=True), **before)
    assert (good.found, good.notes) == ((), ())
    assert [d.value for d in good.distances if d.comparison == "skew"] == [pytest.approx(0.1)]
    (bad,) = compared(serving=trips(9, served=True), **before).found
    assert (bad.split, bad.feature, bad.kind) == ("train", "payment", "COMPARATOR_L_INFTY_HIGH")
    assert "training and serving" in bad.description
    unjudged = compared(**before)
    assert [(n.feature, n.kind) for n in unjudged.notes] == [("payment", "SKEW_NOT_JUDGED")]


def test_the_serving_statistics_obey_the_schema_in_the_environment_serving() -> None:
    with_tips = compared(previous=trips(5), serving=trips(5))
    (found,) = with_tips.found
    assert (found.split, found.feature, found.kind) == ("serving", "tips", "SCHEMA_NEW_COLUMN")
    without_fare = pa.RecordBatch.from_pydict({"payment": pa.array(["Cash", "Card"])})
    serving = statistics_of_batches([to_example_batch(without_fare)])
    (found,) = compared(previous=trips(5), serving=serving).found
    assert (found.split, found.feature, found.kind) == ("serving", "fare", "SCHEMA_MISSING_COLUMN")


def test_a_feature_with_a_policy_of_its_own_is_judged_by_it() -> None:
    bad = {"previous": trips(9, fare=100), "serving": trips(5, served=True)}
    anomalies = compared(
        features={"fare": WARN, "payment": {"COMPARATOR_L_INFTY_HIGH": IGNORE}}, **bad
    )
    assert not anomalies.blocked
    assert [(a.feature, a.policy) for a in anomalies.found] == [("fare", WARN)]
    assert [(a.feature, a.policy) for a in anomalies.ignored] == [("payment", IGNORE)]
    assert not any("payment" in reason for reason in anomalies.reasons())


def test_a_policy_for_a_feature_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown feature 'fair'.*'fare'"):
        compared(features={"fair": WARN})


def test_a_feature_that_only_the_data_has_may_have_a_policy() -> None:
    schema = set_environments(parse_schema(SCHEMA, "here"), [])
    new = statistics(tolls=pa.array([1.0] * 4))
    anomalies = validate_statistics([("train", new)], schema, {}, BLOCK, features={"tolls": IGNORE})
    assert [a.feature for a in anomalies.ignored] == ["tolls"]
    assert anomalies.found == ()


def test_many_features_that_were_not_judged_share_one_line() -> None:
    text = "".join(
        f'feature {{ name: "f{i}" type: INT drift_comparator '
        "{ jensen_shannon_divergence { threshold: 0.1 } } }"
        for i in range(8)
    )
    columns = {f"f{i}": pa.array([1, 2]) for i in range(8)}
    stats = statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(columns))])
    schema = set_environments(parse_schema(text, "here"), [])
    anomalies = validate_statistics([("train", stats)], schema, {}, BLOCK)
    assert len(anomalies.notes) == 8
    (reason,) = anomalies.reasons()
    assert reason.startswith("note: f0, f1, f2, f3, f4 and 3 more (train): ")
