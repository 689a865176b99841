"""`benison copy`, as a user runs it: to a file, and to a server that asks for a password."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from flows.cli import main
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import (
    BLESSING_TAG,
    INFRA_TAG,
    TRAIN_RUN_TAG,
    Column,
    Registration,
    Registry,
)
from mlproject.registry.names import COPIED_FROM_TAG
from mlproject.registry.stores import CREDENTIALS, ModelStore, target_store
from mlproject.settings import Settings, read_settings
from mlproject.tracking import Tracker

USER, PASSWORD = "carrier", "c@rry: it/over%20 there"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose registry has a champion of 'taxi', with a tiny model."""
    folder = tmp_path_factory.mktemp("dev")
    settings = read_settings({"BENISON_HOME": str(folder / "home")}, folder)
    tracker = Tracker(settings, "taxi")
    run_id = tracker.start_run("pipeline", {})
    tracker.finish_run(run_id, "FINISHED")
    (folder / "saved_model").mkdir()
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"graph" * 1_000)
    verdicts = {BLESSING_TAG: "BLESSED", INFRA_TAG: "INFRA_BLESSED"}
    registration = Registration(
        name="taxi",
        saved_model=folder / "saved_model",
        keras_model=None,
        evidence={},
        columns=(Column("fare", "float"),),
        output="float",
        sample={"fare": 10.25},
        run_id=run_id,
        tags={TRAIN_RUN_TAG: run_id, **verdicts},
        description="Will the rider tip?",
    )
    promoter = Promoter(settings)
    version = promoter.registry.register(registration)
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        promoter.move(version, Ask(stage, "good"))
    return settings.home


@pytest.fixture(autouse=True)
def _environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = ("MLFLOW_TRACKING_", "BENISON_TO_")
    names = [f"{start}{name}" for start in starts for name in CREDENTIALS]
    for name in (*names, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")  # so that it comes back as it was, whatever MLflow sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("BENISON_HOME", str(home))


def test_the_outcome_names_the_copy_and_the_next_command(
    home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path / 'prod.db'}"
    assert main(["copy", "taxi@champion", "--to", uri, "--as", "fares"]) == 0
    said = capfd.readouterr()
    first, second, last = said.out.splitlines()
    assert first == f"sqlite:///{home / 'mlflow.db'}/taxi/1 -> fares/1 of {uri}"
    assert "stage staging, model digest" in second
    assert last == f"Next  MLFLOW_TRACKING_URI={uri} benison promote fares/1 --reason WHY"
    assert "digest as it was registered" in said.err
    (entry,) = Promoter(_settings(uri)).history("fares")
    assert entry.why.startswith("copied from sqlite:///")

    os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert main(["copy", "taxi", "--to", uri, "--as", "fares", "--json"]) == 0
    outcome = json.loads(capfd.readouterr().out)
    assert outcome["was_there"]
    assert (outcome["name"], outcome["version"], outcome["stage"]) == ("fares", 1, "staging")

    assert _next(last) == 0  # the command that was printed
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert main(["copy", "taxi", "--to", uri, "--as", "fares"]) == 0
    assert "its registry's to change" in capfd.readouterr().out


def _next(line: str) -> int:
    variable, program, *command = shlex.split(line.removeprefix("Next"))
    assert program == "benison"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*variable.split("=", 1))
        return main(["WHY: it did well" if word == "WHY" else word for word in command])


