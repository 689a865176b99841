"""Parity: on every row of a split, each signature predicts what the training path predicts.

The training path is the transformed Parquet rows and the Keras model; the signatures start from raw
rows, missing values and all.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from mlproject.errors import ServingError, UserModuleError
from mlproject.examples.reader import read_batches
from mlproject.raw_inputs import raw_arrays
from mlproject.saved_model import (
    EVAL_EXAMPLES,
    LABELS,
    OUTPUT,
    PREDICT_TRANSFORMED,
    SERVE_EXAMPLES,
    export_saved_model,
    open_signature,
)
from mlproject.saved_model.origins import read_origins
from mlproject.schema import parse_schema, set_environments
from mlproject.training import MODEL_FOLDER
from mlproject.transform import (
    GRAPH_FOLDER,
    TRANSFORMED_FILE,
    TransformGraph,
    analyze_examples,
    transform_examples,
)
from mlproject.transformed import Materialized

TAXI = Path(__file__).parents[2] / "examples" / "taxi"
TOLERANCE = 1e-5
Write = Callable[[Path, Mapping[str, pa.Array]], Path]


@dataclass(frozen=True)
class Case:
    """A trained model, exported, and rows both raw and transformed.

    Attributes:
        model_dir: The SavedModel.
        model: The Keras model.
        raw: The rows.
        transformed: The transformed rows, from Parquet, the label among them.
        label: The label.
        training_only: Raw columns that serving does not have.
    """

    model_dir: Path
    model: Any
    raw: pa.RecordBatch
    transformed: dict[str, np.ndarray]
    label: str
    training_only: tuple[str, ...]

    def trained(self) -> np.ndarray:
        """The predictions of the training path."""
        features = {n: v for n, v in self.transformed.items() if n != self.label}
        inputs = {name: features[name] for name in self.model._inputs_struct}
        return np.asarray(self.model(inputs, training=False), "float32")


def as_feature(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    texts = [v.encode() if isinstance(v, str) else v for v in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))


def serialized(rows: pa.RecordBatch, left_out: tuple[str, ...] = ()) -> np.ndarray:
    """Rows as serialized tf.train.Example, where a missing value is a feature that is not there."""
    examples = []
    for row in rows.to_pylist():
        there = {n: v for n, v in row.items() if v is not None and n not in left_out}
        features = tf.train.Features(feature={n: as_feature(v) for n, v in there.items()})
        examples.append(tf.train.Example(features=features).SerializeToString())
    return np.array(examples, object)


@pytest.fixture(scope="module")
def taxi(taxi_trained: Any, taxi_examples: Path, taxi_transformed: Path) -> Case:
    """The taxi model, and its larger split; test_saved_model.py asks it the other one."""
    (raw,) = read_batches(taxi_examples / "Split-train")
    columns = next(Materialized([taxi_transformed / "Split-train" / TRANSFORMED_FILE]).columns())
    model_dir = taxi_trained.folder / MODEL_FOLDER
    return Case(model_dir, taxi_trained.model, raw, columns, "big_tipper", ("tips",))


def exported(
    folder: Path,
    write: Write,
    schema_text: str,
    code: str,
    rows: Mapping[str, pa.Array],
    build: Callable[[Mapping[str, np.ndarray]], Any],
    training_only: tuple[str, ...],
) -> Case:
    """Analyses, transforms, fits for an epoch, and exports."""
    schema = set_environments(parse_schema(schema_text, "here"), training_only)
    split, file = write(folder / "Split-eval", rows), folder / "project.py"
    module = types.ModuleType("parity_project")
    exec(compile(code, str(file), "exec"), module.__dict__)
    analyze_examples(split, schema, module.preprocessing_fn, file, folder, folder / "temp")
    graph = TransformGraph(folder / GRAPH_FOLDER)
    transform_examples(split, graph, folder / "out", file)
    columns = next(Materialized([folder / "out" / TRANSFORMED_FILE]).columns())
    keras.utils.set_random_seed(5)
    model = build(columns)
    features = {name: columns[name] for name in model._inputs_struct}
    model.fit(features, columns["y"], epochs=2, verbose=0)
    export_saved_model(model, graph, schema, "y", folder / "model", file)
    (raw,) = read_batches(split)
    return Case(folder / "model", model, raw, columns, "y", training_only)


IMAGE_SCHEMA = """
feature { name: "image" type: INT presence { min_fraction: 1 } shape { dim { size: 64 } } }
feature { name: "digit" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
IMAGE_CODE = """
import tensorflow as tf

def preprocessing_fn(inputs):
    pixels = tf.reshape(tf.cast(inputs["image"], tf.float32) / 255.0, [-1, 8, 8, 1])
    return {"pixels_xf": pixels, "y": tf.strings.to_number(inputs["digit"][:, 0], tf.int64)}
"""


def image_model(columns: Mapping[str, np.ndarray]) -> Any:
    pixels = keras.Input(columns["pixels_xf"].shape[1:], name="pixels_xf")
    hidden = keras.layers.Conv2D(4, 3, activation="relu")(pixels)
    hidden = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(hidden))
    scores = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(hidden))
    model = keras.Model({"pixels_xf": pixels}, scores)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, write_split: Write) -> Case:
    """Ten classes of images; the class is in training only."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (500, 64))
    rows = {
        "image": pa.array(pixels.tolist()),
        "digit": pa.array([str(n) for n in rng.integers(0, 10, 500)]),
    }
    folder = tmp_path_factory.mktemp("image")
    return exported(folder, write_split, IMAGE_SCHEMA, IMAGE_CODE, rows, image_model, ("digit",))


LIST_SCHEMA = """
feature { name: "floats" type: FLOAT value_count { min: 1 } }
feature { name: "tags" type: BYTES value_count { min: 1 } }
feature { name: "square" type: FLOAT presence { min_fraction: 1 }
  shape { dim { size: 2 } dim { size: 2 } } }
