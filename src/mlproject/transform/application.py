"""Applying a transform graph to the Examples, in this process or on an engine's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.engine import LOCAL, EngineSettings, map_partitions
from mlproject.errors import UserModuleError
from mlproject.examples.reader import read_batches, to_example_batch
from mlproject.partitions import (
    Partition,
    partition_file,
    partitions_of,
    read_partition,
    sweep_unfinished,
    written_aside,
)
from mlproject.transform.graph import TransformGraph
from mlproject.user_module import explain_user_error, translate_full_disk

if TYPE_CHECKING:
    import pyarrow as pa

APPLY_ROWS = 50_000
PARTITION_ROWS = 500_000
TRANSFORMED_STEM = "transformed"
SHAPE = b"shape"


@translate_full_disk("Applying the transform graph")
def transform_examples(
    split_dir: Path,
    graph: TransformGraph,
    out_dir: Path,
    module_path: Path,
    on_rows: Callable[[int], None] | None = None,
    engine: EngineSettings = LOCAL,
) -> int:
    """Applies the graph to a split and writes the transformed rows as Parquet.

    Args:
        split_dir: A split of the Examples.
        graph: The transform graph.
        out_dir: Folder to write `transformed-00000.parquet` in (one file for each partition on
            another engine than the local one); made here.
        module_path: The module file, for the messages.
        on_rows: Told the rows written so far; of the local engine only.
        engine: Where it runs.

    Returns:
        The number of rows written.

    Raises:
        UserModuleError: An output is sparse, or has no row dimension.
        EngineError: The engine failed.
        StorageError: The disk is full.
    """
    out_dir.mkdir(parents=True)
    if engine.is_local:
        raw = read_batches(split_dir, list(graph.raw_specs), APPLY_ROWS)
        file = partition_file(out_dir, TRANSFORMED_STEM, 0)
        return _write(transformed_batches(raw, graph, module_path), file, on_rows)
    partitions = partitions_of(split_dir, PARTITION_ROWS)
    work = partial(_transform_partition, graph_dir=graph.folder, out=out_dir, module=module_path)
    rows = map_partitions(engine, partitions, work, f"Apply{split_dir.name}")
    sweep_unfinished(out_dir)
    return sum(rows)


def transformed_batches(
    raw: Iterable[pa.RecordBatch], graph: TransformGraph, module_path: Path
) -> Iterator[pa.RecordBatch]:
    """Applies the graph to batches of Examples.

    Args:
        raw: Batches with the graph's raw features.
        graph: The transform graph.
        module_path: The module file, for the messages.

    Yields:
        For each batch the outputs by name; those of more than one dimension as fixed-size lists
        of their flattened values, the shape of one row in the field's metadata.

    Raises:
        UserModuleError: An output is sparse, or has no row dimension.
    """
    import tensorflow as tf
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
    from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

    apply = tf.function(graph.apply, autograph=False, reduce_retracing=True)
    representations = InferTensorRepresentationsFromSchema(graph.output.raw_metadata.schema)
    adapter = None
    for batch in raw:
        examples = to_example_batch(batch)
        if adapter is None:
            adapter = TensorAdapter(TensorAdapterConfig(examples.schema, representations))
        try:
            tensors = apply(adapter.ToBatchTensors(examples))
        except tf.errors.OpError as err:
            raise explain_user_error(err, module_path, "Applying the transform graph") from err
        yield _to_record_batch(tensors, module_path)


def _transform_partition(partition: Partition, graph_dir: Path, out: Path, module: Path) -> int:
    """Writes one partition's transformed rows; runs on a worker."""
    graph = _loaded(graph_dir)
    raw = read_partition(partition, list(graph.raw_specs), APPLY_ROWS)
    with written_aside(partition_file(out, TRANSFORMED_STEM, partition.index)) as aside:
        return _write(transformed_batches(raw, graph, module), aside, None)


@lru_cache(maxsize=1)
def _loaded(graph_dir: Path) -> TransformGraph:
    return TransformGraph(graph_dir)  # once a worker, not once a partition


def _write(
    batches: Iterable[pa.RecordBatch], file: Path, on_rows: Callable[[int], None] | None
) -> int:
    import pyarrow.parquet as pq

    writer = None
    rows = 0
    try:
        for batch in batches:
            writer = writer or pq.ParquetWriter(
                file, batch.schema, compression="NONE", use_dictionary=False
            )
            writer.write_batch(batch)
            rows += batch.num_rows
            if on_rows:
                on_rows(rows)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _to_record_batch(tensors: Mapping[str, Any], module_path: Path) -> pa.RecordBatch:
    import pyarrow as pa

    fields, arrays = [], []
    for name in sorted(tensors):
        array, shape = _to_array(name, tensors[name], module_path)
        metadata = {SHAPE: ",".join(map(str, shape)).encode()} if len(shape) > 1 else None
        fields.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _to_array(name: str, tensor: Any, module_path: Path) -> tuple[pa.Array, tuple[int, ...]]:
    """An output's values, and the shape of one row."""
    import pyarrow as pa
    import tensorflow as tf

    rank = tensor.shape.rank if isinstance(tensor, tf.Tensor) else None
    if not rank:
        kind = f"rank {rank}" if rank is not None else type(tensor).__name__
        raise UserModuleError(
            f"The output '{name}' of preprocessing_fn in {module_path.name} cannot be used",
            received=kind,
            expected="a dense tensor [batch] or [batch, ...]",
            next_step="make it dense, for instance with tf.sparse.to_dense and tf.reshape",
        )
    values = tensor.numpy()
    flat = pa.array(values.reshape(-1))
    if rank == 1:
        return flat, ()
    size = values[0].size if len(values) else 0
    return pa.FixedSizeListArray.from_arrays(flat, size), values.shape[1:]
