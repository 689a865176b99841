"""Analysis: `preprocessing_fn` over the train split, once, to a transform graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.engine import (
    LOCAL,
    EngineSettings,
    analysis_context,
    read_partitions,
    read_record_batches,
    run_pipeline,
)
from mlproject.engines.shipped import shipped
from mlproject.errors import DataError, PlatformError
from mlproject.examples.reader import count_rows, read_batches, split_files, to_example_batch
from mlproject.partitions import Partition, partitions_of, read_partition
from mlproject.schema import feature_specs
from mlproject.transform.graph import GRAPH_FOLDER
from mlproject.user_module import explain_user_error, translate_full_disk

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

ANALYSIS_ROWS = 100_000
KEPT_FUNCTIONS = 8
KEPT_SPANS = 200


@dataclass(frozen=True)
class AnalyzerCache:
    """What analyzers made of each span, kept between runs (tf.Transform's analyzer cache).

    On disk:

        <folder>/<function>/<span>/     one span, analysed by one preprocessing_fn

    Attributes:
        folder: Where it is kept.
        function: Hash of the code of `preprocessing_fn` and of the schema.
        spans: Name of each file of the split and a name for its content: its span and digest.
    """

    folder: Path
    function: str
    spans: Mapping[str, str]

    @property
    def home(self) -> Path:
        """The folder of this function's entries."""
        return self.folder / self.function

    def keep(self, written: Path) -> None:
        """Takes over what an analysis wrote, span by span, each whole; drops what is oldest."""
        self.home.mkdir(parents=True, exist_ok=True)
        for entry in (e for e in written.iterdir() if e.is_dir()):
            if not (self.home / entry.name).exists():
                entry.rename(self.home / entry.name)
        self.home.touch()
        _drop_oldest(self.home, KEPT_SPANS)
        _drop_oldest(self.folder, KEPT_FUNCTIONS)


@translate_full_disk("Analysing with preprocessing_fn")
def analyze_examples(
    split_dir: Path,
    schema: Schema,
    preprocessing_fn: Callable[[Any], Any],
    module_path: Path,
    out_dir: Path,
    temp_dir: Path,
    on_rows: Callable[[int], None] | None = None,
    *,
    engine: EngineSettings = LOCAL,
    cache: AnalyzerCache | None = None,
) -> None:
    """Analyses one split and writes the transform graph.

    Args:
        split_dir: The split to analyse, usually train.
        schema: The schema; its features are the inputs of `preprocessing_fn`.
        preprocessing_fn: The project's function.
        module_path: Its file, for the messages.
        out_dir: Folder to write `transform_graph/` in.
        temp_dir: Folder for Beam's temporary files.
        on_rows: Told the rows read so far; of the local engine only.
        engine: Where it runs.
        cache: What is known of the split's spans; None to analyse all of them.

    Raises:
        UserModuleError: `preprocessing_fn` raised, or gave what cannot be used.
        DataError: A feature of the schema is not in the Examples.
        EngineError: The engine failed.
        StorageError: The disk is full.
    """
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

    columns = _columns(split_dir, schema)
    files = split_files(split_dir)
    config = adapter_config(split_dir, columns, schema)
    planned = 0
    graph_dir = out_dir / GRAPH_FOLDER
    new_entries = temp_dir / "analyzer-cache"

    if not engine.is_local:
        preprocessing_fn = shipped(preprocessing_fn, module_path)

    def read(pipeline: Any, wanted: list[Path], label: str) -> Any:
        nonlocal planned
        if not engine.is_local:
            return _read_spread(pipeline, wanted, columns, label)
        before, planned = planned, planned + sum(map(count_rows, wanted))
        return read_record_batches(
            pipeline, lambda: _counted(_read(wanted, columns), before, on_rows), label
        )

    def build(pipeline: Any) -> None:
        with analysis_context(temp_dir):
            if cache is None:
                batches = read(pipeline, files, "ReadTrainSplit")
                transform_fn = (batches, config) | tft_beam.AnalyzeDataset(preprocessing_fn)
            else:
                transform_fn, entries = _analyze_with_cache(
                    pipeline, files, read, config, preprocessing_fn, cache
                )
                entries | tft_beam.analyzer_cache.WriteAnalysisCacheToFS(pipeline, str(new_entries))
            transform_fn | tft_beam.WriteTransformFn(str(graph_dir))

    try:
        run_pipeline(build, engine)
    except PlatformError:
        raise
    except Exception as err:
        raise explain_user_error(err, module_path, "Analysing with preprocessing_fn") from err
    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(schema),
        str(graph_dir / tft.TFTransformOutput.RAW_METADATA_DIR),
    )
    if cache is not None and new_entries.is_dir():
        cache.keep(new_entries)


