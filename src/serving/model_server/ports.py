"""The addresses a model server listens on."""

from __future__ import annotations

import socket

from mlproject.errors import ServingError


def open_port(host: str, port: int, api: str) -> socket.socket:
    """Bind a port, so that one in use is seen before anything else starts.

    Args:
        host: The address to listen on.
        port: The port; 0 chooses a free one.
        api: Whose port it is, for the error.

    Returns:
        The bound socket, which does not listen yet.

    Raises:
        ServingError: The port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off for IPPROTO_TCP only; with
    # it on, every answer waits 40 ms for the client's delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as err:
        listener.close()
        raise port_error(host, port, api, err) from err
    return listener


def port_error(host: str, port: int, api: str, err: Exception) -> ServingError:
    """The error of a port that cannot be had."""
    return ServingError(
        f"Opening {api} port {port} on {host} failed",
        received=str(err),
        expected="a port that no other process uses",
        next_step="stop the other server, choose another port, or port 0 for any free one",
    )


def dialable(host: str) -> str:
    """The address to connect to, for an address to listen on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
