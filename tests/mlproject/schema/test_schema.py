"""Schemas: inferred over every split, reviewed files, environments, and what tf.Transform reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from mlproject.anomalies import validate_statistics
from mlproject.errors import ConfigError, DataError
from mlproject.examples.reader import to_example_batch
from mlproject.schema import (
    SCHEMA_FILE,
    SERVING,
    TRAINING,
    feature_specs,
    infer_schema,
    is_in_environment,
    parse_schema,
    read_schema,
    serving_features,
    set_environments,
    write_schema,
)
from mlproject.statistics import statistics_of_batches

REVIEWED = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
feature { name: "company" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "tips" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
"""
# A column of each kind: always there, missing in one row, never there; of each type.
FULL = {"i": pa.array([3, 4, 5]), "f": pa.array([0.5, 1.5, 2.5]), "s": pa.array(["a", "b", "a"])}
HOLED = {
    "i": pa.array([3, None, 5]),
    "f": pa.array([0.5, 1.5, None]),
    "s": pa.array([None, "c", "a"]),
}
EMPTY = {
    "i": pa.array([None] * 3, pa.int64()),
    "f": pa.array([None] * 3, pa.float64()),
    "s": pa.array([None] * 3, pa.string()),
}
TYPES = {"i": tf.int64, "f": tf.float32, "s": tf.string}


def statistics(columns: dict[str, pa.Array]) -> Any:
    return statistics_of_batches([to_example_batch(pa.RecordBatch.from_pydict(columns))])


def test_a_feature_that_is_always_there_is_fixed_and_one_that_may_be_missing_is_sparse() -> None:
    columns = {"always": FULL["f"], "often": HOLED["f"]}
    specs = feature_specs(infer_schema([statistics(columns)]))
    assert specs == {
        "always": tf.io.FixedLenFeature([1], tf.float32),
        "often": tf.io.VarLenFeature(tf.float32),
    }


@pytest.mark.parametrize(
    ("train", "evaluation"),
    [(FULL, HOLED), (HOLED, FULL), (FULL, EMPTY), (EMPTY, FULL), (HOLED, EMPTY), (EMPTY, HOLED)],
    ids=["full-holed", "holed-full", "full-empty", "empty-full", "holed-empty", "empty-holed"],
)
def test_an_inferred_schema_holds_for_every_split_in_any_order(
    train: dict[str, pa.Array], evaluation: dict[str, pa.Array]
) -> None:
    splits = {"train": statistics(train), "eval": statistics(evaluation)}
    schema = infer_schema(splits.values())
    assert feature_specs(schema) == {n: tf.io.VarLenFeature(t) for n, t in TYPES.items()}
    checked = set_environments(schema, [])
    assert validate_statistics(splits.items(), checked, {}, "block").found == ()


def test_the_domain_of_a_string_holds_the_values_of_every_split_in_order() -> None:
    schema = infer_schema([statistics({"s": pa.array(["b", "d"])}), statistics(HOLED)])
    (domain,) = schema.string_domain
    assert list(domain.value) == ["a", "b", "c", "d"]


def test_the_share_of_rows_of_a_later_split_is_cut_off_to_two_digits() -> None:
    later = {"f": pa.array([None] + [1.0] * 998)}
    schema = infer_schema([statistics({"f": FULL["f"]}), statistics(later)])
    assert schema.feature[0].presence.min_fraction == 0.99


def test_a_feature_is_in_an_environment_as_tfdv_sees_it() -> None:
    schema = set_environments(parse_schema(REVIEWED, "here"), ["tips"])
    fare, _, tips = schema.feature
    assert is_in_environment(fare, schema, SERVING)
    assert not is_in_environment(tips, schema, SERVING)
    assert is_in_environment(tips, schema, TRAINING)
    assert not is_in_environment(fare, schema, "STAGING")
    fare.in_environment.append("STAGING")
    assert is_in_environment(fare, schema, "STAGING")


def test_the_environments_are_set_on_a_copy() -> None:
    schema = parse_schema(REVIEWED, "here")
    result = set_environments(schema, ["tips"])
    assert list(result.default_environment) == [TRAINING, SERVING]
    assert serving_features(result) == ("fare", "company")
    assert list(schema.default_environment) == []
    assert serving_features(schema) == ("fare", "company", "tips")


def test_setting_the_environments_twice_changes_nothing() -> None:
    once = set_environments(parse_schema(REVIEWED, "here"), ["tips"])
    assert set_environments(once, ["tips"]) == once


def test_a_feature_bound_to_other_environments_is_not_served() -> None:
    schema = parse_schema(REVIEWED, "here")
    schema.feature[0].in_environment.append(TRAINING)
    schema.feature[1].in_environment.append(SERVING)
    assert serving_features(set_environments(schema, [])) == ("company", "tips")


def test_a_feature_in_training_only_does_not_raise_an_anomaly_in_training() -> None:
    columns = {"fare": FULL["f"], "company": FULL["s"], "tips": FULL["f"]}
    schema = set_environments(parse_schema(REVIEWED, "here"), ["tips"])
    splits = [("train", statistics(columns))]
    assert validate_statistics(splits, schema, {}, "block").found == ()
    del columns["tips"]
    (found,) = validate_statistics([("train", statistics(columns))], schema, {}, "block").found
    assert found.feature == "tips"


def test_an_unknown_training_only_column_gets_a_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        set_environments(parse_schema(REVIEWED, "here"), ["tip"])
    assert caught.value.received == "schema.training_only: tip"
    assert "did you mean 'tips'?" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["feature { name: 3 }", "feature {", "no schema at all", "featur { name: 'x' }"],
)
def test_a_malformed_schema_is_a_config_error_that_names_the_file(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "broken.pbtxt"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.pbtxt"):
        read_schema(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None], ids=["not text", "no file"])
def test_a_schema_that_cannot_be_read_is_a_config_error(
    content: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / SCHEMA_FILE
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"schema\.path"):
        read_schema(file)


def test_a_written_schema_reads_back_equal(taxi_schema: Any, tmp_path: Path) -> None:
    write_schema(taxi_schema, tmp_path)
    assert read_schema(tmp_path / SCHEMA_FILE) == taxi_schema
    assert len(taxi_schema.feature) == 18


def test_the_taxi_schema_serves_everything_but_the_tips(taxi_schema: Any) -> None:
    names = [feature.name for feature in taxi_schema.feature]
    assert serving_features(taxi_schema) == tuple(n for n in names if n != "tips")


def test_a_fixed_shape_for_a_feature_that_may_be_missing_is_a_data_error() -> None:
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="fare", type=schema_pb2.FLOAT)
    feature.presence.min_fraction = 0.5
    feature.shape.dim.add(size=1)
    with pytest.raises(DataError, match="fare"):
        feature_specs(schema)
