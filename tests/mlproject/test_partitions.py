"""Partitions of a split: every row once and in order; files that are whole or not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.errors import ConfigError, DataError
from mlproject.partitions import (
    Partition,
    partition_file,
    partitions_of,
    read_partition,
    sweep_unfinished,
    written_aside,
)


def write(path: Path, rows: range, group_rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"n": pa.array(rows, pa.int64()), "s": [str(n) for n in rows]})
    pq.write_table(table, path, row_group_size=group_rows)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two files, 10 and 5 rows, in row groups of 4."""
    write(tmp_path / "Split-train" / "examples-00000.parquet", range(10), 4)
    write(tmp_path / "Split-train" / "examples-00001.parquet", range(10, 15), 4)
    return tmp_path / "Split-train"


def test_a_partition_is_a_run_of_row_groups_of_one_file(split: Path) -> None:
    first, second = "examples-00000.parquet", "examples-00001.parquet"
    assert partitions_of(split, 8) == (
        Partition(split, first, 0, 2, 8, 0),
        Partition(split, first, 2, 3, 2, 1),
        Partition(split, second, 0, 2, 5, 2),
    )


def test_a_row_group_larger_than_the_target_is_a_partition(split: Path) -> None:
    assert [p.rows for p in partitions_of(split, 1)] == [4, 4, 2, 4, 1]


@settings(max_examples=25, deadline=None)
@given(
    files=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    group_rows=st.integers(1, 20),
    target_rows=st.integers(1, 50),
    batch_rows=st.integers(1, 30),
)
def test_partitions_in_order_are_the_rows_in_order(
    files: list[int], group_rows: int, target_rows: int, batch_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = 0
        for number, rows in enumerate(files):
            write(Path(folder) / f"x-{number}.parquet", range(start, start + rows), group_rows)
            start += rows
        partitions = partitions_of(Path(folder), target_rows)
        read = [b for p in partitions for b in read_partition(p, ["n"], batch_rows)]
    assert [n for b in read for n in b["n"].to_pylist()] == list(range(start))
    assert [p.index for p in partitions] == list(range(len(partitions)))
    assert all(p.rows <= max(target_rows, group_rows) for p in partitions)
    assert all(b.num_rows <= batch_rows for b in read)


def test_columns_are_read_in_the_order_asked_for(split: Path) -> None:
    (batch,) = read_partition(partitions_of(split, 8)[1], ["s", "n"])
    assert batch.schema.names == ["s", "n"]
    assert batch.to_pydict() == {"s": ["8", "9"], "n": [8, 9]}


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_are_no_partition(split: Path, rows: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        partitions_of(split, rows)


def test_more_partitions_than_file_names_hold_are_refused(
    split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlproject.partitions.INDEX_DIGITS", 0)
    with pytest.raises(ConfigError, match="3 partitions of 8 rows"):
        partitions_of(split, 8)


def test_a_split_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet file"):
        partitions_of(tmp_path)


def test_a_mistyped_column_gets_the_closest(split: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'n'"):
        list(read_partition(partitions_of(split)[0], ["nn"]))


def test_a_truncated_file_is_refused(split: Path) -> None:
    whole = partitions_of(split)[0]
    path = split / whole.file
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        partitions_of(split)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_partition(whole))


def test_a_file_with_damaged_pages_is_refused(split: Path) -> None:
    whole = partitions_of(split)[0]
    path = split / whole.file
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_partition(whole))


def test_a_file_that_is_another_than_when_it_was_cut_is_refused(split: Path) -> None:
    last = partitions_of(split, 8)[1]
    write(split / last.file, range(6), 4)
    with pytest.raises(DataError, match="another file"):
        list(read_partition(last))


def test_file_names_in_order_are_partitions_in_order(tmp_path: Path) -> None:
    names = [partition_file(tmp_path, "transformed", i).name for i in (2, 10, 99_999)]
    assert names == sorted(names)
    assert names[0] == "transformed-00002.parquet"


def test_what_is_written_aside_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = partition_file(tmp_path, "transformed", 0)
    with written_aside(path) as aside:
        aside.write_text("rows")
        assert list(tmp_path.glob("*.parquet")) == []
    assert path.read_text() == "rows"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_writer_leaves_nothing_and_the_older_file(tmp_path: Path) -> None:
    path = partition_file(tmp_path, "transformed", 0)
    path.write_text("older")
    with pytest.raises(KeyError), written_aside(path) as aside:  # noqa: PT012 - mid-write
        aside.write_text("half")
        raise KeyError
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_a_partition_do_not_meet(tmp_path: Path) -> None:
    path = partition_file(tmp_path, "transformed", 0)
    with written_aside(path) as slow:
        slow.write_text("slow")
        with written_aside(path) as quick:
            quick.write_text("quick")
        assert path.read_text() == "quick"
    assert path.read_text() == "slow"


def test_what_killed_writers_left_is_swept(tmp_path: Path) -> None:
    path = partition_file(tmp_path, "transformed", 0)
    writer = written_aside(path)
    killed = writer.__enter__()
    killed.write_text("half")
    path.write_text("whole")
    sweep_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [path]
