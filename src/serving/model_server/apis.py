"""The two APIs of a server, REST and gRPC, over one set of models."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from serving.model_server.grpc_server import GrpcServer
from serving.model_server.listening import LOOPBACK, ServerOptions
from serving.model_server.rest_server import RestServer

if TYPE_CHECKING:
    import grpc

    from serving.model_server.grpc_health import HealthService
    from serving.model_server.manager import ModelManager
    from serving.model_server.observer import Observer


class ServedApis:
    """The ports of one server.

    Args:
        options: Where and how to listen.
        manager: The models.
        observer: Is told of each request.
    """

    def __init__(
        self, options: ServerOptions, manager: ModelManager, observer: Observer | None
    ) -> None:
        self._options = options
        self._manager = manager
        self._observer = observer
        self._rest = RestServer(options) if options.rest_port is not None else None
        has_grpc = options.grpc_port is not None or options.grpc_socket
        self._grpc = GrpcServer(options) if has_grpc else None
        self._executor: ThreadPoolExecutor | None = None
        self._health: HealthService | None = None

    @property
    def rest_url(self) -> str:
        """The base URL of the REST API; "" where there is none."""
        return self._rest.url if self._rest else ""

    @property
    def grpc_address(self) -> str:
        """The `host:port` of the gRPC API; "" where there is none."""
        return self._grpc.address if self._grpc else ""

    def reserve(self) -> None:
        """Bind the ports; connections are refused until `listen`.

        Raises:
            ServingError: One cannot be had.
        """
        for api in (self._rest, self._grpc):
            if api:
                api.reserve()

    def listen(self) -> None:
        """Begin to answer.

        Raises:
            ServingError: A port or the socket cannot be had.
        """
        if self._grpc:
            self._listen_to_grpc(self._grpc)
        if self._rest:
            self._listen_to_rest(self._rest)

    def stop(self, until: float) -> None:
        """Take no more requests, and let those under way end; harmless when repeated.

        Args:
            until: When they must have ended, in seconds of the monotonic clock.
        """
        if self._health:
            self._health.drain()
        apis = [api for api in (self._grpc, self._rest) if api]
        for api in apis:
            api.begin_to_stop(max(until - time.monotonic(), 0.0))
        for api in apis:
            api.wait_until_stopped(max(until - time.monotonic(), 0.0))
        if self._executor:
            self._executor.shutdown(wait=False)

    def _listen_to_grpc(self, api: GrpcServer) -> None:
        from serving.model_server.grpc_service import GrpcOptions, add_services

        given = self._options
        options = GrpcOptions(
            max_tensor_bytes=given.max_request_bytes,
            observer=self._observer,
            token=given.token or None,
            profiler=given.profiler and given.host in LOOPBACK and not given.token,
        )

        def add(server: grpc.Server) -> None:
            self._health = add_services(server, self._manager, options)

        api.listen(add, calls_wait=self._manager.is_batching)

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
