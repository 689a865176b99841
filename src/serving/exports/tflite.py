"""A SavedModel's signature as a TensorFlow Lite model that gives the same answers.

Imports numpy at the top: it is imported where a model is converted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlproject.errors import ServingError
from serving.exports.lookup_tables import with_constant_tables

Arrays = Mapping[str, np.ndarray]

BUILT_IN, SELECT = "built-in", "built-in and TensorFlow"
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # float32 in kernels that add in another order


@dataclass(frozen=True)
class TFLiteModel:
    """A converted model.

    Attributes:
        content: The flat buffer.
        ops: `BUILT_IN`, which every interpreter has, or `SELECT`: the interpreter needs the flex
            delegate too, for the operations that TensorFlow Lite has none of its own for.
        rows: Rows that it was compared on.
        difference: The largest absolute difference of a number.
        first_rows: The fewest rows that an interpreter takes at first; any number after that.
    """

    content: bytes
    ops: str
    rows: int
    difference: float
    first_rows: int


def convert_tflite(saved_model: Path, signature: str, requests: Sequence[Arrays]) -> TFLiteModel:
    """Converts a signature, with built-in operations alone where that can be.

    Args:
        saved_model: The SavedModel.
        signature: Its signature.
        requests: Input -> array `[rows, ...]`: what both models are asked, at least one.

    Raises:
        ServingError: It cannot be converted, cannot be run, or answers other than the SavedModel.
    """
    from mlproject.saved_model import open_signature
    from mlproject.saved_model.definition import signature_definition

    if not requests:
        raise ServingError(
            "The TensorFlow Lite model cannot be compared with the SavedModel",
            received="a version with neither a sample row nor warm-up requests",
            expected="a row to ask both",
            next_step="register the version with a sample (`serving.sample` in project.yaml)",
        )
    signature_definition(saved_model, signature)
    with tempfile.TemporaryDirectory(prefix="benison-tflite-") as folder:
        source = with_constant_tables(saved_model, signature, Path(folder))
        content, ops = _convert(source, signature)
    with open_signature(saved_model, signature) as predict:
        expected = [predict(request) for request in requests]
    answers, first_rows = _answers(content, signature, requests)
    differences = [
        _difference(name, wanted[name], found.get(name))
        for wanted, found in zip(expected, answers, strict=True)
        for name in wanted
    ]
    rows = sum(len(next(iter(request.values()))) for request in requests)
    return TFLiteModel(content, ops, rows, max(differences, default=0.0), first_rows)


def _convert(saved_model: Path, signature: str) -> tuple[bytes, str]:
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    refusal: Exception | None = None
    for ops in (BUILT_IN, SELECT):
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model), signature_keys=[signature]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if ops == SELECT:
            converter.target_spec.supported_ops += [tf.lite.OpsSet.SELECT_TF_OPS]
        try:
            return converter.convert(), ops
        except (ConverterError, ValueError, RuntimeError) as err:
            refusal = err
    raise ServingError(
        "The model cannot be converted to TensorFlow Lite",
        received=_last_lines(refusal),
        expected="operations of TensorFlow Lite, or of TensorFlow that its flex delegate runs",
        next_step="export it as a saved_model instead",
    ) from refusal


def _answers(
    content: bytes, signature: str, requests: Sequence[Arrays]
) -> tuple[list[dict[str, np.ndarray]], int]:
    """The answers, and the rows that an interpreter has to be given at first."""
    try:
        return _run(content, signature, requests), 1
    except (RuntimeError, ValueError, KeyError):
        # TensorFlow Lite 2.16 plans a graph for the one row that its inputs have at first, and may
        # refuse it (`PACK failed to prepare`); what was planned for two rows takes one, too.
        twice = {name: np.concatenate([array] * 2) for name, array in requests[0].items()}
    try:
        return _run(content, signature, [twice, *requests])[1:], 2
    except (RuntimeError, ValueError, KeyError) as err:
        raise ServingError(
            "The TensorFlow Lite model does not run, and was not written",
            received=_last_lines(err),
            expected="an answer to the rows that the SavedModel answers",
            next_step="export it as a saved_model instead",
        ) from err


def _run(content: bytes, signature: str, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    import tensorflow as tf

    runner = tf.lite.Interpreter(model_content=content).get_signature_runner(signature)
    details = runner.get_input_details()
    found = []
    for request in requests:
        answer = runner(**{name: _fed(array, details[name]) for name, array in request.items()})
        found.append({name: np.array(values) for name, values in answer.items()})
    return found


def _fed(array: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    if detail["dtype"] in (np.bytes_, np.object_):
        return array.astype(object)
    return array.astype(detail["dtype"])


def _difference(name: str, wanted: np.ndarray, found: np.ndarray | None) -> float:
    """The largest absolute difference of two answers.

    Raises:
        ServingError: They are not the same.
    """
    if found is not None and found.shape == wanted.shape:
        if wanted.dtype.kind not in "fc":
            if np.array_equal(found.astype(wanted.dtype), wanted):
                return 0.0
        elif np.allclose(found, wanted, _RELATIVE, _ABSOLUTE, equal_nan=True):
            return float(np.nanmax(np.abs(found - wanted), initial=0.0))
    raise ServingError(
        "The TensorFlow Lite model answers other than the SavedModel, and was not written",
        received=f"'{name}': {_shown(found)}",
        expected=f"{_shown(wanted)}, within {_ABSOLUTE:g} and {_RELATIVE:g} of it",
        next_step="export it as a saved_model instead",
    )


def _shown(values: np.ndarray | None) -> str:
    return "nothing" if values is None else f"{values.ravel()[:4].tolist()} in {values.shape}"


def _last_lines(err: Exception | None) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    said = [line for line in lines if "ops" in line.lower()] or lines
    return "; ".join(said[-2:])[:300]
