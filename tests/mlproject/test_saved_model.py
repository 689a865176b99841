"""The exported model: what is served is what was trained, missing values and all."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from mlproject.errors import ServingError, UserModuleError
from mlproject.examples.reader import read_batches
from mlproject.raw_inputs import MISSING_INT, raw_arrays
from mlproject.saved_model import OUTPUT, export_saved_model, load_test, open_signature
from mlproject.schema import parse_schema, serving_features, set_environments
from mlproject.training import MODEL_FOLDER
from mlproject.transform import (
    GRAPH_FOLDER,
    TRANSFORMED_FILE,
    TransformGraph,
    analyze_examples,
    transform_examples,
)
from mlproject.transformed import Materialized

LABEL = "big_tipper"
SCHEMA = """
feature { name: "n" type: INT value_count { min: 1 max: 1 } }
feature { name: "s" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "tips" type: FLOAT value_count { min: 1 max: 1 } }
feature { name: "x" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
"""
ROWS = {
    "n": pa.array([3, None, -7, 3]),
    "s": pa.array(["b", "a", None, "a"]),
    "tips": pa.array([0.0, 1.0, None, 3.0]),
    "x": pa.array([0.5, 1.5, 2.5, -1.0]),
}
CODE = """
import tensorflow as tf
import tensorflow_transform as tft


def dense(tensor, default):
    shape = [tensor.dense_shape[0], 1]
    tensor = tf.SparseTensor(tensor.indices, tensor.values, shape)
    return tf.reshape(tf.sparse.to_dense(tensor, default), [-1])


def preprocessing_fn(inputs):
    tips = dense(inputs["tips"], 0.0)
    return {
        "high_xf": tf.cast(inputs["x"][:, 0] > 1.0, tf.int64),
        "n_xf": dense(inputs["n"], -1),
        "s_xf": tft.compute_and_apply_vocabulary(dense(inputs["s"], "?")),
        "tips_xf": tips,
        "x_xf": tft.scale_to_z_score(inputs["x"][:, 0]),
        "y": tf.cast(tips > 1.0, tf.int64),
    }
"""


LIST_SCHEMA = """
feature { name: "one" type: FLOAT value_count { min: 1 max: 1 } }
feature { name: "text" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "raw" type: BYTES value_count { min: 1 max: 1 } }
feature { name: "bytes" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "pixels" type: INT presence { min_fraction: 1 } shape { dim { size: 4 } } }
feature {
  name: "square" type: FLOAT presence { min_fraction: 1 }
  shape { dim { size: 2 } dim { size: 2 } }
}
feature { name: "ints" type: INT value_count { min: 1 } }
feature { name: "floats" type: FLOAT value_count { min: 1 max: 9 } }
feature { name: "tags" type: BYTES value_count { min: 1 } }
feature { name: "blobs" type: BYTES value_count { min: 2 max: 3 } }
"""
LIST_ROWS = {
    "one": pa.array([0.5, None, -1.0, 2.0]),
    "text": pa.array(["b", None, "a", "caf\u00e9"]),
    "raw": pa.array([b"\x00\xff", None, b"x\x00", b"\x80"]),
    "bytes": pa.array([b"\x89PNG\x00", b"\xff", b"a", b"\x00"]),
    "pixels": pa.array([[0, 1, 2, 255], [4, 5, 6, 7], [8, 9, 1, 2], [0, 0, 0, 0]]),
    "square": pa.array([[0.0, 1.5, 2.0, 3.0]] * 3 + [[-1.0, -2.0, -3.0, 0.0]]),
    "ints": pa.array([[3], None, [-7, 5, 2**62], [0, 0]]),
    "floats": pa.array([None, [0.25, float("nan"), 1.0], [1.0], [0.0, -0.0, 3.5, 4.5]]),
    "tags": pa.array([["a", "", "b"], ["caf\u00e9"], None, ["a", "a"]]),
    "blobs": pa.array([[b"\x00", b"\xff\x00"], [b"a", b"b", b"c"], None, [b"", b"x"]]),
}
LIST_CODE = """
import tensorflow as tf
import tensorflow_transform as tft


def numbers(tensor):
    if tensor.dtype != tf.string:
        return tf.cast(tensor, tf.float32)
    return tf.cast(tf.strings.to_hash_bucket_fast(tensor, 1000), tf.float32)


def preprocessing_fn(inputs):
    outputs = {}
    for name, tensor in inputs.items():
        if isinstance(tensor, tf.SparseTensor):
            shape = [tensor.dense_shape[0], 5]
            tensor = tf.SparseTensor(tensor.indices, numbers(tensor.values), shape)
            ones = tf.SparseTensor(tensor.indices, tf.ones_like(tensor.values), shape)
            counts = tf.reshape(tf.sparse.reduce_sum(ones, 1), [-1])
            outputs[name + "_count"] = tf.cast(counts, tf.int64)
            tensor = tf.reshape(tf.sparse.to_dense(tensor, -1.0), [-1, 5])
        outputs[name + "_xf"] = numbers(tensor)
    outputs["pixels_scaled"] = tft.scale_to_0_1(inputs["pixels"])
    outputs["y"] = tf.cast(outputs["ints_count"] > 1, tf.int64)
    return outputs
"""


class Small:
    """A project of four rows; exports a model and asks it."""

    def __init__(self, folder: Path, schema: str, training_only: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.schema = set_environments(parse_schema(schema, "here"), training_only)
        self.graph: Any = None

    def export(self, model: Any, out: Path) -> Path:
        export_saved_model(model, self.graph, self.schema, "y", out, self.folder / "project.py")
        return out

    def features(self, *names: str) -> dict[str, np.ndarray]:
        """Transformed columns; all but the label where none is named."""
        columns = next(Materialized([self.folder / "out" / TRANSFORMED_FILE]).columns())
        return {name: columns[name] for name in names or sorted(set(columns) - {"y"})}

    def prepare(self, split: Path, code: str) -> None:
        """Analyses and transforms the split with the `preprocessing_fn` of some code."""
        file = self.folder / "project.py"
        module = types.ModuleType(self.folder.name)
        exec(compile(code, str(file), "exec"), module.__dict__)
        function, temp = module.preprocessing_fn, self.folder / "temp"
        analyze_examples(split, self.schema, function, file, self.folder, temp)
        self.graph = TransformGraph(self.folder / GRAPH_FOLDER)
        transform_examples(split, self.graph, self.folder / "out", file)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, write_split: Callable[..., Path]) -> Small:
    project = Small(tmp_path_factory.mktemp("small"), SCHEMA, ("tips",))
    project.prepare(write_split(project.folder / "Split-train", ROWS), CODE)
    return project


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory, write_split: Callable[..., Path]) -> Small:
    """Lists of fixed and of any length, and bytes; some missing."""
    project = Small(tmp_path_factory.mktemp("lists"), LIST_SCHEMA)
    project.prepare(write_split(project.folder / "Split-train", LIST_ROWS), LIST_CODE)
    return project


@pytest.fixture(scope="module")
def raw_rows(taxi_examples: Path) -> pa.RecordBatch:
    (batch,) = read_batches(taxi_examples / "Split-eval")
    return batch


@pytest.fixture(scope="module")
def served(taxi_trained: Any, raw_rows: pa.RecordBatch) -> np.ndarray:
    """The predictions of `serving_default` for every eval row."""
    with open_signature(taxi_trained.folder / MODEL_FOLDER) as predict:
        return predict(raw_arrays(raw_rows, predict.input_names))[OUTPUT]  # type: ignore[attr-defined]


def serialized(rows: pa.RecordBatch, names: tuple[str, ...]) -> np.ndarray:
    """Rows as serialized tf.train.Example, where a missing value is a feature that is not there."""
    examples = []
    for row in rows.to_pylist():
        feature = {name: as_feature(row[name]) for name in names if row[name] is not None}
        features = tf.train.Features(feature=feature)
        examples.append(tf.train.Example(features=features).SerializeToString())
    return np.array(examples, object)


def as_feature(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    texts = [v.encode() if isinstance(v, str) else v for v in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))


def inputs_of(*names: str) -> dict[str, Any]:
    kinds = {"n_xf": "int64", "s_xf": "int64"}
    return {n: keras.Input((), name=n, dtype=kinds.get(n, "float32")) for n in names}


def scored(*tensors: Any) -> Any:
    columns = [keras.ops.reshape(keras.ops.cast(t, "float32"), (-1, 1)) for t in tensors]
    hidden = keras.ops.concatenate(columns, axis=1)
    return keras.layers.Dense(1, activation="sigmoid")(hidden)


def test_what_is_served_is_what_was_trained(
    taxi_trained: Any, taxi_transformed: Path, served: np.ndarray
) -> None:
    columns = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())
    del columns[LABEL]
    wanted = np.asarray(taxi_trained.model(columns, training=False))
    assert served.shape == wanted.shape == (len(columns["fare_xf"]), 1)
    assert wanted.std() > 0.01
    np.testing.assert_allclose(served, wanted, atol=1e-5)


def test_serialized_examples_are_served_the_same(
    taxi_trained: Any, taxi_schema: Any, raw_rows: pa.RecordBatch, served: np.ndarray
) -> None:
    examples = serialized(raw_rows, serving_features(taxi_schema))
    with open_signature(taxi_trained.folder / MODEL_FOLDER, "serve_examples") as predict:
        scores = predict({"examples": examples})[OUTPUT]
    np.testing.assert_allclose(scores, served, atol=1e-6)


def test_the_served_features_are_those_of_the_transform(
    taxi_trained: Any, taxi_transformed: Path, raw_rows: pa.RecordBatch
) -> None:
    """With the missing values of the eval split, of every type, given by their stand-ins."""
    for name in ("company", "dropoff_community_area", "dropoff_latitude"):
        assert raw_rows.column(raw_rows.schema.get_field_index(name)).null_count > 0
    columns = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())
    del columns[LABEL]
    with open_signature(taxi_trained.folder / MODEL_FOLDER, "transform_features") as transform:
        features = transform(raw_arrays(raw_rows, transform.input_names))  # type: ignore[attr-defined]
    assert sorted(features) == sorted(columns)
    for name, values in columns.items():
        np.testing.assert_allclose(features[name], values, atol=1e-6, err_msg=name)


def test_the_inputs_are_what_the_transform_needs_and_no_training_only_column(
    taxi_trained: Any, taxi_schema: Any
) -> None:
    names = load_test(taxi_trained.folder / MODEL_FOLDER)
    unused = {"pickup_census_tract", "dropoff_census_tract", "trip_start_timestamp"}
    assert set(names) == set(serving_features(taxi_schema)) - unused
    assert "tips" not in names
    for signature in ("serving_default", "transform_features"):
        with open_signature(taxi_trained.folder / MODEL_FOLDER, signature) as predict:
            assert predict.input_names == names  # type: ignore[attr-defined]


def test_tensorflow_loads_it_too(
    taxi_trained: Any, raw_rows: pa.RecordBatch, served: np.ndarray
) -> None:
    loaded = tf.saved_model.load(str(taxi_trained.folder / MODEL_FOLDER))
    assert set(loaded.signatures) == {
        "eval_examples",
        "predict_transformed",
        "serve_examples",
        "serving_default",
        "transform_features",
    }
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    arrays = raw_arrays(raw_rows, tuple(specs))
    scores = signature(**{n: tf.constant(arrays[n], specs[n].dtype) for n in specs})[OUTPUT]
    np.testing.assert_allclose(scores.numpy(), served, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_served(rows: int, taxi_trained: Any, raw_rows: pa.RecordBatch) -> None:
    with open_signature(taxi_trained.folder / MODEL_FOLDER) as predict:
        arrays = raw_arrays(raw_rows.slice(0, rows), predict.input_names)  # type: ignore[attr-defined]
        assert predict(arrays)[OUTPUT].shape == (rows, 1)


def test_the_stand_ins_for_missing_values_are_what_the_transform_sees_for_null(
    small: Small, tmp_path: Path
) -> None:
    inputs = inputs_of("n_xf", "s_xf", "x_xf")
    out = small.export(keras.Model(inputs, scored(*inputs.values())), tmp_path / "model")
    given = {
        "n": np.array([3, MISSING_INT, -7, 3]),
        "s": np.array([b"b", b"a", b"", b"a"], object),
        "x": np.array([0.5, 1.5, 2.5, -1.0], "float32"),
    }
    with open_signature(out, "transform_features") as transform:
        features = transform(given)
    wanted = small.features("high_xf", "n_xf", "s_xf", "x_xf")
    assert wanted["n_xf"].tolist() == [3, -1, -7, 3]
    assert wanted["s_xf"][1] == wanted["s_xf"][3]
    assert len(set(wanted["s_xf"])) == 3
    assert sorted(features) == sorted(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(features[name], values, atol=1e-6, err_msg=name)


def test_a_float_that_is_not_a_number_stands_for_a_missing_one(
    small: Small, tmp_path: Path
) -> None:
    schema = small.schema
    small.schema = set_environments(parse_schema(SCHEMA, "here"), [])  # serve the tips too
    try:
        inputs = inputs_of("tips_xf")
        out = small.export(keras.Model(inputs, scored(inputs["tips_xf"])), tmp_path / "model")
    finally:
        small.schema = schema
    given = raw_arrays(pa.RecordBatch.from_pydict(ROWS), ("n", "s", "tips", "x"))
    assert np.isnan(given["tips"][2])
    with open_signature(out, "transform_features") as transform:
        assert transform(given)["tips_xf"].tolist() == [0.0, 1.0, 0.0, 3.0]


def test_raw_arrays_are_of_the_types_that_the_signatures_take() -> None:
    arrays = raw_arrays(pa.RecordBatch.from_pydict(ROWS), ("s", "n", "x", "tips"))
    assert {n: a.dtype for n, a in arrays.items()} == {
        "s": np.dtype(object),
        "n": np.dtype("int64"),
        "x": np.dtype("float32"),
        "tips": np.dtype("float32"),
    }
    assert arrays["n"].tolist() == [3, -(2**63), -7, 3]
    assert arrays["s"].tolist() == [b"b", b"a", b"", b"a"]


@pytest.fixture(scope="module")
def listed(lists: Small) -> Path:
    """A model of every list and bytes feature, exported."""
    kinds = {"float32": "_xf", "int64": "_count"}
    inputs = {
        name: keras.Input(values.shape[1:], name=name, dtype=str(values.dtype))
        for name, values in lists.features().items()
        if name.endswith(tuple(kinds.values()))
    }
    flat = [keras.layers.Flatten()(keras.ops.cast(i, "float32")) for i in inputs.values()]
    total = keras.ops.sum(keras.ops.concatenate(flat, axis=1) / 1e6, axis=1, keepdims=True)
    return lists.export(keras.Model(inputs, total), lists.folder / "model")


def test_lists_and_bytes_are_served_as_they_were_transformed(listed: Path, lists: Small) -> None:
    """Missing ones too, and NaN and "" in a list before its last value."""
    wanted = lists.features()
    assert wanted["ints_count"].tolist() == [1, 0, 3, 2]
    assert wanted["floats_count"].tolist() == [0, 3, 1, 4]
    assert wanted["tags_count"].tolist() == [3, 1, 0, 2]
    assert wanted["raw_count"].tolist() == [1, 0, 1, 1]
    assert wanted["square_xf"].shape == (4, 2, 2)
    assert len({tuple(row) for row in wanted["blobs_xf"].tolist()}) == 4
    rows = pa.RecordBatch.from_pydict(LIST_ROWS)
    with open_signature(listed, "transform_features") as transform:
        features = transform(raw_arrays(rows, transform.input_names))  # type: ignore[attr-defined]
    assert sorted(features) == sorted(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(features[name], values, rtol=1e-6, err_msg=name)


def test_every_signature_gives_lists_and_bytes_the_same_prediction(
    listed: Path, lists: Small
) -> None:
    rows = pa.RecordBatch.from_pydict(LIST_ROWS)
    features = {n: v for n, v in lists.features().items() if n != "pixels_scaled"}
    flat = [values.reshape(len(values), -1).astype("float32") for values in features.values()]
    wanted = np.concatenate(flat, axis=1).sum(axis=1) / 1e6
    assert np.isnan(wanted[1])  # as the list with a NaN in it asks for
    with open_signature(listed) as predict:
        given = raw_arrays(rows, predict.input_names)  # type: ignore[attr-defined]
        served = predict(given)[OUTPUT]
        alone = [
            predict(raw_arrays(rows.slice(row, 1), tuple(given)))[OUTPUT][0] for row in range(4)
        ]
        wider = {**given, "ints": np.pad(given["ints"], [(0, 0), (0, 3)], constant_values=-(2**63))}
        padded_more = predict(wider)[OUTPUT]
    with open_signature(listed, "serve_examples") as predict:
        by_example = predict({"examples": serialized(rows, tuple(LIST_ROWS))})[OUTPUT]
    np.testing.assert_allclose(served[:, 0], wanted, rtol=1e-5)
    for scores in (alone, padded_more, by_example):
        np.testing.assert_allclose(scores, served, rtol=1e-6)


def test_the_inputs_of_lists_have_the_shapes_of_the_schema(listed: Path) -> None:
    signature = tf.saved_model.load(str(listed)).signatures["serving_default"]
    shapes = {n: s.shape.as_list() for n, s in signature.structured_input_signature[1].items()}
    assert shapes == {
        **{name: [None] for name in ("one", "text", "raw", "bytes")},
        "pixels": [None, 4],
        "square": [None, 2, 2],
        **{name: [None, None] for name in ("ints", "floats", "tags", "blobs")},
    }


def test_data_of_other_lists_is_refused_by_the_inputs_name(listed: Path) -> None:
    short = dict(LIST_ROWS, pixels=pa.array([[1, 2, 3]] * 4))
    with open_signature(listed) as predict:
        given = raw_arrays(pa.RecordBatch.from_pydict(short), predict.input_names)  # type: ignore[attr-defined]
        with pytest.raises(ServingError, match="'pixels'") as caught:
            predict(given)
    assert caught.value.received == "3 values a row"
    assert caught.value.expected == "4 values a row"


class Subclassed(keras.Model):
    """Picks its features by itself, as a subclassed Keras model does."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1, activation="sigmoid")

    def call(self, features: Any) -> Any:
        return self.dense(keras.ops.reshape(features["x_xf"], (-1, 1)))


def models() -> Iterator[Any]:
    """Models of each way to build one, with the features that they take."""
    inputs = inputs_of("x_xf", "n_xf")
    yield "dict", keras.Model(inputs, scored(inputs["x_xf"], inputs["n_xf"]))
    inputs = inputs_of("x_xf", "n_xf")
    yield "list", keras.Model(list(inputs.values()), scored(inputs["x_xf"], inputs["n_xf"]))
    inputs = inputs_of("x_xf")
    yield "single", keras.Model(inputs["x_xf"], scored(inputs["x_xf"]))
    reshape, dense = keras.layers.Reshape((1,)), keras.layers.Dense(1, activation="sigmoid")
    yield "sequential", keras.Sequential([keras.Input((), name="x_xf"), reshape, dense])
    yield "subclassed", Subclassed()
    inputs = inputs_of("n_xf", "x_xf")
    table = keras.layers.IntegerLookup(vocabulary=[3, -7])(inputs["n_xf"])
    yield "lookup table", keras.Model(inputs, scored(table, inputs["x_xf"]))
    inputs = inputs_of("x_xf")
    hidden = keras.layers.Reshape((1,))(inputs["x_xf"])
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(hidden))
    yield "noise", keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))


