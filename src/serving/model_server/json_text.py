"""Arrays as JSON text.

orjson writes an array in one go; the text is then cut where a list has to be put together anew:
for `NaN` and `Infinity`, which the JSON standard lacks, and for rows of several outputs. Floats
have the shortest text that reads back as the same number of their type: float32 0.1 stays `0.1`,
whole ones are `1.0`.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson

from serving.model_server.signature import Array
from serving.model_server.status import invalid

# A string output whose name ends so is written as {"b64": ...}.
_BYTES_SUFFIX = "_bytes"


def array_text(name: str, array: Array) -> bytes:
    """Write an array as nested lists, or as one value when it has no dimension.

    Args:
        name: The output's name: one that ends in `_bytes` has its strings written as base64.
        array: Any shape.

    Raises:
        StatusError: INVALID_ARGUMENT for a type that JSON cannot carry.
    """
    array = _plain(array)
    if array.dtype.kind == "O":
        return orjson.dumps(_strings(name, array).tolist())
    if not _is_finite(array):
        return _nested(_flat_texts(array), array.shape)
    if array.ndim == 0:
        return _dumps(array.reshape(1))[1:-1]
    return _dumps(array)


def row_texts(name: str, array: Array) -> list[bytes]:
    """Write each row of an array by itself.

    Args:
        name: See `array_text`.
        array: `[rows, ...]`.

    Raises:
        StatusError: INVALID_ARGUMENT for a type that JSON cannot carry.
    """
    array = _plain(array)
    if array.dtype.kind == "O":
        return list(map(orjson.dumps, _strings(name, array).tolist()))
    if array.size == 0:
        return [_dumps(array[:1])[1:-1]] * len(array)
    if array.ndim == 1:
        return _flat_texts(array)
    if _is_finite(array):
        opening, closing = b"[" * (array.ndim - 1), b"]" * (array.ndim - 1)
        rows = _dumps(array)[array.ndim : -array.ndim].split(closing + b"," + opening)
        return [opening + row + closing for row in rows]
    texts = _flat_texts(array)
    size = len(texts) // len(array)
    return [
        _nested(texts[start : start + size], array.shape[1:])
        for start in range(0, len(texts), size)
    ]


def _plain(array: Array) -> Array:
    """The array in a type that the writer knows."""
    kind = array.dtype.kind
    if kind in "SU":
        return array.astype(object)
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if kind not in "fiubO":
        raise invalid(f"Failed to write JSON value for tensor type: {array.dtype.name}")
    return array


def _is_finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _dumps(array: Array) -> bytes:
    return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)


def _flat_texts(array: Array) -> list[bytes]:
    """The text of each element."""
    flat = array.reshape(-1)
    texts = _dumps(flat)[1:-1].split(b",")
    if not _is_finite(flat):
        for position in np.flatnonzero(~np.isfinite(flat)):
            value = flat[position]
            texts[position] = (
                b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
            )
    return texts


def _nested(texts: list[bytes], shape: tuple[int, ...]) -> bytes:
    for size in reversed(shape):
        texts = [
            b"[" + b",".join(texts[start : start + size]) + b"]"
            for start in range(0, len(texts), size)
        ]
    return texts[0]


def _strings(name: str, array: Array) -> Array:
    result = np.empty(array.size, dtype=object)
    write = to_base64 if name.endswith(_BYTES_SUFFIX) else _text
    result[:] = [write(value) for value in array.reshape(-1)]
    return result.reshape(array.shape)


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return to_base64(value)  # TensorFlow Serving would write a text that is no JSON


def to_base64(value: Any) -> dict[str, str]:
    """Bytes as JSON writes them."""
    raw = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(raw).decode()}
