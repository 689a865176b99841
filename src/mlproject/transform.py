"""The TransformGraph: analysed over the train split, applied to every split.

The artifact:

    transform_graph/transform_fn/            SavedModel of the graph (tf.Transform's layout)
    transform_graph/transformed_metadata/
    transform_graph/metadata/schema.pbtxt    the raw schema
    Split-train/transformed-00000.parquet    the transformed rows, in the order of the Examples
    Split-eval/...

Analysis runs through Beam on large record batches. The graph is applied in this process, batch by
batch: measured several times cheaper than through Beam, with the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.engine import read_record_batches, run_pipeline
from mlproject.errors import DataError, UserModuleError
from mlproject.examples.reader import read_batches, to_example_batch
from mlproject.schema import feature_specs
from mlproject.user_module import explain_user_error, translate_full_disk

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

GRAPH_FOLDER = "transform_graph"
TRANSFORMED_FILE = "transformed-00000.parquet"
ANALYSIS_ROWS = 100_000
APPLY_ROWS = 50_000


@translate_full_disk("Analysing with preprocessing_fn")
def analyze_examples(
    split_dir: Path,
    schema: Schema,
    preprocessing_fn: Callable[[Any], Any],
    module_path: Path,
    out_dir: Path,
    temp_dir: Path,
    on_rows: Callable[[int], None] | None = None,
) -> None:
    """Analyses one split and writes the transform graph.

    Args:
        split_dir: The split to analyse, usually train.
        schema: The schema; its features are the inputs of `preprocessing_fn`.
        preprocessing_fn: The project's function.
        module_path: Its file, for the messages.
        out_dir: Folder to write `transform_graph/` in.
        temp_dir: Folder for Beam's temporary files.
        on_rows: Told the rows read so far.

    Raises:
        UserModuleError: `preprocessing_fn` raised, or gave what cannot be used.
        DataError: A feature of the schema is not in the Examples.
        StorageError: The disk is full.
    """
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
    from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

    columns = list(feature_specs(schema))
    first = next(read_batches(split_dir, batch_rows=1), None)
    missing = [c for c in columns if first is None or c not in first.schema.names]
    if missing:
        raise DataError(
            "Analysing the train split failed",
            received=f"no column {', '.join(missing)}",
            expected="every feature of the schema that has no `deprecated` lifecycle stage",
            next_step="mend the data or the schema",
        )
    typed = next(read_batches(split_dir, columns=columns, batch_rows=1))
    arrow_schema = to_example_batch(typed).schema
    config = TensorAdapterConfig(arrow_schema, InferTensorRepresentationsFromSchema(schema))
    graph_dir = out_dir / GRAPH_FOLDER
    done = 0

    def read() -> Iterable[pa.RecordBatch]:
        nonlocal done
        for batch in read_batches(split_dir, columns=columns, batch_rows=ANALYSIS_ROWS):
            yield to_example_batch(batch)
            done += batch.num_rows
            if on_rows:
                on_rows(done)

    def build(pipeline: Any) -> None:
        with tft_beam.Context(temp_dir=str(temp_dir), force_tf_compat_v1=False):
            batches = read_record_batches(pipeline, read, "ReadTrainSplit")  # type: ignore[arg-type]
            transform_fn = (batches, config) | tft_beam.AnalyzeDataset(preprocessing_fn)
            transform_fn | tft_beam.WriteTransformFn(str(graph_dir))

    try:
        run_pipeline(build)
    except DataError:
        raise
    except Exception as err:
        raise explain_user_error(err, module_path, "Analysing with preprocessing_fn") from err
    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(schema),
        str(graph_dir / tft.TFTransformOutput.RAW_METADATA_DIR),
    )


class TransformGraph:
    """A transform graph, loaded once.

    Args:
        graph_dir: The `transform_graph/` folder of the artifact.
    """

    def __init__(self, graph_dir: Path) -> None:
        import tensorflow_transform as tft
        from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

        self.output = tft.TFTransformOutput(str(graph_dir))
        self.raw_specs: dict[str, Any] = self.output.raw_feature_spec()
        self._loader = SavedModelLoader(self.output.transform_savedmodel_dir)

    @property
    def trackable(self) -> Any:
        """The loaded SavedModel, to be tracked by a module that is exported with it."""
        return self._loader._imported

    def apply(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Applies the graph; outputs that need a feature which is not given are left out.

        Args:
            raw: Feature -> `Tensor` (FixedLen) or `SparseTensor` (VarLen).
        """
        return dict(self._loader.apply_transform_model(dict(raw)))

    def needed_features(self, available: Iterable[str], label: str) -> tuple[str, ...]:
        """The features that the graph needs at serving, in the schema's order.

        Args:
            available: Features that exist at serving.
            label: The output that is not wanted there.

        Returns:
            Those of the available features without which some other output cannot be computed.
        """
        there = [name for name in self.raw_specs if name in set(available)]
        wanted = self._computable(there) - {label}
        return tuple(n for n in there if wanted - self._computable(set(there) - {n}))

    def _computable(self, features: Iterable[str]) -> set[str]:
        """The outputs that need no other features than these."""
        unfed = set(self.raw_specs) - set(features)
        return set(self._loader._get_fetches_keys(self._loader._get_feeds(unfed)))


