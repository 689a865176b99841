"""The models of the serving benchmarks, their prepared requests, and calls in process.

    python benchmarks/serving_model.py prepare dense FOLDER       # or a SavedModel instead of dense
    python benchmarks/serving_model.py call FOLDER --rows 512 --seconds 3

`prepare` writes FOLDER/models/bench/1 (the SavedModel), FOLDER/rest_N.http and FOLDER/grpc_N.pb for
each batch size N, and for `dense` FOLDER/mlflow, the same model for `mlflow models serve`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

NAME = "bench"
BATCHES = (1, 32, 512)
FEATURES = 10


def export_dense(folder: Path) -> None:
    """Exports the model of 10 features and layers of 64, 32 and 1, for both servers."""
    import keras
    import mlflow

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((FEATURES,), name="features"),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid", name="probability"),
        ]
    )
    model.export(str(folder / "models" / NAME / "1"), verbose=False)
    rows = _rows(4)
    signature = mlflow.models.infer_signature(rows, model.predict(rows, verbose=0))
    mlflow.keras.save_model(
        model, str(folder / "mlflow"), signature=signature, pip_requirements=["keras"]
    )
    body = json.dumps({"inputs": _plain(_rows(1))}).encode()
    (folder / "mlflow_1.http").write_bytes(http_request("/invocations", body))


def prepare(model: str, folder: Path) -> None:
    """Puts a model and its requests into the folder."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    if model == "dense":
        export_dense(folder)
    else:
        shutil.copytree(model, folder / "models" / NAME / "1")
    specs = _inputs(tf.saved_model.load(str(folder / "models" / NAME / "1")))
    for rows in BATCHES:
        tensors = {name: _values(spec, rows) for name, spec in specs.items()}
        request = PredictRequest()
        request.model_spec.name = NAME
        for name, values in tensors.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        (folder / f"grpc_{rows}.pb").write_bytes(request.SerializeToString())
        body = json.dumps({"instances": _instances(tensors)}).encode()
        path = f"/v1/models/{NAME}:predict"
        (folder / f"rest_{rows}.http").write_bytes(http_request(path, body))


def http_request(path: str, body: bytes) -> bytes:
    """A whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def call(folder: Path, rows: int, seconds: float) -> dict[str, float]:
    """Calls the signature in this process, one call after the other.

    Returns:
        Calls a second, the median and CPU milliseconds of a call, and rows a second.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "models" / NAME / "1"))
    signature = loaded.signatures["serving_default"]
    tensors = {name: tf.constant(_values(spec, rows)) for name, spec in _inputs(loaded).items()}
    for _ in range(20):
        signature(**tensors)
    times: list[float] = []
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        for value in signature(**tensors).values():
            value.numpy()
        times.append(time.perf_counter() - start)
    elapsed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {
        "requests_per_s": round(len(times) / elapsed, 1),
        "p50_ms": round(1e3 * sorted(times)[len(times) // 2], 4),
        "cpu_ms": round(1e3 * cpu / len(times), 4),
        "rows_per_s": round(rows * len(times) / elapsed),
    }


def _inputs(loaded: Any) -> dict[str, Any]:
    return dict(loaded.signatures["serving_default"].structured_input_signature[1])


def _rows(number: int) -> Any:
    return np.random.default_rng(0).normal(size=(number, FEATURES)).astype(np.float32).round(4)


def _values(spec: Any, rows: int) -> Any:
    """Values for an input: features of the dense model, else ones of its type."""
    shape = (rows, *(size or 1 for size in spec.shape[1:]))
    if shape[1:] == (FEATURES,):
        return _rows(rows)
    if spec.dtype.name == "string":
        return np.full(shape, b"Cash", object)
    return np.ones(shape, spec.dtype.as_numpy_dtype)


def _instances(tensors: dict[str, Any]) -> list[Any]:
    plain = {name: _plain(values) for name, values in tensors.items()}
    if len(plain) == 1:
        return next(iter(plain.values()))
    rows = len(next(iter(plain.values())))
    return [{name: values[row] for name, values in plain.items()} for row in range(rows)]


def _plain(values: Any) -> list[Any]:
    """Values as people write them: 0.1257, where the nearest float32 has twelve digits more."""
    if values.dtype == object:
        values = values.astype(str)
    elif values.dtype.kind == "f":
        values = values.astype(float).round(4)
    return list(values.tolist())


def main() -> None:
    """Prepares a model, or prints the figures of calls in process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("model", help="dense, or the folder of a SavedModel")
    preparing.add_argument("folder", type=Path)
    calling = commands.add_parser("call")
    calling.add_argument("folder", type=Path)
    calling.add_argument("--rows", type=int, default=1)
    calling.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    if given.command == "prepare":
        prepare(given.model, given.folder)
    else:
        print(json.dumps(call(given.folder, given.rows, given.seconds)))


if __name__ == "__main__":
    main()
