"""The readers of raw files against anything: what no table wrote, and what every table holds."""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mlproject.examples.tfrecord_writer import example, frame, tfrecord

from mlproject.errors import ConfigError, DataError
from mlproject.examples.image_file import BadImage, decode_image, pixels_of
from mlproject.examples.ingest import ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import ImageOptions, IngestRequest

pytestmark = pytest.mark.timeout(120)  # nothing may hang

Table = Mapping[str, Sequence[Any]]


def ingested(content: bytes, suffix: str, **request: Any) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(content)
        ingest(IngestRequest(split_sources=(("all", str(path)),), **request), Path(folder))
        return pa.Table.from_batches(list(read_batches(Path(folder) / "Split-all")))


def read_or_refused(content: bytes, suffix: str) -> None:
    try:
        ingested(content, suffix)
    except (DataError, ConfigError) as err:
        assert err.expected  # noqa: PT017 - both ways out are right
        assert err.next_step  # noqa: PT017


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes, pieces: Sequence[bytes]) -> bytes:
    """A file, cut, with bytes overwritten, taken out or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 8))
        content[at : at + length] = draw(st.one_of(st.sampled_from(pieces), st.binary(max_size=4)))
    return bytes(content[: draw(st.integers(0, len(content)))]) if draw(st.booleans()) else content


CSV = b'id,price,name\n1,0.5,a\n2,,"b ""c"",\nd"\n3,1e5,\xc3\xa9\n'
CSV_PIECES = [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b'""', b",,", b"nan"]
CSV_PIECES += [b"9" * 20, b"true", b"-", b"0x1F", b"1e999"]
JSONL = b'{"id": 1, "x": [1, 2.5], "s": "a\\u00e9"}\n\n{"id": 2, "b": true, "y": [1, 2]}\r\n'
JSONL_PIECES = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"\\", b"null", b"1e99", b"9" * 20]
JSONL_PIECES += [b"NaN", b"\xff", b"\0", b'"id":', b"\\ud800", b"-", b"true", b'{"a":']
RECORDS = [example(id=[i], x=[0.5] * i, s=[b"a", b"\xff"][:i]) for i in range(3)]
PROTO_PIECES = [b"\x0a", b"\x12", b"\x1a", b"\x00", b"\xff", b"\x80", b"\x01", b"\x0a\x00"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".tfrecord", ".csv.gz", ".jsonl.zst"])
@given(content=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_read_or_refused(suffix: str, content: bytes) -> None:
    read_or_refused(content, suffix)


@given(content=spoilt(CSV, CSV_PIECES))
@settings(max_examples=150, deadline=None)
def test_spoilt_csv_is_read_or_refused(content: bytes) -> None:
    read_or_refused(content, ".csv")


@given(content=spoilt(JSONL, JSONL_PIECES))
@settings(max_examples=150, deadline=None)
def test_spoilt_json_lines_are_read_or_refused(content: bytes) -> None:
    read_or_refused(content, ".jsonl")


@given(content=spoilt(tfrecord(RECORDS), PROTO_PIECES))
@settings(max_examples=100, deadline=None)
def test_spoilt_tfrecords_are_read_or_refused(content: bytes) -> None:
    read_or_refused(content, ".tfrecord")


@given(record=spoilt(RECORDS[2], PROTO_PIECES), at=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_spoilt_records_with_right_checksums_are_read_or_refused(record: bytes, at: int) -> None:
    frames = [*map(frame, RECORDS)]
    read_or_refused(b"".join([*frames[:at], frame(bytes(record)), *frames[at:]]), ".tfrecord")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_spoilt_images_are_decoded_or_bad(kind: str, data: st.DataObject) -> None:
    from PIL import Image

    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content, kind)
    pieces = [b"\x00", b"\xff", b"\xff\xda", b"IDAT", b"\x7f\xff\xff\xff"]
    broken = data.draw(spoilt(content.getvalue(), pieces))
    try:
        found = pixels_of(decode_image(bytes(broken)), ImageOptions(height=3, width=2))
    except BadImage as err:
        assert str(err)  # noqa: PT017 - both ways out are right
    else:
        assert found.shape == (3, 2, 3)


INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
CSV_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
# A name is text that is not blank; a byte order mark before it would belong to the file.
NAMES = TEXTS.filter(lambda name: name.strip() and "\0" not in name and name[0] != "\ufeff")


@st.composite
def tables(draw: st.DrawFn, kinds: Sequence[st.SearchStrategy[Any]], least: int = 1) -> Table:
    """Columns of equal length; each of one kind of value, with some missing."""
    names = draw(st.lists(NAMES, min_size=least, max_size=4, unique=True))
    rows = draw(st.integers(1, 12))
    return {
        name: draw(
            st.lists(
                st.one_of(st.none(), draw(st.sampled_from(kinds))), min_size=rows, max_size=rows
            )
        )
        for name in names
    }


def same(one: Any, other: Any) -> bool:
    """Equal, NaN to NaN."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def assert_same(found: pa.Table, expected: Table) -> None:
    assert set(found.column_names) == set(expected)
    for name, values in expected.items():
        stored = found[name].to_pylist()
        assert all(map(same, stored, values)), (name, stored, values)


