"""The transform: tf.Transform's own values, analysed over train alone, and a user's mistakes."""

from __future__ import annotations

import errno
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

from mlproject.engine import read_record_batches, run_pipeline
from mlproject.errors import DataError, StorageError, UserModuleError
from mlproject.examples.reader import read_batches, to_example_batch
from mlproject.schema import parse_schema
from mlproject.transform import (
    GRAPH_FOLDER,
    TRANSFORMED_FILE,
    TransformGraph,
    analysis,
    analyze_examples,
    application,
    transform_examples,
)
from mlproject.transformed import Materialized

Load = Callable[[str], types.ModuleType]
SCHEMA = """
feature { name: "id" type: INT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
feature { name: "x" type: FLOAT value_count { min: 1 max: 1 } }
feature { name: "s" type: BYTES value_count { min: 1 max: 1 } }
"""
ROWS = {
    "id": pa.array([5, 3, 9, 1]),
    "x": pa.array([0.5, None, 2.5, -1.0]),
    "s": pa.array(["b", "a", None, "a"]),
}
CODE = """
import tensorflow as tf
import tensorflow_transform as tft


def dense(tensor, default):
    shape = [tensor.dense_shape[0], 1]
    return tf.sparse.to_dense(tf.SparseTensor(tensor.indices, tensor.values, shape), default)


def preprocessing_fn(inputs):
    {body}
"""


def columns_of(file: Path) -> dict[str, np.ndarray]:
    parts = list(Materialized([file]).columns())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Small:
    """Analyses and applies the body of a `preprocessing_fn` to a few rows."""

    def __init__(self, folder: Path, load: Load, write: Callable[..., Path]) -> None:
        self.folder = folder
        self.out = folder / "out"
        self._load, self._write = load, write

    def run(self, body: str, columns: dict[str, pa.Array] | None = None) -> dict[str, np.ndarray]:
        split = self._write(self.folder / "in" / "Split-train", columns or ROWS)
        module = self._load(CODE.format(body=body))
        code = self.folder / "project.py"
        analyze_examples(
            split,
            parse_schema(SCHEMA, "here"),
            module.preprocessing_fn,
            code,
            self.out,
            self.folder / "temp",
        )
        transform_examples(split, TransformGraph(self.out / GRAPH_FOLDER), self.out / "rows", code)
        return columns_of(self.out / "rows" / TRANSFORMED_FILE)


@pytest.fixture
def small(tmp_path: Path, load_code: Load, write_split: Callable[..., Path]) -> Small:
    return Small(tmp_path, load_code, write_split)