def _settings(uri: str) -> Settings:
    return target_store(uri, read_settings({}, Path("/tmp")), {}).settings


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["copy", "tax@champion", "--to", "sqlite:///prod.db"], 1, "taxi"),
        (["copy", "taxi@champoin", "--to", "sqlite:///prod.db"], 1, "champion"),
        (["copy", "taxi", "--to", "/srv/mlflow.db"], 2, "cannot be copied there"),
        (["copy", "taxi", "--to", "sqlite:///none/prod.db"], 2, "folder that exists"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    error = capfd.readouterr().err
    assert said in error
    assert error.startswith("benison copy: ")
    assert not (tmp_path / "prod.db").exists()


def test_a_copy_onto_itself_is_refused(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", "taxi", "--to", f"sqlite:///{home / 'mlflow.db'}"]) == 1
    assert "the same registry" in capfd.readouterr().err


@dataclass(frozen=True)
class Server:
    """An MLflow server with basic auth.

    Attributes:
        url: Its address.
        folder: Its files.
    """

    url: str
    folder: Path

    def store(self, user: str, password: str) -> ModelStore:
        settings = read_settings({"BENISON_HOME": str(self.folder / "mine")}, self.folder)
        env = {"BENISON_TO_USERNAME": user, "BENISON_TO_PASSWORD": password}
        return target_store(self.url, settings, env)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`mlflow server --app-name basic-auth`, with a user beside the administrator."""
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    admin = secrets.token_urlsafe(12)
    config = folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder / 'auth.db'}\n"
        f"admin_username = admin\nadmin_password = {admin}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    env = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        env.pop(name, None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"),
                *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
                *("--artifacts-destination", str(folder / "artifacts")),
            ],
            cwd=folder,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process, folder / "log")
        made = requests.post(
            f"{url}/api/2.0/mlflow/users/create",
            json={"username": USER, "password": PASSWORD},
            auth=("admin", admin),
            timeout=60,
        )
        made.raise_for_status()
        yield Server(url, folder)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
        if process.poll() is not None:
            break
    raise RuntimeError(f"no MLflow server: {log.read_text(errors='replace')[-3000:]}")


def _copy(server: Server, env: dict[str, str], *more: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return main(["copy", "taxi@champion", "--to", server.url, *more])


@pytest.mark.slow
def test_a_copy_to_a_server_with_basic_auth(
    server: Server, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # The source's own credentials, which would be wrong there.
    dev = {"MLFLOW_TRACKING_USERNAME": "dev", "MLFLOW_TRACKING_PASSWORD": "devword"}
    assert _copy(server, dev) == 1
    error = capfd.readouterr().err
    assert "BENISON_TO_USERNAME" in error
    wrong = {"BENISON_TO_USERNAME": USER, "BENISON_TO_PASSWORD": "wrongword"}
    assert _copy(server, {**dev, **wrong}) == 1
    error += capfd.readouterr().err

    right = {"BENISON_TO_USERNAME": USER, "BENISON_TO_PASSWORD": PASSWORD}
    assert _copy(server, {**dev, **right}, "--json") == 0
    said = capfd.readouterr()
    outcome = json.loads(said.out.splitlines()[-1])  # MLflow's links stand before it under pytest
    assert (outcome["target"], outcome["version"], outcome["stage"]) == (server.url, 1, "staging")
    assert _copy(server, {**dev, **right}, "--json") == 0
    again = capfd.readouterr()
    assert json.loads(again.out.splitlines()[-1])["was_there"]

    everything = error + said.out + said.err + again.out + again.err
    everything += "".join(log.read_text() for log in (home / "logs").iterdir())
    everything += _all_that_is_kept(server)
    for secret in ("devword", "wrongword", PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in everything


def _all_that_is_kept(server: Server) -> str:
    """Tags and files of the copy."""
    store = server.store(USER, PASSWORD)
    with store.in_force():
        registry = Registry(store.settings)
        (version,) = registry.versions("taxi")
        assert version.tags[COPIED_FROM_TAG].startswith("sqlite:///")
        run = registry.client.get_run(version.run_id or "")
        assert run.outputs is not None
        (output,) = run.outputs.model_outputs
        model = registry.client.get_logged_model(output.model_id)
        assert model.artifact_location.startswith("mlflow-artifacts:/")
        assert Promoter(store.settings, registry).standing("taxi").challenger == 1
    files = [f for f in (server.folder / "artifacts").rglob("*") if f.is_file()]
    assert {"MLmodel", "saved_model.pb"} <= {file.name for file in files}
    kept: list[Any] = [version.tags, run.data.tags, model.tags]
    return str(kept) + "".join(file.read_text(errors="replace") for file in files)


@pytest.mark.slow
def test_from_one_server_to_another_name_on_it_with_the_password_in_the_uri(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    right = {"BENISON_TO_USERNAME": USER, "BENISON_TO_PASSWORD": PASSWORD}
    assert _copy(server, right) == 0
    capfd.readouterr()
    host = server.url.removeprefix("http://")
    secret = quote(PASSWORD, safe="")
    source = {
        "MLFLOW_TRACKING_URI": server.url.replace("127.0.0.1", "localhost"),
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in source.items():
            patch.setenv(name, value)
        to = f"http://{USER}:{secret}@{host}"
        assert main(["copy", "taxi/1", "--to", to]) == 1  # localhost is 127.0.0.1
        assert "the same registry" in capfd.readouterr().err
        assert main(["copy", "taxi/1", "--to", to, "--as", "fares"]) == 0
    said = capfd.readouterr()
    assert "fares/1 of http://127.0.0.1" in said.out
    assert secret not in said.out + said.err
