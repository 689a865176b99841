"""JSON values as arrays: whole lists at a time, with TensorFlow Serving's checks.

`struct.pack` converts a flat list of floats fastest, `array.array` one of integers; both refuse
other types, and integers out of range, themselves. What they let pass, booleans and numbers that
are too large for a float type, is looked for only where it can be.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from serving.model_server.json_bytes import from_base64, is_base64
from serving.model_server.json_faults import MAX_FLOAT, MAX_RANK, fault_in
from serving.model_server.signature import Array, TensorSpec
from serving.model_server.status import invalid

_FEW = 64  # values; below it Python looks at each faster than numpy starts
_TYPE_CODES = {
    "DT_INT8": "b",
    "DT_UINT8": "B",
    "DT_INT16": "h",
    "DT_UINT16": "H",
    "DT_INT32": "i",
    "DT_UINT32": "I",
    "DT_INT64": "q",
    "DT_UINT64": "Q",
}


class _RefusedError(Exception):
    """A list does not convert; the faults tell why."""


def to_array(value: Any, spec: TensorSpec) -> Array:
    """Turn a JSON value, nested lists or one scalar, into an array of an input's type.

    Raises:
        StatusError: INVALID_ARGUMENT when lists are ragged or too deep, or a value is of
            another type; UNIMPLEMENTED for types that JSON cannot carry.
    """
    try:
        shape, flat = _flatten(value)
        return _convert(flat, spec).reshape(shape)
    except _RefusedError as err:
        fault = fault_in(value, spec)
        raise fault or invalid(f"Values do not convert to {spec.label}: {err}") from err


def _flatten(value: Any) -> tuple[list[int], Sequence[Any]]:
    if type(value) is not list:
        return [], (value,)
    shape = [len(value)]
    flat = value
    while flat and type(flat[0]) is list:
        if set(map(type, flat)) != {list} or len(set(map(len, flat))) != 1:
            raise _RefusedError("ragged lists")
        shape.append(len(flat[0]))
        if len(shape) > MAX_RANK:
            raise _RefusedError("nested too deep")
        flat = list(chain.from_iterable(flat))
    return shape, flat


def _convert(values: Sequence[Any], spec: TensorSpec) -> Array:
    dtype = spec.numpy_dtype
    if dtype is None:
        if values:
            raise _RefusedError("no type of JSON")
        return np.empty(0, object)
    if not values:
        return np.empty(0, dtype)
    if spec.dtype == "DT_STRING":
        return _strings(values)
    if spec.dtype == "DT_BOOL":
        if set(map(type, values)) != {bool}:
            raise _RefusedError("not all are booleans")
        return np.array(values, dtype)
    try:
        if spec.dtype in MAX_FLOAT:
            return _floats(values, dtype, spec)
        numbers = np.frombuffer(array(_TYPE_CODES[spec.dtype], values), dtype)
        _refuse_bools(values, numbers)
        return numbers
    except (TypeError, OverflowError, struct.error) as err:
        raise _RefusedError(str(err)) from err


def _floats(values: Sequence[Any], dtype: np.dtype[Any], spec: TensorSpec) -> Array:
    if len(values) <= _FEW:
        return _few_floats(values, dtype, spec)
    wide = np.frombuffer(struct.pack(f"{len(values)}d", *values), np.float64)
    _refuse_bools(values, wide)
    largest = np.fmax.reduce(np.abs(wide))
    if largest > MAX_FLOAT[spec.dtype]:
        large = np.flatnonzero(np.abs(wide) > MAX_FLOAT[spec.dtype])
        if any(fault_in(values[position], spec) for position in large):
            raise _RefusedError("too large")
    return wide if dtype == np.float64 else wide.astype(dtype)


def _few_floats(values: Sequence[Any], dtype: np.dtype[Any], spec: TensorSpec) -> Array:
    if not set(map(type, values)) <= {int, float}:
        raise _RefusedError("not all are numbers")
    most = MAX_FLOAT[spec.dtype]
    for value in values:
        if not -most <= value <= most and fault_in(value, spec):  # the first: not NaN either
            raise _RefusedError("too large")
    return np.array(values, np.float64).astype(dtype)


def _refuse_bools(values: Sequence[Any], numbers: Array) -> None:
    """Python takes `True` for 1; only where a 0 or 1 came out can one have been given."""
    few = len(values) <= _FEW
    if (few or ((numbers == 0) | (numbers == 1)).any()) and bool in set(map(type, values)):
        raise _RefusedError("booleans are no numbers")


def _strings(values: Sequence[Any]) -> Array:
    result = np.empty(len(values), dtype=object)
    try:
        if set(map(type, values)) == {str}:
            result[:] = [value.encode() for value in values]
        else:
            result[:] = [_to_bytes(value) for value in values]
    except UnicodeEncodeError as err:
        raise _RefusedError("half of a surrogate pair") from err
    return result


def _to_bytes(value: Any) -> bytes:
    if type(value) is str:
        return value.encode()
    if is_base64(value):
        return from_base64(value)
    raise _RefusedError("neither text nor base64")
