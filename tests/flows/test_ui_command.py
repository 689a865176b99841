"""`benison ui` and `benison schedule`: what they refuse, and how their servers start."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import ui_command
from flows.cli import main
from flows.prefect_server import free_port
from mlproject.settings import read_settings

TAXI = str(Path(__file__).parents[2] / "examples" / "taxi")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cron", "bad"], "Reading --cron failed. Received: 'bad'. Expected: five fields"),
        (["--cron", "0 3 * *"], "Reading --cron failed"),
        (["--cron", "0 99 * * *"], "Reading --cron failed"),
        (["--cron", "0 3 * * *", "--timezone", "Mars/Phobos"], "Reading --timezone failed"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("BENISON_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert main(["schedule", TAXI, *words]) == 2
    assert message in capsys.readouterr().err


def test_a_schedule_wants_a_server_that_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("BENISON_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert main(["schedule", TAXI, "--cron", "0 3 * * *"]) == 1
    assert "The Prefect server does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("sqlite:////home/mlflow.db", True),
        ("postgresql://u:secret@db/mlflow", True),
        ("postgresql+psycopg2://u@db/mlflow", True),
        ("mysql+pymysql://u@db/mlflow", True),
        ("http://127.0.0.1:5000", False),
        ("https://u:secret@mlflow.example", False),
        ("databricks", False),
    ],
)
def test_a_database_gets_a_server(uri: str, database: bool) -> None:
    assert bool(ui_command.DATABASE.match(uri)) == database


def test_the_database_is_not_named_on_the_command_line(tmp_path: Path) -> None:
    uri = "postgresql://u:secret@db/mlflow"
    settings = read_settings({"BENISON_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": uri})
    assert not any("secret" in word for word in ui_command._mlflow_command(settings, 5000))
    program = "import os; print(os.environ['MLFLOW_BACKEND_STORE_URI'])"
    with ui_command._process("mlflow", [sys.executable, "-c", program], settings) as process:
        process.wait(20)
    assert (tmp_path / "logs" / "mlflow-server.log").read_text() == f"{uri}\n"


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_a_reconciler_needs_seconds(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    seconds: str,
) -> None:
    monkeypatch.setenv("BENISON_HOME", str(tmp_path / "home"))
    assert main(["ui", f"--reconcile-s={seconds}"]) == 2
    assert "Reading --reconcile-s failed" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("https://mlflow.example", ""),
        ("databricks", ""),
    ],
)
def test_only_a_server_on_this_machine_can_tell_of_changes(uri: str, url: str) -> None:
    assert ui_command._on_this_machine(uri) == url
    command = ui_command._reconciler_command(url, 30.0)
    assert ("--mlflow-url" in command) == bool(url)


def test_the_key_of_mlflows_server_lasts_and_one_that_is_set_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
    monkeypatch.delenv(name, raising=False)
    settings = read_settings({"BENISON_HOME": str(tmp_path)})
    first = ui_command._webhook_environment(settings)[name]
    assert ui_command._webhook_environment(settings)[name] == first
    monkeypatch.setenv(name, "of somebody")
    assert ui_command._webhook_environment(settings)[name] == "of somebody"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    status = Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the server lives on")


PARENT = """
import sys, time
from flows import ui_command
from mlproject.settings import read_settings

settings = read_settings({"BENISON_HOME": sys.argv[1]})
command = [sys.executable, "-c", "import time; time.sleep(60)"]
with ui_command._process("mlflow", command, settings) as process:
    print(process.pid, flush=True)
    time.sleep(60)
"""
