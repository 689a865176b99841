"""HTTP/1.1 connections that a slow, silent or greedy client cannot hold on to.

uvicorn parses with httptools; this adds the limits of a server that faces strangers: on the time
to send a request in, on the time to take its answer, on the size of its headers, and on the number
of connections. It imports uvicorn and is imported when a server starts.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.model_server.listening import MIN_BODY_BYTES_PER_S, HttpLimits

MAX_HEADER_BYTES = 64 * 1024
_TICKS_OF_A_SWEEP = 5  # of uvicorn's 0.1 s
_LINGER_S = 1.0
_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class HttpServer(uvicorn.Server):
    """A uvicorn server whose connections keep to limits.

    Args:
        config: uvicorn's configuration; its protocol class is set here.
        limits: The limits.
    """

    def __init__(self, config: uvicorn.Config, limits: HttpLimits) -> None:
        bound = type("BoundHttpProtocol", (LimitedHttpProtocol,), {"limits": limits})
        config.http = cast(Any, bound)
        config.timeout_keep_alive = cast(Any, limits.keep_alive_s)
        super().__init__(config)

    async def on_tick(self, counter: int) -> bool:
        """Looks for connections that are too slow, between uvicorn's own duties."""
        if counter % _TICKS_OF_A_SWEEP == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast(LimitedHttpProtocol, connection).end_if_slow(now)
        return await super().on_tick(counter)


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    limits = HttpLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection in; when there are too many, an idle one goes."""
        super().connection_made(transport)
        self.idle_since = self._owed_since = self.loop.time()
        self._owing = self._in_headers = True
        self._received = 0  # bytes of the headers, or of the body
        self._unsent, self._unsent_since = 0, 0.0
        self._refusal = (400, "Invalid HTTP request received.")
        self._refused_at: float | None = None
        if len(self.connections) > self.limits.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; refuses headers that do not end."""
        if self._refused_at is not None:
            return
        self._received += len(data)
        super().data_received(data)
        if self._in_headers and self._owing and self._received > MAX_HEADER_BYTES:
            self._refuse(431, "The headers of the request are too large")

    def on_message_begin(self) -> None:
        """A request begins, and with it its time."""
        super().on_message_begin()
        self._owed_since = self.loop.time()
        self._owing = self._in_headers = True

    def on_headers_complete(self) -> None:
        """The headers are whole; the body has its own time."""
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES:
            self._refusal = (431, "The headers of the request are too large")
            raise ValueError(self._refusal[1])  # which the parser turns into send_400_response
        super().on_headers_complete()
        self._owed_since, self._in_headers, self._received = self.loop.time(), False, 0

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._owing, self._received = False, 0

    def on_response_complete(self) -> None:
        """The answer is given; the connection rests."""
        super().on_response_complete()
        self.idle_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Refuses what cannot be parsed."""
        self._refuse(*self._refusal)

    def end_if_slow(self, now: float) -> None:
        """Ends the connection when its client owes bytes, or takes none, for too long.

        Args:
            now: The event loop's time.
        """
        limit = self.limits.read_timeout_s
        if self._refused_at is not None and now - self._refused_at > _LINGER_S:
            self.transport.close()  # which waits for what is unsent
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > limit:
            # With a reset, else the system would go on offering what it has of the answer.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        if not self._owing or self._refused_at is not None:
            return
        if self.flow.read_paused:  # it is this server that does not take the bytes
            self._owed_since, self._received = now, 0
            return
        allowed = limit if self._in_headers else limit + self._received / MIN_BODY_BYTES_PER_S
        if now - self._owed_since > allowed:
            if self._in_headers and not self._received:
                self.transport.close()  # it never said anything
            else:
                self._refuse(408, "The request took too long to arrive")

    def is_idle(self) -> bool:
        """Whether the client has all that is owed to it."""
        if self.transport.get_write_buffer_size():  # its time to take it runs; see `end_if_slow`
            return False
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def _make_room(self) -> None:
        others = [cast(LimitedHttpProtocol, other) for other in self.connections]
        idle = [other for other in others if other is not self and other.is_idle()]
        if idle:
            longest = min(idle, key=lambda other: other.idle_since)
            longest.connections.discard(longest)
            longest.transport.close()
        else:
            self._refuse(503, "Too many connections")

    def _refuse(self, status: int, text: str) -> None:
        """Answers with an error, and closes.

        What the client goes on sending is dropped for a moment first: closing over unread bytes
        resets the connection, and the client would not see the answer.
        """
        if self.transport.is_closing() or self._refused_at is not None:
            return
        self._refused_at = self.loop.time()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = b'{ "error": "%s" }' % text.encode("ascii")
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, _PHRASES[status], len(body), body)
            )
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # ends the work on it
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
