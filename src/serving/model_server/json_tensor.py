"""JSON values as arrays, with TensorFlow Serving's checks of nesting and types."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np

from serving.model_server.signature import Array, TensorSpec
from serving.model_server.status import Code, StatusError, invalid

_MAX_RANK = 32  # numpy's own limit
_MAX_QUOTED_CHARS = 200
# The largest whole number up to which a float type holds every whole number.
_MAX_WHOLE = {"DT_HALF": 2**11 - 1, "DT_FLOAT": 2**24 - 1, "DT_DOUBLE": 2**53 - 1}
_KINDS = {
    bool: "Bool",
    int: "Number",
    float: "Number",
    str: "String",
    list: "Array",
    dict: "Object",
    type(None): "Null",
}


def to_array(value: Any, spec: TensorSpec) -> Array:
    """Turn a JSON value, nested lists or one scalar, into an array of an input's type.

    Raises:
        StatusError: INVALID_ARGUMENT when lists are ragged or too deep, or a value is of
            another type; UNIMPLEMENTED for types that JSON cannot carry.
    """
    shape: list[int] = []
    flat = [value]
    while flat and isinstance(flat[0], list):
        size = len(flat[0])
        for item in flat:
            if not isinstance(item, list):
                raise invalid(
                    f"JSON Value: {quote(item)} found at incorrect level: {len(shape) + 1} in "
                    "the JSON DOM."
                )
            if len(item) != size:
                raise invalid(
                    f"Encountered list at unexpected size: {len(item)} at level: {len(shape)} "
                    f"expected size: {size}"
                )
        shape.append(size)
        if len(shape) > _MAX_RANK:
            raise invalid(f"Encountered list at unexpected level: {_MAX_RANK}")
        flat = [inner for item in flat for inner in item]
    array = _flat_array(flat, spec)
    return array.reshape(shape)


def _flat_array(values: list[Any], spec: TensorSpec) -> Array:
    dtype = spec.numpy_dtype
    if dtype is None:
        raise StatusError(Code.UNIMPLEMENTED, f"Conversion of JSON values to type: {spec.label}")
    kinds = set(map(type, values))
    if spec.dtype == "DT_STRING":
        return _string_array(values, spec)
    if dtype.kind == "f":
        allowed = {int, float}
    elif dtype.kind == "b":
        allowed = {bool}
    else:
        allowed = {int}
    if not kinds <= allowed:
        raise _type_error(next(v for v in values if type(v) not in allowed), spec)
    if dtype.kind == "f":
        return _float_array(values, dtype, spec, has_whole=int in kinds)
    if dtype.kind in "iu" and values:
        limits = np.iinfo(dtype)
        for extreme in (min(values), max(values)):
            if not limits.min <= extreme <= limits.max:
                raise _type_error(extreme, spec)
    return np.array(values, dtype=dtype)


def _float_array(values: list[Any], dtype: np.dtype, spec: TensorSpec, *, has_whole: bool) -> Array:
    if has_whole:
        most = _MAX_WHOLE[spec.dtype]
        for value in values:
            if type(value) is int and abs(value) > most:
                raise _lossy_error(value, spec)
    wide = np.array(values, dtype=np.float64)
    too_large = np.isfinite(wide) & (np.abs(wide) > np.finfo(dtype).max)
    if too_large.any():
        raise _lossy_error(values[int(too_large.argmax())], spec)
    return wide.astype(dtype)


def _string_array(values: list[Any], spec: TensorSpec) -> Array:
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        if type(value) is str:
            try:
                array[position] = value.encode()
            except UnicodeEncodeError as err:  # half of a surrogate pair
                raise invalid(f"JSON Value: {quote(value)} is not valid Unicode") from err
        elif is_base64(value):
            try:
                encoded = value["b64"] + "=" * (-len(value["b64"]) % 4)  # padding may be left out
                array[position] = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError) as err:
                raise invalid("Unable to base64 decode") from err
        elif isinstance(value, dict):
            raise invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
        else:
            raise _type_error(value, spec)
    return array


def is_base64(value: Any) -> bool:
    """Whether a JSON value stands for bytes: `{"b64": "..."}`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _type_error(value: Any, spec: TensorSpec) -> StatusError:
    if type(value) is list:
        return invalid("Encountered list at unexpected level")
    return invalid(
        f"JSON Value: {quote(value)} Type: {_KINDS[type(value)]} is not of expected type: "
        f"{spec.label}"
    )


def _lossy_error(value: Any, spec: TensorSpec) -> StatusError:
    return invalid(
        f"Cannot convert JSON value: {quote(value)} to {spec.label} without loss of precision."
    )


def quote(value: Any) -> str:
    """A JSON value as text for an error, cut when it is long."""
    text = ""
    for piece in json.JSONEncoder().iterencode(value):  # lazily: a value may be megabytes
        text += piece[:_MAX_QUOTED_CHARS]
        if len(text) > _MAX_QUOTED_CHARS:
            return text[:_MAX_QUOTED_CHARS] + "..."
    return text
