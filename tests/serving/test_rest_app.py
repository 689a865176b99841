"""The web application of the REST port by itself: bodies, tokens, methods, the observer.

It is asked by the protocol that web servers ask with (ASGI), with a manager that has no models.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serving.model_server.manager import ModelManager
from serving.model_server.rest import RestApp, RestOptions, build_app
from serving.model_server.status import Code

LIMIT = 1000
PREDICT = "/v1/models/m:predict"


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


class Seen:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []

    def request(self, *told: Any, **more: Any) -> None:
        self.requests.append((*told, more))


class Page:
    def render(self) -> bytes:
        return b"# TYPE x counter\n"


def ask(
    app: RestApp,
    method: str,
    path: str,
    chunks: Sequence[bytes] = (b"",),
    headers: Mapping[str, str] | None = None,
    *,
    leaves: bool = False,
) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of an answer; status 0 where there is none."""
    sent: list[dict[str, Any]] = []
    messages = [
        {"type": "http.request", "body": chunk, "more_body": leaves or number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()],
    }
    asyncio.run(app(scope, receive, send))
    if not sent:
        return 0, {}, b""
    start, body = sent
    return (
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        body["body"],
    )


def make(executor: ThreadPoolExecutor, **options: Any) -> RestApp:
    return build_app(ModelManager(()), executor, RestOptions(LIMIT, **options))


def error(body: bytes) -> str:
    return str(json.loads(body)["error"])


def test_an_answer_has_type_and_length(executor: ThreadPoolExecutor) -> None:
    status, headers, body = ask(make(executor), "POST", PREDICT, [b'{"instances": [1]}'])
    assert status == 404
    assert error(body) == "Servable not found for request: Latest(m)"
    assert headers == {"content-type": "application/json", "content-length": str(len(body))}


def test_head_is_get_without_the_body(executor: ThreadPoolExecutor) -> None:
    app = make(executor)
    status, headers, body = ask(app, "HEAD", "/v1/models/m")
    _, wanted, whole = ask(app, "GET", "/v1/models/m")
    assert (status, headers, body) == (404, wanted, b"")
    assert len(whole) == int(headers["content-length"])


@pytest.mark.parametrize("chunks", [[b" " * LIMIT], [b" " * 400, b" " * 600, b""]])
def test_a_body_up_to_the_limit_is_read(executor: ThreadPoolExecutor, chunks: Any) -> None:
    status, _, body = ask(make(executor), "POST", PREDICT, chunks)
    assert (status, error(body)[:16]) == (400, "JSON Parse error")


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ([b" " * 1001], {}),
        ([b" " * 500, b" " * 501, b" "], {}),
        ([], {"Content-Length": "1001"}),
        ([], {"Content-Length": "9" * 30}),
    ],
)
def test_a_body_over_the_limit_is_413(
    executor: ThreadPoolExecutor, chunks: Any, headers: Any
) -> None:
    status, _, body = ask(make(executor), "POST", PREDICT, chunks, headers)
    assert (status, error(body)) == (413, "Request body is over 1000 bytes")


def packed(body: bytes) -> bytes:
    """Without the time of day, which would be in the names of the tests, another on each worker."""
    return gzip.compress(body, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (packed(b'{"instances": [1]}'), "gzip", 404, "Servable not found"),
        (packed(b'{"instances"') + packed(b": [1]}"), "gzip", 404, "Servable not"),
        (b'{"instances": [1]}', "identity", 404, "Servable not found"),
        (packed(b" " * 1000), "GZIP", 400, "The document is empty"),
        (packed(b" " * 1001), "gzip", 413, "over 1000 bytes"),
        (packed(b" " * 900) * 2, "gzip", 413, "over 1000 bytes"),
        (packed(b"0" * 800_000), "gzip", 413, "over 1000 bytes"),
        (packed(b'{"instances": [1]}')[:-9], "gzip", 400, "cut off"),
        (b'{"instances": [1]}', "gzip", 400, "is no gzip"),
        (b"", "gzip", 400, "The document is empty"),
        (b"x", "br", 415, "gzip is understood"),
    ],
    ids=range(11),
)
def test_gzip_is_unpacked_within_the_limit(
    executor: ThreadPoolExecutor, body: bytes, encoding: str, status: int, message: str
) -> None:
    got, _, text = ask(make(executor), "POST", PREDICT, [body], {"Content-Encoding": encoding})
    assert got == status
    assert message in error(text)


