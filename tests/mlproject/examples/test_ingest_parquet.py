"""Parquet in, Examples out: which types convert, and which are refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.errors import DataError
from mlproject.examples.formats import ReadOptions
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.parquet_source import ParquetSource
from mlproject.examples.reader import read_batches
from mlproject.examples.request import IngestRequest

ROWS = 60


def run(tmp_path: Path, columns: dict[str, pa.Array], **request: object) -> Examples:
    columns = {"id": pa.array(range(ROWS)), **columns}
    pq.write_table(pa.table(columns), tmp_path / "data.parquet")
    (tmp_path / "out").mkdir()
    source = str(tmp_path / "data.parquet")
    return ingest(IngestRequest(source=source, **request), tmp_path / "out")  # type: ignore[arg-type]


def values(tmp_path: Path, name: str) -> list[object]:
    batches = [b for d in (tmp_path / "out").iterdir() for b in read_batches(d)]
    return pa.Table.from_batches(batches).sort_by("id")[name].to_pylist()


@pytest.mark.parametrize(
    ("array", "column_type", "first"),
    [
        (pa.array(range(ROWS), pa.int8()), "int", 0),
        (pa.array(range(ROWS), pa.uint64()), "int", 0),
        (pa.array([True, None] * 30), "int", 1),
        (pa.array([0.5, None] * 30, pa.float32()), "float", 0.5),
        (pa.array([Decimal("1.25")] * ROWS), "float", 1.25),
        (pa.array(["a", None] * 30), "string", "a"),
        (pa.array(["a", None] * 30, pa.large_string()), "string", "a"),
        (pa.array(["a", None] * 30).dictionary_encode(), "string", "a"),
        (pa.array([None] * ROWS, pa.null()), "float", None),
        (pa.array([dt.date(1970, 1, 2)] * ROWS), "int", 86_400),
        (pa.array([dt.datetime(1970, 1, 1, 0, 0, 7, 900_000)] * ROWS), "int", 7),
        (pa.array([1_500] * ROWS, pa.timestamp("ms", tz="Europe/Paris")), "int", 1),
        (pa.array([b"\xff", None] * 30), "bytes", b"\xff"),
        (pa.array([b"ab"] * ROWS, pa.large_binary()), "bytes", b"ab"),
        (pa.array([b"ab"] * ROWS, pa.binary(2)), "bytes", b"ab"),
        (pa.array([[1, 2], None] * 30, pa.list_(pa.int8())), "int list", [1, 2]),
        (pa.array([[0.5, 2]] * ROWS, pa.list_(pa.float32())), "float list", [0.5, 2]),
        (pa.array([["a"], None] * 30, pa.large_list(pa.string())), "string list", ["a"]),
        (pa.array([[b"a", b"\xff"]] * ROWS), "bytes list", [b"a", b"\xff"]),
        (pa.array([[1, 2]] * ROWS, pa.list_(pa.int64(), 2)), "int list", [1, 2]),
        (pa.array([[True, False]] * ROWS), "int list", [1, 0]),
        (pa.array([[dt.date(1970, 1, 2)]] * ROWS), "int list", [86_400]),
        (pa.array([[], None] * 30, pa.list_(pa.int64())), "int list", None),
        (pa.array([[], None] * 30, pa.list_(pa.null())), "float", None),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_types_convert(tmp_path: Path, array: pa.Array, column_type: str, first: object) -> None:
    assert run(tmp_path, {"x": array}).columns[1] == ("x", column_type)
    assert values(tmp_path, "x")[0] == first


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (pa.array([[[1, 2]]] * ROWS), "one list of values"),
        (pa.array([{"a": 1}] * ROWS), "one flat column"),
        (pa.array([[{"a": 1}]] * ROWS), "one flat column"),
        (pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())), "one flat column"),
        (pa.array([dt.time(1)] * ROWS), "as a number"),
        (pa.array([dt.timedelta(1)] * ROWS), "as a number"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_other_types_are_refused_with_advice(tmp_path: Path, array: pa.Array, advice: str) -> None:
    with pytest.raises(DataError, match=rf"'x'.*has a type.*{advice}"):
        run(tmp_path, {"x": array})
    assert not list((tmp_path / "out").iterdir())


def test_an_unsigned_value_beyond_64_bits_is_refused(tmp_path: Path) -> None:
    array = pa.array([2**64 - 1] * ROWS, pa.uint64())
    with pytest.raises(DataError, match=r"'x'.*does not convert to int"):
        run(tmp_path, {"x": array})


def test_declared_types_win(tmp_path: Path) -> None:
    examples = run(tmp_path, {"zip": pa.array([1234] * ROWS)}, column_types=(("zip", "string"),))
    assert examples.columns[1] == ("zip", "string")
    assert values(tmp_path, "zip")[0] == "1234"


def test_a_declared_type_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'x'.*does not convert to int"):
        run(tmp_path, {"x": pa.array(["a"] * ROWS)}, column_types=(("x", "int"),))


def test_files_are_read_by_name_and_widen_together(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    ids = pa.array(range(30))
    pq.write_table(pa.table({"id": ids, "x": pa.array([1] * 30)}), folder / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([0.5] * 30), "id": ids}), folder / "b.parquet")
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source=str(folder)), tmp_path / "out")
    assert examples.columns == (("id", "int"), ("x", "float"))
    assert sum(rows for _, rows in examples.splits) == 60


def test_text_in_one_file_and_numbers_in_another_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["1"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"'x'.*int in '.*a\.parquet', string in '.*b\.parquet'"):
        ingest(IngestRequest(source=str(tmp_path)), tmp_path)


def test_a_null_inside_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list in column 'x' has a missing value"):
        run(tmp_path, {"x": pa.array([[1, None]] * ROWS)})


def test_lists_of_whole_numbers_widen_with_those_of_another_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[i, 1] for i in range(30)]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [[i + 0.5] for i in range(30)]}), tmp_path / "b.parquet")
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source=str(tmp_path)), tmp_path / "out")
    assert examples.columns == (("x", "float list"),)


def test_a_list_in_one_file_and_a_number_in_another_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [[1]]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"'x'.*int in '.*a\.parquet', int list in '.*b\.parquet'"):
        ingest(IngestRequest(source=str(tmp_path)), tmp_path)


def test_long_rows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    rows = pa.array([[i] * 100_000 for i in range(300)], pa.list_(pa.int64()))
    pq.write_table(pa.table({"x": rows}), path)
    sizes = [batch.num_rows for batch in ParquetSource([path], ReadOptions())._read(path)]
    assert sum(sizes) == 300
    assert max(sizes) * 100_000 * 8 <= 64 << 20


@pytest.mark.parametrize("kept", [0, 3, 500, -4])
def test_a_cut_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"x": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        ingest(IngestRequest(source=str(path)), tmp_path)


def test_corrupt_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"x": [f"text {i}" for i in range(50_000)]}), path)
    content = bytearray(path.read_bytes())
    content[1000:200_000] = b"\xff" * 199_000
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        ingest(IngestRequest(source=str(path)), tmp_path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([], pa.int64())}), tmp_path / "data.parquet")
    with pytest.raises(DataError, match="has no rows"):
        ingest(IngestRequest(source=str(tmp_path / "data.parquet")), tmp_path)
