"""TensorFlow Serving's REST API as a function of a request: paths, methods and answers."""

from __future__ import annotations

import re
import time
from typing import NamedTuple
from urllib.parse import unquote

from serving.model_server.json_answer import (
    classify_answer,
    error_answer,
    metadata_answer,
    predict_answer,
    regress_answer,
    status_answer,
)
from serving.model_server.json_request import parse_request, to_tensors
from serving.model_server.manager import ModelManager
from serving.model_server.status import Code, StatusError, invalid

JSON = "application/json"
TEXT = "text/plain"

_SPEC = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE = re.compile(
    rf"(?i:/v1/models/(?P<name>[^/:]+){_SPEC}):(?P<method>predict|classify|regress)", re.ASCII
)
_MODEL = re.compile(
    rf"(?i:/v1/models(?:/(?P<name>[^/:]+))?{_SPEC}(?:/(?P<part>metadata))?)", re.ASCII
)
_API = re.compile(r"(?i:/v1/.*)", re.DOTALL)
_MAX_VERSION = 2**63 - 1

GET_STATUS, GET_METADATA = "GetModelStatus", "GetModelMetadata"


class ModelPath(NamedTuple):
    """What a path asks for.

    Args:
        entrypoint: TensorFlow Serving's name of the method; empty for a path that is none.
        model: The model's name.
        version: The version asked for.
        label: The version label asked for.
    """

    entrypoint: str
    model: str = ""
    version: int | None = None
    label: str = ""


class Answer(NamedTuple):
    """The answer to a request.

    Args:
        status: The HTTP status.
        body: The body.
        content_type: Its type.
        code: The canonical code.
        entrypoint: What was asked, for the observer.
        model: The model asked.
        version: The version that answered.
        detail: The text of an error.
        run_s: How long the model ran; None where it did not.
        examples: How many examples the request held.
    """

    status: int
    body: bytes
    content_type: str = JSON
    code: Code = Code.OK
    entrypoint: str = ""
    model: str = ""
    version: int | None = None
    detail: str = ""
    run_s: float | None = None
    examples: int = 0


def handle(manager: ModelManager, method: str, path: str, body: bytes) -> Answer:
    """Answer one request.

    Args:
        manager: The served models.
        method: The HTTP method; HEAD is answered as GET.
        path: The path as it was sent, still percent-encoded: a %2F in a name is no separator.
        body: The request body.
    """
    asked = ModelPath("")
    try:
        asked = parse_path(method, path)
        return _answer(manager, asked, method, path, body)
    except StatusError as err:
        status = err.http_status if _API.fullmatch(path) else 404
        return refusal(status, err.code, err.message, asked)


def refusal(status: int, code: Code, message: str, asked: ModelPath | None = None) -> Answer:
    """An answer with an error body.

    Args:
        status: The HTTP status.
        code: The canonical code.
        message: The text of the error.
        asked: What the path asked for.
    """
    asked = asked or ModelPath("")
    return Answer(
        status,
        error_answer(message),
        code=code,
        entrypoint=asked.entrypoint,
        model=asked.model,
        version=asked.version,
        detail=message,
    )


def parse_path(method: str, path: str) -> ModelPath:
    """Read a path.

    Raises:
        StatusError: INVALID_ARGUMENT for a version that is no 64-bit number.
    """
    match = None
    entrypoint = ""
    if method == "POST":
        match = _INFERENCE.fullmatch(path)
        entrypoint = match["method"].capitalize() if match else ""
    elif method in ("GET", "HEAD"):
        match = _MODEL.fullmatch(path)
        if match:
            entrypoint = GET_METADATA if match["part"] else GET_STATUS
    if not match:
        return ModelPath("")
    text = match["version"]
    if text and (len(text) > len(str(_MAX_VERSION)) or int(text) > _MAX_VERSION):
        raise invalid(f"Failed to convert version: {text} to numeric.")
    return ModelPath(
        entrypoint,
        unquote(match["name"] or ""),
        int(text) if text else None,
        unquote(match["label"] or ""),
    )


def _answer(manager: ModelManager, asked: ModelPath, method: str, path: str, body: bytes) -> Answer:
    entrypoint, name, version, label = asked
    if not entrypoint:
        raise invalid(f"Malformed request: {method} {path}")
    if not name:
        raise invalid("Missing model name in request.")
    if entrypoint == "Predict":
        return _predict(manager, asked, body)
    if entrypoint == GET_STATUS:
        return _success(asked, version, status_answer(manager.statuses(name, version, label)))
    if entrypoint == GET_METADATA:
        with manager.acquire(name, version, label) as (served, model):
            return _success(asked, served, metadata_answer(name, served, model.signature_defs))
    return _infer(manager, asked, body)


def _success(asked: ModelPath, version: int | None, text: bytes) -> Answer:
    return Answer(200, text, JSON, Code.OK, asked.entrypoint, asked.model, version)


def _predict(manager: ModelManager, asked: ModelPath, body: bytes) -> Answer:
    request = parse_request(body)
    with manager.acquire(asked.model, asked.version, asked.label) as (served, model):
        signature = model.signatures.get(request.signature)
        if signature is None:
            raise invalid(
                f'Serving signature name: "{request.signature}" not found in signature def'
            )
        tensors = to_tensors(request, signature)
        began = time.perf_counter()
        outputs = model.predict(signature, tensors)
        run_s = time.perf_counter() - began
    answer = _success(asked, served, predict_answer(outputs, request.format))
    return answer._replace(run_s=run_s)


def _infer(manager: ModelManager, asked: ModelPath, body: bytes) -> Answer:
    from serving.model_server.examples_json import parse_examples
    from serving.model_server.inference import classify, regress

    signature_name, examples = parse_examples(body)
    classifies = asked.entrypoint == "Classify"
    with manager.acquire(asked.model, asked.version, asked.label) as (served, model):
        began = time.perf_counter()
        result = (classify if classifies else regress)(model, signature_name, examples)
        run_s = time.perf_counter() - began
    text = classify_answer(result) if classifies else regress_answer(result)
    number = len(result.classifications if classifies else result.regressions)
    return _success(asked, served, text)._replace(run_s=run_s, examples=number)
