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
from serving.targets.front_process import FrontProcess
from serving.targets.local_ports import free_ports


class Backend:
    """An HTTP server with keep-alive that answers its name, after a while if asked to."""

    def __init__(self, name: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
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
        time.sleep(0.3)
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
