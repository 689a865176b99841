"""`benison train-worker`: what it refuses at once, and a training of two processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import cli

PROJECT = """
name: taxi
module: taxi.py
data: {path: trips.csv}
training: {label: big_tip, epochs: 2, distribute: multi_worker}
"""
MODEL = """


def build_model(hyperparameters):
    fare = keras.Input((1,), name="fare_xf")
    model = keras.Model({"fare_xf": fare}, keras.layers.Dense(1, activation="sigmoid")(fare))
    model.compile("adam", "binary_crossentropy")
    return model
"""


@pytest.fixture
def folder(make_project: Callable[[str, str], Path]) -> Path:
    """A project whose training has workers, and a platform home of its own."""
    return make_project(PROJECT, MODEL)


def tf_config(index: int, ports: tuple[int, int] = (2222, 2223)) -> str:
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no TF_CONFIG in the environment"),
        (tf_config(0), "benison step train PROJECT"),
        (tf_config(1), "no artifact of ingest, schema, transform"),
    ],
)
def test_what_cannot_train_along_is_said_at_once(
    config: str | None,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    assert cli.main(["train-worker", str(folder)]) in (1, 2)
    told = capfd.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_it_takes_the_span_that_the_chief_was_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config(1))
    (folder / "trips.csv").rename(folder / "span-4.csv")
    spans = PROJECT.replace("trips.csv", "'span-{SPAN}.csv'")
    (folder / "project.yaml").write_text(spans, encoding="utf-8")
    for span, said in (("4", "no artifact of ingest"), ("3", "span 3")):
        assert cli.main(["train-worker", str(folder), "--span", span]) in (1, 2)
        assert said in capfd.readouterr().err


@pytest.mark.slow
def test_a_chief_and_a_worker_train_together(folder: Path) -> None:
    for step in ("ingest", "statistics", "schema", "validate", "transform"):
        assert cli.main(["step", step, str(folder)]) == 0
    ports = (free_port(), free_port())
    worker = start(["train-worker", str(folder)], tf_config(1, ports))
    chief = start(["step", "train", str(folder)], tf_config(0, ports))
    try:
        out, said = chief.communicate(timeout=200)
        assert chief.returncode == 0, said
        _, along = worker.communicate(timeout=60)
    finally:
        chief.kill()
        worker.kill()
    assert worker.returncode == 0, along
    assert "the chief has the model" in along
    manifest = json.loads((Path(out.strip()) / "artifact.json").read_text(encoding="utf-8"))
    assert manifest["value"]["epochs"] == 2
    trained = list((folder.parent / "home" / "pipeline" / "train").glob("*/artifact.json"))
    assert len(trained) == 1


def start(words: list[str], config: str) -> subprocess.Popen[str]:
    environment: dict[str, Any] = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "flows.cli", *words]
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
