"""Small SavedModels, exported once, and one running server that tests only read from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from serving.export import export_version
from serving.model_server import ModelServer


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SavedModels by name.

    fare: x float32, n int64, s string -> score = x + n, greeting = s + "!"; with signatures
        `raw` (s -> raw_bytes) and `total` (x -> its sum, x).
    fare_plus_100: The same with score + 100.
    double: x float32 -> 2 x.
    slow: n int64 -> n, after n turns of a loop.
    keras: A Keras model with inputs of shape [batch, 3].
    broken: A `saved_model.pb` that holds no model.
    """
    import keras
    import tensorflow as tf

    root = tmp_path_factory.mktemp("saved-models")

    class Fare(tf.Module):
        def __init__(self, offset: float) -> None:
            super().__init__()
            self.offset = tf.Variable(offset)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.float32, name="x"),
                tf.TensorSpec([None], tf.int64, name="n"),
                tf.TensorSpec([None], tf.string, name="s"),
            ]
        )
        def score(self, x, n, s):
            return {
                "score": x + tf.cast(n, tf.float32) + self.offset,
                "greeting": tf.strings.join([s, "!"]),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="s")])
        def raw(self, s):
            return {"raw_bytes": s}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def total(self, x):
            return {"total": tf.reduce_sum(x), "x": x}

    class Double(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def double(self, x):
            return {"y": 2.0 * x}

    class Slow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="n")])
        def turn(self, n):
            turns = tf.reduce_max(n)
            end = tf.while_loop(
                lambda i: i < turns, lambda i: (i + 1,), (tf.constant(0, tf.int64),)
            )
            return {"y": n + end[0] - turns}

    for name, offset in (("fare", 0.0), ("fare_plus_100", 100.0)):
        fare = Fare(offset)
        signatures = {"serving_default": fare.score, "raw": fare.raw, "total": fare.total}
        tf.saved_model.save(fare, str(root / name), signatures=signatures)
    double, slow = Double(), Slow()
    tf.saved_model.save(double, str(root / "double"), signatures=double.double)
    tf.saved_model.save(slow, str(root / "slow"), signatures=slow.turn)
    keras_model = keras.Sequential(
        [
            keras.Input((3,), name="row"),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    keras_model.export(str(root / "keras"))
    shutil.copytree(root / "fare", root / "broken")
    (root / "broken" / "saved_model.pb").write_bytes(b"this is no model")
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="session")
def server(
    saved_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """A server of `fare` (version 3), `double` and `keras`; nobody changes it."""
    root = tmp_path_factory.mktemp("served")
    export_version(saved_models["fare"], root / "fare", 3)
    export_version(saved_models["double"], root / "double", 1)
    export_version(saved_models["keras"], root / "keras", 1)
    names = ("fare", "double", "keras")
    with ModelServer(
        {name: root / name for name in names}, rest_port=0, grpc_port=0, max_request_bytes=100_000
    ) as running:
        running.wait_until_available(60)
        yield running


@pytest.fixture(scope="session")
def example_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TF1-style SavedModels over serialized tf.Examples, in a folder each, by name.

    half_plus_two: x float32 [n, 1] -> y = x / 2 + 2 (`serving_default`); over examples with `x`
        (and `x2`, 0 by default) `regress_x_to_y`, `regress_x_to_y2` (x / 2 + 3),
        `regress_x2_to_y3` (x2 / 2 + 3), `classify_x_to_y` (score y, no label); one input tensor.
    classifier: `serving_default` classifies examples with `x` into `low` (-x) and `high` (x);
        `labels` without scores, `scores` without labels, `probabilities` for predict.
    regressor: `serving_default` regresses examples with `x` to 3 x, in the shape [n].
    multi_head: `price` and `price2` regress, `kind` classifies over one input tensor, `other`
        regresses over another, `numbers` over x itself; wrong: `no_batch`, `integers`, `cube`,
        `two_inputs`, `renamed`.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    root = tmp_path_factory.mktemp("example-models")
    infos = v1.saved_model.build_tensor_info
    classify, regress, predict = (
        f"tensorflow/serving/{method}" for method in ("classify", "regress", "predict")
    )

    def definition(inputs: dict, outputs: dict, method: str) -> object:
        return v1.saved_model.build_signature_def(
            {key: infos(tensor) for key, tensor in inputs.items()},
            {key: infos(tensor) for key, tensor in outputs.items()},
            method,
        )

    def examples_of(**defaults: float | None) -> tuple:
        serialized = v1.placeholder(tf.string, [None])
        features = {
            name: v1.FixedLenFeature([1], tf.float32, None if default is None else [default])
            for name, default in defaults.items()
        }
        return serialized, v1.parse_example(serialized, features)

    def save(name: str, make: Callable[[], dict]) -> None:
        with tf.Graph().as_default(), v1.Session() as session:
            signatures = make()
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(root / name))
            builder.add_meta_graph_and_variables(session, ["serve"], signatures)
            builder.save()

    def half_plus_two() -> dict:
        serialized, parsed = examples_of(x=None, x2=0.0)
        half = v1.get_variable("a", initializer=0.5, use_resource=True)
        x = tf.identity(parsed["x"], "x")
        y, y2, y3 = half * x + 2.0, half * x + 3.0, half * parsed["x2"] + 3.0
        return {
            "serving_default": definition({"x": x}, {"y": y}, predict),
            "regress_x_to_y": definition({"inputs": serialized}, {"outputs": y}, regress),
            "regress_x_to_y2": definition({"inputs": serialized}, {"outputs": y2}, regress),
            "regress_x2_to_y3": definition({"inputs": serialized}, {"outputs": y3}, regress),
            "classify_x_to_y": definition({"inputs": serialized}, {"scores": y}, classify),
        }

    def classifier() -> dict:
        serialized, parsed = examples_of(x=None)
        scores = tf.concat([-parsed["x"], parsed["x"]], 1)
        classes = tf.tile([["low", "high"]], [tf.shape(serialized)[0], 1])
        inputs = {"inputs": serialized}
        return {
            "serving_default": definition(inputs, {"classes": classes, "scores": scores}, classify),
            "labels": definition(inputs, {"classes": classes}, classify),
            "scores": definition(inputs, {"scores": scores}, predict),
            "probabilities": definition(inputs, {"probabilities": scores}, predict),
        }

    def regressor() -> dict:
        serialized, parsed = examples_of(x=None)
        outputs = {"outputs": 3.0 * parsed["x"][:, 0]}
        return {"serving_default": definition({"inputs": serialized}, outputs, regress)}

    def multi_head() -> dict:
        serialized, parsed = examples_of(x=None)
        second, second_parsed = examples_of(x=None)
        x, one = parsed["x"], {"inputs": serialized}
        both = one | {"more": second}
        return {
            "price": definition(one, {"outputs": 2.0 * x}, regress),
            "price2": definition(one, {"outputs": 4.0 * x}, regress),
            "kind": definition(one, {"scores": tf.concat([x, -x], 1)}, classify),
            "other": definition({"inputs": second}, {"outputs": second_parsed["x"]}, regress),
            "numbers": definition({"inputs": x}, {"outputs": x}, regress),
            "no_batch": definition(one, {"outputs": tf.reduce_sum(x, 0)}, regress),
            "integers": definition(one, {"outputs": tf.cast(x, tf.int64)}, regress),
            "cube": definition(one, {"scores": x[:, :, None]}, classify),
            "two_inputs": definition(both, {"outputs": x + second_parsed["x"]}, regress),
            "renamed": definition({"examples": serialized}, {"outputs": x}, regress),
        }

    for make in (half_plus_two, classifier, regressor, multi_head):
        save(make.__name__, make)
    return {path.name: path for path in root.iterdir()}
