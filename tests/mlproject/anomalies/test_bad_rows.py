"""Bad rows: which are copied, what is said of them, and that the counts are whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.anomalies import Anomalies, Anomaly
from mlproject.anomalies.bad_rows import BadRows, Finding, bad_rows_of, find_bad_rows
from mlproject.errors import DataError, StorageError
from mlproject.schema import SERVING, parse_schema, set_environments

SCHEMA = """
feature {
  name: "hour" type: INT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }
  int_domain { min: 0 max: 23 }
}
feature {
  name: "payment" type: BYTES presence { min_fraction: 0.5 min_count: 1 } domain: "payment"
}
feature { name: "tips" type: FLOAT float_domain { min: 0 } presence { min_count: 1 } }
string_domain { name: "payment" value: "Cash" value: "Card" }
"""
COLUMNS = {
    "id": pa.array([100, 101, 102, 103, 104, 105]),
    "hour": pa.array([0, 24, 23, None, -1, 99]),
    "payment": pa.array(["Cash", "Barter", None, "Card", "Barter", "Cash"]),
    "tips": pa.array([0.0, 1.5, -0.5, 2.0, 3.0, 4.0]),
}
WriteSplit = Callable[[Path, Mapping[str, pa.Array]], Path]


@pytest.fixture(scope="module")
def schema() -> Any:
    return set_environments(parse_schema(SCHEMA, "here"), ["tips"])


@pytest.fixture
def examples(tmp_path: Path, write_split: WriteSplit) -> Path:
    write_split(tmp_path / "Split-train", COLUMNS)
    return tmp_path


def rows_of(found: BadRows) -> list[dict[str, Any]]:
    assert found.file is not None
    return list(pq.read_table(found.file).to_pylist())


def test_each_fault_of_each_row_is_copied_with_all_columns(examples: Path, schema: Any) -> None:
    found = find_bad_rows(examples, {"train": None}, schema, examples / "bad.parquet")
    rows = rows_of(found)
    assert [(row["_row"], row["_feature"], row["_kind"]) for row in rows] == [
        (1, "hour", "INT_TYPE_BIG_INT"),
        (1, "payment", "ENUM_TYPE_UNEXPECTED_STRING_VALUES"),
        (2, "tips", "FLOAT_TYPE_SMALL_FLOAT"),
        (3, "hour", "FEATURE_TYPE_LOW_FRACTION_PRESENT"),
        (4, "hour", "INT_TYPE_SMALL_INT"),
        (4, "payment", "ENUM_TYPE_UNEXPECTED_STRING_VALUES"),
        (5, "hour", "INT_TYPE_BIG_INT"),
    ]
    assert all(row["id"] == 100 + row["_row"] for row in rows)
    assert {(row["_split"], row["_span"]) for row in rows} == {("train", None)}
    assert rows[0]["_reason"] == "'24' is above 23, the largest value allowed"
    assert rows[1]["_reason"] == "'Barter' is not in the domain 'payment'"
    assert rows[3]["_reason"] == "hour has no value, and every row needs one"
    assert set(rows[0]) == {
        *COLUMNS,
        *("_split", "_span", "_row", "_feature", "_kind", "_reason"),
    }


def test_the_counts_are_whole_where_the_copies_are_limited(examples: Path, schema: Any) -> None:
    found = find_bad_rows(examples, {"train": None}, schema, examples / "bad.parquet", limit=1)
    assert found.rows == 6
    assert found.findings == (
        Finding("train", "hour", "FEATURE_TYPE_LOW_FRACTION_PRESENT", 1, 1, ""),
        Finding("train", "hour", "INT_TYPE_SMALL_INT", 1, 1, "-1"),
        Finding("train", "hour", "INT_TYPE_BIG_INT", 2, 1, "24"),
        Finding("train", "payment", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", 2, 1, "Barter"),
        Finding("train", "tips", "FLOAT_TYPE_SMALL_FLOAT", 1, 1, "-0.5"),
    )
    assert sorted(row["_row"] for row in rows_of(found)) == [1, 1, 2, 3, 4]


def test_rows_that_obey_the_schema_leave_no_file(
    tmp_path: Path, write_split: WriteSplit, schema: Any
) -> None:
    good = {"hour": pa.array([0, 23]), "payment": pa.array(["Card", None])}
    write_split(tmp_path / "Split-train", good)
    found = find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet")
    assert found == BadRows(None, (), 2)
    assert not (tmp_path / "bad.parquet").exists()


def test_only_the_features_asked_for_are_looked_at(examples: Path, schema: Any) -> None:
    found = find_bad_rows(examples, {"train": {"tips"}}, schema, examples / "bad.parquet")
    assert [finding.feature for finding in found.findings] == ["tips"]


def test_features_that_are_not_served_are_not_looked_at_in_serving(
    examples: Path, schema: Any
) -> None:
    out = examples / "bad.parquet"
    found = find_bad_rows(examples, {"train": None}, schema, out, environment=SERVING)
    assert {finding.feature for finding in found.findings} == {"hour", "payment"}


def test_rows_keep_their_place_and_span_over_files_row_groups_and_batches(
    tmp_path: Path, schema: Any
) -> None:
    """Three spans of 60,000 rows, two batches, in row groups of 7,000, some without a bad row."""
    folder = tmp_path / "Split-train"
    folder.mkdir()
    size, rows = 60_000, 180_000
    hours = np.zeros(rows, np.int64)
    bad = np.arange(8_500, rows, 9_973)
    hours[bad] = 24
    for number, span in enumerate((9, 10, 12)):
        part = slice(number * size, (number + 1) * size)
        table = pa.table({"id": np.arange(rows)[part], "hour": hours[part]})
        pq.write_table(table, folder / f"span-{span:010d}.parquet", row_group_size=7_000)
    found = find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet")
    copied = pq.read_table(tmp_path / "bad.parquet").to_pydict()
    assert found.rows == rows
    assert copied["_row"] == bad.tolist() == copied["id"]
    assert copied["_span"] == [(9, 10, 12)[row // size] for row in bad.tolist()]


def test_several_splits_stand_in_one_file(
    examples: Path, write_split: WriteSplit, schema: Any
) -> None:
    write_split(examples / "Split-eval", COLUMNS | {"hour": pa.array([1, 2, 3, 4, 5, 66])})
    splits = {"train": {"hour"}, "eval": {"hour"}}
    found = find_bad_rows(examples, splits, schema, examples / "bad.parquet")
    assert [(row["_split"], row["_row"]) for row in rows_of(found)] == [
        *(("train", row) for row in (1, 3, 4, 5)),
        ("eval", 5),
    ]


def test_columns_of_the_data_keep_their_names(
    tmp_path: Path, write_split: WriteSplit, schema: Any
) -> None:
    columns = {"hour": pa.array([99]), "_row": pa.array([7]), "__row": pa.array([8])}
    write_split(tmp_path / "Split-train", columns)
    (row,) = rows_of(find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet"))
    assert (row["_row"], row["__row"], row["___row"], row["_feature"]) == (7, 8, 0, "hour")


def test_lists_and_bytes_are_copied_as_they_are(
    tmp_path: Path, write_split: WriteSplit, schema: Any
) -> None:
    columns = {
        "hour": pa.array([[1], [2, 3]]),
        "payment": pa.array([b"Cash", b"\xff\x00"], pa.binary()),
    }
    write_split(tmp_path / "Split-train", columns)
    rows = rows_of(find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet"))
    assert [(row["_feature"], row["_kind"]) for row in rows] == [
        ("hour", "INVALID_FEATURE_SHAPE"),
        ("payment", "ENUM_TYPE_INVALID_UTF8"),
    ]
    assert rows[1]["_reason"] == "'(bytes)' is not UTF-8"
    assert rows[1]["payment"] == b"\xff\x00"
    assert rows[0]["hour"] == [2, 3]


def test_an_older_file_is_replaced_whole_and_nothing_is_left_aside(
    examples: Path, schema: Any
) -> None:
    out = examples / "deep" / "bad.parquet"
    find_bad_rows(examples, {"train": None}, schema, out)
    find_bad_rows(examples, {"train": {"tips"}}, schema, out)
    assert pq.read_table(out).num_rows == 1
    assert [file.name for file in out.parent.iterdir()] == ["bad.parquet"]


def test_a_file_that_cannot_be_written_is_a_storage_error(examples: Path, schema: Any) -> None:
    (examples / "file").write_text("no folder")
    with pytest.raises(StorageError, match="Writing the bad rows failed"):
        find_bad_rows(examples, {"train": None}, schema, examples / "file" / "bad.parquet")


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_examples_that_cannot_be_read_are_a_data_error(
    content: bytes | None, tmp_path: Path, schema: Any
) -> None:
    (tmp_path / "Split-train").mkdir()
    if content is not None:
        (tmp_path / "Split-train" / "examples-00000.parquet").write_bytes(content)
    with pytest.raises(DataError):
        find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet")


def test_a_column_without_rules_that_is_damaged_is_a_data_error_and_leaves_no_file(
    tmp_path: Path, schema: Any
) -> None:
    folder = tmp_path / "Split-train"
    folder.mkdir()
    rows = 1_000
    table = pa.table({"hour": [99] * rows, "note": [f"note {i}" for i in range(rows)]})
    file = folder / "examples-00000.parquet"
    pq.write_table(table, file, compression="lz4", use_dictionary=False)
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    content = bytearray(file.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    content[middle - 200 : middle + 200] = b"\xff" * 400
    file.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        find_bad_rows(tmp_path, {"train": None}, schema, tmp_path / "bad.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["Split-train"]


def anomaly(feature: str, kind: str, split: str = "train") -> Anomaly:
    return Anomaly(split, feature, kind, "block", "", "")


def test_the_rows_behind_anomalies_are_those_of_their_features(examples: Path, schema: Any) -> None:
    anomalies = Anomalies(
        (
            anomaly("tips", "FLOAT_TYPE_SMALL_FLOAT"),
            anomaly("hour", "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"),
            anomaly("tolls", "SCHEMA_NEW_COLUMN"),
            anomaly("payment", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "serving"),
        )
    )
    found = bad_rows_of(anomalies, examples, schema, examples / "bad_rows.parquet")
    assert found is not None
    assert [(row["_feature"], row["_row"]) for row in rows_of(found)] == [("tips", 2)]


def test_anomalies_of_whole_columns_have_no_rows(examples: Path, schema: Any) -> None:
    anomalies = Anomalies((anomaly("tolls", "SCHEMA_NEW_COLUMN"),))
    assert bad_rows_of(anomalies, examples, schema, examples / "bad_rows.parquet") is None
    assert not (examples / "bad_rows.parquet").exists()
