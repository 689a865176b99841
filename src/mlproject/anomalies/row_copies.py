"""Rows of Examples copied to a Parquet file, each with marks that say why.

Only the row groups with such rows are read, a few thousand rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlproject.errors import DataError, StorageError

_COPY_ROWS = 10_000
_SPAN_FILE = "span-"


@dataclass(frozen=True)
class MarkedRows:
    """Rows of a split.

    Attributes:
        split: The split.
        folder: Its folder.
        marks: `row` (int64, the position in the split), and a column for each mark; a row stands
            there once for each reason to copy it.
    """

    split: str
    folder: Path
    marks: pa.Table


def read_columns(folder: Path) -> pa.Schema:
    """The columns of a split that has been opened before."""
    return pq.read_schema(_files(folder)[0])


def copy_rows(chosen: Sequence[MarkedRows], out_file: Path) -> None:
    """Copies rows with all their columns, and the marks before them, to a Parquet file.

    Args:
        chosen: The rows of each split.
        out_file: The file; replaced whole.

    Raises:
        DataError: A file of the split is damaged.
        StorageError: The file cannot be written.
    """
    aside = out_file.with_name(f".{out_file.name}.{os.getpid()}")
    writer = None
    try:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        for one in chosen:
            for batch in _copies(one):
                writer = writer or pq.ParquetWriter(aside, batch.schema)
                writer.write_batch(batch)
        if writer:
            writer.close()
        os.replace(aside, out_file)
    except OSError as err:
        raise StorageError(
            "Writing the bad rows failed",
            received=f"{out_file}: {err.strerror or err}",
            expected="a folder with room that this user may write",
            next_step="give another file, or free space",
        ) from err
    finally:
        with suppress(OSError):
            aside.unlink()


def _copies(chosen: MarkedRows) -> Iterator[pa.RecordBatch]:
    """The chosen rows with all their columns, a few at a time."""
    marks = chosen.marks.sort_by("row")
    at = marks["row"].to_numpy()
    start = 0
    for path in _files(chosen.folder):
        with _readable(path), pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if np.searchsorted(at, start) == np.searchsorted(at, start + rows):
                    start += rows  # nothing of it is wanted
                    continue
                for batch in file.iter_batches(_COPY_ROWS, [group]):
                    first, last = np.searchsorted(at, (start, start + batch.num_rows))
                    if first < last:
                        own = marks.slice(first, last - first).combine_chunks()
                        copied = batch.take(pa.array(at[first:last] - start))
                        yield _marked(copied, own, chosen.split, _span_of(path))
                    start += batch.num_rows


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """The columns without rules are read here for the first time."""
    try:
        yield
    except (pa.ArrowException, OSError) as err:
        raise DataError(
            f"'{path}' cannot be read as Parquet",
            received=str(err).splitlines()[0],
            expected="a whole file that ingest wrote",
            next_step="remove the folder and run ingest again",
        ) from err


def _marked(rows: pa.RecordBatch, marks: pa.Table, split: str, span: int | None) -> pa.RecordBatch:
    count = rows.num_rows
    own = {
        "_split": pa.array([split] * count, pa.string()),
        "_span": pa.array([span] * count, pa.int64()),
        **{f"_{name}": marks[name].chunk(0) for name in marks.column_names},
    }
    for name in list(own):
        free = name
        while free in rows.schema.names:
            free = f"_{free}"
        own[free] = own.pop(name)
    return pa.RecordBatch.from_arrays(
        [*own.values(), *rows.columns], names=[*own, *rows.schema.names]
    )


def _span_of(path: Path) -> int | None:
    name = path.stem
    return int(name.removeprefix(_SPAN_FILE)) if name.startswith(_SPAN_FILE) else None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