@translate_full_disk("Applying the transform graph")
def transform_examples(
    split_dir: Path,
    graph: TransformGraph,
    out_dir: Path,
    module_path: Path,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Applies the graph to a split and writes the transformed rows as Parquet.

    Args:
        split_dir: A split of the Examples.
        graph: The transform graph.
        out_dir: Folder to write `transformed-00000.parquet` in; made here.
        module_path: The module file, for the messages.
        on_rows: Told the rows written so far.

    Returns:
        The number of rows written.

    Raises:
        UserModuleError: An output is sparse or has another shape than `[batch]` or `[batch, k]`.
        StorageError: The disk is full.
    """
    import pyarrow.parquet as pq
    import tensorflow as tf
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
    from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

    out_dir.mkdir(parents=True)
    apply = tf.function(graph.apply, autograph=False, reduce_retracing=True)
    columns = list(graph.raw_specs)
    representations = InferTensorRepresentationsFromSchema(graph.output.raw_metadata.schema)
    adapter = None
    writer = None
    rows = 0
    try:
        for batch in read_batches(split_dir, columns=columns, batch_rows=APPLY_ROWS):
            examples = to_example_batch(batch)
            if adapter is None:
                config = TensorAdapterConfig(examples.schema, representations)
                adapter = TensorAdapter(config)
            try:
                tensors = apply(adapter.ToBatchTensors(examples))
            except tf.errors.OpError as err:
                raise explain_user_error(err, module_path, "Applying the transform graph") from err
            table = _to_record_batch(tensors, module_path)
            writer = writer or pq.ParquetWriter(
                out_dir / TRANSFORMED_FILE, table.schema, compression="NONE", use_dictionary=False
            )
            writer.write_batch(table)
            rows += batch.num_rows
            if on_rows:
                on_rows(rows)
    finally:
        if writer is not None:
            writer.close()
    return rows


def _to_record_batch(tensors: Mapping[str, Any], module_path: Path) -> pa.RecordBatch:
    import pyarrow as pa

    arrays, names = [], []
    for name in sorted(tensors):
        arrays.append(_to_array(name, tensors[name], module_path))
        names.append(name)
    return pa.RecordBatch.from_arrays(arrays, names)


def _to_array(name: str, tensor: Any, module_path: Path) -> pa.Array:
    import pyarrow as pa
    import tensorflow as tf

    rank = tensor.shape.rank if isinstance(tensor, tf.Tensor) else None
    if rank not in (1, 2):
        kind = f"rank {rank}" if rank is not None else type(tensor).__name__
        raise UserModuleError(
            f"The output '{name}' of preprocessing_fn in {module_path.name} cannot be used",
            received=kind,
            expected="a dense tensor [batch] or [batch, k]",
            next_step="make it dense, for instance with tf.sparse.to_dense and tf.reshape",
        )
    values = tensor.numpy()
    if rank == 1:
        return pa.array(values)
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
