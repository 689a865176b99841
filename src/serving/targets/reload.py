"""`HandleReloadConfigRequest`: a running server is given another configuration."""

from __future__ import annotations

from mlproject.errors import ServingError


def reload_models(grpc_address: str, models_config: str, timeout_s: float) -> None:
    """Replaces the models of a running server; returns when those that it names answer.

    Args:
        grpc_address: `host:port` of its gRPC API.
        models_config: The text of a `models.config`; it replaces the old one as a whole.
        timeout_s: Most seconds to wait, the loading of new versions included.

    Raises:
        ServingError: The server does not answer in time, or refuses the configuration: what it
            served before goes on.
    """
    import grpc
    from google.protobuf import text_format
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

    request = ReloadConfigRequest()
    text_format.Parse(models_config, request.config)
    try:
        with grpc.insecure_channel(grpc_address) as channel:
            answer = ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=timeout_s)
    except grpc.RpcError as err:
        raise _refused(grpc_address, f"{err.code().name}: {err.details()}") from err
    if answer.status.error_code:
        raise _refused(grpc_address, answer.status.error_message)


def _refused(grpc_address: str, why: str) -> ServingError:
    return ServingError(
        f"The model server at {grpc_address} did not take its new configuration",
        received=why,
        next_step="what it served before goes on; see `benison deployment logs`",
    )