feature { name: "one" type: INT value_count { min: 1 max: 1 } }
feature { name: "price" type: FLOAT value_count { min: 1 max: 1 } }
"""
LIST_CODE = """
import tensorflow as tf
import tensorflow_transform as tft

def dense(tensor, default, width):
    shape = [tensor.dense_shape[0], width]
    return tf.sparse.to_dense(tf.SparseTensor(tensor.indices, tensor.values, shape), default)

def preprocessing_fn(inputs):
    price = tf.reshape(dense(inputs["price"], 0.0, 1), [-1])
    tags = tft.compute_and_apply_vocabulary(inputs["tags"], num_oov_buckets=1)
    return {
        "floats_xf": tf.reshape(dense(inputs["floats"], -1.0, 4), [-1, 4]),
        "mixed_xf": tf.reshape(dense(inputs["one"], -1, 1), [-1, 1])
        + tf.cast(inputs["square"][:, 0, :], tf.int64),
        "price_xf": tft.scale_to_z_score(price),
        "square_xf": inputs["square"],
        "tags_xf": tf.reshape(dense(tags, -1, 3), [-1, 3]) + 1,
        "y": price,
    }
"""


def list_model(columns: Mapping[str, np.ndarray]) -> Any:
    names = ("floats_xf", "mixed_xf", "square_xf", "tags_xf")
    inputs = {
        n: keras.Input(columns[n].shape[1:], name=n, dtype=str(columns[n].dtype)) for n in names
    }
    tags = keras.layers.Embedding(12, 3)(inputs["tags_xf"])
    parts = [inputs["floats_xf"], keras.ops.cast(inputs["mixed_xf"], "float32"),
             inputs["square_xf"], tags]  # fmt: skip
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(part) for part in parts])
    hidden = keras.layers.Dense(8, activation="relu")(joined)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden)[:, 0])
    model.compile("adam", "mean_squared_error")
    return model


def list_rows(count: int) -> dict[str, pa.Array]:
    rng = np.random.default_rng(3)
    words = np.array(["a", "b", "caf\u00e9", "d", ""])

    def some(values: list[Any]) -> pa.Array:
        return pa.array([v if rng.random() > 0.2 else None for v in values])

    return {
        "floats": some([rng.normal(size=rng.integers(1, 5)).tolist() for _ in range(count)]),
        "tags": some(
            [[*rng.choice(words, rng.integers(1, 3)).tolist(), "z"] for _ in range(count)]
        ),
        "square": pa.array(rng.normal(size=(count, 4)).tolist()),
        "one": some(rng.integers(-3, 9, count).tolist()),
        "price": pa.array(rng.normal(20, 5, count).tolist()),
    }


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory, write_split: Write) -> Case:
    """A number of lists of fixed and of any length, some missing; its model gives `[batch]`."""
    folder = tmp_path_factory.mktemp("prices")
    rows = list_rows(800)
    return exported(folder, write_split, LIST_SCHEMA, LIST_CODE, rows, list_model, ("price",))


@pytest.fixture(params=["taxi", "image", "prices"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


def test_there_are_missing_values_to_be_served(taxi: Case, prices: Case) -> None:
    assert taxi.raw.num_rows > 1_000
    assert sum(column.null_count for column in taxi.raw.columns) > 1_000
    assert sum(column.null_count for column in prices.raw.columns) > 300


def test_predictions_from_raw_tensors_are_those_of_training(case: Case) -> None:
    with open_signature(case.model_dir) as predict:
        served = predict(raw_arrays(case.raw, predict.input_names))[OUTPUT]  # type: ignore[attr-defined]
    wanted = case.trained()
    assert served.dtype == np.dtype("float32")
    assert served.shape == (case.raw.num_rows, 10 if case.model.output.shape[1:] == (10,) else 1)
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(served, wanted.reshape(served.shape), atol=TOLERANCE)


def test_predictions_from_examples_are_those_of_training(case: Case) -> None:
    with open_signature(case.model_dir, SERVE_EXAMPLES) as predict:
        served = predict({"examples": serialized(case.raw, case.training_only)})[OUTPUT]
    np.testing.assert_allclose(served, case.trained().reshape(served.shape), atol=TOLERANCE)


def test_an_outside_evaluator_gets_predictions_and_labels(case: Case) -> None:
    with open_signature(case.model_dir, EVAL_EXAMPLES) as evaluate:
        assert evaluate.input_names == ("examples",)  # type: ignore[attr-defined]
        outputs = evaluate({"examples": serialized(case.raw)})
    assert sorted(outputs) == [LABELS, OUTPUT]
    served = outputs[OUTPUT]
    np.testing.assert_allclose(served, case.trained().reshape(served.shape), atol=TOLERANCE)
    np.testing.assert_array_equal(outputs[LABELS], case.transformed[case.label])
    assert len(np.unique(outputs[LABELS])) > 1


def test_predictions_from_transformed_features_are_those_of_training(case: Case) -> None:
    with open_signature(case.model_dir, PREDICT_TRANSFORMED) as predict:
        names = predict.input_names  # type: ignore[attr-defined]
        assert sorted(names) == sorted(case.model._inputs_struct)
        served = predict({name: case.transformed[name] for name in names})[OUTPUT]
    np.testing.assert_allclose(served, case.trained().reshape(served.shape), atol=TOLERANCE)


def test_gradients_flow_to_every_float_feature(case: Case) -> None:
    loaded = tf.saved_model.load(str(case.model_dir))
    names = tuple(case.model._inputs_struct)
    tensors = {name: tf.constant(case.transformed[name][:50]) for name in names}
    floats = [name for name in names if tensors[name].dtype.is_floating]

    def gradients(predict: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch([tensors[name] for name in floats])
            first = tf.reshape(predict(), [50, -1])[:, 0]
        return list(tape.gradient(first, [tensors[name] for name in floats]))

    signature = loaded.signatures[PREDICT_TRANSFORMED]
    found = gradients(lambda: signature(**tensors)[OUTPUT])
    wanted = gradients(lambda: case.model(dict(tensors), training=False))
    assert floats
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(other.numpy()).max() > 0
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


def test_every_transformed_feature_knows_its_raw_features(prices: Case, taxi: Case) -> None:
    assert read_origins(prices.model_dir) == {
        "floats_xf": ("floats",),
        "mixed_xf": ("square", "one"),
        "price_xf": ("price",),
        "square_xf": ("square",),
        "tags_xf": ("tags",),
        "y": ("price",),
    }
    assert read_origins(taxi.model_dir)["big_tipper"] == ("fare", "tips")


def test_a_model_of_mixed_precision_gives_float32(
    tmp_path: Path, taxi_transformed: Path, taxi_schema: Any
) -> None:
    graph = TransformGraph(taxi_transformed / GRAPH_FOLDER)
    inputs = {"fare_xf": keras.Input((), name="fare_xf")}
    policy = keras.DTypePolicy("mixed_float16")
    hidden = keras.layers.Reshape((1,))(inputs["fare_xf"])
    score = keras.layers.Dense(1, activation="sigmoid", dtype=policy)(hidden)
    model = keras.Model(inputs, score)
    columns = next(Materialized([taxi_transformed / "Split-eval" / TRANSFORMED_FILE]).columns())
    wanted = model({"fare_xf": columns["fare_xf"]}, training=False)
    assert wanted.dtype == tf.float16
    out = tmp_path / "model"
    export_saved_model(model, graph, taxi_schema, "big_tipper", out, TAXI / "taxi.py")
    with open_signature(out, PREDICT_TRANSFORMED) as predict:
        served = predict({"fare_xf": columns["fare_xf"]})[OUTPUT]
    assert served.dtype == np.dtype("float32")
    np.testing.assert_allclose(served, np.asarray(wanted, "float32"), atol=1e-3)


def test_a_model_that_gives_whole_numbers_is_refused(
    tmp_path: Path, taxi_transformed: Path, taxi_schema: Any
) -> None:
    graph = TransformGraph(taxi_transformed / GRAPH_FOLDER)
    inputs = {"fare_xf": keras.Input((), name="fare_xf")}
    score = keras.layers.Dense(1)(keras.layers.Reshape((1,))(inputs["fare_xf"]))
    model = keras.Model(inputs, keras.ops.cast(score > 0, "int32"))
    with pytest.raises(UserModuleError, match="cannot be served") as caught:
        export_saved_model(
            model, graph, taxi_schema, "big_tipper", tmp_path / "model", TAXI / "taxi.py"
        )
    assert caught.value.received == "an output of type int32"


def test_transformed_features_of_any_name_are_served(tmp_path: Path, write_split: Write) -> None:
    """TensorFlow would refuse them as inputs, so they are none."""
    schema = """
    feature { name: "x" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
    """
    code = """
def preprocessing_fn(inputs):
    return {"x %": inputs["x"], "x +": inputs["x"] * 2.0, "y": inputs["x"][:, 0]}
"""

    def build(columns: Mapping[str, np.ndarray]) -> Any:
        inputs = {name: keras.Input((1,), name=name) for name in ("x %", "x +")}
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.ops.add(*inputs.values())))
        model.compile("adam", "mean_squared_error")
        return model

    rows = {"x": pa.array([1.0, 2.0, 4.0])}
    case = exported(tmp_path, write_split, schema, code, rows, build, ())
    with open_signature(case.model_dir) as predict:
        served = predict({"x": np.array([1.0, 2.0, 4.0], "float32")})[OUTPUT]
    np.testing.assert_allclose(served, case.trained(), atol=TOLERANCE)
    with (
        pytest.raises(ServingError, match="no signature 'predict_transformed'"),
        open_signature(case.model_dir, PREDICT_TRANSFORMED),
    ):
        pass
