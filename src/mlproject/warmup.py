"""Warm-up requests: what TensorFlow Serving asks a model before it serves it.

    <saved_model>/assets.extra/tf_serving_warmup_requests    a TFRecord of `PredictionLog`s

Each is one request of one row, as an online client sends it; a missing value is its stand-in (see
raw_inputs.py). See https://www.tensorflow.org/tfx/serving/saved_model_warmup, which allows 1,000
records at most. The rows are also what an exported model knows of its data: InfraBlessing asks
them, and an explanation takes its baseline from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import ConfigError, DataError, ServingError
from mlproject.saved_model.definition import input_shape, signature_definition
from mlproject.saved_model.signatures import SIGNATURE
from mlproject.saved_model_layout import EXTRA_FOLDER, MAX_WARMUP_REQUESTS, WARMUP_FILE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SAMPLED_ROWS = 2_048


def write_warmup_requests(
    saved_model_dir: Path, model_name: str, split_dir: Path, rows: int = 32
) -> int:
    """Writes requests for `serving_default`, of raw rows, into a SavedModel's folder.

    Args:
        saved_model_dir: The SavedModel.
        model_name: The name that it will be served under.
        split_dir: A split of the Examples; rows at even distances of its first 2,048 are taken.
        rows: How many, 1 to 1,000.

    Returns:
        The requests written; 0, and no file, where the model takes what is no column of the data
        (a SavedModel that `run_fn` wrote by itself may take serialized examples).

    Raises:
        ConfigError: `rows` is out of range.
        DataError: The split is missing or damaged.
        ServingError: The folder is no SavedModel, or the data does not fit its inputs.
    """
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    from mlproject.examples.reader import read_batches

    if not 1 <= rows <= MAX_WARMUP_REQUESTS:
        raise ConfigError(
            "Writing the warm-up requests failed",
            received=f"{rows} rows",
            expected=f"1 to {MAX_WARMUP_REQUESTS:,}, as many as TensorFlow Serving reads",
        )
    inputs = signature_definition(saved_model_dir, SIGNATURE).inputs
    first = next(read_batches(split_dir, batch_rows=SAMPLED_ROWS), None)
    if first is None or not set(inputs) <= set(first.schema.names):
        return 0
    file = saved_model_dir / EXTRA_FOLDER / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    written = 0
    with tf.io.TFRecordWriter(str(file)) as writer:
        for arrays in _requests(_spread(first, rows), inputs):
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = model_name
            request.model_spec.signature_name = SIGNATURE
            for name, array in arrays.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            writer.write(log.SerializeToString(deterministic=True))
            written += 1
    return written


def read_warmup_requests(saved_model_dir: Path) -> list[dict[str, np.ndarray]]:
    """The inputs of each warm-up request for `serving_default`, in the file's order.

    Args:
        saved_model_dir: The SavedModel.

    Returns:
        Input -> array, for each request; none where the model has no warm-up requests.

    Raises:
        ServingError: The file is damaged, holds too many records, or holds other requests.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    file = saved_model_dir / EXTRA_FOLDER / WARMUP_FILE
    if not file.is_file():
        return []
    try:
        logs = [PredictionLog.FromString(record) for record in _records(file)]
        return [_inputs_of(log) for log in logs]
    except (DecodeError, DataError, TypeError, ValueError) as err:
        raise ServingError(
            f"Reading the warm-up requests {file} failed",
            received=str(err)[:300],
            expected=f"a TFRecord of at most {MAX_WARMUP_REQUESTS:,} PredictionLogs of Predict "
            f"requests for {SIGNATURE}",
            next_step="train the model again, or remove the file",
        ) from err


def _spread(batch: pa.RecordBatch, rows: int) -> pa.RecordBatch:
    """Some rows of a batch, at even distances."""
    import numpy as np
    import pyarrow as pa

    count = min(rows, batch.num_rows)
    places = np.linspace(0, batch.num_rows - 1, count).round().astype(np.int64)
    return batch.take(pa.array(places))


def _requests(batch: pa.RecordBatch, inputs: Any) -> Iterator[dict[str, np.ndarray]]:
    """The arrays of one row after the other."""
    from mlproject.raw_inputs import raw_arrays

    shapes = {name: input_shape(info) for name, info in inputs.items()}
    # A missing list of a fixed length is as long as the others of its batch; the lists of any
    # length are padded row by row, so that one long list does not lengthen all of them.
    loose = tuple(name for name, shape in shapes.items() if shape is None or None in shape[1:])
    whole = raw_arrays(batch, tuple(name for name in shapes if name not in loose))
    for row in range(batch.num_rows):
        arrays = {name: array[row : row + 1] for name, array in whole.items()}
        arrays |= raw_arrays(batch.slice(row, 1), loose)
        yield {name: _as_input(name, arrays[name], info) for name, info in inputs.items()}


def _as_input(name: str, array: np.ndarray, info: Any) -> np.ndarray:
    """An array in the shape and type of its input: TensorFlow Serving converts none."""
    import tensorflow as tf

    from mlproject.raw_inputs import fitted

    shape = input_shape(info)
    if shape is not None:
        array = fitted(name, array, shape)
    dtype = tf.dtypes.as_dtype(info.dtype)
    if (array.dtype.kind == "O") != (dtype == tf.string):
        raise ServingError(
            f"The data does not fit the model's input '{name}'",
            received="text or bytes" if array.dtype.kind == "O" else "numbers",
            expected=str(dtype.name),
            next_step="give the data that the model was trained on",
        )
    return array.astype(dtype.as_numpy_dtype, copy=False)


def _records(file: Path) -> list[bytes]:
    from mlproject.examples.tfrecord_file import read_record_blocks

    records: list[bytes] = []
    for block in read_record_blocks(file):
        records += block.records()
        if len(records) > MAX_WARMUP_REQUESTS:
            raise ValueError(f"more than {MAX_WARMUP_REQUESTS:,} records")
    return records


def _inputs_of(log: Any) -> dict[str, np.ndarray]:
    import tensorflow as tf

    if log.WhichOneof("log_type") != "predict_log":
        raise ValueError(f"a record of kind {log.WhichOneof('log_type')}")
    request = log.predict_log.request
    if request.model_spec.signature_name not in ("", SIGNATURE):
        raise ValueError(f"a request for the signature '{request.model_spec.signature_name}'")
    return {name: tf.make_ndarray(tensor) for name, tensor in sorted(request.inputs.items())}
