"""Which Prefect server a run talks to, and what is said where it does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.prefect_server import answers, configured_server, free_port, prefect_api
from mlproject.errors import PlatformError
from mlproject.settings import Settings, read_settings


class Health(BaseHTTPRequestHandler):
    """Answers `/api/health` well, `/closed/health` with 401 and everything else with 404."""

    def do_GET(self) -> None:
        """Answers a request."""
        self.send_response({"/api/health": 200, "/closed/health": 401}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """A server on this machine, its URL."""
    with HTTPServer(("127.0.0.1", 0), Health) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def settings_for(home: Path, url: str | None) -> Settings:
    return read_settings({"BENISON_HOME": str(home), "PREFECT_API_URL": url or ""})


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert answers(f"{server}/api")
    assert not answers(f"{server}/else")


@pytest.mark.parametrize("path", ["/api", "/closed"])
def test_a_server_that_answers_is_taken(tmp_path: Path, server: str, path: str) -> None:
    assert configured_server(settings_for(tmp_path, server + path)) == server + path


def test_without_a_setting_and_a_ui_there_is_no_server(tmp_path: Path) -> None:
    assert configured_server(settings_for(tmp_path, None)) is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/api", "{server}/else", "nonsense", "http://[", "http://\x00"]
)
def test_a_server_that_does_not_answer_is_refused_before_anything_starts(
    tmp_path: Path, server: str, url: str
) -> None:
    settings = settings_for(tmp_path, url.format(port=free_port(), server=server))
    with (
        pytest.raises(PlatformError, match=r"does not answer.*Next: start it .* unset PREFECT_API"),
        prefect_api(settings),
    ):
        pass


def test_the_password_of_a_server_is_not_shown(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, f"http://me:secret@127.0.0.1:{free_port()}/api")
    with pytest.raises(PlatformError) as refused:
        configured_server(settings)
    assert "secret" not in str(refused.value)
