"""Transformed rows as tensors: columns straight into a `tf.data.Dataset`.

No row is parsed, and Python is called once a piece of some 262,144 rows, not once a batch: a piece
becomes tensors, and TensorFlow slices the batches (benchmarks/training_input.py measures it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlproject.errors import DataError, closest
from mlproject.transformed import TransformedRows, open_transformed

if TYPE_CHECKING:
    import tensorflow as tf

SPLIT_PREFIX = "Split-"
Columns = tuple[np.ndarray, ...]


class DataAccessor:
    """Gives a project's `run_fn` the transformed rows.

    Args:
        transformed_dir: Folder of the transform artifact.
        label: The label's column.
        seed: Seed of the shuffle.
        replicas: Replicas of a `tf.distribute` strategy that share each batch. With more than one
            the last batch of an epoch is left out where it is not whole: a replica without a row
            has no loss.

    Attributes:
        replicas: As given.
    """

    def __init__(self, transformed_dir: Path, label: str, seed: int, replicas: int = 1) -> None:
        self._dir = transformed_dir
        self._label = label
        self._seed = seed
        self.replicas = replicas
        self._splits: dict[str, TransformedRows] = {}
        self._counters: list[EpochCounter] = []

    def row_count(self, split: str) -> int:
        """Number of rows of a split."""
        return sum(self._rows(split).piece_rows)

    def files(self, split: str) -> tuple[str, ...]:
        """The Parquet files of a split; a pattern where the rows are transformed on the fly."""
        return self._rows(split).files or (str(self._dir / f"{SPLIT_PREFIX}{split}" / "*"),)

    def check_label(self) -> None:
        """Checks that the label is a column.

        Raises:
            DataError: It is not; the closest column is named.
        """
        self._first_row(self._rows("train"), self._label)

    def batches_per_epoch(self, split: str, batch_size: int) -> int:
        """Batches that `tf_dataset` gives of a split in one epoch."""
        return _batches(self.row_count(split), batch_size, self.replicas > 1)

    def epochs_begun(self) -> list[int]:
        """For each shuffled dataset, in the order they were made: the epochs begun so far."""
        return [counter.begun for counter in self._counters]

    def begin_at(self, epochs: Sequence[int]) -> None:
        """Has the shuffled datasets go on after so many epochs (`epochs_begun` of a checkpoint)."""
        for counter, begun in zip(self._counters, epochs, strict=False):
            counter.begun = begun

    def tf_dataset(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle: bool = False,
        repeat: bool = False,
        first_batch: int = 0,
    ) -> tf.data.Dataset:
        """Batches of a split.

        Args:
            split: `train`, `eval` or another split of the project.
            batch_size: Rows a batch; the last one of an epoch may be smaller.
            shuffle: Shuffle anew each epoch, from the project's seed: pieces of
                262,144 rows, then the rows within each. The same seed gives the same order on any
                machine.
            repeat: Go on for ever; then give `steps_per_epoch` to `fit`.
            first_batch: Begin as if so many batches had been taken.

        Returns:
            A dataset of (features, label): features is a dict of `[batch]` or `[batch, k]`
            tensors, the label `[batch]`.

        Raises:
            DataError: There is no such split, or no such label among the columns.
        """
        epochs = None if repeat else 1
        read = _Reading(self._rows(split), batch_size, self.replicas > 1, first_batch)
        return self._dataset(read, epochs, self._seed if shuffle else None, self._label)

    def tf_dataset_factory(
        self, file_pattern: str | Sequence[str], options: Any, schema: Any = None
    ) -> tf.data.Dataset:
        """Batches of a split, asked for as TFX's Trainer does.

        Args:
            file_pattern: `fn_args.train_files` or `fn_args.eval_files`.
            options: `tfx_bsl.public.tfxio.TensorFlowDatasetOptions`. `batch_size`,
                `drop_final_batch`, `num_epochs`, `shuffle`, `shuffle_seed` and `label_key` count;
                `shuffle_buffer_size` does not: whole pieces are shuffled.
            schema: Not needed: the columns have their types.

        Returns:
            A dataset of (features, label), or of features alone without a `label_key`.

        Raises:
            DataError: The files are of no one split, or the label is no column.
        """
        patterns = [file_pattern] if isinstance(file_pattern, str) else list(map(str, file_pattern))
        drop = options.drop_final_batch or self.replicas > 1
        read = _Reading(self._rows(self._split_of(patterns)), options.batch_size, drop)
        seed = options.shuffle_seed if options.shuffle_seed is not None else self._seed
        shuffle = seed if options.shuffle else None
        return self._dataset(read, options.num_epochs, shuffle, options.label_key)

    def _dataset(
        self, read: _Reading, epochs: int | None, seed: int | None, label: str | None
    ) -> tf.data.Dataset:
        import tensorflow as tf

        arrays = self._first_row(read.rows, label)
        names = [name for name in arrays if name != label] + ([label] if label else [])
        spec = tuple(
            tf.TensorSpec((None, *arrays[n].shape[1:]), tf.as_dtype(arrays[n].dtype)) for n in names
        )
        counter = EpochCounter()
        if seed is not None:
            self._counters.append(counter)

        def pieces() -> Iterator[Columns]:
            return read.pieces(names, seed, counter.begin(), epochs)

        def batches(*columns: Any) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensors(columns).rebatch(read.batch_size)

        def named(*columns: Any) -> Any:
            if label is None:
                return dict(zip(names, columns, strict=True))
            return dict(zip(names[:-1], columns[:-1], strict=True)), columns[-1]

        dataset = tf.data.Dataset.from_generator(pieces, output_signature=spec).prefetch(1)
        dataset = dataset.flat_map(batches).map(named)
        steps = tf.data.INFINITE_CARDINALITY
        if epochs is not None:
            steps = read.batches_per_epoch * epochs - read.first_batch
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        sharding = tf.data.Options()
        # Each worker reads all of a batch and takes its part of it: no file can be given to one.
        sharding.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.prefetch(tf.data.AUTOTUNE).with_options(sharding)

    def _split_of(self, patterns: list[str]) -> str:
        folders = {Path(pattern).parent for pattern in patterns}
        names = {folder.name.removeprefix(SPLIT_PREFIX) for folder in folders}
        if len(names) == 1 and all(
            folder.name.startswith(SPLIT_PREFIX) and folder.parent == self._dir
            for folder in folders
        ):
            return names.pop()
        raise DataError(
            "Reading the training rows failed",
            received=f"file_pattern {', '.join(patterns)[:300] or '(none)'}",
            expected="fn_args.train_files or fn_args.eval_files",
        )

    def _first_row(self, transformed: TransformedRows, label: str | None) -> dict[str, np.ndarray]:
        arrays = transformed.first()
        if label is not None and label not in arrays:
            raise DataError(
                "Reading the training rows failed",
                received=f"no column '{label}' among the outputs of preprocessing_fn",
                expected=closest(label, arrays),
                next_step="set `training.label` in project.yaml",
            )
        return arrays

    def _rows(self, split: str) -> TransformedRows:
        if split not in self._splits:
            self._splits[split] = open_transformed(self._dir, split)
        return self._splits[split]


class EpochCounter:
    """Numbers the epochs of one dataset: each iterator that begins takes the next."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> int:
        """The number of the epoch that begins."""
        self.begun += 1
        return self.begun - 1