def test_a_client_that_goes_away_gets_nothing_and_is_seen(executor: ThreadPoolExecutor) -> None:
    seen = Seen()
    app = make(executor, observer=seen)
    for chunks in ([], [b"{"]):
        assert ask(app, "POST", PREDICT, chunks, leaves=True)[0] == 0
    assert [told[:5] for told in seen.requests] == [
        ("REST", "Predict", "m", None, Code.CANCELLED)
    ] * 2


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Basic secret", "Bearer", "secret"])
def test_without_the_token_nothing_is_answered(executor: ThreadPoolExecutor, given: str) -> None:
    app = make(executor, token="secret", metrics_path="/metrics", metrics=Page())
    headers = {"Authorization": given} if given else {}
    for method, path in (
        ("GET", "/v1/models/m"),
        ("POST", PREDICT),
        ("GET", "/metrics"),
        ("GET", "/version"),
        ("POST", "/invocations"),
        ("GET", "/anything"),
    ):
        status, answered, body = ask(app, method, path, [b"{}"], headers)
        assert status == 401
        assert answered["www-authenticate"] == "Bearer"
        assert "secret" not in error(body)


def test_with_the_token_and_for_probes_it_is_answered(executor: ThreadPoolExecutor) -> None:
    app = make(executor, token="secret")
    for scheme in ("Bearer", "bearer"):
        assert ask(app, "GET", "/v1/models/m", (), {"Authorization": f"{scheme} secret"})[0] == 404
    assert ask(app, "GET", "/health")[0] == 200
    assert "secret" not in repr(RestOptions(1, token="secret"))


def test_the_metrics_stand_where_they_are_wanted(executor: ThreadPoolExecutor) -> None:
    path = "/monitoring/prometheus/metrics"
    app = make(executor, metrics_path=path, metrics=Page())
    status, headers, body = ask(app, "GET", path)
    assert (status, body) == (200, b"# TYPE x counter\n")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert ask(make(executor), "GET", path)[0] == 404


def test_pages_of_other_origins_are_let_in_where_wanted(executor: ThreadPoolExecutor) -> None:
    app = make(executor, cors=True)
    status, headers, body = ask(app, "OPTIONS", PREDICT, (), {"Origin": "https://a.example"})
    assert (status, body) == (200, b"")
    allowed = {name: value for name, value in headers.items() if name.startswith("access-control")}
    assert allowed == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "POST, GET",
        "access-control-allow-headers": "Content-Type",
    }
    status, _, body = ask(app, "OPTIONS", PREDICT)
    assert (status, error(body)) == (400, "Origin header is missing in CORS preflight")
    _, headers, _ = ask(app, "POST", PREDICT, [b"{}"])
    assert headers["access-control-allow-origin"] == "*"
    status, headers, _ = ask(make(executor), "OPTIONS", PREDICT, (), {"Origin": "https://a"})
    assert (status, "access-control-allow-origin" in headers) == (400, False)


def test_the_observer_is_told_of_each_request_once(executor: ThreadPoolExecutor) -> None:
    seen = Seen()
    app = make(executor, observer=seen, token="t")
    allowed = {"Authorization": "Bearer t"}
    ask(app, "POST", "/v1/models/m/versions/7:classify", [b'{"examples": [{}]}'], allowed)
    ask(app, "GET", "/v1/models/m/metadata", (), allowed)
    ask(app, "GET", "/v1/models/m", (), allowed)
    ask(app, "POST", PREDICT, [b" " * 2000], allowed)
    ask(app, "POST", PREDICT, [b"{}"])
    ask(app, "GET", "/nothing", (), allowed)
    told = [(kind, model, version, code) for _, kind, model, version, code, *_ in seen.requests]
    assert told == [
        ("Classify", "m", 7, Code.NOT_FOUND),
        ("GetModelMetadata", "m", None, Code.NOT_FOUND),
        ("GetModelStatus", "m", None, Code.NOT_FOUND),
        ("Predict", "m", None, Code.INVALID_ARGUMENT),
        ("Predict", "m", None, Code.UNAUTHENTICATED),
        ("", "", None, Code.INVALID_ARGUMENT),
    ]
    for _, *_, seconds, more in seen.requests:
        assert 0 < seconds < 30
        assert more["bytes_out"] > 10
        assert more["detail"]
    assert seen.requests[0][-1]["bytes_in"] == 18


def test_the_status_is_answered_when_every_worker_is_busy() -> None:
    release = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(release.wait, 30)
        app = make(busy)
        assert ask(app, "GET", "/v1/models/m")[0] == 404
        assert ask(app, "GET", "/health")[0] == 200
        assert ask(app, "GET", "/v1/models/m/metadata")[0] == 404
        release.set()


def test_a_request_that_takes_too_long_is_504() -> None:
    release = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(release.wait, 30)
        app = make(busy, timeout_s=0.05)
        status, _, body = ask(app, "POST", PREDICT, [b"{}"])
        assert (status, error(body)) == (504, "The request took longer than 0.05 s")
        release.set()


def test_a_fault_of_the_server_is_500_and_told_in_the_log(
    executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ModelManager):
        def statuses(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("secret detail")

    app = build_app(Broken(()), executor, RestOptions(LIMIT))
    status, _, body = ask(app, "GET", "/v1/models/m")
    assert (status, error(body)) == (500, "Internal error; the server's log tells more")
    assert "secret detail" in caplog.text
