"""CSV in, Examples out: the types, the spellings, and independence from how it is read."""

from __future__ import annotations

import gzip
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.mlproject.examples.ingested import column, ingest_file, table

from mlproject.examples.csv_source import CsvSource
from mlproject.examples.files_source import find_files
from mlproject.examples.formats import ReadOptions
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import count_rows, read_batches
from mlproject.examples.request import IngestRequest
from mlproject.examples.sources import find_source
from mlproject.examples.splits import hash_rows

HEADER = "id,price,name\n"
FEW = "".join(f"{i},{i}.5,name {i % 7}\n" for i in range(60))
MANY = "".join(f"{i},{i}.5,name {i % 7}\n" for i in range(120_000))  # more than one block


def run(tmp_path: Path, text: str | bytes, name: str = "data.csv", **request: object) -> Examples:
    return ingest_file(tmp_path, name, text, **request)


def test_splits_are_written_with_the_types_found(tmp_path: Path) -> None:
    examples = run(tmp_path, HEADER + FEW)
    assert examples.columns == (("id", "int"), ("price", "float"), ("name", "string"))
    assert [name for name, _ in examples.splits] == ["train", "eval"]
    for name, rows in examples.splits:
        folder = tmp_path / "out" / f"Split-{name}"
        assert [file.name for file in folder.iterdir()] == ["examples-00000.parquet"]
        assert count_rows(folder) == rows > 0
    rows = table(tmp_path)
    assert rows.schema.types == [pa.int64(), pa.float64(), pa.string()]
    assert sorted(rows["id"].to_pylist()) == list(range(60))


def test_rows_keep_their_order_within_a_split(tmp_path: Path) -> None:
    run(tmp_path, HEADER + FEW)
    for folder in (tmp_path / "out").iterdir():
        ids = [i for batch in read_batches(folder) for i in batch["id"].to_pylist()]
        assert ids == sorted(ids)


def test_empty_cells_are_null_in_every_type(tmp_path: Path) -> None:
    run(tmp_path, HEADER + FEW + '100,,\n101,"",""\n')
    assert column(tmp_path, "price")[100] is None
    assert column(tmp_path, "name")[100] is None
    assert column(tmp_path, "name")[101] is None


