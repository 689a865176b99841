"""Threads beside the requests are waited for when a server stops."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from serving.export import export_version
from serving.model_server import ModelServer
from serving.model_server.background import Background


def test_work_is_waited_for_until_the_deadline() -> None:
    background, go_on = Background(), threading.Event()
    background.run(go_on.wait, "waits")
    assert not background.join(time.monotonic() + 0.05)
    go_on.set()
    assert background.join(time.monotonic() + 10)


def test_work_that_raises_is_done() -> None:
    background = Background()
    hook, threading.excepthook = threading.excepthook, lambda args: None
    try:
        background.run(lambda: 1 / 0, "fails")  # type: ignore[arg-type, return-value]
        assert background.join(time.monotonic() + 10)
    finally:
        threading.excepthook = hook


def test_a_stopped_server_leaves_no_thread_inside_tensorflow(
    saved_models: dict[str, Path], tmp_path: Path
) -> None:
    export_version(saved_models["double"], tmp_path / "double", 1)
    with ModelServer({"double": tmp_path / "double"}, rest_port=0, grpc_port=0) as server:
        server.wait_until_available(60)
        background = server._manager._background
        background.run(lambda: time.sleep(0.3), "load-that-takes-long")
    assert background.join(time.monotonic()), "the server did not wait for its threads"
