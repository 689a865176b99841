"""Input that cannot be ingested: each fault is named, with its place and the next step."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from tests.mlproject.examples.ingested import refusal_of

from mlproject.errors import ConfigError, DataError, PlatformError, StorageError
from mlproject.examples.ingest import ingest
from mlproject.examples.request import IngestRequest

HEADER = b"id,price,name\n"
FEW = b"".join(b"%d,%d.5,name %d\n" % (i, i, i % 7) for i in range(60))
MANY = b"".join(b"%d,%d.5,name %d\n" % (i, i, i % 7) for i in range(120_000))


def refused(
    tmp_path: Path,
    content: bytes,
    error: type[PlatformError] = DataError,
    name: str = "data.csv",
    **request: object,
) -> str:
    return refusal_of(tmp_path, name, content, error, **request)


def test_a_missing_file_gets_the_closest_name(tmp_path: Path) -> None:
    (tmp_path / "trips.csv").write_bytes(HEADER + FEW)
    with pytest.raises(DataError, match=r"did you mean 'trips\.csv'\?"):
        ingest(IngestRequest(source=str(tmp_path / "trip.csv")), tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder '.*nowhere' does not exist"):
        ingest(IngestRequest(source=str(tmp_path / "nowhere" / "trips.csv")), tmp_path)


def test_a_folder_without_data_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"holds no data files.*'notes\.txt'"):
        ingest(IngestRequest(source=str(tmp_path)), tmp_path)


def test_two_formats_in_one_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEADER)
    (tmp_path / "b.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="different formats"):
        ingest(IngestRequest(source=str(tmp_path)), tmp_path)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    assert "suffix '.xlsx'" in refused(tmp_path, b"PK", name="book.xlsx")


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"of a kind that is not known.*ftp://"):
        ingest(IngestRequest(source="ftp://host/data.csv"), tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (HEADER, "has no rows"),
        (HEADER.rstrip(), "has no rows"),
        (b"id,price,id\n" + FEW, "Column 'id' stands 2 times"),
        (b"id,,name\n" + FEW, "Column 2 of "),
        (HEADER + FEW + b"1,2\n" + FEW, "line 62: the row has not as many cells"),
        (HEADER + MANY + b"1,2,3,4\n", "line 120002: the row has not as many cells"),
        (HEADER + FEW + b"1,2,\xe9\n", "line 62: bytes that are not UTF-8"),
        (HEADER + MANY + b"\xe9,2,x\n", "line 120002: bytes that are not UTF-8"),
        (b"id,price,caf\xe9\n" + FEW, "line 1: bytes that are not UTF-8"),
        (HEADER + FEW + b"1,2,x\0y\n", "NUL bytes"),
        (HEADER + MANY + b"1\0,2,x\n", "NUL bytes"),
        (HEADER + MANY + b"1,2,x\0y\n", "NUL bytes"),
        (b"i\0d,price,name\n" + FEW, "NUL bytes"),
        ((HEADER + FEW).decode().encode("utf-16"), "iconv -f UTF-16"),
        (HEADER + FEW + b'1,2,"x\n' + FEW, "line 62: a quote is opened and never closed"),
        (HEADER + FEW + b'1,2,"x\n' + MANY, "line 62: a quote is opened and never closed"),
        (HEADER + FEW + b'"1,2,x\n' + FEW, "line 62: a quote is opened and never closed"),
        (HEADER + b"1,2," + b"x" * (3 << 20) + b"\n", "line 2: the row is too long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "text",
)
def test_malformed_text_is_named_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refused(tmp_path, content)


def test_ragged_rows_name_both_numbers(tmp_path: Path) -> None:
    message = refused(tmp_path, HEADER + FEW + b"1,2\n")
    assert "Received: 2 cells: '1,2'. Expected: 3 cells" in message


def test_columns_that_change_in_the_middle_are_located(tmp_path: Path) -> None:
    content = HEADER + MANY + b"id,price,tax,name\n" + b"1,2,3,x\n" * 10
    message = refused(tmp_path, content)
    assert "data.csv', line 120002: the row has not as many cells as the header" in message
    assert "Received: 4 cells: 'id,price,tax,name'. Expected: 3 cells" in message
    assert "cut the file in two" in message


def test_a_second_header_is_recognised(tmp_path: Path) -> None:
    message = refused(tmp_path, HEADER + FEW + HEADER + FEW)
    assert "line 62: column 'id'" in message
    assert "take the second header line out" in message


@pytest.mark.parametrize("rows", [FEW, MANY], ids=["early", "late"])
@pytest.mark.parametrize(
    "value", [b"9223372036854775808", b"-9223372036854775809", b"12345678901234567890123"]
)
def test_an_id_beyond_64_bits_is_not_rounded(tmp_path: Path, rows: bytes, value: bytes) -> None:
    message = refused(tmp_path, HEADER + rows + value + b",1,x\n")
    line = rows.count(b"\n") + 2
    assert f"line {line}: column 'id' holds a whole number beyond 64 bits" in message
    assert f"Received: '{value.decode()}'" in message
    assert "data.column_types: {id: string}" in message
    assert "or float" in message


def test_a_column_of_ids_beyond_64_bits_is_not_rounded(tmp_path: Path) -> None:
    content = b"id\n" + b"".join(b"%d\n" % (2**70 + i) for i in range(60))
    assert "line 2: column 'id' holds a whole number beyond 64 bits" in refused(tmp_path, content)


def test_a_list_in_a_csv_file_is_a_config_error(tmp_path: Path) -> None:
    types = (("name", "float list"),)
    message = refused(tmp_path, HEADER + FEW, ConfigError, column_types=types)
    assert "column 'name' a type that a CSV cell cannot hold" in message
    assert "JSON Lines or Parquet" in message


def huge(path: Path, before: bytes, after: bytes, line: bytes = b"x" * 1024) -> None:
    """A file with a cell of 150 MB."""
    with path.open("wb") as file:
        file.write(before)
        for _ in range(150):
            file.write(line * ((1 << 20) // len(line)))
        file.write(after)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        (HEADER + FEW + b"1,2,", b"\n3,4,y\n", b"x", "line 62: the row is too long"),
        (HEADER + FEW + b'1,2,"', b'"\n3,4,y\n', b"x", "line 62: the row is too long"),
        (HEADER + FEW + b'1,2,"', b'"\n3,4,y\n', b"xy\n,", "line 62: the row is too long"),
        (HEADER + FEW + b'1,2,"', b"", b"x", "line 62: a quote is opened and never closed"),
        (b"", b"", b"x", "line 1: the row is too long"),
        (HEADER + FEW + b"1,2,", b"", b"\0", "NUL bytes"),
    ],
    ids=["plain", "quoted", "quoted lines", "unclosed", "header", "NUL"],
)
def test_a_huge_cell_is_refused_in_bounded_memory(
    tmp_path: Path, before: bytes, after: bytes, line: bytes, words: str
) -> None:
    huge(tmp_path / "data.csv", before, after, line)
    (tmp_path / "out").mkdir()
    run = subprocess.run(
        [sys.executable, "-c", INGEST_IN_LITTLE_MEMORY, tmp_path / "data.csv", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=120,
        # Allocators that set address space aside for every thread would hide what is used.
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"},
    )
    assert words in run.stdout, run.stderr
    assert "Expected" in run.stdout


INGEST_IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from mlproject.errors import DataError
from mlproject.examples.ingest import ingest
from mlproject.examples.request import IngestRequest
out = Path(sys.argv[2])
small = out / "small.csv"
small.write_text("id\\n" + "".join(f"{i}\\n" for i in range(60)))
(out / "warm").mkdir()
ingest(IngestRequest(source=str(small)), out / "warm")  # loads libraries, starts threads
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (75 << 20)  # half of the file
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    ingest(IngestRequest(source=sys.argv[1]), out)
except DataError as err:
    print(err)
"""


