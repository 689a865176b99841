"""A load generator in a process of its own: prepared bytes out, latencies and its CPU seconds back.

    python benchmarks/serving_load.py rest 127.0.0.1:8501 REQUEST_FILE --concurrency 16 --seconds 10
    python benchmarks/serving_load.py grpc 127.0.0.1:8500 REQUEST_FILE --rate 200 --seconds 600

`rest` takes a whole HTTP request (of which `/v1/models/NAME:predict` is in the first line), `grpc`
a serialized PredictRequest. Closed loop (`--concurrency`): each connection sends its next request
when the answer is there. Open loop (`--rate`): requests are due at fixed times whatever the server
does, and latency counts from the time a request was due, so that a stall costs all that it delays.
The result is one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

PREDICT = "/tensorflow.serving.PredictionService/Predict"
Send = Callable[[], Awaitable[bool]]


@dataclass
class Load:
    """What a load came to.

    Attributes:
        latencies_s: Seconds of each answered request.
        errors: Requests that were refused or lost.
        elapsed_s: Seconds from the first request to the last answer.
    """

    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    elapsed_s: float = 0.0

    def record(self, latency_s: float, answered: bool) -> None:
        """Count a request."""
        self.latencies_s.append(latency_s)
        self.errors += not answered

    def summary(self) -> dict[str, float]:
        """The figures, latencies in milliseconds."""
        times = sorted(self.latencies_s)
        usage = resource.getrusage(resource.RUSAGE_SELF)

        def quantile(share: float) -> float:
            return round(1e3 * times[min(int(share * len(times)), len(times) - 1)], 3)

        return {
            "requests": len(times),
            "errors": self.errors,
            "elapsed_s": round(self.elapsed_s, 3),
            "requests_per_s": round(len(times) / self.elapsed_s, 1),
            "p50_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "p999_ms": quantile(0.999),
            "max_ms": quantile(1),
            "over_100_ms": sum(latency > 0.1 for latency in times),
            "client_cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        }


class HttpConnection(asyncio.Protocol):
    """One keep-alive connection that sends the same request again and again."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._buffer = bytearray()
        self._expected = 0
        self._answer: asyncio.Future[bool] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self) -> asyncio.Future[bool]:
        """Send the request.

        Returns:
            Whether the answer is a success, when it is there.
        """
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            self._answer.set_result(False)
        else:
            self._transport.write(self._request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        self._buffer += data
        if not self._expected:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._expected = end + 4 + int(length)
        if len(self._buffer) >= self._expected:
            answered = self._buffer.startswith(b"HTTP/1.1 200")
            self._buffer.clear()
            self._expected = 0
            if self._answer and not self._answer.done():
                self._answer.set_result(answered)

    def connection_lost(self, error: Exception | None) -> None:
        """A request without an answer is an error."""
        if self._answer and not self._answer.done():
            self._answer.set_result(False)

    def close(self) -> None:
        """Close the connection."""
        if self._transport:
            self._transport.close()


class HttpSender:
    """Sends by a pool of keep-alive connections, as many as are busy at once."""

    def __init__(self, address: str, request: bytes) -> None:
        host, _, port = address.rpartition(":")
        self._where = (host, int(port))
        self._request = request
        self._idle: list[HttpConnection] = []

    async def send(self) -> bool:
        """Send one request; whether it was answered well."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                break
        else:
            loop = asyncio.get_running_loop()
            try:
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(self._request), *self._where
                )
            except OSError:
                return False
        answered = await connection.send()
        self._idle.append(connection)
        return answered

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            connection.close()


class GrpcSender:
    """Sends by one channel, without building or reading messages."""

    def __init__(self, address: str, request: bytes) -> None:
        from grpc import aio

        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = aio.insecure_channel(address, options=options)
        self._call = self._channel.unary_unary(PREDICT)
        self._request = request

    async def send(self) -> bool:
        """Send one request; whether it was answered well."""
        from grpc.aio import AioRpcError

        try:
            return len(await self._call(self._request)) > 0
        except AioRpcError:
            return False

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


async def closed_loop(send: Send, concurrency: int, seconds: float, most: float) -> Load:
    """Each of so many callers sends again as soon as it has its answer.

    Args:
        send: Sends a request.
        concurrency: The callers.
        seconds: When to stop.
        most: Requests in all after which to stop.

    Returns:
        The load; requests of the first tenth of the time warm up and are not in it.
    """
    clock = time.perf_counter
    load, started = Load(), clock()
    begin, end = started + seconds / 10, started + seconds
    if most != float("inf"):
        begin = started

    async def caller() -> None:
        while len(load.latencies_s) < most:
            sent = clock()
            if sent >= end:
                return
            answered = await send()
            if sent >= begin:
                load.record(clock() - sent, answered)

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    load.elapsed_s = clock() - begin
    return load


async def open_loop(send: Send, rate: float, seconds: float) -> Load:
    """Requests are due at fixed times.

    Args:
        send: Sends a request.
        rate: Requests a second.
        seconds: For how long.

    Returns:
        The load, its latencies from the time that each request was due.
    """
    clock = time.perf_counter
    load, started = Load(), clock()
    under_way: deque[asyncio.Task[None]] = deque()

    async def one(due: float) -> None:
        answered = await send()
        load.record(clock() - due, answered)

    for number in range(int(rate * seconds)):
        due = started + number / rate
        if (wait := due - clock()) > 0:
            await asyncio.sleep(wait)
        under_way.append(asyncio.create_task(one(due)))
        while under_way and under_way[0].done():
            under_way.popleft()
    await asyncio.gather(*under_way)
    load.elapsed_s = clock() - started
    return load


async def run(given: argparse.Namespace) -> Load:
    """Runs the load that the command line asks for."""
    request = given.request.read_bytes()
    kind = HttpSender if given.api == "rest" else GrpcSender
    sender = kind(given.address, request)
    try:
        if given.rate:
            return await open_loop(sender.send, given.rate, given.seconds)
        return await closed_loop(sender.send, given.concurrency, given.seconds, given.requests)
    finally:
        await sender.close()


def main() -> None:
    """Prints the load's figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("api", choices=("rest", "grpc"))
    parser.add_argument("address", help="host:port")
    parser.add_argument("request", type=Path, help="file with the bytes of a request")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, open loop")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--requests", type=float, default=float("inf"))
    given = parser.parse_args()
    if given.api == "rest":
        import uvloop

        uvloop.install()
    print(json.dumps(asyncio.run(run(given)).summary()))


if __name__ == "__main__":
    main()