@pytest.mark.parametrize(
    "kind", ["dict", "list", "single", "sequential", "subclassed", "lookup table", "noise"]
)
def test_every_way_to_build_a_model_is_served_as_it_predicts(
    kind: str, small: Small, tmp_path: Path
) -> None:
    model = dict(models())[kind]
    features = small.features("n_xf", "x_xf")
    takes = {
        "dict": features,
        "list": [features["x_xf"], features["n_xf"]],
        "subclassed": features,
        "lookup table": features,
        "noise": {"x_xf": features["x_xf"]},
    }
    wanted = np.asarray(model(takes.get(kind, features["x_xf"]), training=False))
    out = small.export(model, tmp_path / "model")
    with open_signature(out) as predict:
        given = raw_arrays(pa.RecordBatch.from_pydict(ROWS), predict.input_names)  # type: ignore[attr-defined]
        np.testing.assert_allclose(predict(given)[OUTPUT], wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["tips_xf", "y", "z_xf"])
def test_a_model_that_needs_what_is_not_there_at_serving_is_refused(
    name: str, small: Small, tmp_path: Path
) -> None:
    inputs = inputs_of("x_xf", name)
    model = keras.Model(inputs, scored(*inputs.values()))
    with pytest.raises(UserModuleError, match="cannot be served") as caught:
        small.export(model, tmp_path / "model")
    assert str(caught.value.received).startswith(f"inputs {name}, ")
    assert caught.value.expected == "inputs among high_xf, n_xf, s_xf, x_xf"
    assert not (tmp_path / "model").exists()