def test_bytes_that_are_not_utf8_are_located_and_a_re_encoding_suggested(tmp_path: Path) -> None:
    message = refused(tmp_path, HEADER + FEW + b"1,2,caf\xe9\n")
    assert f"byte 0xe9 at offset {len(HEADER + FEW) + 7}" in message
    assert "iconv" in message


@pytest.mark.parametrize(("other", "shown"), [(b";", "';'"), (b"\t", "a tab"), (b"|", "'|'")])
def test_a_wrong_delimiter_is_recognised(tmp_path: Path, other: bytes, shown: str) -> None:
    message = refused(tmp_path, (HEADER + FEW).replace(b",", other))
    assert f"the delimiter looks like {shown}" in message


@pytest.mark.parametrize("rows", [FEW, MANY], ids=["early", "late"])
def test_text_in_a_numeric_column_is_located(tmp_path: Path, rows: bytes) -> None:
    message = refused(tmp_path, HEADER + rows + b'7,8,"a\nb"\n' + b"9,n/a,x\n" + FEW)
    line = rows.count(b"\n") + 4  # after the header, the rows and a row of two lines
    assert f"line {line}: column 'price'" in message
    assert "Received: 'n/a'" in message
    assert "data.column_types: {price: string}" in message
    assert "add 'n/a' to data.null_values" in message


def test_text_is_located_in_the_right_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(HEADER + FEW)
    (folder / "b.csv").write_bytes(HEADER + FEW + b"x,1,y\n")
    with pytest.raises(DataError, match=r"b\.csv', line 62: column 'id'"):
        ingest(IngestRequest(source=str(folder)), tmp_path)


def test_a_declared_int_is_not_widened(tmp_path: Path) -> None:
    message = refused(tmp_path, HEADER + FEW + b"1.5,2,x\n", column_types=(("id", "int"),))
    assert "line 62: column 'id' holds a value that is not a whole number" in message


