"""Examples read back: batches of a split, and the layout that TFDV and tf.Transform take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.batches import BATCH_ROWS, rebatch
from mlproject.examples.parquet_source import rows_at_a_time

_LIST_VALUES = {
    pa.int64(): pa.int64(),
    pa.float64(): pa.float32(),
    pa.string(): pa.binary(),
    pa.binary(): pa.binary(),
}


def read_batches(
    split_dir: Path, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Stream a split in row order, in memory that does not grow with it.

    Args:
        split_dir: A `Split-<name>` folder, or one file of it.
        columns: The columns to read, in this order; all when None.
        batch_rows: Rows in every batch but the last.

    Raises:
        ConfigError: A name is no column of the split.
        DataError: The split is missing or damaged.
    """
    return rebatch(_row_groups(split_dir, columns, batch_rows), batch_rows)


def count_rows(split_dir: Path) -> int:
    """The rows of a split, from the files' footers.

    Raises:
        DataError: The split is missing or damaged.
    """
    total = 0
    for path in split_files(split_dir):
        with _open(path) as file:
            total += file.metadata.num_rows
    return total


def to_example_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn flat columns into the lists of values that TFDV and tf.Transform read.

    A missing value is a null list, a present one a list of one, a list stays a list: int64 stays,
    double becomes float32, string becomes binary.

    Args:
        batch: `[rows]`, columns of int64, double, string or binary, or of lists of them.

    Returns:
        `[rows]`, columns of list<int64>, list<float32> or list<binary>.

    Raises:
        DataError: A column is of another type.
    """
    arrays = [
        _as_lists(field.name, column)
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _as_lists(name: str, column: pa.Array) -> pa.ListArray:
    if pa.types.is_list(column.type) and column.type.value_type in _LIST_VALUES:
        kind = pa.list_(_LIST_VALUES[column.type.value_type])
        return column if column.type == kind else column.cast(kind, safe=False)
    if column.type not in _LIST_VALUES:
        raise DataError(
            f"Column '{name}' is not of a type that Examples hold",
            received=str(column.type),
            expected="int64, double, string, binary, or a list of one of them",
            next_step="read the batch with read_batches from ingested Examples",
        )
    value_type = _LIST_VALUES[column.type]
    # Doubles beyond float32's range become inf, as they would in a tensor.
    values = column.drop_null().cast(value_type, safe=False)
    offsets = np.zeros(len(column) + 1, dtype=np.int32)
    if not column.null_count:
        offsets[:] = np.arange(len(column) + 1)
        return pa.ListArray.from_arrays(pa.array(offsets), values)
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    np.cumsum(valid, out=offsets[1:])
    null_list = np.append(~valid, False)  # a null offset marks a null list
    return pa.ListArray.from_arrays(pa.array(offsets, mask=null_list), values)


def _row_groups(
    split_dir: Path, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    for path in split_files(split_dir):
        with _open(path) as file:
            names = list(file.schema_arrow.names if columns is None else columns)
            for name in names:
                if name not in file.schema_arrow.names:
                    raise ConfigError(
                        f"'{split_dir}' has no such column",
                        received=f"'{name}'",
                        expected=closest(name, file.schema_arrow.names),
                        next_step="correct the column's name",
                    )
            rows = min(batch_rows, rows_at_a_time(file))
            batches = file.iter_batches(batch_size=rows, columns=names)
            while True:
                try:
                    batch = next(batches, None)
                except (pa.ArrowException, OSError) as err:
                    raise _damaged(path, err) from err
                if batch is None:
                    break
                yield pa.RecordBatch.from_pydict({name: batch[name] for name in names})


def split_files(split_dir: Path) -> list[Path]:
    """The files of a split in the order of their rows, one for each span; a file is its own.

    Raises:
        DataError: There are none.
    """
    if split_dir.is_file():
        return [split_dir]
    files = sorted(split_dir.glob("*.parquet"))
    if not files:
        raise DataError(
            f"There are no examples in '{split_dir}'",
            received="no Parquet file",
            expected="a Split-<name> folder that ingest wrote",
            next_step="run ingest again",
        )
    return files


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as err:
        raise _damaged(path, err) from err


def _damaged(path: Path, err: Exception) -> DataError:
    return DataError(
        f"'{path}' cannot be read as Parquet",
        received=str(err).splitlines()[0],
        expected="a whole file that ingest wrote",
        next_step="remove the folder and run ingest again",
    )