def test_a_label_made_of_served_columns_is_no_feature(small: Small, tmp_path: Path) -> None:
    inputs = inputs_of("x_xf")
    code, label = small.folder / "project.py", "high_xf"
    model, out = keras.Model(inputs, scored(inputs["x_xf"])), tmp_path / "model"
    export_saved_model(model, small.graph, small.schema, label, out, code)
    with open_signature(out, "transform_features") as transform:
        given = raw_arrays(pa.RecordBatch.from_pydict(ROWS), transform.input_names)  # type: ignore[attr-defined]
        assert sorted(transform(given)) == ["n_xf", "s_xf", "x_xf"]

    class Sum(keras.Model):  # a subclassed model is called with every feature that there is
        def call(self, features: Any, training: bool = False) -> Any:
            seen.append(sorted(features))
            return keras.ops.sigmoid(features["x_xf"])

    seen: list[list[str]] = []
    whole = Sum()
    whole({"x_xf": tf.zeros([1])})
    seen.clear()
    export_saved_model(whole, small.graph, small.schema, label, tmp_path / "whole", code)
    assert seen
    assert all(names == ["n_xf", "s_xf", "x_xf"] for names in seen)
    inputs = inputs_of(label)
    model = keras.Model(inputs, scored(inputs[label]))
    with pytest.raises(UserModuleError, match="cannot be served"):
        export_saved_model(model, small.graph, small.schema, label, tmp_path / "none", code)


