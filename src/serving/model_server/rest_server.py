"""The REST port: a uvicorn server in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from serving.model_server.listening import ServerOptions
from serving.model_server.ports import dialable, open_port

if TYPE_CHECKING:
    import uvicorn

_STARTUP_S = 30.0
_MARGIN_S = 5.0


class RestServer:
    """Serves an ASGI application on one port.

    Args:
        options: Where and how.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.port = options.rest_port or 0

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "https" if self._options.of_rest else "http"
        return f"{scheme}://{dialable(self._options.host)}:{self.port}"

    def reserve(self) -> None:
        """Binds the port; connections are refused until `listen`.

        Raises:
            ServingError: It cannot be had.
        """
        self._socket = open_port(self._options.host, self.port, "REST")
        self.port = self._socket.getsockname()[1]

    def listen(self, app: Any) -> None:
        """Serves the application; returns when it answers.

        Raises:
            ServingError: The server does not start.
        """
        import uvicorn

        from serving.model_server.http_protocol import HttpServer

        config = uvicorn.Config(
            app,
            loop="uvloop",
            lifespan="off",
            access_log=False,
            log_config=None,
            ws="none",
            server_header=False,
            proxy_headers=False,
        )
        server = HttpServer(config, self._options.http)
        config.load()
        if self._options.of_rest:
            config.ssl = self._options.of_rest.for_rest()
        self._server = server
        self._thread = threading.Thread(target=self._run, name="rest-server", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _STARTUP_S
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise ServingError(
                    f"The REST server on {self.url} did not start",
                    received=str(self._failure) if self._failure else None,
                ) from self._failure
            time.sleep(0.002)

    def begin_to_stop(self, drain_s: float) -> None:
        """Takes no more connections; requests under way may end within a time."""
        if self._server:
            self._server.config.timeout_graceful_shutdown = drain_s  # type: ignore[assignment]
            self._server.should_exit = True

    def wait_until_stopped(self, drain_s: float) -> None:
        """Returns when the last request has ended, or its time is over."""
        if self._thread:
            self._thread.join(drain_s + _MARGIN_S)
        if self._socket:
            self._socket.close()
        self._socket = self._server = self._thread = None

    def _run(self) -> None:
        if self._server and self._socket:
            try:
                self._server.run([self._socket])
            except (OSError, SystemExit) as err:  # seen by `listen`
                self._failure = err
