"""Answers in JSON, written the way TensorFlow Serving writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from serving.model_server.json_request import ROW
from serving.model_server.json_text import array_text, row_texts
from serving.model_server.signature import Tensors
from serving.model_server.status import invalid
from serving.model_server.versions import VersionStatus

_MAX_ERROR_CHARS = 2_000


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
        StatusError: INVALID_ARGUMENT when outputs of a row request do not share a batch size, or
            an output is of a type that JSON cannot carry.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if request_format == ROW:
        _check_batch(outputs)
        if len(outputs) > 1:
            return b'{"predictions":[' + b",".join(_row_objects(outputs)) + b"]}"
    values = [(name, array_text(name, array)) for name, array in sorted(outputs.items())]
    if request_format == ROW:
        return b'{"predictions":' + values[0][1] + b"}"
    if len(values) == 1:
        return b'{"outputs":' + values[0][1] + b"}"
    members = [orjson.dumps(name) + b":" + text for name, text in values]
    return b'{"outputs":{' + b",".join(members) + b"}}"


def classify_answer(result: Any) -> bytes:
    """Write a `ClassificationResult`: the `[label, score]` pairs of each example.

    Raises:
        StatusError: INVALID_ARGUMENT when it is empty.
    """
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    scores = [item.score for example in result.classifications for item in example.classes]
    texts = iter(row_texts("", np.array(scores, np.float32)))
    examples = [
        b"[%b]"
        % b",".join(
            b"[%b,%b]" % (orjson.dumps(item.label), next(texts)) for item in example.classes
        )
        for example in result.classifications
    ]
    return b'{"results":[' + b",".join(examples) + b"]}"


def regress_answer(result: Any) -> bytes:
    """Write a `RegressionResult`: one number for each example.

    Raises:
        StatusError: INVALID_ARGUMENT when it is empty.
    """
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = np.array([item.value for item in result.regressions], np.float32)
    return b'{"results":' + array_text("", values) + b"}"


def error_answer(message: str) -> bytes:
    """Write an error body: `{ "error": "..." }`."""
    return b'{ "error": ' + orjson.dumps(shown(message)) + b" }"


def shown(message: str) -> str:
    """An error's text as it goes into an answer: valid Unicode, cut when it quotes a large name."""
    if len(message) > _MAX_ERROR_CHARS:
        message = message[:_MAX_ERROR_CHARS] + "..."
    return message.encode("utf-8", "replace").decode()


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
    fields: dict[str, Any] = {
        # The enum's own descriptor gives the name, so that this file needs no TensorFlow.
        "dtype": info.DESCRIPTOR.fields_by_name["dtype"]
        .enum_type.values_by_number[info.dtype]
        .name,
        "tensor_shape": {
            "dim": [{"size": str(dim.size), "name": dim.name} for dim in shape.dim],
            "unknown_rank": shape.unknown_rank,
        },
    }
    if info.WhichOneof("encoding") == "coo_sparse":
        sparse = info.coo_sparse
        fields["coo_sparse"] = {
            "values_tensor_name": sparse.values_tensor_name,
            "indices_tensor_name": sparse.indices_tensor_name,
            "dense_shape_tensor_name": sparse.dense_shape_tensor_name,
        }
    else:
        fields["name"] = info.name
    return fields


def _check_batch(outputs: Tensors) -> None:
    batch_size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch_size is not None and len(array) != batch_size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {batch_size}"
            )
        batch_size = len(array)


def _row_objects(outputs: Tensors) -> Iterable[bytes]:
    names = sorted(outputs)
    members = b",".join(orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in names)
    columns = [row_texts(name, outputs[name]) for name in names]
    return map((b"{" + members + b"}").__mod__, zip(*columns, strict=True))
