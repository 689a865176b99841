"""The body of an HTTP request, read and unpacked within a limit."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

_GZIP_BITS = 31
Receive = Callable[[], Awaitable[dict[str, Any]]]


class BodyError(Exception):
    """A body that is refused.

    Args:
        status: The HTTP status.
        message: Why.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGoneError(Exception):
    """The client went away before the body was whole."""


async def read_body(receive: Receive, declared: bytes, max_bytes: int) -> bytes:
    """Read a body.

    Args:
        receive: The ASGI channel.
        declared: The value of `Content-Length`; empty when there is none.
        max_bytes: The largest body.

    Raises:
        BodyError: It is too large, which is seen as soon as it is.
        ClientGoneError: The client went away.
    """
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
    return b"".join(chunks)


def unpack(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """Undo a `Content-Encoding`.

    Args:
        body: The body as it was sent.
        encoding: The header's value.
        max_bytes: The largest body once unpacked: a few bytes may stand for gigabytes.

    Raises:
        BodyError: The encoding is unknown, the body is not of it, or it is too large.
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip"):
        raise BodyError(415, f"Content-Encoding {encoding.decode('latin-1')!r}: gzip is understood")
    parts, left, size = [], body, 0
    while left:  # a body may be several gzip files in a row
        unzip = zlib.decompressobj(_GZIP_BITS)
        try:
            part = unzip.decompress(left, max_bytes - size + 1)
        except zlib.error as err:
            raise BodyError(400, f"Request body is no gzip: {err}") from err
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not unzip.eof:
            raise BodyError(400, "Request body is no gzip: it is cut off")
        parts.append(part)
        left = unzip.unused_data
    return b"".join(parts)


def _too_large(max_bytes: int) -> BodyError:
    return BodyError(413, f"Request body is over {max_bytes} bytes")
