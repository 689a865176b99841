"""Arrow arrays of any type as the types that Examples store.

Integers of every width and booleans become int; floats and decimals become float; text, plain or
dictionary-encoded, becomes string. Timestamps and dates become int, as seconds since 1970-01-01
UTC (a fraction of a second is cut off; a timestamp without a zone counts as UTC). Lists become
lists of these. Structs, maps, nested lists, times of day, durations and intervals have no place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as t

from mlproject.examples.columns import LIST, arrow_type

EMPTY = ""
"""The type of a column without a single value; stored as float."""
_EXACT_INT = 2**53
_EXACT_POWER = 22
"""The largest power of ten that is a double."""
SUPPORTED = "numbers, text, bytes, booleans, dates, timestamps, or lists of them"


def column_type_of(kind: pa.DataType) -> str | None:
    """The column type that an Arrow type becomes, `EMPTY` for nulls, None where it has no place."""
    if t.is_dictionary(kind):
        return column_type_of(kind.value_type)
    if _is_list(kind):
        inner = column_type_of(kind.value_type)
        return None if inner is None or inner.endswith(LIST) else inner and inner + LIST
    if t.is_integer(kind) or t.is_boolean(kind) or t.is_timestamp(kind) or t.is_date(kind):
        return "int"
    if t.is_floating(kind) or t.is_decimal(kind):
        return "float"
    if t.is_string(kind) or t.is_large_string(kind):
        return "string"
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        return "bytes"
    return EMPTY if t.is_null(kind) else None


def wider(one: str, other: str) -> str | None:
    """The type that holds the values of both, or None: int fits in float, `EMPTY` in all."""
    if one == other or other == EMPTY:
        return one
    if one == EMPTY:
        return other
    scalars = {one.removesuffix(LIST), other.removesuffix(LIST)}
    same_shape = one.endswith(LIST) == other.endswith(LIST)
    if scalars != {"int", "float"} or not same_shape:
        return None
    return "float" + (LIST if one.endswith(LIST) else "")


def stored(array: pa.Array, column_type: str) -> pa.Array:
    """The array in the Arrow type that a column type is stored in.

    Args:
        array: Of any type that `column_type_of` knows.
        column_type: One of `columns.COLUMN_TYPES`; other types than the array's own are converted
            where every value fits.

    Raises:
        pa.ArrowException: A value does not fit, or nothing converts one type to the other.
    """
    target = arrow_type(column_type)
    if array.type.equals(target):
        return array
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if t.is_null(array.type) or (column_type_of(array.type) == EMPTY and not len(array.flatten())):
        return pa.nulls(len(array), target)
    if _is_list(array.type) != t.is_list(target):
        raise pa.ArrowNotImplementedError("a list is no single value, nor the other way round")
    if t.is_list(target):
        return _stored_lists(array, column_type.removesuffix(LIST))
    if t.is_string(target):
        return array.cast(target)
    if t.is_timestamp(array.type) or t.is_date(array.type):
        array = _seconds(array)
    if t.is_boolean(array.type):
        array = array.cast(pa.int64())
    if t.is_decimal(array.type) and t.is_floating(target):
        return _doubles(array)
    # An int above 2**53 has no float of its own and takes the nearest, as in a tensor.
    return array.cast(target, safe=not (t.is_integer(array.type) and t.is_floating(target)))


def first_misfit(array: pa.Array, fits: Callable[[pa.Array], object]) -> int:
    """The position of the first value that makes `fits` raise, found by halving.

    Args:
        array: With such a value in it.
        fits: Raises pa.ArrowException for an array that holds one.
    """
    start, length = 0, len(array)
    while length > 1:
        half = length // 2
        try:
            fits(array.slice(start, half))
        except pa.ArrowException:
            length = half
        else:
            start, length = start + half, length - half
    return start


def list_array(values: pa.Array, lengths: pa.Array) -> pa.ListArray:
    """Lists from their values one after the other.

    Args:
        values: Of all lists.
        lengths: `[rows]` integers; null for a missing list.
    """
    missing = pc.is_null(lengths).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths.fill_null(0).to_numpy(), out=offsets[1:])
    if not missing.any():
        return pa.ListArray.from_arrays(pa.array(offsets), values)
    null_list = np.append(missing, False)  # a null offset marks a null list
    return pa.ListArray.from_arrays(pa.array(offsets, mask=null_list), values)


def _stored_lists(array: pa.Array, scalar: str) -> pa.ListArray:
    lengths = pc.list_value_length(array)
    return list_array(stored(array.flatten(), scalar), lengths)


def _doubles(array: pa.Array) -> pa.Array:
    """The nearest doubles, which Arrow's own cast misses for one decimal in seven by a last bit.

    Decimals of more than 15 digits are left to Arrow.
    """
    if not t.is_decimal128(array.type) or not 0 <= array.type.scale <= _EXACT_POWER:
        return array.cast(pa.float64())
    halves = np.frombuffer(array.buffers()[1], dtype="<i8").reshape(-1, 2)
    halves = halves[array.offset : array.offset + len(array)]
    low, high = halves[:, 0], halves[:, 1]
    exact = (low <= _EXACT_INT) & (low >= -_EXACT_INT) & (high == low >> 63)
    values = low / 10.0**array.type.scale
    if not exact.all():
        values = np.where(exact, values, array.cast(pa.float64()).fill_null(0.0).to_numpy())
    return pa.array(values, mask=array.is_null().to_numpy(zero_copy_only=False))


def _seconds(array: pa.Array) -> pa.Array:
    if t.is_timestamp(array.type):
        array = array.view(pa.timestamp(array.type.unit))  # in UTC, whatever its zone
        array = pc.floor_temporal(array, unit="second")
    return array.cast(pa.timestamp("s")).cast(pa.int64())


def _is_list(kind: pa.DataType) -> bool:
    return bool(t.is_list(kind) or t.is_large_list(kind))
