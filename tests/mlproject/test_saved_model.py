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
from mlproject.saved_model import (
    MISSING_INT,
    OUTPUT,
    export_saved_model,
    load_test,
    open_signature,
    raw_arrays,
)
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


class Small:
    """A project of four rows; exports a model and asks it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.schema = set_environments(parse_schema(SCHEMA, "here"), ["tips"])
        self.graph: Any = None

    def export(self, model: Any, out: Path) -> Path:
        export_saved_model(model, self.graph, self.schema, "y", out, self.folder / "project.py")
        return out

    def features(self, *names: str) -> dict[str, np.ndarray]:
        columns = next(Materialized([self.folder / "out" / TRANSFORMED_FILE]).columns())
        return {name: columns[name] for name in names}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, write_split: Callable[..., Path]) -> Small:
    folder = tmp_path_factory.mktemp("small")
    project = Small(folder)
    code = folder / "project.py"
    module = types.ModuleType("small_project")
    exec(compile(CODE, str(code), "exec"), module.__dict__)
    split, function = write_split(folder / "Split-train", ROWS), module.preprocessing_fn
    analyze_examples(split, project.schema, function, code, folder, folder / "temp")
    project.graph = TransformGraph(folder / GRAPH_FOLDER)
    transform_examples(split, project.graph, folder / "out", code)
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
        feature = {}
        for name in names:
            value = row[name]
            if isinstance(value, int):
                feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
            elif isinstance(value, float):
                feature[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            elif value is not None:
                text = tf.train.BytesList(value=[value.encode()])
                feature[name] = tf.train.Feature(bytes_list=text)
        features = tf.train.Features(feature=feature)
        examples.append(tf.train.Example(features=features).SerializeToString())
    return np.array(examples, object)


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
    assert set(loaded.signatures) == {"serving_default", "serve_examples", "transform_features"}
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
    assert len(seen) >= 2  # serving_default and serve_examples
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
