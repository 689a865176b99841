"""Small SavedModels, exported once, and one running server that tests only read from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
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
