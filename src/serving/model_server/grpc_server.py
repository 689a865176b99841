"""The gRPC port, and the UNIX socket beside it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlproject.errors import ServingError
from serving.model_server.call_threads import QUICK_THREADS, CallThreads
from serving.model_server.listening import ServerOptions
from serving.model_server.ports import dialable, open_port, port_error

if TYPE_CHECKING:
    import grpc

_MARGIN_S = 5.0
_QUIET_S = 0.3
_LOOK_EVERY_S = 0.02


class GrpcServer:
    """Serves gRPC services on one port, on a UNIX socket, or on both.

    Args:
        options: Where and how.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._reserved: socket.socket | None = None
        self._server: grpc.Server | None = None
        self._executor: CallThreads | None = None
        self._stopped: threading.Event | None = None
        self.port = options.grpc_port

    @property
    def address(self) -> str:
        """`host:port`, or `unix:path` where there is no port."""
        if self.port is None:
            return f"unix:{self._options.grpc_socket}"
        return f"{dialable(self._options.host)}:{self.port}"

    def reserve(self) -> None:
        """Binds the port; connections are refused until `listen`.

        Raises:
            ServingError: It cannot be had.
        """
        if self.port is not None:
            self._reserved = open_port(self._options.host, self.port, "gRPC")
            self.port = self._reserved.getsockname()[1]

    def listen(
        self, add_services: Callable[[grpc.Server], None], *, calls_wait: bool = False
    ) -> None:
        """Serves; returns when it answers.

        Args:
            add_services: Adds the services to the server.
            calls_wait: Whether calls wait for each other, as in dynamic batching.

        Raises:
            ServingError: The port or the socket cannot be had.
        """
        import grpc

        options = self._options
        most = options.grpc_threads
        self._executor = CallThreads(most, most if calls_wait else QUICK_THREADS)
        server = grpc.server(
            self._executor,
            options=[
                # Without it a second server could share the port and take half of the requests.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", options.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                *options.grpc_arguments,
            ],
        )
        add_services(server)
        self._open(server)
        server.start()
        self._server = server

    def begin_to_stop(self, drain_s: float) -> None:
        """Takes no more calls; those under way may end within a time."""
        if self._server:
            self._stopped = self._server.stop(drain_s)

    def wait_until_stopped(self, drain_s: float) -> None:
        """Returns when the last call has ended, or its time is over."""
        if self._stopped and self._server and self._executor:
            self._wait_for_calls(self._server, self._executor, self._stopped, drain_s)
        if self._executor:
            self._executor.shutdown(wait=False)
        if self._reserved:
            self._reserved.close()
        self._reserved = self._server = self._executor = self._stopped = None

    def _wait_for_calls(
        self, server: grpc.Server, threads: CallThreads, stopped: threading.Event, drain_s: float
    ) -> None:
        """Waits for the calls that are worked on.

        gRPC also counts calls that reached it as it began to stop, which it never hands on; once
        no thread is at work they are given back, for their clients to ask elsewhere.
        """
        until = time.monotonic() + drain_s
        quiet_since = time.monotonic()
        while not stopped.wait(_LOOK_EVERY_S) and time.monotonic() < until:
            if threads.is_busy:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _QUIET_S:
                break
        server.stop(0).wait(_MARGIN_S)

    def _open(self, server: grpc.Server) -> None:
        options = self._options
        host = f"[{options.host}]" if ":" in options.host else options.host
        if self._reserved:
            self._reserved.close()
            self._reserved = None
        try:
            if self.port is not None:
                self._add(server, f"{host}:{self.port}")
        except RuntimeError as err:
            raise port_error(options.host, self.port or 0, "gRPC", err) from err
        try:
            if options.grpc_socket:
                self._add(server, f"unix:{options.grpc_socket}")
        except RuntimeError as err:
            raise ServingError(
                f"Opening the gRPC socket {options.grpc_socket} failed",
                received=str(err),
                expected="a path of at most 107 bytes in a folder that this user can write",
            ) from err

    def _add(self, server: grpc.Server, address: str) -> None:
        if self._options.tls:
            server.add_secure_port(address, self._options.tls.for_grpc())
        else:
            server.add_insecure_port(address)
