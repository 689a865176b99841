"""Holds the ports of a deployment and passes each connection on to the container behind them.

An engine publishes a port for one container alone. So that one can take over from another without
a refused connection, the ports belong to this process: `python -m serving.targets.front FILE`.

    FILE     {"routes": {"8501": "127.0.0.1:32771", "8500": "127.0.0.1:32772"}}
    FILE.connections    {"127.0.0.1:32771": 3, ...}: open connections, written once the ports
                        are held, and when it changes

FILE is read again when it changes. New connections go to the new address at once; those to an
old one are closed once an answer has passed and nothing has followed it for two seconds, so that
an answer that is being worked on, or read slowly, arrives whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SILENT_S = 2.0
LOOK_EVERY_S = 0.1
CHUNK_BYTES = 1 << 18
BACKLOG = 1024


@dataclass(eq=False)
class _Connection:
    """A client's connection, where it leads, and when bytes last passed, and which way."""

    address: str
    writers: list[asyncio.StreamWriter]  # to the client, and to where it leads once that is open
    moved_at: float = field(default_factory=time.monotonic)
    waits: bool = False  # the client spoke last: an answer may be under way
    over: bool = False  # the server has closed its side

    def silent_since(self, moment: float) -> bool:
        """Whether nothing has passed since, and nothing is on its way to a slow reader."""
        buffered = any(writer.transport.get_write_buffer_size() for writer in self.writers)
        return self.moved_at < moment and not self.waits and not buffered

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


class Front:
    """The ports and their connections.

    Args:
        file: The file of routes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int] = (0, 0)
        self._routes: Mapping[str, str] = {}
        self._connections: set[_Connection] = set()
        self._written: dict[str, int] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Listens until told to stop; a port that is taken is an OSError."""
        self._look()
        servers = [
            await asyncio.start_server(
                self._accept_on(port), "127.0.0.1", int(port), backlog=BACKLOG
            )
            for port in self._routes
        ]
        while not stop.is_set():
            self._write_connections()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
            self._look()
            self._close_silent()
        for server in servers:
            server.close()
        for connection in self._connections:
            connection.close()

    def _accept_on(self, port: str):  # type: ignore[no-untyped-def]
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            address = self._routes.get(port, "")
            host, _, number = address.rpartition(":")
            if not number:  # it is being stopped
                writer.close()
                return
            connection = _Connection(address, [writer])
            self._connections.add(connection)
            try:
                there_reader, there_writer = await asyncio.open_connection(host, int(number))
                connection.writers.append(there_writer)
                await asyncio.gather(
                    _pass_on(reader, there_writer, connection, asks=True),
                    _pass_on(there_reader, writer, connection, asks=False),
                )
            except OSError:  # nobody is there
                return
            finally:
                connection.close()
                self._connections.discard(connection)

        return accept

    def _look(self) -> None:
        try:
            stat = self._file.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                self._routes = json.loads(self._file.read_text(encoding="utf-8"))["routes"]
                self._seen = seen
        except (OSError, ValueError):  # being replaced: the routes of before hold
            pass

    def _close_silent(self) -> None:
        valid = set(self._routes.values())
        moment = time.monotonic() - SILENT_S
        for connection in self._connections:
            unwanted = connection.over or connection.address not in valid
            if unwanted and connection.silent_since(moment):
                connection.close()

    def _write_connections(self) -> None:
        counts = dict(Counter(connection.address for connection in self._connections))
        if counts == self._written:
            return
        aside = Path(f"{self._file}.connections.{os.getpid()}")
        with contextlib.suppress(OSError):  # a full disk must not end the connections
            aside.write_text(json.dumps(counts), encoding="utf-8")
            aside.replace(f"{self._file}.connections")
            self._written = counts


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    connection: _Connection,
    *,
    asks: bool,
) -> None:
    """Copies one direction until its end, which is passed on too."""
    with contextlib.suppress(ConnectionError, OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            connection.waits = asks
            writer.write(chunk)
            await writer.drain()
            connection.moved_at = time.monotonic()
        if not asks:
            connection.waits, connection.over = False, True
        writer.write_eof()
        return
    connection.close()


def main(argv: list[str] | None = None) -> int:
    """Runs the front until SIGTERM or SIGINT.

    Returns:
        0; 1 where a port is taken.
    """

    async def run(file: Path) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await Front(file).run(stop)

    (file,) = sys.argv[1:] if argv is None else argv
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # two for each connection
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        asyncio.run(run(Path(file)))
    except OSError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
