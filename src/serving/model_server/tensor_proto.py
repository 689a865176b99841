"""Arrays from and to `TensorProto`, the tensors of the gRPC API.

Values are read as TensorFlow reads them (`Tensor::FromProto`): too few repeat the last, none are
zeros, too many are cut. They are answered as TensorFlow Serving answers: in the typed fields, never
in `tensor_content`. Imported only where requests are served: it imports TensorFlow's protos.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from serving.model_server.signature import Array
from serving.model_server.status import StatusError, invalid
from serving.model_server.wire_views import RAW_TENSOR_FIELDS, delimited, packed_tensor

_MAX_RANK = 254
_STRING = DataType.DT_STRING
# From this many values on, a serialization outside Python is cheaper than Python's numbers.
_MANY_VALUES = 16


class _Kind(NamedTuple):
    """A data type: its arrays, its field, and what the field's values are in memory."""

    dtype: np.dtype[Any]
    field: str
    wire: np.dtype[Any]


def _kind(dtype: Any, field: str, wire: Any = None) -> _Kind:
    return _Kind(np.dtype(dtype), field, np.dtype(wire or dtype))


_KINDS: dict[int, _Kind] = {
    DataType.DT_FLOAT: _kind("f4", "float_val"),
    DataType.DT_DOUBLE: _kind("f8", "double_val"),
    DataType.DT_INT8: _kind("i1", "int_val"),
    DataType.DT_INT16: _kind("i2", "int_val"),
    DataType.DT_INT32: _kind("i4", "int_val"),
    DataType.DT_UINT8: _kind("u1", "int_val"),
    DataType.DT_UINT16: _kind("u2", "int_val"),
    DataType.DT_INT64: _kind("i8", "int64_val"),
    DataType.DT_UINT32: _kind("u4", "uint32_val"),
    DataType.DT_UINT64: _kind("u8", "uint64_val"),
    DataType.DT_BOOL: _kind("?", "bool_val"),
    DataType.DT_HALF: _kind("f2", "half_val", "u2"),
    DataType.DT_BFLOAT16: _kind(ml_dtypes.bfloat16, "half_val", "u2"),
    DataType.DT_COMPLEX64: _kind("c8", "scomplex_val", "f4"),
    DataType.DT_COMPLEX128: _kind("c16", "dcomplex_val", "f8"),
    DataType.DT_QINT8: _kind([("qint8", "i1")], "int_val", "i1"),
    DataType.DT_QUINT8: _kind([("quint8", "u1")], "int_val", "u1"),
    DataType.DT_QINT16: _kind([("qint16", "i2")], "int_val", "i2"),
    DataType.DT_QUINT16: _kind([("quint16", "u2")], "int_val", "u2"),
    DataType.DT_QINT32: _kind([("qint32", "i4")], "int_val", "i4"),
    DataType.DT_STRING: _kind("O", "string_val"),
}
_ENUMS = {kind.dtype: enum for enum, kind in _KINDS.items()}
# The fields whose values may be wider than those of the array.
_INTEGER_FIELDS = {"int_val": "i8", "half_val": "i8"}


def from_proto(name: str, proto: Any, max_bytes: int) -> Array:
    """Read the tensor of a request.

    Args:
        name: The input's name, for the error.
        proto: The `TensorProto`.
        max_bytes: Refuse larger tensors: a message of a few bytes can announce any shape.

    Raises:
        StatusError: INVALID_ARGUMENT when type, shape and values do not fit together.
    """
    kind = _KINDS.get(proto.dtype)
    if kind is None:
        raise _unreadable(name, f"its data type {proto.dtype} cannot be sent")
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    if proto.tensor_shape.unknown_rank or len(shape) > _MAX_RANK or any(n < 0 for n in shape):
        raise _unreadable(name, f"its shape {list(shape)[:8]} is not that of a tensor")
    count = math.prod(shape)
    if max(count, *shape, 1) * kind.dtype.itemsize > max_bytes:
        raise _unreadable(name, f"its shape {list(shape)[:8]} is over {max_bytes} bytes")
    if proto.dtype == _STRING:
        return _strings(name, proto, count).reshape(shape)
    values = _values(name, proto, kind, count)
    return values.view(kind.dtype).reshape(shape)


