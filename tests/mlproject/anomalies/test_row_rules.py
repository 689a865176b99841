"""Rules for single rows: they agree with TFDV's verdict on the statistics of that row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv

from mlproject.anomalies.cells import Cells
from mlproject.anomalies.row_rules import ROW_KINDS, row_rules
from mlproject.anomalies.severity import anomaly_kinds
from mlproject.examples.reader import to_example_batch
from mlproject.schema import SERVING, TRAINING, parse_schema, set_environments
from mlproject.statistics import statistics_of_batches

ALWAYS = "presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }"
LISTS = "presence { min_fraction: 1 min_count: 1 } value_count { min: 2 max: 3 }"
WORDS = pa.array(["a", "b", "c", "", "A", " a", None, "é"])
NUMBERS_AS_TEXT = pa.array(
    [
        "5",
        "+7",
        " 9 ",
        "-1",
        "10",
        "11",
        "1.5",
        "abc",
        "",
        "9223372036854775808",
        "nan",
        "inf",
        None,
    ]
)
WHOLE = pa.array([0, 1, 2, -1, 10, 11, 2**52, -(2**52), None])
FLOATS = pa.array(
    [
        0.0,
        0.1,
        -0.1,
        -0.2,
        100.0,
        100.1,
        100.2,
        math.nan,
        math.inf,
        -math.inf,
        1e300,
        1.0,
        0.5,
        None,
    ]
)
# Rules of a feature `x`, and a column.
CASES: Mapping[str, tuple[str, pa.Array]] = {
    "strings": (f'type: BYTES domain: "shared" {ALWAYS}', WORDS),
    "own strings": (f'type: BYTES string_domain {{ value: "a" value: "" }} {ALWAYS}', WORDS),
    "ints": (f"type: INT int_domain {{ min: 0 max: 10 }} {ALWAYS}", WHOLE),
    "ints, no bound": (f"type: INT int_domain {{ }} {ALWAYS}", WHOLE),
    "ints as text": (f"type: BYTES int_domain {{ min: 0 max: 10 }} {ALWAYS}", NUMBERS_AS_TEXT),
    "floats": (f"type: FLOAT float_domain {{ min: -0.1 max: 100.1 }} {ALWAYS}", FLOATS),
    "finite floats": (
        f"type: FLOAT float_domain {{ disallow_nan: true disallow_inf: true }} {ALWAYS}",
        FLOATS,
    ),
    "floats as text": (
        f"type: BYTES float_domain {{ max: 10.5 disallow_nan: true }} {ALWAYS}",
        NUMBERS_AS_TEXT,
    ),
    "bool ints": (f"type: INT bool_domain {{ }} {ALWAYS}", WHOLE),
    "bool floats": (f"type: FLOAT bool_domain {{ }} {ALWAYS}", FLOATS),
    "bool words": (
        f'type: BYTES bool_domain {{ true_value: "a" false_value: "b" }} {ALWAYS}',
        WORDS,
    ),
    "no domain": (f"type: BYTES {ALWAYS}", WORDS),
    "wrong type": (f"type: INT {ALWAYS}", FLOATS),
    "wrong type and domain": (f"type: INT int_domain {{ min: 0 max: 10 }} {ALWAYS}", FLOATS),
    "text for a number": (f"type: FLOAT float_domain {{ max: 5 }} {ALWAYS}", NUMBERS_AS_TEXT),
    "lists": (
        f"type: INT int_domain {{ min: 0 max: 10 }} {LISTS}",
        pa.array([[1, 2], [1], [1, 2, 3, 4], [1, 99, -5], None, [0, 10, 5]]),
    ),
    "lists of texts": (
        f'type: BYTES domain: "shared" {LISTS}',
        pa.array([["a", "b"], ["a", "x"], ["y"], None, ["x", "y", "z", "z"]]),
    ),
    "a shape of two": (
        "type: FLOAT presence { min_fraction: 1 } shape { dim { size: 2 } dim { size: 1 } }",
        pa.array([[1.0, 2.0], [1.0], [1.0, 2.0, 3.0], None]),
    ),
    "bytes": (
        f'type: BYTES domain: "shared" {ALWAYS}',
        pa.array([b"a", b"zz", b"\xff\xfe", None], pa.binary()),
    ),
    "deprecated": (
        f"type: INT lifecycle_stage: DEPRECATED int_domain {{ max: 1 }} {ALWAYS}",
        WHOLE,
    ),
}


def schema(rules: str) -> Any:
    text = (
        f'feature {{ name: "x" {rules} }} string_domain {{ name: "shared" value: "a" value: "b" }}'
    )
    return set_environments(parse_schema(text, "here"), [])


def ours(rules: str, column: pa.Array) -> list[set[str]]:
    """The kinds of faults of each row."""
    found: list[set[str]] = [set() for _ in range(len(column))]
    columns = pa.schema([("x", column.type)])
    for rule in row_rules(schema(rules), columns, TRAINING):
        rows, _ = rule.find(Cells(column))
        assert len(set(rows.tolist())) == len(rows)
        for row in rows.tolist():
            found[row].add(rule.kind)
    return found


def tfdv_verdict(rules: str, column: pa.Array) -> set[str]:
    """The kinds of anomalies of a column of one row."""
    statistics = statistics_of_batches(
        [to_example_batch(pa.RecordBatch.from_pydict({"x": column}))]
    )
    result = tfdv.validate_statistics(statistics, schema(rules), environment=TRAINING)
    return {
        type(info).Type.Name(reason.type)
        for info in result.anomaly_info.values()
        for reason in info.reason
    }


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_each_row_is_judged_as_tfdv_judges_it(case: str) -> None:
    rules, column = CASES[case]
    judged = ours(rules, column)
    for row, mine in enumerate(judged):
        theirs = tfdv_verdict(rules, column.slice(row, 1))
        # A data set of one row without a value has dropped the column.
        theirs = {
            "FEATURE_TYPE_LOW_FRACTION_PRESENT" if kind == "FEATURE_TYPE_NOT_PRESENT" else kind
            for kind in theirs - {"DOMAIN_INVALID_FOR_TYPE"}
        }
        assert mine == theirs, f"row {row}: {column[row]}"
    assert any(judged) == (case != "deprecated")


def test_a_missing_value_is_no_fault_where_some_rows_may_lack_it() -> None:
    assert not any(ours("type: BYTES presence { min_fraction: 0.99 }", WORDS))


def test_every_kind_is_one_of_tensorflow_metadata() -> None:
    assert set(ROW_KINDS) <= set(anomaly_kinds())


def test_whole_numbers_are_compared_exactly_where_statistics_hold_doubles() -> None:
    bound = 2**53
    rules = f"type: INT int_domain {{ max: {bound} }} {ALWAYS}"
    assert ours(rules, pa.array([bound, bound + 1])) == [set(), {"INT_TYPE_BIG_INT"}]


def test_a_value_outside_the_domain_is_found_though_the_mass_permits_it() -> None:
    rules = (
        f'type: BYTES domain: "shared" distribution_constraints {{ min_domain_mass: 0.9 }} {ALWAYS}'
    )
    column = pa.array(["a"] * 19 + ["x"])
    assert tfdv_verdict(rules, column) == set()
    (rule,) = [
        rule
        for rule in row_rules(schema(rules), pa.schema([("x", pa.string())]), TRAINING)
        if rule.kind == "ENUM_TYPE_UNEXPECTED_STRING_VALUES"
    ]
    rows, values = rule.find(Cells(column))
    assert (rows.tolist(), values.to_pylist()) == ([19], ["x"])
    assert "permits 0.1 of the values to be outside" in rule.reason


def test_the_first_value_of_a_row_that_breaks_the_rule_is_told() -> None:
    rules = f"type: INT int_domain {{ max: 10 }} {LISTS}"
    columns = pa.schema([("x", pa.list_(pa.int64()))])
    (rule,) = [
        r for r in row_rules(schema(rules), columns, TRAINING) if r.kind == "INT_TYPE_BIG_INT"
    ]
    rows, values = rule.find(Cells(pa.array([[1, 2], [3, 40, 50], None, [60]])))
    assert rows.tolist() == [1, 3]
    assert values.to_pylist() == ["40", "60"]


def test_a_feature_is_held_to_its_rules_in_its_environments_only() -> None:
    rules = schema(f'not_in_environment: "SERVING" type: INT int_domain {{ max: 1 }} {ALWAYS}')
    columns = pa.schema([("x", pa.int64())])
    assert row_rules(rules, columns, SERVING) == []
    assert len(row_rules(rules, columns, TRAINING)) == 3


def test_columns_that_the_schema_does_not_know_have_no_rules() -> None:
    rules = schema(f"type: INT int_domain {{ max: 1 }} {ALWAYS}")
    assert row_rules(rules, pa.schema([("y", pa.int64())]), TRAINING) == []


def test_a_missing_value_breaks_a_shape_where_no_presence_is_asked_for() -> None:
    """TFDV says so of the whole column: a feature with a shape must be in every row."""
    rules = "type: INT shape { dim { size: 1 } } presence { min_count: 1 }"
    assert ours(rules, pa.array([1, None])) == [set(), {"INVALID_FEATURE_SHAPE"}]
    assert tfdv_verdict(rules, pa.array([1, None])) == {"INVALID_FEATURE_SHAPE"}