class _Reading:
    """How a split is read: pieces whose rows are whole batches, but for an epoch's last."""

    def __init__(
        self, rows: TransformedRows, batch_size: int, drop_last: bool, first_batch: int = 0
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.first_batch = first_batch
        self.batches_per_epoch = _batches(sum(rows.piece_rows), batch_size, drop_last)
        self._drop_last = drop_last

    def pieces(
        self, names: list[str], seed: int | None, epoch: int, epochs: int | None
    ) -> Iterator[Columns]:
        """Pieces of some epochs, from an epoch on; for ever where `epochs` is None."""
        if not self.batches_per_epoch:
            return
        whole, batch = divmod(self.first_batch, self.batches_per_epoch)
        last = None if epochs is None else epoch + epochs
        for number in count(epoch + whole):
            if number == last:
                return
            yield from self._epoch(names, seed, number, batch * self.batch_size)
            batch = 0

    def _epoch(
        self, names: list[str], seed: int | None, epoch: int, skip: int
    ) -> Iterator[Columns]:
        """The pieces of one epoch after so many rows.

        A batch that begins in one piece of the file and ends in the next is a piece by itself.

        What is yielded is kept nowhere here: the piece that is sliced and the one that is read
        ahead are TensorFlow's, and a third exists only while it is read.
        """
        order = None if seed is None else np.random.default_rng((seed, epoch))
        rest: list[Columns] = []
        for index, columns in enumerate(self.rows.columns(order)):
            rows = len(columns[names[0]])
            if skip >= rows:
                skip -= rows
                continue
            box = [_shuffled(columns, names, None if seed is None else (seed, epoch, index), skip)]
            rows, skip = rows - skip, 0
            if rest:
                held = len(rest[0][0])
                take = min(self.batch_size - held, rows)
                rest = [_joined(rest[0], _part(box[0], 0, take))]
                if held + take < self.batch_size:
                    continue
                yield rest.pop()
                box, rows = [_part(box[0], take, rows)], rows - take
            whole = rows - rows % self.batch_size
            if whole < rows:
                rest = [tuple(column.copy() for column in _part(box[0], whole, rows))]
            if whole:
                box = [_part(box[0], 0, whole)]
                del columns
                yield box.pop()
        if rest and not self._drop_last:
            yield rest.pop()


def _batches(rows: int, batch_size: int, drop_last: bool) -> int:
    return rows // batch_size if drop_last else -(-rows // batch_size)


def _shuffled(
    columns: dict[str, np.ndarray], names: list[str], seed: tuple[int, ...] | None, skip: int
) -> Columns:
    if seed is None:
        return tuple(columns[name][skip:] for name in names)
    order = np.random.default_rng(seed).permutation(len(columns[names[0]]))[skip:]
    return tuple(columns[name][order] for name in names)


def _part(columns: Columns, start: int, stop: int) -> Columns:
    return tuple(column[start:stop] for column in columns)


def _joined(first: Columns, second: Columns) -> Columns:
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
