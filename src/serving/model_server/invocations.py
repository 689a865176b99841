"""The API of `mlflow models serve`: /invocations, /ping, /health and /version.

A request has one of the keys `dataframe_split`, `dataframe_records`, `instances` and `inputs`, or
is `text/csv`; the answer is `{"predictions": [{"<output>": value, ...}, ...]}`, as our models'
MLflow flavour gives it there. Where a server has several models, `/invocations/MODEL` names one.
Bytes are `{"b64": "..."}`, since a SavedModel does not tell bytes from text. Errors have MLflow's
`error_code` and `message`. Parquet and the formats for language models are not taken.
"""

from __future__ import annotations

import base64
import csv
import json
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import orjson

from serving.model_server.json_answer import shown
from serving.model_server.manager import ModelManager
from serving.model_server.rest_api import JSON, TEXT, Answer, ModelPath, refusal
from serving.model_server.signature import DEFAULT_SIGNATURE, Array, Signature, Tensors
from serving.model_server.status import Code, StatusError, invalid, not_found

if TYPE_CHECKING:
    import pandas as pd

INVOCATIONS = "Invocations"
_MAX_CSV_COLUMNS = 2_000  # pandas takes seconds for tens of thousands
_PATH = "/invocations"
_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# MLflow's names of errors; another code is an INTERNAL_ERROR there.
_ERROR_CODES = {
    Code.INVALID_ARGUMENT: "BAD_REQUEST",
    Code.NOT_FOUND: "RESOURCE_DOES_NOT_EXIST",
    Code.UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
    Code.RESOURCE_EXHAUSTED: "RESOURCE_EXHAUSTED",
    Code.UNIMPLEMENTED: "NOT_IMPLEMENTED",
    Code.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
}
# What pandas raises for values that make no data frame.
_NO_FRAME = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def answer_as_mlflow(
    manager: ModelManager, method: str, path: str, body: bytes, content_type: str
) -> Answer:
    """Answer one request.

    Args:
        manager: The served models.
        method: The HTTP method.
        path: The path as it was sent.
        body: The request body.
        content_type: The request's `Content-Type`.
    """
    if path in ("/ping", "/health", "/version"):
        if method not in ("GET", "HEAD"):
            return refusal(405, Code.UNIMPLEMENTED, f"Method Not Allowed: {method} {path}")
        if path == "/version":
            return Answer(200, _mlflow_version().encode(), entrypoint="Version")
        return Answer(200 if _all_answer(manager) else 503, b"\n", entrypoint="Health")
    if path != _PATH and not path.startswith(f"{_PATH}/"):
        text = f"Malformed request: {method} {path}"
        return refusal(404, Code.INVALID_ARGUMENT, text)
    if method != "POST":
        return refusal(405, Code.UNIMPLEMENTED, f"Method Not Allowed: {method} {path}")
    refused = _refuse_type(content_type)
    if refused:
        asked = ModelPath(INVOCATIONS)
        return refusal(415, Code.INVALID_ARGUMENT, refused, asked)._replace(
            body=refused.encode(), content_type=TEXT
        )
    name = ""
    try:
        name = _model_name(manager, path)
        with manager.acquire(name) as (served, model):
            signature = model.signatures.get(DEFAULT_SIGNATURE)
            if signature is None:
                raise invalid(f"The model has no signature {DEFAULT_SIGNATURE}")
            tensors, rows = _read(body, content_type, signature)
            outputs = model.predict(signature, tensors)
        return Answer(200, _predictions(outputs, rows), JSON, Code.OK, INVOCATIONS, name, served)
    except StatusError as err:
        return _error(err, name)


def _all_answer(manager: ModelManager) -> bool:
    """Whether every model has a version that answers."""
    try:
        for name in manager.models:
            with manager.acquire(name):
                pass
    except StatusError:
        return False
    return True


def _mlflow_version() -> str:
    try:
        return version("mlflow")
    except PackageNotFoundError:  # a server needs none
        return ""


def _model_name(manager: ModelManager, path: str) -> str:
    names = sorted(manager.models)
    named = unquote(path.removeprefix(_PATH).lstrip("/"))
    if named:
        if named not in names:
            raise not_found(f"There is no model '{named}' here. The models are: {names}")
        return named
    if len(names) != 1:
        raise invalid(f"Name the model, {_PATH}/MODEL. The models are: {names}")
    return names[0]


def _refuse_type(content_type: str) -> str:
    """Why a content type is not taken, in MLflow's words; empty when it is."""
    mime_type, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "charset" and value.lower() != "utf-8":
            return "The scoring server only supports UTF-8"
        if key != "charset":
            return f"Unrecognized content type parameters: {key}."
    if mime_type in ("text/csv", JSON):
        return ""
    return (
        "This predictor only supports the following content types: "
        f"Types: ['text/csv', '{JSON}']. Got '{content_type}'."
    )


