"""Predict requests in JSON, read the way TensorFlow Serving reads them.

Row format: `{"instances": [{"x": 1.0, "s": "a"}, ...]}`, or plain values for a single input.
Column format: `{"inputs": {"x": [1.0, 2.0], "s": ["a", "b"]}}`, or plain values for one input.
Bytes are `{"b64": "..."}`; `NaN`, `Infinity` and `-Infinity` are numbers. Other keys are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serving.model_server.json_document import parse_object
from serving.model_server.json_faults import quote
from serving.model_server.json_rows import columns_of_rows, is_object
from serving.model_server.json_tensor import to_array
from serving.model_server.signature import DEFAULT_SIGNATURE, Signature, Tensors
from serving.model_server.status import invalid

ROW = "instances"
COLUMN = "inputs"


@dataclass(frozen=True)
class JsonRequest:
    """A parsed request body, before its signature is known.

    Args:
        signature_name: The signature to call; empty stands for the default one.
        document: The whole body.
    """

    signature_name: str
    document: dict[str, Any]

    @property
    def format(self) -> str:
        """The format, `ROW` or `COLUMN`, which the answer shares."""
        return ROW if ROW in self.document else COLUMN

    @property
    def signature(self) -> str:
        """The signature to call."""
        return self.signature_name or DEFAULT_SIGNATURE


def parse_request(body: bytes) -> JsonRequest:
    """Parse the body of a predict request.

    Raises:
        StatusError: INVALID_ARGUMENT when it is no JSON object, or its signature no name.
    """
    document = parse_object(body)
    return JsonRequest(signature_name(document), document)


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request names; empty when it names none.

    Raises:
        StatusError: INVALID_ARGUMENT when it is not a string.
    """
    name = document.get("signature_name", "")
    if type(name) is str:
        return name
    raise invalid(
        f"JSON Value: {quote(document)} not formatted correctly. "
        "'signature_name' key must be a string value."
    )


def to_tensors(request: JsonRequest, signature: Signature) -> Tensors:
    """Turn the values of a request into the tensors of a signature's inputs.

    Raises:
        StatusError: INVALID_ARGUMENT that names the element, the input and the type expected.
    """
    document = request.document
    if not signature.inputs:
        raise invalid(
            f"Failed to get input map for signature: {request.signature_name or 'DEFAULT'}"
        )
    if ROW in document and COLUMN in document:
        raise invalid(
            f"JSON Value: {quote(document)} Not formatted correctly expecting only one of "
            f"'{COLUMN}' or '{ROW}' keys to exist "
        )
    if COLUMN in document:
        return _tensors_of_columns(document[COLUMN], signature)
    if ROW not in document:
        raise invalid(f"Missing '{COLUMN}' or '{ROW}' key")
    rows = document[ROW]
    if type(rows) is not list:
        # "Excepting" is how TensorFlow Serving spells it.
        raise invalid(f"JSON Value: {quote(document)} Excepting '{ROW}' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {quote(document)} No values in '{ROW}' array")
    return columns_of_rows(rows, signature)


def _tensors_of_columns(value: Any, signature: Signature) -> Tensors:
    inputs = signature.inputs
    if not is_object(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        name, spec = next(iter(inputs.items()))
        return {name: to_array(value, spec)}
    for name in sorted(inputs):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: to_array(value[name], spec) for name, spec in inputs.items()}
