"""JSON Lines files as a stream of record batches in their stored types; see `jsonl_types`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlproject.errors import DataError
from mlproject.examples.batches import rebatch
from mlproject.examples.column_limit import check_limit
from mlproject.examples.columns import (
    LIST,
    Columns,
    arrow_schema,
    check_declared,
    check_names,
)
from mlproject.examples.file_state import FileState, states_of
from mlproject.examples.formats import ReadOptions
from mlproject.examples.jsonl_faults import beyond_64_bits, mixed_values
from mlproject.examples.jsonl_lines import read_line_blocks
from mlproject.examples.jsonl_rows import Row, RowBlock, parse
from mlproject.examples.jsonl_types import (
    BIG,
    EMPTY,
    Mixed,
    fits,
    is_exact,
    joined,
    kind_of,
    stored_type,
    to_array,
)
from mlproject.examples.sources import changed

Values = dict[str, Sequence[Any]]


@dataclass
class _Column:
    """What all lines say of a column.

    Attributes:
        kind: See `jsonl_types`.
        fault: Why it has no type of its own: values of several sorts, or (as long as no fraction
            is found) a whole number beyond 64 bits.
    """

    kind: str = EMPTY
    fault: DataError | None = None


class JsonLinesSource:
    """JSON Lines files.

    A line says what it holds, but not what the others hold: all are parsed once to find the
    columns, and once more to read them.

    Args:
        files: Files to read, in order.
        options: Declared types; the other options are for text.

    Raises:
        ConfigError: A declared type names no column or no type.
        DataError: A file is not readable, or its lines are not usable.
    """

    def __init__(self, files: Sequence[Path], options: ReadOptions) -> None:
        found = _scan(states_of(files))
        declared = options.column_types
        check_declared(declared, found)
        for name, column in found.items():
            if column.fault is not None and name not in declared:
                raise column.fault
        self._columns: Columns = tuple(
            (name, declared.get(name) or stored_type(column.kind)) for name, column in found.items()
        )
        # What `to_array` is told of each column.
        self._kinds = {
            name: f"declared {declared[name]}" if name in declared else column.kind
            for name, column in found.items()
        }

    @property
    def columns(self) -> Columns:
        return self._columns

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `formats.FileReader.batches`."""
        yield from rebatch(self._batch(block) for block in _blocks(files))

    def _batch(self, block: RowBlock) -> pa.RecordBatch:
        values = _values(block.rows, self._kinds)
        if len(values) > len(self._kinds):
            new = next(name for name in values if name not in self._kinds)
            raise changed(
                f"column '{new}' in line {block.numbers[0]:,} of '{block.path}', or soon after, "
                "is new",
                "the columns that were there at first",
            )
        spelled: Values | None = None
        arrays = []
        for name, kind in self._kinds.items():
            cells = values[name]
            if kind in _SPELLED and set(map(type, cells)) - {str}:
                spelled = spelled or _values(block.spelled_rows(), self._kinds)
                cells = spelled[name]
            try:
                arrays.append(to_array(cells, kind))
            except Mixed as err:
                raise mixed_values(block, name, cells, kind) from err
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self._columns))


_SPELLED = {f"declared {text}{suffix}" for text in ("string", "bytes") for suffix in ("", LIST)}


@lru_cache(maxsize=4)  # a source is opened again when a reviewed schema has a say in its types
def _scan(states: tuple[FileState, ...]) -> Mapping[str, _Column]:
    files = [state.path for state in states]
    where = f"'{files[0]}'"
    columns: dict[str, _Column] = {}
    for block in _blocks(files):
        _look_at(block, columns)
        check_limit(len(columns), where)
    check_names(list(columns), where)
    if not columns:
        raise DataError(
            f"{where} has no columns",
            received="no line with an object that has a key",
            expected='one JSON object a line, like {"price": 12.5, "name": "x"}',
            next_step="check the export that wrote the data",
        )
    return columns


def _look_at(block: RowBlock, columns: dict[str, _Column]) -> None:
    values = _values(block.rows, columns)
    odd = {n: cells for n, cells in values.items() if not fits(cells, _kind(columns, n))}
    if not all(map(is_exact, odd.values())):
        exact = _values(block.exact_rows(), columns)
        odd = {name: exact[name] for name in odd}
    columns.update({name: _Column() for name in values if name not in columns})
    for name, cells in odd.items():
        _widen(columns[name], block, name, cells)


def _widen(column: _Column, block: RowBlock, name: str, cells: Sequence[Any]) -> None:
    if column.fault is not None and not column.kind.startswith(BIG):
        return
    try:
        found = kind_of(cells)
        column.kind = joined(column.kind, found)
    except Mixed:
        column.fault = mixed_values(block, name, cells, column.kind)
        column.kind = EMPTY
        return
    if not column.kind.startswith(BIG):
        column.fault = None
    elif column.fault is None:
        at = next(at for at, cell in enumerate(cells) if kind_of([cell]).startswith(BIG))
        column.fault = beyond_64_bits(block, at, name)


def _kind(columns: Mapping[str, _Column], name: str) -> str:
    return columns[name].kind if name in columns else EMPTY


def _blocks(files: Sequence[Path]) -> Iterator[RowBlock]:
    for path in files:
        for block in read_line_blocks(path):
            yield parse(block)


def _values(rows: Sequence[Row], known: Iterable[str]) -> Values:
    """The values of every known column and of every other that a row names, None where missing."""
    names = list(known)
    if rows and len(names) > 1 and sum(map(len, rows)) == len(rows) * len(names):
        try:
            columns = zip(*map(itemgetter(*names), rows), strict=True)
            return dict(zip(names, columns, strict=True))
        except KeyError:
            pass
    names = list(dict.fromkeys([*names, *chain.from_iterable(rows)]))
    return {name: [row.get(name) for row in rows] for name in names}
