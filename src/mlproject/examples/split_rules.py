"""Rules that say which split a row belongs to: by hash, by a column's value, or by time.

Each looks at one row alone, so a row's split does not depend on the batch, the order or the
machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlproject.errors import ConfigError, DataError, closest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from mlproject.examples.splits import Hashes


class SplitRule(Protocol):
    """How rows are split that do not come split."""

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, in order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at; none: all of them."""

    def assign(self, batch: pa.RecordBatch, hashes: Hashes) -> npt.NDArray[np.int8]:
        """Gives every row its split.

        Args:
            batch: The rows.
            hashes: `[rows] uint64`, of all columns.

        Returns:
            `[rows] int8`: positions in `names`.

        Raises:
            DataError: A row belongs to no split.
        """


@dataclass(frozen=True)
class ByHash:
    """Shares of the rows, by a stable hash.

    Attributes:
        shares: Split name and relative weight, in order.
        key: Columns that decide, so that rows which agree in them share a split; empty: all.
    """

    shares: tuple[tuple[str, float], ...]
    key: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.shares)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.key

    def assign(self, batch: pa.RecordBatch, hashes: Hashes) -> npt.NDArray[np.int8]:
        """See `SplitRule.assign`."""
        from mlproject.examples.splits import hash_rows, splits_of_hashes

        keys = hash_rows(batch, self.key) if self.key else hashes
        return splits_of_hashes(keys, dict(self.shares))


@dataclass(frozen=True)
class ByValue:
    """Splits named by the values of one column.

    Attributes:
        column: A column of int, string or float.
        values: Split name and its values, as text; whole floats are written without a fraction.
        rest: The split of all other values, missing ones too; None: such a row is an error.
    """

    column: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    rest: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        named = tuple(name for name, _ in self.values)
        return named if self.rest is None or self.rest in named else (*named, self.rest)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def assign(self, batch: pa.RecordBatch, hashes: Hashes) -> npt.NDArray[np.int8]:
        """See `SplitRule.assign`."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = {v: self.names.index(name) for name, values in self.values for v in values}
        column = batch.column(batch.schema.get_field_index(self.column))
        if pa.types.is_floating(column.type):
            text = pc.replace_substring_regex(column.cast(pa.string()), r"\.0$", "")
        else:
            text = column.cast(pa.string())
        found = pc.index_in(text, pa.array(list(wanted), pa.string()))
        rest = -1 if self.rest is None else self.names.index(self.rest)
        places = np.array([*wanted.values(), rest], dtype=np.int8)
        assigned: npt.NDArray[np.int8] = places[found.fill_null(len(wanted)).to_numpy()]
        homeless = np.flatnonzero(assigned < 0)
        if len(homeless):
            value = column[int(homeless[0])].as_py()
            raise DataError(
                f"A value of column '{self.column}' belongs to no split",
                received="a missing value" if value is None else repr(value),
                expected=f"one of {', '.join(list(wanted)[:10])}",
                next_step="name it under data.split_by.values, or name a split for all other "
                "values as data.split_by.rest",
            )
        return assigned


@dataclass(frozen=True)
class ByTime:
    """Splits by the time of each row: every split ends where the next begins.

    Attributes:
        column: Seconds since 1970-01-01 UTC (int or float), or ISO 8601 text (UTC where it names
            no zone).
        before: Split name and its end in seconds since 1970-01-01 UTC, exclusive, rising; the last
            split has None and takes the rest.
    """

    column: str
    before: tuple[tuple[str, float | None], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.before)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def assign(self, batch: pa.RecordBatch, hashes: Hashes) -> npt.NDArray[np.int8]:
        """See `SplitRule.assign`."""
        import numpy as np

        column = batch.column(batch.schema.get_field_index(self.column))
        seconds = _seconds(column)
        lost = np.flatnonzero(np.isnan(seconds))
        if len(lost):
            value = column[int(lost[0])].as_py()
            raise DataError(
                f"A row has no time in column '{self.column}', so it belongs to no split",
                received="a missing value" if value is None else repr(value),
                expected="seconds since 1970-01-01 UTC, or ISO 8601 text",
                next_step="mend the data, or split by hash (data.splits)",
            )
        bounds = [end for _, end in self.before if end is not None]
        assigned: npt.NDArray[np.int8] = np.searchsorted(bounds, seconds, side="right").astype(
            np.int8
        )
        return assigned


def check_columns(rule: SplitRule, columns: Mapping[str, str]) -> None:
    """Refuses a rule that looks at columns which the data does not have, or cannot look at.

    Args:
        rule: The rule.
        columns: Name and type of the data's columns.

    Raises:
        ConfigError: With the closest valid name.
    """
    for name in rule.columns:
        if name not in columns:
            raise ConfigError(
                "The split rule names a column that the data does not have",
                received=f"'{name}'",
                expected=closest(name, columns),
                next_step="correct data.split_key or data.split_by in project.yaml",
            )
        kind = columns[name]
        if isinstance(rule, ByValue | ByTime) and kind not in ("int", "float", "string"):
            raise ConfigError(
                f"Rows cannot be split by column '{name}'",
                received=f"type {kind}",
                expected="int, float or string",
                next_step="choose another column for data.split_by",
            )


def _seconds(column: pa.Array) -> npt.NDArray[np.float64]:
    """`[rows] float64` seconds since 1970; NaN where there is no time."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        values: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(
            zero_copy_only=False
        )
        return values
    encoded = column.dictionary_encode()
    words = encoded.dictionary.to_numpy(zero_copy_only=False)
    times = pd.to_datetime(pd.Series(words, dtype=object), utc=True, errors="coerce")
    of_words = times.astype("int64").to_numpy() / 1e9
    of_words[times.isna().to_numpy()] = np.nan
    codes = encoded.indices.fill_null(len(words)).to_numpy()
    taken: npt.NDArray[np.float64] = np.append(of_words, np.nan)[codes]
    return taken