def _values(name: str, proto: Any, kind: _Kind, count: int) -> Array:
    """As many values as the tensor has, in the type that stands in memory."""
    needed = count * kind.dtype.itemsize // kind.wire.itemsize
    if content := proto.tensor_content:
        if len(content) != needed * kind.wire.itemsize:
            raise _unreadable(
                name, f"{len(content)} bytes of content, {needed * kind.wire.itemsize} expected"
            )
        array = np.frombuffer(content, kind.wire)
        # Any byte but 0 and 1 in a bool is undefined behaviour below.
        return array if kind.wire.kind != "b" else np.frombuffer(content, "u1") != 0
    field = getattr(proto, kind.field)
    if kind.field in RAW_TENSOR_FIELDS and len(field) > _MANY_VALUES:
        packed = getattr(packed_tensor().FromString(proto.SerializeToString()), kind.field)
        array = np.frombuffer(packed, kind.wire)
    else:
        # A value that the type cannot hold is cut to its low bits, as TensorFlow does.
        array = np.array(field, _INTEGER_FIELDS.get(kind.field, kind.wire))
        array = array.astype(kind.wire, copy=False)
    if array.size >= needed:
        return array[:needed]
    # The last value goes on to the end; of a complex number it is a pair.
    width = kind.dtype.itemsize // kind.wire.itemsize
    whole = array[: array.size // width * width]
    filled = np.zeros(needed, kind.wire)
    filled[: whole.size] = whole
    if whole.size:
        filled[whole.size :].reshape(-1, width)[:] = whole[-width:]
    return filled


def _strings(name: str, proto: Any, count: int) -> Array:
    array = np.empty(count, object)
    if proto.tensor_content:
        array[:] = _packed_strings(name, proto.tensor_content, count)
        return array
    values = list(proto.string_val[:count])
    array[: len(values)] = values
    array[len(values) :] = values[-1] if values else b""
    return array


def _packed_strings(name: str, content: bytes, count: int) -> list[bytes]:
    """`count` lengths as varints, then the strings: TensorFlow's own packing of strings."""
    lengths, at = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise _unreadable(name, f"its content does not hold {count} strings")
            byte = content[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        lengths.append(length)
    if sum(lengths) != len(content) - at:
        raise _unreadable(name, f"its content does not hold {count} strings")
    ends = at + np.cumsum(np.array(lengths, np.int64))
    return [content[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]


def to_wire(array: Array) -> bytes:
    """An output as a serialized `TensorProto`, with its values in the typed field.

    Raises:
        StatusError: The API has no such data type.
    """
    enum = _ENUMS.get(array.dtype)
    if enum is None:
        raise invalid(f"An output has the data type {array.dtype}, which cannot be sent")
    head = _head(enum, array.shape)
    if not array.size:
        return head
    kind = _KINDS[enum]
    flat = np.ascontiguousarray(array).reshape(-1)
    if (number := RAW_TENSOR_FIELDS.get(kind.field)) is not None:
        return head + delimited(number, flat.tobytes())
    if kind.field == "bool_val":
        return head + delimited(11, flat.tobytes())  # a bool's varint is its byte
    if enum != _STRING:
        flat = flat.view(kind.wire)
    return head + TensorProto(**{kind.field: flat.tolist()}).SerializeToString()


@lru_cache(maxsize=4096)
def _head(enum: int, shape: tuple[int, ...]) -> bytes:
    message = TensorProto(dtype=enum)
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return bytes(message.SerializeToString())


def _unreadable(name: str, why: str) -> StatusError:
    return invalid(f"tensor parsing error: {name} ({why})")
