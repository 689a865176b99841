"""Transformed rows as tensors: columns straight into a `tf.data.Dataset`.

No row is parsed: a piece of the split is NumPy arrays, and batches are slices of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlproject.errors import DataError, closest
from mlproject.transformed import TransformedRows, open_transformed

if TYPE_CHECKING:
    import tensorflow as tf


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
        self._splits: dict[str, TransformedRows] = {}

    def row_count(self, split: str) -> int:
        """Number of rows of a split."""
        return sum(self._rows(split).piece_rows)

    def files(self, split: str) -> tuple[str, ...]:
        """The Parquet files of a split; none where the rows are transformed on the fly."""
        return self._rows(split).files

    def check_label(self) -> None:
        """Checks that the label is a column.

        Raises:
            DataError: It is not; the closest column is named.
        """
        self._first_row(self._rows("train"))

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

        transformed = self._rows(split)
        arrays = self._first_row(transformed)
        names = [n for n in arrays if n != self._label]
        spec = tuple(
            tf.TensorSpec((None, *arrays[n].shape[1:]), tf.as_dtype(arrays[n].dtype))
            for n in (*names, self._label)
        )
        epochs = iter(range(2**31))

        def batches() -> Iterator[tuple[np.ndarray, ...]]:
            rng = np.random.default_rng((self._seed, next(epochs))) if shuffle else None
            for columns in transformed.columns(rng):
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
            steps = sum(-(-rows // batch_size) for rows in transformed.piece_rows)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _first_row(self, transformed: TransformedRows) -> dict[str, np.ndarray]:
        arrays = transformed.first()
        if self._label not in arrays:
            raise DataError(
                "Reading the training rows failed",
                received=f"no column '{self._label}' among the outputs of preprocessing_fn",
                expected=closest(self._label, arrays),
                next_step="set `training.label` in project.yaml",
            )
        return arrays

    def _rows(self, split: str) -> TransformedRows:
        if split not in self._splits:
            self._splits[split] = open_transformed(self._dir, split)
        return self._splits[split]
