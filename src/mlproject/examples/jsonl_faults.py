"""Why values of JSON Lines do not make a column: the line, the value and the next step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mlproject.errors import DataError
from mlproject.examples.columns import LIST
from mlproject.examples.jsonl_rows import RowBlock, shorten
from mlproject.examples.jsonl_types import Mixed, in_words, joined, kind_of, to_array

_EXPECTED = {
    "empty": "a number, text, true, false, null, or a list of one of them",
    "bool": "true or false",
    "int": "a whole number of 64 bits",
    "big": "a whole number",
    "float": "a number",
    "string": "text",
    "bytes": "text",
}


def mixed_values(block: RowBlock, name: str, values: Sequence[Any], kind: str) -> DataError:
    """The error for a column with values of different sorts.

    Args:
        block: The rows.
        name: The column.
        values: Its values in these rows, one of which does not fit; numbers may be spelled as
            text.
        kind: The kind of the values before these, or the declared one as "declared int".
    """
    at, kind = _first_misfit(values, kind)
    value = block.rows[at].get(name)
    declared = kind.startswith("declared ")
    scalar = kind.removeprefix("declared ").removesuffix(LIST)
    expected = _EXPECTED[scalar]
    if kind.endswith(LIST):
        expected = f"a list, each value {expected}"
    if scalar != "empty":
        why = "data.column_types declares it" if declared else "the values before are"
        expected = f"{expected}, as {why}"
    return DataError(
        block.fault(at, f"column '{name}' holds a value of another sort"),
        received=f"{in_words(value)}: {_short(value)}",
        expected=expected,
        next_step=_advice(name, value),
    )


def beyond_64_bits(block: RowBlock, row: int, name: str) -> DataError:
    """The error for a whole number that no int column can hold."""
    value = block.exact_rows()[row][name]
    suffix = LIST if type(value) is list else ""
    return DataError(
        block.fault(row, f"column '{name}' holds a whole number beyond 64 bits"),
        received=_short(value),
        expected="whole numbers from -9223372036854775808 to 9223372036854775807",
        next_step=f"declare data.column_types: {{{name}: string{suffix}}} in project.yaml if "
        f"it is a name, or float{suffix} if its first 15 digits are enough",
    )


def _first_misfit(values: Sequence[Any], kind: str) -> tuple[int, str]:
    """The place of the value that does not fit, and the kind of those before it."""
    for at, value in enumerate(values):
        try:
            if kind.startswith("declared "):
                to_array([value], kind)
            else:
                kind = joined(kind, kind_of([value]))
        except Mixed:
            return at, kind
    return len(values) - 1, kind


def _advice(name: str, value: Any) -> str:
    if type(value) is dict:
        keys = ", ".join(f"{name}_{key}" for key in list(value)[:3]) or f"{name}_..."
        return f"write its values as columns of their own ({shorten(keys)}), or drop '{name}'"
    items = value if type(value) is list else ()
    if any(type(item) in (list, dict) for item in items):
        return f"write '{name}' as one list of numbers or texts, or drop it"
    if None in items:
        return "fill the missing value, or leave it out of the list"
    kind = f"a list ('float{LIST}' or the like)" if type(value) is list else "string"
    return f"write one sort of value, or declare '{name}' as {kind} under data.column_types"


def _short(value: Any) -> str:
    try:
        return shorten(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "a value nested too deep to show"
