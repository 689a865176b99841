"""The command line: what it takes, and what its exit codes and error lines are."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import cli, serve_command, train_command, ui_command
from flows.cli import main
from flows.pipeline import Request
from mlproject.errors import ConfigError, DataError, PlatformError

ROOT = Path(__file__).parents[2]
Answer = Callable[[argparse.Namespace], int]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """The arguments that the commands get; none of them runs."""
    calls: list[argparse.Namespace] = []

    def take(args: argparse.Namespace) -> int:
        calls.append(args)
        return 0

    for module, names in (
        (train_command, ("train", "step", "check")),
        (serve_command, ("serve", "predict")),
        (ui_command, ("ui", "schedule")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, take)
    return calls


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(train_command, "train", fail)


def test_help_is_instant() -> None:
    command = [sys.executable, "-m", "flows.cli", "--help"]
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - began)
        assert done.returncode == 0
        assert "From raw data to a blessed, registered, served model" in " ".join(
            done.stdout.split()
        )
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    "command",
    [
        *(["check", "p"], ["train", "p"], ["step", "ingest", "p"], ["serve", "m"]),
        *(["predict", "m"], ["ui"], ["schedule", "p", "--cron", "0 3 * * *"]),
    ],
    ids=lambda command: command[0],
)
def test_every_command_reaches_its_function(
    taken: list[argparse.Namespace], command: list[str]
) -> None:
    assert main(command) == 0
    assert [args.command for args in taken] == [command[0]]


@pytest.mark.parametrize("code", [0, 3, 4])
def test_the_exit_code_of_a_command_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(train_command, "train", lambda args: code)
    assert main(["train", "p"]) == code


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["trian", "p"],
        ["train"],
        ["train", "p", "--forec"],
        ["train", "p", "--force", "maybe"],
        ["train", "p", "--force=maybe"],
        ["serve", "m", "--port", "http"],
        ["schedule", "p"],
        ["step", "ingest"],
    ],
)
def test_a_mistake_of_usage_is_exit_code_2(
    taken: list[argparse.Namespace], capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: benison" in capsys.readouterr().err
    assert taken == []


@pytest.mark.parametrize(
    ("words", "force"),
    [
        (["p"], False),
        (["p", "--force"], True),
        (["--force", "p"], True),
        (["--force", "--verbose", "p"], True),
        (["p", "--force", "true"], True),
        (["--force", "false", "p"], False),
        (["--force=false", "p"], False),
        (["p", "--force", "False"], False),
        (["p", "--force="], False),
        (["p", "--force", ""], False),
        (["p", "--force", "1"], True),
        (["p", "--force", "no"], False),
        (["p", "--force", "false", "--force"], True),
    ],
)
def test_force_stands_alone_or_with_a_value(
    taken: list[argparse.Namespace], words: list[str], force: bool
) -> None:
    assert main(["train", *words]) == 0
    assert main(["step", "ingest", *words]) == 0
    assert [args.force for args in taken] == [force, force]
    assert [args.project for args in taken] == ["p", "p"]


def test_data_may_be_given_many_times(taken: list[argparse.Namespace]) -> None:
    main(["train", "p", "--data", "train=a.csv", "--data=eval=b.csv"])
    assert taken[0].data == ["train=a.csv", "eval=b.csv"]


def test_the_empty_values_of_mlflow_run_mean_nothing_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []
    monkeypatch.setenv("BENISON_HOME", str(tmp_path))

    def look(request: object) -> None:
        seen.append(request)
        raise ConfigError("far enough")

    monkeypatch.setattr(train_command, "open_request", look)
    assert main(["train", "p", "--data=", "--force=false", "--from="]) == 2
    assert main(["train", "p", "--data", "", "--force", "false", "--from", ""]) == 2
    assert seen == [Request("p")] * 2


@pytest.mark.parametrize("step", ["trian", "", "Train"])
def test_a_step_that_does_not_exist_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], step: str
) -> None:
    assert main(["step", step, "p"]) == 2
    assert "Looking for a step failed" in capsys.readouterr().err
    if step:
        assert main(["train", "p", "--from", step]) == 2


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("Bad"), 2), (DataError("Bad"), 1), (PlatformError("Bad"), 1)]
)
def test_a_platform_error_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: PlatformError,
    code: int,
) -> None:
    fail_with(monkeypatch, error)
    assert main(["train", "p"]) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "benison train: Bad.\n")


def test_verbose_adds_the_traceback_and_keeps_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, ConfigError("Bad"))
    assert main(["train", "p", "--verbose"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("benison train: Bad.\nTraceback (most recent call last):")


def test_with_json_an_error_is_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, ConfigError('Not "good"', received="a\nb"))
    assert main(["train", "p", "--json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": 'Not "good". Received: a\nb.', "exit_code": 2}
    assert shown.err.startswith("benison train: ")


def test_an_interrupt_is_told_and_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert main(["train", "p"]) == 130
    assert capsys.readouterr().err == "benison train: interrupted; finished steps are kept\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["train", "p"])


def test_a_reader_that_went_away_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    code = (
        "import sys; from flows import train_command; from flows.cli import main\n"
        "train_command.check = lambda args: print('x' * 10) or 0\n"
        "sys.exit(main(['check', 'p']))"
    )
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=buffered,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_project_that_is_not_there_is_refused_by_the_real_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "train", "gone", "--json"]
    environment = {**os.environ, "BENISON_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    assert done.stderr.startswith("benison train: Opening the project failed. Received: gone/")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_an_error_notes_follows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DataError("Bad")
    error.add_note("Log      home/logs/1.log")
    fail_with(monkeypatch, error)
    assert main(["train", "p"]) == 1
    assert capsys.readouterr().err == "benison train: Bad.\nLog      home/logs/1.log\n"


PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "")  # so that it is put back
            monkeypatch.delenv(spelling)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", "127.0.0.1,localhost,::1"),
        ("corp.example, localhost", "corp.example,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_a_proxy_does_not_stand_before_this_machine(
    monkeypatch: pytest.MonkeyPatch, given: str, wanted: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", given)
    cli.bypass_proxies_for_loopback()
    assert os.environ["no_proxy"] == wanted
    assert os.environ.get("NO_PROXY", "*") == wanted


@pytest.mark.usefixtures("no_proxies")
def test_without_a_proxy_the_environment_is_left_alone() -> None:
    cli.bypass_proxies_for_loopback()
    assert not {"NO_PROXY", "no_proxy"} & set(os.environ)


@pytest.mark.parametrize(
    ("words", "once", "wanted"),
    [
        ([], False, (8501, 8500)),
        ([], True, (0, 0)),
        (["--port", "1234"], True, (1234, 0)),
        (["--grpc-port=0"], False, (8501, 0)),
    ],
)
def test_a_trial_takes_any_free_port_unless_one_is_given(
    taken: list[argparse.Namespace], words: list[str], once: bool, wanted: tuple[int, int]
) -> None:
    main(["serve", "m", *words, *(["--once"] if once else [])])
    assert serve_command.ports(taken[0]) == wanted


def test_a_reason_and_an_override_go_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words in (["--override"], ["--reason", "because"], ["--override", "--reason", "  "]):
        assert main(["train", str(tmp_path), *words]) == 2
        assert "both or neither" in capsys.readouterr().err
