"""Start, stop, ports, drain, and the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest

from mlproject.errors import ServingError
from serving.export import export_version
from serving.model_server import ModelServer
from serving.model_server.program import FAILED, main


@pytest.fixture
def slow_base(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    export_version(saved_models["slow"], tmp_path / "slow", 1)
    return tmp_path / "slow"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def predict_over_grpc(address: str, turns: int) -> list[int]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    request = PredictRequest()
    request.model_spec.name = "slow"
    request.inputs["n"].CopyFrom(tf.make_tensor_proto([turns], tf.int64))
    with grpc.insecure_channel(address) as channel:
        response = PredictionServiceStub(channel).Predict(request, timeout=60)
    return list(response.outputs["y"].int64_val)


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_a_port_in_use_is_named_with_what_to_do(api: str, taken_port: int, tmp_path: Path) -> None:
    ports = {"rest_port": 0, "grpc_port": 0, f"{api}_port": taken_port}
    server = ModelServer({"m": tmp_path}, **ports)
    with pytest.raises(ServingError, match=rf"(?i){api} port {taken_port} .*port 0 for any free"):
        server.start()
    server.stop()


def test_a_failed_start_gives_the_other_port_back(taken_port: int, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    server = ModelServer({"m": tmp_path}, rest_port=free_port, grpc_port=taken_port)
    with pytest.raises(ServingError):
        server.start()
    with socket.socket() as again:
        again.bind(("127.0.0.1", free_port))


def test_two_servers_do_not_share_a_grpc_port(tmp_path: Path) -> None:
    import grpc

    with ModelServer({"m": tmp_path}, rest_port=0, grpc_port=0) as first:
        port = int(first.grpc_address.rsplit(":", 1)[1])
        with pytest.raises(ServingError, match=f"gRPC port {port}"):
            ModelServer({"m": tmp_path}, rest_port=0, grpc_port=port).start()
        # A plain gRPC server shares its port by default, if the first one does.
        with pytest.raises(RuntimeError, match="Failed to bind"):
            grpc.server(ThreadPoolExecutor(1)).add_insecure_port(first.grpc_address)


def test_a_server_listens_on_loopback_only(tmp_path: Path) -> None:
    with ModelServer({"m": tmp_path}, rest_port=0, grpc_port=0) as server:
        for address in (server.rest_url.removeprefix("http://"), server.grpc_address):
            host, port = address.rsplit(":", 1)
            assert host == "127.0.0.1"
            other = "127.0.0.2"  # loopback too, but not where the server listens
            with pytest.raises(ConnectionRefusedError), socket.socket() as client:
                client.connect((other, int(port)))


def test_waiting_for_a_model_that_is_not_there_says_where_it_looked(tmp_path: Path) -> None:
    with ModelServer({"m": tmp_path / "m"}, rest_port=0, grpc_port=0) as server:
        with pytest.raises(ServingError, match=rf"no version in {tmp_path / 'm'}"):
            server.wait_until_available(0.1)
        assert httpx.get(f"{server.rest_url}/v1/models/m").status_code == 404


def test_waiting_for_a_broken_model_ends_at_once_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"this is no model")
    with ModelServer({"m": tmp_path / "m"}, rest_port=0, grpc_port=0) as server:
        started = time.monotonic()
        with pytest.raises(ServingError, match="Version 1 of model 'm' did not load"):
            server.wait_until_available(60)
        assert time.monotonic() - started < 20


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_stopping_lets_a_request_under_way_end(slow_base: Path, api: str) -> None:
    server = ModelServer({"slow": slow_base}, rest_port=0, grpc_port=0)
    server.start()
    server.wait_until_available(60)
    answers = []

    def ask() -> None:
        if api == "grpc":
            answers.append(predict_over_grpc(server.grpc_address, 150_000))
            return
        url = f"{server.rest_url}/v1/models/slow:predict"
        response = httpx.post(url, json={"instances": [150_000]}, timeout=60)
        answers.append(response.json()["predictions"])

    thread = threading.Thread(target=ask)
    thread.start()
    live = server._manager.models["slow"].live()
    assert live is not None
    while not (live.in_flight or answers):
        time.sleep(0.005)
    server.stop(drain_s=30)
    assert live.in_flight == 0, "stop() came back before the request had ended"
    thread.join(30)
    assert answers == [[150_000]]
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.rest_url)
    server.stop()  # harmless when repeated
    with pytest.raises(ServingError, match="make a new ModelServer"):
        server.start()


def busy_s(pid: int) -> float:
    """CPU seconds of a process."""
    return psutil.Process(pid).cpu_times().user


def test_the_command_line_serves_until_sigterm_and_drains(slow_base: Path) -> None:
    command = [
        *(sys.executable, "-m", "serving.model_server", "--model_name=slow"),
        *(f"--model_base_path={slow_base}", "--port=auto", "--rest_api_port=auto"),
        "--file_system_poll_wait_seconds=0.1",
    ]
    source = Path(__file__).parents[2] / "src"
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving slow: REST http://127.0.0.1:"), line
        url = line.split("REST ")[1].split(",")[0] + "/v1/models/slow"
        assert "AVAILABLE" in httpx.get(url).text, "it answered before it had loaded"
        connection = HTTPConnection(httpx.URL(url).netloc.decode(), timeout=60)
        used = busy_s(process.pid)
        connection.request("POST", f"{httpx.URL(url).path}:predict", '{"inputs": [300000]}')
        while busy_s(process.pid) < used + 0.05:  # the model runs
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse().read()
        assert process.wait(30) == 0
        assert json.loads(answer) == {"outputs": [300_000]}
    finally:
        process.kill()
        process.communicate()


def test_a_stop_signal_that_another_thread_takes_wakes_the_server() -> None:
    code = """
import signal, threading, time
from serving.model_server.program import StopSignals

def take() -> None:
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

stop = StopSignals()
threading.Thread(target=take, daemon=True).start()
stop.wait()
print("woken")
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=30
    )
    assert result.stdout == "woken\n", result.stderr


def test_the_command_line_tells_of_a_port_in_use(
    taken_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        flags = [f"--model_base_path={tmp_path}", f"--rest_api_port={taken_port}"]
        assert main(["--model_name=m", "--port=auto", *flags]) == FAILED
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = capsys.readouterr().out
    assert f"Failed to start server. Error: Opening REST port {taken_port}" in said


# Clients of a trial: imported when one begins.
ONLY_WHEN_ASKING = {"serving.trial.grpc_asker", "serving.trial.rest"}
# What a server imports when it has TensorFlow or uvicorn already.
ONLY_WHEN_SERVING = {
    f"serving.model_server.{name}"
    for name in (
        *("examples_json", "frame_tensors", "grpc_health", "grpc_methods", "http_protocol"),
        *("inference", "inference_results", "profiler_service", "tensor_proto", "tflite_session"),
    )
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    modules = sorted(
        path.relative_to(Path(__file__).parents[2] / "src").with_suffix("")
        for path in (Path(__file__).parents[2] / "src" / "serving").rglob("*.py")
        if path.name != "__init__.py"
    )
    names = [".".join(path.parts) for path in modules]
    assert "serving.model_server.grpc_service" in names
    assert set(names) >= ONLY_WHEN_ASKING
    assert set(names) >= ONLY_WHEN_SERVING
    names = [name for name in names if name not in ONLY_WHEN_ASKING | ONLY_WHEN_SERVING]
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        "heavy = {'tensorflow', 'grpc', 'starlette', 'uvicorn', 'httpx', 'mlflow', 'pandas'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert result.returncode == 0, result.stderr
