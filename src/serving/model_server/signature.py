"""Signatures of a SavedModel as plain values, and the check of tensors against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.model_server.status import invalid

Array = NDArray[Any]
Tensors = dict[str, Array]

DEFAULT_SIGNATURE = "serving_default"

# Data types by TensorFlow's enum name: the name TensorFlow prints, and the numpy type of the
# arrays that a session takes and gives. Strings are object arrays of bytes.
_DTYPES: dict[str, tuple[str, str]] = {
    "DT_FLOAT": ("float", "float32"),
    "DT_DOUBLE": ("double", "float64"),
    "DT_INT32": ("int32", "int32"),
    "DT_UINT8": ("uint8", "uint8"),
    "DT_INT16": ("int16", "int16"),
    "DT_INT8": ("int8", "int8"),
    "DT_STRING": ("string", "object"),
    "DT_INT64": ("int64", "int64"),
    "DT_BOOL": ("bool", "bool"),
    "DT_HALF": ("half", "float16"),
    "DT_BFLOAT16": ("bfloat16", "bfloat16"),
    "DT_UINT16": ("uint16", "uint16"),
    "DT_UINT32": ("uint32", "uint32"),
    "DT_UINT64": ("uint64", "uint64"),
}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature.

    Args:
        dtype: TensorFlow's enum name, `DT_FLOAT`.
        shape: The dimensions, -1 for any size; None for any rank.
    """

    dtype: str
    shape: tuple[int, ...] | None

    @property
    def label(self) -> str:
        """The type as TensorFlow prints it: `float`, `int64`, `string`."""
        return self.dtype.removeprefix("DT_").lower()

    @property
    def numpy_dtype(self) -> np.dtype[Any] | None:
        """The type of arrays fed to it; None for types that cannot be sent as JSON."""
        return _numpy_dtype(_DTYPES[self.dtype][1]) if self.dtype in _DTYPES else None


@dataclass(frozen=True)
class Signature:
    """A named function of a model: its inputs and outputs by name."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]

    def check_inputs(self, tensors: Mapping[str, Array]) -> None:
        """Check names and types of the tensors of a request.

        Shapes are the model's to check, as in TensorFlow Serving: its half_plus_two announces
        [-1, 1] and is asked with [1.0, 2.0, 5.0] in its own documentation.

        Raises:
            StatusError: INVALID_ARGUMENT that names the input.
        """
        if tensors.keys() != self.inputs.keys():
            extra = sorted(tensors.keys() - self.inputs.keys())
            missing = sorted(self.inputs.keys() - tensors.keys())
            raise invalid(
                f"input size does not match signature: {len(tensors)}!={len(self.inputs)} "
                f"len({{{','.join(sorted(tensors))}}}) != len({{{','.join(sorted(self.inputs))}}})."
                f" Sent extra: {{{','.join(extra)}}}."
                f" Missing but required: {{{','.join(missing)}}}."
            )
        for name, spec in self.inputs.items():
            tensor = tensors[name]
            if spec.numpy_dtype is not None and tensor.dtype != spec.numpy_dtype:
                raise invalid(
                    f"Expects input {name} to be {spec.label} but "
                    f"{_label_of(tensor.dtype)} is provided"
                )


def shape_text(shape: tuple[int, ...] | None) -> str:
    """A shape as TensorFlow Serving prints it: `[-1,3]`, or `[?]` for any rank."""
    return "[?]" if shape is None else "[" + ",".join(map(str, shape)) + "]"


@cache
def _numpy_dtype(kind: str) -> np.dtype[Any]:
    if kind == "bfloat16":
        import ml_dtypes  # noqa: F401  # numpy knows the name from here on; comes with TensorFlow

    return np.dtype(kind)


def _label_of(dtype: np.dtype[Any]) -> str:
    labels = {_numpy_dtype(kind): label for label, kind in _DTYPES.values()}
    return labels.get(dtype, str(dtype))
