"""The methods of PredictionService and ModelService: from a request's bytes to the answer's.

They take and give bytes, so that an answer is written once, as it goes over the wire. The status
codes, their texts and their order are TensorFlow Serving's. Imported only where requests are
served: it imports the API's protos at the top.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from mlproject.errors import ConfigError
from serving.model_config import from_proto as configs_from_proto
from serving.model_server.inference import classify, multi_inference, regress
from serving.model_server.manager import ModelManager
from serving.model_server.signature import DEFAULT_SIGNATURE, Signature, Tensors
from serving.model_server.status import Code, StatusError, invalid
from serving.model_server.tensor_proto import from_proto, to_wire
from serving.model_server.wire_views import delimited

_SIGNATURE_DEF = "signature_def"
_NOTHING = np.empty(0)


@dataclass(slots=True)
class Call:
    """One call: how long it may take, and what it turned out to be about.

    Attributes:
        time_left_s: Until the client's deadline; None where it set none.
        model: The model's name as the request has it.
        version: The version that answers, once it is known.
        run_s: How long the model ran, once it has answered.
        examples: How many `tf.Example`s it was given.
    """

    time_left_s: float | None = None
    model: str = ""
    version: int | None = None
    run_s: float | None = None
    examples: int = 0


class PredictionMethods:
    """Predict, Classify, Regress, MultiInference and GetModelMetadata.

    Args:
        manager: The served models.
        max_tensor_bytes: The largest tensor of a request, once unpacked.
    """

    def __init__(self, manager: ModelManager, max_tensor_bytes: int) -> None:
        self._manager = manager
        self._max_tensor_bytes = max_tensor_bytes

    def predict(self, data: bytes, call: Call) -> bytes:
        """Run a signature on the tensors of the request."""
        request = _parse(PredictRequest, data)
        spec = _model_spec(request, call)
        name = spec.signature_name or DEFAULT_SIGNATURE
        with self._acquire(spec, call) as (version, model):
            call.version = version
            signature = model.signatures.get(name)
            if signature is None:
                # TensorFlow Serving's own code here; its REST API answers INVALID_ARGUMENT.
                raise StatusError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
                )
            tensors = self._tensors(signature, request)
            wanted = _outputs(signature, request.output_filter)
            began = time.perf_counter()
            outputs = model.predict(signature, tensors, wanted)
            call.run_s = time.perf_counter() - began
        answer = [
            delimited(1, delimited(1, key.encode()) + delimited(2, to_wire(array)))
            for key, array in outputs.items()
        ]
        return b"".join((*answer, _spec_field(2, spec.name, version, name)))

    def classify(self, data: bytes, call: Call) -> bytes:
        """Classify the examples of the request."""
        request = _parse(ClassificationRequest, data)
        spec = _model_spec(request, call)
        with self._acquire(spec, call) as (version, model):
            call.version = version
            began = time.perf_counter()
            result = classify(model, spec.signature_name, request.input)
            call.run_s = time.perf_counter() - began
        call.examples = len(result.classifications)
        return _head(spec, version) + ClassificationResponse(result=result).SerializeToString()

    def regress(self, data: bytes, call: Call) -> bytes:
        """Compute a value for each example of the request."""
        request = _parse(RegressionRequest, data)
        spec = _model_spec(request, call)
        with self._acquire(spec, call) as (version, model):
            call.version = version
            began = time.perf_counter()
            result = regress(model, spec.signature_name, request.input)
            call.run_s = time.perf_counter() - began
        call.examples = len(result.regressions)
        return _head(spec, version) + RegressionResponse(result=result).SerializeToString()

    def multi_inference(self, data: bytes, call: Call) -> bytes:
        """Run several heads on the examples of the request."""
        request = _parse(MultiInferenceRequest, data)
        # The first task's version answers all of them, as in TensorFlow Serving.
        spec = request.tasks[0].model_spec if request.tasks else ModelSpec()
        call.model = spec.name
        with self._acquire(spec, call) as (version, model):
            call.version = version
            began = time.perf_counter()
            response = multi_inference(model, version, request)
            call.run_s = time.perf_counter() - began
        call.examples = _number_of_examples(response.results[0])
        return bytes(response.SerializeToString())

    def get_model_metadata(self, data: bytes, call: Call) -> bytes:
        """Answer the signatures of a model."""
        request = _parse(GetModelMetadataRequest, data)
        spec = _model_spec(request, call)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        response, signatures = GetModelMetadataResponse(), SignatureDefMap()
        with self._acquire(spec, call) as (version, model):
            call.version = version
            for key, definition in model.signature_defs.items():
                signatures.signature_def[key].CopyFrom(definition)
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return bytes(response.SerializeToString())

    def _acquire(self, spec: Any, call: Call) -> Any:
        return self._manager.acquire(spec.name, _version(spec), spec.version_label)

    def _tensors(self, signature: Signature, request: Any) -> Tensors:
        inputs = request.inputs
        if len(inputs) != len(signature.inputs):
            # Nothing is unpacked of a request that is refused for its names.
            signature.check_inputs(dict.fromkeys(inputs, _NOTHING))
        for key in inputs:
            if key not in signature.inputs:
                raise invalid(
                    f"input tensor alias not found in signature: {key}. Inputs expected to be "
                    f"in the set {{{','.join(sorted(signature.inputs))}}}."
                )
        limit = self._max_tensor_bytes
        return {key: from_proto(key, proto, limit) for key, proto in inputs.items()}


class ModelMethods:
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
        manager: The served models.
    """

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def get_model_status(self, data: bytes, call: Call) -> bytes:
        """Answer the state of each version of a model."""
        request = _parse(GetModelStatusRequest, data)
        spec = _model_spec(request, call)
        response = GetModelStatusResponse()
        for status in self._manager.statuses(spec.name, _version(spec), spec.version_label):
            entry = response.model_version_status.add()
            entry.version, entry.state = status.version, status.state.value
            entry.status.error_code = status.code.value
            entry.status.error_message = status.message
        return bytes(response.SerializeToString())

    def handle_reload_config_request(self, data: bytes, call: Call) -> bytes:
        """Replace the served models by those of the request."""
        request = _parse(ReloadConfigRequest, data)
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        try:
            configs = configs_from_proto(request.config)
        except ConfigError as err:
            raise invalid(err.failed) from err
        self._manager.reload(configs, call.time_left_s)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        return bytes(response.SerializeToString())


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as err:
        raise invalid(f"The request is no {kind.DESCRIPTOR.name}: {err}") from err


def _model_spec(request: Any, call: Call) -> Any:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    call.model = spec.name
    return spec


def _version(spec: Any) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _outputs(signature: Signature, asked: Any) -> tuple[str, ...]:
    seen: set[str] = set()
    for name in asked:
        if name in seen and name in signature.outputs:
            raise invalid(f"duplicate output tensor alias: {name}")
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {{{','.join(sorted(signature.outputs))}}}."
            )
        seen.add(name)
    return tuple(asked)


def _number_of_examples(result: Any) -> int:
    if result.HasField("classification_result"):
        return len(result.classification_result.classifications)
    return len(result.regression_result.regressions)


def _head(spec: Any, version: int) -> bytes:
    return _spec_field(2, spec.name, version, spec.signature_name or DEFAULT_SIGNATURE)


@lru_cache(maxsize=1024)
def _spec_field(number: int, model: str, version: int, signature: str) -> bytes:
    """The `model_spec` of an answer, as it stands on the wire."""
    spec = ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    return delimited(number, spec.SerializeToString())
