"""The gRPC API with TensorFlow Serving's own stubs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from serving.model_server import ModelServer

BATCH = {
    "x": np.array([1.5, 0.1], np.float32),
    "n": np.array([2, 0], np.int64),
    "s": np.array([b"a", b""], object),
}


@pytest.fixture(scope="module")
def stubs(server: ModelServer) -> Iterator[SimpleNamespace]:
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    with grpc.insecure_channel(server.grpc_address) as channel:
        yield SimpleNamespace(
            prediction=PredictionServiceStub(channel), model=ModelServiceStub(channel)
        )


def request(inputs: dict[str, Any] = BATCH, **spec: Any) -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    message = PredictRequest()
    message.model_spec.name = spec.get("name", "fare")
    message.model_spec.signature_name = spec.get("signature_name", "")
    if "version" in spec:
        message.model_spec.version.value = spec["version"]
    for name, array in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return message


def test_predict_answers_in_typed_fields_and_echoes_the_model_spec(stubs: Any) -> None:
    response = stubs.prediction.Predict(request())
    assert response.model_spec.name == "fare"
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "serving_default"
    np.testing.assert_allclose(response.outputs["score"].float_val, [3.5, 0.1])
    assert list(response.outputs["greeting"].string_val) == [b"a!", b"!"]
    assert not response.outputs["score"].tensor_content
    assert [dim.size for dim in response.outputs["score"].tensor_shape.dim] == [2]


def test_tensors_in_typed_fields_are_read_too(stubs: Any) -> None:
    message = request()
    del message.inputs["x"]
    x = message.inputs["x"]
    x.dtype = 1
    x.tensor_shape.dim.add().size = 2
    x.float_val.extend([1.0, 2.0])
    assert list(stubs.prediction.Predict(message).outputs["score"].float_val) == [3.0, 2.0]


def test_an_output_filter_chooses_the_outputs(stubs: Any) -> None:
    message = request()
    message.output_filter.append("greeting")
    assert list(stubs.prediction.Predict(message).outputs) == ["greeting"]


def test_a_scalar_output_has_no_dimension(stubs: Any) -> None:
    response = stubs.prediction.Predict(request({"x": BATCH["x"]}, signature_name="total"))
    assert len(response.outputs["total"].tensor_shape.dim) == 0
    np.testing.assert_allclose(response.outputs["total"].float_val, [1.6])


def change(**inputs: Any) -> Callable[[], Any]:
    return lambda: request({**BATCH, **inputs})


def with_shape(*sizes: int) -> Any:
    message = request()
    shape = message.inputs["x"].tensor_shape
    shape.ClearField("dim")
    for size in sizes:
        shape.dim.add().size = size
    return message


def with_output(*names: str) -> Any:
    message = request()
    message.output_filter.extend(names)
    return message


def with_dtype(number: int) -> Any:
    message = request()
    message.inputs["x"].dtype = number
    return message


def with_label() -> Any:
    message = request()
    message.model_spec.version_label = "stable"
    return message


def without_spec() -> Any:
    message = request()
    message.ClearField("model_spec")
    return message


INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("make", "code", "details"),
    [
        (lambda: request(name="other"), NOT_FOUND, "not found for request: Latest(other)"),
        (lambda: request(name="../fare"), NOT_FOUND, "Latest(../fare)"),
        (lambda: request(name=""), INVALID, "no name specified"),
        (lambda: request(version=9), NOT_FOUND, "Specific(fare, 9)"),
        (
            lambda: request(signature_name="nope"),
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "nope" not found.',
        ),
        (with_label, INVALID, "Unrecognized servable version label: stable"),
        (without_spec, INVALID, "Missing ModelSpec"),
        (change(x=np.array([1, 2], np.int64)), INVALID, "x to be float but int64 is provided"),
        (change(s=np.array([1.0, 2.0])), INVALID, "s to be string but double is provided"),
        (change(x=np.zeros(3, np.float32)), INVALID, "Incompatible shapes"),
        (change(extra=np.zeros(2)), INVALID, "Sent extra: {extra}"),
        (
            lambda: request({**{k: BATCH[k] for k in "xn"}, "t": BATCH["s"]}),
            INVALID,
            "input tensor alias not found in signature: t. Inputs expected to be in the set "
            "{n,s,x}.",
        ),
        (lambda: request({"x": BATCH["x"]}), INVALID, "Missing but required: {n,s}"),
        (lambda: with_shape(-1), INVALID, "tensor parsing error: x"),
        (lambda: with_shape(3), INVALID, "tensor parsing error: x"),
        (lambda: with_shape(2**40, 2**40), INVALID, "is over 100000 bytes"),
        (lambda: with_shape(0, 2**62), INVALID, "parsing error: x"),
        (lambda: with_shape(*[1] * 300), INVALID, "is not that of a tensor"),
        (lambda: with_dtype(0), INVALID, "tensor parsing error: x"),
        (lambda: with_dtype(20), INVALID, "parsing error: x"),  # a resource
        (lambda: with_dtype(21), INVALID, "parsing error: x"),  # a variant
        (lambda: with_dtype(11), INVALID, "x"),  # a quantised type
        (lambda: with_dtype(999), INVALID, "tensor parsing error: x"),
        (lambda: with_output("nope"), INVALID, "not found in signature: nope"),
        (lambda: with_output("score", "score"), INVALID, "duplicate output tensor alias: score"),
    ],
)
def test_a_wrong_request_gets_its_code(stubs: Any, make: Any, code: Any, details: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.Predict(make())
    assert caught.value.code() is code
    assert details in caught.value.details()


def test_a_message_over_the_limit_is_refused(stubs: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.Predict(change(x=np.zeros(50_000, np.float32))())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_holds_the_signatures(stubs: Any) -> None:
    from tensorflow_serving.apis.get_model_metadata_pb2 import (
        GetModelMetadataRequest,
        SignatureDefMap,
    )

    message = GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "fare"
    response = stubs.prediction.GetModelMetadata(message)
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert response.model_spec.version.value == 3
    assert set(signatures.signature_def["serving_default"].inputs) == {"x", "n", "s"}


@pytest.mark.parametrize("fields", [[], ["other"]])
def test_metadata_of_other_fields_is_refused(stubs: Any, fields: list[str]) -> None:
    from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest

    message = GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = "fare"
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.GetModelMetadata(message)
    assert caught.value.code() is INVALID


def test_status_over_grpc(stubs: Any) -> None:
    from tensorflow_serving.apis.get_model_status_pb2 import (
        GetModelStatusRequest,
        ModelVersionStatus,
    )

    message = GetModelStatusRequest()
    message.model_spec.name = "fare"
    [status] = stubs.model.GetModelStatus(message).model_version_status
    assert (status.version, status.state) == (3, ModelVersionStatus.AVAILABLE)
    message.model_spec.name = "other"
    with pytest.raises(grpc.RpcError) as caught:
        stubs.model.GetModelStatus(message)
    assert caught.value.code() is NOT_FOUND


def test_a_method_that_is_not_there_is_unimplemented(server: ModelServer) -> None:
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_long_error_is_cut_as_tensorflow_serving_cuts_it(stubs: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.prediction.Predict(request(signature_name="ä" * 2000))
    details = caught.value.details()
    assert details.endswith("...TRUNCATED")
    assert len(details.removesuffix("...TRUNCATED").encode()) in (1023, 1024)


def test_a_compressed_request_is_read(stubs: Any) -> None:
    response = stubs.prediction.Predict(request(), compression=grpc.Compression.Gzip)
    np.testing.assert_allclose(response.outputs["score"].float_val, [3.5, 0.1])


def test_the_output_filter_is_checked_before_the_model_runs(stubs: Any) -> None:
    message = change(x=np.zeros(3, np.float32))()  # would fail in the model
    message.output_filter.append("nope")
    with pytest.raises(grpc.RpcError, match="output tensor alias not found"):
        stubs.prediction.Predict(message)