def test_a_subclassed_model_that_asks_for_a_training_only_feature_is_refused(
    small: Small, tmp_path: Path
) -> None:
    class Peeking(Subclassed):
        def call(self, features: Any) -> Any:
            return super().call({"x_xf": features["tips_xf"]})

    model = Peeking()
    model(small.features("tips_xf"))
    with pytest.raises(UserModuleError, match="tips_xf"):
        small.export(model, tmp_path / "model")


def test_a_model_that_was_never_called_is_refused(small: Small, tmp_path: Path) -> None:
    with pytest.raises(UserModuleError, match="never called"):
        small.export(Subclassed(), tmp_path / "model")


def test_a_model_with_more_than_one_output_is_refused(small: Small, tmp_path: Path) -> None:
    inputs = inputs_of("x_xf")
    score = scored(inputs["x_xf"])
    model = keras.Model(inputs, {"score": score, "twice": score * 2})
    with pytest.raises(UserModuleError, match="cannot be served") as caught:
        small.export(model, tmp_path / "model")
    assert caught.value.received == "an output that is a dict"


def test_a_keras_model_saved_whole_is_refused_though_tensorflow_loads_it(tmp_path: Path) -> None:
    inputs = inputs_of("x_xf")
    model = keras.Model(inputs, scored(inputs["x_xf"]))
    tf.saved_model.save(model, str(tmp_path / "whole"))
    assert "serving_default" in tf.saved_model.load(str(tmp_path / "whole")).signatures
    with pytest.raises(ServingError, match="without a value in a Session") as caught:
        load_test(tmp_path / "whole")
    assert "/bias, " in str(caught.value.received)
    model.export(str(tmp_path / "exported"), verbose=False)
    load_test(tmp_path / "exported")


def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="failed"):
        load_test(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\xffgarbage"])
def test_a_damaged_saved_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ServingError, match="failed"):
        load_test(tmp_path)


def test_lost_weights_are_refused(small: Small, tmp_path: Path) -> None:
    inputs = inputs_of("x_xf")
    out = small.export(keras.Model(inputs, scored(inputs["x_xf"])), tmp_path / "model")
    load_test(out)
    (out / "variables" / "variables.index").unlink()
    with pytest.raises(ServingError, match="failed"):
        load_test(out)


def test_an_unknown_signature_names_those_there_are(taxi_trained: Any) -> None:
    with (
        pytest.raises(ServingError, match="no signature 'serve'") as caught,
        open_signature(taxi_trained.folder / MODEL_FOLDER, "serve"),
    ):
        pass
    assert "serving_default" in str(caught.value.received)
