"""The model server: a REST port and a gRPC port over one set of models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mlproject.errors import ServingError
from serving.model_config import ModelConfig, model_config
from serving.model_server.apis import ServedApis
from serving.model_server.first_loads import wait_for_first_loads
from serving.model_server.listening import (
    DRAIN_S,
    GRPC_PORT,
    MAX_REQUEST_BYTES,
    REST_PORT,
    ServerOptions,
)
from serving.model_server.manager import ModelManager
from serving.model_server.options import ManagerOptions
from serving.model_server.served_model import ServedModel
from serving.model_server.server_errors import not_available, not_moved, unknown_model
from serving.model_server.status import StatusError
from serving.model_server.telemetry import build_observer, served_versions
from serving.model_server.versions import VersionStatus


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
        self._observer = build_observer(options)
        metrics = self._observer.metrics if self._observer else None
        self._manager = ModelManager(
            configs, replace(manager_options, batch_recorder=metrics, load_recorder=metrics)
        )
        if metrics:
            metrics.versions = lambda: served_versions(self._manager)
        self._apis = ServedApis(options, self._manager, self._observer)
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
        return self._apis.rest_url

    @property
    def grpc_address(self) -> str:
        """The `host:port` of the gRPC API; "" where there is none."""
        return self._apis.grpc_address

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
            self._apis.reserve()
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
            self._apis.listen()
        except BaseException:
            self.stop(drain_s=0)
            raise

    def watch_config(self, path: Path, every_s: float) -> None:
        """Serve what a `ModelServerConfig` file says, from its next change on."""
        self._manager.watch_config(path, every_s)

    def wait_until_loaded(self, is_stopping: Callable[[], bool]) -> None:
        """Wait until every model answers, or has shown that it cannot for now.

        A model cannot when its version did not load, or there is nothing in its base path.

        Args:
            is_stopping: Ends the wait when it says so.
        """
        wait_for_first_loads(self._manager, self._load_began, is_stopping)

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
            raise not_available(silent[0], timeout_s)

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
            raise not_moved(served, version, err.message) from err

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
        self._apis.stop(until)
        self._manager.close(max(until - time.monotonic(), 0.0))
        if self._observer and self._observer.access_log:
            self._observer.access_log.close()

    def _served(self, model: str) -> ServedModel:
        served = self._manager.models.get(model)
        if served is None:
            raise unknown_model(model, self._manager.models)
        return served
