"""Transformed rows as tensors: columns of Parquet straight into a `tf.data.Dataset`.

No row is parsed: a row group becomes NumPy arrays, and batches are slices of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlproject.errors import DataError, closest
from mlproject.transform import TRANSFORMED_FILE

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf

READ_ROWS = 262_144


class DataAccessor:
    """Gives a project's `run_fn` the transformed rows.

    Args:
        transformed_dir: Folder of the transform artifact.
        label: The label's column.
        seed: Seed of the shuffle.
    """

    def __init__(self, transformed_dir: Path, label: str, seed: int) -> None:
        self._dir = transformed_dir
        self._label = label
        self._seed = seed

    def row_count(self, split: str) -> int:
        """Number of rows of a split."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self._file(split)).num_rows)

    def files(self, split: str) -> tuple[str, ...]:
        """The Parquet files of a split."""
        return (str(self._file(split)),)

    def check_label(self) -> None:
        """Checks that the label is a column.

        Raises:
            DataError: It is not; the closest column is named.
        """
        self._columns_of(self._file("train"))

    def tf_dataset(
        self, split: str, batch_size: int, *, shuffle: bool = False, repeat: bool = False
    ) -> tf.data.Dataset:
        """Batches of a split.

        Args:
            split: `train`, `eval` or another split of the project.
            batch_size: Rows a batch; the last one may be smaller.
            shuffle: Shuffle anew each epoch, from the project's seed: pieces of
                262,144 rows, then the rows within each. The same seed gives the same order on any
                machine.
            repeat: Go on for ever; then give `steps_per_epoch` to `fit`.

        Returns:
            A dataset of (features, label): features is a dict of `[batch]` or `[batch, k]`
            tensors, the label `[batch]`.

        Raises:
            DataError: There is no such split, or no such label among the columns.
        """
        import tensorflow as tf

        file = self._file(split)
        arrays = self._columns_of(file)
        names = [n for n in arrays if n != self._label]
        spec = tuple(
            tf.TensorSpec((None, *arrays[n].shape[1:]), tf.as_dtype(arrays[n].dtype))
            for n in (*names, self._label)
        )
        epochs = iter(range(2**31))

        def batches() -> Iterator[tuple[np.ndarray, ...]]:
            rng = np.random.default_rng((self._seed, next(epochs))) if shuffle else None
            for columns in read_columns(file, rng=rng):
                rows = len(columns[self._label])
                order = rng.permutation(rows) if rng is not None else None
                if order is not None:
                    columns = {n: column[order] for n, column in columns.items()}
                for start in range(0, rows, batch_size):
                    part = slice(start, start + batch_size)
                    yield tuple(columns[n][part] for n in (*names, self._label))

        dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
        dataset = dataset.map(lambda *c: (dict(zip(names, c[:-1], strict=True)), c[-1]))
        if repeat:
            dataset = dataset.repeat()
        else:
            steps = sum(-(-rows // batch_size) for rows in piece_rows(file))
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _columns_of(self, file: Path) -> dict[str, np.ndarray]:
        """The first row of a file, which tells names, types and shapes."""
        arrays = next(read_columns(file, limit=1))
        if self._label not in arrays:
            raise DataError(
                "Reading the training rows failed",
                received=f"no column '{self._label}' among the outputs of preprocessing_fn",
                expected=closest(self._label, arrays),
                next_step="set `training.label` in project.yaml",
            )
        return arrays

    def _file(self, split: str) -> Path:
        file = self._dir / f"Split-{split}" / TRANSFORMED_FILE
        if not file.exists():
            there = [p.name.removeprefix("Split-") for p in self._dir.glob("Split-*")]
            raise DataError(
                "Reading the training rows failed",
                received=f"split '{split}'",
                expected=closest(split, there),
            )
        return file


def piece_rows(file: Path) -> list[int]:
    """Rows of each piece that `read_columns` yields for a file."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    return [sum(metadata.row_group(g).num_rows for g in piece) for piece in _pieces(metadata)]


def read_columns(
    file: Path, limit: int | None = None, rng: np.random.Generator | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Reads a transformed Parquet file in pieces of some 262,144 rows.

    Args:
        file: The file.
        limit: Read no more than this many rows, in one piece.
        rng: Shuffles the order of the pieces.

    Yields:
        Column name -> array `[rows]` or `[rows, k]`.
    """
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file)
    if limit is not None:
        for batch in parquet.iter_batches(batch_size=limit):
            yield _to_numpy(batch)
            return
    pieces = _pieces(parquet.metadata)
    order = rng.permutation(len(pieces)) if rng is not None else range(len(pieces))
    for index in order:
        yield _to_numpy(parquet.read_row_groups(pieces[index]).combine_chunks())


def _pieces(metadata: Any) -> list[list[int]]:
    """Row groups, joined in file order to pieces of up to READ_ROWS rows."""
    pieces: list[list[int]] = []
    rows = READ_ROWS + 1
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if rows + size > READ_ROWS:
            pieces.append([])
            rows = 0
        pieces[-1].append(group)
        rows += size
    return pieces


def _to_numpy(table: pa.Table | pa.RecordBatch) -> dict[str, np.ndarray]:
    import pyarrow as pa

    arrays = {}
    for name in table.schema.names:
        column = table.column(name)
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(column, pa.ChunkedArray):  # pyarrow keeps a ChunkedArray of one chunk
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_fixed_size_list(column.type):
            flat = column.flatten().to_numpy(zero_copy_only=False)
            arrays[name] = flat.reshape(len(column), column.type.list_size)
        else:
            arrays[name] = column.to_numpy(zero_copy_only=False)
    return arrays
