"""What is wrong with a JSON value, in the words of TensorFlow Serving.

Only a request that was refused comes here: the values are walked in the order of the document, so
that the first fault is the one that is told.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from serving.model_server.json_bytes import from_base64, is_base64
from serving.model_server.signature import TensorSpec
from serving.model_server.status import Code, StatusError, invalid

MAX_RANK = 32  # numpy's own limit
_MAX_QUOTED_CHARS = 200
# The largest number of each float type.
MAX_FLOAT = {
    "DT_BFLOAT16": (2 - 2**-7) * 2.0**127,
    "DT_HALF": float(np.finfo(np.float16).max),
    "DT_FLOAT": float(np.finfo(np.float32).max),
    "DT_DOUBLE": float(np.finfo(np.float64).max),
}
_TYPE_NAMES: dict[type, str] = {
    int: "Number",
    float: "Number",
    str: "String",
    list: "Array",
    dict: "Object",
    type(None): "Null",
}


def type_name(value: Any) -> str:
    """The JSON type of a value, as TensorFlow Serving prints it."""
    return str(value) if type(value) is bool else _TYPE_NAMES[type(value)]


def quote(value: Any) -> str:
    """A JSON value as text for an error, cut when it is long."""
    text = ""
    for piece in json.JSONEncoder().iterencode(value):  # lazily: a value may be megabytes
        text += piece[:_MAX_QUOTED_CHARS]
        if len(text) > _MAX_QUOTED_CHARS:
            return text[:_MAX_QUOTED_CHARS] + "..."
    return text


def dense_shape(value: Any) -> list[int]:
    """The shape of nested lists, told from the first element of each level."""
    shape = []
    while type(value) is list:
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def fault_in(value: Any, spec: TensorSpec) -> StatusError | None:
    """The first reason why a JSON value, nested lists or a scalar, is no tensor of a type."""
    shape = dense_shape(value)
    if len(shape) > MAX_RANK:
        return invalid(f"Encountered list at unexpected level: {MAX_RANK}")
    return _fault_at(value, 0, shape, spec)


def _fault_at(value: Any, level: int, shape: list[int], spec: TensorSpec) -> StatusError | None:
    rank = len(shape)
    if type(value) is not list:
        if level == rank:
            return _value_fault(value, spec)
        return invalid(
            f"JSON Value: {quote(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {rank}"
        )
    if level >= rank:
        return invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        return invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        fault = _fault_at(item, level + 1, shape, spec)
        if fault is not None:
            return fault
    return None


def _value_fault(value: Any, spec: TensorSpec) -> StatusError | None:
    dtype = spec.numpy_dtype
    if dtype is None:
        return StatusError(
            Code.UNIMPLEMENTED,
            f"Conversion of JSON Value: {quote(value)} to type: {spec.label}",
        )
    if spec.dtype == "DT_STRING":
        return _string_fault(value, spec)
    if spec.dtype in MAX_FLOAT:
        if type(value) not in (int, float):
            return _type_fault(value, spec)
        return float_fault(value, spec.dtype, spec.label)
    if spec.dtype == "DT_BOOL":
        return None if type(value) is bool else _type_fault(value, spec)
    limits = np.iinfo(dtype)
    if type(value) is int and limits.min <= value <= limits.max:
        return None
    return _type_fault(value, spec)


def _string_fault(value: Any, spec: TensorSpec) -> StatusError | None:
    if type(value) is dict:
        if not is_base64(value):
            return invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
        try:
            from_base64(value)
        except StatusError as err:
            return err
        return None
    if type(value) is not str:
        return _type_fault(value, spec)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return invalid(f"JSON Value: {quote(value)} is not valid Unicode")
    return None


def float_fault(value: float, dtype: str, label: str) -> StatusError | None:
    """The reason why a number is not sent as a float type: it would become infinite.

    One that the type can only come near is rounded, as TensorFlow Serving's guide has it.
    """
    if not MAX_FLOAT[dtype] < abs(value) < float("inf"):
        return None
    return invalid(
        f"Cannot convert JSON value: {quote(value)} to {label} without loss of precision."
    )


def _type_fault(value: Any, spec: TensorSpec) -> StatusError:
    return invalid(
        f"JSON Value: {quote(value)} Type: {type_name(value)} is not of expected type: {spec.label}"
    )
