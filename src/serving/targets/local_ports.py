"""The ports of a server on this machine: fixed ones, or free ones that are kept from then on."""

from __future__ import annotations

import socket
import time

from mlproject.sections.deployment import DeploymentSection

FREED_WITHIN_S = 3.0
_POLL_S = 0.05


def kept_ports(
    host: str, config: DeploymentSection, kept: tuple[int, int], *, held: bool
) -> tuple[int, int]:
    """The REST and the gRPC port: the configured ones, those of before, or free ones.

    Args:
        host: The address that is listened on.
        config: The section `deployment`.
        kept: The ports of before; 0 for none.
        held: Whether those of before are held by this deployment itself.
    """
    if held and all(kept):
        return config.rest_port or kept[0], config.grpc_port or kept[1]
    rest = _kept_port(host, config.rest_port, kept[0], besides=config.grpc_port or kept[1])
    return rest, _kept_port(host, config.grpc_port, kept[1], besides=rest)


def free_ports() -> tuple[int, int]:
    """Two ports of this machine's loopback that nobody uses now."""
    first = _free_port("127.0.0.1", besides=0)
    return first, _free_port("127.0.0.1", besides=first)


def _kept_port(host: str, wanted: int, kept: int, besides: int) -> int:
    """A port for a server that does not run yet.

    Args:
        host: The address that it listens on.
        wanted: The port of its configuration; 0 for any.
        kept: The one it had; 0 for none. Somebody else may have it by now.
        besides: One that is no choice.
    """
    if wanted:
        _await_free(host, wanted)
        return wanted
    return kept if kept and _await_free(host, kept) else _free_port(host, besides)


def dialable(host: str) -> str:
    """The address to connect to, for an address to listen on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _free_port(host: str, besides: int) -> int:
    while True:
        with socket.socket(_family(host)) as sock:
            sock.bind((host, 0))
            port = int(sock.getsockname()[1])
        if port != besides:
            return port


def _await_free(host: str, port: int) -> bool:
    """Whether a port is free; the system may need a moment to take it from a dead server."""
    deadline = time.monotonic() + FREED_WITHIN_S
    while not _is_free(host, port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