@given(table=tables([INTS, st.floats(), CSV_TEXTS], least=2))
@settings(max_examples=100, deadline=None)
def test_csv_gives_back_what_was_written(table: Table) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    declared = {n: "string" for n, values in table.items() if any(type(v) is str for v in values)}
    # A row of empty cells and one column is a blank line: there are two columns or more.
    found = ingested(text.getvalue().encode(), ".csv", column_types=tuple(declared.items()))
    assert_same(found, table)


JSON_KINDS = [INTS, FLOATS, TEXTS, st.booleans()]
JSON_KINDS += [st.lists(kind, min_size=1, max_size=3) for kind in JSON_KINDS]


def as_stored(value: Any) -> Any:
    if type(value) is list:
        return [as_stored(item) for item in value]
    return int(value) if type(value) is bool else value


@given(table=tables(JSON_KINDS), ascii=st.booleans(), sparse=st.booleans())
@settings(max_examples=100, deadline=None)
def test_json_lines_give_back_what_was_written(table: Table, ascii: bool, sparse: bool) -> None:
    lines = []
    for row in zip(*table.values(), strict=True):
        cells = dict(zip(table, row, strict=True))
        if sparse and lines:  # the first line names every column
            cells = {name: value for name, value in cells.items() if value is not None}
        lines.append(json.dumps(cells, ensure_ascii=ascii) + "\n")
    found = ingested("".join(lines).encode(), ".jsonl")
    assert_same(found, {name: list(map(as_stored, values)) for name, values in table.items()})


RECORD_KINDS = [INTS, st.floats(width=32), st.binary(max_size=6), TEXTS.map(str.encode)]
RECORD_KINDS += [st.lists(kind, min_size=2, max_size=3) for kind in RECORD_KINDS]


@given(table=tables(RECORD_KINDS))
@settings(max_examples=100, deadline=None)
def test_tfrecords_give_back_what_was_written(table: Table) -> None:
    records = []
    for row in zip(*table.values(), strict=True):
        cells = dict(zip(table, row, strict=True))
        records.append(
            example(**{n: v if type(v) is list else [v] for n, v in cells.items() if v is not None})
        )
    if not any(records):
        return  # no record names a feature: there is no table to give back
    found = ingested(tfrecord(records), ".tfrecord")
    there = {name: values for name, values in table.items() if any(v is not None for v in values)}
    text = {name for name in there if pa.types.is_string(item_type(found[name].type))}
    assert_same(
        found, {n: [decoded(v) if n in text else v for v in values] for n, values in there.items()}
    )
    for name in set(there) - text:
        assert not all(map(is_utf8, there[name]))


def item_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def decoded(value: Any) -> Any:
    if type(value) is list:
        return list(map(decoded, value))
    return value.decode() if type(value) is bytes else value


def is_utf8(value: Any) -> bool:
    """Whether a value is bytes, or a list of bytes, that are all UTF-8; a missing one is."""
    if value is None or type(value) is list:
        return all(map(is_utf8, value or ()))
    try:
        return type(value) is bytes and bool(value.decode() or True)
    except UnicodeDecodeError:
        return False
