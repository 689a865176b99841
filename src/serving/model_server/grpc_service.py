"""TensorFlow Serving's gRPC API on a gRPC server: PredictionService, ModelService and health."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from serving.model_server.status import Code, StatusError

if TYPE_CHECKING:
    import grpc

    from serving.model_server.grpc_health import HealthService
    from serving.model_server.grpc_methods import Call
    from serving.model_server.manager import ModelManager
    from serving.model_server.observer import Observer

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
# What TensorFlow Serving sends of an error's text (its grpc_status_util.cc).
MAX_ERROR_BYTES = 1024
_TRUNCATED = "...TRUNCATED"

MethodBody = Callable[[bytes, "Call"], bytes]


@dataclass(frozen=True)
class GrpcOptions:
    """How requests are taken.

    Attributes:
        max_tensor_bytes: The largest tensor of a request, once unpacked.
        observer: Is told of each request.
        token: Requests must carry it as `authorization: Bearer <token>`; None asks for none. The
            health service never does: a probe has no token.
        profiler: Whether TensorFlow's profiler can be asked for; it writes files where the request
            says, and asks for no token.
    """

    max_tensor_bytes: int
    observer: Observer | None = None
    token: str | None = field(default=None, repr=False)
    profiler: bool = False


def add_services(server: grpc.Server, manager: ModelManager, options: GrpcOptions) -> HealthService:
    """Add the services to a gRPC server.

    Methods of TensorFlow Serving that are not here answer UNIMPLEMENTED.

    Args:
        server: The gRPC server, not started.
        manager: The served models.
        options: How requests are taken.

    Returns:
        The health service, whose `drain` tells its clients that the server is about to stop.
    """
    from serving.model_server.grpc_health import add_health
    from serving.model_server.grpc_methods import ModelMethods, PredictionMethods

    prediction = PredictionMethods(manager, options.max_tensor_bytes)
    models = ModelMethods(manager)
    methods: dict[str, dict[str, MethodBody]] = {
        PREDICTION_SERVICE: {
            "Predict": prediction.predict,
            "Classify": prediction.classify,
            "Regress": prediction.regress,
            "MultiInference": prediction.multi_inference,
            "GetModelMetadata": prediction.get_model_metadata,
        },
        MODEL_SERVICE: {
            "GetModelStatus": models.get_model_status,
            "HandleReloadConfigRequest": models.handle_reload_config_request,
        },
    }
    for service, bodies in methods.items():
        _add(server, service, {name: Method(name, body, options) for name, body in bodies.items()})
    if options.profiler:
        from serving.model_server.profiler_service import add_profiler

        add_profiler(server)
    return add_health(server, manager, tuple(methods))


def _add(server: grpc.Server, service: str, methods: dict[str, Method]) -> None:
    import grpc

    # Without a deserializer and a serializer the handlers take and give bytes.
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


class Method:
    """One method: who may call it, what it answers, how it fails, and who is told.

    Args:
        name: Its name in TensorFlow Serving's metrics: `Predict`.
        body: From the request's bytes to the answer's; raises `StatusError`.
        options: How requests are taken.
    """

    def __init__(self, name: str, body: MethodBody, options: GrpcOptions) -> None:
        import grpc

        from serving.model_server.grpc_methods import Call

        self._name = name
        self._body = body
        self._observer = options.observer
        self._token = None if options.token is None else f"Bearer {options.token}".encode()
        self._codes = {code.value[0]: code for code in grpc.StatusCode}
        self._call = Call

    def __call__(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer a request, or abort its call with the status of the error."""
        start = time.perf_counter()
        call = self._call()
        answer, code, text = b"", Code.OK, ""
        try:
            self._admit(call, context)
            answer = self._body(data, call)
        except StatusError as err:
            code, text = err.code, shortened(err.message)
        except BaseException:
            code, text = Code.UNKNOWN, "The server has a fault"
            raise
        finally:
            if self._observer is not None:
                self._observer.request(
                    "GRPC",
                    self._name,
                    call.model,
                    call.version,
                    code,
                    time.perf_counter() - start,
                    bytes_in=len(data),
                    bytes_out=len(answer),
                    detail=text,
                    run_s=call.run_s,
                    examples=call.examples,
                )
        if code is not Code.OK:
            self._abort(context, code, text)
        return answer

    def _admit(self, call: Call, context: grpc.ServicerContext) -> None:
        if self._token is not None and not _has_token(context, self._token):
            raise StatusError(
                Code.UNAUTHENTICATED, "Send the server's token as authorization: Bearer <token>"
            )
        # It waited for a thread: nobody may be there any more to take the answer.
        call.time_left_s = context.time_remaining()
        if call.time_left_s is not None and call.time_left_s <= 0:
            raise StatusError(Code.DEADLINE_EXCEEDED, "The deadline passed before the request ran")
        if not context.is_active():
            raise StatusError(Code.CANCELLED, "The request was cancelled before it ran")

    def _abort(self, context: grpc.ServicerContext, code: Code, text: str) -> NoReturn:
        context.abort(self._codes[code], text)
        raise RuntimeError("context.abort() returned")


def shortened(text: str) -> str:
    """An error's text, cut where TensorFlow Serving cuts it."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_ERROR_BYTES:
        return text
    return data[:MAX_ERROR_BYTES].decode("utf-8", "ignore") + _TRUNCATED


def _has_token(context: grpc.ServicerContext, expected: bytes) -> bool:
    for key, value in context.invocation_metadata():
        if key == "authorization":
            given = value if isinstance(value, bytes) else value.encode()
            return hmac.compare_digest(given, expected)
    return False
