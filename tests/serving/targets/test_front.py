"""The process that holds the ports: connections move on without a failed request."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlproject.errors import ServingError
from serving.targets.front import SILENT_S
from serving.targets.front_process import FrontProcess
from serving.targets.local_ports import free_ports


class Backend:
    """An HTTP server with keep-alive that answers its name, after a while if asked to."""

    def __init__(self, name: str) -> None:
        self.asked = asked = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if "wait=" in self.path:
                    asked.set()
                time.sleep(float(self.path.partition("wait=")[2] or 0))
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    both = Backend("one"), Backend("two")
    yield both
    for backend in both:
        backend.server.shutdown()
        backend.server.server_close()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontProcess]:
    process = FrontProcess(tmp_path, os.environ)
    yield process
    process.stop()
    assert not process.alive()


def test_connections_move_on_and_an_answer_under_way_arrives(
    front: FrontProcess, backends: tuple[Backend, Backend], tmp_path: Path
) -> None:
    one, two = backends
    ports = free_ports()
    front.hold(ports, (one.port, one.port))
    pid = json.loads((tmp_path / "front" / "state.json").read_text())["server_pid"]
    url = f"http://127.0.0.1:{ports[0]}"
    slow: list[str] = []
    with httpx.Client() as kept, httpx.Client() as patient:
        assert kept.get(url).text == "one"
        waiting = threading.Thread(
            target=lambda: slow.append(patient.get(f"{url}/?wait=3", timeout=20).text)
        )
        waiting.start()
        assert one.asked.wait(20)
        front.hold(ports, (two.port, two.port))
        assert not front.await_silence((two.port,), 0.5)
        assert httpx.get(url).text == "two"
        assert front.await_silence((two.port,), 20)
        waiting.join()
        assert slow == ["one"]
        assert kept.get(url).text == "two"
    assert json.loads((tmp_path / "front" / "state.json").read_text())["server_pid"] == pid


def test_a_port_that_is_taken_is_an_error_and_what_was_held_stays(
    front: FrontProcess, backends: tuple[Backend, Backend]
) -> None:
    one, two = backends
    ports = free_ports()
    front.hold(ports, (one.port, one.port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = (taken.getsockname()[1], ports[1])
        with pytest.raises(ServingError, match=f"Holding the ports {other[0]}"):
            front.hold(other, (two.port, two.port))
    assert httpx.get(f"http://127.0.0.1:{ports[0]}").text == "one"


def test_other_ports_are_taken_up(front: FrontProcess, backends: tuple[Backend, Backend]) -> None:
    one, _ = backends
    first, second = free_ports(), free_ports()
    front.hold(first, (one.port, one.port))
    front.hold(second, (one.port, one.port))
    assert httpx.get(f"http://127.0.0.1:{second[0]}").text == "one"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{first[0]}")


def test_ports_that_another_front_holds_are_an_error(
    front: FrontProcess, backends: tuple[Backend, Backend], tmp_path: Path
) -> None:
    one, two = backends
    ports = free_ports()
    front.hold(ports, (one.port, one.port))
    second = FrontProcess(tmp_path / "second", os.environ)
    with pytest.raises(ServingError, match=f"Holding the ports {ports[0]}, {ports[1]}"):
        second.hold(ports, (two.port, two.port))
    assert not second.alive()
    assert httpx.get(f"http://127.0.0.1:{ports[0]}").text == "one"


def test_a_large_answer_to_a_slow_reader_arrives_whole_though_the_port_moves_on(
    front: FrontProcess, backends: tuple[Backend, Backend]
) -> None:
    size = 32 << 20  # more than sockets buffer

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"x" * size)

    with socket.create_server(("127.0.0.1", 0)) as large:
        threading.Thread(target=answer, args=(large,), daemon=True).start()
        ports, behind = free_ports(), large.getsockname()[1]
        front.hold(ports, (behind, behind))
        with socket.create_connection(("127.0.0.1", ports[0])) as client:
            client.sendall(b"ask")
            got = len(client.recv(1 << 16))
            front.hold(ports, (backends[0].port, backends[0].port))
            time.sleep(SILENT_S + 1)
            while chunk := client.recv(1 << 20):
                got += len(chunk)
    assert got == size


def test_a_client_that_has_said_all_gets_its_answer(front: FrontProcess) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            asked = b"".join(iter(lambda: connection.recv(1 << 16), b""))  # until its end
            connection.sendall(asked * 2)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        ports, behind = free_ports(), server.getsockname()[1]
        front.hold(ports, (behind, behind))
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=20) as client:
            client.sendall(b"ask")
            client.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: client.recv(1 << 16), b"")) == b"askask"
        assert front.await_silence((), 20)
