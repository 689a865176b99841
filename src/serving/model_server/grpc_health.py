"""The standard gRPC health service, `grpc.health.v1`, over the state of the models.

Imported only where gRPC is served: it imports grpc at the top.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
from grpc_health.v1 import (  # type: ignore[import-untyped]
    health,
    health_pb2,
    health_pb2_grpc,
)

from serving.model_server.manager import ModelManager

_LOOK_EVERY_S = 0.25
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def add_health(
    server: grpc.Server, manager: ModelManager, services: tuple[str, ...]
) -> HealthService:
    """Add the health service to a gRPC server.

    Args:
        server: The gRPC server, not started.
        manager: The served models.
        services: The services it knows, besides "" for the whole server.
    """
    service = HealthService(manager, services)
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    return service


class HealthService(health.HealthServicer):
    """SERVING when every model has a version that answers, NOT_SERVING before and in a drain.

    Args:
        manager: The served models.
        services: The services it knows, besides "" for the whole server.
    """

    def __init__(self, manager: ModelManager, services: tuple[str, ...]) -> None:
        super().__init__(experimental_non_blocking=True)
        self._manager = manager
        self._names = ("", *services)
        self._refreshing = threading.Lock()
        self._shown: int | None = None
        self._watchers = 0
        self._is_looking = False
        self._refresh()

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The status of a service now; NOT_FOUND for one that is not known."""
        self._refresh()
        return super().Check(request, context)

    def Watch(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext, send_response_callback: Any = None
    ) -> Any:
        """The status of a service now, and each time it changes."""
        self._refresh()
        with self._refreshing:
            self._watchers += 1
            if not self._is_looking:
                self._is_looking = True
                threading.Thread(target=self._look, name="grpc-health", daemon=True).start()
        if not context.add_callback(self._leave):  # it has gone already
            self._leave()
        return super().Watch(request, context, send_response_callback)

    # The server takes it from the method: a watcher must not hold one of its threads.
    Watch.experimental_non_blocking = True  # type: ignore[attr-defined]
    Watch.experimental_thread_pool = None  # type: ignore[attr-defined]

    def drain(self) -> None:
        """Say NOT_SERVING from now on: the server is about to stop."""
        self.enter_graceful_shutdown()

    def _leave(self) -> None:
        with self._refreshing:
            self._watchers -= 1

    def _refresh(self) -> None:
        models = list(self._manager.models.values())
        status = _SERVING if all(m.available_version for m in models) else _NOT_SERVING
        with self._refreshing:
            if status == self._shown:
                return
            self._shown = status
            for name in self._names:
                self.set(name, status)

    def _look(self) -> None:
        while True:
            self._refresh()
            time.sleep(_LOOK_EVERY_S)
            with self._refreshing:
                if not self._watchers:
                    self._is_looking = False
                    return
