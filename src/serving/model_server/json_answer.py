"""Answers in JSON, written the way TensorFlow Serving writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from serving.model_server.json_request import ROW
from serving.model_server.signature import Array, Tensors
from serving.model_server.status import invalid
from serving.model_server.versions import VersionStatus

# A string output whose name ends so is written as {"b64": ...}.
_BYTES_SUFFIX = "_bytes"


def predict_answer(outputs: Tensors, request_format: str) -> bytes:
    """Write the answer of a predict request.

    Row format: `{"predictions": [...]}`, one value per row, or one object per row when there
    are several outputs. Column format: `{"outputs": ...}`, one tensor, or an object of tensors.

    Args:
        outputs: The arrays by output name.
        request_format: The format of the request, which its answer shares.

    Returns:
        The JSON text. `NaN`, `Infinity` and `-Infinity` are written as such.

    Raises:
        StatusError: INVALID_ARGUMENT when outputs of a row request do not share a batch size.
    """
    finite = all(np.isfinite(array).all() for array in outputs.values() if array.dtype.kind == "f")
    values = {name: _json_array(name, array, finite) for name, array in outputs.items()}
    if request_format == ROW:
        _check_batch(outputs)
        document = {"predictions": _rows(values)}
    else:
        document = {"outputs": values if len(values) > 1 else next(iter(values.values()))}
    if finite:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def error_answer(message: str) -> bytes:
    """Write an error body: `{"error": "..."}`."""
    return json.dumps({"error": message}).encode()


def status_answer(statuses: Iterable[VersionStatus]) -> bytes:
    """Write a `GetModelStatusResponse` as JSON."""
    return orjson.dumps(
        {
            "model_version_status": [
                {
                    "version": str(status.version),
                    "state": status.state.name,
                    "status": {"error_code": status.code.name, "error_message": status.message},
                }
                for status in statuses
            ]
        },
        option=orjson.OPT_INDENT_2,
    )


def metadata_answer(name: str, version: int, signature_defs: Mapping[str, Any]) -> bytes:
    """Write a `GetModelMetadataResponse` as JSON.

    Args:
        name: The model's name.
        version: The version the metadata is of.
        signature_defs: The `SignatureDef` messages by signature name.
    """
    signatures = {key: _signature_json(signature_defs[key]) for key in sorted(signature_defs)}
    return orjson.dumps(
        {
            "model_spec": {"name": name, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        },
        option=orjson.OPT_INDENT_2,
    )


def _signature_json(definition: Any) -> dict[str, Any]:
    return {
        "inputs": {key: _tensor_info_json(definition.inputs[key]) for key in definition.inputs},
        "outputs": {key: _tensor_info_json(definition.outputs[key]) for key in definition.outputs},
        "method_name": definition.method_name,
        "defaults": {},
    }


def _tensor_info_json(info: Any) -> dict[str, Any]:
    shape = info.tensor_shape
    return {
        # The enum's own descriptor gives the name, so that this file needs no TensorFlow.
        "dtype": info.DESCRIPTOR.fields_by_name["dtype"]
        .enum_type.values_by_number[info.dtype]
        .name,
        "tensor_shape": {
            "dim": [{"size": str(dim.size), "name": dim.name} for dim in shape.dim],
            "unknown_rank": shape.unknown_rank,
        },
        "name": info.name,
    }


def _check_batch(outputs: Tensors) -> None:
    batch_size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information")
        if batch_size is not None and len(array) != batch_size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {batch_size}"
            )
        batch_size = len(array)


def _rows(values: dict[str, Any]) -> Any:
    if len(values) == 1:
        return next(iter(values.values()))
    names = list(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _json_array(name: str, array: Array, finite: bool) -> Any:
    """An array as something that the JSON writer takes: an array, or nested lists."""
    if array.dtype.kind in "OSU":
        write = _base64 if name.endswith(_BYTES_SUFFIX) else _text
        flat = np.empty(array.size, dtype=object)
        for position, value in enumerate(array.ravel()):
            flat[position] = write(value)
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind == "V" or array.dtype == np.float16:  # half; bfloat16 is void to numpy
        array = array.astype(np.float32)
    if finite and array.ndim:
        return np.ascontiguousarray(array)
    if array.dtype == np.float32:
        # Through the shortest text, so that 0.1 stays 0.1 and does not grow noise digits.
        array = array.astype(str).astype(np.float64)
    return array.tolist()


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _base64(value)  # TensorFlow Serving would write a text that is no JSON


def _base64(value: Any) -> dict[str, str]:
    raw = value.encode() if isinstance(value, str) else value
    return {"b64": base64.b64encode(raw).decode()}
