"""The values of one column of Examples in the types that TFDV sees, and the rows they stand in."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TEXT_LENGTH = 200
"""Of a value in a message, in characters; the rest is cut off."""

_INT = r"^[ \t\r\n\v\f]*[-+]?[0-9]+[ \t\r\n\v\f]*$"
_FLOAT = (
    r"(?i)^[ \t\r\n\v\f]*[-+]?([0-9]+\.?[0-9]*(e[-+]?[0-9]+)?|\.[0-9]+(e[-+]?[0-9]+)?|inf|infinity"
    r"|nan)[ \t\r\n\v\f]*$"
)
_SPACE = " \t\r\n\v\f"
_LONGEST_INT = "9223372036854775807"
# Well-formed UTF-8 by bytes (Unicode 15, table 3-7).
_UTF8 = (
    rb"^(?:[\x00-\x7F]|[\xC2-\xDF][\x80-\xBF]|\xE0[\xA0-\xBF][\x80-\xBF]"
    rb"|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]"
    rb"|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})*$"
)


class Cells:
    """One column of a batch.

    Args:
        column: `[rows]` of int64, double, string or binary, or of lists of them.
    """

    def __init__(self, column: pa.Array) -> None:
        self._column = column
        self._nested = pa.types.is_list(column.type)

    @cached_property
    def present(self) -> pa.BooleanArray:
        """`[rows]`: whether the row has a value."""
        return pc.is_valid(self._column)

    @cached_property
    def counts(self) -> pa.Array:
        """`[rows]` int: how many values the row has; null where it has none."""
        if self._nested:
            return pc.list_value_length(self._column)
        return pc.if_else(self.present, pa.scalar(1, pa.int32()), pa.scalar(None, pa.int32()))

    @cached_property
    def values(self) -> pa.Array:
        """`[values]` int64, float32, string or binary: as in a row's tensor; null is no value."""
        stored = self._stored
        if pa.types.is_float64(stored.type):
            return stored.cast(pa.float32(), safe=False)  # beyond its range: inf
        return stored

    def row_of(self, positions: np.ndarray) -> np.ndarray:
        """`[n] int64`: the rows that some values stand in.

        Args:
            positions: `[n]` positions in `values`.
        """
        if not self._nested:
            return positions
        parents = pc.list_parent_indices(self._column).to_numpy(zero_copy_only=False)
        return np.asarray(parents[positions], np.int64)

    def texts(self, positions: np.ndarray) -> pa.StringArray:
        """`[n]`: some values as text, cut to a readable length.

        Args:
            positions: `[n]` positions in `values`.
        """
        chosen = self._stored.take(pa.array(positions, pa.int64()))
        if pa.types.is_binary(chosen.type):
            readable = valid_utf8(chosen)
            chosen = pc.if_else(readable, chosen, pa.scalar(b"(bytes)", pa.binary()))
        return pc.utf8_slice_codeunits(chosen.cast(pa.string()), 0, TEXT_LENGTH)

    @cached_property
    def _stored(self) -> pa.Array:
        return self._column.flatten() if self._nested else self._column


def valid_utf8(values: pa.Array) -> pa.BooleanArray:
    """`[values]`: whether texts are UTF-8; the column type `string` always is."""
    if not pa.types.is_binary(values.type):
        return pc.is_valid(values)
    return pc.match_substring_regex(values, pattern=_UTF8.decode("latin-1"))


def parse_ints(texts: pa.Array) -> pa.Int64Array:
    """`[values] int64`: texts as whole numbers; null where one is not, or has no 64 bits.

    Blanks around a number and a sign before it are allowed, as TFDV does.
    """
    texts = _readable(texts)
    trimmed = pc.utf8_trim(texts, characters=_SPACE)
    negative = pc.starts_with(trimmed, "-")
    digits = pc.utf8_ltrim(pc.replace_substring_regex(trimmed, "^[-+]", ""), characters="0")
    digits = pc.if_else(pc.equal(digits, ""), "0", digits)
    length, longest = pc.utf8_length(digits), len(_LONGEST_INT)
    # One number more fits below zero; it is its own opposite in 64 bits.
    most = pc.if_else(negative, str(2**63), _LONGEST_INT)
    fits = pc.or_(
        pc.less(length, longest),
        pc.and_(pc.equal(length, longest), pc.less_equal(digits, most)),
    )
    good = pc.and_(pc.match_substring_regex(texts, pattern=_INT), fits)
    signed = pc.binary_join_element_wise(pc.if_else(negative, "-", ""), digits, "")
    return pc.if_else(good, signed, pa.scalar(None, pa.string())).cast(pa.int64())


def parse_floats(texts: pa.Array) -> pa.FloatArray:
    """`[values] float32`: texts as numbers; null where one is not."""
    texts = _readable(texts)
    good = pc.match_substring_regex(texts, pattern=_FLOAT)
    trimmed = pc.utf8_ltrim(pc.utf8_trim(texts, characters=_SPACE), characters="+")
    numbers = pc.if_else(good, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
    return numbers.cast(pa.float32(), safe=False)


def _readable(texts: pa.Array) -> pa.StringArray:
    """Texts of any column type; what is not UTF-8 becomes a text that is no number."""
    if not pa.types.is_binary(texts.type):
        return texts
    readable = pc.if_else(valid_utf8(texts), texts, pa.scalar(b"?", pa.binary()))
    return readable.cast(pa.string())
