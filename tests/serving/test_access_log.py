"""The access log: its lines, what it keeps out, and a disk that is slow, full or turned over."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mlproject.errors import ConfigError
from serving.model_server import access_log as module
from serving.model_server.access_log import AccessLog
from serving.model_server.observer import Observer
from serving.model_server.status import Code


def answered(log: AccessLog, model: str = "taxi", version: int | None = 3) -> None:
    code = Code.NOT_FOUND if version is None else Code.OK
    Observer(access_log=log).request(
        "GRPC",
        "Predict",
        model,
        version,
        code,
        0.00123456,
        bytes_in=7,
        bytes_out=9,
        detail="a body",
    )


def test_a_request_is_one_line_of_json_without_its_error_text(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with AccessLog(path) as log:
        answered(log)
        answered(log, 'x"\n{"forged": 1}', None)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "api": "GRPC",
        "method": "Predict",
        "model": "taxi",
        "version": 3,
        "status": "OK",
        "ms": 1.235,
        "bytes_in": 7,
        "bytes_out": 9,
    }
    assert (second["model"], second["version"]) == ('x"\n{"forged": 1}', None)
    assert second["status"] == "NOT_FOUND"
    assert "a body" not in path.read_text()


def test_lines_reach_the_disk_while_the_server_runs_and_are_added(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    with AccessLog(path) as log:
        answered(log)
        deadline = time.monotonic() + 20
        while len(path.read_text().splitlines()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert path.read_text().startswith("before\n{")
    log.close()


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with AccessLog(path) as log:
        path.rename(tmp_path / "access.log.1")
        answered(log)
    assert (tmp_path / "access.log.1").read_text() == ""
    assert len(path.read_text().splitlines()) == 1


def test_a_full_disk_or_a_slow_one_costs_lines_and_no_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 10)
    monkeypatch.setattr(module, "_FLUSH_S", 60)
    with AccessLog(Path("/dev/full")) as log:
        for _ in range(25):
            answered(log)
    assert "15 requests are missing" in caplog.text
    assert "10 lines of the access log were not written" in caplog.text


def test_without_a_path_lines_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with AccessLog() as log:
        answered(log)
    assert json.loads(capfd.readouterr().err)["model"] == "taxi"


def test_a_log_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Opening the access log failed"):
        AccessLog(tmp_path / "no" / "folder" / "access.log")
