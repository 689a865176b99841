"""The model server: a REST port and a gRPC port over one set of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlproject.errors import ServingError, closest
from serving.model_config import ModelConfig, model_config
from serving.model_server.grpc_server import GrpcServer
from serving.model_server.listening import (
    DRAIN_S,
    GRPC_PORT,
    MAX_REQUEST_BYTES,
    REST_PORT,
    ServerOptions,
)
from serving.model_server.manager import ManagerOptions, ModelManager
from serving.model_server.rest_server import RestServer
from serving.model_server.served_model import ServedModel
from serving.model_server.status import StatusError
from serving.model_server.telemetry import build_observer, served_versions
from serving.model_server.versions import VersionStatus

if TYPE_CHECKING:
    import grpc

    from serving.model_server.grpc_health import HealthService

_LOOK_EVERY_S = 0.01
_FIRST_LOOK_S, _FIRST_REMOTE_LOOK_S = 0.5, 30.0


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
        options: The rest of how to listen; the arguments before it go first.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        host: str = "127.0.0.1",
        rest_port: int = REST_PORT,
        grpc_port: int = GRPC_PORT,
        poll_wait_s: float = 1.0,
        *,
        pinned_versions: Mapping[str, int] | None = None,
        keep_previous: bool = False,
        threads: int = 8,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        options: ServerOptions | None = None,
    ) -> None:
        pins = pinned_versions or {}
        self._set_up(
            [model_config(name, path, pins.get(name)) for name, path in models.items()],
            replace(
                options or ServerOptions(),
                host=host,
                rest_port=rest_port,
                grpc_port=grpc_port,
                rest_threads=threads,
                grpc_threads=threads,
                max_request_bytes=max_request_bytes,
            ),
            ManagerOptions(
                poll_wait_s=poll_wait_s,
                max_load_retries=0,  # it is tried again when its files change
                versions_always_present=True,
                keep_previous=keep_previous,
            ),
        )

    @classmethod
    def of(
        cls,
        configs: Iterable[ModelConfig],
        options: ServerOptions,
        manager_options: ManagerOptions,
    ) -> Self:
        """A server of models with policies and labels, as TensorFlow Serving has them.

        Args:
            configs: The models.
            options: How to listen.
            manager_options: How models are found, loaded and kept.

        Raises:
            ConfigError: The models cannot be served together, or the access log not be opened.
        """
        server = cls.__new__(cls)
        server._set_up(configs, options, manager_options)
        return server

    def _set_up(
        self,
        configs: Iterable[ModelConfig],
        options: ServerOptions,
        manager_options: ManagerOptions,
    ) -> None:
        self._options = options
        self._observer = build_observer(options)
        metrics = self._observer.metrics if self._observer else None
        self._manager = ModelManager(
            configs, replace(manager_options, batch_recorder=metrics, load_recorder=metrics)
        )
        if metrics:
            metrics.versions = lambda: served_versions(self._manager)
        self._rest = RestServer(options) if options.rest_port is not None else None
        has_grpc = options.grpc_port is not None or options.grpc_socket
        self._grpc = GrpcServer(options) if has_grpc else None
        self._executor: ThreadPoolExecutor | None = None
        self._health: HealthService | None = None
        self._load_began = 0.0

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
        """The base URL of the REST API; "" where there is none."""
        return self._rest.url if self._rest else ""

    @property
    def grpc_address(self) -> str:
        """The `host:port` of the gRPC API; "" where there is none."""
        return self._grpc.address if self._grpc else ""

    def start(self) -> None:
        """Open both ports and begin to load; returns before the models are loaded.

        Raises:
            ServingError: A port is taken, or the server was started before.
        """
        self.load()
        self.listen()

    def load(self) -> None:
        """Reserve both ports and begin to load; connections are refused until `listen`.

        Raises:
            ServingError: A port is taken, or the server was started before.
        """
        if self._load_began:
            raise ServingError(
                "Starting the model server failed",
                received="a server that was started before",
                next_step="make a new ModelServer",
            )
        self._load_began = time.monotonic()
        try:
            # Both ports are tried before TensorFlow is imported, which takes seconds.
            for api in (self._rest, self._grpc):
                if api:
                    api.reserve()
            # Whole, and before the threads that need it: two threads that begin to import it at
            # different modules wait for each other without end.
            import tensorflow  # noqa: F401
        except BaseException:
            self.stop(drain_s=0)
            raise
        self._load_began = time.monotonic()
        self._manager.start()

    def listen(self) -> None:
        """Begin to answer.

        Raises:
            ServingError: A port or the socket cannot be had.
        """
        try:
            if self._grpc:
                self._listen_to_grpc(self._grpc)
            if self._rest:
                self._listen_to_rest(self._rest)
        except BaseException:
            self.stop(drain_s=0)
            raise

    def _listen_to_grpc(self, api: GrpcServer) -> None:
        from serving.model_server.grpc_service import GrpcOptions, add_services

        options = GrpcOptions(
            max_tensor_bytes=self._options.max_request_bytes,
            observer=self._observer,
            token=self._options.token or None,
        )

        def add(server: grpc.Server) -> None:
            self._health = add_services(server, self._manager, options)

        api.listen(add)

    def _listen_to_rest(self, api: RestServer) -> None:
        from serving.model_server.rest import RestOptions, build_app

        options = self._options
        self._executor = ThreadPoolExecutor(options.rest_threads, "rest-predict")
        rest_options = RestOptions(
            max_request_bytes=options.max_request_bytes,
            metrics_path=options.metrics_path or None,
            metrics=self._observer.metrics if self._observer else None,
            observer=self._observer,
            token=options.token or None,
            cors=options.cors,
            timeout_s=options.rest_timeout_s,
        )
        api.listen(build_app(self._manager, self._executor, rest_options))

    def watch_config(self, path: Path, every_s: float) -> None:
        """Serve what a `ModelServerConfig` file says, from its next change on."""
        self._manager.watch_config(path, every_s)

    def wait_until_loaded(self, is_stopping: Callable[[], bool]) -> None:
        """Wait until every model answers, or has shown that it cannot for now.

        A model cannot when its version did not load, or there is nothing in its base path.

        Args:
            is_stopping: Ends the wait when it says so.
        """
        while not is_stopping():
            if not any(self._is_loading(model) for model in self._manager.models.values()):
                return
            time.sleep(_LOOK_EVERY_S)

    def _is_loading(self, model: ServedModel) -> bool:
        if model.available_version is not None or model.wanted_failure():
            return False
        now = time.monotonic()
        if model.statuses():
            retry_at = model.next_due()
            return retry_at is None or retry_at <= now
        first_look_s = _FIRST_REMOTE_LOOK_S if model.source.is_remote else _FIRST_LOOK_S
        return now - self._load_began < first_look_s

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
        until = time.monotonic() + drain_s
        if self._health:
            self._health.drain()
        apis = [api for api in (self._grpc, self._rest) if api]
        for api in apis:
            api.begin_to_stop(drain_s)
        for api in apis:
            api.wait_until_stopped(max(until - time.monotonic(), 0.0))
        if self._executor:
            self._executor.shutdown(wait=False)
        self._manager.close(max(until - time.monotonic(), 0.0))
        if self._observer and self._observer.access_log:
            self._observer.access_log.close()

    def _served(self, model: str) -> ServedModel:
        served = self._manager.models.get(model)
        if served is None:
            raise ServingError(
                "Finding a served model failed",
                received=f"'{model}'",
                expected=closest(model, self._manager.models),
            )
        return served


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
