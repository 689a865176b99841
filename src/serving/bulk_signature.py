"""What a signature takes out of columns, and what columns it gives: types and shapes, not values.

Imports pyarrow: it is imported where there are files to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mlproject.errors import ServingError

BYTES_SUFFIX = "_bytes"
"""An output of this ending holds bytes, others of DT_STRING text: TensorFlow Serving's rule."""

INT_TYPES = {
    "DT_INT8": pa.int8(),
    "DT_INT16": pa.int16(),
    "DT_INT32": pa.int32(),
    "DT_UINT8": pa.uint8(),
    "DT_UINT16": pa.uint16(),
    "DT_UINT32": pa.uint32(),
    "DT_UINT64": pa.uint64(),
}
_COLUMN_TYPES = {
    **dict.fromkeys(("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16"), "float"),
    **dict.fromkeys(("DT_INT64", "DT_BOOL", *INT_TYPES), "int"),
    "DT_STRING": "string",
}


@dataclass(frozen=True)
class ModelInput:
    """One input of a signature.

    Attributes:
        dtype: TensorFlow's enum name, `DT_FLOAT`.
        is_list: Whether a row has a list of values.
    """

    dtype: str
    is_list: bool

    @property
    def column_type(self) -> str:
        """The scalar type of the column that it takes, one of `SCALAR_TYPES`."""
        return _COLUMN_TYPES[self.dtype]


@dataclass(frozen=True)
class ModelOutput:
    """One output of a signature.

    Attributes:
        value_type: Of one value.
        dimensions: Of a row's value, 0 for one value: `[batch, 1]` counts as `[batch]`. None where
            the model does not tell.
    """

    value_type: pa.DataType
    dimensions: int | None

    @property
    def column_type(self) -> pa.DataType:
        """Of its column."""
        kind = self.value_type
        for _ in range(self.dimensions or 0):
            kind = pa.list_(kind)
        return kind


@dataclass(frozen=True)
class ModelColumns:
    """What a signature takes and gives, by name."""

    inputs: Mapping[str, ModelInput]
    outputs: Mapping[str, ModelOutput]


def model_columns(saved_model: Path, signature: str) -> ModelColumns:
    """What a signature takes and gives.

    Raises:
        ServingError: There is no such signature, or it cannot be run over rows of columns.
    """
    from tensorflow.core.framework.types_pb2 import DataType

    from mlproject.saved_model.definition import input_shape, signature_definition

    definition = signature_definition(saved_model, signature)
    inputs, outputs = {}, {}
    for name, info in definition.inputs.items():
        dtype, shape = DataType.Name(info.dtype), input_shape(info)
        if dtype not in _COLUMN_TYPES or shape == ():
            raise _unusable(f"The input '{name}'", dtype, shape)
        inputs[name] = ModelInput(dtype, shape is not None and len(shape) > 1)
    for name, info in definition.outputs.items():
        dtype, shape = DataType.Name(info.dtype), input_shape(info)
        value_type = _value_type(name, dtype)
        if value_type is None or shape == ():
            raise _unusable(f"The output '{name}'", dtype, shape)
        row = None if shape is None else shape[1:]
        squeezed = () if row == (1,) else row
        outputs[name] = ModelOutput(value_type, None if squeezed is None else len(squeezed))
    return ModelColumns(inputs, outputs)


def _value_type(name: str, dtype: str) -> pa.DataType | None:
    import tensorflow as tf

    if dtype == "DT_STRING":
        return pa.binary() if name.endswith(BYTES_SUFFIX) else pa.string()
    if dtype in ("DT_HALF", "DT_BFLOAT16"):
        return pa.float32()
    try:
        return pa.from_numpy_dtype(tf.dtypes.as_dtype(dtype[3:].lower()).as_numpy_dtype)
    except (TypeError, pa.ArrowNotImplementedError):  # complex, resource, ...
        return None


def _unusable(what: str, dtype: str, shape: tuple[int | None, ...] | None) -> ServingError:
    sizes = "any" if shape is None else str(["any" if size is None else size for size in shape])
    return ServingError(
        f"{what} of the signature has no value for each row",
        received=f"{dtype} of shape {sizes}",
        expected="numbers or texts, the rows in the first dimension",
        next_step="choose another signature with --signature",
    )