def adapter_config(split_dir: Path, columns: list[str], schema: Schema) -> Any:
    """How record batches of a split become the tensors that the schema describes."""
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
    from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

    typed = next(read_batches(split_dir, columns=columns, batch_rows=1))
    arrow_schema = to_example_batch(typed).schema
    return TensorAdapterConfig(arrow_schema, InferTensorRepresentationsFromSchema(schema))


def _columns(split_dir: Path, schema: Schema) -> list[str]:
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
    return columns


def _analyze_with_cache(
    pipeline: Any,
    files: list[Path],
    read: Callable[[Any, list[Path], str], Any],
    config: Any,
    preprocessing_fn: Callable[[Any], Any],
    cache: AnalyzerCache,
) -> tuple[Any, Any]:
    """Analyses the spans that no entry of the cache covers, and joins all of them."""
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.beam import analysis_graph_builder, analyzer_cache
    from tfx_bsl.tfxio.tensor_adapter import TensorAdapter

    keys = {file: analyzer_cache.DatasetKey(cache.spans[file.name]) for file in files}
    known = pipeline | analyzer_cache.ReadAnalysisCacheFromFS(
        str(cache.home), [key for key in keys.values() if (cache.home / key.key).is_dir()]
    )
    specs = TensorAdapter(config).OriginalTypeSpecs()
    to_read = analysis_graph_builder.get_analysis_dataset_keys(
        preprocessing_fn, specs, set(keys.values()), known, False
    )
    batches = {
        key: read(pipeline, [file], f"Read{key.key}") if key in to_read else None
        for file, key in keys.items()
    }
    analyzed = (batches, known, config) | tft_beam.AnalyzeDatasetWithCache(preprocessing_fn)
    return analyzed[0], analyzed[1]


def _read(files: list[Path], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for file in files:
        for batch in read_batches(file, columns, ANALYSIS_ROWS):
            yield to_example_batch(batch)


def _read_spread(pipeline: Any, files: list[Path], columns: list[str], label: str) -> Any:
    def read(partition: Partition) -> Iterator[pa.RecordBatch]:
        for batch in read_partition(partition, columns, ANALYSIS_ROWS):
            yield to_example_batch(batch)

    names = {file.name for file in files}
    wanted = [p for p in partitions_of(files[0].parent, ANALYSIS_ROWS) if p.file in names]
    return read_partitions(pipeline, wanted, read, label)


def _counted(
    batches: Iterable[pa.RecordBatch], before: int, on_rows: Callable[[int], None] | None
) -> Iterator[pa.RecordBatch]:
    """The batches; tells the rows read, on top of those that are read before them."""
    done = before
    for batch in batches:
        yield batch
        done += batch.num_rows
        if on_rows:
            on_rows(done)


def _drop_oldest(folder: Path, kept: int) -> None:
    entries = sorted((e for e in folder.iterdir() if e.is_dir()), key=lambda e: e.stat().st_mtime)
    for entry in entries[:-kept]:
        shutil.rmtree(entry, ignore_errors=True)
