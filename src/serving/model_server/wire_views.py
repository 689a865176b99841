"""Messages that read the wire format of others and leave as bytes what those unpack.

One parse outside Python then gives bytes that would cost a Python object each: the examples of an
`Input`, and the numbers of a `TensorProto`. Their field numbers are those of TensorFlow's protos.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

_BYTES, _MESSAGE = FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED

# The fields of a TensorProto whose values stand on the wire as they stand in an array.
RAW_TENSOR_FIELDS = {"float_val": 5, "double_val": 6, "scomplex_val": 9, "dcomplex_val": 12}


@cache
def serialized_input() -> Any:
    """The class that reads `tensorflow.serving.Input` with its examples and context as bytes."""
    file = FileDescriptorProto(name="serialized_input.proto", package="serving", syntax="proto3")
    examples = file.message_type.add(name="Examples")
    examples.field.add(name="examples", number=1, type=_BYTES, label=_MANY)
    examples.field.add(name="context", number=2, type=_BYTES, label=_ONE)
    message = file.message_type.add(name="SerializedInput")
    message.oneof_decl.add(name="kind")
    for number, name in ((1, "example_list"), (2, "example_list_with_context")):
        message.field.add(
            name=name,
            number=number,
            type=_MESSAGE,
            type_name=".serving.Examples",
            label=_ONE,
            oneof_index=0,
        )
    return _class(file, "serving.SerializedInput")


@cache
def packed_tensor() -> Any:
    """The class that reads a serialized `TensorProto` with its packed numbers as bytes."""
    file = FileDescriptorProto(name="packed_tensor.proto", package="serving", syntax="proto3")
    message = file.message_type.add(name="PackedTensor")
    for name, number in RAW_TENSOR_FIELDS.items():
        message.field.add(name=name, number=number, type=_BYTES, label=_ONE)
    return _class(file, "serving.PackedTensor")


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited field of a message, as it stands on the wire.

    Args:
        number: The field's number, below 16.
        payload: Its bytes.
    """
    size = len(payload)
    head = bytearray((number << 3 | 2,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + payload


def _class(file: FileDescriptorProto, name: str) -> Any:
    pool = DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
