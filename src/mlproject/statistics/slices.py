"""Slices: the rows of each value of a column, or of each pair of values of two.

Slices are named as TFDV names them (`company_Flash Cab`, `company_Flash Cab_hour_7`). Two things
are not TFDV's slicer's: a value that is missing makes a slice too (`company (missing)`), and rows
are not looped over in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import ConfigError, DataError, closest

MAX_SLICES = 1_000
"""Slices of a split, beside all its rows; each has accumulators of its own."""

ALL_EXAMPLES = "All Examples"  # as TFDV names what is not sliced
_ROW = "row"


@dataclass(frozen=True)
class ColumnSlicer:
    """Cuts batches by the values of columns.

    Attributes:
        columns: One column, or those that are crossed.
    """

    columns: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.columns)

    def __call__(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The slices of a batch of Examples (columns of lists).

        A row whose column holds a list stands in the slice of each of its values.

        Yields:
            The slice's name, and its rows in their order.

        Raises:
            ConfigError: A column does not exist.
            DataError: There are more than `MAX_SLICES`, or a value is no text.
        """
        names = sorted(self.columns)
        parts = [_rows_by_value(name, batch) for name in names]
        frame = parts[0][0]
        for other, _ in parts[1:]:
            frame = frame.merge(other, on=_ROW)
        code = np.zeros(len(frame), np.int64)
        for name, (_, labels) in zip(names, parts, strict=True):
            code = code * len(labels) + frame[name].to_numpy()
        order = np.argsort(code, kind="stable")
        found, starts = np.unique(code[order], return_index=True)
        check_count(self, len(found))
        rows = batch.take(pa.array(frame[_ROW].to_numpy()[order]))
        ends = np.append(starts[1:], len(order))
        for value, start, end in zip(found.tolist(), starts, ends, strict=True):
            yield self._name(value, [labels for _, labels in parts]), rows.slice(start, end - start)

    def _name(self, code: int, labels: Sequence[Sequence[str]]) -> str:
        words = []
        for known in reversed(labels):
            code, place = divmod(code, len(known))
            words.append(known[place])
        return "_".join(reversed(words))


def check_count(slicer: object, count: int) -> None:
    """Refuse more slices than can be held.

    Raises:
        DataError: There are more than `MAX_SLICES`.
    """
    if count > MAX_SLICES:
        raise DataError(
            f"The slices by '{slicer}' are too many",
            received=f"{count:,} slices or more",
            expected=f"at most {MAX_SLICES:,} slices of a split",
            next_step=f"take '{slicer}' out of `statistics.slices`, or a column with fewer values",
        )


def _rows_by_value(name: str, batch: pa.RecordBatch) -> tuple[pd.DataFrame, list[str]]:
    """(Row, code of a value) of every value, once in a row, and the codes' names."""
    if name not in batch.schema.names:
        raise ConfigError(
            "The slices name a column that the data does not have",
            received=f"'{name}'",
            expected=closest(name, batch.schema.names),
            next_step="correct `statistics.slices` in project.yaml",
        )
    column = batch.column(batch.schema.names.index(name))
    encoded = column.flatten().dictionary_encode()
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    rows = np.repeat(np.arange(len(column)), lengths)
    codes = encoded.indices.to_numpy()
    labels = [f"{name}_{_text(name, value)}" for value in encoded.dictionary.to_pylist()]
    missing = np.flatnonzero(lengths == 0)
    if len(missing):
        rows = np.concatenate([rows, missing])
        codes = np.concatenate([codes, np.full(len(missing), len(labels))])
        labels.append(f"{name} (missing)")
    frame = pd.DataFrame({_ROW: rows, name: codes}).sort_values(_ROW, kind="stable")
    return (frame.drop_duplicates() if lengths.max(initial=0) > 1 else frame), labels


def _text(name: str, value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError as err:
        raise DataError(
            f"The values of '{name}' cannot name slices",
            received=f"{value[:20]!r}",
            expected="text in UTF-8, or numbers",
            next_step=f"take '{name}' out of `statistics.slices`",
        ) from err
