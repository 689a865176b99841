"""A pandas DataFrame as a source: what a notebook has at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pandas as pd
import pyarrow as pa

from mlproject.errors import ConfigError, DataError
from mlproject.examples.arrow_values import EMPTY, SUPPORTED, column_type_of, stored, wider
from mlproject.examples.batches import BATCH_ROWS
from mlproject.examples.columns import Columns, arrow_schema, check_declared
from mlproject.examples.formats import ReadOptions
from mlproject.examples.rows_digest import RowsDigest
from mlproject.examples.sources import Part, changed
from mlproject.examples.spans import Span

_PART = Part(None, None, "pandas.DataFrame")


class FrameSource:
    """The rows of a DataFrame, in their order; its index is left out.

    What pandas counts as missing (None, NaN, NaT, NA) is missing. Columns of objects hold one kind
    of value each: text, bytes, numbers, dates, or lists of them.

    Args:
        frame: The DataFrame.

    Raises:
        ConfigError: It is none.
        DataError: Its columns have no names of their own.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise ConfigError(
                "The frame to ingest is no pandas DataFrame",
                received=type(frame).__name__,
                expected="a pandas DataFrame",
                next_step="convert it, for example with its method to_pandas()",
            )
        _check_names(frame)
        self._frame = frame
        self._digest: str | None = None

    @property
    def uris(self) -> tuple[tuple[str | None, str], ...]:
        return ((None, _PART.uri),)

    @property
    def spans(self) -> tuple[Span, ...]:
        return ()

    def describe(self) -> str:
        """See `sources.Source.describe`."""
        rows, columns = self._frame.shape
        return f"a DataFrame of {rows:,} rows and {columns} columns"

    def digest(self) -> str:
        """See `sources.Source.digest`: of names, types and values; costs a pass over the rows."""
        self._digest = self._digest or self._computed_digest()
        return self._digest

    def open(self, options: ReadOptions) -> FrameReader:
        """See `sources.Source.open`."""
        return FrameReader(self._frame, options)

    def check_unchanged(self) -> None:
        """See `sources.Source.check_unchanged`; costs a pass over the rows."""
        if self._digest is not None and self._computed_digest() != self._digest:
            raise changed("the DataFrame holds other values", "a frame that nobody writes to")

    def _computed_digest(self) -> str:
        reader = FrameReader(self._frame, ReadOptions())
        digest = RowsDigest(reader.columns)
        for batch in reader.batches(_PART):
            digest.update(batch)
        return digest.hexdigest()


class FrameReader:
    """An opened DataFrame.

    Args:
        frame: The DataFrame.
        options: Declared types; the other options are for files.

    Raises:
        ConfigError: A declared type names no column or no type.
        DataError: A column holds what Examples cannot.
    """

    parts = (_PART,)

    def __init__(self, frame: pd.DataFrame, options: ReadOptions) -> None:
        check_declared(options.column_types, frame.columns)
        self._frame = frame
        self.columns: Columns = tuple(
            (name, options.column_types.get(name) or _type_of(frame[name]))
            for name in frame.columns
        )

    def batches(self, part: Part) -> Iterator[pa.RecordBatch]:
        """See `sources.Reader.batches`."""
        schema = arrow_schema(self.columns)
        for rows in _stretches(self._frame):
            arrays = [_stored(rows[name], column_type) for name, column_type in self.columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _check_names(frame: pd.DataFrame) -> None:
    names = list(frame.columns)
    odd = [name for name in names if not isinstance(name, str) or not name.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if odd or twice or not names:
        problem = f"no text: {odd[0]!r}" if odd else f"used twice: '{twice[0]}'" if twice else ""
        raise DataError(
            "The columns of the DataFrame have no names of their own",
            received=f"a name that is {problem}" if problem else "no columns",
            expected="a text for every column, each once",
            next_step="name them: frame.columns = [...]",
        )


def _stretches(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), BATCH_ROWS):
        yield frame.iloc[start : start + BATCH_ROWS]


def _type_of(column: pd.Series) -> str:
    """The type of a column; one of objects is read whole for it."""
    found = EMPTY
    for start in range(0, len(column), BATCH_ROWS):
        array = _array(column.iloc[start : start + BATCH_ROWS])
        kind = column_type_of(array.type)
        both = None if kind is None else wider(found, kind)
        if both is None:
            raise _unusable(column, f"{array.type} after {found}" if kind else str(array.type))
        found = both
        if column.dtype != object:
            break
    return found or "float"


def _array(column: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as err:
        raise _unusable(column, str(err)) from err
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _stored(column: pd.Series, column_type: str) -> pa.Array:
    try:
        return stored(_array(column), column_type)
    except pa.ArrowException as err:
        raise DataError(
            f"Column '{column.name}' of the DataFrame does not convert to {column_type}",
            received=f"dtype {column.dtype}: {err}",
            expected=f"values that fit {column_type}",
            next_step=f"convert the column, or declare another type for '{column.name}'",
        ) from err


def _unusable(column: pd.Series, received: str) -> DataError:
    return DataError(
        f"Column '{column.name}' of the DataFrame holds values that Examples cannot",
        received=f"dtype {column.dtype}: {received}",
        expected=f"one kind of value: {SUPPORTED}",
        next_step=f"convert the column, for example with frame['{column.name}'].astype(str), "
        "or drop it",
    )