def test_values_are_those_of_tf_transforms_own_pipeline(
    taxi_examples: Path, taxi_transformed: Path, taxi_schema: Any, tmp_path: Path
) -> None:
    split_dir, file = taxi_examples / "Split-eval", str(tmp_path / "own.parquet")
    representations = InferTensorRepresentationsFromSchema(taxi_schema)
    first = to_example_batch(next(read_batches(split_dir, batch_rows=1)))
    config = TensorAdapterConfig(first.schema, representations)

    def save(given: Any) -> None:
        pq.write_table(pa.Table.from_batches([given[0]]), file)

    def build(pipeline: Any) -> None:
        with tft_beam.Context(temp_dir=str(tmp_path / "beam")):
            rows = read_record_batches(
                pipeline, lambda: map(to_example_batch, read_batches(split_dir)), "Read"
            )
            graph = pipeline | tft_beam.ReadTransformFn(str(taxi_transformed / GRAPH_FOLDER))
            transformed, _ = ((rows, config), graph) | tft_beam.TransformDataset(
                output_record_batches=True
            )
            transformed | "Save" >> tft_beam.impl.beam.Map(save)

    run_pipeline(build)
    theirs = pq.read_table(file)
    ours = columns_of(taxi_transformed / "Split-eval" / TRANSFORMED_FILE)
    assert sorted(ours) == sorted(theirs.column_names)
    assert len(ours) == 15
    for name, values in ours.items():
        own = theirs[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(values, own, err_msg=name)


def test_every_split_keeps_its_rows_in_order(taxi_examples: Path, taxi_transformed: Path) -> None:
    for split in ("Split-train", "Split-eval"):
        raw = pq.read_table(taxi_examples / split)
        transformed = pq.read_table(taxi_transformed / split)
        assert transformed.num_rows == raw.num_rows
        hours = np.clip(raw["trip_start_hour"].to_numpy(), 0, 23)
        assert transformed["trip_start_hour_xf"].to_pylist() == hours.tolist()
        tips, fares = (raw[n].to_numpy().astype("float32") for n in ("tips", "fare"))
        label = tips > np.float32(0.2) * fares
        assert transformed["big_tipper"].to_pylist() == label.astype(int).tolist()


def test_z_scores_come_from_the_train_split_alone(
    taxi_examples: Path, taxi_transformed: Path
) -> None:
    train, evaluation = (
        np.log1p(np.maximum(pq.read_table(taxi_examples / s)["fare"].to_numpy(), 0))
        for s in ("Split-train", "Split-eval")
    )
    for split, rows in (("Split-train", train), ("Split-eval", evaluation)):
        scores = columns_of(taxi_transformed / split / TRANSFORMED_FILE)["fare_xf"]
        np.testing.assert_allclose(scores, (rows - train.mean()) / train.std(), atol=2e-4)
    assert abs(scores.mean()) > 1e-3  # over eval alone it would be 0


def test_vocabularies_come_from_the_train_split_alone(
    taxi_examples: Path, taxi_transformed: Path
) -> None:
    seen, asked = (
        {name or "" for name in pq.read_table(taxi_examples / s)["company"].to_pylist()}
        for s in ("Split-train", "Split-eval")
    )
    output = tft.TFTransformOutput(str(taxi_transformed / GRAPH_FOLDER))
    vocabulary = {word.decode() for word in output.vocabulary_by_name("company")}
    assert vocabulary == seen - {""}
    unseen = asked - seen
    assert unseen, "the generated eval split has a company that train has not"
    ids = columns_of(taxi_transformed / "Split-eval" / TRANSFORMED_FILE)["company_xf"]
    names = pq.read_table(taxi_examples / "Split-eval")["company"].to_pylist()
    for name, index in zip(names, ids, strict=True):
        assert (index < len(vocabulary)) == (name in vocabulary), name


@pytest.mark.parametrize("apply_rows", [1, 3, 4])
def test_the_graph_gives_the_same_whatever_the_batches(
    apply_rows: int, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "APPLY_ROWS", apply_rows)
    monkeypatch.setattr(analysis, "ANALYSIS_ROWS", apply_rows)
    rows = small.run(
        "x = dense(inputs['x'], 0.0)\n"
        "    pair = tf.concat([x, x * 2], axis=1)\n"
        "    text = tf.reshape(dense(inputs['s'], '?'), [-1])\n"
        "    return {'id': inputs['id'], 'pair': pair, 'text': text,\n"
        "            'top': tft.max(x) + 0 * x[:, 0]}"
    )
    assert rows["id"].tolist() == [[5], [3], [9], [1]]
    assert rows["pair"].tolist() == [[0.5, 1.0], [0.0, 0.0], [2.5, 5.0], [-1.0, -2.0]]
    assert rows["text"].tolist() == [b"b", b"a", b"?", b"a"]
    assert rows["top"].tolist() == [2.5] * 4
    groups = pq.read_metadata(small.out / "rows" / TRANSFORMED_FILE).num_row_groups
    assert groups == -(-4 // apply_rows)


def test_the_artifact_holds_the_graph_and_both_metadata(taxi_transformed: Path) -> None:
    folder = taxi_transformed / GRAPH_FOLDER
    assert {p.name for p in folder.iterdir()} == {
        "transform_fn",
        "transformed_metadata",
        "metadata",
    }
    assert "tips" in TransformGraph(folder).raw_specs


def test_outputs_that_need_a_feature_which_is_not_given_are_left_out(
    taxi_transformed: Path, taxi_examples: Path
) -> None:
    import tensorflow as tf

    graph = TransformGraph(taxi_transformed / GRAPH_FOLDER)
    outputs = graph.apply(
        {"fare": tf.constant([[5.0]]), "trip_start_hour": tf.constant([[7]], "int64")}
    )
    assert sorted(outputs) == ["fare_xf", "trip_start_hour_xf"]


def test_the_features_needed_at_serving_are_those_that_an_output_uses(
    taxi_transformed: Path,
) -> None:
    graph = TransformGraph(taxi_transformed / GRAPH_FOLDER)
    every = list(graph.raw_specs)
    assert "trip_start_timestamp" in every
    needed = graph.needed_features(every, label="fare_xf")
    unused = {"pickup_census_tract", "dropoff_census_tract", "trip_start_timestamp"}
    assert set(needed) == set(every) - unused  # the fare too: for the tips' share of it
    without = graph.needed_features([n for n in every if n != "tips"], label="fare_xf")
    assert set(without) == set(needed) - {"tips", "fare"}
    assert list(needed) == [n for n in every if n in needed]


def test_an_error_of_preprocessing_fn_names_file_line_and_error(small: Small) -> None:
    with pytest.raises(UserModuleError) as caught:
        small.run("return {'y': inputs['fares']}")
    assert "preprocessing_fn" in caught.value.failed
    assert "project.py line 12: return {'y': inputs['fares']}" in str(caught.value.received)
    assert "KeyError: 'fares'" in str(caught.value.received)


def test_an_error_of_a_function_that_it_calls_points_at_the_innermost_own_line(
    small: Small,
) -> None:
    with pytest.raises(UserModuleError) as caught:
        small.run("return {'y': dense(inputs['id'], 0)}")  # a Tensor has no dense_shape
    assert "project.py line 7: shape = [tensor.dense_shape[0], 1]" in str(caught.value.received)
    assert "AttributeError" in str(caught.value.received)


def test_an_error_while_the_rows_pass_is_a_user_module_error(small: Small) -> None:
    with pytest.raises(UserModuleError, match="Analysing with preprocessing_fn failed"):
        small.run(
            "x = dense(inputs['x'], 0.0)\n"
            "    with tf.control_dependencies([tf.debugging.assert_greater(x, 0.0)]):\n"
            "        return {'y': tft.scale_to_0_1(tf.identity(x))}"
        )


def test_a_full_disk_while_beam_runs_is_a_storage_error(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/x")

    monkeypatch.setattr(analysis, "to_example_batch", full)
    with pytest.raises(StorageError, match="the disk is full"):
        small.run("return {'y': inputs['id']}")


def test_damaged_examples_are_a_data_error(small: Small) -> None:
    small.run("return {'y': inputs['id']}", {n: pa.concat_arrays([c] * 9) for n, c in ROWS.items()})
    file = small.folder / "in" / "Split-train" / "examples-00000.parquet"
    content = bytearray(file.read_bytes())
    content[4:200] = b"\0" * 196  # the footer, and so the schema, still reads
    file.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        analyze_examples(
            file.parent,
            parse_schema(SCHEMA, "here"),
            lambda inputs: {"y": inputs["id"]},
            small.folder / "project.py",
            small.folder / "again",
            small.folder / "temp",
        )


def test_a_sparse_output_is_a_user_module_error(small: Small) -> None:
    with pytest.raises(UserModuleError, match="The output 'y' of preprocessing_fn") as caught:
        small.run("return {'y': inputs['x']}")
    assert "SparseTensor" in str(caught.value.received)
    assert caught.value.expected == "a dense tensor [batch] or [batch, ...]"


def test_an_output_without_a_row_dimension_is_a_user_module_error(small: Small) -> None:
    with pytest.raises(UserModuleError, match="must have rank at least 1"):
        small.run("return {'y': tf.reduce_sum(dense(inputs['x'], 0.0))}")


def test_an_output_of_unknown_width_is_a_user_module_error(small: Small) -> None:
    with pytest.raises(UserModuleError) as caught:
        small.run("return {'y': tf.sparse.to_dense(inputs['x'], 0.0)}")
    assert "'y'" in str(caught.value) or "y (" in str(caught.value)


def test_what_is_no_dict_of_tensors_is_a_user_module_error(small: Small) -> None:
    with pytest.raises(UserModuleError, match="preprocessing_fn"):
        small.run("return dense(inputs['x'], 0.0)")


def test_a_column_of_the_schema_that_the_data_lacks_is_a_data_error(small: Small) -> None:
    with pytest.raises(DataError) as caught:
        small.run("return {'y': inputs['id']}", {"id": ROWS["id"], "s": ROWS["s"]})
    assert caught.value.received == "no column x"


def test_columns_that_the_schema_does_not_name_are_left_alone(small: Small) -> None:
    rows = small.run("return {'y': inputs['id']}", ROWS | {"more": pa.array([1.0] * 4)})
    assert rows["y"].ravel().tolist() == [5, 3, 9, 1]


def test_an_output_of_several_dimensions_keeps_its_shape(small: Small) -> None:
    rows = small.run(
        "x = dense(inputs['x'], 0.0)\n    return {'y': tf.reshape(tf.tile(x, [1, 6]), [-1, 2, 3])}"
    )
    assert rows["y"].shape == (4, 2, 3)
    assert rows["y"][2].tolist() == [[2.5] * 3] * 2
