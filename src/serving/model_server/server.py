"""The model server: a REST port and a gRPC port over one set of models."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlproject.errors import ServingError, closest
from serving.model_server.manager import ModelManager
from serving.model_server.ports import dialable, open_port, port_error
from serving.model_server.status import StatusError
from serving.model_server.versions import ServedModel, VersionStatus

if TYPE_CHECKING:
    import grpc
    import uvicorn

MAX_REQUEST_BYTES = 64 * 1024 * 1024
DRAIN_S = 10.0
_STARTUP_S = 30.0


class ModelServer:
    """Serves models over TensorFlow Serving's REST and gRPC APIs, from threads of this process.

        <base_path>/            one folder per model
          1/ saved_model.pb     one numeric folder per version; the newest is served, or the
          2/ saved_model.pb     version that `set_version` or `pinned_versions` names

    Args:
        models: The base path of each model, by the name it has in requests.
        host: The address to listen on. The default can be reached from this machine only.
        rest_port: The REST port; 0 chooses a free one.
        grpc_port: The gRPC port; 0 chooses a free one.
        poll_wait_s: Seconds between two looks for new versions; 0 looks at the start only.
        pinned_versions: The version to serve, by model, instead of the newest.
        keep_previous: Keep the version before the present one loaded: it takes over again at once.
        threads: How many requests each of the two APIs works on at once.
        max_request_bytes: The largest request body.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        host: str = "127.0.0.1",
        rest_port: int = 8501,
        grpc_port: int = 8500,
        poll_wait_s: float = 1.0,
        *,
        pinned_versions: Mapping[str, int] | None = None,
        keep_previous: bool = False,
        threads: int = 8,
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        self._manager = ModelManager(
            models, pinned_versions, poll_wait_s, keep_previous=keep_previous
        )
        self._host = host
        self._rest_port = rest_port
        self._grpc_port = grpc_port
        self._threads = threads
        self._max_request_bytes = max_request_bytes
        self._executor: ThreadPoolExecutor | None = None
        self._grpc_executor: ThreadPoolExecutor | None = None
        self._rest_socket: socket.socket | None = None
        self._rest: uvicorn.Server | None = None
        self._rest_thread: threading.Thread | None = None
        self._grpc: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def rest_url(self) -> str:
        """The base URL of the REST API."""
        return f"http://{dialable(self._host)}:{self._rest_port}"

    @property
    def grpc_address(self) -> str:
        """The `host:port` of the gRPC API."""
        return f"{dialable(self._host)}:{self._grpc_port}"

    def start(self) -> None:
        """Open both ports and begin to load; returns before the models are loaded.

        Raises:
            ServingError: A port is taken, or the server was started before.
        """
        if self._executor is not None:
            raise ServingError(
                "Starting the model server failed",
                received="a server that was started before",
                next_step="make a new ModelServer",
            )
        # Both ports are tried before TensorFlow is imported, which takes seconds.
        self._rest_socket = open_port(self._host, self._rest_port, "REST")
        self._rest_port = self._rest_socket.getsockname()[1]
        self._executor = ThreadPoolExecutor(self._threads, "rest-predict")
        try:
            if self._grpc_port:
                open_port(self._host, self._grpc_port, "gRPC").close()
            self._start_grpc()
            self._start_rest()
        except BaseException:
            self.stop(drain_s=0)
            raise
        self._manager.start()

    def wait_until_available(self, timeout_s: float = 60.0) -> None:
        """Wait until every model answers.

        Args:
            timeout_s: How long to wait at most.

        Raises:
            ServingError: A model has nothing to serve: its version failed to load, there is no
                version in its base path, or loading takes longer than the time given.
        """
        silent = self._manager.wait_until_available(timeout_s)
        if silent:
            raise _not_available(silent[0], timeout_s)

    def set_version(self, model: str, version: int | None) -> None:
        """Serve a chosen version of a model; returns when it answers.

        Requests under way end on the version they began on.

        Args:
            model: The model's name.
            version: The version to pin, or None to follow the newest in the base path.

        Raises:
            ServingError: There is no such model, or the version does not load. The version
                served before goes on.
        """
        served = self._served(model)
        try:
            served.set_version(version)
        except StatusError as err:
            now = served.available_version
            raise ServingError(
                f"Serving version {version} of model '{model}' failed",
                received=err.message,
                expected=f"a SavedModel that loads in {served.base_path / str(version)}",
                next_step=f"version {now} goes on answering" if now else "nothing is served yet",
            ) from err

    def status(self, model: str) -> list[VersionStatus]:
        """The status of every version of a model that was seen, newest first.

        Raises:
            ServingError: There is no such model.
        """
        return self._served(model).statuses()

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Take no more requests, let those under way end, and unload; harmless when repeated.

        Args:
            drain_s: How long requests under way may take to end.
        """
        stopped = self._grpc.stop(drain_s) if self._grpc else None
        if self._rest and self._rest_thread:
            self._rest.config.timeout_graceful_shutdown = max(int(drain_s), 1) if drain_s else 0
            self._rest.should_exit = True
            self._rest_thread.join(drain_s + 5)
        if stopped is not None:
            stopped.wait(drain_s + 5)
        for executor in (self._executor, self._grpc_executor):
            if executor:
                executor.shutdown(wait=False)
        if self._rest_socket:
            self._rest_socket.close()
        self._manager.close(drain_s)
        self._grpc = self._rest = self._rest_thread = self._rest_socket = None

    def _served(self, model: str) -> ServedModel:
        served = self._manager.models.get(model)
        if served is None:
            raise ServingError(
                "Finding a served model failed",
                received=f"'{model}'",
                expected=closest(model, self._manager.models),
            )
        return served

    def _start_grpc(self) -> None:
        import grpc

        from serving.model_server.grpc_service import add_services

        self._grpc_executor = ThreadPoolExecutor(self._threads, "grpc-predict")
        self._grpc = grpc.server(
            self._grpc_executor,
            options=[
                # Without it a second server could share the port and take half of the requests.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._max_request_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        add_services(self._grpc, self._manager, self._max_request_bytes)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            port = self._grpc.add_insecure_port(f"{host}:{self._grpc_port}")
        except RuntimeError as err:
            raise port_error(self._host, self._grpc_port, "gRPC", err) from err
        self._grpc_port = port
        self._grpc.start()

    def _start_rest(self) -> None:
        import uvicorn

        from serving.model_server.rest import build_app

        if self._executor is None or self._rest_socket is None:
            raise RuntimeError("start() opens the port first")
        config = uvicorn.Config(
            build_app(self._manager, self._executor, self._max_request_bytes),
            lifespan="off",
            access_log=False,
            log_config=None,
            ws="none",
            server_header=False,
        )
        self._rest = uvicorn.Server(config)
        self._rest_thread = threading.Thread(
            target=self._rest.run, args=([self._rest_socket],), name="rest-server", daemon=True
        )
        self._rest_thread.start()
        deadline = time.monotonic() + _STARTUP_S
        while not self._rest.started:
            if not self._rest_thread.is_alive() or time.monotonic() > deadline:
                raise ServingError(f"The REST server on {self.rest_url} did not start")
            time.sleep(0.005)


def _not_available(model: ServedModel, timeout_s: float) -> ServingError:
    failure = model.wanted_failure()
    if failure:
        return ServingError(
            f"Version {failure.version} of model '{model.name}' did not load",
            received=failure.message,
            expected="a SavedModel that loads in a TensorFlow session",
            next_step="export it again; a version whose files change is tried again",
        )
    return ServingError(
        f"Model '{model.name}' is not available after {timeout_s:g} s",
        received=", ".join(f"version {s.version}: {s.state.name}" for s in model.statuses())
        or f"no version in {model.base_path}",
        expected="a numeric folder with a SavedModel, such as 1/saved_model.pb",
        next_step=f"export a version to {model.base_path}, or wait longer",
    )
