"""The workers of TF_CONFIG: who is the chief, and a chief that never begins."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from mlproject.errors import ConfigError
from mlproject.training import cluster, is_chief
from mlproject.training.strategy import training_on


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:http"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_tf_config_that_is_no_cluster(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        is_chief("multi_worker")


@pytest.mark.parametrize(
    ("chiefs", "kind", "index", "expected"),
    [
        (0, "worker", 0, True),
        (0, "worker", 1, False),
        (1, "chief", 0, True),
        (1, "worker", 0, False),
    ],
)
def test_the_chief_is_who_is_named_or_else_the_first_worker(
    chiefs: int, kind: str, index: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"worker": ["a:1", "b:1"], **({"chief": ["c:1"]} if chiefs else {})}
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert is_chief("multi_worker") is expected


def test_without_workers_every_process_is_the_chief() -> None:
    assert is_chief("none")
    assert is_chief("mirrored")


def join_as_worker(chief: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = {"chief": [chief], "worker": ["127.0.0.1:1"]}
    config = {"cluster": workers, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


def test_a_worker_waits_for_the_chief_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its training may be cached: then it never begins."""
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        join_as_worker(address, monkeypatch)
        monkeypatch.setattr(cluster, "CHIEF_TIMEOUT_S", 0.2)
        with (
            pytest.raises(ConfigError, match="Waiting for the chief") as caught,
            training_on("multi_worker", "", ""),
        ):
            pass
    assert f"{address} did not answer within 0 s" in str(caught.value.received)
    assert "cached" in str(caught.value.next_step)


def test_a_worker_goes_on_as_soon_as_the_chief_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as chief:
        chief.bind(("127.0.0.1", 0))
        join_as_worker(f"127.0.0.1:{chief.getsockname()[1]}", monkeypatch)
        monkeypatch.setattr(cluster, "LOOK_EVERY_S", 0.05)
        threading.Timer(0.3, chief.listen).start()
        began = time.monotonic()
        cluster.wait_for_chief()
        assert 0.2 < time.monotonic() - began < 30
