"""A module in the style of TFX's Trainer, with only the edits that docs/from-tfx.md lists."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlproject.saved_model import open_signature
from mlproject.training import MODEL_FOLDER, train_model

MODULE = """
import os

import keras
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

_LABEL = "big_tipper"
_DENSE = ("fare_xf", "trip_miles_xf", "trip_seconds_xf")
_TRAIN_BATCH, _EVAL_BATCH = 40, 40


def _input_fn(file_pattern, data_accessor, tf_transform_output, batch_size):
    return data_accessor.tf_dataset_factory(
        file_pattern,
        tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=_LABEL),
        tf_transform_output.transformed_metadata.schema,
    ).map(lambda features, label: ({name: features[name] for name in _DENSE}, label)).repeat()


def _build_keras_model(units):
    inputs = {name: keras.layers.Input(shape=(1,), name=name) for name in _DENSE}
    deep = keras.layers.concatenate(list(inputs.values()))
    for count in units:
        deep = keras.layers.Dense(count, activation="relu")(deep)
    output = keras.layers.Dense(1, activation="sigmoid")(deep)
    model = keras.Model(inputs, output)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.01),
                  metrics=[keras.metrics.BinaryAccuracy()])
    return model


def run_fn(fn_args):
    tf_transform_output = tft.TFTransformOutput(fn_args.transform_output)
    train_dataset = _input_fn(
        fn_args.train_files, fn_args.data_accessor, tf_transform_output, _TRAIN_BATCH)
    eval_dataset = _input_fn(
        fn_args.eval_files, fn_args.data_accessor, tf_transform_output, _EVAL_BATCH)
    model = _build_keras_model(fn_args.hyperparameters.get("units", [8]))
    log_dir = os.path.join(fn_args.model_run_dir, "logs")
    tensorboard = keras.callbacks.TensorBoard(log_dir=log_dir, update_freq="epoch")
    model.fit(
        train_dataset,
        epochs=fn_args.custom_config["epochs"],
        steps_per_epoch=fn_args.train_steps,
        validation_data=eval_dataset,
        validation_steps=fn_args.eval_steps,
        callbacks=[tensorboard, *fn_args.callbacks],
        verbose=0,
    )
    return model
"""


def test_a_module_of_tfxs_trainer_trains_here(
    load_code: Callable[[str], types.ModuleType],
    train_request: Any,
    taxi_schema: Any,
    tmp_path: Path,
) -> None:
    request = dataclasses.replace(
        train_request,
        train_steps=30,
        eval_steps=5,
        hyperparameters={"units": [16, 8]},
        custom_config={"epochs": 3},
    )
    out = tmp_path / "train"
    out.mkdir()
    history = train_model(request, load_code(MODULE), taxi_schema, out)
    assert [len(history[name]) for name in ("loss", "val_loss", "binary_accuracy")] == [3] * 3
    assert history["loss"][-1] < history["loss"][0]
    assert list((out / "model_run" / "logs" / "train").iterdir())
    with open_signature(out / MODEL_FOLDER, "predict_transformed") as predict:
        rows = {n: np.zeros(4, "float32") for n in predict.input_names}  # type: ignore[attr-defined]
        (scores,) = predict(rows).values()
    assert scores.shape == (4, 1)
