"""One value of a row: whether it is missing, what stands for that, and its type in a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from mlproject.raw_inputs import MISSING_INT

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


def plain(value: Any) -> Any:
    """Numpy's scalars and arrays as Python's, without importing numpy."""
    return value.tolist() if hasattr(value, "tolist") else value


def is_missing(value: Any, dtype: str) -> bool:
    """Whether a value is None, NaN or pandas' own None, or an empty text for a number.

    Args:
        value: A plain value.
        dtype: TensorFlow's enum name, `DT_FLOAT`.
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, float) and value != value:
        return True
    return bool(value == "" and dtype != "DT_STRING")


def stand_in(dtype: str) -> Any:
    """The value that the exported models read as missing; None for a type that has none."""
    if dtype in _FLOATS:
        return float("nan")
    return {"DT_STRING": "", "DT_INT64": MISSING_INT}.get(dtype)


def convert(value: Any, dtype: str) -> Any:
    """A value as it goes into the JSON request; None when it is not of the type."""
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
    if isinstance(value, dict):
        return value if _is_base64(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _is_base64(value: Mapping[str, Any]) -> bool:
    try:
        return list(value) == ["b64"] and base64.b64decode(value["b64"], validate=True) is not None
    except (TypeError, ValueError, binascii.Error):  # ValueError: not ASCII
        return False


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
