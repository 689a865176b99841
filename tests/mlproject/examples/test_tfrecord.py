"""TFRecord files of tf.train.Example in, Examples out."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from tests.mlproject.examples.ingested import column, ingest_file, refusal_of, table
from tests.mlproject.examples.tfrecord_writer import checksum, example, examples_of, frame, tfrecord

from mlproject.errors import ConfigError, DataError, PlatformError
from mlproject.examples import tfrecord_file
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import IngestRequest

FEW = [example(id=[i], price=[i + 0.5], name=[b"name %d" % (i % 7)]) for i in range(60)]


def run(tmp_path: Path, records: Sequence[bytes], **request: object) -> Examples:
    return ingest_file(tmp_path, "data.tfrecord", tfrecord(records), **request)


def refused(
    tmp_path: Path,
    records: Sequence[bytes] | bytes,
    error: type[PlatformError] = DataError,
    name: str = "data.tfrecord",
    **request: object,
) -> str:
    content = records if isinstance(records, bytes) else tfrecord(records)
    return refusal_of(tmp_path, name, content, error, **request)


def test_features_become_columns_sorted_by_name(tmp_path: Path) -> None:
    examples = run(tmp_path, FEW)
    assert examples.columns == (("id", "int"), ("name", "string"), ("price", "float"))
    assert table(tmp_path).schema.types == [pa.int64(), pa.string(), pa.float64()]
    assert column(tmp_path, "price") == {i: i + 0.5 for i in range(60)}
    assert column(tmp_path, "name")[8] == "name 1"


def test_what_tensorflow_writes_is_read(tmp_path: Path) -> None:
    import tensorflow as tf

    def feature(**values: object) -> object:
        kind, value = next(iter(values.items()))
        lists = {"b": "bytes_list", "f": "float_list", "i": "int64_list"}
        parts = {"b": tf.train.BytesList, "f": tf.train.FloatList, "i": tf.train.Int64List}
        return tf.train.Feature(**{lists[kind]: parts[kind](value=value)})

    options = tf.io.TFRecordOptions(compression_type="GZIP")
    path = tmp_path / "data_tfrecord-00000-of-00001.gz"  # as TFX names them
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for i in range(60):
            features = {
                "id": feature(i=[i]),
                "f": feature(f=[0.1]),
                "tags": feature(b=["é".encode(), b"x"][: i % 3]),
            }
            if i % 2:
                features["odd"] = feature(i=[-i])
            message = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(message.SerializeToString())
    (tmp_path / "out").mkdir()
    request = IngestRequest(source=str(path), format="tfrecord")
    examples = ingest(request, tmp_path / "out")
    assert dict(examples.columns) == {
        "id": "int",
        "f": "float",
        "odd": "int",
        "tags": "string list",
    }
    assert column(tmp_path, "tags")[2] == ["é", "x"]
    assert column(tmp_path, "tags")[0] is None
    assert column(tmp_path, "odd")[3] == -3
    assert column(tmp_path, "odd")[4] is None
    assert column(tmp_path, "f")[0] == pytest.approx(0.1, abs=1e-8)  # the nearest float32


def test_reading_does_not_import_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "data.tfrecord").write_bytes(tfrecord(FEW))
    code = (
        "import sys; from pathlib import Path\n"
        "from mlproject.examples.ingest import ingest\n"
        "from mlproject.examples.request import IngestRequest\n"
        "ingest(IngestRequest(source=sys.argv[1]), Path(sys.argv[2]))\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data.tfrecord"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("before", [0, 1], ids=["early", "late"])
@pytest.mark.parametrize(
    ("record", "name", "column_type", "value"),
    [
        (example(id=[-1], x=[1]), "x", "int", 1),
        (example(id=[-1], x=[1.5]), "x", "float", 1.5),
        (example(id=[-1], x=[b"a"]), "x", "string", "a"),
        (example(id=[-1], x=[b"\xff"]), "x", "bytes", b"\xff"),
        (example(id=[-1], x=[1, 2]), "x", "int list", [1, 2]),
        (example(id=[-1], name=[b"a", b"b"]), "name", "string list", ["a", "b"]),
        (example(id=[-1], name=[b"\xff"]), "name", "bytes", b"\xff"),
        (example(id=[-1], name=[b"\xff", b"a"]), "name", "bytes list", [b"\xff", b"a"]),
        (example(id=[-1], price=[1.5, 2.5, 0.0]), "price", "float list", [1.5, 2.5, 0.0]),
        (example(id=[-1]), "price", "float", None),
        (example(id=[-1], price=None), "price", "float", None),
        (example(id=[-1], x=None), "x", "float", None),
        (example(id=[-1], x=[]), "x", "int", None),
    ],
    ids=lambda value: "" if isinstance(value, bytes | list) else str(value),
)
def test_one_record_decides_the_type_wherever_it_stands(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: int,
    record: bytes,
    name: str,
    column_type: str,
    value: object,
) -> None:
    monkeypatch.setattr(tfrecord_file, "_BLOCK_BYTES", 1_000)
    records = [record, *FEW * 10] if not before else [*FEW * 10, record]
    examples = run(tmp_path, records)
    assert dict(examples.columns)[name] == column_type
    assert column(tmp_path, name)[-1] == value
    assert sum(rows for _, rows in examples.splits) == 601


def test_a_record_without_features_is_a_row_of_nulls(tmp_path: Path) -> None:
    run(tmp_path, [b"", *FEW])
    rows = table(tmp_path).filter(table(tmp_path)["id"].is_null())
    assert rows.to_pylist() == [{"id": None, "name": None, "price": None}]


def test_declared_types_win(tmp_path: Path) -> None:
    declared = (("id", "string"), ("name", "bytes"), ("price", "float list"))
    examples = run(tmp_path, FEW, column_types=declared)
    assert examples.columns == tuple(sorted(declared))
    row = table(tmp_path).slice(0, 1).to_pylist()[0]
    assert isinstance(row["id"], str)
    assert isinstance(row["name"], bytes)
    assert row["price"] == [int(row["id"]) + 0.5]


def test_a_declared_feature_may_appear_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord_file, "_BLOCK_BYTES", 1_000)
    records = [*FEW * 10, example(id=[-1], x=[7])]
    examples = run(tmp_path, records, column_types=(("x", "string"),))
    assert dict(examples.columns)["x"] == "string"
    assert column(tmp_path, "x")[-1] == "7"


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (("price", "int"), "Feature 'price' does not convert to int"),
        (("name", "float"), "Feature 'name' does not convert to float"),
        (("tags", "string"), "a list of 2 values"),
        (("raw", "string"), "Feature 'raw' does not convert to string"),
    ],
)
def test_a_declared_type_that_does_not_fit_is_refused(
    tmp_path: Path, declared: tuple[str, str], words: str
) -> None:
    odd = example(tags=[b"a", b"b"], raw=[b"\xff"])
    message = refused(tmp_path, [odd, *FEW], column_types=(declared,))
    assert words in message
    assert "records 1 to 61 of" in message


def test_a_declared_feature_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    message = refused(tmp_path, FEW, ConfigError, column_types=(("pric", "int"),))
    assert "did you mean 'price'" in message


@pytest.mark.parametrize("block_bytes", [1, 200, 5_000, 1 << 20])
def test_nothing_depends_on_the_block_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    records = [*FEW, example(id=[1], tags=[b"x" * 3_000, b"y"])]
    (tmp_path / "whole").mkdir()
    expected = run(tmp_path / "whole", records)
    monkeypatch.setattr(tfrecord_file, "_BLOCK_BYTES", block_bytes)
    assert run(tmp_path, records).split_digests == expected.split_digests


def test_files_are_read_in_order_and_may_be_empty(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "a-00000-of-00003").write_bytes(b"")
    (source / "a-00001-of-00003").write_bytes(tfrecord(FEW[:30]))
    (source / "a-00002-of-00003").write_bytes(tfrecord([*FEW[30:], example(id=[-1], x=[1, 2])]))
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source=str(source), format="tfrecord"), tmp_path / "out")
    assert sum(rows for _, rows in examples.splits) == 61
    assert dict(examples.columns)["x"] == "int list"


def test_many_records_are_read_in_order(tmp_path: Path) -> None:
    ids = pa.array([[i] for i in range(120_000)], pa.list_(pa.int64()))
    examples = run(tmp_path, examples_of(pa.RecordBatch.from_arrays([ids], ["id"])))
    assert sum(rows for _, rows in examples.splits) == 120_000
    for folder in (tmp_path / "out").iterdir():
        read = [i for batch in read_batches(folder) for i in batch["id"].to_pylist()]
        assert read == sorted(read)


@pytest.mark.parametrize("kept", [1, 8, 11, 12, 40, -1, -4, -5])
def test_a_cut_file_names_the_record_and_the_byte(tmp_path: Path, kept: int) -> None:
    whole = tfrecord(FEW)
    last = frame(FEW[-1])
    start = len(whole) - len(last)
    cut = whole[: start + kept] if kept > 0 else whole[:kept]
    message = refused(tmp_path, cut)
    assert "Record 60 of '" in message
    assert f"the file ends after {len(cut) - start:,} bytes of it" in message
    assert f"it begins at byte {start:,}" in message


def test_a_cut_packed_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(tfrecord(FEW))
    message = refused(tmp_path, packed[:-20], name="data.tfrecord.gz")
    assert "is not a whole gzip file" in message


def test_a_record_cut_before_packing_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(tfrecord(FEW)[:-3])
    message = refused(tmp_path, packed, name="data.tfrecord.gz")
    assert "Record 60 of '" in message
    assert "of the unpacked file" in message


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        (0, "its length does not have the checksum"),
        (7, "its length does not have the checksum"),
        (9, "its length does not have the checksum"),
        (12, "its checksum is not that of its data"),
        (20, "its checksum is not that of its data"),
        (-1, "its checksum is not that of its data"),
    ],
)
def test_a_flipped_bit_names_the_record_and_the_byte(
    tmp_path: Path, place: int, words: str, late: bool
) -> None:
    before = FEW * (1_000 if late else 1)
    spoilt = bytearray(frame(FEW[0]))
    spoilt[place] ^= 0x10
    message = refused(tmp_path, tfrecord(before) + bytes(spoilt) + tfrecord(FEW))
    assert f"Record {len(before) + 1:,} of '" in message
    assert words in message
    assert f"it begins at byte {len(tfrecord(before)):,}" in message


def test_the_first_damage_is_named(tmp_path: Path) -> None:
    spoilt = bytearray(tfrecord(FEW * 500))
    spoilt[20] ^= 1
    assert "Record 1 of '" in refused(tmp_path, bytes(spoilt[:-1]))  # cut as well


def test_a_claimed_length_is_not_believed(tmp_path: Path) -> None:
    length = struct.pack("<Q", 1 << 40)
    message = refused(tmp_path, tfrecord(FEW) + length + checksum(length) + b"x" * 100)
    assert "Record 61 of '" in message
    assert "is too long" in message


def test_a_packed_file_without_the_suffix_is_recognised(tmp_path: Path) -> None:
    assert "the suffix .gz" in refused(tmp_path, gzip.compress(tfrecord(FEW)))


@pytest.mark.parametrize("content", [b"id,price\n1,2\n" * 50, b"\0" * 500, b"PAR1" * 100])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "Record 1 of '" in refused(tmp_path, content)


FEATURE_LISTS = b"\x12\x08\x0a\x06\x0a\x01a\x12\x01\x0a"  # field 2: feature_lists


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize(
    "record", [FEATURE_LISTS, FEW[0] + FEATURE_LISTS], ids=["alone", "after features"]
)
def test_sequence_examples_are_refused(tmp_path: Path, record: bytes, late: bool) -> None:
    before = FEW * (1_000 if late else 1)
    message = refused(tmp_path, [*before, record])
    assert f"Record {len(before) + 1:,} of '" in message
    assert "is not a tf.train.Example" in message
    assert "SequenceExample" in message
    assert "list features" in message


@pytest.mark.parametrize(
    "record",
    [
        b"garbage",
        b"\x0a\x05abc",
        b"\x08\x01",
        b"\x0a\xff\xff\xff\xff\xff\xff",
        b"\x0a\x03\x0a\x01\x01",
    ],
)
@pytest.mark.parametrize("at", [0, 7, 60])
def test_other_messages_are_refused(tmp_path: Path, record: bytes, at: int) -> None:
    message = refused(tmp_path, [*FEW[:at], record, *FEW[at:]])
    assert f"Record {at + 1} of '" in message
    assert "is not a tf.train.Example" in message


def test_features_in_several_pieces_are_merged(tmp_path: Path) -> None:
    run(tmp_path, [*FEW, example(id=[-1]) + example(price=[7.5])])
    assert column(tmp_path, "price")[-1] == 7.5


@pytest.mark.parametrize("distance", [1, 40_000], ids=["near", "far"])
def test_a_feature_of_two_kinds_is_refused(tmp_path: Path, distance: int) -> None:
    records = [*FEW * (distance // 60 + 1), example(id=[7], price=[1])]
    message = refused(tmp_path, records)
    assert "Feature 'price' has two types" in message
    assert "Received: float in records " in message
    place = f"{len(records):,}"
    assert f"; int in records {place} to {place} of '" in message


def test_records_without_any_feature_are_refused(tmp_path: Path) -> None:
    assert "have no features" in refused(tmp_path, [b""] * 60)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "no record" in refused(tmp_path, b"")


def test_names_that_are_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlproject.examples.column_limit.MAX_COLUMNS", 50)
    records = [example(**{f"user {i}": [1]}) for i in range(60)]
    assert "have too many columns" in refused(tmp_path, records)
