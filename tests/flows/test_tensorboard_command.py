"""`benison tensorboard`: finds the logs of a training in MLflow, and shows them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from flows import tensorboard_command
from mlproject.errors import ConfigError, TrackingError
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
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            tensorboard_command.launch(tmp_path, "127.0.0.1", port)


def test_the_command_serves_the_curves_until_it_is_interrupted(
    runs: dict[str, str], settings: Settings
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "tensorboard", "taxi", "--port", "0"],
        env={**os.environ, "BENISON_HOME": str(settings.home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(text for text in process.stderr if text.startswith("http://127.0.0.1:"))
        assert runs["second"] in line
        with urllib.request.urlopen(f"{line.split()[0]}data/plugins_listing") as answer:
            assert "scalars" in json.load(answer)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_parser_is_added_without_anything_heavy() -> None:
    parser = argparse.ArgumentParser()
    tensorboard_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["tensorboard", "taxi"])
    assert (args.training, args.host, args.port) == ("taxi", "127.0.0.1", 6006)
