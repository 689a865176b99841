"""The type of every JSON Lines column: what all values of all lines say together.

The rules; none depends on the order of the lines, nor on how the reader cuts them into blocks:

1. A declared type wins. In a column declared a string, numbers keep the spelling they have in the
   file; in one declared a list, single values become lists of one.
2. Whole numbers are int, numbers with a fraction or an exponent are float, both together float.
   true and false are stored as the integers 1 and 0, and stand with nothing else. Text is string.
   An array of values of one of these types is a list.
3. A whole number beyond 64 bits fits a column of fractions only: among whole numbers alone it is an
   error, for an id that lost its last digits would go unnoticed.
4. null, [] and a key that a line lacks are missing values. A column that has no other is float.
5. Text and numbers, or lists and single values, in one column are an error; so is an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa

from mlproject.examples.arrow_values import list_array
from mlproject.examples.columns import LIST

EMPTY = "empty"
BIG = "big"
"""Whole numbers of which one is beyond 64 bits."""

_NUMBERS = ("int", BIG, "float")  # each fits in the next
_STORED = {EMPTY: "float", "bool": "int"}
_KINDS: dict[frozenset[type], str] = {
    frozenset(): EMPTY,
    frozenset({bool}): "bool",
    frozenset({int}): "int",
    frozenset({float}): "float",
    frozenset({int, float}): "float",
    frozenset({str}): "string",
}
_FITTING: dict[str, set[type]] = {
    EMPTY: set(),
    "bool": {bool},
    "int": {int},
    "float": {int, float},
    "string": {str},
    "declared int": {bool, int},
    "declared float": {bool, int, float},
    "declared string": {bool, str},
    "declared bytes": {bool, str},
}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_WORDS |= {list: "a list", dict: "an object", NoneType: "null"}


class Mixed(Exception):  # noqa: N818 - a finding, which the caller turns into a DataError
    """Values that no column type holds together, or not the one wanted."""


def stored_type(kind: str) -> str:
    """The column type that a kind is stored as."""
    scalar = kind.removesuffix(LIST)
    return _STORED.get(scalar, scalar) + kind[len(scalar) :]


def joined(one: str, other: str) -> str:
    """The kind that holds the values of both.

    Raises:
        Mixed: There is none.
    """
    if one == other or other == EMPTY:
        return one
    if one == EMPTY:
        return other
    if one.endswith(LIST) and other.endswith(LIST):
        return joined(one.removesuffix(LIST), other.removesuffix(LIST)) + LIST
    if one not in _NUMBERS or other not in _NUMBERS:
        raise Mixed
    return max(one, other, key=_NUMBERS.index)


def kind_of(values: Sequence[Any]) -> str:
    """The kind of a column's values, None where missing; whole numbers must be exact.

    Returns:
        "empty", "bool", "int", "big", "float" or "string", or a list of one of the last five.

    Raises:
        Mixed: No type holds them together.
    """
    types = set(map(type, values)) - {NoneType}
    if list in types:
        lists = [value for value in values if type(value) is list and value]
        if lists:
            items = list(chain.from_iterable(lists))
            if types != {list} or {NoneType, list} & set(map(type, items)):
                raise Mixed
            return kind_of(items) + LIST
        types.discard(list)
    kind = _KINDS.get(frozenset(types))
    if kind is None:
        raise Mixed
    return BIG if kind == "int" and not _in_64_bits(values) else kind


def fits(values: Sequence[Any], kind: str) -> bool:
    """Whether a kind holds values, told at a glance: False says nothing of lists."""
    types = set(map(type, values)) - {NoneType}
    return types <= _FITTING.get(kind, set()) and (kind != "int" or _in_64_bits(values))


def is_exact(values: Sequence[Any]) -> bool:
    """Whether no value can be a whole number that orjson made a float of."""
    lists = chain.from_iterable(value for value in values if type(value) is list)
    return not any(type(value) is float and abs(value) >= 2**63 for value in chain(values, lists))


def in_words(value: Any) -> str:
    """What sort of value it is, for a message."""
    if type(value) is list and value:
        return f"a list of {' and '.join(sorted({_WORDS[type(item)] for item in value}))}"
    return _WORDS[type(value)]


def to_array(values: Sequence[Any], kind: str) -> pa.Array:
    """A column's values in the Arrow type that their kind is stored in.

    Args:
        values: None where missing.
        kind: One that holds them, as far as is known; a declared one as "declared int", and with
            the numbers spelled as text where it is a string or bytes.

    Raises:
        Mixed: It does not hold them.
    """
    if kind.endswith(LIST):
        return _to_lists(values, kind.removesuffix(LIST))
    types = set(map(type, values)) - {NoneType}
    if list in types and not any(value for value in values if type(value) is list):
        values = [None if type(value) is list else value for value in values]
        types.discard(list)
    if not types <= _FITTING[kind]:
        raise Mixed
    if kind == EMPTY:
        return pa.nulls(len(values), pa.float64())
    if kind == "bool":
        return pa.array(values, pa.bool_()).cast(pa.int64())
    text = str in _FITTING[kind]
    if bool in types:
        as_other = {True: "true", False: "false"} if text else {True: 1, False: 0}
        values = [as_other[value] if type(value) is bool else value for value in values]
    if text:
        texts = pa.array(values, pa.string())
        return texts.cast(pa.binary()) if kind.endswith("bytes") else texts
    return _floats(values) if kind.endswith("float") else _ints(values)


def _in_64_bits(values: Sequence[Any]) -> bool:
    there = [value for value in values if type(value) is int]
    return not there or (min(there) >= -(2**63) and max(there) < 2**63)


def _to_lists(values: Sequence[Any], kind: str) -> pa.ListArray:
    if kind.startswith("declared"):
        single = set(map(type, values)) - {NoneType, list}
        values = [[v] if type(v) in single else v for v in values] if single else values
    elif set(map(type, values)) - {NoneType, list}:
        raise Mixed
    items = list(chain.from_iterable(value for value in values if value))
    if {NoneType, list} & set(map(type, items)):
        raise Mixed
    lengths = pa.array([None if value is None else len(value) for value in values], pa.int64())
    return list_array(to_array(items, kind), lengths)


def _ints(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.int64())
    except (OverflowError, pa.ArrowInvalid) as err:  # beyond 64 bits
        raise Mixed from err


def _floats(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.float64())
    except pa.ArrowInvalid:  # a whole number beyond 2**53 takes the nearest float
        return pa.array(np.array(values, np.float64), from_pandas=True)
