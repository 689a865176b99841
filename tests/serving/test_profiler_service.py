"""TensorFlow's profiler over gRPC, asked by TensorFlow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from serving.model_server.options import SessionOptions
from serving.model_server.status import Code, StatusError


@pytest.fixture
def busy(saved_models: dict[str, Path]) -> Iterator[None]:
    """A model that runs all the time."""
    import numpy as np

    from serving.model_server.loader import LoadedModel

    model, stop = LoadedModel(saved_models["double"], SessionOptions(inter_op_threads=1)), Event()

    def run() -> None:
        while not stop.wait(0.001):
            model.predict(model.signatures["serving_default"], {"x": np.float32([1])})

    thread = Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    model.close()


def test_tensorflows_client_gets_a_trace(busy: None, tmp_path: Path) -> None:
    import grpc
    from tensorflow.python.profiler import profiler_client

    from serving.model_server.profiler_service import add_profiler

    server = grpc.server(ThreadPoolExecutor(2))
    add_profiler(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        profiler_client.trace(f"localhost:{port}", str(tmp_path), 200, num_tracing_attempts=3)
    finally:
        server.stop(0).wait(10)
    (trace,) = tmp_path.rglob("*.xplane.pb")
    assert trace.stat().st_size > 0


@pytest.mark.parametrize(
    "fields",
    [
        {"session_id": "s", "host_name": "h"},
        {"repository_root": "/tmp/never", "session_id": "../up", "host_name": "h"},
        {"repository_root": "/tmp/never", "session_id": "s", "host_name": ".."},
        {"repository_root": "/tmp/never", "session_id": "s"},
    ],
)
def test_a_request_that_names_no_file_is_refused(fields: dict[str, Any]) -> None:
    from serving.model_server.profiler_service import Profiler, _message

    request = _message("ProfileRequest")(duration_ms=1, **fields).SerializeToString()
    with pytest.raises(StatusError, match="needs repository_root") as caught:
        Profiler().profile(request, None)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert not Path("/tmp/never").exists()


def test_what_is_no_request_is_refused() -> None:
    from serving.model_server.profiler_service import Profiler

    with pytest.raises(StatusError, match="is no ProfileRequest"):
        Profiler().profile(b"\xff\xff", None)
