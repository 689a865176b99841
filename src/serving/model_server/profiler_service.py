"""TensorFlow's profiler over gRPC, as TensorFlow Serving has it on its own port.

TensorBoard's profile page and `tf.profiler.experimental.client.trace` ask for it: the server traces
itself for a time and writes what it saw where the request says. Imported only where it is served:
it imports TensorFlow and grpc at the top.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from tensorflow.errors import OpError
from tensorflow.python.profiler.internal import _pywrap_profiler
from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

from serving.model_server.status import Code, StatusError, invalid

logger = logging.getLogger(__name__)

PROFILER_SERVICE = "tensorflow.ProfilerService"

_LONGEST_TRACE_S = 60.0
_SUFFIX = ".xplane.pb"
# Fields of tensorflow/tsl/profiler/protobuf/profiler_service.proto and profiler_options.proto, as
# far as they are read or written here; no Python package holds the first.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ProfileOptions": {
        "host_tracer_level": (2, "uint32"),
        "device_tracer_level": (3, "uint32"),
        "python_tracer_level": (4, "uint32"),
    },
    "ProfileRequest": {
        "duration_ms": (1, "uint64"),
        "opts": (4, "ProfileOptions"),
        "repository_root": (5, "string"),
        "session_id": (6, "string"),
        "host_name": (7, "string"),
    },
    "ProfileResponse": {"empty_trace": (7, "bool")},
}
_LEVELS = tuple(_MESSAGES["ProfileOptions"])


class Profiler:
    """Traces the process, one request at a time."""

    def __init__(self) -> None:
        self._tracing = threading.Lock()

    def profile(self, data: bytes, time_left_s: float | None) -> bytes:
        """Traces for the time of a `ProfileRequest`, and writes the trace where it says.

        Args:
            data: The request.
            time_left_s: Until the client's deadline; None where it set none.

        Returns:
            A `ProfileResponse`.

        Raises:
            StatusError: INVALID_ARGUMENT when the request is none or names no file,
                ALREADY_EXISTS while another trace runs, or what TensorFlow or the disk refused.
        """
        try:
            request = _message("ProfileRequest").FromString(data)
        except DecodeError as err:
            raise invalid(f"The request is no ProfileRequest: {err}") from err
        target = _target(request)
        if not self._tracing.acquire(blocking=False):
            raise StatusError(Code.ALREADY_EXISTS, "Another trace of this server is under way")
        try:
            duration_s = min(request.duration_ms / 1000, _LONGEST_TRACE_S)
            if time_left_s is not None:
                duration_s = min(duration_s, max(time_left_s, 0.0))
            trace = _trace(request.opts, duration_s)
        finally:
            self._tracing.release()
        is_empty = not any(plane.lines for plane in XSpace.FromString(trace).planes)
        if not is_empty:
            _write(target, trace)
        return bytes(_message("ProfileResponse")(empty_trace=is_empty).SerializeToString())


def add_profiler(server: grpc.Server) -> None:
    """Adds the service to a gRPC server.

    Args:
        server: The server, not started.
    """
    profiler = Profiler()
    codes = {code.value[0]: code for code in grpc.StatusCode}

    def profile(data: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return profiler.profile(data, context.time_remaining())
        except StatusError as err:
            context.abort(codes[err.code], err.message)
            raise

    handlers = {"Profile": grpc.unary_unary_rpc_method_handler(profile)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(PROFILER_SERVICE, handlers),)
    )


def _target(request: Any) -> Path:
    """The file to write: TensorBoard looks for `ROOT/SESSION/HOST.xplane.pb`."""
    names = (request.session_id, request.host_name)
    if not request.repository_root or any(
        not name or "/" in name or name in (".", "..") for name in names
    ):
        raise invalid("A ProfileRequest needs repository_root, session_id and host_name")
    return Path(request.repository_root, request.session_id, f"{request.host_name}{_SUFFIX}")


def _trace(options: Any, duration_s: float) -> bytes:
    """A serialized `XSpace`."""
    levels = {name: getattr(options, name) for name in _LEVELS}
    session = _pywrap_profiler.ProfilerSession()
    with tempfile.TemporaryDirectory(prefix="benison-trace-") as folder:
        try:
            session.start(folder, levels)
            time.sleep(duration_s)
            session.export_to_tb()
        except OpError as err:
            raise StatusError(Code(err.error_code), str(err.message)) from err
        return b"".join(path.read_bytes() for path in Path(folder).rglob(f"*{_SUFFIX}"))


def _write(target: Path, trace: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(trace)
    except OSError as err:
        raise StatusError(Code.PERMISSION_DENIED, f"Writing the trace failed: {err}") from err
    logger.info("Wrote a trace of %d bytes to %s", len(trace), target)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"tensorflow.{name}"))


@cache
def _pool() -> Any:
    file = FileDescriptorProto(name="profiler.proto", package="tensorflow", syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number)
            field.label = FieldDescriptorProto.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".tensorflow.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool
