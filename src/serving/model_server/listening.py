"""How a model server listens, and what it allows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from serving.model_server.tls import TlsConfig

REST_PORT, GRPC_PORT = 8501, 8500  # TensorFlow Serving's own
MAX_REQUEST_BYTES = 256 * 1024 * 1024
DRAIN_S = 10.0
MIN_BODY_BYTES_PER_S = 16 * 1024
THREADS = 4 * (os.cpu_count() or 1)  # TensorFlow Serving's own
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class HttpLimits:
    """What a client of the REST port may take.

    Attributes:
        max_connections: Connections at once; one more takes the place of the one that has been
            idle longest.
        read_timeout_s: Seconds for the headers of a request, and for its body beside the time it
            takes at MIN_BODY_BYTES_PER_S. A client that takes nothing of its answer for as long is
            cut off.
        keep_alive_s: Seconds that a connection may rest between two requests.
    """

    max_connections: int = 1024
    read_timeout_s: float = 30.0
    keep_alive_s: float = 60.0


@dataclass(frozen=True)
class ServerOptions:
    """How a server listens.

    Attributes:
        host: The address to listen on. The default can be reached from this machine only.
        rest_port: The REST port; 0 chooses a free one, None is no REST.
        grpc_port: The gRPC port; 0 chooses a free one, None is no gRPC port.
        grpc_socket: A UNIX socket that gRPC listens on as well; "" for none.
        grpc_arguments: Channel arguments of the gRPC server, such as grpc.max_connection_age_ms.
        rest_threads: REST requests worked on at once.
        grpc_threads: gRPC requests worked on at once.
        rest_timeout_s: The longest run of a model for a REST request.
        cors: Whether pages of other origins may call the REST API.
        max_request_bytes: The largest request.
        http: The limits of REST connections.
        tls: Keys and certificates; None is plain text.
        rest_tls: Whether they are for REST too; TensorFlow Serving has them for gRPC alone.
        token: What requests must carry as bearer token; "" lets everybody in.
        metrics_path: Where the REST port answers Prometheus; "" for nowhere.
        access_log: A file for a line per request, `-` for standard error, "" for none.
        profiler: Whether clients of this machine may profile the server over gRPC; never where
            others reach it, or a token is asked for, which the profiler's clients cannot send.
    """

    host: str = "127.0.0.1"
    rest_port: int | None = REST_PORT
    grpc_port: int | None = GRPC_PORT
    grpc_socket: str = ""
    grpc_arguments: tuple[tuple[str, int | str], ...] = ()
    rest_threads: int = THREADS
    grpc_threads: int = THREADS
    rest_timeout_s: float = 30.0
    cors: bool = False
    max_request_bytes: int = MAX_REQUEST_BYTES
    http: HttpLimits = HttpLimits()
    tls: TlsConfig | None = None
    rest_tls: bool = True
    token: str = field(default="", repr=False)
    metrics_path: str = ""
    access_log: str = ""
    profiler: bool = False

    @property
    def of_rest(self) -> TlsConfig | None:
        """Keys and certificates of the REST API."""
        return self.tls if self.rest_tls else None

    @property
    def is_open_to_all(self) -> bool:
        """Whether other machines can reach the server without a token."""
        return self.host not in LOOPBACK and not self.token
