"""Predict requests in JSON, read the way TensorFlow Serving reads them.

Row format: `{"instances": [{"x": 1.0, "s": "a"}, ...]}`, or plain values for a single input.
Column format: `{"inputs": {"x": [1.0, 2.0], "s": ["a", "b"]}}`, or plain values for one input.
Bytes are `{"b64": "..."}`; `NaN`, `Infinity` and `-Infinity` are numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from serving.model_server.json_tensor import is_base64, quote, to_array
from serving.model_server.signature import DEFAULT_SIGNATURE, Signature, Tensors
from serving.model_server.status import StatusError, invalid

ROW = "instances"
COLUMN = "inputs"


@dataclass(frozen=True)
class JsonRequest:
    """A parsed request body, before its signature is known.

    Args:
        signature_name: The signature to call.
        format: `ROW` or `COLUMN`.
        value: What stood under `instances` or `inputs`.
    """

    signature_name: str
    format: str
    value: Any


def parse_request(body: bytes) -> JsonRequest:
    """Parse the body of a predict request.

    Raises:
        StatusError: INVALID_ARGUMENT when it is not JSON, or not of either format.
    """
    document = _parse_json(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {quote(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {quote(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    name = name or DEFAULT_SIGNATURE
    if ROW in document and COLUMN in document:
        raise invalid(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only one of "
            f"'{COLUMN}' or '{ROW}' keys to exist"
        )
    if COLUMN in document:
        return JsonRequest(name, COLUMN, document[COLUMN])
    if ROW not in document:
        raise invalid(f"Missing '{COLUMN}' or '{ROW}' key")
    rows = document[ROW]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {quote(document)} Expecting '{ROW}' to be a list/array")
    if not rows:
        raise invalid(f"JSON Value: {quote(document)} No values in '{ROW}' array")
    return JsonRequest(name, ROW, rows)


def to_tensors(request: JsonRequest, signature: Signature) -> Tensors:
    """Turn the values of a request into the tensors of a signature's inputs.

    Raises:
        StatusError: INVALID_ARGUMENT that names the element, the input and the type expected.
    """
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {signature.name}")
    columns = _columns_of_rows if request.format == ROW else _columns_of_object
    values = columns(request.value, signature)
    tensors = {}
    for name, column in values.items():
        try:
            tensors[name] = to_array(column, signature.inputs[name])
        except StatusError as err:
            if request.format == ROW:
                raise _element_error(name, column, signature, err) from err
            raise
    return tensors


def _parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as err:
        # orjson keeps to the standard, which has no NaN and Infinity; the slower parser has them.
        if b"NaN" not in body and b"Infinity" not in body:
            raise invalid(f"JSON Parse error: {err}") from err
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as err:
        raise invalid(f"JSON Parse error: {err}") from err


def _columns_of_rows(rows: list[Any], signature: Signature) -> dict[str, list[Any]]:
    inputs = signature.inputs
    if not _is_object(rows[0]):
        if len(inputs) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input "
                "tensors required as per tensorinfo_map"
            )
        for number, row in enumerate(rows):
            if _is_object(row):
                raise invalid(f"Expecting value/list but got object at item {number} of input list")
        return {next(iter(inputs)): rows}
    for number, row in enumerate(rows):
        if not _is_object(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if row.keys() == inputs.keys():
            continue
        for name in row:
            if name not in inputs:
                raise invalid(
                    f"Failed to process element: {number} key: {name} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {name}"
                )
        raise invalid(
            f"Failed to process element: {number} of 'instances' list. JSON object: {quote(row)}"
            f" keys must be equal to: {','.join(sorted(inputs))}"
        )
    return {name: [row[name] for row in rows] for name in inputs}


def _columns_of_object(value: Any, signature: Signature) -> dict[str, Any]:
    inputs = signature.inputs
    if not _is_object(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        return {next(iter(inputs)): value}
    for name in sorted(inputs):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: value[name] for name in inputs}


def _element_error(
    name: str, column: list[Any], signature: Signature, err: StatusError
) -> StatusError:
    """Find the first row that fails on its own, or that has another shape than the first."""
    spec = signature.inputs[name]
    first_shape = None
    for number, value in enumerate(column):
        place = f"Failed to process element: {number} key: {name} of 'instances' list."
        try:
            shape = to_array(value, spec).shape
        except StatusError as cause:
            return StatusError(err.code, f"{place} Error: {cause.code.name}: {cause.message}")
        first_shape = shape if first_shape is None else first_shape
        if shape != first_shape:
            return invalid(
                f"{place} Error: INVALID_ARGUMENT: Expecting shape "
                f"{list(first_shape)} but got: {list(shape)}"
            )
    return err


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)
