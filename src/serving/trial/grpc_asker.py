"""Asks a server of a trial over gRPC. Imports TensorFlow and gRPC at the top."""

from __future__ import annotations

from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.trial.values import REQUEST_TIMEOUT_S, Arrays, not_blessed

_LARGE = 1 << 28


class GrpcAsker:
    """Asks over gRPC.

    Args:
        address: The server's `host:port`.
        model: The model's name.
    """

    api = "gRPC"

    def __init__(self, address: str, model: str) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", _LARGE)]
        self._channel = grpc.insecure_channel(address, options)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model

    def ask(self, inputs: Arrays) -> dict[str, Any]:
        """The outputs for one request, by name."""
        request = PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = DEFAULT_SIGNATURE
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        try:
            response = self._service.Predict(request, timeout=REQUEST_TIMEOUT_S)
        except grpc.RpcError as err:
            code, said = err.code(), err.details() or ""
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                said = f"no answer within {REQUEST_TIMEOUT_S:g} s"
            raise not_blessed(f"gRPC status {code.name}: {said[:300]}") from err
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()
