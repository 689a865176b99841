"""The REST port's web application, in plain ASGI: each layer between would cost as much as a model.

The event loop reads and writes bytes; parsing, the model and the answer run in a worker thread, so
that no model holds up another request. Only the status and the health are answered on the loop
itself: they stay there when every worker is busy.

    /v1/models/...              TensorFlow Serving's API
    /invocations[/MODEL]        the API of `mlflow models serve`, with /ping, /health and /version
    the metrics path            Prometheus, where one is given

With a token every path but /ping and /health wants `Authorization: Bearer TOKEN`: a probe has no
secret, and these tell nothing but that the server is up.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.model_server.manager import ModelManager
from serving.model_server.request_body import (
    BodyError,
    ClientGoneError,
    Receive,
    read_body,
    unpack,
)
from serving.model_server.rest_api import (
    GET_STATUS,
    Answer,
    ModelPath,
    handle,
    parse_path,
    refusal,
)
from serving.model_server.status import HTTP_STATUS, Code, StatusError

if TYPE_CHECKING:
    from serving.model_server.metrics import ServerMetrics
    from serving.model_server.observer import Observer

logger = logging.getLogger(__name__)

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_INTERNAL = "Internal error; the server's log tells more"
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
)
_OPEN_PATHS = ("/ping", "/health")
_MLFLOW_PATHS = ("/invocations", "/ping", "/health", "/version")

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]


@dataclass(frozen=True)
class RestOptions:
    """What the REST port answers, and to whom.

    Args:
        max_request_bytes: Bodies over this size, unpacked, are answered with status 413.
        metrics_path: The path of the metrics; None for none.
        metrics: The metrics.
        observer: Told of each request.
        token: What requests must bring; None lets everybody in.
        cors: Whether pages of other origins may ask; as `--enable_cors_support` of TensorFlow
            Serving.
        timeout_s: After how long a request is answered with DEADLINE_EXCEEDED; 0 is never. The
            model runs to its end in its thread.
    """

    max_request_bytes: int
    metrics_path: str | None = None
    metrics: ServerMetrics | None = None
    observer: Observer | None = None
    token: str | None = field(default=None, repr=False)
    cors: bool = False
    timeout_s: float = 0.0


def build_app(manager: ModelManager, executor: Executor, options: RestOptions) -> RestApp:
    """Build the web application.

    Args:
        manager: The served models.
        executor: The threads that decode, run the model and encode.
        options: What is answered, and to whom.

    Returns:
        The ASGI application.
    """
    return RestApp(manager, executor, options)


class RestApp:
    """The ASGI application; see `build_app`."""

    def __init__(self, manager: ModelManager, executor: Executor, options: RestOptions) -> None:
        self._manager = manager
        self._executor = executor
        self._options = options

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        method = scope["method"]
        raw_path = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.decode("latin-1")
        headers: Headers = dict(scope["headers"])
        body = b""
        try:
            refused = self._refuse(method, path, headers)
            if refused is None and method not in ("GET", "HEAD", "OPTIONS"):
                declared = headers.get(b"content-length", b"")
                body = await read_body(receive, declared, self._options.max_request_bytes)
                started = time.perf_counter()
            answer = refused or await self._answer(method, path, headers, body)
        except ClientGoneError:
            asked = _asked(method, path)
            self._observe(refusal(499, Code.CANCELLED, "Client went away", asked), started, 0)
            return
        except BodyError as err:
            answer = refusal(err.status, Code.INVALID_ARGUMENT, err.message, _asked(method, path))
        self._observe(answer, started, len(body))
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": self._headers(answer),
            }
        )
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    def _refuse(self, method: str, path: str, headers: Headers) -> Answer | None:
        """The answer to those who may not ask, and to a browser's question whether it may."""
        if method == "OPTIONS" and self._options.cors:
            if headers.get(b"origin", b"").startswith((b"http://", b"https://")):
                return Answer(200, b"")
            text = "Origin header is missing in CORS preflight"
            return refusal(400, Code.FAILED_PRECONDITION, text)
        token = self._options.token
        if not token or path in _OPEN_PATHS:
            return None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode()):
            return None
        text = "A bearer token is needed: Authorization: Bearer TOKEN"
        return refusal(401, Code.UNAUTHENTICATED, text, _asked(method, path))

    async def _answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        options = self._options
        loop = asyncio.get_running_loop()
        executor: Executor | None = self._executor
        if path == options.metrics_path and options.metrics and method in ("GET", "HEAD"):
            page = await loop.run_in_executor(None, options.metrics.render)
            return Answer(200, page, _METRICS_TYPE, entrypoint="Metrics")
        if method in ("GET", "HEAD"):
            if _asked(method, path).entrypoint == GET_STATUS or path in _MLFLOW_PATHS:
                return self._work(method, path, headers, body)
            executor = None  # the loop's own threads: it waits for no model
        work = loop.run_in_executor(executor, self._work, method, path, headers, body)
        if not options.timeout_s:
            return await work
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            work.cancel()

        timer = loop.call_later(options.timeout_s, expire)
        try:
            return await work
        except asyncio.CancelledError:
            if not expired:
                raise
            text = f"The request took longer than {options.timeout_s:g} s"
            code = Code.DEADLINE_EXCEEDED
            return refusal(HTTP_STATUS[code], code, text, _asked(method, path))
        finally:
            timer.cancel()

    def _work(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        try:
            encoding = headers.get(b"content-encoding")
            if encoding:
                body = unpack(body, encoding, self._options.max_request_bytes)
            if path.startswith(_MLFLOW_PATHS):
                from serving.model_server.invocations import answer_as_mlflow

                content_type = headers.get(b"content-type", b"").decode("latin-1")
                return answer_as_mlflow(self._manager, method, path, body, content_type)
            return handle(self._manager, method, path, body)
        except BodyError as err:
            return refusal(err.status, Code.INVALID_ARGUMENT, err.message, _asked(method, path))
        except Exception:  # the outermost boundary: the client gets an answer whatever happens
            logger.exception("%s %s failed", method, path)
            return refusal(500, Code.INTERNAL, _INTERNAL, _asked(method, path))

    def _headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"content-type", answer.content_type.encode("latin-1")),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if answer.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if self._options.cors:
            allowed = b"Content-Type, Authorization" if self._options.token else b"Content-Type"
            headers.extend((*_CORS, (b"access-control-allow-headers", allowed)))
        return headers

    def _observe(self, answer: Answer, started: float, bytes_in: int) -> None:
        if self._options.observer is None:
            return
        self._options.observer.request(
            "REST",
            answer.entrypoint,
            answer.model,
            answer.version,
            answer.code,
            time.perf_counter() - started,
            bytes_in=bytes_in,
            bytes_out=len(answer.body),
            detail=answer.detail,
            run_s=answer.run_s,
            examples=answer.examples,
        )


def _asked(method: str, path: str) -> ModelPath:
    try:
        return parse_path(method, path)
    except StatusError:
        return ModelPath("")