def test_a_number_among_true_and_false_is_refused(tmp_path: Path) -> None:
    text = b"id,paid\n" + b"1,true\n" * 200_000 + b"1,7\n"
    assert "line 200002: column 'paid' holds a value that is not true" in refused(tmp_path, text)


def test_files_with_other_columns_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(HEADER + FEW)
    (folder / "b.csv").write_bytes(b"id,cost,name\n" + FEW)
    with pytest.raises(DataError) as raised:
        ingest(IngestRequest(source=str(folder)), tmp_path)
    assert "b.csv" in raised.value.failed
    assert "'price' is missing; 'cost' is not in" in str(raised.value.received)


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("suffix", "pack", "name"), [(".gz", gzip.compress, "gzip"), (".zst", zstd, "zstd")]
)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-5000],
        lambda packed: packed[:-1],
        lambda packed: HEADER + FEW,
        lambda packed: packed + b"tail",
        lambda packed: packed[:3],
    ],
    ids=["cut", "cut by a byte", "not packed", "tail", "head only"],
)
def test_a_corrupt_pack_is_refused(
    tmp_path: Path,
    suffix: str,
    pack: Callable[[bytes], bytes],
    name: str,
    spoil: Callable[[bytes], bytes],
) -> None:
    content = spoil(pack(HEADER + MANY))
    assert f"is not a whole {name} file" in refused(tmp_path, content, name=f"data.csv{suffix}")


def test_a_gzip_whose_checksum_is_wrong_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(HEADER + MANY)[:-8] + bytes(8)
    assert "is not a whole gzip file" in refused(tmp_path, content, name="data.csv.gz")


def test_an_empty_packed_file_is_empty(tmp_path: Path) -> None:
    assert "is empty" in refused(tmp_path, b"", name="data.csv.gz")
    assert "is empty" in refused(tmp_path, b"", name="data.csv.zst")


@contextmanager
def another_user() -> Iterator[None]:
    """Root may read everything: act as `nobody` for a while."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_a_file_without_permission_is_refused(tmp_path: Path, name: str) -> None:
    folder = Path(tempfile.gettempdir()) / f"benison-permission-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        (folder / name).write_bytes(HEADER + FEW)
        (folder / name).chmod(0)
        with another_user(), pytest.raises(DataError, match="Permission denied"):
            ingest(IngestRequest(source=str(folder / name)), tmp_path)
    finally:
        shutil.rmtree(folder)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, HEADER + b"1,2,x\n" * 20)  # equal rows share a split
    assert "has no rows" in message
    assert "0 rows" in message


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + FEW)

    def append(rows: int) -> None:
        with path.open("ab") as file:
            file.write(b"100,1,x\n")

    with pytest.raises(DataError, match="changed while it was read"):
        ingest(IngestRequest(source=str(path)), tmp_path, on_rows=append)


@pytest.mark.parametrize(
    ("request_parts", "words"),
    [
        ({"source": None}, "source of the data is not clear"),
        ({"split_sources": (("train", "x.csv"),)}, "source of the data is not clear"),
        ({"shares": ()}, "splits are not distinct"),
        ({"shares": (("a", 1.0), ("a", 2.0))}, "splits are not distinct"),
        ({"shares": (("train", 1.0), ("eval", 0.0))}, "share of split 'eval'"),
        ({"shares": (("train", float("nan")),)}, "share of split 'train'"),
        ({"shares": (("../up", 1.0),)}, "split's name"),
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": "::"}, "delimiter"),
        ({"split_key": ("nam",)}, "did you mean 'name'"),
        ({"column_types": (("nam", "int"),)}, "did you mean 'name'"),
        ({"column_types": (("name", "text"),)}, "unknown type"),
    ],
)
def test_a_request_that_cannot_be_met_is_a_config_error(
    tmp_path: Path, request_parts: dict[str, object], words: str
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(HEADER + FEW)
    with pytest.raises(ConfigError, match=words):
        ingest(IngestRequest(**{"source": str(path), **request_parts}), tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("Split-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(HEADER + MANY)
    out = tmp_path / "out"
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let us mount a small tmpfs")
    try:
        with pytest.raises(StorageError, match=r"(?i)no space left.*free space"):
            ingest(IngestRequest(source=str(tmp_path / "data.csv")), out)
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_a_file_size_limit_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(HEADER + MANY)
    out = tmp_path / "out"
    out.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written"):
            ingest(IngestRequest(source=str(tmp_path / "data.csv")), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_split_folder_with_files_in_it_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(HEADER + FEW)
    (tmp_path / "Split-train").mkdir()
    other = tmp_path / "Split-train" / "span-0000000001.parquet"  # of an ingest with spans
    other.write_bytes(b"")
    with pytest.raises(StorageError, match="Split-train"):
        ingest(IngestRequest(source=str(tmp_path / "data.csv")), tmp_path)
    assert other.read_bytes() == b""
