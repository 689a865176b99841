"""Malformed gRPC requests: each gets a status that blames the request, and the server goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving.export import export_version
from serving.model_server import ModelServer

# What a request that is wrong may get. INTERNAL and UNKNOWN would blame the server.
BLAMES_THE_REQUEST = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
METHODS = {
    "Predict": "PredictionService",
    "Classify": "PredictionService",
    "Regress": "PredictionService",
    "MultiInference": "PredictionService",
    "GetModelMetadata": "PredictionService",
    "GetModelStatus": "ModelService",
}


def predict(rng: random.Random) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    message = PredictRequest()
    message.model_spec.name = rng.choice(["fare", "fare", "fare", "fare", "double", "../fare"])
    if rng.random() < 0.2:
        message.model_spec.version.value = rng.choice([0, 1, 3, -1, 2**63 - 1])
    if rng.random() < 0.2:
        message.model_spec.signature_name = rng.choice(["raw", "total", "nope", "\0"])
    rows = rng.randint(0, 3)
    arrays = {
        "x": np.zeros(rows, np.float32),
        "n": np.zeros(rows, np.int64),
        "s": np.array([b"s"] * rows, object),
    }
    for name, array in arrays.items():
        if rng.random() < 0.9:
            message.inputs[name].CopyFrom(tf.make_tensor_proto(array, dtype=dtype_of(array)))
    for _ in range(rng.choice([0, 0, 1, 2])):
        spoil(message.inputs[rng.choice(["x", "n", "s", "other"])], rng)
    if rng.random() < 0.2:
        message.output_filter.extend(rng.choices(["score", "greeting", "nope"], k=2))
    return message


def dtype_of(array: Any) -> Any:
    import tensorflow as tf

    return tf.string if array.dtype == object else tf.as_dtype(array.dtype)


def spoil(tensor: Any, rng: random.Random) -> None:
    """One thing of a tensor that is not as it was."""
    kind = rng.randrange(9)
    if kind == 0:
        tensor.dtype = rng.choice([*range(32), 101, 107, 2**31 - 1])
    elif kind == 1:
        sizes = [-1, 0, 1, 2, 2**31, 2**62, -(2**63)]
        for _ in range(rng.choice([1, 2, 300])):
            tensor.tensor_shape.dim.add().size = rng.choice(sizes)
    elif kind == 2:
        tensor.tensor_content = rng.randbytes(rng.randint(0, 40))
    elif kind == 3:
        tensor.float_val.extend(rng.choices([0.0, float("nan"), 1e38], k=rng.randint(1, 40)))
    elif kind == 4:
        tensor.string_val.extend([rng.randbytes(3)] * rng.randint(1, 5))
    elif kind == 5:
        tensor.int64_val.extend(rng.choices([0, -1, 2**63 - 1], k=rng.randint(1, 40)))
    elif kind == 6:
        tensor.tensor_shape.unknown_rank = True
    elif kind == 7:
        tensor.variant_val.add(type_name="t", metadata=b"m")
    else:
        tensor.resource_handle_val.add(device="d", container="c", hash_code=2**64 - 1)


def with_examples(rng: random.Random) -> Any:
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest

    message = MultiInferenceRequest()
    for _ in range(rng.randint(0, 2)):
        methods = ["", "tensorflow/serving/classify", "tensorflow/serving/regress"]
        task = message.tasks.add(method_name=rng.choice(methods))
        task.model_spec.name = rng.choice(["multi_head"] * 6 + ["fare", ""])
        task.model_spec.signature_name = rng.choice(["price", "kind", "other", "cube", "nope"])
    kind = rng.choice(["example_list", "example_list_with_context"])
    listed = getattr(message.input, kind)
    for _ in range(rng.randint(0, 3)):
        listed.examples.add().features.feature["x"].float_list.value.append(1.0)
    return message


def classification(rng: random.Random) -> Any:
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest

    message = ClassificationRequest(input=with_examples(rng).input)
    message.model_spec.name = rng.choice(["classifier", "multi_head", "fare", ""])
    message.model_spec.signature_name = rng.choice(["", "labels", "kind", "price", "raw"])
    return message


def mutated(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0 or not data:
        return rng.randbytes(rng.randint(0, 60))
    if kind == 1:
        return data[: rng.randrange(len(data))]
    spoiled = bytearray(data)
    if kind == 2:
        for _ in range(rng.randint(1, 4)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
    elif kind == 3:
        at = rng.randrange(len(spoiled))
        spoiled[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(spoiled)


MAKERS: tuple[Callable[[random.Random], Any], ...] = (predict, predict, with_examples)


@pytest.fixture(scope="module")
def server(
    saved_models: dict[str, Path],
    example_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    """A server of models that take tensors, and of models that take examples."""
    root = tmp_path_factory.mktemp("fuzzed")
    folders = {name: saved_models[name] for name in ("fare", "double")}
    folders |= {name: example_models[name] for name in ("classifier", "multi_head")}
    for name, folder in folders.items():
        export_version(folder, root / name, 1)
    models = {name: root / name for name in folders}
    with ModelServer(models, rest_port=0, grpc_port=0, max_request_bytes=100_000) as running:
        running.wait_until_available(60)
        yield running


def fuzz(server: ModelServer, cases: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    with grpc.insecure_channel(server.grpc_address) as channel:
        calls = {
            method: channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
            for method, service in METHODS.items()
        }
        for _ in range(cases):
            maker = rng.choice([*MAKERS, classification])
            data = maker(rng).SerializeToString()
            if rng.random() < 0.4:
                data = mutated(data, rng)
            method = {predict: "Predict", with_examples: "MultiInference"}.get(maker, "Classify")
            if rng.random() < 0.2:
                method = rng.choice(list(METHODS))
            try:
                calls[method](data, timeout=20)
                found["OK"] += 1
            except grpc.RpcError as err:
                found[err.code().name] += 1
                if err.code() not in BLAMES_THE_REQUEST:
                    pytest.fail(f"{method} of {data!r}: {err.code()}: {err.details()}")
        good = predict(random.Random(0))
        good.Clear()
        good.model_spec.name = "double"
        good.inputs["x"].dtype = 1
        good.inputs["x"].tensor_shape.dim.add().size = 2
        good.inputs["x"].float_val.append(2.0)
        assert calls["Predict"](good.SerializeToString(), timeout=20)
    return found


def test_malformed_requests_are_blamed_on_the_request(server: ModelServer) -> None:
    found = fuzz(server, 400, seed=1)
    assert found["OK"] > 20
    assert found["INVALID_ARGUMENT"] > 100


@pytest.mark.slow
def test_ten_thousand_malformed_requests(server: ModelServer) -> None:
    found = fuzz(server, 10_000, seed=2)
    assert found["OK"] > 500
    assert found["INVALID_ARGUMENT"] > 2500
