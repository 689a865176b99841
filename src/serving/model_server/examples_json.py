"""Classify and regress requests in JSON: `{"examples": [{"age": 20, "name": "foo"}, ...]}`.

Each example is an object of features; whole numbers and booleans become int64, other numbers
float, text and `{"b64": ...}` bytes. `context` holds the features that all examples share. Imported
only where such a request is served: it imports the API's protos at the top.
"""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis.input_pb2 import Input

from serving.model_server.json_bytes import from_base64, is_base64
from serving.model_server.json_document import parse_object
from serving.model_server.json_faults import float_fault, quote, type_name
from serving.model_server.json_request import signature_name
from serving.model_server.status import invalid

_INT64 = (-(2**63), 2**63 - 1)
_KIND_NAMES = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def parse_examples(body: bytes) -> tuple[str, Any]:
    """Parse the body of a classify or regress request.

    Returns:
        The signature's name, empty when none is named, and a `tensorflow.serving.Input`.

    Raises:
        StatusError: INVALID_ARGUMENT that names the feature.
    """
    document = parse_object(body)
    name = signature_name(document)
    message = Input()
    examples = message.example_list.examples
    if "context" in document:
        _fill(message.example_list_with_context.context, document["context"])
        examples = message.example_list_with_context.examples
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {quote(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    values = document["examples"]
    if type(values) is not list:
        raise invalid(
            f"JSON Value: {quote(document)} Expecting 'examples' value to be an list/array"
        )
    if not values:
        raise invalid(f"JSON Value: {quote(document)} 'examples' value is an empty array")
    for value in values:
        _fill(examples.add(), value)
    return name, message


def _fill(example: Any, value: Any) -> None:
    if type(value) is not dict:
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    features = example.features.feature
    for name, content in value.items():
        values = content if type(content) is list else [content]
        try:
            _fill_feature(features[name], name, values)
        except UnicodeEncodeError as err:
            raise invalid(f"Feature: {quote(name)} is not valid Unicode") from err


def _fill_feature(feature: Any, name: str, values: list[Any]) -> None:
    kinds = set(map(type, values))
    if kinds == {str}:
        feature.bytes_list.value.extend([value.encode() for value in values])
    elif kinds == {float}:
        for value in values:
            _check_float(value)
        feature.float_list.value.extend(values)
    elif kinds == {int} and _INT64[0] <= min(values) and max(values) <= _INT64[1]:
        feature.int64_list.value.extend(values)
    else:
        for value in values:
            _add(feature, name, value)


def _add(feature: Any, name: str, value: Any) -> None:
    """Add one value to a feature; the first one decides of which kind the feature is."""
    if is_base64(value):
        _of_kind(feature, name, "bytes_list").append(from_base64(value))
    elif type(value) is str:
        _of_kind(feature, name, "bytes_list").append(value.encode())
    elif type(value) is float:
        values = _of_kind(feature, name, "float_list")
        _check_float(value)
        values.append(value)
    elif type(value) in (bool, int):
        values = _of_kind(feature, name, "int64_list")
        if not _INT64[0] <= value <= _INT64[1]:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        values.append(int(value))
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _of_kind(feature: Any, name: str, kind: str) -> Any:
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        raise invalid(
            f"Unexpected element type in feature: {name} expecting type: {_KIND_NAMES[present]}"
        )
    return getattr(feature, kind).value


def _check_float(value: float) -> None:
    fault = float_fault(value, "DT_FLOAT", "float")
    if fault is not None:
        raise fault
