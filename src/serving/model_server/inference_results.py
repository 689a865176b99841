"""Results of Classify and Regress from a model's outputs, once these are found to be such.

The checks and their texts are those of TensorFlow Serving's classifier.cc and regressor.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow_serving.apis.classification_pb2 import Class, ClassificationResult, Classifications
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from serving.model_server.signature import Array, Tensors, shape_text
from serving.model_server.status import invalid

CLASSES = "classes"
SCORES = "scores"
OUTPUTS = "outputs"

# One `Regression { float value = 1 }` inside a RegressionResult, as it stands on the wire.
_REGRESSION_WIRE = np.dtype([("head", "V3"), ("value", "<f4")])
_REGRESSION_HEAD = np.void(b"\x0a\x05\x0d")


def classification_result(outputs: Tensors, examples: int) -> Any:
    """The classes of each example.

    Args:
        outputs: `classes` ([n, classes] strings), `scores` ([n, classes] float32), or both.
        examples: How many examples there were.

    Returns:
        `ClassificationResult`.

    Raises:
        StatusError: INVALID_ARGUMENT when an output has another type or shape.
    """
    classes, scores = outputs.get(CLASSES), outputs.get(SCORES)
    if classes is not None:
        _check_head(CLASSES, classes, "DT_STRING", examples)
    if scores is not None:
        _check_head(SCORES, scores, "DT_FLOAT", examples)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    # Class(label=None) leaves the label unset, as its absence does in TensorFlow Serving.
    unset: list[list[None]] = []
    if classes is None or scores is None:
        shape = (scores if classes is None else classes).shape  # type: ignore[union-attr]
        unset = [[None] * shape[1]] * shape[0]
    labels: list[list[Any]] = unset if classes is None else _labels(classes)
    values: list[list[Any]] = unset if scores is None else scores.tolist()
    return ClassificationResult(
        classifications=[
            Classifications(classes=[Class(label=label, score=score) for label, score in pairs])
            for pairs in map(zip, labels, values)
        ]
    )


def _labels(classes: Array) -> list[list[str]]:
    # A proto's string must be UTF-8; what is not is shown as far as it goes.
    return [[label.decode("utf-8", "replace") for label in row] for row in classes.tolist()]


def _check_head(name: str, tensor: Array, dtype: str, examples: int) -> None:
    if tensor.ndim != 2:
        raise invalid(
            "Expected Tensor shape: [batch_size num_classes] but got " + shape_text(tensor.shape)
        )
    if _dtype_name(tensor) != dtype:
        raise invalid(f"Expected {name} Tensor of {dtype}. Got: {_dtype_name(tensor)}")
    if tensor.shape[0] != examples:
        raise invalid(f"Expected {name} output batch size of {examples}. Got: {tensor.shape[0]}")


def regression_result(values: Array, examples: int) -> Any:
    """The value of each example.

    Args:
        values: [n] or [n, 1] float32.
        examples: How many examples there were.

    Returns:
        `RegressionResult`.

    Raises:
        StatusError: INVALID_ARGUMENT when it has another type or shape.
    """
    if not (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + shape_text(values.shape)
        )
    if values.shape[0] != examples:
        raise invalid(
            f"Input batch size did not match output batch size: {examples} vs. {values.shape[0]}"
        )
    if _dtype_name(values) != "DT_FLOAT":
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype_name(values)}")
    wire = np.empty(examples, _REGRESSION_WIRE)
    wire["head"] = _REGRESSION_HEAD
    wire["value"] = values.reshape(-1)
    return RegressionResult.FromString(wire.tobytes())


def _dtype_name(tensor: Array) -> str:
    import tensorflow as tf
    from tensorflow.core.framework.types_pb2 import DataType

    return str(DataType.Name(tf.as_dtype(tensor.dtype).as_datatype_enum))