def _read(body: bytes, content_type: str, signature: Signature) -> tuple[Tensors, int]:
    """The tensors of a request, and the number of its rows."""
    from serving.model_server.frame_tensors import frame_tensors

    try:
        if content_type.startswith("text/csv"):
            frame = _csv_frame(body, signature)
        else:
            frame = _json_frame(_document(body), signature)
        return frame_tensors(frame, signature), len(frame)
    except (*_NO_FRAME, csv.Error, RecursionError) as err:
        raise invalid(f"The rows do not fit the model. {type(err).__name__}: {err}") from err


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:  # NaN is a number to MLflow
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as err:
            raise invalid(
                f"Invalid input. Ensure that input is a valid JSON formatted string. Error: '{err}'"
            ) from err
    required = (
        f"The input must be a JSON dictionary with exactly one of the input fields {list(_FORMATS)}"
    )
    if type(document) is not dict:
        raise invalid(f"Invalid input. {required}. Received: {type(document).__name__}.")
    if sum(key in document for key in _FORMATS) != 1:
        raise invalid(f"{required}. Received dictionary with input fields: {list(document)[:20]}")
    return document


def _csv_frame(body: bytes, signature: Signature) -> pd.DataFrame:
    import pandas as pd

    text = body.decode()
    header = next((row for row in csv.reader(StringIO(text)) if row), [])
    if len(header) > _MAX_CSV_COLUMNS or len(set(header)) < len(header):
        raise ValueError(f"A CSV has up to {_MAX_CSV_COLUMNS} columns of different names.")
    texts = [name for name, spec in signature.inputs.items() if spec.dtype == "DT_STRING"]
    # "007" stays a text where the model takes text.
    return pd.read_csv(StringIO(text), dtype=dict.fromkeys(texts, object))


def _json_frame(document: dict[str, Any], signature: Signature) -> pd.DataFrame:
    import pandas as pd

    if "dataframe_split" in document:
        return _split_frame(document["dataframe_split"])
    if "dataframe_records" in document:
        records = document["dataframe_records"]
        if type(records) is not list:
            raise invalid(
                "Invalid input. Dataframe records format must be a list of records. "
                f"Got {type(records).__name__}."
            )
        return pd.DataFrame(records)
    values = document.get("instances", document.get("inputs"))
    if type(values) is dict:
        listed = any(type(value) is list for value in values.values())
        return pd.DataFrame(values if listed else [values])
    if type(values) is list and values and set(map(type, values)) == {dict}:
        return pd.DataFrame(values)
    if len(signature.inputs) > 1 or type(values) is not list:
        raise invalid("Invalid input. Values without names fit models of one input only.")
    frame = pd.DataFrame(index=range(len(values)))
    frame[next(iter(signature.inputs))] = pd.Series(values, dtype=object)
    return frame


def _split_frame(split: Any) -> pd.DataFrame:
    import pandas as pd

    if type(split) is not dict:
        raise invalid(
            "Invalid input. Dataframe split format must be a dictionary. "
            f"Got {type(split).__name__}."
        )
    if "data" not in split or split.keys() - {"columns", "data", "index"}:
        raise invalid(
            "Invalid input. Dataframe split format must have 'data' field and optionally "
            f"'columns' and 'index' fields. Got {list(split)[:20]}."
        )
    frame = pd.DataFrame(split["data"], index=split.get("index"), columns=split.get("columns"))
    return frame.reset_index(drop=True)


def _predictions(outputs: Tensors, rows: int) -> bytes:
    """The answer: an object for each row, with a number as the double that MLflow makes of it."""
    columns: dict[str, list[Any]] = {}
    for name, array in sorted(outputs.items()):
        flat = array.ndim == 1 or (array.ndim > 1 and array.shape[-1] == 1)
        column = _jsonable(array.reshape(-1) if flat else array)
        if type(column) is not list or len(column) != rows:
            raise invalid(f"Output {name} has not one value for each of {rows} rows")
        columns[name] = column
    records = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    document = {"predictions": records}
    finite = all(np.isfinite(a).all() for a in outputs.values() if a.dtype.kind == "f")
    return orjson.dumps(document) if finite else json.dumps(document).encode()


def _jsonable(array: Array) -> Any:
    if array.dtype.kind == "O":
        flat = np.empty(array.size, object)
        # MLflow's encoding of bytes, line breaks and all.
        flat[:] = [base64.encodebytes(value).decode() for value in array.reshape(-1)]
        return flat.reshape(array.shape).tolist()
    return (array.astype(np.float64) if array.dtype.kind in "fV" else array).tolist()


def _error(err: StatusError, model: str) -> Answer:
    document = {
        "error_code": _ERROR_CODES.get(err.code, "INTERNAL_ERROR"),
        "message": shown(err.message),
    }
    return Answer(
        err.http_status,
        orjson.dumps(document),
        code=err.code,
        entrypoint=INVOCATIONS,
        model=model,
        detail=err.message,
    )
