"""The rows of a request, `{"instances": [...]}`, as one array per input."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from serving.model_server.json_bytes import is_base64
from serving.model_server.json_faults import dense_shape, fault_in, quote
from serving.model_server.json_tensor import to_array
from serving.model_server.signature import Signature, Tensors, shape_text
from serving.model_server.status import StatusError, invalid

_BLOCK_ROWS = 1024
_TURN_ROWS = 16 * _BLOCK_ROWS  # converted at a time, so that other threads get their turns


def columns_of_rows(rows: list[Any], signature: Signature) -> Tensors:
    """Turn rows into the tensors of a signature's inputs.

    Args:
        rows: One object per row, by input name; or one plain value per row, for a single input.
        signature: The signature.

    Raises:
        StatusError: INVALID_ARGUMENT that names the first row that does not fit, and its key.
    """
    named = is_object(rows[0])
    if not named and type(rows[0]) is not dict and len(signature.inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input "
            "tensors required as per tensorinfo_map"
        )
    try:
        blocks = [
            _convert(rows[start : start + _TURN_ROWS], signature, named)
            for start in range(0, len(rows), _TURN_ROWS)
        ]
        return blocks[0] if len(blocks) == 1 else _joined(blocks)
    except (StatusError, KeyError) as err:
        fault = _first_fault(rows, signature, named)
        raise fault or (err if isinstance(err, StatusError) else invalid(str(err))) from err


def _joined(blocks: list[Tensors]) -> Tensors:
    tensors = {}
    for name in blocks[0]:
        parts = [block[name] for block in blocks]
        if len({part.shape[1:] for part in parts}) > 1:
            raise KeyError("rows of other shapes")
        tensors[name] = np.concatenate(parts)
    return tensors


def is_object(value: Any) -> bool:
    """Whether a JSON value is an object, and not one that stands for bytes."""
    return type(value) is dict and not is_base64(value)


def _convert(rows: list[Any], signature: Signature, named: bool) -> Tensors:
    inputs = signature.inputs
    if not named:
        name, spec = next(iter(inputs.items()))
        return {name: to_array(rows, spec)}
    if set(map(type, rows)) != {dict} or set(map(len, rows)) != {len(inputs)}:
        raise KeyError("rows of other keys")
    if "b64" in inputs and any(map(is_base64, rows)):
        raise KeyError("bytes among objects")
    if len(inputs) == 1:
        name, spec = next(iter(inputs.items()))
        column = list(map(itemgetter(name), rows))
        return {name: to_array(column, spec)}
    columns = zip(*map(itemgetter(*inputs), rows), strict=True)
    return {
        name: to_array(list(column), spec)
        for (name, spec), column in zip(inputs.items(), columns, strict=True)
    }


def _first_fault(rows: list[Any], signature: Signature, named: bool) -> StatusError | None:
    """The first fault in the order of the document; blocks of good rows are passed over whole."""
    shapes: dict[str, list[int]] = {}
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        try:
            arrays = _convert(block, signature, named)
        except (StatusError, KeyError):
            arrays = {}
        else:
            got = {name: list(array.shape[1:]) for name, array in arrays.items()}
            shapes = shapes or got
        if arrays and got == shapes:
            continue
        for number, row in enumerate(block, start):
            fault = _row_fault(number, row, signature, named, shapes)
            if fault is not None:
                return fault
    return None


def _row_fault(
    number: int, row: Any, signature: Signature, named: bool, shapes: dict[str, list[int]]
) -> StatusError | None:
    if not named:
        if is_object(row):
            return invalid(f"Expecting value/list but got object at item {number} of input list")
        fault = _item_fault(next(iter(signature.inputs)), row, signature, shapes)
        return _in_element(f"{number}", fault) if fault else None
    if not is_object(row):
        return invalid(f"Expecting object but got list at item {number} of input list")
    for name, value in row.items():
        fault = _item_fault(name, value, signature, shapes)
        if fault is not None:
            return _in_element(f"{number} key: {name}", fault)
    if row.keys() != signature.inputs.keys():
        return invalid(
            f"Failed to process element: {number} of 'instances' list. JSON object: {quote(row)}"
            f" keys must be equal to: {','.join(sorted(signature.inputs))}"
        )
    return None


def _item_fault(
    name: str, value: Any, signature: Signature, shapes: dict[str, list[int]]
) -> StatusError | None:
    spec = signature.inputs.get(name)
    if spec is None:
        return invalid(f"JSON object: does not have named input: {name}")
    try:
        to_array(value, spec)
    except StatusError as err:
        return fault_in(value, spec) or err
    shape = dense_shape(value)
    first = shapes.setdefault(name, shape)
    if _size(first) != _size(shape):
        return invalid(f"Expecting tensor size: {_size(first)} but got: {_size(shape)}")
    if first != shape:
        return invalid(
            f"Expecting shape {shape_text(tuple(first))} but got: {shape_text(tuple(shape))}"
        )
    return None


def _size(shape: list[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _in_element(place: str, fault: StatusError) -> StatusError:
    return invalid(
        f"Failed to process element: {place} of 'instances' list. "
        f"Error: {fault.code.name}: {fault.message}"
    )
