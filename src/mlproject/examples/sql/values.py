"""Columns from the values that a database driver gives: Python objects, a tuple of them at a time.

The database's declared type comes first; where there is none, the values of the first rows decide,
and a later one may widen int to float. Anything else that does not fit is an error.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.examples.arrow_values import (
    EMPTY,
    SUPPORTED,
    column_type_of,
    first_misfit,
    stored,
    wider,
)
from mlproject.examples.formats import TypesWidened

MOMENT = "moment"
"""A kind beside the column types: text in ISO 8601, or seconds since 1970-01-01, in an int."""

_ISO = "that is a date or time as YYYY-MM-DD HH:MM:SS in UTC, or an int"
_NUMBERS = {int, float, Decimal}


class Misfit(Exception):  # noqa: N818 - a finding, which the caller turns into a DataError
    """A value that does not fit its column.

    Attributes:
        row: Its position among the values.
        expected: What would have fit.
    """

    def __init__(self, row: int, expected: str) -> None:
        super().__init__(f"row {row} is not {expected}")
        self.row = row
        self.expected = expected


class ValueColumn:
    """One column, and what is known of its type.

    Args:
        name: Its name.
        kind: A column type, `MOMENT`, or "" where the values tell.
        declared: Whether the user said so: then values are converted to it.
    """

    def __init__(self, name: str, kind: str, declared: bool = False) -> None:
        self.name = name
        self._kind = kind
        self._declared = declared
        self.known = bool(kind)

    @property
    def column_type(self) -> str:
        return "int" if self._kind == MOMENT else self._kind or "float"

    def settle(self, values: Sequence[Any]) -> None:
        """Takes the type of the first values, where there is no other word on it.

        Raises:
            Misfit: They are of several types, or of one that Examples cannot hold.
        """
        if not self.known:
            self._kind = _kind_of(_raw(values))

    def convert(self, values: Sequence[Any]) -> pa.Array:
        """The values in the type they are stored in.

        Raises:
            TypesWidened: One of them is a float in a column of ints.
            Misfit: One of them does not fit.
        """
        if self._declared and self._kind == "string":
            return pa.array(_texts(values), pa.string())
        try:
            array = _raw(values)
        except Misfit as found:
            raise self._misfit(values, found) from found
        if self._declared:
            return self._converted(array)
        kind = _kind_of(array)
        widened = self._widened(kind)
        if widened is None:
            raise Misfit(_first_value(array), self._expected)
        before, self._kind = self.column_type, widened
        if before != self.column_type:
            raise TypesWidened
        if self._kind == MOMENT and kind == "string":
            return _seconds(array)
        return self._converted(array)

    def _widened(self, kind: str) -> str | None:
        """The column's kind when values of another one come, or None where they do not fit."""
        if self._kind == MOMENT:
            return MOMENT if kind in ("string", "int", EMPTY) else None
        if self._kind == "bytes" and kind == "string":
            return "bytes"
        return wider(self._kind, kind)

    @property
    def _expected(self) -> str:
        return _ISO if self._kind == MOMENT else f"of type {self._kind}, as the column"

    def _converted(self, array: pa.Array) -> pa.Array:
        target = self.column_type
        try:
            return stored(array, target)
        except pa.ArrowException as err:
            row = first_misfit(array, lambda part: stored(part, target))
            raise Misfit(row, f"of type {target}") from err

    def _misfit(self, values: Sequence[Any], found: Misfit) -> Misfit:
        """The first value of a mixture that does not fit the column, rather than its neighbours."""
        for row, value in enumerate(values):
            try:
                kind = _kind_of(_raw([value]))
            except Misfit:
                return Misfit(row, found.expected)
            if self._widened(kind) is None:
                return Misfit(row, self._expected)
        return found


def _raw(values: Sequence[Any]) -> pa.Array:
    """Values as Arrow sees them, without a loop over them in Python.

    Raises:
        Misfit: They are of several types, or of one that has no place.
    """
    types = set(map(type, values)) - {type(None)}
    try:
        if types == {Decimal}:
            return pa.array(np.array(values, dtype=np.float64), mask=_missing(values))
        if len(types) > 1 and types <= _NUMBERS:
            return pa.array(np.array(values, dtype=np.float64), mask=_missing(values))
        if types and types <= {uuid.UUID, dict}:
            return pa.array(_texts(values), pa.string())
        if types <= {bytes, bytearray, memoryview}:
            return pa.array(values, pa.binary()) if types else pa.nulls(len(values))
        if len(types) == 1:
            return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _refused(values)
    first = next(type(value) for value in values if value is not None)
    other = next(i for i, v in enumerate(values) if v is not None and type(v) is not first)
    raise Misfit(other, f"of type {first.__name__}, as the values before it")


def _refused(values: Sequence[Any]) -> pa.Array:
    """Says which value Arrow cannot hold."""
    for row, value in enumerate(values):
        try:
            pa.array([value])
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as err:
            big = isinstance(value, int)
            raise Misfit(row, "of at most 64 bits" if big else f"among {SUPPORTED}") from err
    raise Misfit(0, "of one type with the others")


def _kind_of(array: pa.Array) -> str:
    kind = column_type_of(array.type)
    if kind is None:
        raise Misfit(_first_value(array), f"among {SUPPORTED}")
    return kind


def _first_value(array: pa.Array) -> int:
    return int(pc.index(pc.is_valid(array), pa.scalar(True)).as_py())


def _missing(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return np.equal(objects, None).astype(bool)  # type: ignore[call-overload]


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [_text(value) for value in values]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="replace")
    return value.isoformat(" ") if isinstance(value, dt.datetime) else str(value)


def _seconds(texts: pa.Array) -> pa.Array:
    """Seconds since 1970-01-01 UTC of dates and times in ISO 8601."""
    bare = pc.replace_substring_regex(texts, r"\s*(Z|[+-]00:?00)$", "")

    def parsed(part: pa.Array) -> pa.Array:
        return stored(part.cast(pa.timestamp("us")), "int")

    try:
        return parsed(bare)
    except pa.ArrowException as err:
        row = first_misfit(bare, parsed)
        raise Misfit(row, _ISO) from err
