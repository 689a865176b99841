"""Rows of raw features as the arrays that a signature of a SavedModel takes, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ServingError
from serving.rows import InputSpec, complete_row

if TYPE_CHECKING:
    import numpy as np


def row_arrays(
    saved_model_dir: Path, signature: str, rows: Iterable[tuple[str, Mapping[str, Any]]]
) -> list[dict[str, np.ndarray]]:
    """The arrays of one row after the other.

    Args:
        saved_model_dir: The SavedModel.
        signature: Its signature, which says what the inputs are.
        rows: What each row is called in errors, and its raw features as `complete_row` takes them.

    Returns:
        Input -> `[1, ...]`, for each row.

    Raises:
        ServingError: The folder is no SavedModel, lacks the signature, or a row does not fit.
    """
    from tensorflow.core.framework.types_pb2 import DataType

    from mlproject.saved_model.definition import input_shape, signature_definition
    from serving.model_server.json_tensor import to_array
    from serving.model_server.signature import TensorSpec
    from serving.model_server.status import StatusError

    tensors = {}
    for name, info in signature_definition(saved_model_dir, signature).inputs.items():
        sizes = input_shape(info)
        shape = None if sizes is None else tuple(-1 if size is None else size for size in sizes)
        tensors[name] = TensorSpec(DataType.Name(info.dtype), shape)
    inputs = {n: InputSpec(t.dtype, t.shape and t.shape[1:]) for n, t in tensors.items()}
    arrays = []
    for where, row in rows:
        completed = complete_row(row, inputs, where)
        try:
            arrays.append({name: to_array([v], tensors[name]) for name, v in completed.items()})
        except StatusError as err:
            raise ServingError(
                f"{where} does not fit the model",
                received=err.message,
                expected="the raw features that the model was trained on",
            ) from err
    return arrays
