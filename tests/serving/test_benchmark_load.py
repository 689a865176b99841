"""The benchmark's load generator counts what was asked of it, and hides no stall."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serving_load", BENCHMARKS / "serving_load.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_stall_counts_in_every_request_that_was_due_meanwhile(load: ModuleType) -> None:
    async def stalls_once() -> float:
        began = time.perf_counter()

        async def send() -> bool:
            if 0.1 < time.perf_counter() - began < 0.11:
                time.sleep(0.3)  # the server, and with it everybody, stands still
            return True

        figures = (await load.open_loop(send, rate=200, seconds=0.6)).summary()
        assert figures["requests"] == 120
        return float(figures["over_100_ms"])

    assert asyncio.run(stalls_once()) > 20  # of the 60 that were due in the stall, not one


def test_a_closed_loop_sends_as_many_as_asked_and_counts_refusals(load: ModuleType) -> None:
    async def refuses_every_third() -> None:
        sent = 0

        async def send() -> bool:
            nonlocal sent
            sent += 1
            await asyncio.sleep(0)
            return sent % 3 > 0

        figures = (await load.closed_loop(send, 4, seconds=60, most=300)).summary()
        assert 300 <= figures["requests"] <= 304
        assert 95 <= figures["errors"] <= 105

    asyncio.run(refuses_every_third())


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", True),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}", False),
        (b"", False),
    ],
)
def test_http_answers_are_read_in_any_pieces(load: ModuleType, answer: bytes, well: bool) -> None:
    async def talk() -> None:
        served: list[asyncio.Task[None] | None] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(asyncio.current_task())
            while await reader.read(1000):
                for start in range(0, len(answer), 7):
                    writer.write(answer[start : start + 7])
                    await writer.drain()
                    await asyncio.sleep(0.001)
                if not answer:
                    break
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sender = load.HttpSender(f"127.0.0.1:{port}", b"POST / HTTP/1.1\r\n\r\n")
        assert [await sender.send() for _ in range(3)] == [well] * 3
        await sender.close()
        await asyncio.gather(*filter(None, served))
        server.close()
        assert not await load.HttpSender(f"127.0.0.1:{port}", b"").send()

    asyncio.run(talk())
