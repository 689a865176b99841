"""Statistics of splits: read once, in batches, with every core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlproject.engine import LOCAL, EngineSettings, map_partitions
from mlproject.examples.reader import read_batches, split_files
from mlproject.partitions import Partition, partitions_of, read_partition
from mlproject.statistics.files import span_folder, split_folder, write_statistics
from mlproject.statistics.options import PLAIN, StatisticsOptions, Updater, tfdv_options

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    from mlproject.statistics.combiner import Combiner
    from mlproject.statistics.sample import RowSample

MAX_THREADS = 8
PARTITION_ROWS = 500_000
T = TypeVar("T")


def compute_statistics(
    examples_dir: Path,
    splits: Iterable[str],
    out_dir: Path,
    on_rows: Callable[[int], None] | None = None,
    options: StatisticsOptions = PLAIN,
    updater: Updater | None = None,
    engine: EngineSettings = LOCAL,
) -> None:
    """Computes TFDV statistics of each split and writes them; of each span too, if there are more.

    Rows are read once: a split's statistics are those of its spans, merged. Only a sample of so
    many rows (`sample_rows`) reads them twice, first to find which rows it takes.

    Args:
        examples_dir: Folder of the Examples.
        splits: Names of the splits.
        out_dir: Folder to write `Split-<name>/stats.pb` in.
        on_rows: Told the number of rows read so far, over all splits.
        options: Slices, weights, sample and sizes.
        updater: The module file's `stats_options_updater_fn`; for another engine than the local
            one it must pickle.
        engine: Where rows are looked at; a sample of so many rows always in this process.

    Raises:
        EngineError: The engine failed.
        ConfigError: The options name a column that is not there.
        DataError: The Examples are damaged, weights cannot be used, or there are too many slices.
        UserModuleError: The updater, or a generator that it set, raised.
    """
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if on_rows:
            on_rows(done)

    with ThreadPoolExecutor(_threads(), "statistics") as pool:
        for split in splits:
            _Split(examples_dir / f"Split-{split}", options, updater, pool, engine).compute(
                split_folder(out_dir, split), tell
            )


def statistics_of_batches(
    batches: Iterable[pa.RecordBatch],
    options: StatisticsOptions = PLAIN,
    bytes_columns: Iterable[str] = (),
) -> DatasetFeatureStatisticsList:
    """TFDV statistics over record batches in one pass, in this process.

    Equal to TFDV's own Beam pipeline on the same rows (quantiles within the sketch's error): the
    combiners are the same, without a pipeline around them.

    NaN counts as a value that has no number: it stands in `num_nan` of the histograms and nowhere
    else. Infinities stand in buckets of their own and in minimum and maximum; where there are
    some, TFDV's mean is NaN and its standard deviation 0.

    Args:
        batches: Record batches with a list column for each feature.
        options: Slices, weight and sizes; a sample is taken by `compute_statistics` only.
        bytes_columns: Columns of bytes that are no text.
    """
    from mlproject.statistics.combiner import Combiner
    from mlproject.statistics.slices import ColumnSlicer

    slicers = [ColumnSlicer(columns) for columns in options.slice_columns]
    with ThreadPoolExecutor(_threads(), "statistics") as pool:
        combiner = Combiner(tfdv_options(options, bytes_columns), slicers, pool)
        for batch in batches:
            combiner.add(batch)
        return combiner.extract()


@dataclass(frozen=True)
class _Split:
    """One split's statistics.

    Attributes:
        folder: Its Examples.
        options: What is asked for.
        updater: The module file's `stats_options_updater_fn`.
        pool: Where combiners work.
        engine: Where rows are looked at.
    """

    folder: Path
    options: StatisticsOptions
    updater: Updater | None
    pool: Executor
    engine: EngineSettings = LOCAL

    def compute(self, out_dir: Path, tell: Callable[[int], None]) -> None:
        """Computes and writes them."""
        files = split_files(self.folder)
        options = tfdv_options(self.options, bytes_columns(self.folder), self.updater)
        sample = self._sample(files, options)
        total: Combiner | None = None
        for file in files:
            part = self._combine(file, options, sample, tell)
            if len(files) > 1:
                kept = part.copy()
                write_statistics(part.extract(), span_folder(out_dir, file.stem))
                part = kept
            if total is None:
                total = part
            else:
                total.merge(part)
        if total is not None:
            write_statistics(total.extract(), out_dir)

    def _combine(
        self,
        file: Path,
        options: StatsOptions,
        sample: RowSample | None,
        tell: Callable[[int], None],
    ) -> Combiner:
        combiner = _combiner(options, self.options, self.updater, self.pool)
        if self.engine.is_local or self.options.sample_rows is not None:
            weights = sorted(options.example_weight_map.all_weight_features())
            for rows, batch in ahead(_prepared(read_batches(file), sample, weights)):
                combiner.add(batch)
                tell(rows)
            return combiner
        partitions = [p for p in partitions_of(file.parent, PARTITION_ROWS) if p.file == file.name]
        work = partial(_look_at, asked=self.options, updater=self.updater)
        label = f"Statistics-{file.parent.name}-{file.stem}"
        for dumped in map_partitions(self.engine, partitions, work, label):
            combiner.merge_dump(dumped)
        tell(sum(partition.rows for partition in partitions))
        return combiner

    def _sample(self, files: list[Path], options: StatsOptions) -> RowSample | None:
        from mlproject.statistics.sample import sample_rate, sample_rows

        if self.options.sample_rows is not None:
            return sample_rows(files, self.options.sample_rows)
        return sample_rate(options.sample_rate) if options.sample_rate else None


def _combiner(
    options: StatsOptions, asked: StatisticsOptions, updater: Updater | None, pool: Executor
) -> Combiner:
    from mlproject.statistics.combiner import Combiner
    from mlproject.statistics.slices import ColumnSlicer

    slicers = [ColumnSlicer(columns) for columns in asked.slice_columns]
    return Combiner(options, slicers, pool, updater.module if updater else None)


def _look_at(partition: Partition, asked: StatisticsOptions, updater: Updater | None) -> bytes:
    """What a partition adds to the statistics; runs on a worker."""
    from mlproject.statistics.sample import sample_rate

    options = tfdv_options(asked, bytes_columns(partition.split_dir), updater)
    sample = sample_rate(options.sample_rate) if options.sample_rate else None
    weights = sorted(options.example_weight_map.all_weight_features())
    with ThreadPoolExecutor(1, "statistics") as pool:
        combiner = _combiner(options, asked, updater, pool)
        for _, batch in _prepared(read_partition(partition), sample, weights):
            combiner.add(batch)
        return combiner.dump()


def bytes_columns(split_dir: Path) -> list[str]:
    """The columns of a split that hold bytes which are no text, or lists of them."""
    import pyarrow as pa

    first = next(read_batches(split_dir, batch_rows=1), None)
    fields = [] if first is None else list(first.schema)
    types = {f.name: f.type.value_type if pa.types.is_list(f.type) else f.type for f in fields}
    return [name for name, kind in types.items() if pa.types.is_binary(kind)]


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in another thread while the one before is worked on."""
    nothing = object()
    with ThreadPoolExecutor(1, "reader") as reader:
        upcoming = reader.submit(next, items, nothing)
        while (item := upcoming.result()) is not nothing:
            upcoming = reader.submit(next, items, nothing)
            yield item  # type: ignore[misc]


def _prepared(
    batches: Iterable[pa.RecordBatch], sample: RowSample | None, weights: list[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Rows read, and those of them that count, as the lists that TFDV takes."""
    from mlproject.examples.reader import to_example_batch
    from mlproject.statistics.weights import check_weights

    for batch in batches:
        for name in weights:
            check_weights(batch, name)
        rows = batch.num_rows
        yield rows, to_example_batch(sample.take(batch) if sample else batch)


def _threads() -> int:
    return min(MAX_THREADS, len(os.sched_getaffinity(0)))