def test_null_spellings_and_delimiter_are_configurable(tmp_path: Path) -> None:
    text = (HEADER + FEW + "100,n/a,-\n101,,x\n").replace(",", ";")
    run(tmp_path, text, delimiter=";", null_values=("n/a", "-"))
    assert column(tmp_path, "price")[100] is None
    assert column(tmp_path, "name")[100] is None
    assert column(tmp_path, "price")[101] is None


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + (HEADER + FEW).encode(),
        (HEADER + FEW).replace("\n", "\r\n").encode(),
        (HEADER + FEW).rstrip("\n").encode(),
        ("\n" + HEADER + "\n" + FEW + "\n\n").encode(),
    ],
    ids=["byte order mark", "CRLF", "no last newline", "blank lines"],
)
def test_equal_rows_in_another_dress_are_equal_examples(tmp_path: Path, text: bytes) -> None:
    plain, dressed = tmp_path / "plain", tmp_path / "dressed"
    plain.mkdir()
    dressed.mkdir()
    expected = run(plain, HEADER + FEW)
    examples = run(dressed, text)
    assert examples.columns == expected.columns
    assert examples.split_digests == expected.split_digests
    assert examples.source_digest != expected.source_digest


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
def test_packed_files_are_unpacked(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack((HEADER + FEW).encode()) + pack(b"100,1.5,x\n")  # two members, as `cat` makes
    assert sum(rows for _, rows in run(tmp_path, packed, f"data.csv{suffix}").splits) == 61


def test_quoted_newlines_quotes_and_delimiters_are_content(tmp_path: Path) -> None:
    run(tmp_path, HEADER + FEW + '100,1.5,"two\nlines, and ""quotes"""\n')
    assert column(tmp_path, "name")[100] == 'two\nlines, and "quotes"'


def test_a_last_cell_with_a_newline_is_content(tmp_path: Path) -> None:
    run(tmp_path, HEADER + '100,1.5,"two\nlines"\n' + FEW + '101,1.5,"two\nlines"')
    assert column(tmp_path, "name")[101] == "two\nlines"


def test_a_carriage_return_in_a_cell_is_content(tmp_path: Path) -> None:
    run(tmp_path, HEADER + FEW + '100,1.5,"\r"\n101,1.5,"two\nlines"\n')
    assert column(tmp_path, "name")[100] == "\r"
    assert column(tmp_path, "name")[101] == "two\nlines"


def test_a_late_fraction_widens_int_to_float(tmp_path: Path) -> None:
    examples = run(tmp_path, HEADER + MANY + "120000.5,1,x\n" + FEW)
    assert examples.columns[0] == ("id", "float")
    assert sum(rows for _, rows in examples.splits) == 120_061


@pytest.mark.parametrize("rows", ["0.5,1,x\n{big}", "{big}0.5,1,x\n", "{big}" + MANY + "0.5,1,x\n"])
def test_a_number_beyond_64_bits_fits_a_column_of_fractions(tmp_path: Path, rows: str) -> None:
    rows = rows.replace("{big}", "99999999999999999999,1,x\n")
    examples = run(tmp_path, HEADER + FEW + rows)
    assert examples.columns[0] == ("id", "float")
    assert 1e20 in column(tmp_path, "id")


def test_nan_and_infinities_are_kept_as_they_are(tmp_path: Path) -> None:
    text = HEADER + FEW + "100,nan,x\n101,inf,x\n102,-inf,x\n103,-Infinity,x\n104,,x\n"
    assert run(tmp_path, text).columns[1] == ("price", "float")
    price = column(tmp_path, "price")
    assert math.isnan(price[100])  # type: ignore[arg-type]
    assert [price[i] for i in (101, 102, 103, 104)] == [math.inf, -math.inf, -math.inf, None]


def test_nan_widens_int_to_float_and_shares_the_split_of_a_missing_value(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{i},1\n" for i in range(60)) + "7,nan\n7,\n" * 20
    assert run(tmp_path, text).columns[1] == ("y", "float")
    splits = [
        [row["x"] for batch in read_batches(folder) for row in batch.to_pylist() if row["y"] != 1]
        for folder in (tmp_path / "out").iterdir()
    ]
    assert sorted(map(len, splits)) == [0, 40]


def test_text_can_be_stored_as_bytes(tmp_path: Path) -> None:
    declared = (("name", "bytes"), ("id", "int"))
    examples = run(tmp_path, HEADER + FEW + "100,1,caf\u00e9\n101,1,\n", column_types=declared)
    assert examples.columns[2] == ("name", "bytes")
    assert table(tmp_path).schema.field("name").type == pa.binary()
    assert column(tmp_path, "name")[100] == "caf\u00e9".encode()
    assert column(tmp_path, "name")[101] is None


def test_rows_read_before_widening_are_not_counted_twice(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "data.csv"
    path.write_text(HEADER + MANY + "120000.5,1,x\n")
    (tmp_path / "out").mkdir()
    ingest(IngestRequest(source=str(path)), tmp_path / "out", on_rows=seen.append)
    assert seen == [100_000, 100_000, 120_001]  # the second pass starts again


@pytest.mark.parametrize(
    ("late", "expected"), [("3", "int"), ("3.5", "float"), ("x", "string"), ("true", "int")]
)
def test_a_column_empty_at_first_takes_the_type_of_its_late_values(
    tmp_path: Path, late: str, expected: str
) -> None:
    text = "id,rare\n" + "".join(f"{i},\n" for i in range(200_000)) + f"200000,{late}\n"
    examples = run(tmp_path, text)
    assert examples.columns[1] == ("rare", expected)
    assert column(tmp_path, "rare")[200_000] in (3, 3.5, "x", 1)


def test_a_column_empty_throughout_is_float(tmp_path: Path) -> None:
    examples = run(tmp_path, "id,none\n" + "".join(f"{i},\n" for i in range(60)))
    assert examples.columns[1] == ("none", "float")
    assert set(column(tmp_path, "none").values()) == {None}


def test_booleans_are_stored_as_integers(tmp_path: Path) -> None:
    words = ["true", "False", "TRUE", ""]
    text = "id,paid\n" + "".join(f"{i},{words[i % 4]}\n" for i in range(60))
    assert run(tmp_path, text).columns[1] == ("paid", "int")
    paid = column(tmp_path, "paid")
    assert [paid[0], paid[1], paid[2], paid[3]] == [1, 0, 1, None]


def test_mostly_text_with_some_numbers_is_text(tmp_path: Path) -> None:
    text = "id,room\n" + "".join(f"{i},{'12' if i % 3 else ''}{i}B\n" for i in range(60))
    assert run(tmp_path, text + "100,7\n").columns[1] == ("room", "string")
    assert column(tmp_path, "room")[100] == "7"


def test_declared_types_win(tmp_path: Path) -> None:
    declared = (("id", "string"), ("price", "float"))
    examples = run(tmp_path, HEADER + "007,1,x\n" * 3 + FEW + "a,2,x\n", column_types=declared)
    assert examples.columns[:2] == (("id", "string"), ("price", "float"))
    assert "007" in column(tmp_path, "price")


def test_a_folder_is_its_data_files_in_sorted_order(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = FEW.splitlines(keepends=True)
    (folder / "b.csv").write_text("name,id,price\n" + "x,100,1\n")  # another order of columns
    (folder / "a.csv").write_text(HEADER + "".join(lines[:30]))
    (folder / "c.csv").write_text(HEADER)  # a shard without rows
    (folder / ".hidden.csv").write_text("junk")
    (folder / "README.md").write_text("not data")
    assert [file.name for file in find_files(str(folder))] == ["a.csv", "b.csv", "c.csv"]
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source=str(folder)), tmp_path / "out")
    assert sum(rows for _, rows in examples.splits) == 31
    assert [file.name for file in find_files(str(folder / "[ab].csv"))] == ["a.csv", "b.csv"]


def test_types_are_shared_by_all_files_of_all_splits(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(HEADER + FEW)
    (tmp_path / "test.csv").write_text(HEADER + "1.5,2,x\n")
    out = tmp_path / "out"
    out.mkdir()
    sources = (("train", str(tmp_path / "train.csv")), ("test", str(tmp_path / "test.csv")))
    examples = ingest(IngestRequest(source=None, split_sources=sources), out)
    assert examples.columns[0] == ("id", "float")
    assert examples.splits == (("train", 60), ("test", 1))
    for name in ("train", "test"):
        schema = next(read_batches(out / f"Split-{name}")).schema
        assert schema.field("id").type == pa.float64()


def test_swapped_split_sources_have_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + FEW)
    (tmp_path / "b.csv").write_text(HEADER + "1.5,2,x\n")
    a, b = str(tmp_path / "a.csv"), str(tmp_path / "b.csv")
    one = IngestRequest(source=None, split_sources=(("train", a), ("eval", b)))
    two = IngestRequest(source=None, split_sources=(("train", b), ("eval", a)))
    assert find_source(one).digest() != find_source(two).digest()


@pytest.mark.parametrize("block_bytes", [128, 5_000, 4 << 20])
def test_neither_rows_types_nor_hashes_depend_on_the_block_size(
    tmp_path: Path, block_bytes: int
) -> None:
    path = tmp_path / "data.csv"
    quoted = '7,1.5,"two\nlines"\n'
    path.write_text(HEADER + FEW + quoted * 50 + FEW)
    plain = CsvSource([path], ReadOptions())
    other = CsvSource([path], ReadOptions(), block_bytes=block_bytes)
    assert plain.columns == other.columns
    (expected,) = plain.batches([path])
    (batch,) = other.batches([path])
    assert batch.equals(expected)
    np.testing.assert_array_equal(hash_rows(batch), hash_rows(expected))


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(HEADER + FEW)
    written = []
    for out in (tmp_path / "one", tmp_path / "two"):
        out.mkdir()
        ingest(IngestRequest(source=str(path)), out)
        written.append([file.read_bytes() for file in sorted(out.rglob("*.parquet"))])
    assert written[0] == written[1]


def test_a_reader_that_is_dropped_half_way_does_not_hang(tmp_path: Path) -> None:
    # Arrow's CSV reader waits for its read-ahead thread with Python's lock held.
    path = tmp_path / "data.csv"
    path.write_text(HEADER + MANY)
    code = (
        "import sys; from pathlib import Path\n"
        "from mlproject.examples.csv_source import CsvSource\n"
        "from mlproject.examples.formats import ReadOptions\n"
        "for _ in range(30):\n"
        "    path = Path(sys.argv[1])\n"
        "    batches = CsvSource([path], ReadOptions(), 20_000).batches([path])\n"
        "    next(batches)\n"
        "    del batches\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


def test_importing_ingest_loads_no_heavy_library() -> None:
    code = (
        "import sys, mlproject.examples.ingest\n"
        "heavy = {'pyarrow', 'pandas', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def taxi_data() -> Path:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    path = Path(os.environ.get("BENISON_TEST_DATA", default)) / "chicago_taxi" / "data.csv"
    if not path.is_file():
        pytest.skip(f"no data at {path}: set BENISON_TEST_DATA to the folder of test data")
    return path


def test_the_chicago_taxi_sample(tmp_path: Path) -> None:
    examples = ingest(IngestRequest(source=str(taxi_data())), tmp_path)
    splits = dict(examples.splits)
    assert splits["train"] + splits["eval"] == 15_002
    assert abs(splits["train"] / 15_002 - 2 / 3) < 0.015
    by_type: dict[str, list[str]] = {"int": [], "float": [], "string": []}
    for name, column_type in examples.columns:
        by_type[column_type].append(name)
    assert by_type["string"] == ["payment_type", "company"]
    assert by_type["float"] == [
        "fare",
        "pickup_latitude",
        "pickup_longitude",
        "dropoff_latitude",
        "dropoff_longitude",
        "trip_miles",
        "tips",
    ]
    assert len(by_type["int"]) == 9
    rows = pa.Table.from_batches(
        [b for split in splits for b in read_batches(tmp_path / f"Split-{split}")]
    )
    assert rows["pickup_census_tract"].null_count == 15_001
    assert rows["company"].null_count == 5_140
    assert rows["trip_seconds"].null_count == 6
    assert rows["fare"].null_count == 0
