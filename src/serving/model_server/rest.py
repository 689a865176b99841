"""TensorFlow Serving's REST API as a web application."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Executor
from typing import TYPE_CHECKING
from urllib.parse import unquote

from serving.model_server.json_answer import (
    error_answer,
    metadata_answer,
    predict_answer,
    status_answer,
)
from serving.model_server.json_request import parse_request, to_tensors
from serving.model_server.manager import ModelManager
from serving.model_server.status import Code, StatusError, invalid

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_SPEC = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(rf"(?i:{_SPEC}):(?P<method>predict|classify|regress)", re.ASCII)
_STATUS = re.compile(rf"(?i:{_SPEC})", re.ASCII)
_METADATA = re.compile(rf"(?i:{_SPEC})/metadata", re.ASCII)
_MAX_VERSION = 2**63 - 1
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_app(manager: ModelManager, executor: Executor, max_request_bytes: int) -> Starlette:
    """Build the web application.

    Args:
        manager: The served models.
        executor: The threads that decode, run the model and encode; the event loop only moves
            bytes.
        max_request_bytes: Bodies over this size are answered with status 413.

    Returns:
        The ASGI application.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    async def endpoint(request: Request) -> Response:
        body = await _read_body(request, max_request_bytes)
        if body is None:
            return _json(413, error_answer(f"Request body is over {max_request_bytes} bytes"))
        # The path as it was sent: a %2F in a name must not become a path separator.
        path = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        status, answer = await asyncio.get_running_loop().run_in_executor(
            executor, handle, manager, request.method, path, body
        )
        return _json(status, answer)

    async def malformed(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        text = f"Malformed request: {request.method} {request.url.path}"
        return _json(status, error_answer(text))

    async def internal(request: Request, error: Exception) -> Response:
        return _json(500, error_answer("Internal error; the server's log tells more"))

    handlers = {HTTPException: malformed, Exception: internal}
    routes = [Route("/v1/{rest:path}", endpoint, methods=_METHODS)]
    return Starlette(routes=routes, exception_handlers=handlers)


def handle(manager: ModelManager, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Answer one request.

    Args:
        manager: The served models.
        method: The HTTP method.
        path: The path as it was sent, still percent-encoded.
        body: The request body.

    Returns:
        The HTTP status and the JSON body.
    """
    try:
        if method == "POST" and (match := _PREDICT.fullmatch(path)):
            if match["method"].lower() != "predict":
                raise StatusError(Code.UNIMPLEMENTED, f"{match['method']} is not implemented")
            return 200, _predict(manager, match, body)
        if method in ("GET", "HEAD"):
            if match := _METADATA.fullmatch(path):
                return 200, _metadata(manager, match)
            if match := _STATUS.fullmatch(path):
                return 200, status_answer(manager.statuses(*_model_spec(match)))
            if path.rstrip("/").lower() == "/v1/models":
                raise invalid("Missing model name in request.")
        raise invalid(f"Malformed request: {method} {path}")
    except StatusError as err:
        return err.http_status, error_answer(err.message)


def _predict(manager: ModelManager, match: re.Match[str], body: bytes) -> bytes:
    request = parse_request(body)
    with manager.acquire(*_model_spec(match)) as (_, model):
        signature = model.signatures.get(request.signature_name)
        if signature is None:
            raise invalid(
                f'Serving signature name: "{request.signature_name}" not found in signature def'
            )
        outputs = model.predict(signature, to_tensors(request, signature))
    return predict_answer(outputs, request.format)


def _metadata(manager: ModelManager, match: re.Match[str]) -> bytes:
    name, version, label = _model_spec(match)
    with manager.acquire(name, version, label) as (served_version, model):
        return metadata_answer(name, served_version, model.signature_defs)


def _model_spec(match: re.Match[str]) -> tuple[str, int | None, str]:
    version = None
    if match["version"]:
        if len(match["version"]) > len(str(_MAX_VERSION)) or int(match["version"]) > _MAX_VERSION:
            raise invalid(f"Failed to convert version: {match['version']} to numeric.")
        version = int(match["version"])
    return unquote(match["name"]), version, unquote(match["label"] or "")


async def _read_body(request: Request, max_bytes: int) -> bytes | None:
    """Read the body, or give None as soon as it is too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _json(status: int, body: bytes) -> Response:
    from starlette.responses import Response

    return Response(body, status_code=status, media_type="application/json")
