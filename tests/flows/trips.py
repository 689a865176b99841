"""A registered model of three raw columns, for the commands that run or export one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlproject.settings import Settings, read_settings

SAMPLE = {"fare": 2.5, "rank": 3, "zip": "00501"}
DATA = {"delimiter": ";", "null_values": ["", "NA"], "column_types": {"code": "string"}}

OUTSIDE = (
    *("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "BENISON_PIPELINE_ROOT"),
    *("BENISON_SERVING_ROOT", "PREFECT_API_URL", "DOCKER_HOST"),
)


@contextmanager
def trips_home(store: Path, folder: Path) -> Iterator[Settings]:
    """A home with the model `trips`: version 1 is blessed and has a Keras model, 2 is neither.

    Args:
        store: An MLflow database with its tables.
        folder: An empty one.
    """
    home, files = folder / "home", folder / "files"
    home.mkdir()
    files.mkdir()
    (home / "mlflow.db").write_bytes(store.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        for name in OUTSIDE:
            patch.delenv(name, raising=False)
        patch.setenv("BENISON_HOME", str(home))
        settings = read_settings()
        register_trips(settings, files, ("BLESSED", "NOT_BLESSED"))
        yield settings


def save_trips(folder: Path) -> Path:
    """fare float32, rank int64, zip string -> score [n, 1] (-1 for no fare), label (text)."""
    import tensorflow as tf

    specs = {"fare": tf.float32, "rank": tf.int64, "zip": tf.string}

    @tf.function(input_signature=[tf.TensorSpec([None], d, name=n) for n, d in specs.items()])
    def trips(fare: Any, rank: Any, zip: Any) -> Any:
        known = tf.where(tf.math.is_nan(fare), -1.0, fare)
        label = tf.strings.join([zip, "/", tf.strings.as_string(rank)])
        return {"score": known[:, None], "label": label}

    tf.saved_model.save(tf.Module(), str(folder), signatures=trips)
    write_warmup(folder)
    return folder


def write_warmup(folder: Path) -> None:
    """A warm-up request of two rows."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    from mlproject.saved_model_layout import EXTRA_FOLDER, WARMUP_FILE

    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "trips"
    for name, values, dtype in (
        ("fare", [2.0, 3.0], tf.float32),
        ("rank", [1, 2], tf.int64),
        ("zip", ["1", "2"], tf.string),
    ):
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
    (folder / EXTRA_FOLDER).mkdir()
    with tf.io.TFRecordWriter(str(folder / EXTRA_FOLDER / WARMUP_FILE)) as writer:
        writer.write(log.SerializeToString())


def register_trips(settings: Settings, folder: Path, blessings: tuple[str, ...]) -> None:
    """Registers the model `trips` once for each blessing.

    Args:
        settings: Of a home of the test's own.
        folder: For the files.
        blessings: Of the versions, from 1 on.
    """
    from mlproject.registry import BLESSING_TAG, TRAIN_RUN_TAG, Column, Registration, Registry
    from mlproject.tracking import Tracker

    registry, tracker = Registry(settings), Tracker(settings, "trips")
    saved_model = save_trips(folder / "saved_model")
    config, keras_model = folder / "config.json", folder / "model.keras"
    config.write_text(json.dumps({"data": DATA}), encoding="utf-8")
    keras_model.write_bytes(b"a Keras model")
    columns: Mapping[str, Any] = {"fare": "float", "rank": "int", "zip": "string"}
    for number, blessing in enumerate(blessings, start=1):
        run_id = tracker.start_run("pipeline", {})
        tracker.finish_run(run_id, "FINISHED")
        registry.register(
            Registration(
                name="trips",
                saved_model=saved_model,
                keras_model=keras_model if number == 1 else None,
                evidence={"config.json": config},
                columns=tuple(Column(name, kind) for name, kind in columns.items()),
                output="float",
                sample=SAMPLE,
                run_id=run_id,
                tags={TRAIN_RUN_TAG: f"train-{number}", BLESSING_TAG: blessing},
                description="",
            )
        )
