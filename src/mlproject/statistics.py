"""Statistics of the Examples, by TFDV's own combiners fed with large record batches.

The artifact:

    Split-train/stats.pb     a serialized DatasetFeatureStatisticsList
    Split-eval/stats.pb
    figures/                 histograms of every feature, and a table
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.examples.reader import read_batches, to_example_batch

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

BATCH_ROWS = 100_000
STATISTICS_FILE = "stats.pb"


def compute_statistics(
    examples_dir: Path,
    splits: Iterable[str],
    out_dir: Path,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Computes TFDV statistics of each split and writes them.

    Args:
        examples_dir: Folder of the Examples.
        splits: Names of the splits.
        out_dir: Folder to write `Split-<name>/stats.pb` in.
        on_rows: Told the number of rows read so far, over all splits.
    """
    done = 0
    for split in splits:

        def batches(split: str = split) -> Iterator[pa.RecordBatch]:
            nonlocal done
            for batch in read_batches(examples_dir / f"Split-{split}", batch_rows=BATCH_ROWS):
                yield to_example_batch(batch)
                done += batch.num_rows
                if on_rows:
                    on_rows(done)

        statistics = statistics_of_batches(batches())
        folder = out_dir / f"Split-{split}"
        folder.mkdir(parents=True)
        (folder / STATISTICS_FILE).write_bytes(statistics.SerializeToString())


def statistics_of_batches(batches: Iterable[pa.RecordBatch]) -> DatasetFeatureStatisticsList:
    """TFDV statistics over record batches in one pass, in this process.

    Equal to `tfdv.generate_statistics_from_*` on the same rows (quantiles within the sketch's
    error); it calls the combiners that those call, without a Beam pipeline around them.

    Args:
        batches: Record batches with a list column for each feature.
    """
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    generators = stats_impl.get_generators(tfdv.StatsOptions(), in_memory=True)
    accumulators = [generator.create_accumulator() for generator in generators]
    for batch in batches:
        accumulators = [
            generator.compact(generator.add_input(accumulator, batch))
            for generator, accumulator in zip(generators, accumulators, strict=True)
        ]
    return stats_impl.extract_statistics_output(accumulators, generators)


def read_statistics(statistics_dir: Path, split: str) -> DatasetFeatureStatisticsList:
    """Reads one split's statistics."""
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    data = (statistics_dir / f"Split-{split}" / STATISTICS_FILE).read_bytes()
    return DatasetFeatureStatisticsList.FromString(data)
