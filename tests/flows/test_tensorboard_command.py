"""`benison tensorboard`: finds the logs of a training in MLflow, and shows them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest

from flows import tensorboard_command
from flows.tensorboard_server import Board, board
from mlproject.errors import ConfigError, PlatformError, TrackingError
from mlproject.settings import Settings, read_settings
from mlproject.tracking import STEP_TAG, TAG, Tracker
from mlproject.tracking.training_logs import download_tensorboard

SCRIPT = """
import argparse, sys
from flows import tensorboard_command
from flows.cli import _run
parser = argparse.ArgumentParser()
tensorboard_command.add_parser(parser.add_subparsers())
sys.exit(_run(parser.parse_args(sys.argv[1:])))
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return read_settings({"BENISON_HOME": str(home)}, home)


@pytest.fixture(scope="module")
def runs(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A pipeline that trained twice, one that took its model, and a step without logs."""
    import keras
    import numpy as np

    folder = tmp_path_factory.mktemp("figures")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    board = keras.callbacks.TensorBoard(folder / "figures/tensorboard", write_graph=False)
    model.fit(np.ones((8, 1)), np.ones(8), epochs=2, callbacks=[board], verbose=0)
    tracker = Tracker(settings, "taxi")
    found = {"pipeline": tracker.start_run("pipeline", {})}
    for name in ("first", "second"):
        found[name] = tracker.start_run("train", {STEP_TAG: "train"}, found["pipeline"])
        tracker.log_record(found[name], folder)
        tracker.finish_run(found[name], "FINISHED")
    cached = {f"{TAG}step.train": f"cached, made in {found['pipeline']}"}
    found["cached"] = tracker.start_run("pipeline", cached)
    found["other"] = tracker.start_run("pipeline", {})
    found["bare"] = tracker.start_run("train", {STEP_TAG: "train"}, found["other"])
    return found


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("first", "first"),
        ("second", "second"),
        ("pipeline", "second"),
        ("cached", "second"),
        ("taxi", "second"),
    ],
)
def test_a_training_is_found(
    reference: str, expected: str, runs: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    run_id, logs = download_tensorboard(settings, runs.get(reference, reference), tmp_path)
    assert run_id == runs[expected]
    assert list((logs / "train").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("reference", ["no-such-project", "0" * 32, "", "a' or 1=1"])
def test_what_is_no_training_is_an_error(
    reference: str, runs: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(TrackingError):
        download_tensorboard(settings, reference, tmp_path)


@pytest.mark.parametrize("name", ["bare", "other"])
def test_a_training_without_logs_is_an_error(
    name: str, runs: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(TrackingError, match=r"fn_args\.callbacks"):
        download_tensorboard(settings, runs[name], tmp_path)


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"127.0.0.1:{port}"),
            board(tmp_path, "127.0.0.1", port, threading.Event()),
        ):
            pass


def test_one_that_ends_by_itself_is_an_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], text=True)
    with pytest.raises(PlatformError, match="exit code 3"):
        Board("http://127.0.0.1:6006/", process).wait(threading.Event())


def test_one_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(PlatformError, match="exit code 1"),
        board(Path("nowhere"), "127.0.0.1", 0, threading.Event()),
    ):
        pass


def test_one_that_is_stopped_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with board(tmp_path, "127.0.0.1", 0, stop) as running:
        assert running.url == ""
    assert running.process.returncode == -signal.SIGKILL


def test_the_server_ends_with_whoever_started_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.tensorboard_server", "nowhere", "127.0.0.1", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.close()  # as a killed process's are
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_command_serves_the_curves_until_it_is_interrupted(
    number: signal.Signals, runs: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "tensorboard", "taxi", "--port", "0"],
        env={**os.environ, "BENISON_HOME": str(settings.home), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(text for text in process.stderr if text.startswith("http://127.0.0.1:"))
        assert runs["second"] in line
        (server,) = psutil.Process(process.pid).children()
        assert list(tmp_path.glob("benison-tensorboard-*"))
        with urllib.request.urlopen(f"{line.split()[0]}data/plugins_listing") as answer:
            assert "scalars" in json.load(answer)
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert not server.is_running()
        assert list(tmp_path.glob("benison-tensorboard-*")) == []
    finally:
        process.kill()
        process.communicate()


def test_a_parser_is_added_without_anything_heavy() -> None:
    parser = argparse.ArgumentParser()
    tensorboard_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["tensorboard", "taxi"])
    assert (args.training, args.host, args.port) == ("taxi", "127.0.0.1", 6006)
