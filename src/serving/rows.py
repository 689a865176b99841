"""Rows of raw features, made complete and of the types and shapes that a model's inputs have.

What a row leaves out is sent as the value that the exported models read as missing: NaN for
floats, "" for strings and bytes, the smallest int64. A list of any length that is left out is
sent as one of these, and the lists of one request are filled up with it on the right.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlproject.errors import ServingError, closest
from serving.cells import convert, is_missing, plain, stand_in

_ANY_LENGTH = (-1,)


@dataclass(frozen=True)
class InputSpec:
    """One input of a signature.

    Args:
        dtype: TensorFlow's enum name, `DT_FLOAT`.
        row_shape: The shape of one row's value: `()` for an input of shape `[batch]`, `(64,)` for
            lists of 64 values, `(-1,)` for lists of any length; None when the model takes any.
    """

    dtype: str
    row_shape: tuple[int, ...] | None = ()


def complete_row(
    row: Mapping[str, Any], inputs: Mapping[str, InputSpec], where: str = "The row"
) -> dict[str, Any]:
    """Make a row complete and of the types that the model's inputs have.

    Args:
        row: The raw features by name; absent and None both mean missing, and so do NaN and, for
            numbers, an empty text. Bytes may be `{"b64": "..."}`. A list may be a list, a tuple,
            an array or, as in a CSV file, a text with a JSON list; one of a fixed shape of several
            dimensions may be flat.
        inputs: The model's inputs.
        where: Which row it is, for errors.

    Returns:
        A value for every input, as it goes into the JSON request.

    Raises:
        ServingError: A feature is unknown, has no value for missing, or is of another type or
            shape.
    """
    for name in row:
        if name not in inputs:
            raise ServingError(
                f"{where} has a feature that the model does not know",
                received=f"'{name}'",
                expected=closest(str(name), inputs),
                next_step="send the raw features that the model was trained on, not the label",
            )
    return {name: _value(name, row.get(name), spec, where) for name, spec in inputs.items()}


def fill_up(rows: Sequence[dict[str, Any]], inputs: Mapping[str, InputSpec]) -> None:
    """Make the lists of any length of each input as long as the longest, as a tensor needs them.

    Args:
        rows: Complete rows, of one request; changed in place.
        inputs: The model's inputs.

    Raises:
        ServingError: Lists differ in length, and the input has no value that means missing.
    """
    for name, spec in inputs.items():
        lengths = {len(row[name]) for row in rows} if spec.row_shape == _ANY_LENGTH else set()
        if len(lengths) < 2:
            continue
        filler = stand_in(spec.dtype)
        if filler is None:
            raise ServingError(
                f"The lists of feature '{name}' differ in length",
                received=f"{min(lengths)} to {max(lengths)} values",
                expected=f"{_label(spec)}, all of one length: no value of this type means missing",
                next_step="ask for rows of one length at a time",
            )
        for row in rows:
            row[name] = row[name] + [filler] * (max(lengths) - len(row[name]))


def shorten(value: Any, most: int = 200) -> str:
    """A value as text for an error, cut when it is long."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."


def _value(name: str, value: Any, spec: InputSpec, where: str) -> Any:
    value = plain(value)
    if spec.row_shape is None and isinstance(value, list | tuple):
        return [_value(name, item, spec, where) for item in value]
    if spec.row_shape:
        return _list(name, value, spec, spec.row_shape, where)
    if is_missing(value, spec.dtype):
        return _missing(name, spec, where)
    return _one(name, value, spec, where)


def _list(
    name: str, value: Any, spec: InputSpec, row_shape: tuple[int, ...], where: str
) -> list[Any]:
    if isinstance(value, str):
        value = _parsed(value)
    if is_missing(value, spec.dtype) or value in ([], ()):
        return [_missing(name, spec, where)]
    if not isinstance(value, list | tuple):
        raise _type_error(name, value, spec, where)
    flat, shape = _flatten(value)
    if -1 not in row_shape and shape == (math.prod(row_shape),):
        shape = row_shape
    if len(shape) != len(row_shape) or not all(map(_fits, row_shape, shape)):
        raise ServingError(
            f"{where} has a list of the wrong length for feature '{name}'",
            received=f"{' x '.join(map(str, shape))} values",
            expected=_label(spec),
        )
    if any(is_missing(item, spec.dtype) for item in flat):
        raise ServingError(
            f"{where} has a list with a missing value for feature '{name}'",
            received=shorten(value),
            expected=f"{_label(spec)}; none of them may be missing",
        )
    nested = [_one(name, item, spec, where) for item in flat]
    for size in reversed(shape[1:]):
        nested = [nested[start : start + size] for start in range(0, len(nested), size)]
    return nested


def _flatten(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The values of nested lists, and their shape as far as they are lists of one length."""
    flat, shape = [value], []
    while flat and all(isinstance(item, list | tuple) for item in flat):
        sizes = {len(item) for item in flat}
        if len(sizes) > 1:
            break
        shape.append(sizes.pop())
        flat = [plain(inner) for item in flat for inner in item]
    return flat, tuple(shape)


def _parsed(text: str) -> Any:
    """The list that a text holds as JSON; the text itself if it is none."""
    try:
        return json.loads(text) if text.lstrip().startswith("[") else text
    except (ValueError, RecursionError):
        return text


def _fits(size: int, given: int) -> bool:
    return size in (-1, given)


def _missing(name: str, spec: InputSpec, where: str) -> Any:
    value = stand_in(spec.dtype) if spec.row_shape in ((), _ANY_LENGTH) else None
    if value is None:
        raise ServingError(
            f"{where} has no value for feature '{name}'",
            received="a missing value",
            expected=f"{_label(spec)}: this input has no value that means missing",
        )
    return value


def _one(name: str, value: Any, spec: InputSpec, where: str) -> Any:
    converted = convert(value, spec.dtype)
    if converted is None:
        raise _type_error(name, value, spec, where)
    return converted


def _type_error(name: str, value: Any, spec: InputSpec, where: str) -> ServingError:
    return ServingError(
        f"{where} has a value of the wrong type for feature '{name}'",
        received=f"{shorten(value)} ({type(value).__name__})",
        expected=_label(spec),
    )


def _label(spec: InputSpec) -> str:
    dtype = spec.dtype.removeprefix("DT_").lower()
    if not spec.row_shape:
        return f"a value of type {dtype}"
    sizes = " x ".join("any number of" if size == -1 else str(size) for size in spec.row_shape)
    return f"a list of {sizes} values of type {dtype}"
