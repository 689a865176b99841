"""What every format of files has in common: the same rows are the same Examples."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.mlproject.examples.tfrecord_writer import example, tfrecord

from mlproject.errors import DataError
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches, to_example_batch
from mlproject.examples.request import IngestRequest

Row = dict[str, Any]
TYPES = {"n": "int", "price": "float", "name": "string", "empty": "float"}
ROWS: list[Row] = [
    {
        "n": i - 30,
        "price": None if i % 9 == 0 else i / 8,
        "name": None if i % 7 == 0 else f"né {i % 5}",
        "empty": None,
    }
    for i in range(300)
]
LISTS: list[Row] = [
    {"n": i, "tags": [f"t{i % 3}", "x"] if i % 5 else None, "at": [0.5 * i, -1.0]}
    for i in range(300)
]


def as_csv(rows: Sequence[Row]) -> bytes:
    cells = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *cells]).encode()


def as_json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_tfrecord(rows: Sequence[Row]) -> bytes:
    def values(value: Any) -> list[Any]:
        listed = value if type(value) is list else [value]
        return [item.encode() if type(item) is str else item for item in listed]

    return tfrecord(
        [example(**{n: None if v is None else values(v) for n, v in row.items()}) for row in rows]
    )


def as_parquet(rows: Sequence[Row]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, row_group_size=70)
    return sink.getvalue().to_pybytes()


WRITERS: dict[str, Callable[[Sequence[Row]], bytes]] = {
    "csv": as_csv,
    "csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "parquet": as_parquet,
    "jsonl": as_json_lines,
    "jsonl.gz": lambda rows: gzip.compress(as_json_lines(rows)),
    "tfrecord": as_tfrecord,
    "tfrecord.gz": lambda rows: gzip.compress(as_tfrecord(rows)),
}


def run(tmp_path: Path, rows: Sequence[Row], suffix: str, **request: Any) -> Examples:
    (tmp_path / suffix).mkdir()
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(WRITERS[suffix](rows))
    return ingest(IngestRequest(source=str(path), **request), tmp_path / suffix)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_same_rows_are_the_same_examples(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "first").mkdir()
    expected = run(tmp_path / "first", ROWS, "parquet")
    examples = run(tmp_path, ROWS, suffix)
    assert dict(examples.columns) == TYPES
    assert examples.splits == expected.splits
    assert examples.split_digests == expected.split_digests


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "tfrecord"])
def test_lists_arrive_in_tensor_layout(tmp_path: Path, suffix: str) -> None:
    examples = run(tmp_path, LISTS, suffix)
    assert dict(examples.columns) == {"n": "int", "tags": "string list", "at": "float list"}
    found: dict[int, Any] = {}
    for name, _ in examples.splits:
        for batch in read_batches(tmp_path / suffix / f"Split-{name}"):
            lists = to_example_batch(batch)
            assert lists["at"].type == pa.list_(pa.float32())
            found |= {row["n"][0]: row for row in lists.to_pylist()}
    assert len(found) == 300
    assert found[5]["tags"] is None
    assert found[7] == {"n": [7], "tags": [b"t1", b"x"], "at": [3.5, -1.0]}


@pytest.mark.parametrize("suffix", WRITERS)
def test_one_damaged_file_of_many_is_named(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        (source / f"part-{number}.{suffix}").write_bytes(WRITERS[suffix](ROWS))
    damaged = source / f"part-3.{suffix}"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) * 9 // 10] + (b'"' if suffix == "csv" else b""))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError) as raised:
        ingest(IngestRequest(source=str(source)), tmp_path / "out")
    assert f"part-3.{suffix}'" in raised.value.failed
    assert raised.value.next_step


@pytest.mark.parametrize("suffix", WRITERS)
def test_declared_types_win_in_every_format(tmp_path: Path, suffix: str) -> None:
    declared = (("n", "string"), ("name", "bytes"), ("empty", "int"))
    examples = run(tmp_path, ROWS, suffix, column_types=declared)
    assert dict(examples.columns) == TYPES | dict(declared)
    names = {
        row["n"]: row["name"]
        for name, _ in examples.splits
        for batch in read_batches(tmp_path / suffix / f"Split-{name}")
        for row in batch.to_pylist()
    }
    assert len(names) == 300
    assert names["-29"] == "né 1".encode()
