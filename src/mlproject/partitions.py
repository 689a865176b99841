"""Partitions: a split of the Examples in parts that workers read by themselves, in any order.

What a worker writes for a partition is a file of its own, named by the partition's index, so that
file names in order are rows in order. The file is written aside and renamed: a killed or a
repeated worker leaves a whole file or none.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.batches import BATCH_ROWS, rebatch

INDEX_DIGITS = 5
_ASIDE = ".aside-"


@dataclass(frozen=True)
class Partition:
    """Some row groups of one file of a split.

    Attributes:
        split_dir: The `Split-<name>` folder, at a path that every worker can open.
        file: Name of the file in it.
        first_group: The first row group, from 0.
        stop_group: One after the last row group.
        rows: Rows in them.
        index: Number of the partition in its split, from 0, in row order.
    """

    split_dir: Path
    file: str
    first_group: int
    stop_group: int
    rows: int
    index: int


def partitions_of(split_dir: Path, target_rows: int = BATCH_ROWS) -> tuple[Partition, ...]:
    """Cuts a split into partitions of whole row groups, reading the files' footers only.

    Args:
        split_dir: A `Split-<name>` folder.
        target_rows: Rows that a partition should not exceed; a larger row group is a partition
            of its own, and no partition spans two files.

    Returns:
        Every row group once, in row order.

    Raises:
        ConfigError: `target_rows` is not positive, or gives more partitions than file names hold.
        DataError: The split is missing or damaged.
    """
    if target_rows < 1:
        raise ConfigError(
            "Cutting a split into partitions failed",
            received=f"{target_rows} rows a partition",
            expected="at least 1",
        )
    files = sorted(split_dir.glob("*.parquet"))
    if not files:
        raise DataError(
            f"There are no examples in '{split_dir}'",
            received="no Parquet file",
            expected="a Split-<name> folder that ingest wrote",
            next_step="run ingest again",
        )
    runs = [(path.name, *run) for path in files for run in _runs(path, target_rows)]
    if len(runs) > 10**INDEX_DIGITS:
        raise ConfigError(
            f"Cutting '{split_dir}' into partitions failed",
            received=f"{len(runs):,} partitions of {target_rows:,} rows",
            expected=f"at most {10**INDEX_DIGITS:,}, so that file names keep their order",
            next_step="take more rows a partition",
        )
    return tuple(
        Partition(split_dir, name, first, stop, rows, index)
        for index, (name, first, stop, rows) in enumerate(runs)
    )


def read_partition(
    partition: Partition, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Streams the rows of a partition in order.

    Args:
        partition: What to read.
        columns: The columns to read, in this order; all when None.
        batch_rows: Rows in every batch but the last.

    Raises:
        ConfigError: A name is no column of the split.
        DataError: The file is missing or damaged, or another one than when it was cut.
    """
    return rebatch(_read(partition, columns, batch_rows), batch_rows)


def partition_file(folder: Path, stem: str, index: int) -> Path:
    """Where a worker's output for a partition belongs: `<folder>/<stem>-00012.parquet`."""
    return folder / f"{stem}-{index:0{INDEX_DIGITS}d}.parquet"


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends well and nothing when not.

    Two writers of one path do not meet: each has a file of its own, and the last to end wins.
    Readers that look for `*.parquet` do not see unfinished files.
    """
    aside = path.with_name(f"{_ASIDE}{uuid.uuid4().hex}-{path.name}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def sweep_unfinished(folder: Path) -> None:
    """Removes what killed writers left in a folder that nobody writes to any more."""
    for orphan in folder.glob(f"{_ASIDE}*"):
        orphan.unlink(missing_ok=True)


def _runs(path: Path, target_rows: int) -> Iterator[tuple[int, int, int]]:
    """First row group, one after the last, and rows, of each partition of a file."""
    with _open(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    first, rows = 0, 0
    for group, size in enumerate(sizes):
        if rows and rows + size > target_rows:
            yield first, group, rows
            first, rows = group, 0
        rows += size
    if rows:
        yield first, len(sizes), rows


def _read(
    partition: Partition, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    path = partition.split_dir / partition.file
    with _open(path) as file:
        names = list(file.schema_arrow.names if columns is None else columns)
        for name in names:
            if name not in file.schema_arrow.names:
                raise ConfigError(
                    f"'{partition.split_dir}' has no such column",
                    received=f"'{name}'",
                    expected=closest(name, file.schema_arrow.names),
                    next_step="correct the column's name",
                )
        groups = list(range(partition.first_group, partition.stop_group))
        sizes = [file.metadata.row_group(g).num_rows for g in groups if g < file.num_row_groups]
        if sum(sizes) != partition.rows:
            raise DataError(
                f"'{path}' is another file than when it was cut into partitions",
                received=f"{sum(sizes):,} rows in its row groups {groups[0]} to {groups[-1]}",
                expected=f"{partition.rows:,} rows",
                next_step="run again when nobody writes to the Examples",
            )
        try:
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=names):
                yield pa.RecordBatch.from_pydict({name: batch[name] for name in names})
        except (pa.ArrowException, OSError) as err:
            raise _damaged(path, err) from err


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as err:
        raise _damaged(path, err) from err


def _damaged(path: Path, err: Exception) -> DataError:
    return DataError(
        f"'{path}' cannot be read as Parquet",
        received=(str(err).splitlines() or [type(err).__name__])[0],
        expected="a whole file that ingest wrote, at a path that every worker can open",
        next_step="share the pipeline root with the workers, or run ingest again",
    )
