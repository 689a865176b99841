"""A signature as a SavedModel defines it, read into plain values."""

from __future__ import annotations

from typing import Any

from serving.model_server.signature import Signature, TensorSpec


def is_servable(definition: Any) -> bool:
    """Whether all inputs and outputs are dense tensors; `__saved_model_init_op` is none."""
    infos = [*definition.inputs.values(), *definition.outputs.values()]
    return bool(definition.outputs) and all(
        info.WhichOneof("encoding") == "name" and info.dtype != 0 for info in infos
    )


def read_signature(name: str, definition: Any) -> Signature:
    """The plain values of a `SignatureDef`.

    Args:
        name: The signature's name.
        definition: Its definition, which is servable.
    """
    return Signature(
        name=name,
        inputs={key: _tensor_spec(info) for key, info in definition.inputs.items()},
        outputs={key: _tensor_spec(info) for key, info in definition.outputs.items()},
    )


def _tensor_spec(info: Any) -> TensorSpec:
    from tensorflow.core.framework.types_pb2 import DataType

    shape = info.tensor_shape
    return TensorSpec(
        dtype=DataType.Name(info.dtype),
        shape=None if shape.unknown_rank else tuple(dim.size for dim in shape.dim),
    )
