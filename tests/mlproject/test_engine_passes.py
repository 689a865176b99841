"""Analyzers that need each other's results: the rows are read again for each, and not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.engine import (
    LOCAL,
    EngineSettings,
    analysis_context,
    read_partitions,
    read_record_batches,
    run_pipeline,
)
from mlproject.partitions import Partition, partitions_of, read_partition

ROWS, GROUP, PASSES = 1_000, 250, 3


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 rows of one number, in row groups of 250."""
    folder = tmp_path_factory.mktemp("passes") / "Split-train"
    folder.mkdir()
    values = pa.array([(number * 37) % ROWS / 10 for number in range(ROWS)], pa.float32())
    lists = pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), values)
    pq.write_table(pa.table({"x": lists}), folder / "examples.parquet", row_group_size=GROUP)
    return folder


def analyse_in_three_passes(
    read_rows: Callable[[Any], Any], settings: EngineSettings, folder: Path
) -> dict[str, Any]:
    """Analyses a function of three analyzers, each of the one before; applies it to one row."""
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

    def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        x = tf.reshape(inputs["x"], [-1])
        scored = tft.scale_to_z_score(x)
        bucket = tft.bucketize(scored, 4)
        return {"bucket": bucket, "scaled": tft.scale_to_0_1(tf.cast(bucket, tf.float32))}

    dense = schema_pb2.TensorRepresentation()
    dense.dense_tensor.column_name = "x"
    dense.dense_tensor.shape.dim.add().size = 1
    arrow_schema = pa.schema([("x", pa.list_(pa.float32()))])
    config = TensorAdapterConfig(arrow_schema, {"x": dense})

    def build(pipeline: Any) -> None:
        with analysis_context(folder / "temp"):
            analysed = (read_rows(pipeline), config) | tft_beam.AnalyzeDataset(preprocessing_fn)
            analysed | tft_beam.WriteTransformFn(str(folder / "graph"))

    run_pipeline(build, settings)
    graph = tft.TFTransformOutput(str(folder / "graph"))
    made = graph.transform_raw_features({"x": tf.constant([[0.0], [99.9]])})
    return {name: tensor.numpy().tolist() for name, tensor in made.items()}


def test_three_passes_read_the_partitions_three_times(split: Path, tmp_path: Path) -> None:
    log = tmp_path / "reads"

    def read(partition: Partition) -> Iterator[pa.RecordBatch]:
        with log.open("a") as reads:
            reads.write(f"{partition.index}\n")
        yield from read_partition(partition)

    partitions = partitions_of(split, GROUP)
    made = analyse_in_three_passes(
        lambda pipeline: read_partitions(pipeline, partitions, read, "Read"), LOCAL, tmp_path
    )
    assert made == {"bucket": [0, 3], "scaled": [0.0, 1.0]}
    assert sorted(log.read_text().split()) == sorted("0123" * PASSES)


def test_three_passes_read_record_batches_three_times(split: Path, tmp_path: Path) -> None:
    log = tmp_path / "reads"

    def read() -> Iterator[pa.RecordBatch]:
        with log.open("a") as reads:
            reads.write("once\n")
        for partition in partitions_of(split, GROUP):
            yield from read_partition(partition)

    made = analyse_in_three_passes(
        lambda pipeline: read_record_batches(pipeline, read, "Read"), LOCAL, tmp_path
    )
    assert made == {"bucket": [0, 3], "scaled": [0.0, 1.0]}
    assert log.read_text().split() == ["once"] * PASSES
