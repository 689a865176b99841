"""Arrays from and to `TensorProto`, the tensors of the gRPC API."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.model_server.signature import Array
from serving.model_server.status import invalid

# Which repeated field holds the values of a type, as TensorFlow Serving answers: typed fields,
# never `tensor_content`. https://github.com/tensorflow/serving/blob/master/tensorflow_serving/servables/tensorflow/predict_util.cc
_VALUE_FIELDS: dict[str, str] = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "object": "string_val",
}


def from_proto(name: str, proto: Any, max_bytes: int) -> Array:
    """Read the tensor of a request.

    Args:
        name: The input's name, for the error.
        proto: The `TensorProto`.
        max_bytes: Refuse larger tensors: a message of a few bytes can announce any shape.

    Raises:
        StatusError: INVALID_ARGUMENT when type, shape and values do not fit together.
    """
    import tensorflow as tf

    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise invalid(f"Invalid tensor shape of input {name}: {sizes}")
    try:
        item_bytes = max(np.dtype(tf.as_dtype(proto.dtype).as_numpy_dtype).itemsize, 1)
        if math.prod(sizes) * item_bytes > max_bytes:
            raise invalid(f"Tensor of input {name} with shape {sizes} is over {max_bytes} bytes")
        array: Array = tf.make_ndarray(proto)
    except (KeyError, OverflowError, TypeError, ValueError) as err:  # KeyError: no numpy type
        raise invalid(f"Invalid tensor of input {name}: {err}") from err
    return array


def to_proto(array: Array, proto: Any) -> None:
    """Write an output into an empty `TensorProto`, in its typed field."""
    import tensorflow as tf

    proto.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    field = _VALUE_FIELDS.get(array.dtype.name)
    if field is not None:
        getattr(proto, field).extend(array.ravel().tolist())
    else:  # half, bfloat16 and the rarer types
        proto.CopyFrom(tf.make_tensor_proto(array))
