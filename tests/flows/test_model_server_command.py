"""`benison model-server` under TensorFlow Serving's flags, and what `benison serve` shares."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.model_server_command import add_listening, listening_of
from mlproject.errors import ConfigError

SOURCE = Path(__file__).parents[2] / "src"
COMMAND = [sys.executable, "-W", "ignore", "-m", "flows.cli", "model-server"]


def model_server(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        timeout=120,
        check=False,
    )


def test_the_version_is_told_as_tensorflow_serving_tells_it() -> None:
    done = model_server("--version")
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("TensorFlow ModelServer: ")
    assert "benison" in first
    assert second.startswith("TensorFlow Library: 2.")


def test_an_unknown_flag_is_an_error_with_the_closest_one() -> None:
    done = model_server("--rest_api_prot=8501")
    assert done.returncode == 255
    assert "did you mean '--rest_api_port'?" in done.stderr
    assert "--model_base_path" in done.stdout


def test_a_server_without_models_does_not_start(tmp_path: Path) -> None:
    done = model_server("--port=auto")
    assert done.returncode == 255
    assert done.stdout.startswith("Failed to start server. Error: Both server_options.model_base_")


def test_a_bad_config_file_is_told_on_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.config"
    file.write_text("improperly formatted file")
    done = model_server("--port=auto", f"--model_config_file={file}")
    assert done.returncode == 255
    assert f"Invalid protobuf file: '{file}'" in done.stderr
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in done.stderr


def test_a_server_says_where_it_is_warns_and_ends_on_a_signal(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("letmein")
    token.chmod(0o600)
    log = tmp_path / "log"
    flags = ["--port=0", "--rest_api_port=auto", f"--model_base_path={tmp_path / 'none'}"]
    flags += [f"--grpc_socket_path={tmp_path / 's.sock'}", "--flush_filesystem_caches=true"]
    flags += [f"--token_file={token}", f"--access_log={tmp_path / 'access'}"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*COMMAND, *flags],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split("REST ")[1].split(",")[0]
        assert httpx.get(f"{url}/v1/models/default").status_code == 401
        headers = {"authorization": "Bearer letmein"}
        assert httpx.get(f"{url}/v1/models/default", headers=headers).status_code == 404
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 8, "nothing was under way"
    finally:
        process.kill()
        process.communicate()
    said = log.read_text()
    port = url.rpartition(":")[2]
    for line in (
        "--flush_filesystem_caches is accepted and has no effect here",
        f"Running gRPC ModelServer at UNIX socket {tmp_path / 's.sock'} ...",
        f"Exporting HTTP/REST API at:localhost:{port} ...",
        "NET_LOG: Entering the event loop ...",
    ):
        assert line in said
    assert "letmein" not in said
    assert len((tmp_path / "access").read_text().splitlines()) == 2


def serve_arguments(*argv: str, once: bool = False) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_listening(parser)
    return argparse.Namespace(**vars(parser.parse_args(argv)), once=once)


def test_benison_serve_has_metrics_and_takes_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENISON_SERVING_TOKEN", "of-the-environment")
    options = listening_of(serve_arguments())
    assert (options.metrics_path, options.token) == (
        "/monitoring/prometheus/metrics",
        "of-the-environment",
    )
    token = tmp_path / "token"
    token.write_text("of-the-file")
    token.chmod(0o600)
    assert listening_of(serve_arguments("--token-file", str(token))).token == "of-the-file"
    assert listening_of(serve_arguments(once=True)).token == ""
    with pytest.raises(ConfigError, match="/nowhere"):
        listening_of(serve_arguments("--ssl-config", "/nowhere"))
