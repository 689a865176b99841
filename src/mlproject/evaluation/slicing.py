"""Slices of the eval split: values of single raw columns, crosses of them, buckets of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlproject.errors import DataError, closest
from mlproject.examples.reader import read_batches
from mlproject.sections.evaluation import columns_of

MAX_SLICE_VALUES = 1_000
MISSING = "(missing)"
Buckets = Mapping[str, tuple[float, ...] | int]


@dataclass(frozen=True)
class SliceColumn:
    """A raw column whose values, or buckets, are slices.

    Attributes:
        name: The column.
        values: What its slices are called, `(missing)` among them where rows lack it.
        edges: Rising boundaries of the buckets; None where each value is a slice.
    """

    name: str
    values: tuple[str, ...]
    edges: tuple[float, ...] | None = None

    def named(self, column: pa.Array) -> pa.DictionaryArray:
        """The slice of each row, as a code of `values`.

        Args:
            column: `[rows]` of the raw column.
        """
        if self.edges is None:
            codes = pc.index_in(_as_text(column), value_set=pa.array(self.values, pa.string()))
        else:
            numbers = _numbers(column)
            found = np.searchsorted(self.edges, numbers, side="right").astype(np.int32)
            codes = pa.array(np.where(np.isnan(numbers), len(self.edges) + 1, found), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, pa.array(self.values, pa.string()))


@dataclass(frozen=True)
class Slicing:
    """What the eval split is sliced by.

    Attributes:
        columns: Column -> its slices.
        entries: The columns of each entry of `evaluation.slices`; several are a cross.
    """

    columns: Mapping[str, SliceColumn]
    entries: tuple[tuple[str, ...], ...]


def plan_slices(split_dir: Path, slices: tuple[str, ...], buckets: Buckets) -> Slicing:
    """Finds the slices of a split: reads the columns that they are of, and nothing else.

    Args:
        split_dir: The split of the Examples.
        slices: Entries of `evaluation.slices`.
        buckets: Column -> boundaries, or a number of buckets of equal size.

    Raises:
        DataError: A column is missing, of lists or bytes, has no numbers to bucket, or an entry
            has more than 1,000 distinct values.
    """
    entries = tuple(dict.fromkeys(columns_of(entry) for entry in slices))
    names = dict.fromkeys(name for entry in entries for name in entry)
    if not names:
        return Slicing({}, ())
    schema = next(read_batches(split_dir, columns=None, batch_rows=1)).schema
    columns = {}
    for name in names:
        _check_column(name, schema)
        given = buckets.get(name)
        found = _bucketed(split_dir, name, given, schema) if given else _valued(split_dir, name)
        columns[name] = found
    for entry in entries:
        if len(entry) > 1:
            _check_cross(split_dir, [columns[name] for name in entry])
    return Slicing(columns, entries)


def bucket_names(edges: tuple[float, ...]) -> tuple[str, ...]:
    """What the buckets between rising boundaries are called; each is closed on the left.

    Args:
        edges: At least one boundary.

    Returns:
        `(-inf, 5)`, `[5, 10)`, `[10, inf)`: one more than there are boundaries.
    """
    texts = [f"{edge:.12g}" for edge in edges]
    inner = (f"[{low}, {high})" for low, high in pairwise(texts))
    return (f"(-inf, {texts[0]})", *inner, f"[{texts[-1]}, inf)")


def _valued(split_dir: Path, name: str) -> SliceColumn:
    values: set[str] = set()
    for batch in read_batches(split_dir, columns=[name]):
        values |= set(pc.unique(_as_text(batch.column(0))).to_pylist())
        if len(values) > MAX_SLICE_VALUES:
            raise _too_many(name, len(values), "bucket the column (`evaluation.buckets`), or drop")
    return SliceColumn(name, tuple(sorted(values)))


def _bucketed(
    split_dir: Path, name: str, given: tuple[float, ...] | int, schema: pa.Schema
) -> SliceColumn:
    kind = schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(
            f"Bucketing the column '{name}' failed",
            received=f"a column of type {kind}",
            expected="numbers",
            next_step="drop it from `evaluation.buckets` in project.yaml",
        )
    missing = False
    parts = []
    for batch in read_batches(split_dir, columns=[name]):
        numbers = _numbers(batch.column(0))
        missing = missing or bool(np.isnan(numbers).any())
        if isinstance(given, int):
            parts.append(numbers[~np.isnan(numbers)])
    edges = _quantile_edges(name, np.concatenate(parts), given) if isinstance(given, int) else given
    return SliceColumn(name, (*bucket_names(edges), *((MISSING,) if missing else ())), edges)


def _quantile_edges(name: str, numbers: np.ndarray, buckets: int) -> tuple[float, ...]:
    """Boundaries of buckets of equal size, to six digits so that a bucket's name tells them."""
    if not len(numbers):
        raise DataError(
            f"Bucketing the column '{name}' failed",
            received="no value in the eval split",
            expected="numbers",
            next_step="drop it from `evaluation.buckets` in project.yaml",
        )
    inner = np.quantile(numbers, np.arange(1, buckets) / buckets)
    return tuple(sorted({float(f"{edge:.6g}") for edge in inner}))


def _check_cross(split_dir: Path, columns: list[SliceColumn]) -> None:
    """Refuses a cross of too many values that occur."""
    sizes = [len(column.values) for column in columns]
    seen = np.empty(0, np.int64)
    for batch in read_batches(split_dir, columns=[column.name for column in columns]):
        codes = [
            column.named(batch.column(place)).indices.to_numpy(zero_copy_only=False)
            for place, column in enumerate(columns)
        ]
        seen = np.union1d(seen, np.ravel_multi_index([c.astype(np.int64) for c in codes], sizes))
        if len(seen) > MAX_SLICE_VALUES:
            names = ",".join(column.name for column in columns)
            raise _too_many(names, len(seen), "bucket a column (`evaluation.buckets`), or drop")


def _check_column(name: str, schema: pa.Schema) -> None:
    if name not in schema.names:
        raise DataError(
            "Slicing the eval split failed",
            received=f"evaluation.slices: {name}",
            expected=f"a column of the data ({closest(name, schema.names)})",
            next_step="mend `evaluation.slices` in project.yaml",
        )
    kind = schema.field(name).type
    if pa.types.is_list(kind) or pa.types.is_binary(kind):
        raise DataError(
            f"Slicing the eval split by '{name}' failed",
            received=f"a column of {'lists' if pa.types.is_list(kind) else 'bytes'}",
            expected="a column of text or numbers",
            next_step="drop it from `evaluation.slices` in project.yaml",
        )


def _too_many(name: str, count: int, what: str) -> DataError:
    return DataError(
        f"Slicing the eval split by '{name}' failed",
        received=f"at least {count:,} distinct values",
        expected=f"at most {MAX_SLICE_VALUES:,}",
        next_step=f"{what} it from `evaluation.slices` in project.yaml",
    )


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(pa.string()).fill_null(MISSING)


def _numbers(column: pa.Array) -> np.ndarray:
    """`[rows] float64`, NaN where missing."""
    found: Any = column.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    return found
