"""Rows of raw features, made complete and of the types that a model's inputs have.

What a row leaves out is sent as the value that the exported models read as missing: NaN for
floats, "" for strings, the smallest int64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlproject.errors import ServingError, closest

MISSING_INT64 = -(2**63)
_FLOATS = ("DT_FLOAT", "DT_DOUBLE", "DT_HALF")
_INT_BITS = {
    "DT_INT8": (-(2**7), 2**7 - 1),
    "DT_INT16": (-(2**15), 2**15 - 1),
    "DT_INT32": (-(2**31), 2**31 - 1),
    "DT_INT64": (-(2**63), 2**63 - 1),
    "DT_UINT8": (0, 2**8 - 1),
    "DT_UINT32": (0, 2**32 - 1),
    "DT_UINT64": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class InputSpec:
    """One input of a signature.

    Args:
        dtype: TensorFlow's enum name, `DT_FLOAT`.
        row_shape: The shape of one row's value: `()` for an input of shape `[batch]`; None when
            the model takes any.
    """

    dtype: str
    row_shape: tuple[int, ...] | None = ()


def complete_row(
    row: Mapping[str, Any], inputs: Mapping[str, InputSpec], where: str = "The row"
) -> dict[str, Any]:
    """Make a row complete and of the types that the model's inputs have.

    Args:
        row: The raw features by name; absent and None both mean missing, and so do NaN and, for
            numbers, an empty text.
        inputs: The model's inputs.
        where: Which row it is, for errors.

    Returns:
        A value for every input, as it goes into the JSON request.

    Raises:
        ServingError: A feature is unknown, has no value for missing, or is of another type.
    """
    for name in row:
        if name not in inputs:
            raise ServingError(
                f"{where} has a feature that the model does not know",
                received=f"'{name}'",
                expected=closest(str(name), inputs),
                next_step="send the raw features that the model was trained on, not the label",
            )
    return {name: _value(name, row.get(name), spec, where) for name, spec in inputs.items()}


def _value(name: str, value: Any, spec: InputSpec, where: str) -> Any:
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        value = value.tolist()
    if isinstance(value, list | tuple) and spec.row_shape != ():
        return [_value(name, item, spec, where) for item in value]
    if _is_missing(value, spec.dtype):
        return _missing(name, spec, where)
    converted = _convert(value, spec.dtype)
    if converted is None:
        raise _type_error(name, value, spec.dtype, where)
    return converted


def _is_missing(value: Any, dtype: str) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own None
        return True
    if isinstance(value, float) and value != value:
        return True
    return value == "" and dtype != "DT_STRING"


def _missing(name: str, spec: InputSpec, where: str) -> Any:
    if spec.row_shape == ():
        if spec.dtype in _FLOATS:
            return float("nan")
        if spec.dtype == "DT_STRING":
            return ""
        if spec.dtype == "DT_INT64":
            return MISSING_INT64
    raise ServingError(
        f"{where} has no value for feature '{name}'",
        received="a missing value",
        expected=f"a {_label(spec.dtype)} value: this input has no value that means missing",
    )


def _convert(value: Any, dtype: str) -> Any:
    """Convert a value to a type; None when it is not of that type."""
    if dtype == "DT_STRING":
        return _to_string(value)
    if dtype == "DT_BOOL":
        return value if isinstance(value, bool) else None
    try:
        if dtype in _FLOATS:
            return float(value) if isinstance(value, int | float | str) else None
        if dtype in _INT_BITS:
            return _to_int(value, *_INT_BITS[dtype])
    except (ValueError, OverflowError):
        return None
    return None


def _to_string(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _to_int(value: Any, low: int, high: int) -> int | None:
    if isinstance(value, str):  # "8.0" too: so pandas writes integers beside missing values
        whole, _, fraction = value.strip().partition(".")
        if fraction.strip("0"):
            return None
        value = int(whole)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return int(value) if isinstance(value, int) and low <= value <= high else None


def _type_error(name: str, value: Any, dtype: str, where: str) -> ServingError:
    return ServingError(
        f"{where} has a value of the wrong type for feature '{name}'",
        received=f"{shorten(value)} ({type(value).__name__})",
        expected=f"a value of type {_label(dtype)}",
    )


def _label(dtype: str) -> str:
    return dtype.removeprefix("DT_").lower()


def shorten(value: Any, most: int = 200) -> str:
    """A value as text for an error, cut when it is long."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."
