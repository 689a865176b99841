"""Promotion through a server of MLflow: with users, with wrong ones, slow, and gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.mlproject.promotion.conftest import Model, mlflow_server, stop

from flows.prefect_server import free_port
from mlproject.errors import TrackingError, TrackingUnavailable, Transient
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.settings import Settings, read_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

USER, PASSWORD = "admin", "a password of this test"
SECRET = "wr0ng:s3cret@word"


def settings_of(port: int, home: Path) -> Settings:
    uri = f"http://127.0.0.1:{port}"
    return read_settings({"BENISON_HOME": str(home), "MLFLOW_TRACKING_URI": uri}, home)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server that asks for a user and a password."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    configuration = folder / "basic_auth.ini"
    configuration.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'users.db'}\n"
        f"admin_username = {USER}\nadmin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n",
        encoding="utf-8",
    )
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test alone",
    }
    with mlflow_server(folder, port, "--app-name", "basic-auth", **environment):
        yield settings_of(port, folder)


def credentials(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def test_with_a_user_that_the_server_knows(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch, USER, PASSWORD)
    model = Model(guarded, "taxi")
    first = model.champion()
    model.champion()
    model.promoter.rollback("taxi", "wrong tips")
    assert model.check().champion == first.version


@pytest.mark.parametrize("password", [SECRET, ""])
def test_with_a_wrong_password_nothing_is_done_and_no_secret_is_told(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    credentials(monkeypatch, USER, PASSWORD)
    model = Model(guarded, f"guarded-{len(password)}")
    version = model.champion()
    state = model.state()
    credentials(monkeypatch, USER, password)
    for call in (
        lambda: model.promoter.rollback(model.name, "x"),
        lambda: model.promoter.settle(model.name),
        lambda: model.move(version, Stage.ARCHIVED),
        lambda: model.promoter.history(model.name),
    ):
        with pytest.raises(TrackingError) as raised:
            call()
        text = str(raised.value)
        assert not isinstance(raised.value, Transient)  # another try would not help
        assert "authenticated" in text or "401" in text
        assert "\n" not in text
        assert SECRET not in text
        assert PASSWORD not in text
    credentials(monkeypatch, USER, PASSWORD)
    assert model.state() == state


def test_a_user_who_may_only_read_cannot_promote(
    guarded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.server import get_app_client

    credentials(monkeypatch, USER, PASSWORD)
    model = Model(guarded, "read-only")
    model.champion()
    version = model.version()
    get_app_client("basic-auth", guarded.tracking_uri).create_user("reader", "reader's password")
    state = model.state()
    credentials(monkeypatch, "reader", "reader's password")
    assert len(model.promoter.history(model.name)) == 2
    with pytest.raises(TrackingError, match="refused it"):
        model.move(version, Stage.STAGING)
    assert model.state() == state


class Between:
    """A proxy before a server: slow, or broken off at a request that writes.

    Attributes:
        port: Its TCP port.
        delay_s: Seconds before each answer.
        breaks_at: Number of the writing request at which the connection breaks, after the server
            did it; 0 for none.
        times: How often it breaks from there on.
    """

    def __init__(self, port: int) -> None:
        self.delay_s, self.breaks_at, self.times, self.writes = 0.0, 0, 0, 0
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                between.forward(self, port)

            do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names of the base class

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forward(self, handler: BaseHTTPRequestHandler, port: int) -> None:
        time.sleep(self.delay_s)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(handler.command, handler.path, body, dict(handler.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if handler.command != "GET" and not handler.path.endswith("search"):
            self.writes += 1
            if self.breaks_at and self.breaks_at <= self.writes < self.breaks_at + self.times:
                handler.close_connection = True
                return  # the server has done it, and the client never hears of it
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server without users: its port and folder."""
    folder, port = tmp_path_factory.mktemp("plain"), free_port()
    with mlflow_server(folder, port):
        yield port, folder


@pytest.fixture
def between(plain: tuple[int, Path]) -> Iterator[Between]:
    proxy = Between(plain[0])
    yield proxy
    proxy.close()


def test_a_slow_server_is_waited_for(between: Between, tmp_path: Path) -> None:
    model = Model(settings_of(between.port, tmp_path), "slow")
    version = model.version()
    between.delay_s = 0.3
    model.move(version, Stage.STAGING)
    between.delay_s = 0.0
    assert model.check().challenger == version.version


def test_answers_that_are_lost_on_their_way_change_nothing(
    between: Between, tmp_path: Path
) -> None:
    """MLflow's client asks again: an entry is written once, whatever number of times it is sent."""
    model = Model(settings_of(between.port, tmp_path), "lost")
    model.champion()
    version = model.version()
    model.move(version, Stage.STAGING)
    for lost in range(1, 4):
        between.writes, between.breaks_at, between.times = 0, lost, 1
        entries = len(model.promoter.history("lost"))
        stage = Stage.CANARY if lost == 1 else None
        if stage is not None:
            model.move(version, stage)
        else:
            other = model.version()
            between.writes = 0
            model.move(other, Stage.STAGING)
        assert between.writes > lost
        between.breaks_at = 0
        assert len(model.promoter.history("lost")) == entries + 1
        model.check()


def test_a_server_that_is_gone_is_one_error_and_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MAX_RETRIES", "2"), ("BACKOFF_FACTOR", "0")):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", value)
    port = free_port()
    settings = settings_of(port, tmp_path)
    with mlflow_server(tmp_path, port) as server:
        proxy = Between(port)
        model = Model(settings, "gone")
        champion, version = model.champion(), model.version()
        model.move(version, Stage.STAGING)
        entries = len(model.promoter.history("gone"))
        # It dies just after the entry: all that shows it is missing.
        far = Promoter(settings_of(proxy.port, tmp_path), clock=model.clock)
        proxy.breaks_at, proxy.times = 1, 1_000
        far_model = Model(settings_of(proxy.port, tmp_path), "gone", far.registry)
        with pytest.raises(TrackingUnavailable) as raised:
            far_model.move(version, Stage.PRODUCTION)
        assert "\n" not in str(raised.value)
        assert model.aliases()["champion"] == champion.version
        stop(server)
        with pytest.raises(TrackingUnavailable) as raised:
            model.promoter.rollback("gone", "x")
        assert isinstance(raised.value, Transient)
        assert "\n" not in str(raised.value)
        with pytest.raises(TrackingUnavailable, match="does not answer"):
            Promoter(settings)
        proxy.close()
    with mlflow_server(tmp_path, port):
        model.promoter.settle("gone")
        assert len(model.promoter.history("gone")) == entries + 1
        assert model.check().champion == version.version
