"""TensorFlow Serving's gRPC API: PredictionService and ModelService."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from serving.model_server.manager import ModelManager
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import Code, StatusError, invalid
from serving.model_server.tensor_proto import from_proto, to_proto

if TYPE_CHECKING:
    import grpc

_SIGNATURE_DEF = "signature_def"


def add_services(server: grpc.Server, manager: ModelManager, max_tensor_bytes: int) -> None:
    """Add both services to a gRPC server.

    Methods of TensorFlow Serving that are not here answer UNIMPLEMENTED.

    Args:
        server: The gRPC server, not started.
        manager: The served models.
        max_tensor_bytes: The largest tensor of a request, once unpacked.
    """
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    class Prediction(PredictionMethods, prediction_service_pb2_grpc.PredictionServiceServicer):
        """The methods of PredictionService that are implemented, on top of those that are not."""

    class Model(ModelMethods, model_service_pb2_grpc.ModelServiceServicer):
        """The methods of ModelService that are implemented, on top of those that are not."""

    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Prediction(manager, max_tensor_bytes), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Model(manager), server)


class PredictionMethods:
    """Predict and GetModelMetadata."""

    def __init__(self, manager: ModelManager, max_tensor_bytes: int) -> None:
        self._manager = manager
        self._max_tensor_bytes = max_tensor_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Run a signature of a model on the tensors of the request."""
        try:
            return self._predict(request)
        except StatusError as err:
            _abort(context, err)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answer the signatures of a model."""
        try:
            return self._metadata(request)
        except StatusError as err:
            _abort(context, err)

    def _predict(self, request: Any) -> Any:
        from tensorflow_serving.apis.predict_pb2 import PredictResponse

        name, version, label = _model_spec(request)
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._manager.acquire(name, version, label) as (served_version, model):
            signature = model.signatures.get(signature_name)
            if signature is None:
                # TensorFlow Serving's own code here; its REST API answers INVALID_ARGUMENT.
                raise StatusError(
                    Code.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.'
                )
            wanted = _output_names(list(request.output_filter), sorted(signature.outputs))
            tensors = {
                key: from_proto(key, proto, self._max_tensor_bytes)
                for key, proto in request.inputs.items()
            }
            outputs = model.predict(signature, tensors)
        response = PredictResponse()
        response.model_spec.name = name
        response.model_spec.version.value = served_version
        response.model_spec.signature_name = signature_name
        for key in wanted:
            to_proto(outputs[key], response.outputs[key])
        return response

    def _metadata(self, request: Any) -> Any:
        from tensorflow_serving.apis.get_model_metadata_pb2 import (
            GetModelMetadataResponse,
            SignatureDefMap,
        )

        name, version, label = _model_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        response, signatures = GetModelMetadataResponse(), SignatureDefMap()
        with self._manager.acquire(name, version, label) as (served_version, model):
            for key, definition in model.signature_defs.items():
                signatures.signature_def[key].CopyFrom(definition)
        response.model_spec.name = name
        response.model_spec.version.value = served_version
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response


class ModelMethods:
    """GetModelStatus."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answer the state of each version of a model."""
        from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

        response = GetModelStatusResponse()
        try:
            for status in self._manager.statuses(*_model_spec(request)):
                entry = response.model_version_status.add()
                entry.version, entry.state = status.version, status.state.value
                entry.status.error_code = status.code.value
                entry.status.error_message = status.message
        except StatusError as err:
            _abort(context, err)
        return response


def _model_spec(request: Any) -> tuple[str, int | None, str]:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label


def _output_names(asked: list[str], all_names: list[str]) -> list[str]:
    for name in asked:
        if name not in all_names:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {{{','.join(all_names)}}}."
            )
        if asked.count(name) > 1:
            raise invalid(f"duplicate output tensor alias: {name}")
    return asked or all_names


def _abort(context: grpc.ServicerContext, err: StatusError) -> NoReturn:
    import grpc

    code = next(code for code in grpc.StatusCode if code.value[0] == err.code)
    context.abort(code, err.message)
    raise RuntimeError("context.abort() returned") from err
