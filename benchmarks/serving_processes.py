"""The processes of the serving benchmarks: servers, load generators, and what each of them uses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
MODEL = "bench"
_READY_S = 180.0


@dataclass
class Server:
    """A server that answers.

    Attributes:
        process: Its process; those it starts belong to it.
        rest: Where its REST API is, `host:port`.
        grpc: Where its gRPC API is; empty for one without.
        ready_s: Seconds from its start until it answered for the model.
    """

    process: psutil.Process
    rest: str
    grpc: str = ""
    ready_s: float = 0.0

    def _all(self) -> Iterable[psutil.Process]:
        return (self.process, *self.process.children(recursive=True))

    def cpu_s(self) -> float:
        """User and system seconds of all its processes."""
        return sum(t.user + t.system for t in (p.cpu_times() for p in self._all()))

    def memory_mib(self) -> float:
        """Resident memory of all its processes."""
        return sum(p.memory_info().rss for p in self._all()) / 2**20


def environment() -> dict[str, str]:
    """The environment of child processes: bytecode is kept, and nobody is called."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # mlflow runs uvicorn
    source = str(HERE.parent / "src")
    return {**kept, **quiet, "PATH": tools, "PYTHONPATH": source, "PYTHONWARNINGS": "ignore"}


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def model_server(folder: Path, *flags: str) -> Iterator[Server]:
    """Benison's model server over FOLDER/models/bench."""
    rest, grpc = free_ports(2)
    command = [sys.executable, "-m", "serving.model_server", f"--model_name={MODEL}"]
    command += [f"--model_base_path={folder / 'models' / MODEL}"]
    command += [f"--rest_api_port={rest}", f"--port={grpc}", *flags]
    status = f"http://127.0.0.1:{rest}/v1/models/{MODEL}"
    with _running(command, folder / "server.log", status, b"AVAILABLE") as (process, ready_s):
        yield Server(process, f"127.0.0.1:{rest}", f"127.0.0.1:{grpc}", ready_s)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[Server]:
    """`mlflow models serve` of the same model, in this environment."""
    (port,) = free_ports(1)
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    command = [mlflow, "models", "serve", "-m", str(folder / "mlflow"), "-p", str(port)]
    command += ["-h", "127.0.0.1", "--env-manager", "local", "--workers", "1"]
    ping = f"http://127.0.0.1:{port}/ping"
    with _running(command, folder / "mlflow.log", ping, b"") as (process, ready_s):
        yield Server(process, f"127.0.0.1:{port}", "", ready_s)


@contextmanager
def _running(
    command: list[str], log: Path, url: str, wanted: bytes
) -> Iterator[tuple[psutil.Process, float]]:
    began = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment(), cwd=log.parent
        )
    process = psutil.Process(child.pid)
    try:
        while not _answers(url, wanted):
            if child.poll() is not None or time.monotonic() - began > _READY_S:
                raise SystemExit(f"{' '.join(command)} is not ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        yield process, time.monotonic() - began
    finally:
        started = [process, *process.children(recursive=True)] if child.poll() is None else []
        for each in started:
            each.terminate()
        for each in psutil.wait_procs(started, timeout=20)[1]:
            each.kill()
        child.wait()


def _answers(url: str, wanted: bytes) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return wanted in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def start_load(api: str, address: str, request: Path, **options: float) -> subprocess.Popen[str]:
    """Starts `serving_load.py`; give what it returns to `load_result`."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, str(HERE / "serving_load.py"), api, address, str(request), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def load_result(running: subprocess.Popen[str]) -> dict[str, Any]:
    """The figures of a load when it has ended."""
    output, _ = running.communicate()
    if running.returncode:
        raise SystemExit(f"The load generator failed: {running.args}")
    return dict(json.loads(output))


def load(server: Server, api: str, request: Path, **options: float) -> dict[str, Any]:
    """Loads a server; the figures have its CPU milliseconds a request, too."""
    before = server.cpu_s()
    address = server.rest if api == "rest" else server.grpc
    figures = load_result(start_load(api, address, request, **options))
    # The warm-up's requests cost as well and are not counted: over the whole time, to be fair.
    counted = figures["requests"] * (1 if "requests" in options else 1 / 0.9)
    figures["server_cpu_ms"] = round(1e3 * (server.cpu_s() - before) / counted, 3)
    return figures


def seconds_to_import_tensorflow() -> float:
    """Wall seconds of a process that only imports TensorFlow as the server does, without Keras."""
    code = "import sys; sys.modules['keras'] = None; import tensorflow"
    found = []
    for _ in range(3):  # the first may find cold caches
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment())
        found.append(time.monotonic() - began)
    return min(found)


def model_command(*arguments: str) -> str:
    """Runs `serving_model.py`; gives its output."""
    command = [sys.executable, str(HERE / "serving_model.py"), *arguments]
    return subprocess.run(
        command, check=True, env=environment(), stdout=subprocess.PIPE, text=True
    ).stdout


def find_model(name: str) -> str:
    """The `dense` model, the newest version of the taxi model that is served, or a folder."""
    if name == "dense":
        return name
    folder = Path(name)
    if name == "taxi":
        served = Path(os.environ.get("BENISON_HOME", ".benison")) / "serving" / "taxi"
        versions = sorted((int(p.name), p) for p in served.glob("[0-9]*"))
        if not versions:
            raise SystemExit(f"No taxi model is served in {served}; run `benison serve` first")
        folder = versions[-1][1]
    if not (folder / "saved_model.pb").is_file():
        raise SystemExit(f"{folder} is no SavedModel")
    return str(folder)
