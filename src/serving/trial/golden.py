"""Golden rows as the inputs of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.cases.sections import GoldenCase
from mlproject.errors import ServingError
from serving.rows import InputSpec, complete_row

if TYPE_CHECKING:
    from serving.trial.values import Arrays


def golden_requests(saved_model_dir: Path, cases: Iterable[GoldenCase]) -> list[Arrays]:
    """One request of one row for each golden case.

    Args:
        saved_model_dir: The SavedModel, whose `serving_default` says what its inputs are.
        cases: The cases.

    Raises:
        ServingError: The folder is no SavedModel, or a row does not fit its inputs.
    """
    from mlproject.saved_model.definition import input_shape, signature_definition
    from serving.model_server.json_tensor import to_array
    from serving.model_server.signature import DEFAULT_SIGNATURE, TensorSpec
    from serving.model_server.status import StatusError

    inputs = signature_definition(saved_model_dir, DEFAULT_SIGNATURE).inputs
    rows, tensors = {}, {}
    for name, info in inputs.items():
        shape = input_shape(info)
        sizes = None if shape is None else tuple(-1 if n is None else n for n in shape)
        dtype = _dtype_name(info)
        rows[name] = InputSpec(dtype, None if sizes is None else sizes[1:])
        tensors[name] = TensorSpec(dtype, sizes)
    requests: list[Arrays] = []
    for case in cases:
        row: Mapping[str, Any] = complete_row(case.row, rows, f"The golden row '{case.name}'")
        try:
            requests.append({name: to_array([row[name]], tensors[name]) for name in rows})
        except StatusError as err:
            raise ServingError(
                f"The golden row '{case.name}' does not fit the model", received=err.message
            ) from err
    return requests


def _dtype_name(info: Any) -> str:
    from tensorflow.core.framework.types_pb2 import DataType

    return str(DataType.Name(info.dtype))
