"""What reads the rows of a database has in common: chunks, keys, and words for a bad value."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from mlproject.errors import ConfigError, DataError
from mlproject.examples.arrow_values import SUPPORTED
from mlproject.examples.columns import Columns
from mlproject.examples.sql.statement import Key


class Chunk(NamedTuple):
    """Some rows in the order of the read.

    Attributes:
        batch: In the stored types.
        last: The key of the last row; None where the read has no key.
    """

    batch: pa.RecordBatch
    last: Key | None


class RowReader(Protocol):
    """Reads the rows of a selection in the way that suits the database."""

    @property
    def columns(self) -> Columns:
        """The columns; a later value may widen one."""

    @property
    def key_types(self) -> tuple[str, ...]:
        """SQL types that the values of a key must be cast to; empty where they are bound as is."""

    def chunks(self, connection: sa.Connection, after: Key | None) -> Generator[Chunk, None, None]:
        """Streams the rows, or those after a key.

        Raises:
            TypesWidened: A value widened a column's type: what was read is void.
            DataError: A value does not fit, or the database refuses or breaks off.
        """


class Keys:
    """The keys that went by: each is there, and greater than the one before.

    Args:
        names: The key's columns.
        label: What is read, for messages.
    """

    def __init__(self, names: tuple[str, ...], label: str) -> None:
        self._names = names
        self._label = label
        self._before: pa.StructArray | None = None

    def check(self, columns: list[pa.Array]) -> None:
        """Takes the next keys.

        Args:
            columns: `[rows]` for each column of the key.

        Raises:
            DataError: A value is missing, or a key stands twice in a row.
        """
        if not len(columns[0]):
            return
        missing = [n for n, c in zip(self._names, columns, strict=True) if c.null_count]
        if missing:
            raise unusable_key(self._label, f"null in '{missing[0]}'")
        same = pa.array([True] * (len(columns[0]) - (self._before is None)), pa.bool_())
        for number, column in enumerate(columns):
            before = column.slice(0, 0) if self._before is None else self._before.field(number)
            run = pa.concat_arrays([before, column])
            same = pc.and_(same, pc.equal(run[1:], run[:-1]))
        if pc.any(same).as_py():
            at = pc.index(same, pa.scalar(True)).as_py() + (self._before is None)
            key = tuple(column[at].as_py() for column in columns)
            raise unusable_key(self._label, f"{shown_key(self._names, key)} twice")
        last = [column.slice(len(column) - 1) for column in columns]
        self._before = pa.StructArray.from_arrays(last, names=list(self._names))


def unusable_key(label: str, received: str) -> DataError:
    """The error for a key that does not tell rows apart."""
    return DataError(
        f"The key of {label} does not tell its rows apart",
        received=received,
        expected="a value in every row, and no two rows alike: the read goes on from the last "
        "key when a connection breaks off",
        next_step="correct data.sql.key, or leave it out",
    )


def shown_key(names: tuple[str, ...], values: Key) -> str:
    """A key, as messages name it."""
    return ", ".join(f"{n} {v!r}" for n, v in zip(names, values, strict=True))


class ColumnTypeError(DataError):
    """A column that cannot be read as the type it has.

    Attributes:
        column: Its name.
        as_text: The column type that it can be read as, whatever it holds.
    """

    column = ""
    as_text = ""


def misfit(
    label: str, column: str, value: object, expected: str, place: str, as_text: str = "string"
) -> ColumnTypeError:
    """The error for a value that does not fit its column.

    Args:
        label: The table or query.
        column: Its column.
        value: The value.
        expected: What would have fit.
        place: Which row.
        as_text: See `ColumnTypeError`.
    """
    shown = repr(value)
    error = ColumnTypeError(
        f"A value in column '{column}' of {label} does not fit",
        received=f"{shown[:200]}{' ...' if len(shown) > 200 else ''} in {place}",
        expected=expected,
        next_step=f"correct the value, or declare data.column_types: {{{column}: {as_text}}} in "
        "project.yaml",
    )
    error.column, error.as_text = column, as_text
    return error


def unsupported(label: str, column: str, kind: str, as_text: str) -> ColumnTypeError:
    """The error for a column of a type that Examples cannot hold."""
    error = ColumnTypeError(
        f"Column '{column}' of {label} has a type that Examples cannot hold",
        received=kind,
        expected=SUPPORTED,
        next_step=f"read it as text with data.column_types: {{{column}: {as_text}}}, or read a "
        "query without it instead of the table",
    )
    error.column, error.as_text = column, as_text
    return error


def not_declarable(label: str, column: str, kind: str, declared: str) -> ConfigError:
    """The error for a declared type that a column cannot be read as."""
    return ConfigError(
        f"Column '{column}' of {label} cannot be read as {declared}",
        received=f"a column of type {kind}",
        expected="a list type for an array, another for a single value; bytes for bytes only",
        next_step="correct data.column_types in project.yaml",
    )


def place_of(key: tuple[str, ...], values: Key | None, row: int) -> str:
    """Which row: by its key, else by its number in the order of the database."""
    if values is None or not key:
        return f"row {row:,} (in the order the database gave)"
    return f"the row with {shown_key(key, values)}"
