"""A data frame of raw columns as the tensors of a signature, as the MLflow flavour of our models
(`mlproject.pyfunc_model`) makes them: what is left out, None and NaN become the value that the
exported models read as missing. It imports pandas and is imported only for `/invocations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlproject.raw_inputs import MISSING_INT
from serving.model_server.json_bytes import from_base64, is_base64
from serving.model_server.signature import Array, Signature, Tensors, TensorSpec

_STAND_INS = {"i": MISSING_INT, "f": np.nan, "O": b""}


def frame_tensors(frame: pd.DataFrame, signature: Signature) -> Tensors:
    """Make the tensors of a signature's inputs.

    Args:
        frame: Rows with raw columns; those that the model does not know are passed over.
        signature: The signature.

    Raises:
        ValueError: A column is there twice, holds no numbers where the model takes numbers, or
            fractions where it takes integers, or lists of another length.
    """
    if not frame.columns.is_unique:
        raise ValueError("Columns must have different names.")
    tensors = {}
    for name, spec in signature.inputs.items():
        if name in frame.columns:
            column = frame[name]
        else:
            column = pd.Series([None] * len(frame), dtype=object)
        is_list = spec.shape is not None and len(spec.shape) > 1
        tensors[name] = (_fill_lists if is_list else _fill)(column, spec, name)
    return tensors


def _fill(column: pd.Series, spec: TensorSpec, name: str) -> Array:
    """A column of single values as `[rows]`, with the stand-in for each missing one."""
    dtype = spec.numpy_dtype
    if dtype is None:
        raise ValueError(f"Column '{name}' is of a type that cannot be sent: {spec.label}")
    if dtype.kind == "O":
        filled = column.astype(object).where(column.notna(), "")
        result = np.empty(len(filled), object)
        result[:] = [_to_bytes(value) for value in filled]
        return result
    if dtype.kind == "b":
        if column.isna().any() or not column.map(lambda value: value in (True, False)).all():
            raise ValueError(f"Column '{name}' must hold true or false.")
        return column.to_numpy(bool)
    try:
        numbers = pd.to_numeric(column)
    except (TypeError, ValueError) as err:
        raise ValueError(f"Column '{name}' must hold numbers. Received: {err}") from err
    if dtype.kind in "fV":
        with np.errstate(over="ignore"):
            return numbers.to_numpy(np.float64, na_value=np.nan).astype(dtype)
    return _whole_numbers(numbers, dtype, name)


def _whole_numbers(numbers: pd.Series, dtype: np.dtype[Any], name: str) -> Array:
    filled = numbers.fillna(0)
    if filled.dtype.kind == "f" and not np.isfinite(filled).all():
        raise ValueError(f"Column '{name}' must hold 64-bit integers. Received: inf")
    with np.errstate(invalid="ignore"):  # what does not fit differs afterwards
        whole = filled.astype(np.int64)
    if (whole != filled).any():
        odd = filled[whole != filled].iloc[0]
        raise ValueError(f"Column '{name}' must hold 64-bit integers. Received: {odd}")
    values = np.where(numbers.isna(), MISSING_INT, whole.to_numpy(np.int64))
    limits = np.iinfo(dtype)
    out = (values < int(limits.min)) | (values > min(int(limits.max), 2**63 - 1))
    if out.any():
        raise ValueError(f"Column '{name}' must hold {dtype}. Received: {values[out][0]}")
    return values.astype(dtype)


def _fill_lists(column: pd.Series, spec: TensorSpec, name: str) -> Array:
    """A column of lists as `[rows, *shape]`, or `[rows, longest]` filled up with the stand-in."""
    shape = (spec.shape or ())[1:]
    lists = [_flat(value, name) for value in column]
    lengths = np.array([len(values) for values in lists], np.int64)
    values = pd.Series(np.concatenate(lists) if lists else np.empty(0, object))
    if values.dtype == object and values.isna().any():
        raise ValueError(f"Column '{name}' must hold lists without missing values.")
    filled = _fill(values.infer_objects(), spec, name)
    if -1 not in shape:
        wanted = int(np.prod(shape))
        if (lengths != wanted).any():
            odd = int(lengths[lengths != wanted][0])
            raise ValueError(f"Column '{name}' must hold lists of {wanted} values. Received: {odd}")
        return filled.reshape(len(lists), *shape)
    if filled.dtype.kind not in _STAND_INS:
        raise ValueError(f"Column '{name}' must hold lists of one length.")
    padded = np.full((len(lists), max([1, *lengths])), _STAND_INS[filled.dtype.kind], filled.dtype)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = filled
    return padded


def _flat(value: Any, name: str) -> Array:
    """The values of one list; none of a missing one."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return np.empty(0, object)
    if not isinstance(value, list):
        raise ValueError(f"Column '{name}' must hold lists. Received: {value!r:.200}")
    flat = np.array(value, object).reshape(-1)
    if any(isinstance(item, list) for item in flat):
        raise ValueError(f"Column '{name}' must hold lists of one length. Received: {value!r:.200}")
    return flat


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return from_base64(value) if is_base64(value) else str(value).encode()
