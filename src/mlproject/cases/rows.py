"""The rows of behavioural cases: written down or drawn, and changed. Imports pyarrow at the top."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.cases.sections import ChangedCase, ChangeSection
from mlproject.errors import ConfigError, closest

_CELL = "text, a number, true, false, null, bytes as {b64: aGVsbG8=}, or a list of these"


def written_row(
    row: Mapping[str, Any], schema: pa.Schema, inputs: tuple[str, ...], case: str
) -> pa.RecordBatch:
    """A row of the file as a batch of one row: what it leaves out is a missing value.

    Args:
        row: Raw column -> value.
        schema: Of the raw data.
        inputs: The model's inputs.
        case: Name of the case, for the messages.

    Raises:
        ConfigError: A column is no input of the model, or a value is not of its type.
    """
    check_columns(row, inputs, case, "an input of the model")
    columns = [_column([row.get(name)], schema.field(name), case) for name in inputs]
    return pa.RecordBatch.from_arrays(columns, names=list(inputs))


def drawn_rows(
    batch: pa.RecordBatch, count: int, where: Mapping[str, Any], seed: int, case: str
) -> pa.RecordBatch:
    """Rows drawn without replacement, in their order; all there are where there are fewer.

    Args:
        batch: Raw rows.
        count: Rows to draw.
        where: Column -> value that they have; None for a missing one.
        seed: Of the draw.
        case: Name of the case, for the messages.

    Raises:
        ConfigError: `where` names no column of the data, or a value of another type.
    """
    check_columns(where, tuple(batch.schema.names), case, "a column of the data")
    found = np.ones(batch.num_rows, dtype=bool)
    for name, value in where.items():
        column = batch.column(batch.schema.get_field_index(name))
        wanted = _column([value], batch.schema.field(name), case)
        if pa.types.is_list(column.type):
            raise _wrong_value(case, name, value, "a column of single values in 'where'")
        same = column.is_null() if value is None else pc.equal(column, wanted[0]).fill_null(False)
        found &= same.to_numpy(zero_copy_only=False)
    places = np.flatnonzero(found)
    if len(places) > count:
        places = np.sort(np.random.default_rng(seed).choice(places, count, replace=False))
    return batch.take(pa.array(places))


def changed_rows(batch: pa.RecordBatch, case: ChangedCase) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows with each combination of the case's changes.

    Yields:
        The change in words, and the rows.

    Raises:
        ConfigError: A value is not of the column's type, or a column is not of numbers.
    """
    options = [
        [(name, change, choice) for choice in change.choices] or [(name, change, None)]
        for name, change in case.change.items()
    ]
    for combination in itertools.product(*options):
        changed, words = batch, []
        for name, change, choice in combination:
            place = changed.schema.get_field_index(name)
            field = changed.schema.field(place)
            column = _changed(changed.column(place), field, change, choice, case.name)
            arrays = [*changed.columns]
            arrays[place] = column
            changed = pa.RecordBatch.from_arrays(arrays, names=changed.schema.names)
            words.append(_words(name, change, choice))
        yield ", ".join(words), changed


def check_columns(given: Mapping[str, Any], known: tuple[str, ...], case: str, what: str) -> None:
    """Refuses a column that is not known.

    Raises:
        ConfigError: With the closest name.
    """
    for name in given:
        if name not in known:
            raise ConfigError(
                f"The behavioural case '{case}' names a column that is not there",
                received=f"'{name}'",
                expected=f"{what}: {closest(str(name), known)}",
                next_step="mend the file of cases",
            )


def shown(batch: pa.RecordBatch, place: int, names: tuple[str, ...], most: int = 160) -> str:
    """One row, shown short: its values that are not missing, some columns first."""
    order = [*names, *(n for n in batch.schema.names if n not in names)]
    cells = ((n, batch.column(batch.schema.get_field_index(n))[place].as_py()) for n in order)
    texts = [f"{name}: {_short(value)}" for name, value in cells if value not in (None, [], "")]
    kept: list[str] = []
    for text in texts:
        if kept and sum(map(len, kept)) + len(text) > most:
            kept.append(f"and {len(texts) - len(kept)} more")
            break
        kept.append(text)
    return "{" + ", ".join(kept) + "}"


def _changed(
    column: pa.Array, field: pa.Field, change: ChangeSection, choice: Any, case: str
) -> pa.Array:
    if change.add is None and change.multiply is None:
        value = _column([choice], field, case)
        return value.take(pa.array(np.zeros(len(column), dtype=np.int64)))
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise _wrong_value(
            case, field.name, "add or multiply", f"a value: it is a column of {kind}"
        )
    if not pa.types.is_list(field.type):
        return _arithmetic(column, change, case, field.name)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = _arithmetic(column.flatten(), change, case, field.name)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _arithmetic(values: pa.Array, change: ChangeSection, case: str, name: str) -> pa.Array:
    """Numbers added to or multiplied; whole numbers stay whole, rounded."""
    wide = values.cast(pa.float64(), safe=False)
    result = pc.multiply(wide, change.multiply) if change.add is None else pc.add(wide, change.add)
    if pa.types.is_floating(values.type):
        return result.cast(values.type, safe=False)
    try:
        return pc.round(result).cast(values.type)
    except pa.ArrowInvalid as err:
        raise _wrong_value(case, name, str(err)[:100], "a result that is a whole number") from err


def _column(values: list[Any], field: pa.Field, case: str) -> pa.Array:
    """Values of the file as a column of the data's type."""
    binary = pa.types.is_binary(field.type) or (
        pa.types.is_list(field.type) and pa.types.is_binary(field.type.value_type)
    )
    wanted = f"{_CELL}, that fits the column's type {field.type}"
    try:
        cells = [_decoded(value) if binary else value for value in values]
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        if pa.types.is_integer(kind) and any(map(_has_fraction, cells)):
            raise ValueError("pyarrow would cut the fraction")
        return pa.array(cells, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, binascii.Error) as err:
        raise _wrong_value(case, field.name, values[0], wanted) from err


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        if set(value) != {"b64"}:
            raise ValueError("bytes are written {b64: ...}")
        return base64.b64decode(value["b64"], validate=True)
    return value.encode() if isinstance(value, str) else value


def _has_fraction(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_fraction, value))
    return isinstance(value, float) and not value.is_integer()


def _wrong_value(case: str, name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(
        f"The behavioural case '{case}' does not fit the column '{name}'",
        received=f"{_short(value)} ({type(value).__name__})",
        expected=expected,
        next_step="mend the file of cases",
    )


def _words(name: str, change: ChangeSection, choice: Any) -> str:
    if change.add is not None:
        return f"{name} + {change.add:g}"
    if change.multiply is not None:
        return f"{name} x {change.multiply:g}"
    return f"{name} = {'(missing)' if choice is None else _short(choice)}"


def _short(value: Any, most: int = 40) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= most else text[:most] + "..."
