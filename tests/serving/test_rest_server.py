"""The limits of the REST port, tried over raw sockets against a server without models."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.model_server.listening import HttpLimits, ServerOptions
from serving.model_server.rest_server import RestServer

READ_S = 0.4


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers the length of the body; `/big` answers more than a socket buffers."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    body = b"x" * 50_000_000 if scope["path"] == "/big" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**limits: Any) -> Iterator[RestServer]:
    options = ServerOptions(rest_port=0, http=HttpLimits(**limits))
    server = RestServer(options)
    server.reserve()
    server.listen(echo)
    try:
        yield server
    finally:
        server.begin_to_stop(0.0)
        server.wait_until_stopped(0.0)


@pytest.fixture(scope="module")
def impatient() -> Iterator[RestServer]:
    with serving(read_timeout_s=READ_S, max_connections=50) as server:
        yield server


def connect(server: RestServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def rest_of(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def connections(server: RestServer) -> list[Any]:
    assert server._server is not None
    return list(server._server.server_state.connections)


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def ask_for_much(client: socket.socket) -> None:
    """Asks for an answer that the sockets do not hold, and takes nothing of it."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(b"GET /big HTTP/1.1\r\n\r\n")


def say_slowly(client: socket.socket, word: bytes) -> Callable[[], None]:
    """Says a word ten times a second until the server closes; the call ends it."""
    stop = threading.Event()

    def talk() -> None:
        try:
            while not stop.wait(0.1):
                client.sendall(word)
        except OSError:
            return

    threading.Thread(target=talk, daemon=True).start()
    return stop.set


def test_a_port_is_closed_until_the_server_listens() -> None:
    server = RestServer(ServerOptions(rest_port=0))
    server.reserve()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.wait_until_stopped(0.0)


def test_a_client_that_says_nothing_is_cut_off(impatient: RestServer) -> None:
    with connect(impatient) as client:
        assert rest_of(client) == b""


def test_headers_that_trickle_in_are_cut_off(impatient: RestServer) -> None:
    with connect(impatient) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        stop = say_slowly(client, b"a: b\r\n")
        answer = rest_of(client)
        stop()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{ "error": "The request took too long to arrive" }')


def test_a_body_that_trickles_in_is_cut_off(impatient: RestServer) -> None:
    with connect(impatient) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n\r\n")
        stop = say_slowly(client, b"x")
        answer = rest_of(client)
        stop()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_long_body_that_keeps_coming_is_taken(impatient: RestServer) -> None:
    with connect(impatient) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n")
        for _ in range(10):  # longer in all than the time for headers
            time.sleep(READ_S / 4)
            client.sendall(b"x" * 100_000)
        assert rest_of(client).endswith(b"1000000")


@pytest.mark.parametrize("then", [b"", b"this is no HTTP\r\n\r\n"])
def test_a_client_that_takes_no_answer_is_cut_off(then: bytes) -> None:
    with serving(read_timeout_s=READ_S) as server, connect(server) as client:
        ask_for_much(client)
        wait_for(lambda: any(not each.is_idle() for each in connections(server)))
        client.sendall(then)
        wait_for(lambda: not connections(server))
        with pytest.raises(ConnectionResetError):
            rest_of(client)


def test_a_client_that_takes_no_answer_is_not_forgotten_for_a_new_one() -> None:
    with serving(read_timeout_s=READ_S, max_connections=1) as server, connect(server) as client:
        ask_for_much(client)
        wait_for(lambda: any(not each.is_idle() for each in connections(server)))
        with connect(server) as second:
            assert rest_of(second).startswith(b"HTTP/1.1 503 ")
        wait_for(lambda: not connections(server))
        with pytest.raises(ConnectionResetError):
            rest_of(client)
        assert httpx.get(server.url).text == "0"


@pytest.mark.parametrize("ended", [True, False])
def test_headers_without_end_are_refused(impatient: RestServer, ended: bool) -> None:
    with connect(impatient) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.sendall(b"".join(b"h%d: %s\r\n" % (n, b"v" * 1000) for n in range(80)))
        if ended:
            client.sendall(b"\r\n")
        assert rest_of(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "words",
    [
        b"this is no HTTP\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS on a plain port
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(impatient: RestServer, words: bytes) -> None:
    with connect(impatient) as client:
        client.sendall(words)
        assert rest_of(client).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert httpx.get(impatient.url).text == "0"


def test_idle_connections_make_room_for_new_ones(impatient: RestServer) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(impatient))
        assert httpx.get(impatient.url).text == "0"


def test_busy_connections_are_not_ended_for_new_ones() -> None:
    with serving(max_connections=2) as server, ExitStack() as stack:
        busy = [stack.enter_context(connect(server)) for _ in range(2)]
        for client in busy:
            client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 1\r\nconnection: close\r\n\r\n")
        wait_for(lambda: sum(not each.is_idle() for each in connections(server)) == 2)
        with connect(server) as third:
            assert rest_of(third).startswith(b"HTTP/1.1 503 ")
        for client in busy:
            client.sendall(b"x")
            assert rest_of(client).endswith(b"\r\n\r\n1")


def test_pipelined_requests_are_answered_in_order(impatient: RestServer) -> None:
    with connect(impatient) as client:
        for size in (1, 2, 3):
            client.sendall(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (size, b"x" * size))
        client.sendall(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        bodies = [
            part.rpartition(b"\r\n\r\n")[2] for part in rest_of(client).split(b"HTTP/1.1 200")
        ]
    assert bodies[1:] == [b"1", b"2", b"3", b"0"]


def test_a_resting_connection_is_closed() -> None:
    with serving(keep_alive_s=0.2) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        began = time.monotonic()
        assert b"200 OK" in rest_of(client)
        assert 0.1 < time.monotonic() - began < 30


def test_a_process_without_free_descriptors_answers_again() -> None:
    code = (
        "import resource, runpy, sys, time\n"
        f"part = runpy.run_path({str(Path(__file__))!r})\n"
        "with part['serving'](max_connections=1000) as server:\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    print(server.port, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    source = Path(__file__).parents[2] / "src"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(source)},
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        time.sleep(0.3)
        for client in clients:
            client.close()
        assert httpx.get(f"http://127.0.0.1:{port}", timeout=10).text == "0"
    finally:
        process.communicate()
    assert process.returncode == 0
