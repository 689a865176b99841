"""Warm-up: the requests that a version answers before it is AVAILABLE.

    <version>/assets.extra/tf_serving_warmup_requests    a TFRecord of `PredictionLog`s

The order, the limit and the texts are those of TensorFlow Serving's saved_model_warmup_util.cc. A
request that fails, fails the load.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import DataError
from mlproject.saved_model_layout import EXTRA_FOLDER, MAX_WARMUP_REQUESTS, WARMUP_FILE
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import Code, StatusError, invalid

if TYPE_CHECKING:
    from serving.model_server.loader import LoadedModel

logger = logging.getLogger(__name__)


def run_warmup(model: LoadedModel, folder: Path, version: int, iterations: int = 1) -> int:
    """Runs the warm-up requests of a version.

    Args:
        model: The model, loaded from `folder`.
        folder: The SavedModel.
        version: Its version.
        iterations: How many times each request runs.

    Returns:
        How many records there are; 0 where there is no file.

    Raises:
        StatusError: The file is damaged or holds over 1,000 records, or a request failed.
    """
    file = folder / EXTRA_FOLDER / WARMUP_FILE
    if not file.is_file():
        return 0
    count = 0
    for log in _logs(file):
        for _ in range(iterations):
            _replay(model, version, log)
        count += 1
        if count > MAX_WARMUP_REQUESTS:
            raise invalid(
                f"Number of warmup records exceeds the maximum ({MAX_WARMUP_REQUESTS}) at {file}"
            )
    logger.info("Ran %d warm-up requests of %s", count, folder)
    return count


def _logs(file: Path) -> Iterator[Any]:
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    from mlproject.examples.tfrecord_file import read_record_blocks

    try:
        for block in read_record_blocks(file):
            for record in block.records():
                yield PredictionLog.FromString(record)
    except DecodeError as err:
        raise invalid(f"Failed to parse warmup record: {err} from {file}") from err
    except (DataError, OSError) as err:
        raise StatusError(
            Code.DATA_LOSS, f"{err} Please verify your warmup data is in TFRecord format."
        ) from err


def _replay(model: LoadedModel, version: int, log: Any) -> None:
    from serving.model_server import inference

    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        _predict(model, log.predict_log.request)
    elif kind == "classify_log":
        request = log.classify_log.request
        inference.classify(model, request.model_spec.signature_name, request.input)
    elif kind == "regress_log":
        request = log.regress_log.request
        inference.regress(model, request.model_spec.signature_name, request.input)
    elif kind == "multi_inference_log":
        inference.multi_inference(model, version, log.multi_inference_log.request)
    elif kind is not None:
        raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")


def _predict(model: LoadedModel, request: Any) -> None:
    from tensorflow import make_ndarray

    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    try:
        tensors = {key: make_ndarray(tensor) for key, tensor in request.inputs.items()}
    except (TypeError, ValueError) as err:
        raise invalid(f"A warm-up request holds a tensor that cannot be read: {err}") from err
    model.predict(signature, tensors, tuple(request.output_filter))
