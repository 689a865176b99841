"""JSON Lines in, Examples out: the types, the spellings, and every way a line can be wrong."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from tests.mlproject.examples.ingested import column, ingest_file, refusal_of, table

from mlproject.errors import ConfigError, DataError, PlatformError
from mlproject.examples import jsonl_lines
from mlproject.examples.ingest import Examples, ingest
from mlproject.examples.request import IngestRequest

FEW = "".join(f'{{"id": {i}, "price": {i}.5, "name": "name {i % 7}"}}\n' for i in range(60))
MANY = FEW * 20  # dozens of blocks of 1,000 bytes


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_lines, "_BLOCK_BYTES", 1_000)


def run(tmp_path: Path, text: str | bytes, **request: object) -> Examples:
    return ingest_file(tmp_path, "data.jsonl", text, **request)


def refused(
    tmp_path: Path,
    text: str | bytes,
    error: type[PlatformError] = DataError,
    name: str = "data.jsonl",
    **request: object,
) -> str:
    return refusal_of(tmp_path, name, text, error, **request)


def test_keys_become_columns_in_the_order_they_are_met(tmp_path: Path) -> None:
    examples = run(tmp_path, FEW + '{"new": true, "id": 100}\n')
    assert examples.columns == (
        ("id", "int"),
        ("price", "float"),
        ("name", "string"),
        ("new", "int"),
    )
    assert column(tmp_path, "price")[7] == 7.5
    assert column(tmp_path, "name")[8] == "name 1"
    assert column(tmp_path, "new")[100] == 1
    assert column(tmp_path, "price")[100] is None


@pytest.mark.parametrize("before", [FEW, MANY], ids=["early", "late"])
@pytest.mark.parametrize(
    ("value", "column_type", "stored"),
    [
        ("3", "int", 3),
        ("-9223372036854775808", "int", -(2**63)),
        ("true", "int", 1),
        ("3.0", "float", 3.0),
        ("1e3", "float", 1000.0),
        ("-0.0", "float", 0.0),
        ('"x"', "string", "x"),
        ('"\\u00e9\\ud83d\\ude00\\u0000"', "string", "é😀\0"),
        ('"2020-01-01T00:00:00"', "string", "2020-01-01T00:00:00"),
        ("[1, 2]", "int list", [1, 2]),
        ("[true]", "int list", [1]),
        ("[1, 2.5]", "float list", [1.0, 2.5]),
        ('["a", ""]', "string list", ["a", ""]),
        ("null", "float", None),
        ("[]", "float", None),
    ],
)
def test_a_late_column_takes_the_type_of_its_values(
    tmp_path: Path, before: str, value: str, column_type: str, stored: object
) -> None:
    examples = run(tmp_path, before + f'{{"id": -1, "x": {value}}}\n')
    assert dict(examples.columns)["x"] == column_type
    assert column(tmp_path, "x")[-1] == stored
    assert sum(rows for _, rows in examples.splits) == before.count("\n") + 1


@pytest.mark.parametrize(
    ("values", "column_type", "stored"),
    [
        (["1", "2.5"], "float", [1.0, 2.5]),
        (["9007199254740993", "0.5"], "float", [9007199254740992.0, 0.5]),
        (["99999999999999999999", "0.5"], "float", [1e20, 0.5]),
        (["18446744073709551615", "0.5"], "float", [2.0**64, 0.5]),
        (["[1]", "[0.5]"], "float list", [[1.0], [0.5]]),
        (["[]", "[1]"], "int list", [None, [1]]),
        (["[]", "1"], "int", [None, 1]),
        (["null", '"x"'], "string", [None, "x"]),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("between", ["", MANY], ids=["near", "far"])
def test_types_widen_in_any_order(
    tmp_path: Path,
    values: list[str],
    column_type: str,
    stored: list[object],
    turned: bool,
    between: str,
) -> None:
    lines = [f'{{"id": -{at}, "x": {value}}}\n' for at, value in enumerate(values, start=1)]
    first, second = reversed(lines) if turned else lines
    examples = run(tmp_path, first + FEW + between + second)
    assert dict(examples.columns)["x"] == column_type
    assert [column(tmp_path, "x")[-1], column(tmp_path, "x")[-2]] == stored


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("1", '"a"', 'Received: text: "a"'),
        ("1.5", "true", "Received: true or false: true"),
        ("1", "true", "Received: true or false: true"),
        ('"a"', "1", "Received: a whole number: 1"),
        ("1", "[1]", "Received: a list of a whole number: [1]"),
        ('"a"', '["a"]', "Received: a list of text"),
        ("[1]", '["a"]', "Received: a list of text"),
        ("[1]", '{"b": 1}', "write its values as columns of their own (x_b)"),
        ("1", "[[1]]", "one list of numbers or texts"),
        ("1", '[{"b": 1}]', "one list of numbers or texts"),
        ("[1]", "[1, null]", "fill the missing value"),
        ("[1]", '[1, "a"]', "Received: a list of a whole number and text"),
        ("null", '{"b": 1}', "an object"),
    ],
)
@pytest.mark.parametrize("between", [FEW, MANY], ids=["near", "far"])
def test_values_of_two_sorts_are_located(
    tmp_path: Path, one: str, other: str, words: str, between: str
) -> None:
    text = f'{{"id": 1, "x": {one}}}\n' + between + f'{{"id": 2, "x": {other}}}\n'
    message = refused(tmp_path, text)
    assert f"line {between.count(chr(10)) + 2}: column 'x' holds" in message
    assert words in message


@pytest.mark.parametrize("between", [FEW, MANY], ids=["near", "far"])
@pytest.mark.parametrize(
    "value",
    ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 30],
)
def test_an_id_beyond_64_bits_is_not_rounded(tmp_path: Path, between: str, value: str) -> None:
    message = refused(tmp_path, between + f'{{"id": {value}}}\n')
    line = between.count("\n") + 1
    assert f"line {line}: column 'id' holds a whole number beyond 64 bits" in message
    assert f"Received: {value}" in message
    assert "data.column_types: {id: string}" in message


def test_a_column_of_ids_beyond_64_bits_is_not_rounded(tmp_path: Path) -> None:
    text = "".join(f'{{"id": {2**70 + i}}}\n' for i in range(60))
    assert "line 1: column 'id' holds a whole number beyond 64 bits" in refused(tmp_path, text)


def test_a_list_of_ids_beyond_64_bits_is_not_rounded(tmp_path: Path) -> None:
    message = refused(tmp_path, FEW + '{"x": [1, 88888888888888888888888]}\n')
    assert "line 61: column 'x' holds a whole number beyond 64 bits" in message
    assert "Received: [1, 88888888888888888888888]" in message
    assert "{x: string list}" in message


def test_declared_a_string_a_number_keeps_its_spelling(tmp_path: Path) -> None:
    text = "".join(f'{{"x": {x}}}\n' for x in ["1", "99999999999999999999", "1.50", '"a"', "true"])
    text += "".join(f'{{"x": "row {i}"}}\n' for i in range(60))
    examples = run(tmp_path, text, column_types=(("x", "string"),))
    assert examples.columns == (("x", "string"),)
    found = set(table(tmp_path)["x"].to_pylist())
    assert {"1", "99999999999999999999", "1.50", "a", "true"} <= found


def test_declared_types_win(tmp_path: Path) -> None:
    declared = (("id", "float"), ("name", "bytes"), ("price", "float list"), ("late", "int list"))
    text = FEW + '{"id": true, "price": [1, 2.5], "late": 7}\n' + MANY
    examples = run(tmp_path, text, column_types=declared)
    assert dict(examples.columns) == dict(declared)
    assert column(tmp_path, "late")[1.0] in ([7], None)
    rows = table(tmp_path).to_pylist()
    assert {"id": 1.0, "price": [1.0, 2.5], "name": None, "late": [7]} in rows
    assert {"id": 2.0, "price": [2.5], "name": b"name 2", "late": None} in rows


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (("price", "int"), "Received: a number: 0.5. Expected: a whole number of 64 bits, as data"),
        (("name", "float list"), "Received: text"),
        (("big", "int"), "Received: a"),
        (("list", "float"), "a list of a whole number"),
        (("list", "string"), "a list of a whole number"),
    ],
)
def test_a_declared_type_that_does_not_fit_is_located(
    tmp_path: Path, declared: tuple[str, str], words: str
) -> None:
    text = '{"id": 1, "big": 99999999999999999999.5, "list": [1, 2]}\n' + FEW
    message = refused(tmp_path, text, column_types=(declared,))
    assert f"column '{declared[0]}' holds a value of another sort" in message
    assert words in message


def test_a_declared_column_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    message = refused(tmp_path, FEW, ConfigError, column_types=(("pric", "int"),))
    assert "did you mean 'price'" in message


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + FEW.encode(),
        FEW.replace("\n", "\r\n").encode(),
        FEW.rstrip("\n").encode(),
        ("\n \n" + FEW.replace("\n", "\n\n\t\n") + "\n").encode(),
        FEW.replace(": ", ":").replace('"name"', '"n\\u0061me"').encode(),
        FEW.replace('": ', '" \t : ').encode(),
    ],
    ids=["byte order mark", "CRLF", "no last newline", "blank lines", "escapes", "spaces"],
)
def test_equal_rows_in_another_dress_are_equal_examples(tmp_path: Path, text: bytes) -> None:
    plain, dressed = tmp_path / "plain", tmp_path / "dressed"
    plain.mkdir()
    dressed.mkdir()
    expected = run(plain, FEW)
    examples = run(dressed, text)
    assert examples.columns == expected.columns
    assert examples.split_digests == expected.split_digests


@pytest.mark.parametrize("block_bytes", [3, 64, 5_000, 256 << 10])
def test_nothing_depends_on_the_block_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    text = FEW + '\n{"id": 0.5, "tags": ["a", "b"]}\r\n' + FEW
    (tmp_path / "whole").mkdir()
    expected = run(tmp_path / "whole", text)
    monkeypatch.setattr(jsonl_lines, "_BLOCK_BYTES", block_bytes)
    assert run(tmp_path, text).split_digests == expected.split_digests


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "a.jsonl.gz").write_bytes(gzip.compress(FEW.encode()))
    with pa.CompressedOutputStream(str(source / "b.jsonl.zst"), "zstd") as packed:
        packed.write(FEW.encode())
    (source / "c.ndjson").write_text(FEW)
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source=str(source)), tmp_path / "out")
    assert sum(rows for _, rows in examples.splits) == 180


@pytest.mark.parametrize("before", [FEW, MANY], ids=["early", "late"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": 1,}', "the line is not JSON"),
        ('{"id": 1', "the line is not JSON"),
        ('{"id": 1} x', "the line is not JSON"),
        ('{"id": 1}{"id": 2}', "the line is not JSON"),
        ("{'id': 1}", "the line is not JSON"),
        ('{"id": 007}', "the line is not JSON"),
        ('{"id": 1e999}', "the line is not JSON"),
        ('{"name": "\\ud800"}', "the line is not JSON"),
        ('{"price": NaN}', "the line holds NaN or Infinity"),
        ('{"price": -Infinity}', "the line holds NaN or Infinity"),
        ('{"id": 1, "id": 2}', "key 'id' stands there twice"),
        ('{"id": 1, "i\\u0064": 1}', "key 'id' stands there twice"),
        ('{"id" : 1, "name": "\\":", "id" : 1}', "key 'id' stands there twice"),
        ("[1, 2]", "the line is no JSON object"),
        ("7", "the line is no JSON object"),
        ("null", "the line is no JSON object"),
        ("{", "the line holds a part of an object"),
        ('  "id": 1,', "the line holds a part of an object"),
        ('{"id": 1},', "the line holds a part of an object"),
        ("[" * 100_000, "the line begins a JSON array"),
        ('{"":' * 100_000, "the line is not JSON"),
        ('{"x\0": 1}', "NUL bytes"),
        ('{"name": "tab\there"}', "the line is not JSON"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "text",
)
def test_a_broken_line_is_located(tmp_path: Path, before: str, line: str, words: str) -> None:
    message = refused(tmp_path, before + "\n" + line + "\n" + FEW)
    assert f"data.jsonl', line {before.count(chr(10)) + 2}: {words}" in message or (
        words == "NUL bytes" and words in message
    )


@pytest.mark.parametrize(
    "line", [b'{"name": "caf\xe9"}', b'{"caf\xe9": 1}', b"\xff\xfe{", b'{"name": "\xed\xa0\x80"}']
)
@pytest.mark.parametrize("before", [FEW, MANY], ids=["early", "late"])
def test_bytes_that_are_not_utf8_are_located(tmp_path: Path, before: str, line: bytes) -> None:
    message = refused(tmp_path, before.encode() + line + b"\n" + FEW.encode())
    assert f"line {before.count(chr(10)) + 1}: bytes that are not UTF-8" in message
    assert "iconv" in message


@pytest.mark.parametrize("depth", [3, 250, 300, 995, 1010, 1020])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("declared", [(), (("id", "string"),), (("x", "string"),)])
def test_deep_nesting_is_refused(
    tmp_path: Path, depth: int, opening: str, closing: str, declared: tuple[tuple[str, str], ...]
) -> None:
    deep = opening * depth + "99999999999999999999" + closing * depth
    message = refused(tmp_path, FEW + f'{{"id": 7, "x": {deep}}}\n', column_types=declared)
    assert "line 61: " in message


def test_a_json_array_is_recognised(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in FEW.splitlines()]
    assert "jq -c '.[]'" in refused(tmp_path, json.dumps(rows))


def test_an_indented_json_array_is_recognised(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in FEW.splitlines()]
    assert "jq -c '.[]'" in refused(tmp_path, json.dumps(rows, indent=2))


def test_utf16_is_recognised(tmp_path: Path) -> None:
    assert "iconv -f UTF-16" in refused(tmp_path, FEW.encode("utf-16"))


@pytest.mark.parametrize("text", ["", "\n\n", "{}\n{}\n", "null"[:0]])
def test_a_file_without_rows_or_columns_is_refused(tmp_path: Path, text: str) -> None:
    assert "has no columns" in refused(tmp_path, text)


def test_an_object_without_keys_is_a_row_of_nulls(tmp_path: Path) -> None:
    run(tmp_path, "{}\n" + FEW)
    rows = table(tmp_path).filter(table(tmp_path)["id"].is_null())
    assert rows.to_pylist() == [{"id": None, "price": None, "name": None}]


def test_a_key_without_a_name_is_refused(tmp_path: Path) -> None:
    assert "has no name" in refused(tmp_path, '{"": 1}\n')


def test_keys_that_are_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlproject.examples.column_limit.MAX_COLUMNS", 50)
    text = "".join(f'{{"user {i}": 1}}\n' for i in range(60))
    assert "have too many columns" in refused(tmp_path, text)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(MANY.encode())[:-500]
    assert "is not a whole gzip file" in refused(tmp_path, packed, name="data.jsonl.gz")


@pytest.mark.parametrize("before", [b"", FEW.encode()], ids=["first", "later"])
@pytest.mark.parametrize("inside", [b'{"name": "', b"["], ids=["text", "array"])
def test_a_huge_line_is_refused_in_bounded_memory(
    tmp_path: Path, before: bytes, inside: bytes
) -> None:
    with (tmp_path / "data.jsonl").open("wb") as file:
        file.write(before + inside)
        for _ in range(300):
            file.write(b"1," * (1 << 19))
    (tmp_path / "out").mkdir()
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from mlproject.errors import DataError\n"
        "from mlproject.examples.ingest import ingest\n"
        "from mlproject.examples.request import IngestRequest\n"
        "import mlproject.examples.jsonl_source, mlproject.examples.split_writer\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + (150 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n"
        "    ingest(IngestRequest(source=sys.argv[1]), Path(sys.argv[2]))\n"
        "except DataError as err:\n"
        "    print(err)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "data.jsonl", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"},
    )
    line = before.count(b"\n") + 1
    assert f"line {line}: the line is too long" in run.stdout, run.stderr
